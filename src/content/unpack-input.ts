// The bytes of an archive while they come in, in the portions that a reader of its format asks for.
import { AppError, isAppError } from '../errors.ts'
import { damaged, truncated, unwanted } from './unpack-refusal.ts'

const NOTHING = Buffer.alloc(0)

/**
 * Takes a chunk from the source only when one is needed, so it is the source that waits for the store. The memory of a chunk may be used again by the source when the second one after it
 * is asked for.
 *
 * One call at a time. Fails with Aborted as soon as the signal is aborted, also while the source keeps it waiting, and when the source fails.
 */
export class ArchiveInput {
  readonly #source: AsyncIterator<Uint8Array>
  readonly #signal: AbortSignal | undefined
  readonly #onAbort = (): void => this.#interrupt?.(unwanted(this.#signal?.reason))
  /** Ends the waiting for the source; undefined while nobody waits. */
  #interrupt: ((error: AppError) => void) | undefined
  #rest: Buffer = NOTHING
  #received = 0
  #ended = false

  constructor(source: AsyncIterable<Uint8Array>, signal?: AbortSignal) {
    this.#source = source[Symbol.asyncIterator]()
    this.#signal = signal
    signal?.addEventListener('abort', this.#onAbort, { once: true })
  }

  /** Bytes that were taken so far. */
  get position(): number {
    return this.#received - this.#rest.length
  }

  /** The next bytes, as many as there are at hand but at most `max`; undefined at the end. */
  async some(max = Number.POSITIVE_INFINITY): Promise<Buffer | undefined> {
    if (this.#rest.length === 0 && !(await this.#receive())) return undefined
    const chunk = this.#rest.subarray(0, max)
    this.#rest = this.#rest.subarray(chunk.length)
    return chunk
  }

  /** The next `count` bytes without taking them; fewer only where the archive ends before. */
  async peek(count: number): Promise<Buffer> {
    while (this.#rest.length < count && (await this.#receive()));
    return this.#rest.subarray(0, count)
  }

  /** The next `count` bytes, copied; `where` says what is cut off where there are fewer. For records, which are kept while further chunks come. */
  async exactly(count: number, where: string): Promise<Buffer> {
    const bytes = await this.peek(count)
    if (bytes.length < count) throw truncated(where)
    this.#rest = this.#rest.subarray(count)
    return Buffer.from(bytes)
  }

  /** The next `count` bytes in chunks as they come; `where` as for `exactly`. */
  async *stream(count: number, where: string): AsyncGenerator<Buffer, void> {
    for (let left = count; left > 0;) {
      const chunk = await this.some(left)
      if (chunk === undefined) throw truncated(where)
      left -= chunk.length
      yield chunk
    }
  }

  /** Reads on to the end of the archive: only the zeros may still come that programs fill up their last block with, as tapes have them. */
  async finish(): Promise<void> {
    for (let chunk; (chunk = await this.some()) !== undefined;)
      if (chunk.some(byte => byte !== 0))
        throw damaged('something follows its end. Archives that were joined must be uploaded one by one')
  }

  /** Gives back the last bytes that `some` gave. */
  unread(chunk: Buffer): void {
    this.#rest = this.#rest.length === 0 ? chunk : Buffer.concat([chunk, this.#rest])
  }

  /** Tells the source to stop. Never fails, and does not wait for a source that is itself waiting. */
  async close(): Promise<void> {
    this.#signal?.removeEventListener('abort', this.#onAbort)
    if (this.#ended) return
    this.#ended = true
    const interrupt = this.#interrupt
    interrupt?.(unwanted())
    // A generator that is waiting ends when its wait does, which may be never.
    const ending = Promise.resolve(this.#source.return?.()).catch(() => undefined)
    if (interrupt === undefined) await ending
  }

  /** Whether something came. */
  async #receive(): Promise<boolean> {
    while (!this.#ended) {
      const { done, value } = await this.#next()
      if (done === true) {
        this.#ended = true
      } else if (value.length > 0) {
        const chunk = Buffer.from(value.buffer, value.byteOffset, value.length)
        this.#received += chunk.length
        this.#rest = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk])
        return true
      }
    }
    return false
  }

  async #next(): Promise<IteratorResult<Uint8Array, unknown>> {
    if (this.#signal?.aborted === true) throw unwanted(this.#signal.reason)
    try {
      return await new Promise<IteratorResult<Uint8Array, unknown>>((resolve, reject) => {
        this.#interrupt = reject
        this.#source.next().then(resolve, reject)
      })
    } catch (error) {
      throw isAppError(error) ? error : brokenOff(error)
    } finally {
      this.#interrupt = undefined
    }
  }
}

function brokenOff(cause: unknown): AppError {
  return new AppError('Aborted', 'The archive broke off while it was being received.', {
    op: 'unpack',
    cause,
  })
}
