// What a local store lets the service do just now, tried on the real folder.
import { randomUUID } from 'node:crypto'
import { constants } from 'node:fs'
import { open, unlink } from 'node:fs/promises'
import { AppError, type ErrorKind } from '../errors.ts'
import { storeError, throwIfAborted } from './failure.ts'
import { errnoOf, localError } from './local-errors.ts'
import { CHECK_FILE_PREFIX } from './local-names.ts'
import type { LocalScope, OpenFolder } from './local-scope.ts'
import { ROOT } from './path.ts'
import type { ArtifactStore, Entry, Probe, ProbeStep } from './store.ts'

/** A store may hold millions of folders above the first file; so many entries are looked through for one. */
const MAX_ENTRIES = 1000
const READ_BYTES = 64 * 1024

interface ProbeOptions {
  readonly readOnly: boolean
  readonly signal?: AbortSignal
}

/** `ArtifactStore.probe` of `store`, whose root `scope` is. Aborting the signal ends the wait for a file system that hangs, though not the call inside of it. */
export async function probeLocal(
  store: ArtifactStore,
  scope: LocalScope,
  { readOnly, signal }: ProbeOptions,
): Promise<Probe> {
  const options = signal === undefined ? {} : { signal }
  let found: Entry | undefined
  const list = await step(signal, async () => {
    let entries = 0
    for await (const batch of store.list(ROOT, { recursive: true, limit: MAX_ENTRIES, ...options })) {
      entries += batch.length
      found ??= batch.find(entry => entry.type === 'file' && entry.unreadable === undefined)
    }
    return entries === 0 ? 'the folder is empty' : undefined
  })
  const read: ProbeStep =
    list.result === 'failed'
      ? { result: 'skipped', detail: 'the folder could not be listed' }
      : found === undefined
        ? { result: 'skipped', detail: `no readable file is among the first ${MAX_ENTRIES} entries` }
        : await step(signal, () => readStart(store, found!, options))
  const write: ProbeStep = readOnly
    ? { result: 'skipped', detail: 'the connection is configured as read-only' }
    : await step(signal, () => scope.folder(ROOT, 'stat', writeCheckFile).catch(asWriteFailure))
  return { list, read, write }
}

async function step(
  signal: AbortSignal | undefined,
  work: () => Promise<string | undefined>,
): Promise<ProbeStep> {
  const { promise: ended, reject } = Promise.withResolvers<never>()
  const end = (): void => reject(storeError('Unavailable', 'stat', ROOT, signal?.reason))
  const startedAtMs = performance.now()
  const elapsedMs = (): number => performance.now() - startedAtMs
  signal?.addEventListener('abort', end)
  try {
    throwIfAborted(signal, 'stat', ROOT)
    const detail = await Promise.race([work(), ended])
    return { result: 'ok', elapsedMs: elapsedMs(), ...(detail !== undefined && { detail }) }
  } catch (error) {
    return { result: 'failed', elapsedMs: elapsedMs(), error: localError(error, 'stat', ROOT) }
  } finally {
    signal?.removeEventListener('abort', end)
  }
}

async function readStart(
  store: ArtifactStore,
  { path }: Entry,
  options: { readonly signal?: AbortSignal },
): Promise<string> {
  const artifact = await store.open(path, options)
  try {
    let bytes = 0
    for await (const chunk of artifact.read(0, Math.min(READ_BYTES, artifact.entry.size), options))
      bytes += chunk.length
    return `${bytes} bytes of '${path}'`
  } finally {
    await artifact.close()
  }
}

/** Creates a file, brings it to the disk and removes it: a full volume or one over its quota may say so no sooner than that. */
async function writeCheckFile({ located }: OpenFolder): Promise<undefined> {
  const target = `${located.at}/${CHECK_FILE_PREFIX}${randomUUID()}`
  const { O_WRONLY, O_CREAT, O_EXCL, O_NOFOLLOW } = constants
  const file = await open(target, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0o600)
  try {
    try {
      await file.writeFile('polyaxon-outputs tried whether it can write here. This file can be removed.\n')
      await file.sync()
    } finally {
      await file.close()
    }
  } finally {
    await unlink(target)
  }
}

const WRITE_FAILURES: Readonly<Record<string, readonly [ErrorKind, string]>> = {
  EROFS: [
    'PermissionDenied',
    'The outputs folder is mounted read-only: mount it writable, or set readOnly for this connection.',
  ],
  EACCES: [
    'PermissionDenied',
    'The service has no permission to write to the outputs folder: change its mode or owner, or the user or fsGroup of the service.',
  ],
  EPERM: [
    'PermissionDenied',
    'The outputs folder refuses changes by the service: look at its attributes and at the options it is mounted with.',
  ],
  ENOSPC: ['NoSpace', 'The volume of the outputs folder is full.'],
  EDQUOT: ['NoSpace', 'The quota of the outputs folder is used up.'],
}

function asWriteFailure(error: unknown): never {
  const cause = error instanceof AppError ? error.cause : error
  const known = WRITE_FAILURES[errnoOf(cause) ?? '']
  if (known === undefined) throw error
  const [kind, message] = known
  throw new AppError(kind, message, { op: 'write', path: ROOT, cause })
}
