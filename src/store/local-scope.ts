// The part of a local store that one view may reach: its root, or a folder in it.
import { setTimeout as sleep } from 'node:timers/promises'
import type { CallBudget } from './local-batch.ts'
import { isDenied, isMissing, isStale, localError } from './local-errors.ts'
import { isAppError } from '../errors.ts'
import {
  askForNames,
  boundaryOf,
  bytesOf,
  locate,
  lstat,
  Replaced,
  type Boundary,
  type Located,
} from './local-locate.ts'
import { storeError, type StoreOperation } from './failure.ts'
import type { Turns } from './local-lock.ts'
import { lockName } from './local-names.ts'
import type { LocalRoot, Reader, RootFolder } from './local-root.ts'
import { ROOT, joinPath, nameOf, parentOf, type ArtifactPath } from './path.ts'

/** How often a file is looked for that is replaced while it is opened. */
const MAX_REPLACED = 100
/** How often a file of a network file system is looked for that is stale, or missing while its name is locked: another is about to take its place. */
const MAX_LOOKS = 10

/** A folder that is held open while it is being read. */
export interface OpenFolder {
  readonly path: ArtifactPath
  readonly boundary: Boundary
  readonly located: Located
  readonly reader: Reader
  readonly calls: CallBudget
}

export class LocalScope {
  readonly #root: LocalRoot
  readonly #folder: ArtifactPath
  readonly #hasProc: boolean
  #boundary: Boundary | undefined

  constructor(root: LocalRoot, folder: ArtifactPath, hasProc: boolean) {
    this.#root = root
    this.#folder = folder
    this.#hasProc = hasProc
  }

  get reader(): Reader {
    return this.#root.reader
  }

  /** The whole store, of which this is a part. */
  get whole(): LocalScope {
    return this.#folder === ROOT ? this : new LocalScope(this.#root, ROOT, this.#hasProc)
  }

  /** Of changes, by paths of the whole store. */
  get turns(): Turns {
    return this.#root.turns
  }

  /** Made for something that is not written yet, as the whole store calls them. */
  get newFolders(): Set<ArtifactPath> {
    return this.#root.newFolders
  }

