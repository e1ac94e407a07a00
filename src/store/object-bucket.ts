// Requests to one bucket: each with a place among the connections, a client, and the retries that are due to it. Failures are ObjectFailure here; callers put them into words.
import { AppError } from '../errors.ts'
import type { ObjectStoreDefinition } from './definition.ts'
import {
  ObjectFailure,
  type ConnectObjects,
  type FailureReason,
  type GetRequest,
  type ListRequest,
  type ObjectClient,
  type ObjectHead,
  type ObjectPage,
  type ObjectTimeouts,
} from './object-client.ts'
import { OpenBody } from './object-body.ts'
import { ObjectConnection, type ConnectionTimes } from './object-connection.ts'
import { Hold } from './object-hold.ts'
import { Outage } from './object-outage.ts'
import { BODY_POLICY, Patience, REQUEST_POLICY, type RetryPolicy } from './object-retry.ts'
import { NoSlot, Slots, type Slot, type SlotUse, type TurnTimes } from './object-slots.ts'

const TIMEOUTS: ObjectTimeouts = { connectMs: 5000, headersMs: 10_000, idleMs: 10_000 }

/** For signals that nobody gave. */
const NEVER = new AbortController().signal

/** When a store has been away for so long, a request that a client waits for is answered after one attempt: it would not be the first to notice that the store is back. */
const SETTLED_OUTAGE_MS = 2000

/** What is told of it, and other times than usual, for tests that should not take them. */
export interface BucketOptions {
  readonly times?: Partial<ConnectionTimes>
  readonly retries?: Partial<Omit<RetryPolicy, 'outlastsOutages'>>
  readonly turns?: Partial<TurnTimes>
  /** Told of each failure after which a request is made again. */
  readonly onRetry?: (reason: FailureReason) => void
}

/** What one attempt does; `signal` also ends it when its time is up. */
export type Attempt<T> = (client: ObjectClient, signal: AbortSignal) => Promise<T>

export class ObjectBucket {
  readonly #name: string
  readonly #connection: ObjectConnection
  readonly #slots: Slots
  readonly #outage: Outage
  readonly #retries: BucketOptions['retries']
  readonly #onRetry: BucketOptions['onRetry']

  constructor(definition: ObjectStoreDefinition, connect: ConnectObjects, options: BucketOptions = {}) {
    this.#name = definition.name
    this.#connection = new ObjectConnection(definition, connect, TIMEOUTS, options.times)
    this.#slots = new Slots(definition.maxConnections, options.turns)
    this.#retries = options.retries
    this.#onRetry = options.onRetry
    this.#outage = new Outage({ ...BODY_POLICY, ...options.retries })
  }

