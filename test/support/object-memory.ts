// A bucket in memory behind the seam of the drivers, which shows what servers and networks do: odd pages, other orders, faults, slow and broken bodies.
import { setTimeout as sleep } from 'node:timers/promises'
import type { S3Definition } from '../../src/store/definition.ts'
import {
  ObjectFailure,
  type ConnectObjects,
  type FailureReason,
  type GetRequest,
  type ListedObject,
  type ListRequest,
  type ObjectBody,
  type ObjectClient,
  type ObjectHead,
  type ObjectPage,
  type PartRules,
  type SignRequest,
} from '../../src/store/object-client.ts'
import { compareUtf8 } from '../../src/store/path.ts'
import { MemoryWrites } from './object-memory-writes.ts'

export interface StoredObject {
  readonly content: Uint8Array
  readonly etag: string
  readonly lastModifiedMs: number
  readonly isFolder?: boolean
  readonly contentEncoding?: string
  readonly crc32?: number
  readonly writeId?: string
}

const METHODS = [
  ...(['list', 'head', 'get', 'put', 'remove', 'removeMany'] as const),
  ...(['begin', 'part', 'complete', 'cancel', 'uploads', 'copy', 'copyPart'] as const),
] as const
export type Method = (typeof METHODS)[number]

function noRequests(): Record<Method, number> {
  return Object.fromEntries(METHODS.map(method => [method, 0])) as Record<Method, number>
}

/** What happens to a body: how many bytes come before it ends, fails or stalls, or how many too many. */
export interface BodyFault {
  readonly afterBytes: number
  readonly then: 'end' | 'stall' | 'overrun' | FailureReason
}

export interface Knobs {
  order?: 'utf8' | 'utf16'
  canStartAfter?: boolean
  /** Keys that a page looks at, at most. */
  pageKeys?: number
  /** Pages are cut by keys and not by items, so that prefixes come again, and every other page is empty. */
  oddPages?: boolean
  latencyMs?: number
  /** Of each body; up to 256 KiB come ahead of the consumer, as in the buffers of a socket. */
  bytesPerSecond?: number
  /** Of all bodies together, as where the network is the limit. */
  sharedBytesPerSecond?: number
  chunkBytes?: number
  /** Called before each request; throws its failure. */
  onRequest?: (method: Method, key: string, values: Readonly<Record<string, string>>) => void | Promise<void>
  /** Called after each request was done; what it throws is all that the client learns. */
  onAnswer?: (method: Method, key: string) => void
  /** Why an object of a batch is not removed. */
  onRemoval?: (key: string) => FailureReason | undefined
  partRules?: PartRules
  maxCopyBytes?: number
  /** As that of the driver. */
  mayKeepFolders?: boolean
  /** Whether objects are removed by batches; by default. */
  removesMany?: boolean
  /** Whether the answers to writes tell the time; by default. */
  tellsTime?: boolean
  /** How long a stalled body is silent until it fails with `timeout`. */
  idleMs?: number
  onBody?: (request: GetRequest) => BodyFault | undefined
}

/** Does `work` as one request. */
type Asked = <T>(method: Method, key: string, signal: AbortSignal, work: () => T) => Promise<T>

const SOCKET_BYTES = 256 * 1024

export class MemoryBucket {
  readonly objects = new Map<string, StoredObject>()
  readonly knobs: Knobs
  readonly counts = { ...noRequests(), clients: 0, closedClients: 0 }
  readonly writes = new MemoryWrites(this)
  readonly gets: GetRequest[] = []
  readonly lists: ListRequest[] = []
  openBodies = 0
  maxOpenBodies = 0
  underWay = 0
  maxUnderWay = 0
  readonly #shared = { readyAtMs: 0 }
  #versions = 0

  constructor(knobs: Knobs = {}) {
    this.knobs = knobs
  }

