// What all requests to a bucket learn from each other while the store is away: one at a time tries it, and the first that is answered wakes all.
import { ObjectFailure } from './object-client.ts'
import { abortedBy } from './object-deadline.ts'
import { isPassing, pauseMs, type Patience, type RetryPolicy } from './object-retry.ts'

/**
 * So many failures in a row, with no answer to anybody in between, make an outage. Fewer are what single connections and a throttling store have among their successes: for
 * those it is enough that each that failed pauses by itself.
 */
const FAILURES = 4
/** Failures that are further apart than this are not of one row. */
const ROW_MS = 15_000

export class Outage {
  readonly #policy: Pick<RetryPolicy, 'basePauseMs' | 'maxPauseMs'>
  readonly #waking = new Set<() => void>()
  #failures = 0
  #firstFailureAtMs = 0
  #lastFailureAtMs = -Infinity
  #lastFailure: ObjectFailure | undefined
  #trials = 0
  /** The next trial is not before that. */
  #nextTrialAtMs = 0

  constructor(policy: Pick<RetryPolicy, 'basePauseMs' | 'maxPauseMs'>) {
    this.#policy = policy
  }

  get isUnderWay(): boolean {
    return this.#failures >= FAILURES
  }

  /** For how long the store has answered nobody; 0 without an outage. */
  get lastedMs(): number {
    return this.isUnderWay ? performance.now() - this.#firstFailureAtMs : 0
  }

  /** Takes in how a request ended. */
  failed(error: unknown): void {
    if (!(error instanceof ObjectFailure) || error.reason === 'aborted') return
    // Whatever else it says, the store has answered.
    if (!isPassing(error)) this.answered()
    else this.#add(error)
  }

  answered(): void {
    this.#failures = 0
    this.#trials = 0
    for (const wake of this.#waking) wake()
  }

  /**
   * Waits until there is no outage, or the caller is the one to try whether there still is: then true. Rejects with the last failure when patience ends before, and with
   * `aborted`.
   */
  async turn(patience: Patience, signal: AbortSignal): Promise<boolean> {
    while (this.isUnderWay) {
      if (signal.aborted) throw abortedBy(signal)
      if (patience.remainingMs <= 0) throw this.#lastFailure!
      const waitMs = this.#nextTrialAtMs - performance.now()
      if (waitMs <= 0) {
        this.#scheduleTrial()
        return true
      }
      await this.#sleep(Math.min(waitMs, patience.remainingMs), signal)
    }
    return false
  }

  #add(failure: ObjectFailure): void {
    const nowMs = performance.now()
    if (nowMs - this.#lastFailureAtMs > ROW_MS) this.#failures = 0
    if (this.#failures === 0) this.#firstFailureAtMs = nowMs
    this.#failures += 1
    this.#lastFailureAtMs = nowMs
    this.#lastFailure = failure
    if (this.#failures === FAILURES) this.#scheduleTrial()
    const { retryAfterMs = 0 } = failure
    this.#nextTrialAtMs = Math.max(this.#nextTrialAtMs, nowMs + retryAfterMs)
  }

  /** A trial need not have ended when the next is due: one that hangs must not hold up all others. */
  #scheduleTrial(): void {
    this.#trials += 1
    this.#nextTrialAtMs = performance.now() + pauseMs(this.#trials, this.#policy)
  }

  /** Until the time is over, an answer has come, or the signal is aborted. */
  async #sleep(ms: number, signal: AbortSignal): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<undefined>()
    const wake = (): void => resolve(undefined)
    const timer = setTimeout(wake, ms)
    this.#waking.add(wake)
    signal.addEventListener('abort', wake)
    await promise
    clearTimeout(timer)
    this.#waking.delete(wake)
    signal.removeEventListener('abort', wake)
  }
}
