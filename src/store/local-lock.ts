// One change at a time of what a name in a folder stands for, also among processes and machines that share a volume.
import { open, rename, stat, unlink } from 'node:fs/promises'
import { constants, type Stats } from 'node:fs'
import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { storeError } from './failure.ts'
import { errnoOf, isFull } from './local-errors.ts'
import { lockName, PENDING_FILE_PREFIX } from './local-names.ts'
import type { ArtifactPath } from './path.ts'

/** A lock is held for a few system calls; one of this age belongs to a process that ended in between. */
const STALE_MS = 60_000
const PATIENCE_MS = 20_000
const FIRST_PAUSE_MS = 2
const MAX_PAUSE_MS = 100

/** Turns among the changes of this process, by name: what is queued here does not have to ask the disk. */
export class Turns {
  readonly #last = new Map<string, Promise<undefined>>()

  /** Does `work` when all work before it with the same key has ended. */
  async take<T>(key: string, work: () => Promise<T>): Promise<T> {
    const before = this.#last.get(key)
    const { promise: ended, resolve: end } = Promise.withResolvers<undefined>()
    this.#last.set(key, ended)
    try {
      await before
      return await work()
    } finally {
      if (this.#last.get(key) === ended) this.#last.delete(key)
      end(undefined)
    }
  }
}

export interface LockOptions {
  /** Whether `work` is done without the lock where the disk has no room for one. */
  readonly isOptional?: boolean
}

/**
 * Does `work` while the name is locked in the folder at the disk path `folder`: by a file that only one can create (open(2), O_EXCL; atomic on NFS from version 3 on).
 *
 * Unavailable when others hold it for long. Whoever changes files past the service knows nothing of locks.
 */
export async function withLock<T>(
  folder: string,
  name: string,
  path: ArtifactPath,
  work: () => Promise<T>,
  { isOptional = false }: LockOptions = {},
): Promise<T> {
  const lock = `${folder}/${lockName(name)}`
  const held = await acquire(lock, folder, path).catch((error: unknown) => {
    if (isOptional && isFull(error)) return undefined
    throw error
  })
  try {
    return await work()
  } finally {
    if (held !== undefined) await release(lock, held)
  }
}

interface Held {
  readonly file: Stats
  readonly sinceMs: number
}

/** Of a lock that was held for so long that others may have taken it over, only what is still the same. */
async function release(lock: string, { file, sinceMs }: Held): Promise<void> {
  try {
    if (performance.now() - sinceMs >= STALE_MS && !isSame(await stat(lock), file)) return
    await unlink(lock)
  } catch {
    // It is gone, or goes when it is stale.
  }
}

/** File systems give the number of a file that was removed to the next one. */
function isSame(a: Stats, b: Stats): boolean {
  return a.ino === b.ino && a.mtimeMs === b.mtimeMs
}

async function acquire(lock: string, folder: string, path: ArtifactPath): Promise<Held> {
  const endsAtMs = performance.now() + PATIENCE_MS
  let nowMs: (() => number) | undefined
  for (let pauseMs = FIRST_PAUSE_MS; ; pauseMs = Math.min(pauseMs * 2, MAX_PAUSE_MS)) {
    try {
      const { O_WRONLY, O_CREAT, O_EXCL, O_NOFOLLOW } = constants
      const file = await open(lock, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0o600)
      try {
        return { file: await file.stat(), sinceMs: performance.now() }
      } finally {
        await file.close()
      }
    } catch (error) {
      if (errnoOf(error) !== 'EEXIST') throw error
    }
    nowMs ??= await clockOf(folder)
    if (await removedStale(lock, folder, nowMs)) continue
    if (performance.now() > endsAtMs) throw storeError('Unavailable', 'write', path)
    await sleep(pauseMs * (0.5 + Math.random()))
  }
}

/** The time as files in `folder` get it: from the server of a shared volume, whose clock may be another than ours. Where none can be made there, ours has to do. */
async function clockOf(folder: string): Promise<() => number> {
  const sample = `${folder}/${PENDING_FILE_PREFIX}${randomUUID()}`
  try {
    const file = await open(sample, 'wx', 0o600)
    try {
      const { mtimeMs } = await file.stat()
      const sinceMs = performance.now()
      return () => mtimeMs + performance.now() - sinceMs
    } finally {
      await file.close()
      await unlink(sample)
    }
  } catch {
    return Date.now
  }
}

/** Whether there was a lock that nobody holds any more. Two that find it at once must not both remove it: the second would remove the first one's new lock. */
async function removedStale(lock: string, folder: string, nowMs: () => number): Promise<boolean> {
  const found = await stat(lock).catch(() => undefined)
  if (found === undefined || nowMs() - found.mtimeMs < STALE_MS) return false
  const aside = `${folder}/${PENDING_FILE_PREFIX}${randomUUID()}`
  try {
    await rename(lock, aside)
    const taken = await stat(aside)
    const isStale = isSame(taken, found)
    if (isStale) await unlink(aside)
    else await rename(aside, lock)
    return isStale
  } catch {
    return false
  }
}
