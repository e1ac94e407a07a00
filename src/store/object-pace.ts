// Whether a read should go on by more streams or by fewer, judged by what came and how long the consumer waited for it.

export interface PaceSettings {
  /** A read that is at least this fast is left alone: more streams would only cost CPU. */
  readonly fastBytesPerSecond: number
  /** Time over which speed is judged. */
  readonly windowMs: number
}

/** Of the time, so much spent waiting means that the store is the slower side, and so little that the consumer is. */
const STORE_IS_SLOWER = 0.5
const CONSUMER_IS_SLOWER = 0.25
/** Several streams must be so much faster than the one before. They are not where the network, the server or this machine is the limit. */
const WORTH_IT = 1.5

interface Trial {
  readonly bytesPerSecondBefore: number
  readonly judgedAfterBytes: number
  readonly total: Tally
}

/** How much came since a moment, and how long the consumer waited for it. */
class Tally {
  readonly #sinceMs = performance.now()
  bytes = 0
  #waitedMs = 0

  add(bytes: number, waitedMs: number): void {
    this.bytes += bytes
    this.#waitedMs += waitedMs
  }

  get elapsedMs(): number {
    return performance.now() - this.#sinceMs
  }

  get bytesPerSecond(): number {
    return (this.bytes / this.elapsedMs) * 1000
  }

  get waitedShare(): number {
    return this.#waitedMs / this.elapsedMs
  }
}

export class Pace {
  readonly #settings: PaceSettings
  /** Begins with the first chunk: until then it is the store's latency that shows, not its speed. */
  #window: Tally | undefined
  #lastBytesPerSecond = 0
  #trial: Trial | undefined
  #isWorthIt = false

  constructor(settings: PaceSettings) {
    this.#settings = settings
  }

  /** Whether several streams turned out to be faster than one. */
  get isWorthIt(): boolean {
    return this.#isWorthIt
  }

  /**
   * Takes in a chunk; the advice that follows from it, if any. `one` means that several streams turned out to be no faster, once and for all; `afresh` that the consumer was too slow
   * to tell, so that it takes another trial, which begins with one.
   */
  received(bytes: number, waitedMs: number): 'more' | 'fewer' | 'one' | 'afresh' | undefined {
    this.#trial?.total.add(bytes, waitedMs)
    const advice = this.#windowed(bytes, waitedMs)
    return this.#verdict() ?? advice
  }

  /** One stream is read from now on: what was measured with several says nothing about it, and a trial under way is void. */
  startOver(): void {
    this.#window = undefined
    this.#trial = undefined
  }

  /** One stream has become several; unless that was judged before, whether it was worth it shows when all that they fetch at first was received. */
  tryWith(bytes: number): void {
    if (this.#isWorthIt || this.#trial !== undefined) return
    this.#trial = {
      bytesPerSecondBefore: this.#lastBytesPerSecond,
      judgedAfterBytes: bytes,
      total: new Tally(),
    }
  }

  /** Undefined while there is nothing to judge, and where several streams are worth it. */
  #verdict(): 'one' | 'afresh' | undefined {
    if (this.#trial === undefined) return undefined
    const { total, judgedAfterBytes, bytesPerSecondBefore } = this.#trial
    if (total.bytes < judgedAfterBytes) return undefined
    this.#trial = undefined
    this.#isWorthIt = total.bytesPerSecond >= WORTH_IT * bytesPerSecondBefore
    if (this.#isWorthIt) return undefined
    return total.waitedShare > STORE_IS_SLOWER ? 'one' : 'afresh'
  }

  #windowed(bytes: number, waitedMs: number): 'more' | 'fewer' | undefined {
    this.#window?.add(bytes, waitedMs)
    if (this.#window !== undefined && this.#window.elapsedMs < this.#settings.windowMs) return undefined
    const window = this.#window
    this.#window = new Tally()
    return window && this.#advice(window)
  }

  #advice({ bytesPerSecond, waitedShare }: Tally): 'more' | 'fewer' | undefined {
    this.#lastBytesPerSecond = bytesPerSecond
    if (waitedShare < CONSUMER_IS_SLOWER) return 'fewer'
    return waitedShare > STORE_IS_SLOWER && bytesPerSecond < this.#settings.fastBytesPerSecond
      ? 'more'
      : undefined
  }
}
