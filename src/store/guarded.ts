// A store whose operations end in time: each has a deadline, and only so many may be under way.
import { AppError } from '../errors.ts'
import type { ArtifactPath } from './path.ts'
import { storeError, type StoreOperation } from './failure.ts'
import type {
  ArtifactStore,
  Capabilities,
  Entry,
  ListOptions,
  OpenArtifact,
  OpenOptions,
  ReadOptions,
} from './store.ts'

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
}

export interface GuardedStore extends ArtifactStore {
  readonly operations: OperationCounts
}

/** So many operations for each place may wait for one. */
const QUEUED_PER_PLACE = 32

/**
 * `store` with a deadline on every operation and a bound on their number.
 *
 * A file system that hangs cannot be interrupted, and each hung call holds a thread. So an operation that is past its deadline is answered
 * with Unavailable but keeps its place until it settles. A burst waits for its turn, as transfers would break otherwise; once every place is
 * hung, or the queue is long, Unavailable comes at once. What a late `open` yields is closed. The time that a consumer takes between two
 * batches or chunks does not count.
 *
 * A read that failed with Unavailable may still write into the buffer it took last: that memory must not be used again.
 */
export function guarded(store: ArtifactStore, limits: GuardLimits): GuardedStore {
  return new GuardedView(store, new Guard(limits))
}

interface Operation {
  readonly expiresAtMs: number
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
class Guard {
  readonly #limits: GuardLimits
  /** What can still expire, in the order of arrival: under way or queued. */
  readonly #pending = new Set<Operation>()
  readonly #queue = new Set<Operation>()
  #hung = 0
  #releasing = 0
  #timer: NodeJS.Timeout | undefined

  constructor(limits: GuardLimits) {
    this.#limits = limits
  }

  get counts(): OperationCounts {
    return { inFlight: this.#inFlight, hung: this.#hung }
  }

  get #inFlight(): number {
    return this.#pending.size - this.#releasing - this.#queue.size + this.#hung
  }

  /** Does `work` when there is a place for it. A value that comes after the deadline goes to `discard`. */
  run<T>(
    name: StoreOperation,
    path: ArtifactPath,
    work: () => Promise<T>,
    discard?: (late: T) => Promise<unknown>,
  ): Promise<T> {
    const { maxOperations } = this.#limits
    if (this.#inFlight < maxOperations) return this.#start(name, path, work, discard, false)
    if (this.#hung < maxOperations && this.#queue.size < maxOperations * QUEUED_PER_PLACE)
      return this.#start(name, path, work, discard, true)
    return Promise.reject(busy(name, path))
  }

  /** Like `run`, but never queued or refused: what frees resources must not wait for others to do so. */
  release<T>(name: StoreOperation, path: ArtifactPath, work: () => Promise<T>): Promise<T> {
    return this.#start(name, path, work, undefined, false, false)
  }

  #start<T>(
    name: StoreOperation,
    path: ArtifactPath,
    work: () => Promise<T>,
    discard: ((late: T) => Promise<unknown>) | undefined,
    queued: boolean,
    counts = true,
  ): Promise<T> {
    return new Promise((resolve, reject) => {
      const begin = (): void => {
        let inTime = false
        work()
          .finally(() => (inTime = this.#settled(operation)))
          .then(value => {
            if (inTime) resolve(value)
            // Nobody is left to hear of its failure.
            else discard?.(value).catch(() => undefined)
          }, reject)
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
      operation.refuse(storeError('Unavailable', operation.name, operation.path))
    }
    if (this.#hung >= this.#limits.maxOperations) this.#refuseQueued()
  }

  #refuseQueued(): void {
    for (const operation of this.#queue) {
      this.#pending.delete(operation)
      operation.refuse(busy(operation.name, operation.path))
    }
    this.#queue.clear()
  }
}

function busy(op: StoreOperation, path: ArtifactPath): AppError {
  return new AppError(
    'Unavailable',
    'The outputs store has too many operations under way: try again shortly.',
    {
      op,
      path,
    },
  )
}

class GuardedView implements GuardedStore {
  readonly capabilities: Capabilities
  readonly #inner: ArtifactStore
  readonly #guard: Guard

  constructor(inner: ArtifactStore, guard: Guard) {
    this.capabilities = inner.capabilities
    this.#inner = inner
    this.#guard = guard
  }

  get operations(): OperationCounts {
    return this.#guard.counts
  }

  stat(path: ArtifactPath, options?: { readonly signal?: AbortSignal }): Promise<Entry> {
    return this.#guard.run('stat', path, () => this.#inner.stat(path, options))
  }

  list(path: ArtifactPath, options?: ListOptions): AsyncIterable<readonly Entry[]> {
    return {
      [Symbol.asyncIterator]: () =>
        new GuardedSteps(this.#guard, 'list', path, this.#inner.list(path, options)),
    }
  }

  async open(path: ArtifactPath, options?: OpenOptions): Promise<OpenArtifact> {
    const artifact = await this.#guard.run(
      'open',
      path,
      () => this.#inner.open(path, options),
      late => late.close(),
    )
    return new GuardedArtifact(artifact, this.#guard)
  }

  scoped(folder: ArtifactPath): GuardedStore {
    return new GuardedView(this.#inner.scoped(folder), this.#guard)
  }

  close(): Promise<void> {
    return this.#inner.close()
  }
}

class GuardedArtifact implements OpenArtifact {
  readonly entry: Entry
  readonly #inner: OpenArtifact
  readonly #guard: Guard

  constructor(inner: OpenArtifact, guard: Guard) {
    this.entry = inner.entry
    this.#inner = inner
    this.#guard = guard
  }

  read(start: number, end: number, options?: ReadOptions): AsyncIterable<Uint8Array> {
    const { path } = this.entry
    return {
      [Symbol.asyncIterator]: () =>
        new GuardedSteps(this.#guard, 'read', path, this.#inner.read(start, end, options)),
    }
  }

  /** After the deadline it goes on closing, unwatched: closing never fails. */
  close(): Promise<void> {
    return this.#guard.release('read', this.entry.path, () => this.#inner.close()).catch(() => undefined)
  }
}

/** The steps of a list or a read, each an operation of its own. */
class GuardedSteps<T> implements AsyncIterator<T, undefined, undefined> {
  readonly #guard: Guard
  readonly #operation: StoreOperation
  readonly #path: ArtifactPath
  readonly #steps: AsyncIterator<T>

  constructor(guard: Guard, operation: StoreOperation, path: ArtifactPath, steps: AsyncIterable<T>) {
    this.#guard = guard
    this.#operation = operation
    this.#path = path
    this.#steps = steps[Symbol.asyncIterator]()
  }

  async next(): Promise<IteratorResult<T, undefined>> {
    const step = await this.#guard.run(
      this.#operation,
      this.#path,
      () => this.#steps.next(),
      () => this.#end(),
    )
    return step.done === true ? { done: true, value: undefined } : step
  }

  /** Fails with Unavailable while a step is hung: what that step uses is then still in use. */
  async return(): Promise<IteratorResult<T, undefined>> {
    await this.#guard.release(this.#operation, this.#path, () => this.#end())
    return { done: true, value: undefined }
  }

  async #end(): Promise<void> {
    await this.#steps.return?.()
  }
}
