// A body that is being read, and the connection it holds.
import type { ObjectBody } from './object-client.ts'
import type { Hold } from './object-hold.ts'

/** The body of one GET; holds its connection until it ended, failed, was left or was reclaimed. One call of `next` at a time. */
export class OpenBody {
  readonly #chunks: AsyncIterator<Uint8Array>
  readonly #hold: Hold
  /** Bytes that are still to come. */
  #left: number
  #ended = false
  #reclaimed = false

  /** `length` bytes were asked for. */
  constructor(body: ObjectBody, length: number, hold: Hold) {
    this.#chunks = body[Symbol.asyncIterator]()
    this.#left = length
    this.#hold = hold
    // Whoever aborted may never come back for another chunk.
    hold.signal.addEventListener('abort', () => this.#release(), { once: true })
    if (hold.signal.aborted) this.#release()
  }

  /** Whether another request took its connection between two chunks, which ended this body before its last one. */
  get isReclaimed(): boolean {
    return this.#reclaimed
  }

  /** Undefined at the end. Rejects as the driver's body does. */
  async next(): Promise<Uint8Array | undefined> {
    this.#hold.work()
    try {
      const step = await this.#chunks.next()
      if (step.done !== true) {
        this.#left -= step.value.length
        // Behind the last byte nothing is left that could be resumed: whoever got it asks for the end at once.
        if (this.#left > 0) this.#hold.rest(this.#reclaim)
        return step.value
      }
    } catch (error) {
      this.#release()
      throw error
    }
    this.#release()
    return undefined
  }

  /** Frees the connection; waits until nothing of the body is under way. Never fails. */
  async end(): Promise<void> {
    if (!this.#ended) this.#hold.abort()
    this.#release()
    // How a body ends that nobody wants any more interests nobody.
    await Promise.resolve(this.#chunks.return?.()).catch(() => undefined)
  }

  readonly #reclaim = (): void => {
    this.#reclaimed = true
    this.#hold.abort()
    this.#release()
  }

  #release(): void {
    this.#ended = true
    this.#hold.release()
  }
}
