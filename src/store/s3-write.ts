// What changes one bucket of S3: whole objects, parts, copies and removals.
import { crc32 } from 'node:zlib'
import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  CopyObjectCommand,
  CreateMultipartUploadCommand,
  DeleteObjectCommand,
  DeleteObjectsCommand,
  HeadObjectCommand,
  ListMultipartUploadsCommand,
  ListPartsCommand,
  PutObjectCommand,
  UploadPartCommand,
  UploadPartCopyCommand,
  type CompletedPart,
  type S3Client,
} from '@aws-sdk/client-s3'
import type { S3Definition } from './definition.ts'
import {
  ObjectFailure,
  type Condition,
  type Copies,
  type CopySource,
  type KeyFailure,
  type PartRequest,
  type PartRules,
  type UnfinishedUpload,
  type Upload,
  type UploadPage,
  type WriteRequest,
  type Written,
} from './object-client.ts'
import { COMPLETING_MS, sendingMs } from './object-deadline.ts'
import { etagOf, propertiesOf, uploadPageOf, WRITE_ID } from './s3-answers.ts'
import { s3Failure, s3KeyFailure, s3WriteFailure, S3Refusal } from './s3-failure.ts'

/** Sends one request; the options are for the SDK. */
export type Call<T> = (options: {
  readonly abortSignal: AbortSignal
  readonly requestTimeout: number
}) => Promise<T>

export interface S3Sender {
  readonly client: S3Client
  readonly definition: S3Definition
  /** What every request carries. */
  readonly bucket: {
    readonly Bucket: string
    readonly ExpectedBucketOwner?: string
    readonly RequestPayer?: 'requester'
  }
  /** `moreMs` is what the request may take longer than one without a body. */
  send<T>(call: Call<T>, signal: AbortSignal, moreMs?: number): Promise<T>
}

const GIB = 1024 ** 3
/** https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html; how large an object may be, the server says: on AWS it was 5 TiB for long. */
const MAX_PARTS = 10_000
const MAX_PART_BYTES = 5 * GIB
/** One request copies up to 5 GiB, but takes its time: at some 200 MB/s this much is done before anybody loses patience. */
const COPY_BYTES = GIB

/** XML 1.0 has no way to write these, so no list of keys can hold them; a newline is made of a carriage return. */
const UNWRITABLE = /[\0-\x1f\ufffe\uffff]/

export class S3Writes {
  readonly partRules: PartRules = {
    maxParts: MAX_PARTS,
    maxBytes: MAX_PARTS * MAX_PART_BYTES,
    inOrder: false,
  }
  readonly copies: Copies = {
    maxBytes: COPY_BYTES,
    copy: (...args) => this.#copy(...args),
    copyPart: (...args) => this.#copyPart(...args),
  }
  readonly #sender: S3Sender
  /** Until a server refuses what it does not know. */
  #sendsChecksums = true
  #removesMany = true

  constructor(sender: S3Sender) {
    this.#sender = sender
  }

