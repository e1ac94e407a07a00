// Memory that may be filled ahead of consumers, counted in bytes.

/** A bound that several takers share. */
export class ByteBudget {
  readonly #limit: number
  #taken = 0

  constructor(limit: number) {
    this.#limit = limit
  }

  get taken(): number {
    return this.#taken
  }

  get left(): number {
    return this.#limit - this.#taken
  }

  /** Whether more than half is taken. */
  get isShort(): boolean {
    return this.#taken > this.#limit / 2
  }

  /** False where so much is not left. What was taken must be given back. */
  take(bytes: number): boolean {
    if (bytes > this.left) return false
    this.#taken += bytes
    return true
  }

  give(bytes: number): void {
    this.#taken -= bytes
  }
}
