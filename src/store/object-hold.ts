// What one request and its body hold: a place among the connections, a client, and a signal that ends both.
import type { ObjectClient } from './object-client.ts'
import type { Lease, ObjectConnection } from './object-connection.ts'
import type { Patience } from './object-retry.ts'
import { following, type FollowingSignal } from './object-signal.ts'
import type { Slot } from './object-slots.ts'

export class Hold {
  readonly client: ObjectClient
  readonly #slot: Slot
  readonly #lease: Lease
  readonly #connection: ObjectConnection
  readonly #ending: FollowingSignal

  private constructor(slot: Slot, lease: Lease, connection: ObjectConnection, signal: AbortSignal) {
    this.client = lease.client
    this.#slot = slot
    this.#lease = lease
    this.#connection = connection
    this.#ending = following(signal)
  }

  /** Has `slot` from here on: where this rejects, as `ObjectConnection.lease` does, it is released. */
  static async with(
    slot: Slot,
    connection: ObjectConnection,
    patience: Patience,
    signal: AbortSignal,
  ): Promise<Hold> {
    try {
      return new Hold(slot, await connection.lease(signal, patience.remainingMs), connection, signal)
    } catch (error) {
      slot.release()
      throw error
    }
  }

  /** For the request; aborted with the signal of whoever asked, and by `abort`. */
  get signal(): AbortSignal {
    return this.#ending.signal
  }

  abort(): void {
    this.#ending.abort()
  }

  /** As `Slot.rest`: nobody waits for the body, and `reclaim` must end it. */
  rest(reclaim: () => void): void {
    this.#slot.rest(reclaim)
  }

  /** As `Slot.work`. */
  work(): void {
    this.#slot.work()
  }

  /** Whether another client is to be had within `timeoutMs`, after the keys of this one were refused. */
  renewed(timeoutMs: number): Promise<boolean> {
    return this.#connection.renewed(this.#lease, this.signal, timeoutMs)
  }

  /** A second call does nothing. */
  release(): void {
    this.#ending.detach()
    this.#lease.release()
    this.#slot.release()
  }
}
