// One range of an object as a sequence of chunks that survives broken connections.
import type { OpenBody } from './object-body.ts'
import type { ObjectBucket } from './object-bucket.ts'
import { ObjectFailure } from './object-client.ts'
import type { Patience } from './object-retry.ts'

/** What is read: one content of one object. */
export interface PinnedObject {
  readonly bucket: ObjectBucket
  readonly key: string
  readonly etag: string
}

/**
 * The bytes [start, end) of one content, or a failure: never fewer, never more, never of another content.
 *
 * A body that breaks off, stalls or ends early is asked for again from where it stood. Time counts only while somebody waits for a chunk, and only since the last one. The
 * connection is held from the first `next` to the end, a failure, or `end`; in between another request may have it while nobody waits.
 */
export class RangeStream {
  readonly #object: PinnedObject
  readonly #signal: AbortSignal
  readonly #patience: Patience
  /** End of the request that is under way: behind `#end` where the range was cut since. */
  #requestedEnd: number
  #position: number
  #end: number
  #body: OpenBody | undefined

  constructor(object: PinnedObject, start: number, end: number, signal: AbortSignal) {
    this.#object = object
    this.#signal = signal
    this.#patience = object.bucket.bodyPatience()
    this.#position = start
    this.#end = end
    this.#requestedEnd = end
  }

  /** What `next` gives begins here. */
  get position(): number {
    return this.#position
  }

  get end(): number {
    return this.#end
  }

  /** Ends the range earlier, at or behind `position`. */
  endAt(end: number): void {
    this.#end = end
  }

  /** Never empty; undefined at the end. */
  async next(): Promise<Uint8Array | undefined> {
    // The time that the consumer took is not the store's.
    this.#patience.renew()
    for (;;) {
      if (this.#position >= this.#end) {
        await this.close()
        return undefined
      }
      try {
        const chunk = await this.#receive()
        if (chunk.length === 0) continue
        const given = chunk.subarray(0, this.#end - this.#position)
        this.#position += given.length
        return given
      } catch (error) {
        await this.close()
        // What a server answers that does not know ranges: another attempt gives the same.
        if (error instanceof Overrun) throw new ObjectFailure('interrupted', { cause: error })
        await this.#patience.pause(error, this.#signal)
      }
    }
  }

  /** Frees the connection. Never fails; `next` would begin anew from where it stood. */
  async close(): Promise<void> {
    const body = this.#body
    this.#body = undefined
    await body?.end()
  }

  async #receive(): Promise<Uint8Array> {
    if (this.#body?.isReclaimed === true) await this.close()
    this.#body ??= await this.#open()
    const wanted = this.#requestedEnd - this.#position
    const chunk = await this.#body.next()
    if (chunk === undefined)
      throw new ObjectFailure('interrupted', { cause: new Error('The body ended early.') })
    if (chunk.length > wanted) throw new Overrun()
    // The last chunk is given when it is known to be the last; reading to the end also leaves the connection fit for another request.
    if (chunk.length === wanted)
      for (let more = await this.#body.next(); more !== undefined; more = await this.#body.next())
        if (more.length > 0) throw new Overrun()
    return chunk
  }

  #open(): Promise<OpenBody> {
    const { bucket, key, etag } = this.#object
    this.#requestedEnd = this.#end
    const range = { start: this.#position, end: this.#end, pin: etag }
    return bucket.get(key, range, this.#signal, this.#patience)
  }
}

class Overrun extends Error {
  override readonly message = 'The body is longer than the range.'
}
