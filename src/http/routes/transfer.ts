// A file under another path of its run: copied, or moved.
import { AppError } from '../../errors.ts'
import type { Run } from '../../runs/runs.ts'
import { parsePath, ROOT } from '../../store/path.ts'
import type { ArtifactPath } from '../../store/path.ts'
import { copyFile, moveFile } from '../../store/transfer.ts'
import { beginChange } from '../body.ts'
import { checkConditions } from '../change-conditions.ts'
import { asConflict } from '../changes.ts'
import { describe } from '../exchange.ts'
import { hrefOf } from '../listing-view.ts'
import type { Asked, ArtifactTarget } from './outputs.ts'
import { answerWritten } from './upload.ts'

/** POST with `copyTo` or `moveTo`. The preconditions are about what is at the new path. */
export async function answerTransfer(asked: Asked, run: Run, target: ArtifactTarget): Promise<void> {
  const { request, response, query, signal } = asked
  describe(response, { answer: 'transfer' })
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
  const options = { signal, ...(precondition && { precondition }) }
  beginChange(response)
  try {
    const place = { store, path: to }
    const entry = await (query.moveTo === undefined
      ? copyFile(store, from, place, options)
      : moveFile(store, source, place, options))
    response.setHeader('Location', locationOf(target, to, query.connection))
    answerWritten(response, entry, exists)
  } catch (error) {
    throw asConflict(error)
  }
}

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

/** Relative to the URL of the request, so that neither a host nor a prefix matters. */
function locationOf({ depth }: ArtifactTarget, to: ArtifactPath, connection: string | undefined): string {
  const query = connection === undefined ? '' : `?${new URLSearchParams({ connection }).toString()}`
  return `${'../'.repeat(depth) || './'}${hrefOf(to)}${query}`
}

function refused(message: string): AppError {
  return new AppError('InvalidArgument', message, { op: 'copy' })
}
