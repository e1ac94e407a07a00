// Removing from a local store: files, links and whole folders, never what a link points to.
import { constants, unlink as unlinkFile } from 'node:fs'
import { open, opendir, rmdir, unlink, type FileHandle } from 'node:fs/promises'
import { storeError, throwIfAborted } from './failure.ts'
import type { CallBudget } from './local-batch.ts'
import { errnoOf, localError } from './local-errors.ts'
import { inFolderOf, pruneFolders, syncFolder } from './local-folders.ts'
import { isTransientName } from './local-names.ts'
import type { LocalScope, OpenFolder } from './local-scope.ts'
import { attributesOf, etagAt, exclusively, type Stat } from './local-write.ts'
import { joinPath, parentOf, parsePath, ROOT, type ArtifactPath } from './path.ts'
import {
  holds,
  type Removal,
  type RemovalFailure,
  type RemoveAllOptions,
  type RemoveOptions,
} from './store.ts'

/** Names taken from a folder at a time. */
const BATCH = 256
/** More would tell an operator nothing new. */
const MAX_FAILURES = 100
/** Removing while reading a folder may skip names on some file systems, so it is read again as long as that finds more. */
const MAX_PASSES = 100
/** How often a folder is emptied into which others write just before it goes. */
const MAX_ATTEMPTS = 3
const DOT = 46

/** `ArtifactStore.remove`. */
export async function removeFile(
  scope: LocalScope,
  path: ArtifactPath,
  stat: Stat,
  { precondition, signal, pruneBelow }: RemoveOptions,
): Promise<void> {
  throwIfAborted(signal, 'remove', path)
  if (path === ROOT) throw storeError('IsDirectory', 'remove', path)
  const remove = async ({ located }: OpenFolder, name: string): Promise<void> => {
    throwIfAborted(signal, 'remove', path)
    const target = `${located.at}/${name}`
    const found = await attributesOf(target)
    if (found?.isDirectory() === true) throw storeError('IsDirectory', 'remove', path)
    const isArtifact = found?.isFile() === true || found?.isSymbolicLink() === true
    if (!isArtifact || isTransientName(name, located.isLocal)) throw storeError('NotFound', 'remove', path)
    if (precondition !== undefined && !holds(precondition, await etagAt(path, stat)))
      throw storeError('Changed', 'remove', path)
    await unlink(target)
    await syncFolder(located.at)
  }
  // On a disk that is full it makes room.
  const options = { isOptional: precondition === undefined }
  await inFolderOf(scope, path, 'remove', (folder, name) =>
    exclusively(scope, folder, path, () => remove(folder, name), options),
  )
  await pruneFolders(scope, parentOf(path), pruneBelow)
}

/** `ArtifactStore.removeAll`. */
export async function removeTree(
  scope: LocalScope,
  path: ArtifactPath,
  stat: Stat,
  options: RemoveAllOptions,
): Promise<Removal> {
  throwIfAborted(options.signal, 'remove', path)
  // The folder of a view lies outside of it.
  const view = path === ROOT ? scope.whole : scope
  const inView = path === ROOT ? scope.pathInStore(ROOT) : path
  if (inView === ROOT) throw storeError('InvalidArgument', 'remove', path)
  const removal = await inFolderOf(view, inView, 'remove', async ({ located, calls }, name) => {
    const target = `${located.at}/${name}`
    const found = await attributesOf(target)
    if (found === undefined || isTransientName(name, located.isLocal))
      throw storeError('NotFound', 'remove', path)
    if (found.isSymbolicLink() && path !== ROOT) {
      // It counts as the folder that it points to, but goes alone, as any link does.
      await scope.folder(path, 'remove', () => Promise.resolve())
      await removeFile(scope, path, stat, options)
      return { removed: 1, failures: [] }
    }
    if (!found.isDirectory()) throw storeError(path === ROOT ? 'NotFound' : 'NotDirectory', 'remove', path)
    const tree = new TreeRemoval(options, calls, located.isLocal)
    await tree.remove(target, path)
    await syncFolder(located.at)
    return tree.result
  })
  if (path !== ROOT) await pruneFolders(scope, parentOf(path), options.pruneBelow)
  return removal
}

class TreeRemoval {
  readonly #options: RemoveAllOptions
  readonly #calls: CallBudget
  readonly #isLocal: boolean
  readonly #failures: RemovalFailure[] = []
  #removed = 0

