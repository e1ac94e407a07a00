// A fixed number of places for work that many archives share.
import { aborted, throwIfAborted } from './archive-abort.ts'

/**
 * Lets so many pieces of work run at once: owners in turn, the work of each in the order in which it came.
 *
 * All archives of a process share one, for sixteen files ahead for each of a hundred downloads would use up the operations of the store. Taking turns,
 * a download is not held up by another one that has a thousand pieces waiting.
 */
export class Places {
  #free: number
  /** Owners that wait, the one whose turn is next first; of each, its waiting work in order of arrival. */
  readonly #waiting = new Map<object, Set<() => void>>()

  constructor(count: number) {
    this.#free = count
  }

  /** Waits for a place and gives back what returns it, to be called once. Fails with Aborted when the signal comes first. */
  async enter(owner: object, signal: AbortSignal | undefined): Promise<() => void> {
    throwIfAborted(signal)
    if (this.#free > 0) this.#free--
    else await this.#wait(owner, signal)
    return () => this.#leave()
  }

  #wait(owner: object, signal: AbortSignal | undefined): Promise<void> {
    return new Promise((resolve, reject) => {
      const queue = this.#waiting.get(owner) ?? new Set()
      this.#waiting.set(owner, queue)
      const enter = (): void => {
        signal?.removeEventListener('abort', giveUp)
        resolve()
      }
      const giveUp = (): void => {
        queue.delete(enter)
        if (queue.size === 0 && this.#waiting.get(owner) === queue) this.#waiting.delete(owner)
        reject(aborted())
      }
      queue.add(enter)
      signal?.addEventListener('abort', giveUp, { once: true })
    })
  }

  /** Hands the place on without it ever being free, to the next owner in turn. */
  #leave(): void {
    const [next] = this.#waiting
    if (next === undefined) {
      this.#free++
      return
    }
    const [owner, queue] = next
    const [enter] = queue
    queue.delete(enter!)
    this.#waiting.delete(owner)
    if (queue.size > 0) this.#waiting.set(owner, queue)
    enter!()
  }
}
