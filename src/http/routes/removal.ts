// Deleting: a file, a folder with everything in it, or a list of both.
import { AppError, isAppError } from '../../errors.ts'
import type { Run } from '../../runs/runs.ts'
import { joinPath, parsePath, ROOT } from '../../store/path.ts'
import type { ArtifactPath } from '../../store/path.ts'
import type { ArtifactStore, ChangeOptions, RemovalFailure } from '../../store/store.ts'
import { beginChange } from '../body.ts'
import { checkOnFolder, conditionsAt, conditionFailed, hasConditions } from '../change-conditions.ts'
import { describe } from '../exchange.ts'
import { PartlyRemoved } from '../partly-removed.ts'
import { bodyOf } from '../validate.ts'
import { sendJson } from './operations.ts'
import type { Asked, ArtifactTarget } from './outputs.ts'

/** Paths in one list: what is removed and what is not fits into one answer. */
const MAX_LISTED = 10_000
/** Removals of a list under way at once. */
const AT_ONCE = 16

/** DELETE. A folder goes only where `recursive` says so; the run as a whole only by its own URL. */
export async function answerRemoval(asked: Asked, run: Run, target: ArtifactTarget): Promise<void> {
  describe(asked.response, { answer: 'removal' })
  const { path } = target
  if (path === ROOT && !target.isRun)
    throw refused('This is no way to name a run: to delete all of it, end its URL with its id and one slash.')
  beginChange(asked.response)
  if (target.slash) await removeFolder(asked, run.store, path)
  else await removeFile(asked, run.store, path)
  asked.response.statusCode = 204
  asked.response.setHeader('Cache-Control', 'no-store')
  asked.response.end()
}

async function removeFile(asked: Asked, store: ArtifactStore, path: ArtifactPath): Promise<void> {
  try {
    await store.remove(path, await optionsFor(asked, store, path))
  } catch (error) {
    if (!isAppError(error, 'IsDirectory')) throw error
    await removeFolder(asked, store, path)
  }
}

/** Conditions say nothing of what is not there (RFC 9110 13.2.1), which is for the store to find out; but they hold for what may come meanwhile. */
async function optionsFor(asked: Asked, store: ArtifactStore, path: ArtifactPath): Promise<ChangeOptions> {
  const { request, signal } = asked
  if (!hasConditions(request.headers)) return { signal }
  const { exists, precondition } = await conditionsAt(store, path, request.headers, signal)
  if (precondition !== 'failed') return { signal, ...(precondition && { precondition }) }
  if (exists) throw conditionFailed(path)
  return { signal, precondition: { type: 'etag', etags: [] } }
}

async function removeFolder(
  { request, query, signal }: Asked,
  store: ArtifactStore,
  path: ArtifactPath,
): Promise<void> {
  if (query.recursive !== true) throw needsRecursive(path)
  checkOnFolder(request.headers, path)
  const removal = await store.removeAll(path, { signal })
  if (removal.failures.length > 0) throw new PartlyRemoved(removal)
}

interface Listed {
  /** As the client wrote it. */
  readonly name: string
  readonly path: ArtifactPath
  readonly isFolder: boolean
}

/** POST with `delete`: each path by itself, so that one that fails keeps none of the others. */
export async function answerRemovals(asked: Asked, run: Run, folder: ArtifactPath): Promise<void> {
  const { request, response, signal } = asked
  describe(response, { answer: 'removal' })
  checkOnFolder(request.headers, folder)
  const all = await listedIn(asked, folder)
  const failed = new Map<Listed, readonly RemovalFailure[]>()
  let removed = 0
  const removeOne = async (listed: Listed): Promise<void> => {
    const done = await removalOf(run.store, listed, signal)
    removed += done.removed
    if (done.failures.length > 0) failed.set(listed, done.failures)
  }
  // A file in one of the folders is there only before them.
  await each(
    all.filter(({ isFolder }) => !isFolder),
    removeOne,
  )
  await each(
    all.filter(({ isFolder }) => isFolder),
    removeOne,
  )
  const failures = all.flatMap(listed =>
    (failed.get(listed) ?? []).map(({ path, error }) => ({
      ...asked.dependencies.problemFor(error, response),
      path: path === listed.path ? listed.name : path.slice(folder === ROOT ? 0 : folder.length + 1),
    })),
  )
  sendJson(response, 200, { removed, failures })
}

async function removalOf(
  store: ArtifactStore,
  { path, isFolder }: Listed,
  signal: AbortSignal,
): Promise<{ readonly removed: number; readonly failures: readonly RemovalFailure[] }> {
  try {
    if (isFolder) return await store.removeAll(path, { signal })
    await store.remove(path, { signal })
    return { removed: 1, failures: [] }
  } catch (error) {
    // Nobody is left to be told what came of the rest.
    if (signal.aborted || !(error instanceof AppError)) throw error
    return { removed: 0, failures: [{ path, error }] }
  }
}

/** What the body lists, each once, checked before anything is removed. */
async function listedIn(
  { request, response, query }: Asked,
  folder: ArtifactPath,
): Promise<readonly Listed[]> {
  const body = await bodyOf(request, response)
  if (body.glob !== undefined || body.exclude !== undefined)
    throw refused('What is to be deleted is named path by path: leave out glob and exclude.')
  const names = new Set('paths' in body ? body.paths : body.path)
  if (names.size > MAX_LISTED)
    throw new AppError('TooLarge', `One list may have ${MAX_LISTED} paths; this one has ${names.size}.`, {
      op: 'remove',
    })
  return [...names].map(name => {
    const isFolder = name.endsWith('/')
    const path = parsePath(isFolder ? name.slice(0, -1) : name)
    if (path === ROOT) throw refused(`'${name}' names nothing in the folder.`)
    if (isFolder && query.recursive !== true) throw needsRecursive(path)
    return { name, path: joinPath(folder, path), isFolder }
  })
}

async function each<T>(items: readonly T[], work: (item: T) => Promise<void>): Promise<void> {
  const left = items.values()
  const worker = async (): Promise<void> => {
    for (const item of left) await work(item)
  }
  await Promise.all(Array.from({ length: Math.min(AT_ONCE, items.length) }, worker))
}

function needsRecursive(path: ArtifactPath): AppError {
  return new AppError(
    'IsDirectory',
    'This is a folder: deleting it takes everything in it along. Say that with ?recursive=true.',
    { op: 'remove', path },
  )
}

function refused(message: string): AppError {
  return new AppError('InvalidArgument', message, { op: 'remove' })
}