  within(folder: ArtifactPath): LocalScope {
    return new LocalScope(this.#root, this.pathInStore(folder), this.#hasProc)
  }

  /** `path` as the store's root would call it. */
  pathInStore(path: ArtifactPath): ArtifactPath {
    return joinPath(this.#folder, path)
  }

  /**
   * Finds what is at `path` and hands it to `work`, which must be done with it when its promise settles.
   *
   * System calls that fail in `work` become AppErrors of `path`. When nothing is found, or a file for a folder, or what seems to lie below the mount, the root is looked at:
   * if it is gone the store is Unavailable. Where the failure may come from what this machine remembers (of a root that was replaced meanwhile, or of a network file system) the
   * path is looked up once more and `work` begins anew; and again, as long as that meets with a file that is being replaced.
   */
  async at<T>(
    path: ArtifactPath,
    operation: StoreOperation,
    work: (located: Located, boundary: Boundary) => Promise<T> | T,
  ): Promise<T> {
    const boundary = this.#boundaryIn(this.#root.current ?? (await this.#root.look(operation)))
    const seen = { below: false }
    try {
      return await this.#attempt(boundary, path, operation, located => {
        seen.below = seemsBelowMount(located, boundary)
        if (seen.below) throw storeError('NotFound', operation, path)
        return work(located, boundary)
      })
    } catch (error) {
      const isAbsent = isAppError(error, 'NotFound', 'NotDirectory')
      if (!isAbsent && !isStale(error)) throw error
      const root = await this.#root.refresh(operation)
      const isKnown = root === boundary.root && !seen.below
      if (isKnown && isAbsent && !this.#mayBeRemote(root, path)) throw error
      if (isKnown) await this.#askForNames(root, path, operation)
      return this.#again(root, path, operation, work)
    }
  }

  /** Further looks, with the root asked before each, so that a failure of its own is told as such. */
  async #again<T>(
    root: RootFolder,
    path: ArtifactPath,
    operation: StoreOperation,
    work: (located: Located, boundary: Boundary) => Promise<T> | T,
  ): Promise<T> {
    for (let look = 2; ; look++) {
      // Before and after, for it may be unlocked or locked in between.
      const wasChanging = await this.#isChanging(root, path, operation)
      try {
        return await this.#attempt(this.#boundaryIn(root), path, operation, work)
      } catch (error) {
        const isPassing =
          isStale(error) ||
          (isAppError(error, 'NotFound') && (wasChanging || (await this.#isChanging(root, path, operation))))
        if (!isPassing || look === MAX_LOOKS) throw error
      }
      await sleep(look)
      root = await this.#root.refresh(operation)
      await this.#askForNames(root, path, operation)
    }
  }

  /**
   * Whether the name of the file at `path` is locked, on a network file system. Linux's client replaces a file that this machine has open in two steps (fs/nfs/dir.c, `nfs_rename`):
   * it gives the old one another name first, and for that moment there is none.
   */
  async #isChanging(root: RootFolder, path: ArtifactPath, operation: StoreOperation): Promise<boolean> {
    if (path === ROOT || (operation !== 'open' && operation !== 'stat')) return false
    if (!this.#mayBeRemote(root, path)) return false
    try {
      const folder = parentOf(path)
      const target = diskPath(root, this.pathInStore(folder))
      const located = await locate(this.#boundaryIn(root), target, operation, folder)
      try {
        await lstat(`${located.at}/${lockName(nameOf(path))}`)
        return true
      } finally {
        located.release()
      }
    } catch {
      // The look that it is asked for has words for whatever is wrong.
      return false
    }
  }

  /** Like `at`, for a folder; NotDirectory when a file is there. */
  folder<T>(
    path: ArtifactPath,
    operation: StoreOperation,
    work: (folder: OpenFolder) => Promise<T>,
  ): Promise<T> {
    return this.at(path, operation, (located, boundary) => {
      if (located.stats.isFile()) throw storeError('NotDirectory', operation, path)
      if (!located.stats.isDirectory()) throw storeError('NotFound', operation, path)
      return work({ path, boundary, located, reader: this.reader, calls: this.#root.calls })
    })
  }

  /** Whether `path` is on a network file system, or would be if it were there. */
  #mayBeRemote(root: RootFolder, path: ArtifactPath): boolean {
    if (!root.isLocal) return true
    return this.#hasProc && root.mounts.have(bytesOf(`${root.realPath}/${this.pathInStore(path)}`))
  }

  /**
   * A client of a network file system remembers for up to a minute which names a folder holds, and which not (nfs(5), "Directory entry caching"), so that a file which another
   * machine just wrote would be NotFound to whoever asked for it before, and a folder that it made anew would be stale. Opening a folder makes the client ask again; from the
   * root downwards, as any of them may be new.
   */
  async #askForNames(root: RootFolder, path: ArtifactPath, operation: StoreOperation): Promise<void> {
    const whole = boundaryOf(root, ROOT, this.#hasProc, this.#root.closes)
    const segments = this.pathInStore(path).split('/')
    for (let depth = 0; depth < segments.length; depth++) {
      const above = segments.slice(0, depth).join('/') as ArtifactPath
      try {
        const folder = await locate(whole, diskPath(root, above), operation, path)
        try {
          await askForNames(folder.at, whole.closes)
        } finally {
          folder.release()
        }
      } catch (error) {
        // The lookup that follows says what is wrong, in its own words.
        if (isMissing(error) || isAppError(error) || isDenied(error) || isStale(error)) return
        throw localError(error, operation, path)
      }
    }
  }

  #boundaryIn(root: RootFolder): Boundary {
    if (this.#boundary?.root !== root)
      this.#boundary = boundaryOf(root, this.#folder, this.#hasProc, this.#root.closes)
    return this.#boundary
  }

  async #attempt<T>(
    boundary: Boundary,
    path: ArtifactPath,
    operation: StoreOperation,
    work: (located: Located, boundary: Boundary) => Promise<T> | T,
  ): Promise<T> {
    const target = diskPath(boundary.root, this.pathInStore(path))
    for (let attempt = 1; ; attempt++) {
      try {
        const located = await locate(boundary, target, operation, path)
        try {
          return await work(located, boundary)
        } finally {
          located.release()
        }
      } catch (error) {
        // Writers replace a file in one step, so there is one to be found.
        if (!(error instanceof Replaced) || attempt === MAX_REPLACED) throw localError(error, operation, path)
      }
    }
  }
}

/** Whether this may be of the folder that the root's mount hid: the mount is gone then, unless a part of that other file system is mounted in the root. */
function seemsBelowMount({ stats, realBytes }: Located, { root, hasProc }: Boundary): boolean {
  return stats.dev === root.deviceBelow && !(hasProc && root.mounts.have(realBytes))
}

/**
 * By the configured path, so that a root behind a link that was pointed elsewhere is found there. The slash at the end of the root's own makes an automount point mount
 * (path_resolution(7)): opened without it, it would be an empty folder.
 */
function diskPath({ path: root }: RootFolder, path: ArtifactPath): string {
  return root.endsWith('/') ? `${root}${path}` : `${root}/${path}`
}
