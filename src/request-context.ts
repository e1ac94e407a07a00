// What belongs to the request that is being answered, wherever in the service it is worked on: nobody has to hand it down.
import { AsyncLocalStorage } from 'node:async_hooks'

export interface RequestContext {
  readonly requestId: string
  /** For requests to others that are made on behalf of this one (W3C Trace Context). */
  readonly traceparent: string
  readonly tracestate: string | undefined
  /** How long the stores were worked on. */
  readonly storeClock: Stopwatch
  /** Answers with a failure, or breaks the answer off where it has begun; does nothing where it was given. */
  fail(error: unknown): void
}

/** Undefined in what no request has asked for: sweeps, probes, timers of the process. */
export const requestContext = new AsyncLocalStorage<RequestContext | undefined>()

/** The fields of a request to another server that is made on behalf of the one that is being answered; none where there is none. */
export function traceFields(): Record<string, string> {
  const request = requestContext.getStore()
  if (request === undefined) return {}
  const { traceparent, tracestate } = request
  return tracestate === undefined ? { traceparent } : { traceparent, tracestate }
}

/** How long at least one of several things was under way: what runs side by side counts once. */
export class Stopwatch {
  #running = 0
  #sinceMs = 0
  #totalMs = 0

  get elapsedMs(): number {
    return this.#running > 0 ? this.#totalMs + performance.now() - this.#sinceMs : this.#totalMs
  }

  begin(nowMs: number): void {
    if (this.#running++ === 0) this.#sinceMs = nowMs
  }

  end(nowMs: number): void {
    if (--this.#running === 0) this.#totalMs += nowMs - this.#sinceMs
  }
}
