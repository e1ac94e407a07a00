// What is mounted below a folder: a file there may lie on a network although the folder is on a local disk.
import fs from 'node:fs'

/** Mounts come and go rarely. */
const KEPT_MS = 1000

export class Mounts {
  readonly #folder: string
  #points: readonly string[] = []
  #readAtMs = -Infinity

  /** `folder` is a real path, one character for each byte. */
  constructor(folder: string) {
    this.#folder = folder
  }

  /** Whether a real path lies on or below a mount point inside of the folder, as of at most a second ago. */
  have(real: string): boolean {
    const nowMs = performance.now()
    if (nowMs - this.#readAtMs > KEPT_MS) {
      this.#points = this.#read()
      this.#readAtMs = nowMs
    }
    return this.#points.some(
      point => real === point || (real.startsWith(point) && real[point.length] === '/'),
    )
  }

  /** The kernel answers from memory; no file system is asked. Fields and escapes: proc(5), mountinfo. */
  #read(): string[] {
    return fs
      .readFileSync('/proc/self/mountinfo', 'latin1')
      .split('\n')
      .map(line => line.split(' ', 5)[4] ?? '')
      .map(point =>
        point.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8))),
      )
      .filter(point => point.startsWith(`${this.#folder}/`))
  }
}
