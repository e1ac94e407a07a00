// Writing to a local store: a hidden file in the folder that it will be in, then one rename.
import { randomUUID } from 'node:crypto'
import { constants, type Stats } from 'node:fs'
import { link, lstat, open, rename, unlink, type FileHandle } from 'node:fs/promises'
import { isAppError } from '../errors.ts'
import { storeError, throwIfAborted } from './failure.ts'
import { errnoOf, isMissing, localError } from './local-errors.ts'
import { inFolderOf, inMadeFolders, keepFolders, removeFolders, syncFolder } from './local-folders.ts'
import { forget, note } from './local-journal.ts'
import { withLock, type LockOptions } from './local-lock.ts'
import { isPendingName, PENDING_FILE_PREFIX, refuseOwnName } from './local-names.ts'
import type { LocalScope, OpenFolder } from './local-scope.ts'
import { joinPath, parentOf, parsePath, ROOT, type ArtifactPath } from './path.ts'
import { holds, type CreateOptions, type Entry, type PendingArtifact, type Precondition } from './store.ts'

/**
 * After so many bytes what was written before them is brought to the disk while the next are taken in, so that the last step never has gigabytes left to do, which would look like
 * a disk that hangs.
 */
const SYNC_BYTES = 64 * 1024 ** 2

/** The artifact at `path` as `ArtifactStore.stat` gives it. */
export type Stat = (path: ArtifactPath) => Promise<Entry>

/** `ArtifactStore.create`. */
export async function createPending(
  scope: LocalScope,
  path: ArtifactPath,
  stat: Stat,
  { precondition, signal }: CreateOptions,
): Promise<PendingArtifact> {
  throwIfAborted(signal, 'write', path)
  if (path === ROOT) throw storeError('IsDirectory', 'write', path)
  refuseOwnName(path, 'write')
  const name = parsePath(`${PENDING_FILE_PREFIX}${randomUUID()}`)
  let noted: string | undefined
  try {
    const file = await inMadeFolders(scope, path, () =>
      inFolderOf(scope, path, 'write', async (folder, target) => {
        await refuseFolder(folder, target, path)
        noted ??= await note(scope, scope.pathInStore(joinPath(parentOf(path), name)))
        const { O_WRONLY, O_CREAT, O_EXCL, O_NOFOLLOW } = constants
        return open(`${folder.located.at}/${name}`, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0o666)
      }),
    )
    return new LocalPending({ scope, path, name, stat, noted, precondition, signal }, file)
  } catch (error) {
    await forget(scope, noted)
    throw error
  }
}

interface Pending {
  readonly scope: LocalScope
  readonly path: ArtifactPath
  /** Of the hidden file, in the same folder. */
  readonly name: string
  readonly stat: Stat
  readonly noted: string | undefined
  readonly precondition: Precondition | undefined
  readonly signal: AbortSignal | undefined
}

class LocalPending implements PendingArtifact {
  readonly #pending: Pending
  #file: FileHandle | undefined
  #written = 0
  #unsynced = 0
  #syncing: Promise<void> | undefined
  #isVisible = false
  #ending: Promise<void> | undefined

  constructor(pending: Pending, file: FileHandle) {
    this.#pending = pending
    this.#file = file
  }

  async write(chunk: Uint8Array): Promise<void> {
    await this.#step(async file => {
      for (let taken = 0; taken < chunk.length;) {
        const { bytesWritten } = await file.write(chunk, taken, chunk.length - taken, this.#written)
        taken += bytesWritten
        this.#written += bytesWritten
      }
      this.#unsynced += chunk.length
      if (this.#unsynced < SYNC_BYTES) return
      await this.#syncing
      this.#unsynced = 0
      this.#syncing = file.datasync()
      // It is awaited by the next one, or by `complete`.
      this.#syncing.catch(() => undefined)
    })
  }

