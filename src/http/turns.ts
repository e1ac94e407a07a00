// One request at a time for each upload. Whoever asks how far it has come makes the one that still takes bytes stop: its client has most likely lost that connection.
import { AppError } from '../errors.ts'

/** Less than proxies wait for an answer, so that the client is told by us why there is none. */
const PATIENCE_MS = 20_000

export interface Turn {
  /** Aborted when another request waits for its turn: nothing more is to be taken in. */
  readonly signal: AbortSignal
  /** `work` when it is done, which goes on, and keeps the turn, where that takes too long for an answer: Locked. */
  patiently<T>(work: Promise<T>): Promise<T>
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
  readonly #patienceMs: number

  constructor(patienceMs = PATIENCE_MS) {
    this.#patienceMs = patienceMs
  }

  /**
   * Waits until the requests before it have ended; Locked when that takes too long. Rejects when `signal` aborts. A request that `appends` does not wait for another one that
   * does: Locked.
   */
  async take(id: string, appends: boolean, signal: AbortSignal): Promise<Turn> {
    const endsAtMs = performance.now() + this.#patienceMs
    for (let before = this.#running.get(id); before !== undefined; before = this.#running.get(id)) {
      if (appends && before.appends) throw locked('Another request is adding to this upload.')
      before.stop()
      await within(before.ended, endsAtMs - performance.now(), signal)
    }
    return this.#begin(id, appends, signal)
  }

  /** Makes all stop, and waits until they have. */
  async stop(): Promise<void> {
    const running = [...this.#running.values()]
    for (const { stop } of running) stop()
    await Promise.all(running.map(({ ended }) => ended))
  }

  #begin(id: string, appends: boolean, signal: AbortSignal): Turn {
    const controller = new AbortController()
    const { promise: ended, resolve } = Promise.withResolvers<undefined>()
    const held: Promise<unknown>[] = []
    const stop = (): void =>
      controller.abort(locked('Another request goes on with this upload: ask for its offset.'))
    this.#running.set(id, { appends, stop, ended })
    return {
      signal: controller.signal,
      patiently: work => {
        held.push(work)
        return within(work, this.#patienceMs, signal)
      },
      end: () =>
        void Promise.allSettled(held).then(() => {
          this.#running.delete(id)
          resolve(undefined)
        }),
    }
  }
}

function locked(message: string): AppError {
  return new AppError('Locked', message, { op: 'receive', temporary: true })
}

/** `work`, which is left alone when `signal` aborts or it is not done in time. */
function within<T>(work: Promise<T>, ms: number, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const abort = (): void => reject(signal.reason as Error)
    if (signal.aborted) abort()
    signal.addEventListener('abort', abort, { once: true })
    const timer = setTimeout(
      () => reject(locked('The bytes of this upload are being put in their place: ask again later.')),
      ms,
    )
    const settled = (): void => {
      clearTimeout(timer)
      signal.removeEventListener('abort', abort)
    }
    work.then(resolve, reject).finally(settled)
  })
}
