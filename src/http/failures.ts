// What becomes of failures: a line of the log, and an answer where that is still possible.
import type { ErrorRequestHandler, Request, Response } from 'express'
import type { IncomingMessage } from 'node:http'
import type { Logger } from 'pino'
import type { AppError } from '../errors.ts'
import { requestIdOf } from './exchange.ts'
import { problemOf, sendProblem, toAppError } from './problem.ts'
import type { Problem } from './problem.ts'

/** Answers with a failure, in the form that the clients of some URLs expect. */
export type SendFailure = (request: Request, response: Response, problem: Problem) => void

/** Makes a failure known to operators. */
export type Report = (error: AppError, request: IncomingMessage, requestId: string) => void

/** The last middleware: every failure becomes a problem, or what `formOf` has for its URL, or, once bytes were sent, a broken connection. */
export function failures(
  report: Report,
  formOf: (request: Request) => SendFailure | undefined,
): ErrorRequestHandler {
  return (thrown: unknown, request, response, _next) => {
    const error = toAppError(thrown)
    const id = requestIdOf(request, response)
    report(error, request, id)
    if (response.headersSent || response.destroyed) response.destroy()
    else (formOf(request) ?? sendProblem)(request, response, problemOf(error, id))
  }
}

export function logFailure(
  logger: Logger,
  error: AppError,
  request: IncomingMessage,
  requestId: string,
): void {
  logger[levelOf(error)](
    {
      requestId,
      method: request.method,
      url: request.url,
      kind: error.kind,
      op: error.op,
      path: error.path,
      trouble: error.trouble,
      limit: error.limit,
      err: error.cause,
    },
    error.message,
  )
}

/** An error is what somebody has to mend; a warning, what may pass; the rest is the client's. */
function levelOf({ kind, temporary }: AppError): 'debug' | 'warn' | 'error' {
  if (kind === 'Internal') return 'error'
  if (kind === 'Unavailable') return temporary ? 'warn' : 'error'
  return kind === 'RateLimited' ? 'warn' : 'debug'
}
