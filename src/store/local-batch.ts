// Many system calls at once, but not too many: each takes a thread, and on a file system that hangs it keeps it.
import fs from 'node:fs'

/**
 * Calls at once beyond the first of each batch, in all batches of a store together.
 *
 * They come on top of the operations that `guarded` counts, so that many have to stay free in the thread pool.
 */
const SHARED_CALLS = 8
/** Closing a file of NFS or FUSE waits for the server. All clients of a mount that hangs may leave at once, and their files must not take every thread. */
const CLOSES_AT_ONCE = 4
/** Threads that one store can hold beside one for each operation that `guarded` counts. */
export const EXTRA_THREADS = SHARED_CALLS + CLOSES_AT_ONCE

/** The calls of one store that run side by side. */
export class CallBudget {
  #free = SHARED_CALLS

  /**
   * Starts a call for every item and gathers the results in the order of the items.
   *
   * One call at a time is always allowed, so that a batch which hangs slows others down but does not stop them. Fails with the first error, and only when
   * no call is under way any more, so that what the calls use can be released then. Callbacks, since a promise for each call costs four times the call.
   */
  each<T, R>(
    items: readonly T[],
    start: (item: T, done: (error: Error | null, result?: R) => void) => void,
  ): Promise<(R | undefined)[]> {
    return new Promise((resolve, reject) => {
      const results: (R | undefined)[] = Array.from({ length: items.length })
      let next = 0
      let underWay = 0
      let failure: Error | null = null
      const startMore = (): void => {
        while (failure === null && next < items.length && (underWay === 0 || this.#free > 0)) {
          const index = next++
          if (underWay++ > 0) this.#free -= 1
          start(items[index]!, (error, result) => {
            if (--underWay > 0) this.#free += 1
            failure ??= error
            results[index] = result
            startMore()
          })
        }
        if (underWay > 0) return
        if (failure !== null) reject(failure)
        else resolve(results)
      }
      startMore()
    })
  }
}

/** The descriptors of one store that are to be closed, a few at a time. */
export class CloseQueue {
  #underWay = 0
  readonly #waiting: (() => void)[] = []

  /** Closes a descriptor, at once where that waits for no network. Never fails: nothing was written, so an error is of no use. */
  close(fd: number, isLocal: boolean): Promise<void> | undefined {
    if (isLocal) {
      fs.closeSync(fd)
      return undefined
    }
    return new Promise(resolve => {
      const start = (): void => {
        this.#underWay += 1
        fs.close(fd, () => {
          this.#underWay -= 1
          this.#waiting.shift()?.()
          resolve()
        })
      }
      if (this.#underWay < CLOSES_AT_ONCE) start()
      else this.#waiting.push(start)
    })
  }
}
