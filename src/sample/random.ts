// Numbers that look random and are the same on every machine and in every year.

/** xorshift32 (Marsaglia 2003): fast enough for a model file, and no more is asked of it. */
export class Random {
  #state: number

  /** `seed` is any integer but 0. */
  constructor(seed: number) {
    this.#state = seed | 0
  }

  /** A signed 32-bit integer, never 0. */
  nextInt32(): number {
    let x = this.#state
    x ^= x << 13
    x ^= x >>> 17
    x ^= x << 5
    this.#state = x
    return x
  }

  /** From 0 (included) to 1 (excluded). */
  nextUnit(): number {
    return (this.nextInt32() >>> 0) / 2 ** 32
  }
}
