// What belongs to one request besides its message: an id, its place in a trace, what is learnt of it on its way, and the end of its transfer.
import { randomUUID } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { AppError } from '../errors.ts'
import { Stopwatch, type RequestContext } from '../request-context.ts'
import { clientAddress } from './peer.ts'
import { traceContextOf, type TraceContext } from './trace-context.ts'

const EXCHANGE = Symbol('exchange')
const ACCEPTABLE_ID = /^[\w.:-]{1,128}$/

type WithExchange = ServerResponse & { [EXCHANGE]?: Exchange }

/** What the request turned out to be about, as far as somebody has found out. */
export interface Subject {
  /** The path of the API description that it belongs to, so that there are not many. */
  route?: string
  /** What kind of answer it gets. */
  answer?: AnswerKind
  connection?: string
  /** Of an archive or a listing: files and folders. */
  entries?: number
  /** Of an archive: bytes of its members. */
  contentBytes?: number
}

export const ANSWER_KINDS = [
  'archive',
  'checksums',
  'document',
  'events',
  'file',
  'health',
  'listing',
  'logs',
  'preflight',
  'redirect',
  'removal',
  'resumable',
  'transfer',
  'unpack',
  'upload',
] as const

export type AnswerKind = (typeof ANSWER_KINDS)[number]

export class Exchange implements RequestContext {
  readonly request: IncomingMessage
  readonly response: ServerResponse
  readonly requestId: string
  readonly beganMs = performance.now()
  readonly storeClock = new Stopwatch()
  readonly subject: Subject = {}
  /** Of the client; undefined where the connection was gone already. */
  address: string | undefined
  /** When the head of the answer was given to the connection; undefined where it was not. */
  headMs: number | undefined
  /** The status of an answer that was given on the connection itself. */
  refusedStatus: number | undefined
  /** The failure that it ended with, or the one that matters most. */
  failure: AppError | undefined
  /** Whether `fail` has given the answer, in which nobody may meddle any more. */
  hasFailed = false
  isEnded = false
  readonly #onFail: (exchange: Exchange, error: unknown) => void
  #trace: TraceContext | undefined

  constructor(
    request: IncomingMessage,
    response: ServerResponse,
    onFail: (exchange: Exchange, error: unknown) => void,
  ) {
    this.request = request
    this.response = response
    this.requestId = idFrom(request)
    this.address = clientAddress(request) || undefined
    if (request.headers.traceparent !== undefined) this.#trace = traceContextOf(request.headers)
    this.#onFail = onFail
    ;(response as WithExchange)[EXCHANGE] = this
    response.setHeader('X-Request-Id', this.requestId)
  }

  /** Of a request that names a trace, or on behalf of which others are asked; undefined for one that nobody else has anything to do with. */
  get trace(): TraceContext | undefined {
    return this.#trace
  }

  get traceparent(): string {
    return this.#traced.traceparent
  }

  get tracestate(): string | undefined {
    return this.#traced.tracestate
  }

  get #traced(): TraceContext {
    return (this.#trace ??= traceContextOf(this.request.headers))
  }

  fail(error: unknown): void {
    if (this.hasFailed || this.isEnded) return
    this.hasFailed = true
    this.#onFail(this, error)
  }
}

export function exchangeOf(response: ServerResponse): Exchange | undefined {
  return (response as WithExchange)[EXCHANGE]
}

/** Notes what has been found out about the request of `response`. What was noted before stays where nothing else is said. */
export function describe(response: ServerResponse, subject: Subject): void {
  const exchange = exchangeOf(response)
  if (exchange !== undefined) Object.assign(exchange.subject, subject)
}

/** The id that a proxy gave in `X-Request-Id`, else a new one; the response carries it too. */
export function requestIdOf(response: ServerResponse): string {
  return exchangeOf(response)?.requestId ?? ''
}

function idFrom({ headers }: IncomingMessage): string {
  const given = headers['x-request-id']
  return typeof given === 'string' && ACCEPTABLE_ID.test(given) ? given : randomUUID()
}

const transfers = new WeakMap<ServerResponse, AbortController>()

/** A signal that aborts when the connection closes before the response was finished. */
export function transferSignal(response: ServerResponse): AbortSignal {
  const controller = new AbortController()
  const stop = (): void => {
    if (!response.writableFinished)
      controller.abort(new AppError('Aborted', 'The client closed the connection.'))
  }
  transfers.set(response, controller)
  if (response.destroyed) stop()
  else response.once('close', stop)
  return controller.signal
}

/**
 * Ends the connection at once; with `reason`, that is what ends the transfer.
 *
 * By a reset, not an orderly close: to a client without a length (HTTP/1.0) a close would look like the end of the body.
 */
export function breakOff(response: ServerResponse, reason?: AppError): void {
  if (reason !== undefined) transfers.get(response)?.abort(reason)
  // An answer that says that the request has failed already stays.
  if (exchangeOf(response)?.hasFailed === true && response.writableEnded) return
  const { socket } = response
  if (socket === null) response.destroy()
  else socket.resetAndDestroy()
}