  async complete(): Promise<Entry> {
    const { scope, path, noted } = this.#pending
    const entry = await this.#step(async file => {
      await this.#syncing
      await file.sync()
      this.#file = undefined
      await file.close()
      const shown = await inFolderOf(scope, path, 'write', (folder, target) => this.#show(folder, target))
      await inFolderOf(scope, path, 'write', ({ located }) => syncFolder(located.at))
      return shown
    })
    await forget(scope, noted)
    return entry
  }

  abort(): Promise<void> {
    this.#ending ??= this.#remove()
    return this.#ending
  }

  async #remove(): Promise<void> {
    const { scope, path, name, noted } = this.#pending
    const file = this.#file
    this.#file = undefined
    await this.#syncing?.catch(() => undefined)
    await file?.close().catch(() => undefined)
    if (this.#isVisible) return
    try {
      await inFolderOf(scope, path, 'write', ({ located }) => unlink(`${located.at}/${name}`))
    } catch (error) {
      // What is still there is left to `sweep`, by its note.
      if (!isAppError(error, 'NotFound')) return
    }
    await forget(scope, noted)
    await removeFolders(scope, parentOf(path))
  }

  /** Failures are about the artifact. */
  async #step<T>(work: (file: FileHandle) => Promise<T>): Promise<T> {
    const { path, signal } = this.#pending
    throwIfAborted(signal, 'write', path)
    const file = this.#file
    if (file === undefined || this.#ending !== undefined) throw storeError('Aborted', 'write', path)
    try {
      return await work(file)
    } catch (error) {
      throw localError(error, 'write', path)
    }
  }

  /** Gives the file its name, and nobody else gives the same one before its entry is known: the tag must be that of what was written here. */
  #show(folder: OpenFolder, target: string): Promise<Entry> {
    const { scope, path, name, precondition, stat, signal } = this.#pending
    return exclusively(scope, folder, path, async () => {
      throwIfAborted(signal, 'write', path)
      // A folder that seems stale is looked up once more, and this done again.
      if (!this.#isVisible) {
        await refuseFolder(folder, target, path)
        const { at } = folder.located
        await giveName(`${at}/${name}`, `${at}/${target}`, path, precondition, stat)
      }
      this.#isVisible = true
      keepFolders(scope, parentOf(path))
      return stat(path)
    })
  }
}

/** Does `work` in its turn among all changes of the name of `path` in `folder`. `options` are those of `withLock`. */
export function exclusively<T>(
  scope: LocalScope,
  { located }: OpenFolder,
  path: ArtifactPath,
  work: () => Promise<T>,
  options?: LockOptions,
): Promise<T> {
  const name = path.slice(path.lastIndexOf('/') + 1)
  return scope.turns.take(scope.pathInStore(path), () => withLock(located.at, name, path, work, options))
}

/** File systems without hard links. */
const NO_LINKS = new Set(['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'EMLINK'])

/**
 * Gives the file at the disk path `from` the disk path `to`, which is that of `path`, where the precondition holds.
 *
 * `absent` holds against everybody, for link(2) never replaces anything; the others against all who take the lock.
 */
export async function giveName(
  from: string,
  to: string,
  path: ArtifactPath,
  precondition: Precondition | undefined,
  stat: Stat,
): Promise<void> {
  if (precondition?.type === 'absent') {
    try {
      await link(from, to).catch(async (error: unknown) => {
        // NFS may lose the answer, and ask its server again (open(2), O_EXCL).
        if (errnoOf(error) !== 'EEXIST' || !(await isHiddenFile(from, to))) throw error
      })
      await unlink(from)
      return
    } catch (error) {
      if (errnoOf(error) === 'EEXIST') throw storeError('Changed', 'write', path, error)
      if (!NO_LINKS.has(errnoOf(error) ?? '')) throw error
    }
  }
  if (precondition !== undefined && !holds(precondition, await etagAt(path, stat)))
    throw storeError('Changed', 'write', path)
  await rename(from, to)
}

/** Whether the disk path `to` leads to the hidden file at `hidden`, whose only other name it is. */
async function isHiddenFile(hidden: string, to: string): Promise<boolean> {
  if (!isPendingName(hidden.slice(hidden.lastIndexOf('/') + 1))) return false
  const [own, found] = [await attributesOf(hidden), await attributesOf(to)]
  return own !== undefined && own.ino === found?.ino && own.dev === found.dev
}

/** The etag of the artifact at `path`; undefined where there is none. */
export async function etagAt(path: ArtifactPath, stat: Stat): Promise<string | undefined> {
  try {
    const { type, etag } = await stat(path)
    return type === 'file' ? etag : undefined
  } catch (error) {
    if (isAppError(error, 'NotFound')) return undefined
    throw error
  }
}

/** Fails with IsDirectory when a folder has the name; a link to one can be replaced like any other. */
export async function refuseFolder({ located }: OpenFolder, name: string, path: ArtifactPath): Promise<void> {
  const found = await attributesOf(`${located.at}/${name}`)
  if (found?.isDirectory() === true) throw storeError('IsDirectory', 'write', path)
}

/** What is at a disk path, links not followed; undefined for nothing. */
export async function attributesOf(target: string | Buffer): Promise<Stats | undefined> {
  try {
    return await lstat(target)
  } catch (error) {
    if (isMissing(error)) return undefined
    throw error
  }
}
