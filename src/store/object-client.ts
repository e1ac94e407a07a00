// The seam between what all object stores share (listing, pins, resuming, retries: `object-*.ts`) and what each SDK does (`s3*.ts`, `gcs*.ts`, `azure*.ts`).
import type { StoreTrouble } from '../errors.ts'

/**
 * A failure of one request, as a driver's single function from SDK errors to reasons sees it.
 *
 * `missing-object`: the bucket answered and the key is not there. `changed`: a pin did not hold. `range`: the range begins behind the end. Everything else ails the
 * store. `unreachable`, `timeout`, `throttled` and `interrupted` are worth another try, `credentials` one with keys read anew; nothing else is.
 */
export type FailureReason = 'missing-object' | 'changed' | 'range' | 'aborted' | StoreTrouble

export class ObjectFailure extends Error {
  override readonly name = 'ObjectFailure'
  readonly reason: FailureReason
  /** A sentence for clients that helps to mend it ("The bucket is in eu-west-1."): no key, endpoint, id or SDK text. */
  readonly advice: string | undefined
  /** How long the store asked to be left alone. */
  readonly retryAfterMs: number | undefined

  constructor(
    reason: FailureReason,
    options: { readonly cause?: unknown; readonly advice?: string; readonly retryAfterMs?: number } = {},
  ) {
    super(reason, options.cause === undefined ? undefined : { cause: options.cause })
    this.reason = reason
    this.advice = options.advice
    this.retryAfterMs = options.retryAfterMs
  }
}

/** An object as a list shows it. */
export interface ListedObject {
  readonly key: string
  /** Bytes as stored. */
  readonly size: number
  /** Strong, quotable without escapes, and what `get` takes as a pin; the same in lists, heads and bodies. */
  readonly etag: string
  /** The same in lists, heads and bodies, so in whole seconds where one of them has no more. */
  readonly lastModifiedMs: number
  /**
   * Stands for a folder although its key has no slash at its end (hierarchical namespaces of Azure). Not where `canStartAfter`: a list that starts between `a` and `a/` would
   * miss the folder.
   */
  readonly isFolder?: boolean
}

export interface ObjectHead extends ListedObject {
  /** As stored, without `aws-chunked` and `identity`; undefined for none. */
  readonly contentEncoding: string | undefined
  /** Of the whole object, as an unsigned number, where the store keeps one. */
  readonly crc32: number | undefined
}

export interface ListRequest {
  /** Keys begin with this. */
  readonly prefix: string
  /** With a delimiter, keys that hold it behind the prefix are rolled up into prefixes that end with it. */
  readonly delimiter: '/' | undefined
  /** Only keys after this one, in the order of the server, where `canStartAfter`. Not together with `token`. */
  readonly startAfter?: string
  /** From the page before; may be used more than once. */
  readonly token?: string
  /** At most 1000; a server may give fewer, and none, and still have a next page. */
  readonly maxKeys: number
}

export interface ObjectPage {
  readonly objects: readonly ListedObject[]
  readonly prefixes: readonly string[]
  /** Undefined on the last page. */
  readonly token: string | undefined
}

export interface GetRequest {
  /** The bytes [start, end), not empty. */
  readonly start: number
  readonly end: number
  /** The etag that must be current; else it fails with `changed`. */
  readonly pin: string
}

/** The body of one GET: exactly one consumer; leaving it early (`return`) or aborting frees its connection at once. */
export type ObjectBody = AsyncIterable<Uint8Array>

export interface SignRequest {
  readonly disposition: string
  readonly mediaType: string
  readonly expiresInSeconds: number
}

/**
 * One bucket through one SDK with one set of keys.
 *
 * Every call makes one attempt (the SDK's own retries are off: there is one policy, in `object-retry.ts`) and rejects only with ObjectFailure. Connecting, waiting for the
 * headers and silence within a body each end at the driver's timeouts (`ObjectTimeouts`). Aborting the signal rejects with `aborted` and frees the connection at once.
 */
export interface ObjectClient {
  /** In which order the server lists keys, and whether `startAfter` works. */
  readonly order: 'utf8' | 'utf16'
  readonly canStartAfter: boolean

  list(request: ListRequest, signal: AbortSignal): Promise<ObjectPage>
  head(key: string, signal: AbortSignal): Promise<ObjectHead>
  /** Resolves when the headers have come. The body may end early or run over without failing: the caller counts. */
  get(key: string, request: GetRequest, signal: AbortSignal): Promise<ObjectBody>
  /** Stores a small object, whole or not at all. */
  put(key: string, content: Uint8Array, signal: AbortSignal): Promise<void>
  /** Succeeds where there is none. */
  remove(key: string, signal: AbortSignal): Promise<void>
  /** Undefined where the keys at hand cannot sign. Asks the store only where signing itself needs it. */
  signedUrl(key: string, request: SignRequest, signal: AbortSignal): Promise<string | undefined>
  /** Ends idle connections; bodies under way go on. */
  close(): void
}

export interface ObjectTimeouts {
  /** Until a connection stands, TLS included. */
  readonly connectMs: number
  /** From the request to the headers of its answer. */
  readonly headersMs: number
  /** Between two chunks of a body while the consumer waits for one. */
  readonly idleMs: number
}

/** What a driver brings: how a client is made. The SDK is loaded when the driver's module is. */
export type ConnectObjects = (options: ConnectOptions) => Promise<ObjectClient>

export interface ConnectOptions {
  /** The access keys as they are now; empty without a secret. */
  readonly values: Readonly<Record<string, string>>
  readonly timeouts: ObjectTimeouts
}
