// The part of a local store that one view may reach: its root, or a folder in it.
import type { CallBudget } from './local-batch.ts'
import { localError } from './local-errors.ts'
import { isAppError } from '../errors.ts'
import { boundaryOf, locate, type Boundary, type Located } from './local-locate.ts'
import { storeError, type StoreOperation } from './failure.ts'
import type { LocalRoot, Reader, RootFolder } from './local-root.ts'
import { ROOT, joinPath, type ArtifactPath } from './path.ts'

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
  #boundary: Boundary

  constructor(root: LocalRoot, folder: ArtifactPath, hasProc: boolean) {
    this.#root = root
    this.#folder = folder
    this.#hasProc = hasProc
    this.#boundary = boundaryOf(root.current, folder, hasProc)
  }

  get reader(): Reader {
    return this.#root.reader
  }

  within(folder: ArtifactPath): LocalScope {
    return new LocalScope(this.#root, joinPath(this.#folder, folder), this.#hasProc)
  }

  /**
   * Finds what is at `path` and hands it to `work`, which must be done with it when its promise settles.
   *
   * System calls that fail in `work` become AppErrors of `path`. When nothing is found, or a file for a folder, the root is looked at: if it is gone the store is
   * Unavailable, and if it was replaced meanwhile the path is looked up once more.
   */
  async at<T>(
    path: ArtifactPath,
    operation: StoreOperation,
    work: (located: Located, boundary: Boundary) => Promise<T> | T,
  ): Promise<T> {
    const boundary = this.#boundaryIn(this.#root.current)
    try {
      return await this.#attempt(boundary, path, operation, work)
    } catch (error) {
      if (!isAppError(error, 'NotFound', 'NotDirectory')) throw error
      const root = await this.#root.refresh(operation)
      if (root === boundary.root) throw error
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

  #boundaryIn(root: RootFolder): Boundary {
    if (this.#boundary.root !== root) this.#boundary = boundaryOf(root, this.#folder, this.#hasProc)
    return this.#boundary
  }

  async #attempt<T>(
    boundary: Boundary,
    path: ArtifactPath,
    operation: StoreOperation,
    work: (located: Located, boundary: Boundary) => Promise<T> | T,
  ): Promise<T> {
    try {
      const located = await locate(
        boundary,
        diskPath(boundary, joinPath(this.#folder, path)),
        operation,
        path,
      )
      try {
        return await work(located, boundary)
      } finally {
        located.release()
      }
    } catch (error) {
      throw localError(error, operation, path)
    }
  }
}

/** By the configured path, so that a root behind a link that was pointed elsewhere is found there. */
function diskPath(boundary: Boundary, path: ArtifactPath): string {
  const { path: root } = boundary.root
  if (path === ROOT) return root
  return root.endsWith('/') ? `${root}${path}` : `${root}/${path}`
}
