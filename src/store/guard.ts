// Counts the operations on a store, makes those wait that are too many, and answers those that are late.
import { AppError, isAppError, type StoreTrouble } from '../errors.ts'
import { troubleError, type StoreOperation } from './failure.ts'
import type { ArtifactPath } from './path.ts'

export interface GuardLimits {
  /** Operations under way at once, hung ones included, in the store and all scoped views of it together. */
  readonly maxOperations: number
  /** How long one operation may take, waiting for its turn included: one `stat` or `open`, one batch of a list, one chunk of a read. */
  readonly deadlineMs: number
}

export interface OperationCounts {
  /** Operations that were begun and have not settled, hung ones included. */
  readonly inFlight: number
  /** Operations past their deadline that have not settled. */
  readonly hung: number
  /** Operations that wait for their turn. */
  readonly waiting: number
}

/** So many operations for each place may wait for one. */
const QUEUED_PER_PLACE = 32

interface Operation {
  expiresAtMs: number
  /** Answers the caller; the operation may still be under way. */
  readonly refuse: (error: AppError) => void
  /** Undefined once it was begun. */
  begin: (() => void) | undefined
  readonly name: StoreOperation
  readonly path: ArtifactPath
  /** False for a release: what it waits for is an operation that counts already. */
  readonly counts: boolean
}

/** Counts operations and expires them, with one timer for all: deadlines are equally long, so the oldest expires first. */
export class Guard {
  readonly #limits: GuardLimits
  readonly #connection: string
  /** What it means when an operation is late. */
  readonly #late: StoreTrouble
  /** What can still expire, in the order of arrival: under way or queued. */
  readonly #pending = new Set<Operation>()
  readonly #queue = new Set<Operation>()
  #hung = 0
  #releasing = 0
  #timer: NodeJS.Timeout | undefined

  constructor(limits: GuardLimits, connection: string, late: StoreTrouble) {
    this.#limits = limits
    this.#connection = connection
    this.#late = late
  }

  get counts(): OperationCounts {
    return { inFlight: this.#inFlight, hung: this.#hung, waiting: this.#queue.size }
  }

  get #inFlight(): number {
    return this.#pending.size - this.#releasing - this.#queue.size + this.#hung
  }

  /**
   * Does `work` when there is a place for it. A value that comes after the deadline goes to `discard`. Work of many steps calls `renew` after each: the deadline counts from there.
   */
  run<T>(
    name: StoreOperation,
    path: ArtifactPath,
    work: (renew: () => void) => Promise<T>,
    discard?: (late: T) => Promise<unknown>,
  ): Promise<T> {
    const { maxOperations } = this.#limits
    if (this.#inFlight < maxOperations) return this.#start(name, path, work, discard, false)
    if (this.#hung < maxOperations && this.#queue.size < maxOperations * QUEUED_PER_PLACE)
      return this.#start(name, path, work, discard, true)
    return Promise.reject(this.#busy(name, path))
  }

  /** Like `run`, but never queued or refused: what frees resources must not wait for others to do so. */
  release<T>(name: StoreOperation, path: ArtifactPath, work: () => Promise<T>): Promise<T> {
    return this.#start(name, path, work, undefined, false, false)
  }

  #start<T>(
    name: StoreOperation,
    path: ArtifactPath,
    work: (renew: () => void) => Promise<T>,
    discard: ((late: T) => Promise<unknown>) | undefined,
    queued: boolean,
    counts = true,
  ): Promise<T> {
    return new Promise((resolve, reject) => {
      const begin = (): void => {
        let inTime = false
        work(() => this.#renew(operation))
          .finally(() => (inTime = this.#settled(operation)))
          .then(
            value => {
              if (inTime) resolve(value)
              // Nobody is left to hear of its failure.
              else discard?.(value).catch(() => undefined)
            },
            (error: unknown) => reject(isAppError(error) ? this.named(error, name, path) : (error as Error)),
          )
      }
      const expiresAtMs = performance.now() + this.#limits.deadlineMs
      const operation: Operation = {
        expiresAtMs,
        refuse: reject,
        begin: queued ? begin : undefined,
        name,
        path,
        counts,
      }
      this.#pending.add(operation)
      if (!counts) this.#releasing++
      this.#timer ??= this.#wake(this.#limits.deadlineMs)
      if (queued) this.#queue.add(operation)
      else begin()
    })
  }

  /** Not for one that was answered already. */
  #renew(operation: Operation): void {
    if (!this.#pending.delete(operation)) return
    operation.expiresAtMs = performance.now() + this.#limits.deadlineMs
    this.#pending.add(operation)
  }

  /** Frees the place of an operation for the next in the queue; whether it settled before its deadline. */
  #settled(operation: Operation): boolean {
    const inTime = this.#pending.delete(operation)
    if (!operation.counts) this.#releasing -= inTime ? 1 : 0
    else if (!inTime) this.#hung -= 1
    if (this.#queue.size > 0 && this.#inFlight < this.#limits.maxOperations) this.#beginNext()
    return inTime
  }

  #beginNext(): void {
    for (const operation of this.#queue) {
      this.#queue.delete(operation)
      operation.begin?.()
      return
    }
  }

  #wake(afterMs: number): NodeJS.Timeout {
    return setTimeout(() => this.#expireOldest(), Math.ceil(afterMs)).unref()
  }

  #expireOldest(): void {
    this.#timer = undefined
    const nowMs = performance.now()
    for (const operation of this.#pending) {
      if (operation.expiresAtMs > nowMs) {
        this.#timer = this.#wake(operation.expiresAtMs - nowMs)
        break
      }
      this.#pending.delete(operation)
      if (!operation.counts) this.#releasing -= 1
      else if (!this.#queue.delete(operation)) this.#hung += 1
      operation.refuse(this.#expired(operation))
    }
    if (this.#hung >= this.#limits.maxOperations) this.#refuseQueued()
  }

  #refuseQueued(): void {
    for (const operation of this.#queue) {
      this.#pending.delete(operation)
      operation.refuse(this.#busy(operation.name, operation.path))
    }
    this.#queue.clear()
  }

  #expired({ name, path }: Operation): AppError {
    return troubleError(this.#connection, this.#late, name, path, {
      advice: `It did not answer within ${this.#limits.deadlineMs / 1000} s.`,
    })
  }

  #busy(op: StoreOperation, path: ArtifactPath): AppError {
    return new AppError(
      'Unavailable',
      `The outputs store '${this.#connection}' has too many operations under way: try again shortly.`,
      { op, path, limit: 'store.maxOperations' },
    )
  }

  /** `error` with the name of the connection. A store that names no trouble knows no name either: what it says is that it is not there. */
  named(error: AppError, operation: StoreOperation, path: ArtifactPath): AppError {
    if (error.kind !== 'Unavailable' || error.trouble !== undefined) return error
    return troubleError(this.#connection, 'unreachable', operation, path, { cause: error.cause ?? error })
  }
}
