// Reading one range by several requests at once, where one stream is slower than its consumer.
import type { ByteBudget } from './object-budget.ts'
import { Pace, type PaceSettings } from './object-pace.ts'
import { RangeStream, type PinnedObject } from './object-range.ts'
import { following, type FollowingSignal } from './object-signal.ts'

export interface ParallelSettings extends PaceSettings {
  /** Memory for what is read ahead, shared by all reads of a process. */
  readonly budget: ByteBudget
  readonly maxParts: number
  readonly partBytes: number
  /** Taken when the budget is short: nearly as fast, at half the memory. */
  readonly smallPartBytes: number
  /** How long a consumer may stay away until what was read ahead for it is dropped: others can use the memory, and to read it again costs little. */
  readonly keptMs: number
}

const MIB = 1024 ** 2

/** One connection to a cloud store is often capped near 80 MB/s; eight of them gave 436 MB/s where one gave 78. */
export const PARALLEL: Omit<ParallelSettings, 'budget'> = {
  maxParts: 8,
  partBytes: 8 * MIB,
  smallPartBytes: 4 * MIB,
  keptMs: 2000,
  fastBytesPerSecond: 150_000_000,
  windowMs: 200,
}

/** A stretch of the range, read by one stream. */
interface Part {
  /** What `next` gives begins here. */
  readonly position: number
  /** As `RangeStream.next`. */
  next(): Promise<Uint8Array | undefined>
  /** Frees connection and memory. Never fails. */
  close(): Promise<void>
}

/**
 * The bytes [start, end), in order.
 *
 * Begins with one stream. While that is slow and the consumer waits for it most of the time, the range is cut into parts that are read ahead; where that turns out to be no
 * faster, it is one stream again, for good. Where the consumer is the slower one, there are fewer and fewer parts, down to one stream without memory of its own; so too where the
 * budget is used up or connections are scarce. A consumer that stays away loses what was read ahead for it, which is read again when it comes back. One call of `next` at a time.
 */
export class ParallelRange {
  readonly #object: PinnedObject
  readonly #settings: ParallelSettings
  readonly #end: number
  readonly #ending: FollowingSignal
  /** In order; the first one is being given. */
  readonly #parts: Part[] = []
  /** The first part, while it is one that can be cut. */
  #stream: RangeStream | undefined
  /** Where the next part begins. */
  #horizon: number
  #maxParts = 1
  readonly #pace: Pace
  #canBeSeveral = true
  /** While `next` is under way Infinity, otherwise when it last gave something. */
  #awaySinceMs = Infinity
  /** Set while parts hold memory. */
  #timer: NodeJS.Timeout | undefined
  /** The end of parts that were dropped. */
  #dropping: Promise<unknown> = Promise.resolve()

  constructor(
    object: PinnedObject,
    start: number,
    end: number,
    signal: AbortSignal,
    settings: ParallelSettings,
  ) {
    this.#object = object
    this.#settings = settings
    this.#horizon = start
    this.#end = end
    this.#ending = following(signal)
    this.#pace = new Pace(settings)
  }

