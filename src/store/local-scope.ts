// The part of a local store that one view may reach: its root, or a folder in it.
import type { CallBudget } from './local-batch.ts'
import { isDenied, isMissing, isStale, localError } from './local-errors.ts'
import { isAppError } from '../errors.ts'
import {
  askForNames,
  boundaryOf,
  bytesOf,
  locate,
  Replaced,
  type Boundary,
  type Located,
} from './local-locate.ts'
import { storeError, type StoreOperation } from './failure.ts'
import type { Turns } from './local-lock.ts'
import type { LocalRoot, Reader, RootFolder } from './local-root.ts'
import { ROOT, joinPath, type ArtifactPath } from './path.ts'

/** How often a file is looked for that is replaced while it is opened. */
const MAX_REPLACED = 100

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
   * path is looked up once more and `work` begins anew.
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
      if (root === boundary.root && !seen.below) {
        if (isAbsent && !this.#mayBeRemote(root, path)) throw error
        await this.#askForNames(root, path, operation)
      }
      return this.#attempt(this.#boundaryIn(root), path, operation, work)
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
