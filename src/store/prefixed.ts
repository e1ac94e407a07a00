// A folder of a store as a store of its own, by putting the folder in front of every path.
import { isAppError } from '../errors.ts'
import { renamed, storeError } from './failure.ts'
import { folderAt } from './folder-at.ts'
import { ROOT, joinPath, parentOf, parsePath, relativeTo, type ArtifactPath } from './path.ts'
import type {
  ArtifactStore,
  Capabilities,
  CreateOptions,
  Entry,
  ListOptions,
  MoveOptions,
  OpenArtifact,
  OpenOptions,
  PendingArtifact,
  ReadOptions,
  Removal,
  RemoveAllOptions,
  RemoveOptions,
} from './store.ts'

/**
 * `store` confined to `folder`, which need not exist.
 *
 * Paths alone cannot confine a store that has links, so such a store is asked to do it itself.
 */
export function prefixed(store: ArtifactStore, folder: ArtifactPath): ArtifactStore {
  return store.capabilities.links ? store.scoped(folder) : new PrefixedStore(store, folder)
}

class PrefixedStore implements ArtifactStore {
  readonly capabilities: Capabilities
  readonly direct?: NonNullable<ArtifactStore['direct']>
  readonly copy?: NonNullable<ArtifactStore['copy']>
  readonly move?: NonNullable<ArtifactStore['move']>
  readonly #inner: ArtifactStore
  readonly #folder: ArtifactPath

  constructor(inner: ArtifactStore, folder: ArtifactPath) {
    this.capabilities = inner.capabilities
    this.#inner = inner
    this.#folder = folder
    if (inner.direct !== undefined)
      this.direct = async (path, asked, options) =>
        // A file beside the folder, with its name, lies outside.
        path === ROOT ? undefined : inner.direct!(joinPath(folder, path), asked, options).catch(this.#rethrow)
    if (inner.copy !== undefined) this.copy = (from, to, options) => this.#transfer('copy', from, to, options)
    if (inner.move !== undefined) this.move = (from, to, options) => this.#transfer('move', from, to, options)
  }

  async stat(path: ArtifactPath, options: { readonly signal?: AbortSignal } = {}): Promise<Entry> {
    const asked =
      path === ROOT
        ? folderAt(this.#inner, this.#folder, options)
        : this.#inner.stat(joinPath(this.#folder, path), options)
    return this.#outward(await asked.catch(this.#rethrow))
  }

  async *list(path: ArtifactPath, options?: ListOptions): AsyncGenerator<readonly Entry[], void, undefined> {
    try {
      for await (const batch of this.#inner.list(joinPath(this.#folder, path), options))
        yield batch.map(entry => this.#outward(entry))
    } catch (error) {
      this.#rethrow(error)
    }
  }

  async open(path: ArtifactPath, options: OpenOptions = {}): Promise<OpenArtifact> {
    if (path === ROOT) {
      await this.stat(ROOT, options.signal ? { signal: options.signal } : {})
      throw storeError('IsDirectory', 'open', ROOT)
    }
    const inward =
      options.pin === undefined
        ? options
        : { ...options, pin: { ...options.pin, path: joinPath(this.#folder, path) } }
    const artifact = await this.#inner.open(joinPath(this.#folder, path), inward).catch(this.#rethrow)
    return {
      entry: this.#outward(artifact.entry),
      contentEncoding: artifact.contentEncoding,
      read: (start, end, readOptions) => this.#read(artifact, start, end, readOptions),
      ...(artifact.storedCrc32 !== undefined && {
        storedCrc32: crcOptions => artifact.storedCrc32!(crcOptions).catch(this.#rethrow),
      }),
      close: () => artifact.close(),
    }
  }

  async create(path: ArtifactPath, options?: CreateOptions): Promise<PendingArtifact> {
    if (path === ROOT) throw storeError('IsDirectory', 'write', ROOT)
    const pending = await this.#inner.create(joinPath(this.#folder, path), options).catch(this.#rethrow)
    return {
      write: chunk => pending.write(chunk).catch(this.#rethrow),
      complete: async () => this.#outward(await pending.complete().catch(this.#rethrow)),
      abort: () => pending.abort(),
    }
  }

  checkWritable(options?: { readonly signal?: AbortSignal }): Promise<void> {
    return this.#inner.checkWritable(options)
  }

  async remove(path: ArtifactPath, options: RemoveOptions = {}): Promise<void> {
    if (path === ROOT) throw storeError('IsDirectory', 'remove', ROOT)
    const pruneBelow = joinPath(this.#folder, options.pruneBelow ?? ROOT)
    await this.#inner.remove(joinPath(this.#folder, path), { ...options, pruneBelow }).catch(this.#rethrow)
  }

  async removeAll(path: ArtifactPath, options: RemoveAllOptions = {}): Promise<Removal> {
    // With the root of this view goes its folder, but nothing above it.
    const pruneBelow =
      path === ROOT ? parentOf(this.#folder) : joinPath(this.#folder, options.pruneBelow ?? ROOT)
    const { removed, failures } = await this.#inner
      .removeAll(joinPath(this.#folder, path), { ...options, pruneBelow })
      .catch(this.#rethrow)
    return {
      removed,
      failures: failures.map(failure => {
        const inside = relativeTo(this.#folder, failure.path)
        return { path: inside, error: renamed(failure.error, inside) }
      }),
    }
  }

  scoped(folder: ArtifactPath): ArtifactStore {
    return new PrefixedStore(this.#inner, joinPath(this.#folder, folder))
  }

  /** The inner store lives on: others may be using it. */
  close(): Promise<void> {
    return Promise.resolve()
  }

  async #transfer(
    way: 'copy' | 'move',
    from: ArtifactPath,
    to: ArtifactPath,
    { into = ROOT, ...options }: MoveOptions = {},
  ): Promise<Entry> {
    if (from === ROOT || to === ROOT) throw storeError('IsDirectory', 'write', ROOT)
    const target = into === ROOT ? this : new PrefixedStore(this.#inner, joinPath(this.#folder, into))
    const inward = joinPath(target.#folder, to)
    const done = this.#inner[way]!(joinPath(this.#folder, from), inward, options)
    return target.#outward(
      await done.catch((error: unknown) => {
        const isOfTarget = isAppError(error) && error.path === inward
        return (isOfTarget ? target : this).#rethrow(error)
      }),
    )
  }

  async *#read(
    artifact: OpenArtifact,
    start: number,
    end: number,
    options: ReadOptions | undefined,
  ): AsyncGenerator<Uint8Array, void, undefined> {
    try {
      yield* artifact.read(start, end, options)
    } catch (error) {
      this.#rethrow(error)
    }
  }

  #outward(entry: Entry): Entry {
    return { ...entry, path: relativeTo(this.#folder, entry.path) }
  }

  readonly #rethrow = (error: unknown): never => {
    if (!isAppError(error) || error.path === undefined) throw error
    throw renamed(error, relativeTo(this.#folder, parsePath(error.path)))
  }
}