  async put(key: string, content: Uint8Array, request: WriteRequest, signal: AbortSignal): Promise<Written> {
    const { client, bucket } = this.#sender
    const answer = await this.#withChecksum(signal, isChecked => {
      const command = new PutObjectCommand({
        ...bucket,
        ...this.#encryption(),
        ...conditionOf(request.condition),
        Key: key,
        Body: content,
        ContentLength: content.byteLength,
        Metadata: metadataOf(request),
        ...(isChecked && { ChecksumCRC32: crc32Of(content) }),
      })
      return this.#send(options => client.send(command, options), signal, sendingMs(content.byteLength))
    }).catch(ofCondition)
    return { etag: etagOf(answer), lastModifiedMs: undefined }
  }

  async begin(key: string, request: WriteRequest, signal: AbortSignal): Promise<Upload> {
    const { client, bucket } = this.#sender
    const properties = await this.#propertiesLike(request, signal)
    const { UploadId } = await this.#withChecksum(signal, isChecked => {
      const command = new CreateMultipartUploadCommand({
        ...bucket,
        ...this.#encryption(),
        ...properties,
        Key: key,
        Metadata: { ...properties.Metadata, ...metadataOf(request) },
        // The checksum of the bytes in a row is one that a zip can take over. Copied parts come without one, which MinIO refuses where they must have one.
        ...(isChecked &&
          request.like === undefined && { ChecksumAlgorithm: 'CRC32', ChecksumType: 'FULL_OBJECT' }),
      })
      return this.#send(options => client.send(command, options), signal)
    })
    if (UploadId === undefined) throw new ObjectFailure('interrupted')
    return { key, id: UploadId }
  }

  async part(
    { key, id }: Upload,
    content: Uint8Array,
    { number }: PartRequest,
    signal: AbortSignal,
  ): Promise<string> {
    const { client, bucket } = this.#sender
    const ChecksumCRC32 = this.#sendsChecksums ? crc32Of(content) : undefined
    const command = new UploadPartCommand({
      ...bucket,
      Key: key,
      UploadId: id,
      PartNumber: number,
      Body: content,
      ContentLength: content.byteLength,
      ChecksumCRC32,
    })
    const moreMs = sendingMs(content.byteLength)
    const { ETag } = await this.#send(options => client.send(command, options), signal, moreMs)
    return receiptOf({ ETag, ChecksumCRC32 })
  }

  async complete(
    { key, id }: Upload,
    receipts: readonly string[],
    { condition, like }: WriteRequest,
    signal: AbortSignal,
  ): Promise<Written> {
    const { client, bucket } = this.#sender
    const command = new CompleteMultipartUploadCommand({
      ...bucket,
      ...conditionOf(condition),
      Key: key,
      UploadId: id,
      MultipartUpload: {
        Parts: receipts.map((receipt, i) => ({ ...(JSON.parse(receipt) as Part), PartNumber: i + 1 })),
      },
      ...(this.#sendsChecksums && like === undefined && { ChecksumType: 'FULL_OBJECT' }),
    })
    const answer = await this.#send(options => client.send(command, options), signal, COMPLETING_MS).catch(
      ofCondition,
    )
    return { etag: etagOf(answer), lastModifiedMs: undefined }
  }

  async cancel({ key, id }: Upload, signal: AbortSignal): Promise<void> {
    const { client, bucket } = this.#sender
    const command = new AbortMultipartUploadCommand({ ...bucket, Key: key, UploadId: id })
    try {
      await this.#send(options => client.send(command, options), signal)
    } catch (error) {
      if (s3Failure(error, signal).reason !== 'missing-upload') throw error
    }
  }

  /** MinIO gives those of one key only, where that is the whole prefix, and forgets uploads after a day by itself. */
  async uploads(prefix: string, token: string | undefined, signal: AbortSignal): Promise<UploadPage> {
    const { client, bucket } = this.#sender
    const [KeyMarker, UploadIdMarker] = token === undefined ? [] : (JSON.parse(token) as [string, string])
    const command = new ListMultipartUploadsCommand({
      ...bucket,
      Prefix: prefix,
      EncodingType: 'url',
      KeyMarker,
      UploadIdMarker,
    })
    return uploadPageOf(await this.#send(options => client.send(command, options), signal))
  }

  async lastSentAtMs(
    { key, id, begunAtMs }: UnfinishedUpload,
    signal: AbortSignal,
  ): Promise<number | undefined> {
    const { client, bucket } = this.#sender
    let lastMs = begunAtMs
    let PartNumberMarker: string | undefined
    try {
      do {
        const command = new ListPartsCommand({ ...bucket, Key: key, UploadId: id, PartNumberMarker })
        const answer = await this.#send(options => client.send(command, options), signal)
        for (const { LastModified } of answer.Parts ?? [])
          lastMs = Math.max(lastMs, LastModified?.getTime() ?? 0)
        PartNumberMarker = answer.IsTruncated === true ? answer.NextPartNumberMarker : undefined
      } while (PartNumberMarker !== undefined)
      return lastMs
    } catch (error) {
      if (s3Failure(error, signal).reason !== 'missing-upload') throw error
      return undefined
    }
  }

  async remove(key: string, signal: AbortSignal, etag?: string): Promise<void> {
    const { client, bucket } = this.#sender
    const command = new DeleteObjectCommand({
      ...bucket,
      Key: key,
      // Servers that do not know it remove whatever is there (MinIO): then the look that the caller has just taken is all there is.
      ...(etag !== undefined && { IfMatch: `"${etag}"` }),
    })
    try {
      await this.#send(options => client.send(command, options), signal)
    } catch (error) {
      const failure = s3Failure(error, signal)
      if (failure.reason !== 'missing-object') throw failure
      // AWS answers 204 also where there is nothing; not every server does.
      if (etag !== undefined) throw new ObjectFailure('changed', { cause: failure.cause })
    }
  }

  async removeMany(keys: readonly string[], signal: AbortSignal): Promise<readonly KeyFailure[] | undefined> {
    if (!this.#removesMany) return undefined
    const { client, bucket } = this.#sender
    for (const key of keys) if (UNWRITABLE.test(key)) await this.remove(key, signal)
    const Objects = keys.filter(key => !UNWRITABLE.test(key)).map(Key => ({ Key }))
    if (Objects.length === 0) return []
    const command = new DeleteObjectsCommand({ ...bucket, Delete: { Objects, Quiet: true } })
    try {
      const { Errors = [] } = await this.#send(options => client.send(command, options), signal)
      return Errors.map(({ Key = '', Code, Message }) => ({ key: Key, failure: s3KeyFailure(Code, Message) }))
    } catch (error) {
      if (!isUnknown(error)) throw error
      this.#removesMany = false
      return undefined
    }
  }

  async #copy(source: CopySource, key: string, request: WriteRequest, signal: AbortSignal): Promise<Written> {
    const { client, bucket } = this.#sender
    const properties = await this.#propertiesLike(request, signal)
    const command = new CopyObjectCommand({
      ...bucket,
      ...this.#encryption(),
      ...conditionOf(request.condition),
      ...properties,
      ...this.#source(source),
      Key: key,
      Metadata: { ...properties.Metadata, ...metadataOf(request) },
      MetadataDirective: 'REPLACE',
    })
    const answer = await this.#send(options => client.send(command, options), signal, COMPLETING_MS)
    return { etag: etagOf(answer.CopyObjectResult), lastModifiedMs: undefined }
  }

  async #copyPart(
    { start, end, ...source }: CopySource & { readonly start: number; readonly end: number },
    { key, id }: Upload,
    number: number,
    signal: AbortSignal,
  ): Promise<string> {
    const { client, bucket } = this.#sender
    const command = new UploadPartCopyCommand({
      ...bucket,
      ...this.#source(source),
      CopySourceRange: `bytes=${start}-${end - 1}`,
      Key: key,
      UploadId: id,
      PartNumber: number,
    })
    const answer = await this.#send(options => client.send(command, options), signal, COMPLETING_MS)
    return receiptOf(answer.CopyPartResult)
  }

  #source({ key, etag }: CopySource) {
    const { Bucket, ExpectedBucketOwner } = this.#sender.bucket
    return {
      CopySource: [Bucket, ...key.split('/')].map(encodeURIComponent).join('/'),
      CopySourceIfMatch: `"${etag}"`,
      ...(ExpectedBucketOwner !== undefined && { ExpectedSourceBucketOwner: ExpectedBucketOwner }),
    }
  }

  #encryption() {
    const { kmsKeyId } = this.#sender.definition
    return kmsKeyId === undefined ? {} : ({ ServerSideEncryption: 'aws:kms', SSEKMSKeyId: kmsKeyId } as const)
  }

  async #propertiesLike(
    { like }: WriteRequest,
    signal: AbortSignal,
  ): Promise<ReturnType<typeof propertiesOf>> {
    if (like === undefined) return {}
    const { client, bucket } = this.#sender
    const command = new HeadObjectCommand({ ...bucket, Key: like })
    try {
      return propertiesOf(await this.#send(options => client.send(command, options), signal))
    } catch (error) {
      // It was there a moment ago, so that the bare 404 of a HEAD is about the object.
      if (error instanceof S3Refusal && error.answer.status === 404)
        throw new ObjectFailure('missing-object', { cause: error.cause })
      throw error
    }
  }

  /** Some servers that speak S3 refuse checksums in headers; the signature covers the content there too. */
  async #withChecksum<T>(signal: AbortSignal, write: (isChecked: boolean) => Promise<T>): Promise<T> {
    if (!this.#sendsChecksums) return write(false)
    try {
      return await write(true)
    } catch (error) {
      if (signal.aborted || !isUnknown(error)) throw error
    }
    const result = await write(false)
    this.#sendsChecksums = false
    return result
  }

  async #send<T>(call: Call<T>, signal: AbortSignal, moreMs?: number): Promise<T> {
    try {
      return await this.#sender.send(call, signal, moreMs)
    } catch (error) {
      throw s3WriteFailure(error, signal)
    }
  }
}