  /** What a driver gives to the object layer. */
  readonly connect: ConnectObjects = ({ values }) => {
    this.counts.clients += 1
    return Promise.resolve(this.#client(values))
  }

  get requests(): number {
    return METHODS.reduce((sum, method) => sum + this.counts[method], 0)
  }

  resetCounts(): void {
    Object.assign(this.counts, noRequests())
    this.gets.length = 0
    this.lists.length = 0
    this.maxOpenBodies = this.openBodies
    this.maxUnderWay = this.underWay
  }

  store(key: string, content: Uint8Array | string, extra: Partial<StoredObject> = {}): void {
    this.objects.set(key, {
      content: Buffer.from(content),
      etag: `v${++this.#versions}`,
      lastModifiedMs: Math.floor(Date.now() / 1000) * 1000,
      ...extra,
    })
  }

  #client(values: Readonly<Record<string, string>>): ObjectClient {
    const { order = 'utf8', canStartAfter = true } = this.knobs
    const asked: Asked = async (method, key, signal, work) => {
      if (signal.aborted) throw new ObjectFailure('aborted')
      this.counts[method] += 1
      this.underWay += 1
      this.maxUnderWay = Math.max(this.maxUnderWay, this.underWay)
      try {
        await unlessAborted(
          this.#delay(() => this.knobs.onRequest?.(method, key, values), signal),
          signal,
        )
        const result = work()
        this.knobs.onAnswer?.(method, key)
        return result
      } finally {
        this.underWay -= 1
      }
    }
    return {
      order,
      canStartAfter,
      list: (request, signal) => {
        this.lists.push(request)
        return asked('list', request.prefix, signal, () => this.#page(request))
      },
      head: (key, signal) => asked('head', key, signal, () => this.#head(key)),
      get: (key, request, signal) => {
        this.gets.push(request)
        return asked('get', key, signal, () => this.#body(key, request, signal))
      },
      ...this.#writing(asked),
      signedUrl: (key, request: SignRequest) =>
        Promise.resolve(
          values['sign'] === 'no'
            ? undefined
            : `https://signed.example/${encodeURIComponent(key)}?${JSON.stringify(request)}`,
        ),
      close: () => {
        this.counts.closedClients += 1
      },
    }
  }

  #writing(asked: Asked) {
    const { partRules, maxCopyBytes = Infinity, removesMany = true, mayKeepFolders = false } = this.knobs
    const { writes } = this
    return {
      mayKeepFolders,
      partRules: partRules ?? { maxParts: 10_000, maxBytes: Infinity, inOrder: false },
      copies: {
        maxBytes: maxCopyBytes,
        copy: (source, key, request, signal) =>
          asked('copy', key, signal, () => writes.copy(source, key, request)),
        copyPart: (source, upload, number, signal) =>
          asked('copyPart', upload.key, signal, () => writes.copyPart(source, upload, number)),
      },
      put: (key, content, request, signal) =>
        asked('put', key, signal, () => writes.put(key, content, request)),
      begin: (key, request, signal) => asked('begin', key, signal, () => writes.begin(key, request)),
      part: (upload, content, part, signal) =>
        asked('part', upload.key, signal, () => writes.part(upload, content, part)),
      complete: (upload, receipts, request, signal) =>
        asked('complete', upload.key, signal, () => writes.complete(upload, receipts, request)),
      cancel: (upload, signal) => asked('cancel', upload.key, signal, () => writes.cancel(upload)),
      uploads: (prefix, token, signal) => asked('uploads', prefix, signal, () => writes.page(prefix, token)),
      lastSentAtMs: (upload, signal) =>
        asked('uploads', upload.key, signal, () => writes.lastSentAtMs(upload)),
      remove: (key, signal, etag) => asked('remove', key, signal, () => writes.remove(key, etag)),
      ...(removesMany && {
        removeMany: (keys: readonly string[], signal: AbortSignal) =>
          asked('removeMany', keys[0]!, signal, () => writes.removeMany(keys)),
      }),
    } satisfies Partial<ObjectClient>
  }

  async #delay(work: () => void | Promise<void>, signal: AbortSignal): Promise<void> {
    const { latencyMs = 0 } = this.knobs
    if (latencyMs > 0) await sleep(latencyMs, undefined, { signal }).catch(() => undefined)
    await work()
  }

  #object(key: string): StoredObject {
    const object = this.objects.get(key)
    if (object === undefined) throw new ObjectFailure('missing-object')
    return object
  }

