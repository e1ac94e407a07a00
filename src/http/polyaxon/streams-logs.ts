// The logs of a run.
import { parseLogTime, type LogTime } from '../../content/log-time.ts'
import { runLogs, type LogsQuery } from '../../content/run-logs.ts'
import { AppError, isAppError } from '../../errors.ts'
import { describe } from '../exchange.ts'
import { untilUnchanged } from '../routes/representation.ts'
import { sendJsonText } from './answers.ts'
import { runOf, type PolyaxonAsked } from './asked.ts'

/**
 * GET logs. A run that is not there yet has none: clients begin to watch before it has written anything. The parameter `kind` says nothing about files, and `force` is
 * about a cache, which is not here.
 */
export async function answerLogs(asked: PolyaxonAsked): Promise<void> {
  const { request, parameters, response, signal, dependencies } = asked
  describe(response, { answer: 'logs' })
  const query = { lastTime: lastTimeOf(parameters.text('last_time')), lastFile: parameters.text('last_file') }
  dependencies.limits.logs.take(request, response)
  try {
    await untilUnchanged(asked, async () => {
      const { store } = await runOf(asked)
      await sendJsonText(asked, runLogs(store, query, signal))
    })
  } catch (error) {
    if (!isAppError(error, 'NotFound') || response.headersSent || response.destroyed) throw error
    await sendJsonText(asked, noLogs(query))
  }
}

function lastTimeOf(text: string | undefined): LogTime | undefined {
  if (text === undefined || text === '') return undefined
  const time = parseLogTime(text)
  if (time === undefined)
    throw new AppError(
      'InvalidArgument',
      "The query parameter 'last_time' must be a time as in ISO 8601, such as the 'last_time' of an answer.",
      { op: 'parse' },
    )
  return time
}

function noLogs({ lastTime }: LogsQuery): string {
  return JSON.stringify({ logs: [], last_time: lastTime?.text ?? null, last_file: null, files: [] })
}
