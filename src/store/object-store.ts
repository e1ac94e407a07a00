// An outputs store on a bucket: S3, Google Cloud Storage or Azure, whichever `connect` speaks to.
import type { ObjectStoreDefinition } from './definition.ts'
import { readOnlyConnection, storeError, throwIfAborted, type StoreOperation } from './failure.ts'
import { ByteBudget } from './object-budget.ts'
import { ObjectBucket, type BucketOptions } from './object-bucket.ts'
import { ObjectFailure, type ConnectObjects, type ObjectHead } from './object-client.ts'
import { copyObject } from './object-copy.ts'
import { fileEntry, folderEntry } from './object-entry.ts'
import { ObjectKeys } from './object-keys.ts'
import { listFolder } from './object-list.ts'
import { PARALLEL, type ParallelSettings } from './object-parts.ts'
import { PendingObject } from './object-pending.ts'
import { probeBucket } from './object-probe.ts'
import { ObjectArtifact } from './object-read.ts'
import { removeFolder, removeObject, type RemovalScope } from './object-remove.ts'
import { contractError } from './object-retry.ts'
import { cancelUnfinished } from './object-sweep.ts'
import { UPLOAD, type UploadSettings } from './object-upload.ts'
import { contentEtag, type ObjectTarget } from './object-write.ts'
import { ROOT, type ArtifactPath } from './path.ts'
import { prefixed } from './prefixed.ts'
import {
  holds,
  type ArtifactStore,
  type Capabilities,
  type ChangeOptions,
  type CreateOptions,
  type DirectDelivery,
  type DirectOptions,
  type Entry,
  type ListOptions,
  type OpenArtifact,
  type OpenOptions,
  type PendingArtifact,
  type Probe,
  type Removal,
  type RemoveAllOptions,
  type RemoveOptions,
} from './store.ts'

/** What all stores of this process together may read ahead of their consumers. */
const AHEAD = new ByteBudget(128 * 1024 ** 2)
/** What they may hold of uploads beyond one part each. */
const SENDING = new ByteBudget(64 * 1024 ** 2)

/**
 * Hosts of the clouds themselves, which everybody knows and can reach. Whatever else an endpoint is, in the definition or in a secret, may be the private address of a
 * server that only we see; endpoints of an AWS network (`…vpce.amazonaws.com`) are.
 */
const CLOUD_HOST =
  /^(?!.*\.vpce\.)(?:.+\.)?(?:amazonaws\.com(?:\.cn)?|storage\.googleapis\.com|blob\.core\.(?:windows\.net|chinacloudapi\.cn|usgovcloudapi\.net))$/

/** For signals that nobody gave. */
const NEVER = new AbortController().signal

export interface ObjectStoreOptions extends BucketOptions {
  readonly parallel?: Partial<ParallelSettings>
  readonly uploads?: Partial<UploadSettings>
}

/** Asks the store nothing; one that cannot be reached says so when it is used. */
export function openObjectStore(
  definition: ObjectStoreDefinition,
  connect: ConnectObjects,
  options: ObjectStoreOptions = {},
): ArtifactStore {
  return new ObjectStore(definition, connect, options)
}

/**
 * Requests: stat of a file 1, of a folder or of nothing 2; a page of a list 1; open 1, with a pin none; a read 1 until it is slow or breaks; a write 1 (on S3 2) up to a part, and 2 beside
 * its parts beyond; each precondition but that nothing is there 1 more; a removal 2.
 */
class ObjectStore implements ArtifactStore {
  readonly capabilities: Capabilities
  readonly #definition: ObjectStoreDefinition
  readonly #bucket: ObjectBucket
  readonly #keys: ObjectKeys
  readonly #parallel: ParallelSettings
  readonly #uploads: UploadSettings

