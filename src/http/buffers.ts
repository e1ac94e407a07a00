// The memory that downloads are read into: two large buffers for each, shared between transfers through a free list.
import type { Buffers } from '../store/store.ts'

/** 512 KiB: larger chunks gain nothing and cost memory, 64 KiB cost three times the CPU (docs/decisions/0005). */
const LARGE = 512 * 1024
const SMALL = 64 * 1024
/** Above so many transfers each new one gets small buffers, so that slow readers cannot multiply large ones. */
const LARGE_TRANSFERS = 32
/** Large buffers kept for the next transfer: 16 MiB. */
const KEPT = 32

const free: Buffer[] = []
let large = 0

/**
 * Two buffers in rotation for one transfer, allocated when first taken.
 *
 * `release` gives them back for reuse: only when nothing can still read from them. A transfer that broke off drops them (`drop`), for the socket may hold one.
 */
export class TransferBuffers implements Buffers {
  readonly #size: number
  readonly #buffers: (Buffer | undefined)[] = []
  #turn: 0 | 1 = 0
  #ended = false

  constructor() {
    this.#size = large < LARGE_TRANSFERS ? LARGE : SMALL
    if (this.#size === LARGE) large++
  }

  take(): Buffer {
    if (this.#ended) throw new Error('The buffers of an ended transfer are taken.')
    const turn = this.#turn
    this.#turn = turn === 0 ? 1 : 0
    return (this.#buffers[turn] ??=
      (this.#size === LARGE ? free.pop() : undefined) ?? Buffer.allocUnsafeSlow(this.#size))
  }

  release(): void {
    for (const buffer of this.drop()) if (buffer.length === LARGE && free.length < KEPT) free.push(buffer)
  }

  drop(): Buffer[] {
    if (this.#size === LARGE && !this.#ended) large--
    this.#ended = true
    return this.#buffers.splice(0).filter(buffer => buffer !== undefined)
  }
}
