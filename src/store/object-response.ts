// The answer to one GET: whether it is what was asked for, and its body as the seam wants it.
import { Readable } from 'node:stream'
import { ObjectFailure, type GetRequest } from './object-client.ts'
import { abortedBy } from './object-deadline.ts'

export interface ResponseBodyOptions {
  /** Between two chunks, while the consumer waits for one. */
  readonly idleMs: number
  readonly signal: AbortSignal
  /** What the stream fails with, in the words of the seam. */
  readonly failure: (error: unknown) => ObjectFailure
}

/**
 * The chunks of `stream` for one consumer: silence ends it, leaving it or aborting frees its connection at once.
 *
 * An object of its own rather than a generator, because `return` on a generator that was not begun does not reach its `finally`, and the connection would stay in use.
 */
export class ResponseBody implements AsyncIterableIterator<Uint8Array, undefined> {
  readonly #stream: Readable
  readonly #chunks: AsyncIterator<Uint8Array, undefined>
  readonly #signal: AbortSignal
  readonly #failure: (error: unknown) => ObjectFailure
  readonly #idle: NodeJS.Timeout
  readonly #end = (): void => {
    clearTimeout(this.#idle)
    this.#signal.removeEventListener('abort', this.#end)
    this.#stream.destroy()
  }
  #waiting = false

  constructor(stream: Readable, { idleMs, signal, failure }: ResponseBodyOptions) {
    this.#stream = stream
    this.#chunks = stream[Symbol.asyncIterator]() as AsyncIterator<Uint8Array, undefined>
    this.#signal = signal
    this.#failure = failure
    // One timer for the whole body, armed anew for each chunk: it expires without effect while the consumer takes its time.
    this.#idle = setTimeout(() => {
      if (this.#waiting) stream.destroy(new ObjectFailure('timeout'))
    }, idleMs)
    // A connection that breaks while nobody reads must not end the process; the next read reports it.
    stream.on('error', () => undefined)
    signal.addEventListener('abort', this.#end, { once: true })
    if (signal.aborted) this.#end()
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  async next(): Promise<IteratorResult<Uint8Array, undefined>> {
    this.#waiting = true
    this.#idle.refresh()
    try {
      const result = await this.#chunks.next()
      // A stream that is destroyed before it is read ends without an error.
      this.#signal.throwIfAborted()
      if (result.done === true) this.#end()
      return result
    } catch (error) {
      this.#end()
      throw this.#signal.aborted ? abortedBy(this.#signal) : this.#failure(error)
    } finally {
      this.#waiting = false
    }
  }

  return(): Promise<IteratorResult<Uint8Array, undefined>> {
    this.#end()
    return Promise.resolve({ done: true, value: undefined })
  }
}

/** Frees the connection of a body that nobody reads. */
export function discard(body: unknown): void {
  if (body instanceof Readable) body.on('error', () => undefined).destroy()
}

/** The head of an answer with content, as far as it tells which bytes follow. */
export interface PartHead {
  readonly status: number | undefined
  readonly contentRange: string | undefined
  readonly contentLength: number | undefined
}

/**
 * Throws ObjectFailure unless an answer is the bytes [start, end), as far as its head tells: not every server knows Range, and bytes of another place must never get into a download.
 * RFC 9110 14.4 and 15.3.7.
 */
export function checkPart(
  { start, end }: GetRequest,
  { status, contentRange, contentLength }: PartHead,
): void {
  const length = end - start
  // RFC 9110 14.2: a server may ignore Range, which is the same where everything was asked for.
  if (status === 200 && contentRange === undefined) {
    if (start === 0 && contentLength === length) return
    throw new ObjectFailure('misconfigured', {
      advice: 'The server, or a proxy before it, does not know byte ranges.',
    })
  }
  const range = /^bytes (\d+-\d+)\//.exec(contentRange ?? '')?.[1]
  if (range !== `${start}-${end - 1}` || (contentLength ?? length) !== length)
    throw new ObjectFailure('interrupted', {
      cause: new Error(
        `status ${status} with the range ${range} and ${contentLength} bytes instead of ${start}-${end - 1}`,
      ),
    })
}
