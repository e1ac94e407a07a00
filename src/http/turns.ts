// One request at a time for each upload. Whoever asks how far it has come makes the one that still takes bytes stop: its client has most likely lost that connection.
import { AppError } from '../errors.ts'

export interface Turn {
  /** Aborted when another request waits for its turn: nothing more is to be taken in. */
  readonly signal: AbortSignal
  /** Must be called, whatever happens. */
  end(): void
}

interface Running {
  readonly appends: boolean
  readonly stop: () => void
  readonly ended: Promise<void>
}

export class Turns {
  readonly #running = new Map<string, Running>()

  /**
   * Waits until the requests before it have ended, as long as they take; rejects when `signal` aborts. A request that `appends` does not wait for another one that does: Locked.
   */
  async take(id: string, appends: boolean, signal: AbortSignal): Promise<Turn> {
    for (let before = this.#running.get(id); before !== undefined; before = this.#running.get(id)) {
      if (appends && before.appends) throw locked('Another request is adding to this upload.')
      before.stop()
      await unlessAborted(before.ended, signal)
    }
    const controller = new AbortController()
    const { promise: ended, resolve } = Promise.withResolvers<undefined>()
    const stop = (): void =>
      controller.abort(locked('Another request goes on with this upload: ask for its offset.'))
    this.#running.set(id, { appends, stop, ended })
    return {
      signal: controller.signal,
      end: () => {
        this.#running.delete(id)
        resolve(undefined)
      },
    }
  }

  /** Makes all stop, and waits until they have. */
  async stop(): Promise<void> {
    const running = [...this.#running.values()]
    for (const { stop } of running) stop()
    await Promise.all(running.map(({ ended }) => ended))
  }
}

function locked(message: string): AppError {
  return new AppError('Locked', message, { op: 'receive' })
}

function unlessAborted(promise: Promise<void>, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const abort = (): void => reject(signal.reason as Error)
    if (signal.aborted) abort()
    signal.addEventListener('abort', abort, { once: true })
    void promise.then(() => {
      signal.removeEventListener('abort', abort)
      resolve()
    })
  })
}