  #head(key: string): ObjectHead {
    const object = this.#object(key)
    const { contentEncoding, crc32, writeId } = object
    return { ...listed(key, object), contentEncoding, crc32, writeId }
  }

  #page({ prefix, delimiter, startAfter, token, maxKeys }: ListRequest): ObjectPage {
    const { order = 'utf8', canStartAfter = true, pageKeys = 1000, oddPages = false } = this.knobs
    if (startAfter !== undefined && !canStartAfter) throw new Error('This server cannot start after a key.')
    if (startAfter !== undefined && !startAfter.isWellFormed()) throw new URIError('URI malformed')
    const compare = order === 'utf8' ? compareUtf8 : (a: string, b: string) => (a < b ? -1 : a > b ? 1 : 0)
    const from =
      token === undefined ? { after: startAfter, empty: oddPages } : (JSON.parse(token) as PageToken)
    const keys = [...this.objects.keys()]
      .filter(key => key.startsWith(prefix))
      .filter(key => from.after === undefined || compare(key, from.after) > 0)
      .sort(compare)
    if (from.empty && keys.length > 0) return { objects: [], prefixes: [], token: tokenOf(from.after, false) }
    const objects: ListedObject[] = []
    const prefixes: string[] = []
    const most = Math.min(maxKeys, pageKeys)
    let after: string | undefined
    for (const [index, key] of keys.entries()) {
      const slash = delimiter === undefined ? -1 : key.indexOf(delimiter, prefix.length)
      const rolledUp = slash < 0 ? undefined : key.slice(0, slash + 1)
      const isNew = rolledUp === undefined || prefixes.at(-1) !== rolledUp
      const isFull = oddPages ? index >= most : objects.length + prefixes.length >= most
      if (isFull && (isNew || oddPages)) return { objects, prefixes, token: tokenOf(after, oddPages) }
      if (rolledUp === undefined) objects.push(listed(key, this.objects.get(key)!))
      else if (isNew) prefixes.push(rolledUp)
      after = key
    }
    return { objects, prefixes, token: undefined }
  }

  #body(key: string, request: GetRequest, signal: AbortSignal): ObjectBody {
    const { content, etag } = this.#object(key)
    if (etag !== request.pin) throw new ObjectFailure('changed')
    if (request.start >= content.length) throw new ObjectFailure('range')
    this.openBodies += 1
    this.maxOpenBodies = Math.max(this.maxOpenBodies, this.openBodies)
    return new MemoryBody(content.subarray(request.start, request.end), {
      knobs: this.knobs,
      fault: this.knobs.onBody?.(request),
      shared: this.#shared,
      signal,
      onEnd: () => {
        this.openBodies -= 1
      },
    })
  }
}

interface PageToken {
  readonly after?: string
  readonly empty: boolean
}

function tokenOf(after: string | undefined, empty: boolean): string {
  return JSON.stringify({ ...(after !== undefined && { after }), empty })
}

function listed(key: string, { content, etag, lastModifiedMs, isFolder }: StoredObject): ListedObject {
  return { key, size: content.length, etag, lastModifiedMs, ...(isFolder !== undefined && { isFolder }) }
}

interface BodyOptions {
  readonly knobs: Knobs
  readonly fault: BodyFault | undefined
  readonly shared: Line
  readonly signal: AbortSignal
  readonly onEnd: () => void
}

