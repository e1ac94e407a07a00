// The service that is asked who may do what: one question over HTTP, and its answer, which is good for a while.
import { createHash } from 'node:crypto'
import http, { type IncomingMessage, type RequestOptions } from 'node:http'
import https from 'node:https'
import { LRUCache } from 'lru-cache'
import { AppError } from '../../errors.ts'
import { ObjectAgents } from '../../store/object-agents.ts'

/** `stranger` is for who is not known there, or says nothing (401). */
export type Answer = 'yes' | 'no' | 'stranger'

export interface ServiceOptions {
  /** Asked with GET. */
  readonly url: URL
  /** Until it has answered, waiting for a connection included. */
  readonly timeoutMs: number
  /** How long a yes is good, and anything else that is an answer. */
  readonly yesMs: number
  readonly noMs: number
  /** Statuses that are a no, besides 403. */
  readonly refusals: readonly number[]
}

const MAX_CONNECTIONS = 64
/** Questions that were asked and not answered yet, more than connections: who asks for more is told to come back. */
const MAX_UNDER_WAY = 1024
const KNOWN_ANSWERS = 20_000
/** Of an answer's body, which says nothing: read, so that the connection can be used again. */
const READ_BYTES = 64 * 1024

export class AskedService {
  readonly #options: ServiceOptions
  readonly #agents: ObjectAgents
  readonly #known = new LRUCache<string, Answer>({ max: KNOWN_ANSWERS })
  readonly #underWay = new Map<string, Promise<Answer>>()

  constructor(options: ServiceOptions) {
    this.#options = options
    this.#agents = new ObjectAgents({
      maxConnections: MAX_CONNECTIONS,
      connectMs: options.timeoutMs,
      verifyTls: true,
      certificates: undefined,
    })
  }

  /**
   * What the service says to a GET of `path` (that of the URL, where there is none) with `fields`, or has just said to the very same. Those who ask the same at once share one question, which goes on when
   * one of them has gone.
   *
   * Rejects with Unavailable for anything that is no answer, which nobody is told again; as `signal` does when that aborts.
   */
  async ask(
    path: string | undefined,
    fields: Readonly<Record<string, string>>,
    signal: AbortSignal,
  ): Promise<Answer> {
    signal.throwIfAborted()
    const key = createHash('sha256')
      .update(JSON.stringify([path, fields]))
      .digest('base64')
    const known = this.#known.get(key)
    if (known !== undefined) return known
    const answer = this.#underWay.get(key) ?? this.#begin(key, path, fields)
    return unlessAborted(answer, signal)
  }

  /** Idle connections end now. */
  close(): void {
    this.#agents.retire()
  }

  #begin(key: string, path: string | undefined, fields: Readonly<Record<string, string>>): Promise<Answer> {
    if (this.#underWay.size >= MAX_UNDER_WAY) throw unknown(new Error('too many questions are under way'))
    const { yesMs, noMs } = this.#options
    const asking = this.#put(path, fields)
      .then(answer => {
        const ttl = answer === 'yes' ? yesMs : noMs
        // To lru-cache no time to live is one without end.
        if (ttl > 0) this.#known.set(key, answer, { ttl })
        return answer
      })
      .finally(() => this.#underWay.delete(key))
    this.#underWay.set(key, asking)
    // Those who wait for it may all be gone.
    asking.catch(() => undefined)
    return asking
  }

  async #put(path: string | undefined, fields: Readonly<Record<string, string>>): Promise<Answer> {
    const signal = AbortSignal.timeout(this.#options.timeoutMs)
    try {
      return this.#answerOf(await this.#request(path, fields, signal))
    } catch (error) {
      throw error instanceof AppError ? error : unknown(error)
    }
  }

  #answerOf(status: number): Answer {
    if (status >= 200 && status < 300) return 'yes'
    if (status === 401) return 'stranger'
    if (status === 403 || this.#options.refusals.includes(status)) return 'no'
    throw unknown(new Error(`it answered with the status ${status}`))
  }

  /** The status. A connection that was kept and has been closed meanwhile is tried again with another one. */
  async #request(
    path: string | undefined,
    fields: Readonly<Record<string, string>>,
    signal: AbortSignal,
  ): Promise<number> {
    const { url } = this.#options
    const options = {
      method: 'GET',
      headers: { Accept: 'application/json', ...fields },
      agent: this.#agents.for(url.protocol),
      signal,
      ...(path !== undefined && { path: url.pathname.replace(/\/$/, '') + path }),
    }
    for (let attempt = 1; ; attempt++) {
      try {
        return await statusOf(url, options)
      } catch (error) {
        if (!(error instanceof Stale) || attempt > MAX_CONNECTIONS) throw error
      }
    }
  }
}

/** The server had closed a kept connection before the question came. */
class Stale extends Error {}

function statusOf(url: URL, options: RequestOptions): Promise<number> {
  return new Promise((resolve, reject) => {
    const request = (url.protocol === 'https:' ? https : http).request(url, options)
    request.on('response', response => {
      drain(response)
      resolve(response.statusCode ?? 0)
    })
    request.on('error', (error: NodeJS.ErrnoException) => {
      const isStale = request.reusedSocket && (error.code === 'ECONNRESET' || error.code === 'EPIPE')
      reject(isStale ? new Stale('a kept connection was closed', { cause: error }) : error)
    })
    // Whatever else it does with the connection, such as switching to another protocol.
    request.on('close', () => reject(new Error('it closed the connection without an answer')))
    request.end()
  })
}

function drain(response: IncomingMessage): void {
  let left = READ_BYTES
  response.on('error', () => undefined)
  response.on('data', (chunk: Buffer) => {
    left -= chunk.length
    if (left < 0) response.destroy()
  })
}

/** `work`, as long as somebody wants it. */
function unlessAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const stop = (): void => reject(signal.reason as Error)
    signal.addEventListener('abort', stop, { once: true })
    work.then(resolve, reject).finally(() => signal.removeEventListener('abort', stop))
  })
}

function unknown(cause: unknown): AppError {
  return new AppError(
    'Unavailable',
    'The service that says who may do this gives no answer at the moment. Try again later.',
    { op: 'admit', cause },
  )
}
