// The log of requests: one line for each, when its response has closed.
import type { Logger } from 'pino'
import type { AppError } from '../errors.ts'
import type { Ended, OnEnded } from './exchanges.ts'
import { withoutSecrets, type UrlForLog } from './redaction.ts'

/** What balancers and monitoring ask all the time. */
const ROUTINE = new Set(['/healthz', '/readyz', '/metrics'])

/** An error is what somebody has to mend; a warning, what may pass; the rest is the client's. */
export function levelOf({ kind, temporary }: AppError): 'debug' | 'warn' | 'error' {
  if (kind === 'Internal') return 'error'
  if (kind === 'Unavailable') return temporary ? 'warn' : 'error'
  return kind === 'RateLimited' ? 'warn' : 'debug'
}

/**
 * Writes a line for each request: at `info`, routine checks at `debug`, and what failed for reasons that concern an operator, with those reasons, at `warn` or `error`.
 */
export function accessLog(logger: Logger, urlForLog: UrlForLog): OnEnded {
  return ended => {
    const { failure, subject } = ended
    const failed = failure && levelOf(failure)
    const isRoutine = subject.route !== undefined && ROUTINE.has(subject.route)
    const level = failed === 'warn' || failed === 'error' ? failed : isRoutine ? 'debug' : 'info'
    if (!logger.isLevelEnabled(level)) return
    const reasons = level === failed ? reasonsOf(failure!) : undefined
    const message = level === failed ? withoutSecrets(failure!.message) : 'request'
    logger[level]({ ...lineOf(ended, urlForLog), ...reasons }, message)
  }
}

function lineOf(ended: Ended, urlForLog: UrlForLog): object {
  const { requestId, traceId, spanId, caller, address, method, url, subject, status, outcome, failure } =
    ended
  const { route, answer, connection } = subject
  return {
    requestId,
    traceId,
    spanId,
    caller,
    address,
    connection,
    route,
    answer,
    method,
    url: url && urlForLog(url),
    status,
    outcome,
    kind: failure?.kind,
    sentBytes: ended.sentBytes,
    receivedBytes: ended.receivedBytes,
    firstByteMs: ended.firstByteMs && rounded(ended.firstByteMs),
    storeMs: rounded(ended.storeMs),
    durationMs: rounded(ended.durationMs),
  }
}

function reasonsOf({ op, path, trouble, cause }: AppError): object {
  return { op, path: path && withoutSecrets(path), trouble, err: cause }
}

function rounded(ms: number): number {
  return Math.round(ms * 10) / 10
}
