// The seam between what all object stores share (listing, pins, resuming, retries: `object-*.ts`) and what each SDK does (`s3*.ts`, `gcs*.ts`, `azure*.ts`).
import type { StoreTrouble } from '../errors.ts'

/**
 * A failure of one request, as a driver's single function from SDK errors to reasons sees it.
 *
 * `missing-object`: the bucket answered and the key is not there. `changed`: a pin or a condition did not hold. `range`: the range begins behind the end. Of writes only:
 * `missing-upload`: its parts are gone, because it was completed or given up; `impossible-name`: no object can have the key; `is-directory` and `not-directory`, of servers that keep
 * folders: one is in the place of the object, or an object in the place of one; `too-large` and `full`. Everything else ails the store. `unreachable`, `timeout`, `throttled` and
 * `interrupted` are worth another try, `credentials` one with keys read anew; nothing else is.
 */
export type FailureReason =
  | 'missing-object'
  | 'changed'
  | 'range'
  | 'aborted'
  | 'missing-upload'
  | 'impossible-name'
  | 'is-directory'
  | 'not-directory'
  | 'too-large'
  | 'full'
  | StoreTrouble

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
  /** That of the request which wrote it (see `WriteRequest`). */
  readonly writeId?: string | undefined
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

/** What must be at a key when a change of it takes effect; else the change fails with `changed`. The server checks it, in one step with the change. */
export type Condition = { readonly type: 'absent' } | { readonly type: 'etag'; readonly etag: string }

export interface WriteRequest {
  readonly condition?: Condition | undefined
  /** Kept with the object, so that a write whose answer was lost can be told from somebody else's. */
  readonly writeId?: string
  /** An object whose media type, coding and further properties the new one takes over. */
  readonly like?: string
}

/** What a write came to. */
export interface Written {
  readonly etag: string
  /** Undefined where the answer does not tell: `head` does. */
  readonly lastModifiedMs: number | undefined
}

/** How the server takes an object in parts. */
export interface PartRules {
  readonly maxParts: number
  /** Of an object. */
  readonly maxBytes: number
  /** Whether each part must have been taken before the next is sent. */
  readonly inOrder: boolean
}

/** An object that is put together from parts; plain data, so that another client may go on with it. */
export interface Upload {
  readonly key: string
  readonly id: string
}

export interface PartRequest {
  /** From 1. */
  readonly number: number
  /** Where its bytes begin in the object. All parts but the last are whole MiB, and none is empty. */
  readonly start: number
  readonly isLast: boolean
  /** Of the whole object, in base64; with the last part where parts come in order. */
  readonly md5?: string
}

/** An upload that was begun and neither completed nor given up. */
export interface UnfinishedUpload extends Upload {
  readonly begunAtMs: number
}

export interface UploadPage {
  readonly uploads: readonly UnfinishedUpload[]
  /** Undefined on the last page. */
  readonly token: string | undefined
}

/** The content of an object that is copied; another content fails with `changed`. */
export interface CopySource {
  readonly key: string
  readonly etag: string
}

/** Copying within the bucket, without the bytes coming through here. */
export interface Copies {
  /** The largest object that `copy` takes, and the largest stretch that `copyPart` does. */
  readonly maxBytes: number
  copy(source: CopySource, key: string, request: WriteRequest, signal: AbortSignal): Promise<Written>
  /** As `part`, of the bytes [start, end) of the source, perhaps without looking at its etag. Where it is missing, `copy` takes everything. */
  copyPart?(
    source: CopySource & { readonly start: number; readonly end: number },
    upload: Upload,
    number: number,
    signal: AbortSignal,
  ): Promise<string>
}

export interface KeyFailure {
  readonly key: string
  readonly failure: ObjectFailure
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
  /** Stores an object, whole or not at all. */
  put(key: string, content: Uint8Array, request: WriteRequest, signal: AbortSignal): Promise<Written>

  readonly partRules: PartRules
  /** Nobody sees the object before `complete`, or where parts come in order the last part. `request` is the one that `complete` gets, but for its condition, which may be newer there. */
  begin(key: string, request: WriteRequest, signal: AbortSignal): Promise<Upload>
  /** Takes one part, once more without harm; gives what `complete` must be told of it. */
  part(upload: Upload, content: Uint8Array, part: PartRequest, signal: AbortSignal): Promise<string>
  /** `receipts` are those of all parts, in order. */
  complete(
    upload: Upload,
    receipts: readonly string[],
    request: WriteRequest,
    signal: AbortSignal,
  ): Promise<Written>
  /** Removes all parts, as far as the server can before their time; succeeds where there are none. */
  cancel(upload: Upload, signal: AbortSignal): Promise<void>
  /** Unfinished uploads to keys that begin with `prefix`, where the server keeps them until somebody cancels them. */
  uploads?(prefix: string, token: string | undefined, signal: AbortSignal): Promise<UploadPage>
  /** When its last part came, or else it was begun; undefined where it is over. With `uploads`. */
  lastSentAtMs?(upload: UnfinishedUpload, signal: AbortSignal): Promise<number | undefined>

  readonly copies: Copies

  /** Whether a folder may be an object of its own (`isFolder`) that stays when nothing is in it any more. */
  readonly mayKeepFolders?: boolean

  /** Succeeds where there is none; with an etag fails with `changed` where there is another content, as far as the server looks. */
  remove(key: string, signal: AbortSignal, etag?: string): Promise<void>
  /** Removes up to 1000 objects; gives those that it did not remove. Missing, and undefined, where the server cannot do so by one request. */
  removeMany?(keys: readonly string[], signal: AbortSignal): Promise<readonly KeyFailure[] | undefined>

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
