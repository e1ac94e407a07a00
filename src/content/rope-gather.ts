// Gathers the many small byte strings of an archive into few large chunks, under the rotation of `Buffers`.
import type { Buffers } from '../store/store.ts'

/** A chunk where the consumer brings no buffers: large enough that the cost of a write does not matter, small enough to be cheap to hold. */
const CHUNK_BYTES = 256 * 1024

/** One for each read; whatever its methods yield must be yielded on before the next one is called. */
export class Gather {
  readonly #total: number
  readonly #buffers: Buffers | undefined
  #chunk: Uint8Array | undefined
  #filled = 0
  #written = 0

  /** `total` is how many bytes the whole read will give, so that a small one takes little memory. */
  constructor(total: number, buffers: Buffers | undefined) {
    this.#total = total
    this.#buffers = buffers
  }

  /** Bytes taken in so far. */
  get written(): number {
    return this.#written
  }

  /** Copies `bytes`, which may be written over as soon as this has ended, and yields each chunk that becomes full. */
  *append(bytes: Uint8Array): Generator<Uint8Array, void> {
    let taken = 0
    while (taken < bytes.length) {
      const chunk = (this.#chunk ??= this.#take())
      const count = Math.min(bytes.length - taken, chunk.length - this.#filled)
      chunk.set(count === bytes.length ? bytes : bytes.subarray(taken, taken + count), this.#filled)
      this.#filled += count
      this.#written += count
      taken += count
      if (this.#filled === chunk.length) yield* this.flush()
    }
  }

  /** Passes chunks on as they are: what was appended before comes first. Each must be fresh memory or a buffer that its reader took. */
  async *pass(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array, void> {
    yield* this.flush()
    for await (const chunk of chunks) {
      this.#written += chunk.length
      yield chunk
    }
  }

  /** Yields what is left. */
  *flush(): Generator<Uint8Array, void> {
    const chunk = this.#chunk
    if (chunk === undefined) return
    const filled = this.#filled
    this.#chunk = undefined
    this.#filled = 0
    yield filled === chunk.length ? chunk : chunk.subarray(0, filled)
  }

  #take(): Uint8Array {
    return this.#buffers?.take() ?? Buffer.allocUnsafeSlow(Math.min(CHUNK_BYTES, this.#total - this.#written))
  }
}