  /** For a body that is resumed with `get`, and whatever else breaks a transfer when it fails. An attempt may take `moreMs` longer than one that is answered at once. */
  bodyPatience(moreMs?: number): Patience {
    return new Patience({ ...BODY_POLICY, ...this.#retries }, moreMs, this.#onRetry)
  }

  /** Whether many connections are free, so that one transfer may take several. */
  get hasSpareConnections(): boolean {
    return this.#slots.plenty
  }

  /** How the server lists, and takes parts and copies. */
  traits(
    signal = NEVER,
  ): Promise<Pick<ObjectClient, 'order' | 'canStartAfter' | 'partRules' | 'copies' | 'mayKeepFolders'>> {
    return this.compute(client => Promise.resolve(client), signal)
  }

  async list(request: ListRequest, signal: AbortSignal): Promise<ObjectPage> {
    return this.request((client, ending) => client.list(request, ending), signal)
  }

  /** Undefined where there is no such object. */
  async head(key: string, signal: AbortSignal, patience?: Patience): Promise<ObjectHead | undefined> {
    try {
      return await this.request((client, ending) => client.head(key, ending), signal, patience)
    } catch (error) {
      if (error instanceof ObjectFailure && error.reason === 'missing-object') return undefined
      throw error
    }
  }

  /** Whether any key begins with `prefix`. */
  async has(prefix: string, signal: AbortSignal): Promise<boolean> {
    let token: string | undefined
    do {
      const request = { prefix, delimiter: undefined, maxKeys: 1, ...(token !== undefined && { token }) }
      const page = await this.list(request, signal)
      if (page.objects.length > 0) return true
      token = page.token
    } while (token !== undefined)
    return false
  }

  /**
   * Makes one attempt, without retries, for a caller that resumes; its place is held until the body has ended, or somebody else's turn has come. The time for which all connections
   * are in use is not taken from `patience`.
   */
  async get(key: string, request: GetRequest, signal: AbortSignal, patience: Patience): Promise<OpenBody> {
    const { value, hold } = await this.#attempt(
      'body',
      (client, ending) => client.get(key, request, ending),
      signal,
      patience,
    )
    return new OpenBody(value, request.end - request.start, hold)
  }

  /** What `attempt` gives, tried again while that may help. */
  async request<T>(attempt: Attempt<T>, signal: AbortSignal, patience = this.#requestPatience()): Promise<T> {
    for (;;) {
      try {
        const { value, hold } = await this.#attempt('request', attempt, signal, patience)
        hold.release()
        return value
      } catch (error) {
        if (!patience.outlastsOutages && this.#outage.lastedMs >= SETTLED_OUTAGE_MS) throw error
        await patience.pause(error, signal)
      }
    }
  }

  /** For what asks the server nothing, or hardly ever: it need not wait for a connection. */
  async compute<T>(work: Attempt<T>, signal: AbortSignal): Promise<T> {
    const lease = await this.#connection.lease(signal, this.#requestPatience().remainingMs)
    try {
      return await work(lease.client, signal)
    } finally {
      lease.release()
    }
  }

  close(): void {
    this.#connection.close()
  }

  #requestPatience(): Patience {
    return new Patience({ ...REQUEST_POLICY, ...this.#retries }, 0, this.#onRetry)
  }

  /** One attempt and, where its keys were refused and others are to be had, one more. */
  async #attempt<T>(
    use: SlotUse,
    attempt: Attempt<T>,
    signal: AbortSignal,
    patience: Patience,
  ): Promise<{ readonly value: T; readonly hold: Hold }> {
    for (let isFirst = true; ; isFirst = false) {
      const slot = await this.#slotInTurn(use, signal, patience)
      const hold = await Hold.with(slot, this.#connection, patience, signal)
      try {
        const value = await inTime(attempt, hold, signal, patience.attemptMs)
        this.#outage.answered()
        return { value, hold }
      } catch (error) {
        this.#outage.failed(error)
        const isRefused = error instanceof ObjectFailure && error.reason === 'credentials'
        const goesOn = isRefused && isFirst && (await hold.renewed(patience.remainingMs))
        hold.release()
        if (!goesOn) throw error
      }
    }
  }

  /** A slot, when the store may be asked. */
  async #slotInTurn(use: SlotUse, signal: AbortSignal, patience: Patience): Promise<Slot> {
    if (!patience.outlastsOutages) return this.#slot(use, signal, patience.remainingMs)
    for (;;) {
      // Not awaited without an outage: a slot that is free is taken at once, so that `hasSpareConnections` is true for no more than there are.
      const isTrial = this.#outage.isUnderWay && (await this.#outage.turn(patience, signal))
      const waitingSinceMs = performance.now()
      const slot = await this.#slot(use, signal)
      patience.extend(performance.now() - waitingSinceMs)
      // An outage that began meanwhile is not for everybody to find out who has waited.
      if (isTrial || !this.#outage.isUnderWay) return slot
      slot.release()
    }
  }

  async #slot(use: SlotUse, signal: AbortSignal, timeoutMs?: number): Promise<Slot> {
    try {
      return await this.#slots.acquire(use, signal, timeoutMs)
    } catch (error) {
      if (!(error instanceof NoSlot)) throw error
      throw new AppError(
        'RateLimited',
        `All connections to the outputs store '${this.#name}' are in use: try again shortly.`,
        { cause: error, limit: 'store connections' },
      )
    }
  }
}

/** What `attempt` gives, or `timeout` after `timeoutMs`. */
async function inTime<T>(
  attempt: Attempt<T>,
  hold: Hold,
  signal: AbortSignal,
  timeoutMs: number,
): Promise<T> {
  const timer = setTimeout(() => hold.abort(), timeoutMs)
  try {
    return await attempt(hold.client, hold.signal)
  } catch (error) {
    if (signal.aborted) throw new ObjectFailure('aborted', { cause: signal.reason })
    throw hold.signal.aborted ? new ObjectFailure('timeout', { cause: error }) : error
  } finally {
    clearTimeout(timer)
  }
}
