// How much one archive may unpack to. Small archives can be made that would fill any store.
import { tooLarge } from './unpack-refusal.ts'

export interface UnpackLimits {
  /** Members, folders among them. */
  readonly maxEntries: number
  /** Bytes of all members together. */
  readonly maxBytes: number
  /** Bytes that a compressed byte may become, over the archive as a whole. Deflate makes at most 1032 of one. */
  readonly maxRatio: number
}

/** So much may come out of any archive, however small: logs and arrays of zeros are honest contents. */
const BYTES_OF_ANY_RATIO = 16 * 1024 * 1024
/** Names are remembered until the end, since what was written may have to be removed again. */
const MAX_NAME_BYTES = 64 * 1024 * 1024

export class UnpackBudget {
  readonly #limits: UnpackLimits
  #entries = 0
  #nameBytes = 0
  #bytes = 0
  #inflated = 0

  constructor(limits: UnpackLimits) {
    this.#limits = limits
  }

  /** Counts a member. Fails with TooLarge, like everything here. */
  takeEntry(nameBytes: number): void {
    const { maxEntries } = this.#limits
    if (++this.#entries > maxEntries) throw tooLarge(`it has more than ${maxEntries} members`)
    this.#nameBytes += nameBytes
    if (this.#nameBytes > MAX_NAME_BYTES)
      throw tooLarge(`the names in it have more than ${MAX_NAME_BYTES} bytes together`)
  }

  /** Whether a member that says that it has `size` bytes would fit, so that none of it is written where it would not. */
  check(size: number): void {
    const { maxBytes } = this.#limits
    if (this.#bytes + size > maxBytes) throw tooLarge(`it unpacks to more than ${maxBytes} bytes`)
  }

  /** Counts bytes of a member, or of what an archive says about members. */
  take(bytes: number): void {
    this.check(bytes)
    this.#bytes += bytes
  }

  /** Counts bytes that were made of compressed ones, where `received` have come of the archive so far. */
  takeInflated(bytes: number, received: number): void {
    const { maxRatio } = this.#limits
    this.#inflated += bytes
    if (this.#inflated > BYTES_OF_ANY_RATIO && this.#inflated > maxRatio * received)
      throw tooLarge(`it unpacks to more than ${maxRatio} times its own size`)
  }
}