function conditionOf(condition: Condition | undefined) {
  if (condition === undefined) return {}
  return condition.type === 'absent' ? { IfNoneMatch: '*' } : { IfMatch: `"${condition.etag}"` }
}

/** That nothing is there is said of If-Match only: the object of a request that writes need not be there. */
function ofCondition(error: unknown): never {
  if (!(error instanceof ObjectFailure) || error.reason !== 'missing-object') throw error
  throw new ObjectFailure('changed', { cause: error.cause })
}

function metadataOf({ writeId }: WriteRequest): Record<string, string> {
  return writeId === undefined ? {} : { [WRITE_ID]: writeId }
}

function crc32Of(content: Uint8Array): string {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(crc32(content))
  return bytes.toString('base64')
}

type Part = Pick<CompletedPart, 'ETag' | 'ChecksumCRC32'>

/** MinIO wants each part's checksum again when they are put together, where it got any; AWS takes it. */
function receiptOf({ ETag, ChecksumCRC32 }: Part = {}): string {
  if (ETag === undefined) throw new ObjectFailure('interrupted')
  return JSON.stringify({ ETag, ChecksumCRC32 })
}

/** Whether a server refuses a request because it does not know it, or a header of it. */
function isUnknown(error: unknown): boolean {
  return (
    error instanceof S3Refusal &&
    error.reason === 'misconfigured' &&
    [400, 405, 501].includes(error.answer.status)
  )
}
