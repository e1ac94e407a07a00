// Which part of a folder goes into an archive.
import { AppError, isAppError } from '../errors.ts'
import { compareUtf8, joinPath, parentOf, ROOT, type ArtifactPath } from '../store/path.ts'
import type { ArtifactStore, Entry } from '../store/store.ts'
import { compileGlob, type Glob } from './glob.ts'

/** Everything when it says nothing. All paths and patterns are relative to the folder. */
export interface Selection {
  /** Files, and folders with all that is in them. Each must exist; one that lies in another changes nothing. */
  readonly paths?: readonly ArtifactPath[]
  /** Only what matches: files, and empty folders. A folder that matches does not bring its content: that is `folder/**`. */
  readonly glob?: string
  /** Not what matches one of these; a folder that does is left out with all that is in it. */
  readonly exclude?: readonly string[]
}

/** A file or folder to begin a walk at, with its path relative to the selection's folder. */
export interface SelectionRoot {
  readonly path: ArtifactPath
  /** Undefined for the selection's folder itself. */
  readonly entry: Entry | undefined
}

const STATS_AT_ONCE = 16

export class SelectionFilter {
  readonly #glob: Glob | undefined
  readonly #exclude: readonly Glob[]
  readonly #paths: readonly ArtifactPath[]

  /** Fails with InvalidArgument for a malformed pattern. */
  constructor(selection: Selection) {
    this.#glob = selection.glob === undefined ? undefined : compileGlob(selection.glob)
    this.#exclude = (selection.exclude ?? []).map(compileGlob)
    this.#paths = selection.paths ?? []
  }

  includes(path: ArtifactPath): boolean {
    return this.#glob === undefined || this.#glob(path)
  }

  /** Whether this path is left out itself; its parents are not looked at. */
  excludes(path: ArtifactPath): boolean {
    return this.#exclude.some(pattern => pattern(path))
  }

  /** Where the walk begins, in the order of the store's lists, none inside another. Fails with NotFound for a path that is not there. */
  async roots(store: ArtifactStore, folder: ArtifactPath, signal: AbortSignal): Promise<SelectionRoot[]> {
    if (this.#paths.length > 0) {
      const roots = await statAll(store, folder, this.#paths, signal)
      const chosen = new Set(this.#paths)
      return roots
        .filter(root => !properParents(root.path).some(parent => chosen.has(parent)))
        .filter(root => ![root.path, ...properParents(root.path)].some(path => this.excludes(path)))
        .sort((a, b) => compareUtf8(rootKey(a), rootKey(b)))
    }
    const base = (this.#glob?.base ?? '') as ArtifactPath
    if ([base, ...properParents(base)].some(path => path !== ROOT && this.excludes(path))) return []
    try {
      return await statAll(store, folder, [base], signal)
    } catch (error) {
      // A pattern for what is not there matches nothing; only a path must exist.
      if (base !== ROOT && isAppError(error, 'NotFound', 'InvalidPath')) return []
      throw error
    }
  }
}

async function statAll(
  store: ArtifactStore,
  folder: ArtifactPath,
  paths: readonly ArtifactPath[],
  signal: AbortSignal,
): Promise<SelectionRoot[]> {
  const unique = [...new Set(paths)]
  const roots: SelectionRoot[] = []
  for (let i = 0; i < unique.length; i += STATS_AT_ONCE)
    roots.push(
      ...(await Promise.all(
        unique.slice(i, i + STATS_AT_ONCE).map(path => statRoot(store, folder, path, signal)),
      )),
    )
  return roots
}

async function statRoot(
  store: ArtifactStore,
  folder: ArtifactPath,
  path: ArtifactPath,
  signal: AbortSignal,
): Promise<SelectionRoot> {
  if (path === ROOT) return { path, entry: undefined }
  try {
    return { path, entry: await store.stat(joinPath(folder, path), { signal }) }
  } catch (error) {
    if (!isAppError(error, 'NotFound')) throw error
    throw new AppError('NotFound', `There is no '${path}' in this folder.`, {
      op: 'archive',
      path: joinPath(folder, path),
      cause: error,
    })
  }
}

/** All folders that `path` lies in, the root among them; none for the root. */
function properParents(path: ArtifactPath): ArtifactPath[] {
  const parents: ArtifactPath[] = []
  for (let at = path; at !== ROOT;) parents.push((at = parentOf(at)))
  return parents
}

function rootKey(root: SelectionRoot): string {
  return root.entry?.type === 'directory' ? `${root.path}/` : root.path
}
