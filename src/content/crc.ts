// CRC-32 of artifacts: counted while their bytes go by, remembered for as long as memory is granted, and read again only where neither is known.
import { crc32 } from 'node:zlib'
import { LRUCache } from 'lru-cache'
import { isAppError } from '../errors.ts'
import { aborted, throwIfAborted } from './archive-abort.ts'

/** The CRC-32 of the first `upTo` bytes of a content. */
export interface CrcPrefix {
  readonly upTo: number
  readonly crc: number
}

const NOTHING: CrcPrefix = { upTo: 0, crc: 0 }
/** A cached prefix beside its key: two numbers, the object and its places in the cache. */
const ENTRY_BYTES = 128

/**
 * Counts on from a known prefix while any part of the content goes by in order: bytes before the prefix's end are passed over, and those after a gap are too.
 *
 * So the client that resumes a download where it was cut takes up the count exactly where the first transfer left it.
 */
export class RunningCrc {
  #upTo: number
  #crc: number
  #position: number

  constructor(known: CrcPrefix, position: number) {
    this.#upTo = known.upTo
    this.#crc = known.crc
    this.#position = position
  }

  update(chunk: Uint8Array): void {
    const end = this.#position + chunk.length
    if (this.#upTo >= this.#position && this.#upTo < end) {
      this.#crc = crc32(chunk.subarray(this.#upTo - this.#position), this.#crc)
      this.#upTo = end
    }
    this.#position = end
  }

  get prefix(): CrcPrefix {
    return { upTo: this.#upTo, crc: this.#crc }
  }
}

/** Passes chunks on and counts them. */
export async function* counting(
  chunks: AsyncIterable<Uint8Array>,
  running: RunningCrc,
): AsyncGenerator<Uint8Array, void> {
  for await (const chunk of chunks) {
    running.update(chunk)
    yield chunk
  }
}

/**
 * Passes chunks on and counts them. However the reading ends, `record` is given how far the count came; only not when it failed, because bytes
 * that were read before the store noticed a change may be of another content. When `record` fails, so does the reading.
 */
export async function* counted(
  chunks: AsyncIterable<Uint8Array>,
  running: RunningCrc,
  record: (prefix: CrcPrefix) => void,
): AsyncGenerator<Uint8Array, void> {
  let failed = false
  try {
    yield* counting(chunks, running)
  } catch (error) {
    failed = !isAppError(error, 'Aborted')
    throw error
  } finally {
    if (!failed) record(running.prefix)
  }
}

/** A count that several archives may be waiting for: it goes on as long as one of them is left. */
interface SharedCount {
  readonly result: Promise<number>
  readonly controller: AbortController
  waiting: number
}

/**
 * The checksums known to one process.
 *
 * A key names a content, not a place: it must hold the artifact's etag, so that what is remembered never becomes wrong.
 */
export class CrcCache {
  readonly #known: LRUCache<string, CrcPrefix>
  readonly #counting = new Map<string, SharedCount>()

  constructor(maxBytes: number) {
    this.#known = new LRUCache({
      maxSize: maxBytes,
      sizeCalculation: (_prefix, key) => key.length + ENTRY_BYTES,
    })
  }

  /** The longest prefix counted so far. */
  prefix(key: string): CrcPrefix {
    return this.#known.get(key) ?? NOTHING
  }

  record(key: string, prefix: CrcPrefix): void {
    if (prefix.upTo >= this.prefix(key).upTo) this.#known.set(key, prefix)
  }

  /**
   * The CRC-32 of a content of `size` bytes. What is missing of it is read with `read`, which yields the content from a position on, once for all who
   * ask at the same time; how far a count came is kept when it is cut short.
   *
   * Fails with Aborted for the one whose signal is aborted; the reading ends when that was the last one.
   */
  async complete(
    key: string,
    size: number,
    read: (position: number, signal: AbortSignal) => AsyncIterable<Uint8Array>,
    signal: AbortSignal | undefined,
  ): Promise<number> {
    throwIfAborted(signal)
    const known = this.prefix(key)
    if (known.upTo === size) return known.crc
    const shared = this.#counting.get(key) ?? this.#count(key, read)
    shared.waiting++
    let leave: () => void = () => undefined
    try {
      return await Promise.race([
        shared.result,
        new Promise<never>((_resolve, reject) => {
          leave = () => reject(aborted())
          signal?.addEventListener('abort', leave, { once: true })
        }),
      ])
    } finally {
      signal?.removeEventListener('abort', leave)
      if (--shared.waiting === 0 && this.#counting.get(key) === shared) {
        // Nobody may join a count that is being stopped.
        this.#counting.delete(key)
        shared.controller.abort()
        await shared.result.catch(() => undefined)
      }
    }
  }

  #count(
    key: string,
    read: (position: number, signal: AbortSignal) => AsyncIterable<Uint8Array>,
  ): SharedCount {
    const controller = new AbortController()
    const result = this.#readOn(key, read, controller.signal)
    const shared: SharedCount = { result, controller, waiting: 0 }
    this.#counting.set(key, shared)
    const forget = (): void => {
      if (this.#counting.get(key) === shared) this.#counting.delete(key)
    }
    // Whoever waits sees the failure; when nobody is left, there is nobody to tell.
    result.then(forget, forget)
    return shared
  }

  async #readOn(
    key: string,
    read: (position: number, signal: AbortSignal) => AsyncIterable<Uint8Array>,
    signal: AbortSignal,
  ): Promise<number> {
    const known = this.prefix(key)
    const running = new RunningCrc(known, known.upTo)
    const chunks = counted(read(known.upTo, signal), running, prefix => this.record(key, prefix))
    while ((await chunks.next()).done !== true);
    return running.prefix.crc
  }
}
