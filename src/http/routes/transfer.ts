// A file under another path of its run: copied, or moved.
import { AppError } from '../../errors.ts'
import type { Run } from '../../runs/runs.ts'
import { parsePath, ROOT } from '../../store/path.ts'
import type { ArtifactPath } from '../../store/path.ts'
import type { ArtifactStore, ChangeOptions, Entry } from '../../store/store.ts'
import { beginChange } from '../body.ts'
import { checkConditions } from '../change-conditions.ts'
import { asConflict } from '../changes.ts'
import { hrefOf } from '../listing-view.ts'
import { receive } from '../receive.ts'
import type { Asked, ArtifactTarget } from './outputs.ts'
import { answerWritten } from './upload.ts'

/** POST with `copyTo` or `moveTo`. The preconditions are about what is at the new path. */
export async function answerTransfer(asked: Asked, run: Run, target: ArtifactTarget): Promise<void> {
  const { request, response, query, signal } = asked
  const { store } = run
  const from = target.path
  const to = newPath(asked, from)
  const source = await store.stat(from, { signal })
  if (source.type === 'directory')
    throw new AppError('IsDirectory', `'${from}' is a folder: only files can be copied and moved.`, {
      op: 'copy',
      path: from,
    })
  const { exists, precondition } = await checkConditions(store, to, request.headers, signal)
  const options: Options = { signal, ...(precondition && { precondition }) }
  beginChange(response)
  try {
    const transfer = query.moveTo === undefined ? copy : move
    const entry = await transfer(store, source, to, options)
    response.setHeader('Location', locationOf(target, to, query.connection))
    answerWritten(response, entry, exists)
  } catch (error) {
    throw asConflict(error)
  }
}

type Options = ChangeOptions & { readonly signal: AbortSignal }

function newPath({ query: { copyTo, moveTo } }: Asked, from: ArtifactPath): ArtifactPath {
  const given = copyTo ?? moveTo
  if (given === undefined || (copyTo !== undefined && moveTo !== undefined))
    throw refused(
      'Say what is to be done with the file: ?copyTo=PATH or ?moveTo=PATH, relative to the run. Content is uploaded by PUT, or by a form to a folder, whose URL ends with a slash.',
    )
  const to = parsePath(given)
  if (to === ROOT) throw refused('The new path is empty.')
  if (to === from) throw refused('The new path is the one that the file has.')
  return to
}

async function copy(
  store: ArtifactStore,
  { path }: Entry,
  to: ArtifactPath,
  options: Options,
): Promise<Entry> {
  return store.copy === undefined ? copyThrough(store, path, to, options) : store.copy(path, to, options)
}

/** Where the store cannot move, the file is for a moment at both paths, never at none. */
async function move(store: ArtifactStore, source: Entry, to: ArtifactPath, options: Options): Promise<Entry> {
  const { path, etag } = source
  if (store.move !== undefined) return store.move(path, to, options)
  const entry = await copy(store, source, to, options)
  try {
    await store.remove(path, { precondition: { type: 'etag', etags: [etag] }, signal: options.signal })
  } catch (error) {
    if (!(error instanceof AppError)) throw error
    throw new AppError(
      error.kind,
      `'${to}' is written, but '${path}' could not be removed and is still there: ${error.message}`,
      { op: 'remove', path, temporary: error.temporary, cause: error },
    )
  }
  return entry
}

async function copyThrough(
  store: ArtifactStore,
  from: ArtifactPath,
  to: ArtifactPath,
  options: Options,
): Promise<Entry> {
  const { signal } = options
  const artifact = await store.open(from, { signal })
  try {
    if (artifact.contentEncoding !== undefined)
      throw refused(`'${from}' was stored with a content coding, which a copy of it would lose.`)
    const { size } = artifact.entry
    const pending = await store.create(to, { ...options, size })
    return await receive(artifact.read(0, size, { signal }), pending, { size, maxBytes: size, signal })
  } finally {
    await artifact.close()
  }
}

/** Relative to the URL of the request, so that neither a host nor a prefix matters. */
function locationOf({ depth }: ArtifactTarget, to: ArtifactPath, connection: string | undefined): string {
  const query = connection === undefined ? '' : `?${new URLSearchParams({ connection }).toString()}`
  return `${'../'.repeat(depth) || './'}${hrefOf(to)}${query}`
}

function refused(message: string): AppError {
  return new AppError('InvalidArgument', message, { op: 'copy' })
}
