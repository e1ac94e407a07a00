// How fast one caller's uploads are taken in, all of them together. What comes faster waits in the buffers of the network, and in the end at the client: nothing fails.
import type { IncomingMessage } from 'node:http'
import { setTimeout as delay } from 'node:timers/promises'
import { callerKey } from './caller.ts'

/** Resolves when so many bytes more may be taken. Rejects when `signal` aborts. */
export type Pace = (bytes: number, signal: AbortSignal) => Promise<void>

/** What a caller who has sent nothing for a while may send at once: that of a second. */
const BURST_MS = 1_000
/** Callers whose time has come are forgotten when there are so many. */
const KEPT = 1_000

/** A token bucket for each caller, as the time at which it will be full: in any time t a caller sends at most `rate` bytes for each second of it, those of `BURST_MS`, and one chunk. */
export class UploadPace {
  readonly #msPerByte: number
  readonly #fullAtMs = new Map<string, number>()

  /** Bytes in a second; 0 for as fast as they come. */
  constructor(rate: number) {
    this.#msPerByte = rate === 0 ? 0 : 1_000 / rate
  }

  /** For the body of `request`. */
  of(request: IncomingMessage): Pace | undefined {
    if (this.#msPerByte === 0) return undefined
    const caller = callerKey(request)
    return (bytes, signal) => this.#take(caller, bytes, signal)
  }

  async #take(caller: string, bytes: number, signal: AbortSignal): Promise<void> {
    const nowMs = performance.now()
    const fullAtMs = Math.max(this.#fullAtMs.get(caller) ?? 0, nowMs) + bytes * this.#msPerByte
    this.#fullAtMs.set(caller, fullAtMs)
    if (this.#fullAtMs.size > KEPT) this.#forget(nowMs)
    const waitMs = fullAtMs - nowMs - BURST_MS
    if (waitMs > 0) await delay(waitMs, undefined, { signal }).catch(() => signal.throwIfAborted())
  }

  #forget(nowMs: number): void {
    for (const [caller, fullAtMs] of this.#fullAtMs) if (fullAtMs < nowMs) this.#fullAtMs.delete(caller)
  }
}
