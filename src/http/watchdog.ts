// Ends transfers whose clients take nothing. How long one takes as a whole is nobody's business: a slow client is served as long as it goes on.
import type { ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { AppError } from '../errors.ts'
import { breakOff } from './exchange.ts'

/** Bytes that the system holds of what was written to a connection and not acknowledged; undefined where it does not say. */
export type Unacknowledged = (socket: Socket) => number | undefined

export interface WatchdogOptions {
  /** How long a client may take nothing although there is something to take. */
  readonly idleMs: number
  /** Asked once for all connections that are in question. */
  readonly unacknowledged: () => Promise<Unacknowledged>
  /** Called for each transfer that was ended. */
  readonly onIdle: () => void
}

/** How often within that time all transfers are looked at. */
const LOOKS = 4

interface Transfer {
  /** All that was written for the connection, and what of it is still with us and with the system: any byte that the client takes changes one of them. */
  written: number
  queued: number
  unacknowledged: number | undefined
  /** Looks one after the other at which none had changed. Counted rather than timed, for a process that itself had no turn for a while knows nothing of its clients. */
  looks: number
}

export class Watchdog {
  readonly #options: WatchdogOptions
  readonly #transfers = new Map<ServerResponse, Transfer | undefined>()
  readonly #timer: NodeJS.Timeout
  #isLooking = false

  constructor(options: WatchdogOptions) {
    this.#options = options
    this.#timer = setInterval(() => void this.#look(), options.idleMs / LOOKS).unref()
  }

  /** Until `response` is sent or its connection gone. */
  watch(response: ServerResponse): void {
    this.#transfers.set(response, undefined)
    response.once('close', () => this.#transfers.delete(response))
  }

  stop(): void {
    clearInterval(this.#timer)
  }

  async #look(): Promise<void> {
    if (this.#isLooking) return
    this.#isLooking = true
    try {
      const still = [...this.#transfers.keys()].filter(response => this.#standsStill(response))
      if (still.length > 0) this.#judge(still, await this.#options.unacknowledged())
    } finally {
      this.#isLooking = false
    }
  }

  /** Whether nothing of what waits to be taken has left us since the last look. */
  #standsStill(response: ServerResponse): boolean {
    const { socket } = response
    if (socket === null || socket.writableLength === 0) {
      this.#transfers.set(response, undefined)
      return false
    }
    const now = { written: socket.bytesWritten, queued: queuedBy(socket) }
    const before = this.#transfers.get(response)
    if (before?.written === now.written && before.queued === now.queued) return true
    this.#transfers.set(response, { ...now, unacknowledged: undefined, looks: 0 })
    return false
  }

  #judge(still: readonly ServerResponse[], unacknowledged: Unacknowledged): void {
    for (const response of still) {
      const transfer = this.#transfers.get(response)
      const { socket } = response
      if (transfer === undefined || socket === null) continue
      const left = unacknowledged(socket) ?? transfer.unacknowledged
      const isTaken = transfer.unacknowledged !== undefined && left !== transfer.unacknowledged
      transfer.looks = isTaken ? 0 : transfer.looks + 1
      transfer.unacknowledged = left
      if (transfer.looks >= LOOKS) this.#end(response)
    }
  }

  #end(response: ServerResponse): void {
    this.#options.onIdle()
    const seconds = this.#options.idleMs / 1000
    breakOff(
      response,
      new AppError('Aborted', `The client took nothing for ${seconds} s, and the transfer was broken off.`, {
        op: 'send',
      }),
    )
  }
}

/** What of a write has not left the process; Node's own time limit of sockets looks at the same to tell slow clients. */
function queuedBy(socket: Socket): number {
  const { _handle: handle } = socket as Socket & {
    readonly _handle?: { readonly writeQueueSize?: number } | null
  }
  return handle?.writeQueueSize ?? 0
}
