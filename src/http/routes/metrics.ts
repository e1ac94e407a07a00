// What Prometheus asks of the service itself.
import type { Request, RequestHandler, Response } from 'express'
import { AppError } from '../../errors.ts'
import type { RequestSample } from '../../metrics/metrics.ts'
import { transferSignal } from '../exchange.ts'
import type { Ended } from '../exchanges.ts'
import { ANONYMOUS, callerOf, type Gate } from '../gate.ts'

/** The text format of Prometheus. */
export const METRICS_TYPE = 'text/plain; version=0.0.4; charset=utf-8'

export function answerMetrics(gate: Gate, text: () => Promise<string>): RequestHandler {
  return async (request, response) => {
    await admit(gate, request, response)
    const bytes = Buffer.from(await text())
    response.statusCode = 200
    response.setHeader('Content-Type', METRICS_TYPE)
    response.setHeader('Cache-Control', 'no-store')
    response.setHeader('X-Content-Type-Options', 'nosniff')
    response.setHeader('Content-Length', bytes.length)
    response.end(request.method === 'HEAD' ? undefined : bytes)
  }
}

/** They tell how much everybody does, and the names of stores: a right of its own. */
async function admit(gate: Gate, request: Request, response: Response): Promise<void> {
  const { name, seesMetrics } = await callerOf(gate, request, transferSignal(response))
  if (seesMetrics === true) return
  throw name === ANONYMOUS
    ? new AppError('Unauthenticated', 'The metrics are not for everybody: say who you are.', { op: 'admit' })
    : new AppError('PermissionDenied', 'These credentials do not give the right to see the metrics.', {
        op: 'admit',
      })
}

/** A request as the metrics count it. */
export function sampleOf(ended: Ended): RequestSample {
  const { subject, method, status, outcome } = ended
  return {
    route: subject.route ?? 'other',
    answer: subject.answer ?? 'none',
    method: method ?? 'none',
    status,
    outcome,
    sentBytes: ended.sentBytes,
    receivedBytes: ended.receivedBytes,
    firstByteMs: ended.firstByteMs,
    durationMs: ended.durationMs,
    entries: subject.entries,
    contentBytes: subject.contentBytes,
  }
}
