// An opened artifact of an object store: ranges of one content, pinned by its etag.
import { checkRange, throwIfAborted } from './failure.ts'
import { ObjectFailure, type ObjectHead } from './object-client.ts'
import { ParallelRange, type ParallelSettings } from './object-parts.ts'
import type { PinnedObject } from './object-range.ts'
import { contractError, type FailureContext } from './object-retry.ts'
import { following } from './object-signal.ts'
import type { Buffers, Entry, OpenArtifact, ReadOptions } from './store.ts'

/** A store that delivers slowly fills a buffer for so long at most: what is there goes out, and no chunk takes as long as a hung operation. */
const FILL_MS = 2000

export interface OpenedObject {
  readonly entry: Entry
  readonly object: PinnedObject
  /** Undefined where the caller had the entry already, so that the store was not asked. */
  readonly head: ObjectHead | undefined
  readonly connection: string
  /** Whether heads may hold a CRC-32. */
  readonly keepsCrc32: boolean
  readonly parallel: ParallelSettings
}

export class ObjectArtifact implements OpenArtifact {
  readonly entry: Entry
  readonly #opened: OpenedObject
  readonly #closing = new AbortController()
  #head: ObjectHead | undefined

  constructor(opened: OpenedObject) {
    this.entry = opened.entry
    this.#opened = opened
    this.#head = opened.head
  }

  get contentEncoding(): string | undefined {
    return this.#opened.head?.contentEncoding
  }

  async *read(
    start: number,
    end: number,
    options: ReadOptions = {},
  ): AsyncGenerator<Uint8Array, void, undefined> {
    checkRange(this.entry.path, start, end, this.entry.size)
    const reading = following(options.signal, this.#closing.signal)
    const { object, parallel } = this.#opened
    const range = new ParallelRange(object, start, end, reading.signal, parallel)
    const next = async (): Promise<Uint8Array | undefined> => {
      const chunk = await range.next()
      // What was read ahead is not given to somebody who no longer wants it.
      if (chunk !== undefined) throwIfAborted(reading.signal, 'read', this.entry.path)
      return chunk
    }
    try {
      throwIfAborted(reading.signal, 'read', this.entry.path)
      if (options.buffers !== undefined) yield* filled(next, options.buffers)
      else for (let chunk = await next(); chunk !== undefined; chunk = await next()) yield chunk
    } catch (error) {
      throw contractError(error, this.#context)
    } finally {
      await range.close()
      reading.detach()
    }
  }

  async storedCrc32(options: { readonly signal?: AbortSignal } = {}): Promise<number | undefined> {
    if (!this.#opened.keepsCrc32) return undefined
    const asking = following(options.signal, this.#closing.signal)
    const { bucket, key } = this.#opened.object
    try {
      this.#head ??= await bucket.head(key, asking.signal, bucket.bodyPatience())
      if (this.#head === undefined) throw new ObjectFailure('missing-object')
      if (this.#head.etag !== this.entry.etag) throw new ObjectFailure('changed')
      return this.#head.crc32
    } catch (error) {
      throw contractError(error, this.#context)
    } finally {
      asking.detach()
    }
  }

  /** Ends reads that are under way. */
  close(): Promise<void> {
    this.#closing.abort()
    return Promise.resolve()
  }

  get #context(): FailureContext {
    // Whoever opened it, or made the pin, had seen it.
    return {
      connection: this.#opened.connection,
      operation: 'read',
      path: this.entry.path,
      missing: 'Changed',
    }
  }
}

/** Chunks of `next` in memory of `buffers`, each filled whole as long as that does not take too long. */
async function* filled(
  next: () => Promise<Uint8Array | undefined>,
  buffers: Buffers,
): AsyncGenerator<Uint8Array, void, undefined> {
  let chunk: Uint8Array | undefined
  for (;;) {
    const askedAtMs = performance.now()
    chunk ??= await next()
    if (chunk === undefined) return
    const buffer = buffers.take()
    let length = 0
    while (chunk !== undefined) {
      const part = chunk.subarray(0, buffer.length - length)
      buffer.set(part, length)
      length += part.length
      chunk = part.length < chunk.length ? chunk.subarray(part.length) : undefined
      if (length === buffer.length || performance.now() - askedAtMs >= FILL_MS) break
      chunk ??= await next()
    }
    yield length === buffer.length ? buffer : buffer.subarray(0, length)
  }
}
