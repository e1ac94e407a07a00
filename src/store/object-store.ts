// An outputs store on a bucket: S3, Google Cloud Storage or Azure, whichever `connect` speaks to.
import type { ObjectStoreDefinition } from './definition.ts'
import { storeError, throwIfAborted, type StoreOperation } from './failure.ts'
import { ByteBudget } from './object-budget.ts'
import { ObjectBucket, type BucketOptions } from './object-bucket.ts'
import type { ConnectObjects, ObjectHead } from './object-client.ts'
import { fileEntry, folderEntry } from './object-entry.ts'
import { ObjectKeys } from './object-keys.ts'
import { listFolder } from './object-list.ts'
import { PARALLEL, type ParallelSettings } from './object-parts.ts'
import { probeBucket } from './object-probe.ts'
import { ObjectArtifact } from './object-read.ts'
import { contractError } from './object-retry.ts'
import { ROOT, type ArtifactPath } from './path.ts'
import { prefixed } from './prefixed.ts'
import type {
  ArtifactStore,
  Capabilities,
  DirectDelivery,
  DirectOptions,
  Entry,
  ListOptions,
  OpenArtifact,
  OpenOptions,
  PendingArtifact,
  Probe,
  Removal,
} from './store.ts'

/** What all stores of this process together may read ahead of their consumers. */
const AHEAD = new ByteBudget(128 * 1024 ** 2)

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
}

/** Asks the store nothing; one that cannot be reached says so when it is used. */
export function openObjectStore(
  definition: ObjectStoreDefinition,
  connect: ConnectObjects,
  options: ObjectStoreOptions = {},
): ArtifactStore {
  return new ObjectStore(definition, connect, options)
}

/** Requests: stat of a file 1, of a folder or of nothing 2; a page of a list 1; open 1, with a pin none; a read 1 until it is slow or breaks. */
class ObjectStore implements ArtifactStore {
  readonly capabilities: Capabilities
  readonly #definition: ObjectStoreDefinition
  readonly #bucket: ObjectBucket
  readonly #keys: ObjectKeys
  readonly #parallel: ParallelSettings

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

  create(path: ArtifactPath): Promise<PendingArtifact> {
    return Promise.reject(storeError('Internal', 'write', path))
  }

  checkWritable(): Promise<void> {
    return Promise.resolve()
  }

  remove(path: ArtifactPath): Promise<void> {
    return Promise.reject(storeError('Internal', 'remove', path))
  }

  removeAll(path: ArtifactPath): Promise<Removal> {
    return Promise.reject(storeError('Internal', 'remove', path))
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

  async #inWords<T>(operation: StoreOperation, path: ArtifactPath, work: () => Promise<T>): Promise<T> {
    try {
      return await work()
    } catch (error) {
      throw contractError(error, { connection: this.#definition.name, operation, path })
    }
  }
}
