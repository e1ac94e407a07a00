// Loads what comes next while what came before is being sent, in order and within bounds.
import { AppError } from '../errors.ts'
import { throwIfAborted } from './archive-abort.ts'

/** Where a local disk stops gaining. */
export const DISK_PIECES = 16
/** Sixteen pieces of the largest size; held per read. */
const MAX_AHEAD_BYTES = 4 * 1024 * 1024

/** Bytes that all reads that share it may hold ahead, beyond the first piece of each, which is always allowed so that none waits for another. */
export class AheadBudget {
  #free: number

  constructor(bytes: number) {
    this.#free = bytes
  }

  /** Whether they were free; then `give` returns them. */
  take(bytes: number): boolean {
    if (bytes > this.#free) return false
    this.#free -= bytes
    return true
  }

  give(bytes: number): void {
    this.#free += bytes
  }
}

export interface AheadLimits {
  /** Loads of one read under way or waiting to be taken. */
  readonly pieces: number
  /** Without one, only the bound of each read holds. */
  readonly budget?: AheadBudget
}

export interface Load<T> {
  readonly size: number
  /** Started only when all loads before it have been taken. */
  readonly late?: boolean
  load(signal: AbortSignal): Promise<T>
}

/**
 * Results of numbered loads, each taken once and in ascending order.
 *
 * `loadAt` tells what is behind a number; undefined is where looking ahead ends for now. A failure is thrown in its turn, so whatever precedes it is still sent.
 */
export class Lookahead<T> {
  readonly #loadAt: (index: number) => Load<T> | undefined
  readonly #limits: AheadLimits
  readonly #controller = new AbortController()
  readonly #outer: AbortSignal | undefined
  readonly #onAbort = (): void => {
    this.#controller.abort()
  }
  readonly #queue: {
    readonly size: number
    readonly late: boolean
    readonly granted: number
    readonly result: Promise<T>
  }[] = []
  #queuedBytes = 0
  #next = 0

  constructor(
    loadAt: (index: number) => Load<T> | undefined,
    signal: AbortSignal | undefined,
    limits: AheadLimits = { pieces: DISK_PIECES },
  ) {
    this.#loadAt = loadAt
    this.#limits = limits
    this.#outer = signal
    if (signal?.aborted === true) this.#onAbort()
    signal?.addEventListener('abort', this.#onAbort, { once: true })
  }

  /** The result of load `index`, which must exist; loading of those after it goes on meanwhile. */
  async take(index: number): Promise<T> {
    throwIfAborted(this.#controller.signal)
    if (this.#queue.length === 0) this.#next = index
    this.#fill()
    const head = this.#queue[0]
    if (head === undefined || this.#next - this.#queue.length !== index)
      throw new AppError('Internal', 'A piece of the archive was read out of turn.', { op: 'read' })
    const result = await head.result
    this.#queue.shift()
    this.#limits.budget?.give(head.granted)
    this.#queuedBytes -= head.size
    this.#fill()
    return result
  }

  /** Stops everything; when it resolves, nothing is under way any more. */
  async cancel(): Promise<void> {
    this.#outer?.removeEventListener('abort', this.#onAbort)
    if (this.#queue.length === 0) return
    this.#onAbort()
    await Promise.allSettled(this.#queue.map(entry => entry.result))
    for (const entry of this.#queue) this.#limits.budget?.give(entry.granted)
    this.#queue.length = 0
  }

  #fill(): void {
    while (this.#queue.length < this.#limits.pieces && !this.#controller.signal.aborted) {
      const load = this.#loadAt(this.#next)
      if (load === undefined || !this.#fits(load)) return
      const granted = this.#queue.length === 0 ? 0 : load.size
      if (granted > 0 && this.#limits.budget?.take(granted) === false) return
      const result = load.load(this.#controller.signal)
      // A load that nobody waits for yet, or that is cancelled, may fail without anybody looking: take() and cancel() see it.
      result.catch(() => undefined)
      this.#queue.push({ size: load.size, late: load.late === true, granted, result })
      this.#queuedBytes += load.size
      this.#next++
    }
  }

  #fits(load: Load<T>): boolean {
    const last = this.#queue.at(-1)
    if (last === undefined) return true
    if (load.late === true && !last.late) return false
    return this.#queuedBytes + load.size <= MAX_AHEAD_BYTES
  }
}
