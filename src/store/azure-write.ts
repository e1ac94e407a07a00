// What changes one container of Azure Blob Storage: whole blobs, blocks, copies and removals.
import { createHash, randomUUID } from 'node:crypto'
import type {
  BlobGetPropertiesResponse,
  BlobHTTPHeaders,
  BlockBlobClient,
  ContainerClient,
} from '@azure/storage-blob'
import type { Subject } from './azure-failure.ts'
import { bareEtag, codingOf, wholeSeconds, WRITE_ID } from './azure-properties.ts'
import {
  ObjectFailure,
  type Condition,
  type Copies,
  type CopySource,
  type PartRequest,
  type PartRules,
  type Upload,
  type WriteRequest,
  type Written,
} from './object-client.ts'
import { COMPLETING_MS, sendingMs } from './object-deadline.ts'

export interface AzureSender {
  readonly container: ContainerClient
  readonly subject: Subject
  /** One attempt; `moreMs` is what it may take longer than one without a body. */
  readonly attempt: <T>(
    signal: AbortSignal,
    request: (abortSignal: AbortSignal) => Promise<T>,
    options?: { readonly subject?: Subject; readonly moreMs?: number },
  ) => Promise<T>
  /** A URL by which the service itself may read the blob `key`. */
  readonly sourceUrl: (key: string, abortSignal: AbortSignal) => Promise<string>
}

const MIB = 1024 ** 2
/** https://learn.microsoft.com/rest/api/storageservices/understanding-block-blobs--append-blobs--and-page-blobs */
const MAX_BLOCKS = 50_000
const MAX_BLOCK_BYTES = 4000 * MIB
/** https://learn.microsoft.com/rest/api/storageservices/copy-blob-from-url: of a larger blob the copy is put together from blocks. */
const COPY_BYTES = 256 * MIB

/** Until it begins, a number takes this much of a block's id: all ids of one blob must be equally long, and those of the SDKs have 48 characters. */
const NUMBER_DIGITS = 16

export class AzureWrites {
  readonly partRules: PartRules = {
    maxParts: MAX_BLOCKS,
    maxBytes: MAX_BLOCKS * MAX_BLOCK_BYTES,
    inOrder: false,
  }
  readonly copies: Copies = {
    maxBytes: COPY_BYTES,
    copy: (...args) => this.#copy(...args),
    copyPart: (...args) => this.#copyPart(...args),
  }
  readonly #sender: AzureSender

  constructor(sender: AzureSender) {
    this.#sender = sender
  }

