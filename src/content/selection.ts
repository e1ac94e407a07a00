// Which part of a folder goes into an archive.
import { AppError, isAppError } from '../errors.ts'
import { folderAt, mayHoldBoth } from '../store/folder-at.ts'
import { compareUtf8, joinPath, parentOf, ROOT, type ArtifactPath } from '../store/path.ts'
import type { ReadableStore, Entry } from '../store/store.ts'
import { compileGlob, type Glob } from './glob.ts'

/** Everything when it says nothing. All paths and patterns are relative to the folder. */
export interface Selection {
  /**
   * Files, and folders with all that is in them: both where an object store holds both under one name. Each must exist; one that lies in another
   * changes nothing.
   */
  readonly paths?: readonly ArtifactPath[]
  /** What `paths` names and is not there is left out. */
  readonly skipsMissing?: boolean
  /** As `paths`, but only the folders of these names. */
  readonly folders?: readonly ArtifactPath[]
  /** Only what matches: files, and empty folders. A folder that matches does not bring its content: that is `folder/**`. */
  readonly glob?: string
  /** Not what matches one of these; a folder that does is left out with all that is in it. */
  readonly exclude?: readonly string[]
}

/** A file or folder to begin a walk at, with its path relative to the selection's folder. */
export interface SelectionRoot {
  readonly path: ArtifactPath
  /** Undefined for a folder that is not selected itself, and was not looked for: the selection's folder, or the base of its glob. */
  readonly entry: Entry | undefined
}

const LOOKS_AT_ONCE = 16

export class SelectionFilter {
  readonly #glob: Glob | undefined
  readonly #exclude: readonly Glob[]
  readonly #paths: readonly ArtifactPath[]
  readonly #skipsMissing: boolean
  readonly #folders: readonly ArtifactPath[]

  /** Fails with InvalidArgument for a malformed pattern. */
  constructor(selection: Selection) {
    this.#glob = selection.glob === undefined ? undefined : compileGlob(selection.glob)
    this.#exclude = (selection.exclude ?? []).map(compileGlob)
    this.#paths = selection.paths ?? []
    this.#skipsMissing = selection.skipsMissing ?? false
    this.#folders = selection.folders ?? []
  }

  includes(path: ArtifactPath): boolean {
    return this.#glob === undefined || this.#glob(path)
  }

  /** Whether this path is left out itself; its parents are not looked at. */
  excludes(path: ArtifactPath): boolean {
    return this.#exclude.some(pattern => pattern(path))
  }

  /**
   * Where the walk begins, in the order of the store's lists, none inside another. Fails with NotFound for a selected path that is not there; a glob's base
   * need not be.
   */
  async roots(store: ReadableStore, folder: ArtifactPath, signal: AbortSignal): Promise<SelectionRoot[]> {
    const look = { store, folder, signal }
    if (this.#paths.length + this.#folders.length === 0) return this.#globRoots(look)
    const roots = [
      ...(await eachOf(this.#paths, path => this.#entriesAt(path, look))),
      ...(await eachOf(this.#folders, path => required(path, '/', look, foldersAt(path, look)))),
    ]
    const unique = new Map(roots.map(root => [rootKey(root), root]))
    return [...unique.values()]
      .filter(root => !properParents(root.path).some(parent => unique.has(folderKey(parent))))
      .filter(root => !this.#isLeftOut(root.path))
      .sort((a, b) => compareUtf8(rootKey(a), rootKey(b)))
  }

  #entriesAt(path: ArtifactPath, look: Look): Promise<SelectionRoot[]> {
    const roots = entriesAt(path, look)
    return this.#skipsMissing ? roots.catch(noneIfMissing) : required(path, '', look, roots)
  }

  async #globRoots(look: Look): Promise<SelectionRoot[]> {
    const base = (this.#glob?.base ?? '') as ArtifactPath
    if (this.#isLeftOut(base)) return []
    // Nothing but what is in the folder can match, so that it need not be asked for.
    if (base === ROOT || !this.includes(base)) return [{ path: base, entry: undefined }]
    return entriesAt(base, look).catch(noneIfMissing)
  }

  /** Whether the path, or a folder that it lies in, is left out. */
  #isLeftOut(path: ArtifactPath): boolean {
    return [path, ...properParents(path)].some(each => each !== ROOT && this.excludes(each))
  }
}

interface Look {
  readonly store: ReadableStore
  readonly folder: ArtifactPath
  readonly signal: AbortSignal
}

async function eachOf(
  paths: readonly ArtifactPath[],
  look: (path: ArtifactPath) => Promise<SelectionRoot[]>,
): Promise<SelectionRoot[]> {
  const unique = [...new Set(paths)]
  const roots: SelectionRoot[] = []
  for (let i = 0; i < unique.length; i += LOOKS_AT_ONCE)
    roots.push(...(await Promise.all(unique.slice(i, i + LOOKS_AT_ONCE).map(look))).flat())
  return roots
}

/** The file or folder at `path`, or in an object store one of each. */
async function entriesAt(path: ArtifactPath, look: Look): Promise<SelectionRoot[]> {
  if (path === ROOT) return [{ path, entry: undefined }]
  const entry = await look.store.stat(joinPath(look.folder, path), { signal: look.signal })
  if (entry.type === 'directory' || !mayHoldBoth(look.store)) return [{ path, entry }]
  try {
    return [{ path, entry }, ...(await foldersAt(path, look))]
  } catch (error) {
    if (isAppError(error, 'NotFound')) return [{ path, entry }]
    throw error
  }
}

async function foldersAt(path: ArtifactPath, { store, folder, signal }: Look): Promise<SelectionRoot[]> {
  if (path === ROOT) return [{ path, entry: undefined }]
  return [{ path, entry: await folderAt(store, joinPath(folder, path), { signal }) }]
}

function noneIfMissing(error: unknown): SelectionRoot[] {
  if (isAppError(error, 'NotFound', 'InvalidPath')) return []
  throw error
}

/** `roots`, with a message that names what was selected where it is not there. */
async function required(
  path: ArtifactPath,
  slash: '' | '/',
  { folder }: Look,
  roots: Promise<SelectionRoot[]>,
): Promise<SelectionRoot[]> {
  return roots.catch((error: unknown) => {
    if (!isAppError(error, 'NotFound')) throw error
    throw new AppError('NotFound', `There is no '${path}${slash}' in this folder.`, {
      op: 'archive',
      path: joinPath(folder, path),
      cause: error,
    })
  })
}

/** All folders that `path` lies in, the root among them; none for the root. */
function properParents(path: ArtifactPath): ArtifactPath[] {
  const parents: ArtifactPath[] = []
  for (let at = path; at !== ROOT;) parents.push((at = parentOf(at)))
  return parents
}

function rootKey({ path, entry }: SelectionRoot): string {
  return entry?.type === 'file' ? path : folderKey(path)
}

function folderKey(path: ArtifactPath): string {
  return path === ROOT ? ROOT : `${path}/`
}
