// What was read of a file that may be appended to, in small: to tell growth from a new content that happens to be longer.

const SAMPLE_BYTES = 64
/** So many at most, 64 KiB: of a longer read every second, fourth … chunk. */
const MAX_SAMPLES = 1024

interface Sample {
  readonly position: number
  readonly bytes: Buffer
}

/** Samples from the middle of each chunk that a read gave out. */
export class Samples {
  #kept: Sample[] = []
  #stride = 1
  #seen = 0

  add(chunk: Buffer, length: number, position: number): void {
    if (this.#seen++ % this.#stride !== 0) return
    const from = Math.max((length - SAMPLE_BYTES) >>> 1, 0)
    const to = Math.min(from + SAMPLE_BYTES, length)
    // A copy: the chunk is overwritten by the reads that follow.
    this.#kept.push({ position: position + from, bytes: Buffer.from(chunk.subarray(from, to)) })
    if (this.#kept.length < MAX_SAMPLES) return
    this.#kept = this.#kept.filter((_, index) => index % 2 === 0)
    this.#stride *= 2
  }

  /** Whether the file still holds them. `readAt` fills a buffer from a position and says how many bytes there were. */
  async hold(readAt: (buffer: Buffer, position: number) => Promise<number> | number): Promise<boolean> {
    for (const { position, bytes } of this.#kept) {
      const now = Buffer.alloc(bytes.length)
      if ((await readAt(now, position)) !== bytes.length || !now.equals(bytes)) return false
    }
    return true
  }
}
