// A store whose operations end in time: each has a deadline, and only so many may be under way.
import type { StoreOperation } from './failure.ts'
import { Guard, type GuardLimits, type OperationCounts } from './guard.ts'
import { following } from './object-signal.ts'
import { ROOT, type ArtifactPath } from './path.ts'
import type {
  ArtifactStore,
  Capabilities,
  CreateOptions,
  Entry,
  ListOptions,
  OpenArtifact,
  OpenOptions,
  PendingArtifact,
  Probe,
  ProbeStep,
  ReadOptions,
  Removal,
  RemoveAllOptions,
  RemoveOptions,
} from './store.ts'

export interface GuardedStore extends ArtifactStore {
  readonly operations: OperationCounts
}

/**
 * `store` with a deadline on every operation and a bound on their number; its failures name the connection.
 *
 * A file system that hangs cannot be interrupted, and each hung call holds a thread. So an operation that is past its deadline is answered
 * with Unavailable but keeps its place until it settles. A burst waits for its turn, as transfers would break otherwise; once every place is
 * hung, or the queue is long, Unavailable comes at once. What a late `open` yields is closed. The time that a consumer takes between two
 * batches or chunks does not count, and between two of them it holds no place.
 *
 * A read that failed with Unavailable may still write into the buffer it took last: that memory must not be used again.
 */
export function guarded(store: ArtifactStore, limits: GuardLimits, connection: string): GuardedStore {
  // A volume that hangs is gone as far as anybody can tell; a server that keeps us waiting has had our request.
  const late = store.capabilities.latency === 'network' ? 'timeout' : 'unreachable'
  return new GuardedView(store, new Guard(limits, connection, late))
}

class GuardedView implements GuardedStore {
  readonly capabilities: Capabilities
  readonly direct?: NonNullable<ArtifactStore['direct']>
  /** Bounded by whoever asks: its steps have times of their own. */
  readonly probe?: NonNullable<ArtifactStore['probe']>
  readonly copy?: NonNullable<ArtifactStore['copy']>
  readonly move?: NonNullable<ArtifactStore['move']>
  readonly sweep?: NonNullable<ArtifactStore['sweep']>
  readonly #inner: ArtifactStore
  readonly #guard: Guard

  constructor(inner: ArtifactStore, guard: Guard) {
    this.capabilities = inner.capabilities
    this.#inner = inner
    this.#guard = guard
    if (inner.direct !== undefined)
      this.direct = (path, asked, options) =>
        guard.run('open', path, () => inner.direct!(path, asked, options))
    if (inner.copy !== undefined)
      this.copy = (from, to, options) =>
        change(guard, 'write', to, options, given => inner.copy!(from, to, given))
    if (inner.move !== undefined)
      this.move = (from, to, options) =>
        change(guard, 'write', to, options, given => inner.move!(from, to, given))
    if (inner.sweep !== undefined)
      this.sweep = (olderThanMs, options) =>
        change(guard, 'write', ROOT, options, given => inner.sweep!(olderThanMs, given))
    if (inner.probe !== undefined) this.probe = async options => named(await inner.probe!(options), guard)
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

  async create(path: ArtifactPath, options?: CreateOptions): Promise<PendingArtifact> {
    const pending = await this.#guard.run(
      'write',
      path,
      () => this.#inner.create(path, options),
      late => late.abort(),
    )
    return new GuardedPending(pending, path, this.#guard)
  }

  checkWritable(options?: { readonly signal?: AbortSignal }): Promise<void> {
    return this.#guard.run('write', ROOT, () => this.#inner.checkWritable(options))
  }

  remove(path: ArtifactPath, options?: RemoveOptions): Promise<void> {
    return change(this.#guard, 'remove', path, options, given => this.#inner.remove(path, given))
  }

  /** The deadline is one for each step of it. */
  removeAll(path: ArtifactPath, options: RemoveAllOptions = {}): Promise<Removal> {
    return change(this.#guard, 'remove', path, options, (given, renew) => {
      const onProgress = (): void => {
        renew()
        options.onProgress?.()
      }
      return this.#inner.removeAll(path, { ...given, onProgress })
    })
  }

  scoped(folder: ArtifactPath): GuardedStore {
    return new GuardedView(this.#inner.scoped(folder), this.#guard)
  }

  close(): Promise<void> {
    return this.#inner.close()
  }
}

/** A change in one call. When it is late its signal is aborted: done after all, it would undo what others have been told is done since. */
async function change<O extends { readonly signal?: AbortSignal }, T>(
  guard: Guard,
  operation: StoreOperation,
  path: ArtifactPath,
  options: O | undefined,
  work: (given: O & { readonly signal: AbortSignal }, renew: () => void) => Promise<T>,
): Promise<T> {
  const ending = following(options?.signal)
  const given = { ...(options ?? ({} as O)), signal: ending.signal }
  try {
    return await guard.run(operation, path, renew => work(given, renew))
  } catch (error) {
    ending.abort()
    throw error
  } finally {
    ending.detach()
  }
}

function named({ list, read, write, deliver }: Probe, guard: Guard): Probe {
  const step = (each: ProbeStep): ProbeStep =>
    each.result === 'failed' ? { ...each, error: guard.named(each.error, 'stat', ROOT) } : each
  return {
    list: step(list),
    read: step(read),
    write: step(write),
    ...(deliver !== undefined && { deliver: step(deliver) }),
  }
}

class GuardedArtifact implements OpenArtifact {
  readonly entry: Entry
  readonly contentEncoding: string | undefined
  readonly storedCrc32?: NonNullable<OpenArtifact['storedCrc32']>
  readonly #inner: OpenArtifact
  readonly #guard: Guard

  constructor(inner: OpenArtifact, guard: Guard) {
    this.entry = inner.entry
    this.contentEncoding = inner.contentEncoding
    this.#inner = inner
    this.#guard = guard
    if (inner.storedCrc32 !== undefined)
      this.storedCrc32 = options => guard.run('read', inner.entry.path, () => inner.storedCrc32!(options))
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

class GuardedPending implements PendingArtifact {
  readonly #inner: PendingArtifact
  readonly #path: ArtifactPath
  readonly #guard: Guard

  constructor(inner: PendingArtifact, path: ArtifactPath, guard: Guard) {
    this.#inner = inner
    this.#path = path
    this.#guard = guard
  }

  write(chunk: Uint8Array): Promise<void> {
    return this.#guard.run('write', this.#path, () => this.#inner.write(chunk))
  }

  complete(): Promise<Entry> {
    return this.#guard.run('write', this.#path, () => this.#inner.complete())
  }

  /** Like closing: after the deadline it goes on, unwatched. */
  abort(): Promise<void> {
    return this.#guard.release('write', this.#path, () => this.#inner.abort()).catch(() => undefined)
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
