// What becomes of failures: a place in the log, and an answer where that is still possible.
import type { ErrorRequestHandler, Request, Response } from 'express'
import type { Logger } from 'pino'
import type { AppError } from '../errors.ts'
import { levelOf } from './access-log.ts'
import { exchangeOf, requestIdOf } from './exchange.ts'
import { problemOf, sendProblem, toAppError } from './problem.ts'
import type { Problem } from './problem.ts'
import { withoutSecrets } from './redaction.ts'

/** Answers with a failure, in the form that the clients of some URLs expect. */
export type SendFailure = (request: Request, response: Response, problem: Problem) => void

/** Makes a failure known to operators. */
export type Report = (error: AppError, response: Response) => void

/** The last middleware: every failure becomes a problem, or what `formOf` has for its URL, or, once bytes were sent, a broken connection. */
export function failures(
  report: Report,
  formOf: (request: Request) => SendFailure | undefined,
): ErrorRequestHandler {
  return (thrown: unknown, request, response, _next) => {
    if (exchangeOf(response)?.hasFailed === true) return
    const error = toAppError(thrown)
    report(error, response)
    if (response.headersSent || response.destroyed) response.destroy()
    else (formOf(request) ?? sendProblem)(request, response, problemOf(error, requestIdOf(response)))
  }
}

/**
 * The line of the request says what failed, for whoever operates the service once. The client's own failures have their reasons in lines of their own, for whoever debugs; so has what is
 * found out when the line is written already.
 */
export function noteFailure(logger: Logger, error: AppError, response: Response): void {
  const exchange = exchangeOf(response)
  const level = levelOf(error)
  if (exchange !== undefined && !exchange.isEnded) {
    const { failure } = exchange
    if (failure === undefined || isWorse(error, failure)) {
      exchange.failure = error
      if (failure !== undefined && levelOf(failure) !== 'debug') writeFailure(logger, failure, response)
      if (level !== 'debug') return
    }
  }
  writeFailure(logger, error, response)
}

function writeFailure(logger: Logger, error: AppError, response: Response): void {
  const { kind, op, path, trouble, limit, cause, message } = error
  const subject = { requestId: requestIdOf(response), kind, op, trouble, limit }
  logger[levelOf(error)](
    { ...subject, path: path && withoutSecrets(path), err: cause },
    withoutSecrets(op === 'validate' ? withoutUnknownNames(message) : message),
  )
}

/** A parameter that nobody knows may be a secret that lost its name. */
function withoutUnknownNames(message: string): string {
  return message.replace(/(no query parameter )'.*'(?= here)/s, "$1'***'")
}

function isWorse(error: AppError, than: AppError): boolean {
  const order = ['debug', 'warn', 'error']
  return order.indexOf(levelOf(error)) > order.indexOf(levelOf(than))
}
