// A file at another path, of its own store or of another one: by the store itself where it can, and else read here and written.
import { AppError, isAppError } from '../errors.ts'
import { fill } from './fill.ts'
import { joinPath, ROOT, type ArtifactPath } from './path.ts'
import type { ArtifactStore, ChangeOptions, Entry } from './store.ts'

/** Where a file is to be. */
export interface Place {
  readonly store: ArtifactStore
  /** The folder of the store to which `path` is relative, and out of which nothing leads; its root by default. */
  readonly folder?: ArtifactPath
  readonly path: ArtifactPath
}

/** Makes a copy of the file `from` of `store` at `to`, as a whole or not at all. */
export function copyFile(
  store: ArtifactStore,
  from: ArtifactPath,
  to: Place,
  options: ChangeOptions,
): Promise<Entry> {
  const { folder = ROOT, path } = to
  // By its path alone a store that has links would leave the folder.
  const isPossible = to.store === store && (folder === ROOT || !store.capabilities.links)
  return isPossible && store.copy !== undefined
    ? store.copy(from, joinPath(folder, path), options)
    : copyThrough(store, from, to, options)
}

/** Gives the file `source` of `store` the place `to`. Where the store cannot do it in one step, the file is for a moment at both, never at none. */
export async function moveFile(
  store: ArtifactStore,
  source: Entry,
  to: Place,
  options: ChangeOptions,
): Promise<Entry> {
  const { entry, isLeft } = await placeFile(store, source, to, options)
  if (isLeft) await removeSource(store, source, to.path, options)
  return entry
}

/** Makes the file `source` of `store` the artifact at `to`, in whichever way is the shortest; `isLeft` says whether it still is where it was, too. */
export async function placeFile(
  store: ArtifactStore,
  { path: from }: Entry,
  to: Place,
  options: ChangeOptions,
): Promise<{ readonly entry: Entry; readonly isLeft: boolean }> {
  if (to.store === store && store.move !== undefined)
    try {
      const { folder: into = ROOT, path } = to
      return { entry: await store.move(from, path, { ...options, into }), isLeft: false }
    } catch (error) {
      if (!isAppError(error, 'Unsupported')) throw error
    }
  return { entry: await copyFile(store, from, to, options), isLeft: true }
}

async function removeSource(
  store: ArtifactStore,
  { path, etag }: Entry,
  to: ArtifactPath,
  { signal }: ChangeOptions,
): Promise<void> {
  try {
    await store.remove(path, { precondition: { type: 'etag', etags: [etag] }, ...(signal && { signal }) })
  } catch (error) {
    if (!(error instanceof AppError)) throw error
    throw new AppError(
      error.kind,
      `'${to}' is written, but '${path}' could not be removed and is still there: ${error.message}`,
      { op: 'remove', path, temporary: error.temporary, cause: error },
    )
  }
}

async function copyThrough(
  store: ArtifactStore,
  from: ArtifactPath,
  { store: target, folder = ROOT, path }: Place,
  options: ChangeOptions,
): Promise<Entry> {
  const reading = options.signal === undefined ? {} : { signal: options.signal }
  const artifact = await store.open(from, reading)
  try {
    if (artifact.contentEncoding !== undefined)
      throw new AppError(
        'InvalidArgument',
        `'${from}' was stored with a content coding, which a copy of it would lose.`,
        { op: 'copy' },
      )
    const { size } = artifact.entry
    const view = folder === ROOT ? target : target.scoped(folder)
    return await fill(await view.create(path, { ...options, size }), artifact.read(0, size, reading))
  } finally {
    await artifact.close()
  }
}