  async put(key: string, content: Uint8Array, request: WriteRequest, signal: AbortSignal): Promise<Written> {
    const written = await this.#write(
      key,
      (blob, abortSignal) =>
        blob.upload(content, content.byteLength, {
          abortSignal,
          conditions: conditionsOf(request.condition),
          metadata: metadataOf(request),
          transactionalContentMD5: md5Of(content),
        }),
      signal,
      sendingMs(content.byteLength),
    )
    return writtenOf(written)
  }

  /** Nothing is asked: a block can be staged for any name. */
  begin(key: string): Promise<Upload> {
    return Promise.resolve({ key, id: randomUUID().replaceAll('-', '') })
  }

  async part(
    { key, id }: Upload,
    content: Uint8Array,
    { number }: PartRequest,
    signal: AbortSignal,
  ): Promise<string> {
    const blockId = blockIdOf(id, number)
    await this.#write(
      key,
      (blob, abortSignal) =>
        blob.stageBlock(blockId, content, content.byteLength, {
          abortSignal,
          transactionalContentMD5: md5Of(content),
        }),
      signal,
      sendingMs(content.byteLength),
    )
    return blockId
  }

  async complete(
    { key }: Upload,
    receipts: readonly string[],
    request: WriteRequest,
    signal: AbortSignal,
  ): Promise<Written> {
    const like = await this.#propertiesLike(request, signal)
    const written = await this.#write(
      key,
      (blob, abortSignal) =>
        blob.commitBlockList([...receipts], {
          abortSignal,
          conditions: conditionsOf(request.condition),
          metadata: { ...like?.metadata, ...metadataOf(request) },
          ...(like !== undefined && { blobHTTPHeaders: headersLike(like) }),
        }),
      signal,
      COMPLETING_MS,
    )
    return writtenOf(written)
  }

  /** The service has no request for it: staged blocks are no blob, nobody lists them, and they vanish a week after the last one, or when the blob is written. */
  cancel(): Promise<void> {
    return Promise.resolve()
  }

  async remove(key: string, signal: AbortSignal, etag?: string): Promise<void> {
    // There is no such blob, and asked for it the service would take another.
    if (key.includes('\\')) return
    const { container, subject, attempt } = this.#sender
    try {
      await attempt(
        signal,
        abortSignal =>
          container.getBlobClient(key).delete({
            abortSignal,
            // A blob that has snapshots cannot be deleted without them.
            deleteSnapshots: 'include',
            conditions: etag === undefined ? {} : { ifMatch: `"${etag}"` },
          }),
        { subject },
      )
    } catch (error) {
      if (!(error instanceof ObjectFailure) || error.reason !== 'missing-object') throw error
      if (etag !== undefined) throw new ObjectFailure('changed', { cause: error.cause })
    }
  }

  async #copy(source: CopySource, key: string, request: WriteRequest, signal: AbortSignal): Promise<Written> {
    const like = await this.#propertiesLike(request, signal)
    const written = await this.#write(
      key,
      async (blob, abortSignal) =>
        blob.syncCopyFromURL(await this.#sender.sourceUrl(source.key, abortSignal), {
          abortSignal,
          conditions: conditionsOf(request.condition),
          sourceConditions: { ifMatch: `"${source.etag}"` },
          metadata: { ...like?.metadata, ...metadataOf(request) },
        }),
      signal,
      COMPLETING_MS,
    )
    return writtenOf(written)
  }

  async #copyPart(
    { key: from, start, end }: CopySource & { readonly start: number; readonly end: number },
    { key, id }: Upload,
    number: number,
    signal: AbortSignal,
  ): Promise<string> {
    const blockId = blockIdOf(id, number)
    await this.#write(
      key,
      async (blob, abortSignal) =>
        blob.stageBlockFromURL(blockId, await this.#sender.sourceUrl(from, abortSignal), start, end - start, {
          abortSignal,
        }),
      signal,
      COMPLETING_MS,
    )
    return blockId
  }

  async #propertiesLike(
    { like }: WriteRequest,
    signal: AbortSignal,
  ): Promise<BlobGetPropertiesResponse | undefined> {
    if (like === undefined) return undefined
    const { container, subject, attempt } = this.#sender
    return attempt(signal, abortSignal => container.getBlobClient(like).getProperties({ abortSignal }), {
      subject,
    })
  }

  #write<T>(
    key: string,
    request: (blob: BlockBlobClient, abortSignal: AbortSignal) => Promise<T>,
    signal: AbortSignal,
    moreMs: number,
  ): Promise<T> {
    // The service would make a slash of it.
    if (key.includes('\\')) return Promise.reject(new ObjectFailure('impossible-name'))
    const { container, subject, attempt } = this.#sender
    return attempt(signal, abortSignal => request(container.getBlockBlobClient(key), abortSignal), {
      subject: subject === 'object' ? 'new-object' : subject,
      moreMs,
    })
  }
}

function conditionsOf(condition: Condition | undefined): { ifMatch?: string; ifNoneMatch?: string } {
  if (condition === undefined) return {}
  return condition.type === 'absent' ? { ifNoneMatch: '*' } : { ifMatch: `"${condition.etag}"` }
}

function metadataOf({ writeId }: WriteRequest): Record<string, string> {
  return writeId === undefined ? {} : { [WRITE_ID]: writeId }
}

function blockIdOf(id: string, number: number): string {
  return Buffer.from(`${id}${String(number).padStart(NUMBER_DIGITS, '0')}`).toString('base64')
}

function md5Of(content: Uint8Array): Buffer {
  return createHash('md5').update(content).digest()
}

function writtenOf({
  etag,
  lastModified,
}: {
  readonly etag?: string
  readonly lastModified?: Date
}): Written {
  return { etag: bareEtag(etag), lastModifiedMs: wholeSeconds(lastModified) }
}

function headersLike(like: BlobGetPropertiesResponse): BlobHTTPHeaders {
  const { cacheControl, contentDisposition, contentLanguage, contentType } = like
  const contentEncoding = codingOf(like.contentEncoding)
  const headers: BlobHTTPHeaders = {}
  if (cacheControl !== undefined) headers.blobCacheControl = cacheControl
  if (contentDisposition !== undefined) headers.blobContentDisposition = contentDisposition
  if (contentLanguage !== undefined) headers.blobContentLanguage = contentLanguage
  if (contentType !== undefined) headers.blobContentType = contentType
  if (contentEncoding !== undefined) headers.blobContentEncoding = contentEncoding
  return headers
}