/** One body; counts as open from the request until it ended, failed, was left or aborted. */
class MemoryBody implements AsyncIterableIterator<Uint8Array> {
  readonly #content: Uint8Array
  readonly #options: BodyOptions
  readonly #own: Line = { readyAtMs: performance.now() }
  #position = 0
  #ended = false

  constructor(content: Uint8Array, options: BodyOptions) {
    this.#content = content
    this.#options = options
    options.signal.addEventListener('abort', this.#end)
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  async next(): Promise<IteratorResult<Uint8Array>> {
    if (this.#options.signal.aborted) throw new ObjectFailure('aborted')
    if (this.#ended) return { done: true, value: undefined }
    try {
      const value = await unlessAborted(this.#chunk(), this.#options.signal)
      if (value !== undefined) return { done: false, value }
    } catch (error) {
      this.#end()
      throw error
    }
    this.#end()
    return { done: true, value: undefined }
  }

  return(): Promise<IteratorResult<Uint8Array>> {
    this.#end()
    return Promise.resolve({ done: true, value: undefined })
  }

  readonly #end = (): void => {
    if (!this.#ended) this.#options.onEnd()
    this.#ended = true
    this.#options.signal.removeEventListener('abort', this.#end)
  }

  async #chunk(): Promise<Uint8Array | undefined> {
    const { fault, knobs, shared } = this.#options
    const { chunkBytes = 65_536, bytesPerSecond, sharedBytesPerSecond } = knobs
    const end = Math.min(this.#content.length, fault?.afterBytes ?? Infinity)
    if (this.#position >= end) {
      if (fault?.then === 'overrun') return Buffer.alloc(1)
      if (fault === undefined || fault.then === 'end' || fault.afterBytes > end) return undefined
      // As a driver's idle timeout ends it.
      if (fault.then === 'stall') await sleep(knobs.idleMs ?? 10_000)
      throw new ObjectFailure(fault.then === 'stall' ? 'timeout' : fault.then)
    }
    const chunk = Buffer.from(
      this.#content.subarray(this.#position, Math.min(end, this.#position + chunkBytes)),
    )
    this.#position += chunk.length
    if (bytesPerSecond !== undefined) await paced(this.#own, chunk.length, bytesPerSecond)
    if (sharedBytesPerSecond !== undefined) await paced(shared, chunk.length, sharedBytesPerSecond)
    return chunk
  }
}

/** What can carry so many bytes a second, and no more before `readyAtMs`. */
interface Line {
  readyAtMs: number
}

async function paced(line: Line, bytes: number, bytesPerSecond: number): Promise<void> {
  const aheadMs = (SOCKET_BYTES / bytesPerSecond) * 1000
  line.readyAtMs = Math.max(line.readyAtMs, performance.now() - aheadMs) + (bytes / bytesPerSecond) * 1000
  const waitMs = line.readyAtMs - performance.now()
  // Not of `node:timers/promises`, whose time tests cannot let pass.
  if (waitMs > 1) await new Promise(resolve => setTimeout(resolve, waitMs))
}

/** What `work` gives, or `aborted` as soon as the signal is. */
async function unlessAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  const { promise, reject } = Promise.withResolvers<never>()
  const onAbort = (): void => reject(new ObjectFailure('aborted'))
  signal.addEventListener('abort', onAbort)
  if (signal.aborted) onAbort()
  try {
    return await Promise.race([work, promise])
  } finally {
    signal.removeEventListener('abort', onAbort)
    work.catch(() => undefined)
    promise.catch(() => undefined)
  }
}

/** A definition whose bucket nobody reaches: `connect` decides what is there. */
export function bucketDefinition(differences: Partial<S3Definition> = {}): S3Definition {
  return {
    kind: 's3',
    name: 'bucket-store',
    readOnly: false,
    delivery: 'proxy',
    bucket: 'outputs',
    prefix: '',
    maxConnections: 64,
    signedUrlSeconds: 300,
    requesterPays: false,
    ...differences,
  }
}