  /** Undefined at the end. Rejects as `RangeStream.next` does. */
  async next(): Promise<Uint8Array | undefined> {
    this.#awaySinceMs = Infinity
    for (;;) {
      if (this.#parts.length === 0) {
        if (this.#horizon >= this.#end) return undefined
        this.#addParts()
      }
      const askedAtMs = performance.now()
      const chunk = await this.#parts[0]!.next()
      if (chunk !== undefined) {
        this.#awaySinceMs = performance.now()
        this.#adapt(this.#pace.received(chunk.length, this.#awaySinceMs - askedAtMs))
        return chunk
      }
      await this.#parts.shift()!.close()
      this.#stream = undefined
      this.#addParts()
    }
  }

  /** Never fails. */
  async close(): Promise<void> {
    clearTimeout(this.#timer)
    this.#ending.abort()
    this.#ending.detach()
    await Promise.all([this.#dropping, ...this.#parts.splice(0).map(part => part.close())])
  }

  #adapt(advice: ReturnType<Pace['received']>): void {
    if (advice === 'one') {
      this.#canBeSeveral = false
      this.#maxParts = 1
    } else if (advice === 'afresh') {
      this.#maxParts = 1
    } else if (advice === 'fewer') {
      this.#maxParts = Math.max(1, Math.floor(this.#maxParts / 2))
    } else if (advice === 'more' && this.#canBeSeveral) this.#widen()
  }

  #widen(): void {
    // A trial begins with one stream alone: what others have read ahead already would pass for speed.
    if (!this.#pace.isWorthIt && (this.#stream === undefined || this.#parts.length > 1)) return
    if (!this.#cutStream()) return
    this.#maxParts = this.#settings.maxParts
    this.#addParts()
    if (this.#stream !== undefined && this.#parts.length > 1)
      this.#pace.tryWith(this.#horizon - this.#stream.position)
  }

  /** Gives up all parts that hold memory; what they would have given is read by one stream when it is wanted. */
  #drop(): void {
    const kept = this.#stream === undefined ? 0 : 1
    const dropped = this.#parts.splice(kept)
    this.#horizon = dropped[0]!.position
    this.#maxParts = 1
    this.#pace.startOver()
    this.#dropping = Promise.all([this.#dropping, ...dropped.map(part => part.close())])
  }

  #watch(): void {
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined
      if (this.#parts.length === 0 || this.#parts.at(-1) === this.#stream) return
      if (performance.now() - this.#awaySinceMs >= this.#settings.keptMs) this.#drop()
      else this.#watch()
    }, this.#settings.keptMs / 2).unref()
  }

  /** Ends the stream that is open up to the end of the range where a part would end, so that others can begin; whether something is left for them. */
  #cutStream(): boolean {
    if (this.#stream?.end === this.#end) {
      const cutAt = this.#stream.position + this.#partBytes
      // The rest must be worth a part of its own, and connection and memory be there for it.
      if (cutAt + this.#partBytes > this.#end || !this.#canReadAhead) return false
      this.#stream.endAt(cutAt)
      this.#horizon = cutAt
    }
    return this.#horizon < this.#end
  }

  get #partBytes(): number {
    const { budget, partBytes, smallPartBytes } = this.#settings
    return budget.isShort ? smallPartBytes : partBytes
  }

  get #canReadAhead(): boolean {
    return this.#settings.budget.left >= this.#partBytes && this.#object.bucket.hasSpareConnections
  }

  #addParts(): void {
    const { budget } = this.#settings
    while (this.#horizon < this.#end && this.#parts.length < this.#maxParts) {
      const end = Math.min(this.#end, this.#horizon + this.#partBytes)
      if (this.#maxParts > 1 && this.#canReadAhead && budget.take(end - this.#horizon)) {
        this.#parts.push(new PartAhead(this.#object, this.#horizon, end, this.#ending.signal, budget))
        this.#horizon = end
        this.#watch()
      } else if (this.#parts.length === 0) {
        this.#maxParts = 1
        this.#pace.startOver()
        this.#stream = new RangeStream(this.#object, this.#horizon, this.#end, this.#ending.signal)
        this.#parts.push(this.#stream)
        this.#horizon = this.#end
      } else return
    }
  }
}

/** A part that fills memory from the moment it is made. As many bytes must have been taken from the budget; it gives them back. */
class PartAhead implements Part {
  readonly #stream: RangeStream
  readonly #ending: FollowingSignal
  readonly #budget: ByteBudget
  readonly #filling: Promise<void>
  readonly #chunks: Uint8Array[] = []
  /** Bytes of the budget that are still taken. */
  #held: number
  #failure: { readonly error: unknown } | undefined
  #isFilled = false
  #wake: (() => void) | undefined

  constructor(object: PinnedObject, start: number, end: number, signal: AbortSignal, budget: ByteBudget) {
    this.#ending = following(signal)
    this.#stream = new RangeStream(object, start, end, this.#ending.signal)
    this.#budget = budget
    this.#held = end - start
    this.#filling = this.#fill()
  }

  get position(): number {
    return this.#stream.end - this.#held
  }

  async next(): Promise<Uint8Array | undefined> {
    for (;;) {
      const chunk = this.#chunks.shift()
      if (chunk !== undefined) {
        this.#giveBack(chunk.length)
        return chunk
      }
      if (this.#failure !== undefined) throw this.#failure.error
      if (this.#isFilled) return undefined
      await new Promise<void>(resolve => (this.#wake = resolve))
    }
  }

  async close(): Promise<void> {
    this.#ending.abort()
    this.#ending.detach()
    await this.#filling
    this.#chunks.length = 0
    this.#giveBack(this.#held)
  }

  /** Never rejects: a failure comes in its place in the order. */
  async #fill(): Promise<void> {
    try {
      for (let chunk = await this.#stream.next(); chunk !== undefined; chunk = await this.#stream.next()) {
        this.#chunks.push(chunk)
        this.#wake?.()
      }
      this.#isFilled = true
    } catch (error) {
      this.#failure = { error }
    }
    this.#wake?.()
  }

  #giveBack(bytes: number): void {
    this.#held -= bytes
    this.#budget.give(bytes)
  }
}