  constructor(definition: ObjectStoreDefinition, connect: ConnectObjects, options: ObjectStoreOptions) {
    this.capabilities = {
      emptyDirectories: false,
      modes: false,
      links: false,
      changesInPlace: false,
      latency: 'network',
      concurrency: definition.maxConnections,
    }
    this.#definition = definition
    this.#bucket = new ObjectBucket(definition, connect, options)
    this.#keys = new ObjectKeys(definition)
    this.#parallel = { ...PARALLEL, budget: AHEAD, ...options.parallel }
    this.#uploads = { ...UPLOAD, budget: SENDING, ...options.uploads }
  }

  stat(path: ArtifactPath, options: { readonly signal?: AbortSignal } = {}): Promise<Entry> {
    return this.#inWords('stat', path, async () => {
      const { entry } = await this.#find('stat', path, options.signal)
      return entry
    })
  }

  async *list(
    path: ArtifactPath,
    options: ListOptions = {},
  ): AsyncGenerator<readonly Entry[], void, undefined> {
    throwIfAborted(options.signal, 'list', path)
    try {
      yield* listFolder(this.#bucket, this.#keys, path, { ...options, signal: options.signal ?? NEVER })
    } catch (error) {
      throw contractError(error, { connection: this.#definition.name, operation: 'list', path })
    }
  }

  open(path: ArtifactPath, options: OpenOptions = {}): Promise<OpenArtifact> {
    return this.#inWords('open', path, async () => {
      throwIfAborted(options.signal, 'open', path)
      const { entry, head } =
        options.pin === undefined
          ? await this.#find('open', path, options.signal)
          : { entry: options.pin, head: undefined }
      if (entry.type === 'directory') throw storeError('IsDirectory', 'open', path)
      return new ObjectArtifact({
        entry,
        head,
        object: { bucket: this.#bucket, key: this.#keys.file(path), etag: entry.etag },
        connection: this.#definition.name,
        // GCS keeps CRC-32C, which is another polynomial, and Azure none.
        keepsCrc32: this.#definition.kind === 's3',
        parallel: this.#parallel,
      })
    })
  }

  create(path: ArtifactPath, options: CreateOptions = {}): Promise<PendingArtifact> {
    return this.#change('write', path, options.signal, async signal => {
      if (path === ROOT) throw storeError('IsDirectory', 'write', path)
      const target = { bucket: this.#bucket, key: this.#writable(path), precondition: options.precondition }
      await this.#checkPrecondition(target, signal)
      const { partRules } = await this.#bucket.traits(signal)
      return new PendingObject({
        path,
        target,
        connection: this.#definition.name,
        rules: partRules,
        settings: this.#uploads,
        size: options.size,
        signal,
      })
    })
  }

  checkWritable(options: { readonly signal?: AbortSignal } = {}): Promise<void> {
    return this.#change('write', ROOT, options.signal, () => Promise.resolve())
  }

  remove(path: ArtifactPath, options: RemoveOptions = {}): Promise<void> {
    return this.#change('remove', path, options.signal, signal => {
      if (path === ROOT) throw storeError('IsDirectory', 'remove', path)
      return removeObject(this.#removals, path, { ...options, signal })
    })
  }

  removeAll(path: ArtifactPath, options: RemoveAllOptions = {}): Promise<Removal> {
    return this.#change('remove', path, options.signal, signal => {
      if (path === ROOT) throw storeError('InvalidArgument', 'remove', path)
      return removeFolder(this.#removals, path, { ...options, signal })
    })
  }

  copy(from: ArtifactPath, to: ArtifactPath, options: ChangeOptions = {}): Promise<Entry> {
    return this.#change('write', to, options.signal, async signal => {
      if (from === ROOT || to === ROOT) throw storeError('IsDirectory', 'write', ROOT)
      const key = this.#writable(to)
      await this.#checkPrecondition({ bucket: this.#bucket, key, precondition: options.precondition }, signal)
      const { partRules, copies } = await this.#bucket.traits(signal)
      const scope = { bucket: this.#bucket, keys: this.#keys, rules: partRules, maxBytes: copies.maxBytes }
      return copyObject(scope, from, to, { ...options, signal })
    })
  }

  sweep(olderThanMs: number, options: { readonly signal?: AbortSignal } = {}): Promise<number> {
    const { readOnly, prefix } = this.#definition
    if (readOnly) return Promise.resolve(0)
    return this.#inWords('remove', ROOT, () =>
      cancelUnfinished(this.#bucket, prefix, olderThanMs, options.signal ?? NEVER),
    )
  }

  scoped(folder: ArtifactPath): ArtifactStore {
    return prefixed(this, folder)
  }

  async direct(
    path: ArtifactPath,
    asked: boolean,
    { disposition, mediaType, signal = NEVER }: DirectOptions,
  ): Promise<DirectDelivery | undefined> {
    const { delivery, publicEndpoint, signedUrlSeconds } = this.#definition
    const isConfigured = delivery === 'redirect'
    if (path === ROOT || !(asked || isConfigured)) return undefined
    const request = { disposition, mediaType, expiresInSeconds: signedUrlSeconds }
    const url = await this.#inWords('open', path, () =>
      this.#bucket.compute(
        (client, ending) => client.signedUrl(this.#keys.file(path), request, ending),
        signal,
      ),
    )
    if (url === undefined) return undefined
    // A client's wish alone shows nobody the server behind us, nor its bucket and the id of our key.
    const isForClients =
      isConfigured || publicEndpoint !== undefined || CLOUD_HOST.test(new URL(url).hostname)
    return isForClients ? { type: 'redirect', url } : undefined
  }

  probe(options: { readonly signal?: AbortSignal } = {}): Promise<Probe> {
    return probeBucket(this.#bucket, this.#definition, options.signal ?? NEVER)
  }

  close(): Promise<void> {
    this.#bucket.close()
    return Promise.resolve()
  }

  async #find(
    operation: StoreOperation,
    path: ArtifactPath,
    signal = NEVER,
  ): Promise<{ readonly entry: Entry; readonly head?: ObjectHead | undefined }> {
    throwIfAborted(signal, operation, path)
    const folder = this.#keys.folder(path)
    if (path === ROOT) {
      // There is nothing to look for, but only a store that answers has a root.
      await this.#bucket.list({ prefix: folder, delimiter: undefined, maxKeys: 1 }, signal)
      return { entry: folderEntry(ROOT) }
    }
    const key = this.#keys.file(path)
    const head = this.#keys.canExist(key) ? await this.#bucket.head(key, signal) : undefined
    if (head !== undefined && head.isFolder !== true) return { entry: fileEntry(path, head), head }
    if (head !== undefined || (this.#keys.canExist(folder) && (await this.#bucket.has(folder, signal))))
      return { entry: folderEntry(path) }
    throw storeError('NotFound', operation, path)
  }

  /** A change, where the operator allows any. */
  #change<T>(
    operation: 'write' | 'remove',
    path: ArtifactPath,
    signal: AbortSignal | undefined,
    work: (signal: AbortSignal) => Promise<T>,
  ): Promise<T> {
    return this.#inWords(operation, path, async () => {
      throwIfAborted(signal, operation, path)
      if (this.#definition.readOnly) throw readOnlyConnection(operation, path)
      return work(signal ?? NEVER)
    })
  }

  /** The key of the file `path`, where a store can hold such a key. */
  #writable(path: ArtifactPath): string {
    const key = this.#keys.file(path)
    if (!this.#keys.canExist(key)) throw storeError('InvalidPath', 'write', path)
    return key
  }

  /** Before any byte, so that what is refused costs none. */
  async #checkPrecondition(target: ObjectTarget, signal: AbortSignal): Promise<void> {
    const { bucket, key, precondition } = target
    if (precondition === undefined) return
    if (!holds(precondition, contentEtag(await bucket.head(key, signal)))) throw new ObjectFailure('changed')
  }

  get #removals(): RemovalScope {
    return { bucket: this.#bucket, keys: this.#keys, connection: this.#definition.name }
  }

  async #inWords<T>(operation: StoreOperation, path: ArtifactPath, work: () => Promise<T>): Promise<T> {
    try {
      return await work()
    } catch (error) {
      throw contractError(error, { connection: this.#definition.name, operation, path })
    }
  }
}
