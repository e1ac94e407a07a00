// A fixed number of places for work that many archives share.
import { aborted, throwIfAborted } from './archive-abort.ts'

/**
 * Lets so many pieces of work run at once, in the order in which they came.
 *
 * All archives of a process share one: sixteen files ahead for each of a hundred downloads would use up the store's operations, which are refused, not queued.
 */
export class Places {
  #free: number
  /** In order of arrival; a set, so that one that gives up leaves in constant time. */
  readonly #waiting = new Set<() => void>()

  constructor(count: number) {
    this.#free = count
  }

  /** Waits for a place and gives back what returns it, to be called once. Fails with Aborted when the signal comes first. */
  async enter(signal: AbortSignal | undefined): Promise<() => void> {
    throwIfAborted(signal)
    if (this.#free > 0) this.#free--
    else await this.#wait(signal)
    return () => this.#leave()
  }

  #wait(signal: AbortSignal | undefined): Promise<void> {
    return new Promise((resolve, reject) => {
      const enter = (): void => {
        signal?.removeEventListener('abort', giveUp)
        resolve()
      }
      const giveUp = (): void => {
        this.#waiting.delete(enter)
        reject(aborted())
      }
      this.#waiting.add(enter)
      signal?.addEventListener('abort', giveUp, { once: true })
    })
  }

  /** Hands the place on without it ever being free, so that nobody overtakes. */
  #leave(): void {
    const [enter] = this.#waiting
    if (enter === undefined) this.#free++
    else {
      this.#waiting.delete(enter)
      enter()
    }
  }
}