  constructor(options: RemoveAllOptions, calls: CallBudget, isLocal: boolean) {
    this.#options = options
    this.#calls = calls
    this.#isLocal = isLocal
  }

  get result(): Removal {
    return { removed: this.#removed, failures: this.#failures }
  }

  /** Removes the folder at the disk path `target`, whose path is `path`; whether it is gone. */
  async remove(target: string | Buffer, path: ArtifactPath): Promise<boolean> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.#attempt(target, path)
      } catch (error) {
        const code = errnoOf(error)
        if (code === 'ENOENT') return true
        if (code === 'ENOTEMPTY' && attempt < MAX_ATTEMPTS) continue
        this.#fail(path, error)
        return false
      }
    }
  }

  async #attempt(target: string | Buffer, path: ArtifactPath): Promise<boolean> {
    // Never through a link that took the folder's place a moment ago.
    const folder = await open(target, constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW)
    try {
      if (!(await this.#empty(folder, target, path))) return false
    } finally {
      await folder.close()
    }
    await rmdir(target)
    return true
  }

  /** Whether nothing is left in it that is known. */
  async #empty(folder: FileHandle, target: string | Buffer, path: ArtifactPath): Promise<boolean> {
    const at = process.platform === 'linux' ? `/proc/self/fd/${folder.fd}` : target
    let isEmpty = true
    for (let pass = 0; pass < MAX_PASSES && isEmpty; pass++) {
      const names = await this.#pass(at, path)
      if (names === 0) return true
      isEmpty = names !== 'some stay'
    }
    return isEmpty
  }

  async #pass(at: string | Buffer, path: ArtifactPath): Promise<number | 'some stay'> {
    let count = 0
    let all = true
    let batch: Buffer[] = []
    // Names as bytes: what is no valid UTF-8 has to go too.
    const names = await opendir(at, { encoding: 'buffer' as BufferEncoding, bufferSize: BATCH })
    for await (const { name } of names as AsyncIterable<{ name: unknown }>) {
      batch.push(name as Buffer)
      count++
      if (batch.length < BATCH) continue
      if (!(await this.#removeNames(at, path, batch))) all = false
      batch = []
    }
    if (!(await this.#removeNames(at, path, batch))) all = false
    return all ? count : 'some stay'
  }

  /** Whether all of them are gone. */
  async #removeNames(at: string | Buffer, path: ArtifactPath, names: readonly Buffer[]): Promise<boolean> {
    throwIfAborted(this.#options.signal, 'remove', path)
    const targets = names.map(name => Buffer.concat([Buffer.from(at), Buffer.from('/'), name]))
    const errors = await this.#calls.each<Buffer, NodeJS.ErrnoException | undefined>(
      targets,
      (target, done) => unlinkFile(target, error => done(null, error ?? undefined)),
    )
    this.#options.onProgress?.()
    let all = true
    for (const [index, error] of errors.entries()) {
      const inside = pathIn(path, names[index]!)
      if (error === undefined) {
        if (!this.#isTransient(names[index]!)) this.#removed += 1
        continue
      }
      const code = errnoOf(error)
      // EPERM is what POSIX, and macOS, says of a folder.
      if (code === 'EISDIR' || code === 'EPERM') {
        if (!(await this.#removeFolder(targets[index]!, inside, error))) all = false
      } else if (code !== 'ENOENT') {
        this.#fail(inside, error)
        all = false
      }
    }
    return all
  }

  async #removeFolder(target: Buffer, path: ArtifactPath, error: unknown): Promise<boolean> {
    if ((await attributesOf(target))?.isDirectory() !== false) return this.remove(target, path)
    this.#fail(path, error)
    return false
  }

  /** What is unfinished goes too, but was never an artifact. */
  #isTransient(name: Buffer): boolean {
    return name[0] === DOT && isTransientName(name.toString('latin1'), this.#isLocal)
  }

  #fail(path: ArtifactPath, error: unknown): void {
    const failure = localError(error, 'remove', path)
    if (failure.kind === 'Aborted') throw failure
    if (this.#failures.length < MAX_FAILURES) this.#failures.push({ path, error: failure })
  }
}

/** A name that no path can hold is told by its folder. */
function pathIn(folder: ArtifactPath, name: Buffer): ArtifactPath {
  try {
    return joinPath(folder, parsePath(name.toString()))
  } catch {
    return folder
  }
}
