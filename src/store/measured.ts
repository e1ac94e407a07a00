// A store that tells how long each of its operations took and how it ended.
import { isAppError, type ErrorKind } from '../errors.ts'
import { requestContext } from '../request-context.ts'
import type { StoreOperation } from './failure.ts'
import type { ArtifactPath } from './path.ts'
import type {
  ArtifactStore,
  Capabilities,
  CreateOptions,
  Entry,
  ListOptions,
  OpenArtifact,
  OpenOptions,
  PendingArtifact,
  ReadOptions,
  Removal,
  RemoveAllOptions,
  RemoveOptions,
} from './store.ts'

export type MeasuredOperation = StoreOperation | 'copy' | 'move' | 'sweep' | 'probe' | 'direct'

export interface StoreObserver {
  /** One operation has ended: one `stat` or `open`, one batch of a list, one chunk of a read or a write. `kind` is that of its failure. */
  operation(operation: MeasuredOperation, elapsedMs: number, kind: ErrorKind | undefined): void
  /** A request to an object store is about to be made again, after a failure with `reason`. */
  retry(reason: string): void
}

/**
 * `store`, observed. What it does, yields and throws is the store's own; the time that a consumer takes between two batches or chunks does not count. The time also counts for the
 * request that asked, where there is one (`request-context.ts`).
 */
export function measured(store: ArtifactStore, observer: StoreObserver): ArtifactStore {
  return new MeasuredStore(store, new Meter(observer))
}

class Meter {
  readonly #observer: StoreObserver

  constructor(observer: StoreObserver) {
    this.#observer = observer
  }

  /** A result that `counts` says false of is not told. */
  async run<T>(
    operation: MeasuredOperation,
    work: () => Promise<T>,
    counts?: (result: T) => boolean,
  ): Promise<T> {
    const clock = requestContext.getStore()?.storeClock
    const beganMs = performance.now()
    clock?.begin(beganMs)
    let kind: ErrorKind | undefined
    let isTold = true
    try {
      const result = await work()
      isTold = counts?.(result) ?? true
      return result
    } catch (error) {
      kind = isAppError(error) ? error.kind : 'Internal'
      throw error
    } finally {
      const nowMs = performance.now()
      clock?.end(nowMs)
      if (isTold) this.#observer.operation(operation, nowMs - beganMs, kind)
    }
  }

  steps<T>(operation: MeasuredOperation, steps: AsyncIterable<T>): AsyncIterable<T> {
    return { [Symbol.asyncIterator]: () => new MeasuredSteps(this, operation, steps) }
  }
}

/** The steps of a list or a read, each an operation of its own; not that the last one, which only says that there are no more. */
class MeasuredSteps<T> implements AsyncIterator<T> {
  readonly #meter: Meter
  readonly #operation: MeasuredOperation
  readonly #steps: AsyncIterator<T>
  #isFirst = true

  constructor(meter: Meter, operation: MeasuredOperation, steps: AsyncIterable<T>) {
    this.#meter = meter
    this.#operation = operation
    this.#steps = steps[Symbol.asyncIterator]()
  }

  next(): Promise<IteratorResult<T>> {
    return this.#meter.run(
      this.#operation,
      () => this.#steps.next(),
      ({ done }) => {
        const isTold = done !== true || this.#isFirst
        this.#isFirst = false
        return isTold
      },
    )
  }

  async return(): Promise<IteratorResult<T>> {
    await this.#steps.return?.()
    return { done: true, value: undefined }
  }
}

class MeasuredStore implements ArtifactStore {
  readonly capabilities: Capabilities
  readonly direct?: NonNullable<ArtifactStore['direct']>
  readonly probe?: NonNullable<ArtifactStore['probe']>
  readonly copy?: NonNullable<ArtifactStore['copy']>
  readonly move?: NonNullable<ArtifactStore['move']>
  readonly sweep?: NonNullable<ArtifactStore['sweep']>
  readonly #inner: ArtifactStore
  readonly #meter: Meter

  constructor(inner: ArtifactStore, meter: Meter) {
    this.capabilities = inner.capabilities
    this.#inner = inner
    this.#meter = meter
    if (inner.direct !== undefined)
      this.direct = (path, asked, options) => meter.run('direct', () => inner.direct!(path, asked, options))
    if (inner.probe !== undefined) this.probe = options => meter.run('probe', () => inner.probe!(options))
    if (inner.copy !== undefined)
      this.copy = (from, to, options) => meter.run('copy', () => inner.copy!(from, to, options))
    if (inner.move !== undefined)
      this.move = (from, to, options) => meter.run('move', () => inner.move!(from, to, options))
    if (inner.sweep !== undefined)
      this.sweep = (olderThanMs, options) => meter.run('sweep', () => inner.sweep!(olderThanMs, options))
  }

  stat(path: ArtifactPath, options?: { readonly signal?: AbortSignal }): Promise<Entry> {
    return this.#meter.run('stat', () => this.#inner.stat(path, options))
  }

  list(path: ArtifactPath, options?: ListOptions): AsyncIterable<readonly Entry[]> {
    return this.#meter.steps('list', this.#inner.list(path, options))
  }

  async open(path: ArtifactPath, options?: OpenOptions): Promise<OpenArtifact> {
    return new MeasuredArtifact(
      await this.#meter.run('open', () => this.#inner.open(path, options)),
      this.#meter,
    )
  }

  async create(path: ArtifactPath, options?: CreateOptions): Promise<PendingArtifact> {
    const pending = await this.#meter.run('write', () => this.#inner.create(path, options))
    return {
      write: chunk => this.#meter.run('write', () => pending.write(chunk)),
      complete: () => this.#meter.run('write', () => pending.complete()),
      abort: () => this.#meter.run('write', () => pending.abort()),
    }
  }

  checkWritable(options?: { readonly signal?: AbortSignal }): Promise<void> {
    return this.#meter.run('write', () => this.#inner.checkWritable(options))
  }

  remove(path: ArtifactPath, options?: RemoveOptions): Promise<void> {
    return this.#meter.run('remove', () => this.#inner.remove(path, options))
  }

  removeAll(path: ArtifactPath, options?: RemoveAllOptions): Promise<Removal> {
    return this.#meter.run('remove', () => this.#inner.removeAll(path, options))
  }

  scoped(folder: ArtifactPath): ArtifactStore {
    return new MeasuredStore(this.#inner.scoped(folder), this.#meter)
  }

  close(): Promise<void> {
    return this.#inner.close()
  }
}

class MeasuredArtifact implements OpenArtifact {
  readonly entry: Entry
  readonly contentEncoding: string | undefined
  readonly storedCrc32?: NonNullable<OpenArtifact['storedCrc32']>
  readonly #inner: OpenArtifact
  readonly #meter: Meter

  constructor(inner: OpenArtifact, meter: Meter) {
    this.entry = inner.entry
    this.contentEncoding = inner.contentEncoding
    this.#inner = inner
    this.#meter = meter
    if (inner.storedCrc32 !== undefined)
      this.storedCrc32 = options => meter.run('read', () => inner.storedCrc32!(options))
  }

  read(start: number, end: number, options?: ReadOptions): AsyncIterable<Uint8Array> {
    return this.#meter.steps('read', this.#inner.read(start, end, options))
  }

  close(): Promise<void> {
    return this.#inner.close()
  }
}
