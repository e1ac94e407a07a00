// All requests that are being answered, and what came of each when its response has closed.
import type { IncomingMessage, ServerResponse } from 'node:http'
import { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import type { AppError, ErrorKind } from '../errors.ts'
import { levelOf } from './access-log.ts'
import { callerNameOf } from './caller.ts'
import { breakOff, Exchange, exchangeOf, type Subject } from './exchange.ts'
import { problemOf, sendProblem, toAppError, type Unparsed } from './problem.ts'

/**
 * How a request ended: `done`, as the client wished; `refused`, by an answer that says what is wrong with it, or that it is one too many; `aborted` by the client, who left; `store`, because a
 * store could not do its part; `broken`, because we could not do ours.
 */
export const OUTCOMES = ['done', 'refused', 'aborted', 'store', 'broken'] as const
export type Outcome = (typeof OUTCOMES)[number]

export interface Ended {
  readonly requestId: string
  readonly traceId?: string | undefined
  readonly spanId?: string | undefined
  readonly caller: string
  readonly address: string | undefined
  /** Undefined, with the URL, for what was no request. */
  readonly method?: string | undefined
  readonly url?: string | undefined
  readonly subject: Subject
  /** Undefined where no answer was begun. */
  readonly status: number | undefined
  readonly outcome: Outcome
  readonly failure: AppError | undefined
  /** On the connection, heads and framing included. */
  readonly sentBytes: number
  readonly receivedBytes: number
  /** Until the head of the answer was sent. */
  readonly firstByteMs: number | undefined
  readonly storeMs: number
  readonly durationMs: number
}

export type OnEnded = (ended: Ended) => void

/** What has gone over a connection with the requests before. */
interface Connection {
  sentBytes: number
  receivedBytes: number
  /** The last one that began on it. */
  exchange: Exchange | undefined
}

export class Exchanges {
  readonly #onEnded: OnEnded
  readonly #connections = new WeakMap<Duplex, Connection>()
  #inProgress = 0
  #isCut = false

  constructor(onEnded: OnEnded) {
    this.#onEnded = onEnded
  }

  get inProgress(): number {
    return this.#inProgress
  }

  /** From here on a connection that closes too early was closed by us. */
  cut(): void {
    this.#isCut = true
  }

  begin(request: IncomingMessage, response: ServerResponse): Exchange {
    const connection = this.#connectionOf(request.socket)
    // Node begins the next request that was pipelined before it says that the last response has closed.
    if (connection.exchange !== undefined) this.#end(connection.exchange)
    const exchange = new Exchange(request, response, answerFailure)
    connection.exchange = exchange
    this.#inProgress++
    response.on('close', () => this.#end(exchange))
    return exchange
  }

  /** What a client was told that sent something else than a request. */
  refused({ status, requestId, of }: Unparsed, socket: Duplex): void {
    const exchange = of && exchangeOf(of)
    if (exchange !== undefined) {
      exchange.refusedStatus = status
      return
    }
    this.#onEnded({
      requestId,
      caller: 'anonymous',
      address: socket instanceof Socket ? socket.remoteAddress : undefined,
      subject: { route: 'unparsed' },
      status,
      outcome: 'refused',
      failure: undefined,
      ...this.#bytesSince(socket),
      firstByteMs: undefined,
      storeMs: 0,
      durationMs: 0,
    })
  }

  #end(exchange: Exchange): void {
    if (exchange.isEnded) return
    exchange.isEnded = true
    this.#inProgress--
    const { request, response, beganMs, headMs, requestId, trace, address, subject, failure } = exchange
    const status = exchange.refusedStatus ?? (response.headersSent ? response.statusCode : undefined)
    this.#onEnded({
      requestId,
      traceId: trace?.traceId,
      spanId: trace?.spanId,
      caller: callerNameOf(request),
      address,
      method: request.method,
      // Express cuts the mount point off `url` for a while.
      url: (request as { originalUrl?: string }).originalUrl ?? request.url,
      subject,
      status,
      outcome: this.#outcomeOf(exchange, status),
      failure,
      ...this.#bytesSince(request.socket),
      firstByteMs: headMs === undefined ? undefined : headMs - beganMs,
      storeMs: exchange.storeClock.elapsedMs,
      durationMs: performance.now() - beganMs,
    })
  }

  #outcomeOf({ response, failure, refusedStatus }: Exchange, status: number | undefined): Outcome {
    const isWhole = response.writableFinished || refusedStatus !== undefined
    if (isWhole && (status ?? 0) < 400) {
      // A list that says at its end that it is not whole was begun with 200.
      const isOurs = failure !== undefined && levelOf(failure) !== 'debug'
      return isOurs ? outcomeOfFailure(failure.kind) : 'done'
    }
    if (isWhole && (status ?? 0) < 500) return 'refused'
    if (failure !== undefined && failure.kind !== 'Aborted') return outcomeOfFailure(failure.kind)
    // What is not ready says so with 503, and has not failed.
    if (isWhole) return failure === undefined ? 'done' : 'broken'
    return this.#isCut ? 'broken' : 'aborted'
  }

  #connectionOf(socket: Duplex): Connection {
    let connection = this.#connections.get(socket)
    if (connection === undefined) {
      connection = { sentBytes: 0, receivedBytes: 0, exchange: undefined }
      this.#connections.set(socket, connection)
    }
    return connection
  }

  /** Since the end of the request before on the connection. What is read ahead of the next request counts for this one, so that nothing counts twice. */
  #bytesSince(socket: Duplex): { readonly sentBytes: number; readonly receivedBytes: number } {
    if (!(socket instanceof Socket)) return { sentBytes: 0, receivedBytes: 0 }
    const connection = this.#connectionOf(socket)
    const { bytesWritten, bytesRead } = socket
    const since = {
      sentBytes: bytesWritten - connection.sentBytes,
      receivedBytes: bytesRead - connection.receivedBytes,
    }
    connection.sentBytes = bytesWritten
    connection.receivedBytes = bytesRead
    return since
  }
}

/** Failures after which an answer that had begun was broken off, or that were answered with 5xx. */
const OF_STORES: ReadonlySet<ErrorKind> = new Set(['Unavailable', 'NoSpace', 'Changed', 'NotFound'])
const OF_LIMITS: ReadonlySet<ErrorKind> = new Set(['RateLimited', 'TooLarge', 'TimedOut'])

function outcomeOfFailure(kind: ErrorKind): Outcome {
  if (OF_STORES.has(kind)) return 'store'
  return OF_LIMITS.has(kind) ? 'refused' : 'broken'
}

/**
 * For the `writeHead` of every response: notes when the head is sent, and says in it what had been spent until then, and how much of that on the stores (`Server-Timing`,
 * https://www.w3.org/TR/server-timing/).
 */
export function sayTimes(response: ServerResponse): void {
  const exchange = exchangeOf(response)
  if (exchange === undefined || response.headersSent) return
  exchange.headMs = performance.now()
  const totalMs = exchange.headMs - exchange.beganMs
  const storeMs = Math.min(totalMs, exchange.storeClock.elapsedMs)
  response.setHeader('Server-Timing', `store;dur=${tenths(storeMs)}, total;dur=${tenths(totalMs)}`)
}

function tenths(ms: number): number {
  return Math.round(ms * 10) / 10
}

/** The answer to a request whose work nobody can say anything about any more. */
function answerFailure(exchange: Exchange, error: unknown): void {
  const { request, response, requestId } = exchange
  const failure = toAppError(error)
  exchange.failure = failure
  if (response.headersSent || response.destroyed) breakOff(response)
  else sendProblem(request, response, problemOf(failure, requestId))
}
