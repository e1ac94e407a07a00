// The log of a run of Polyaxon 0.x: /api/v1/{user}/{project}/{kind}/{id}/logs.
import { AppError, isAppError } from '../../errors.ts'
import type { RunLogs } from '../../runs/run-logs.ts'
import { renamed } from '../../store/failure.ts'
import { ROOT } from '../../store/path.ts'
import { answerFile } from '../routes/file.ts'
import type { PolyaxonAsked } from './asked.ts'
import { Refusal } from './refusal.ts'

const NOT_CONFIGURED =
  'No store of logs is configured: set persistence.logs, or POLYAXON_PERSISTENCE_LOGS, to the one of the Helm values of Polyaxon.'

/** Its name has no extension, and is that of the run. */
const MEDIA_TYPE = 'text/plain; charset=utf-8'

/**
 * The file as polyaxon/polyaxon 0.6.1 streams it (polyaxon/api/utils/files.py, `stream_file`): to be saved, under its own name. The media type there is Django's, HTML, for want of
 * an extension; text is what it is.
 */
export async function answerRunLog(asked: PolyaxonAsked): Promise<void> {
  const { dependencies, parameters, reference } = asked
  const { logs } = dependencies
  // The gate was asked about the run there: who may not read it in one store must not get its log by naming another.
  if (parameters.text('connection') !== undefined)
    throw new AppError('InvalidArgument', 'Logs are in a store of their own: leave connection out.', {
      op: 'parse',
    })
  if (logs === undefined) throw refusal(NOT_CONFIGURED)
  try {
    const { run, path } = await found(logs, asked)
    await answerFile(asked, run, path, 'attachment', MEDIA_TYPE)
  } catch (error) {
    if (!isAppError(error, 'NotFound', 'IsDirectory') || asked.response.headersSent) throw error
    const kind = reference.kind.slice(0, -1)
    throw refusal(`${kind.charAt(0).toUpperCase()}${kind.slice(1)} has no logs.`, error)
  }
}

/** Looking for it can fail anywhere in the store; where that was concerns operators only. */
async function found(
  logs: RunLogs,
  { reference, signal }: PolyaxonAsked,
): Promise<Awaited<ReturnType<RunLogs['find']>>> {
  try {
    return await logs.find(reference, signal)
  } catch (error) {
    throw isAppError(error) && error.kind !== 'NotFound' ? renamed(error, ROOT) : error
  }
}

function refusal(detail: string, cause?: AppError): Refusal {
  return new Refusal(cause ?? new AppError('NotFound', detail, { op: 'resolve' }), 'NotFound', { detail })
}
