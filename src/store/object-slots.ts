// The bound on requests and bodies that are open at one store, first come, first served, in turns.
import { ObjectFailure } from './object-client.ts'

/**
 * `request`: over when its answer has come. `body`: held as long as its consumer takes. Some places are never given to bodies, so that slow clients cannot keep the store from
 * being asked anything.
 */
export type SlotUse = 'request' | 'body'

/** A place among the connections, held from before the request until its body has ended. */
export interface Slot {
  /** A second call does nothing. */
  release(): void
  /**
   * Nobody waits for what comes through the connection, since a chunk has just been given. Where others wait for a connection they may have this one, now or while it rests:
   * `reclaim` is called, once, and must end the body and release the slot.
   */
  rest(reclaim: () => void): void
  /** Somebody waits again for the next chunk. */
  work(): void
}

/** All slots were taken for as long as the caller could wait. */
export class NoSlot extends Error {
  override readonly name = 'NoSlot'
}

/** When a body gives its connection to others that wait; to resume it costs a request. */
export interface TurnTimes {
  /** Once it has rested for so long, as behind a slow client. */
  readonly restMs: number
  /** At the next chunk once it has been read for so long, however busy it is: this bounds how long others wait. */
  readonly turnMs: number
}

const TIMES: TurnTimes = { restMs: 250, turnMs: 2000 }
const LOOK_AGAIN_MS = 100
/** Of the slots, this share is kept for requests, and one at least. */
const KEPT_FOR_REQUESTS = 1 / 8

interface Waiter {
  readonly sinceMs: number
  /** Waiters come in this order. */
  readonly number: number
  readonly use: SlotUse
  readonly take: (slot: Slot) => void
}

interface Resting {
  readonly dueAtMs: number
  readonly reclaim: () => void
}

export class Slots {
  readonly #limit: number
  readonly #maxBodies: number
  readonly #times: TurnTimes
  readonly #waiting: Readonly<Record<SlotUse, Set<Waiter>>> = { request: new Set(), body: new Set() }
  /** In the order in which they came to rest. */
  readonly #resting = new Map<Slot, Resting>()
  readonly #taken: Record<SlotUse, number> = { request: 0, body: 0 }
  #lastNumber = 0
  #timer: NodeJS.Timeout | undefined

  /** `limit` is at least 1. With 1 there is one more, for requests alone. */
  constructor(limit: number, times: Partial<TurnTimes> = {}) {
    const kept = Math.max(1, Math.floor(limit * KEPT_FOR_REQUESTS))
    this.#maxBodies = Math.max(1, limit - kept)
    this.#limit = Math.max(limit, this.#maxBodies + kept)
    this.#times = { ...TIMES, ...times }
  }

  get taken(): number {
    return this.#taken.request + this.#taken.body
  }

  /** Whether less than half of the slots are taken, so that work which could do without may take one more. */
  get plenty(): boolean {
    return this.taken < this.#limit / 2
  }

  /** Rejects with NoSlot after `timeoutMs`, where it is given, and with `aborted`. */
  async acquire(use: SlotUse, signal: AbortSignal, timeoutMs?: number): Promise<Slot> {
    if (signal.aborted) throw new ObjectFailure('aborted', { cause: signal.reason })
    if (this.#waiting[use].size === 0 && this.#hasPlaceFor(use)) return this.#slot(use)
    return new Promise((resolve, reject) => {
      const leave = (): void => {
        this.#waiting[use].delete(waiter)
        clearTimeout(timer)
        signal.removeEventListener('abort', onAbort)
      }
      const onAbort = (): void => {
        leave()
        reject(new ObjectFailure('aborted', { cause: signal.reason }))
      }
      const onTimeout = (): void => {
        leave()
        reject(new NoSlot('no free connection'))
      }
      const waiter: Waiter = {
        sinceMs: performance.now(),
        number: ++this.#lastNumber,
        use,
        take: slot => {
          leave()
          resolve(slot)
        },
      }
      const timer = timeoutMs === undefined ? undefined : setTimeout(onTimeout, timeoutMs)
      signal.addEventListener('abort', onAbort)
      this.#waiting[use].add(waiter)
      this.#reclaim()
    })
  }

  /** Gives what is free to those that wait, in their order. */
  #give(): void {
    for (let next = this.#next(); next !== undefined; next = this.#next()) next.take(this.#slot(next.use))
  }

  #hasPlaceFor(use: SlotUse): boolean {
    return this.taken < this.#limit && (use === 'request' || this.#taken.body < this.#maxBodies)
  }

  #next(): Waiter | undefined {
    const [request] = this.#hasPlaceFor('request') ? this.#waiting.request : []
    const [body] = this.#hasPlaceFor('body') ? this.#waiting.body : []
    if (request === undefined || body === undefined) return request ?? body
    return request.number < body.number ? request : body
  }

  #slot(use: SlotUse): Slot {
    this.#taken[use] += 1
    let isHeld = true
    /** A turn begins with the first chunk, so that each brings something. */
    let turnEndsAtMs: number | undefined
    const slot: Slot = {
      release: () => {
        if (!isHeld) return
        isHeld = false
        this.#taken[use] -= 1
        this.#resting.delete(slot)
        this.#give()
      },
      rest: reclaim => {
        if (!isHeld) return
        const nowMs = performance.now()
        turnEndsAtMs ??= nowMs + this.#times.turnMs
        this.#resting.set(slot, { dueAtMs: Math.min(turnEndsAtMs, nowMs + this.#times.restMs), reclaim })
        if (nowMs >= turnEndsAtMs) this.#reclaim()
      },
      work: () => {
        this.#resting.delete(slot)
      },
    }
    return slot
  }

  /** Whether a slot that a body gives up would go to somebody at once who cannot be expected to get another one soon. */
  #isWanted(nowMs: number): boolean {
    if (this.#waiting.body.size > 0) return true
    const [request] = this.#waiting.request
    return request !== undefined && nowMs - request.sinceMs >= this.#times.restMs
  }

  /** Takes connections from bodies that are due, one for each that waits, and looks again as long as somebody waits. */
  #reclaim(): void {
    const nowMs = performance.now()
    for (const [slot, { dueAtMs, reclaim }] of this.#resting) {
      // A slot that is released goes to the next that waits at once.
      if (!this.#isWanted(nowMs)) break
      if (dueAtMs > nowMs) continue
      this.#resting.delete(slot)
      reclaim()
    }
    if (this.#waiting.body.size + this.#waiting.request.size > 0) this.#reclaimLater()
  }

  #reclaimLater(): void {
    this.#timer ??= setTimeout(
      () => {
        this.#timer = undefined
        this.#reclaim()
      },
      Math.min(LOOK_AGAIN_MS, this.#times.restMs),
    ).unref()
  }
}
