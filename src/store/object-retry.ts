// The one policy of trying again: which failures, how often, after which pause, and how a failure that is left reads in the words of the store contract.
import { setTimeout as sleep } from 'node:timers/promises'
import { isAppError, type AppError } from '../errors.ts'
import { nameError, storeError, troubleError, type StoreOperation } from './failure.ts'
import { ObjectFailure, type FailureReason } from './object-client.ts'
import type { ArtifactPath } from './path.ts'

export interface RetryPolicy {
  /** Attempts without progress, the first one included. */
  readonly attempts: number
  /** Time without progress, pauses included. */
  readonly budgetMs: number
  /**
   * The pause after failure n is drawn from the upper half of [0, basePauseMs * 2 ** (n - 1)], at most maxPauseMs: at random, so that clients that failed together do not come
   * back together, but never so short that the attempts are used up before the pauses have grown.
   */
  readonly basePauseMs: number
  readonly maxPauseMs: number
  /** Whether it waits through an outage of the store for its turn to try, and for a connection as long as all are in use. */
  readonly outlastsOutages: boolean
}

/** Two silent attempts (`TIMEOUTS` in object-bucket.ts). Clients, and proxies in front of the service, wait for 30 to 60 s. */
const BUDGET_MS = 20_000

/** Before the first byte a client still waits for its status, and can ask again itself. The wait for a connection counts. */
export const REQUEST_POLICY: RetryPolicy = {
  attempts: 3,
  budgetMs: BUDGET_MS,
  basePauseMs: 100,
  maxPauseMs: 2000,
  outlastsOutages: false,
}

/**
 * Within a download giving up breaks it, so a store that restarts within seconds is waited for. Time alone decides: an archive has dozens of requests under way, and the one that
 * were the first to run out of attempts would break it.
 */
export const BODY_POLICY: RetryPolicy = {
  attempts: Infinity,
  budgetMs: BUDGET_MS,
  basePauseMs: 200,
  maxPauseMs: 2000,
  outlastsOutages: true,
}

const PASSING: ReadonlySet<FailureReason> = new Set(['unreachable', 'timeout', 'throttled', 'interrupted'])

/** Whether another attempt may help. */
export function isPassing(error: unknown): error is ObjectFailure {
  return error instanceof ObjectFailure && PASSING.has(error.reason)
}

/** A pause after failure number `failures`, from 1 on. */
export function pauseMs(
  failures: number,
  { basePauseMs, maxPauseMs }: Pick<RetryPolicy, 'basePauseMs' | 'maxPauseMs'>,
): number {
  const ceilingMs = Math.min(maxPauseMs, basePauseMs * 2 ** (failures - 1))
  return ceilingMs * (0.5 + Math.random() / 2)
}

/** How long one piece of work goes on trying. */
export class Patience {
  readonly #policy: RetryPolicy
  readonly #moreMs: number
  readonly #onRetry: ((reason: FailureReason) => void) | undefined
  #failures = 0
  #endsAtMs: number

  /** `moreMs` is what an attempt may take longer than one whose answer comes at once; another one is not made for it. `onRetry` is told of each failure after which one is made. */
  constructor(policy: RetryPolicy, moreMs = 0, onRetry?: (reason: FailureReason) => void) {
    this.#policy = policy
    this.#moreMs = moreMs
    this.#onRetry = onRetry
    this.#endsAtMs = performance.now() + policy.budgetMs
  }

  /** As that of the policy. */
  get outlastsOutages(): boolean {
    return this.#policy.outlastsOutages
  }

  /** Time left for the attempt under way. */
  get attemptMs(): number {
    return this.remainingMs + this.#moreMs
  }

  /** Time left until the last attempt must have begun. */
  get remainingMs(): number {
    return Math.max(0, this.#endsAtMs - performance.now())
  }

  /** Something came of it: attempts and time count from here. */
  renew(): void {
    this.#failures = 0
    this.#endsAtMs = performance.now() + this.#policy.budgetMs
  }

  /** So much time was not the store's fault, and does not count. */
  extend(ms: number): void {
    this.#endsAtMs += ms
  }

  /** Waits until the next attempt is due. Throws `error` where another attempt would not help, and once patience is exhausted. */
  async pause(error: unknown, signal: AbortSignal): Promise<void> {
    if (!isPassing(error)) throw error
    this.#failures += 1
    if (this.#failures >= this.#policy.attempts) throw error
    const waitMs = (error.retryAfterMs ?? 0) + pauseMs(this.#failures, this.#policy)
    if (waitMs >= this.remainingMs) throw error
    try {
      await sleep(waitMs, undefined, { signal })
    } catch (cause) {
      throw new ObjectFailure('aborted', { cause })
    }
    this.#onRetry?.(error.reason)
  }
}

export interface FailureContext {
  /** The store's name. */
  readonly connection: string
  readonly operation: StoreOperation
  readonly path: ArtifactPath
  /** What a key that is not there means: the artifact had been seen before, or not. */
  readonly missing?: 'NotFound' | 'Changed'
}

/** `error` in the words of the store contract. */
export function contractError(error: unknown, context: FailureContext): AppError {
  const { connection, operation, path } = context
  if (isAppError(error)) return error
  if (!(error instanceof ObjectFailure)) return storeError('Internal', operation, path, error)
  switch (error.reason) {
    case 'missing-object':
      return storeError(context.missing ?? 'NotFound', operation, path, error)
    case 'changed':
    case 'range':
      // A range is checked against the size that was seen, so one behind the end means another content.
      return storeError('Changed', operation, path, error)
    case 'aborted':
      return storeError('Aborted', operation, path, error)
    case 'missing-upload':
      return troubleError(connection, 'interrupted', operation, path, {
        cause: error,
        advice: error.advice ?? 'It has forgotten the beginning of the upload, which must be sent again.',
      })
    case 'impossible-name':
      return nameError(operation, path, error)
    case 'is-directory':
      return storeError('IsDirectory', operation, path, error)
    case 'not-directory':
      return storeError('NotDirectory', operation, path, error)
    case 'too-large':
      return storeError('TooLarge', operation, path, error)
    case 'full':
      return storeError('NoSpace', operation, path, error)
    default:
      return troubleError(connection, error.reason, operation, path, { cause: error, advice: error.advice })
  }
}
