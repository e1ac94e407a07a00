// Memory that reads use again: fresh memory for every small file would leave hundreds of megabytes to the garbage collector.
import type { Buffers } from '../store/store.ts'

/** Two buffers in turn, which is all that the rotation of `Buffers` asks for; made when they are first taken. */
export function rotatingBuffers(bytes: number): Buffers {
  const buffers: [Buffer?, Buffer?] = []
  let turn: 0 | 1 = 0
  return {
    take() {
      turn = turn === 0 ? 1 : 0
      return (buffers[turn] ??= Buffer.allocUnsafeSlow(bytes))
    },
  }
}

const SMALLEST_SLAB = 4 * 1024

/** Memory for contents that are held whole for a short while, kept for the next one that needs as much. */
export class SlabPool {
  readonly #maxFreeBytes: number
  /** Slabs of one size each, by size. */
  readonly #free = new Map<number, Buffer[]>()
  #freeBytes = 0

  constructor(maxFreeBytes: number) {
    this.#maxFreeBytes = maxFreeBytes
  }

  /** At least `bytes`: the next power of two. */
  take(bytes: number): Buffer {
    const size = Math.max(SMALLEST_SLAB, 2 ** Math.ceil(Math.log2(bytes)))
    const slab = this.#free.get(size)?.pop()
    if (slab === undefined) return Buffer.allocUnsafeSlow(size)
    this.#freeBytes -= size
    return slab
  }

  /** Only what `take` gave, once, and when nobody reads it or can still write to it. What is never given back is simply freed. */
  give(slab: Buffer): void {
    if (this.#freeBytes + slab.length > this.#maxFreeBytes) return
    const slabs = this.#free.get(slab.length)
    if (slabs === undefined) this.#free.set(slab.length, [slab])
    else slabs.push(slab)
    this.#freeBytes += slab.length
  }
}
