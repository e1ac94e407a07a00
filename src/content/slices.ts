// Long work on the event loop in short pieces, so that other requests are answered meanwhile.

const SLICE_MS = 8

export class Slices {
  #endsAtMs = performance.now() + SLICE_MS

  /** Whether it is time to `rest`. */
  get due(): boolean {
    return performance.now() >= this.#endsAtMs
  }

  async rest(): Promise<void> {
    await new Promise(resolve => setImmediate(resolve))
    this.#endsAtMs = performance.now() + SLICE_MS
  }
}
