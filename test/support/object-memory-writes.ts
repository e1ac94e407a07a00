// How a bucket in memory is written: conditions, uploads in parts, copies, and what was not removed.
import {
  ObjectFailure,
  type Condition,
  type CopySource,
  type KeyFailure,
  type PartRequest,
  type UnfinishedUpload,
  type Upload,
  type UploadPage,
  type WriteRequest,
  type Written,
} from '../../src/store/object-client.ts'
import type { MemoryBucket, StoredObject } from './object-memory.ts'

interface UnderWay {
  readonly key: string
  readonly request: WriteRequest
  readonly parts: Map<string, Uint8Array>
  begunAtMs: number
  lastSentAtMs: number
}

const UPLOADS_PER_PAGE = 2

export class MemoryWrites {
  readonly #bucket: MemoryBucket
  /** By their ids. */
  readonly uploads = new Map<string, UnderWay>()
  /** Sizes of the parts that came, in the order in which they were taken. */
  readonly parts: { readonly number: number; readonly start: number; readonly bytes: number }[] = []
  #ids = 0

  constructor(bucket: MemoryBucket) {
    this.#bucket = bucket
  }

  put(key: string, content: Uint8Array, { condition, writeId, like }: WriteRequest): Written {
    this.#check(key, condition)
    const { contentEncoding } = like === undefined ? {} : this.#object(like)
    this.#bucket.store(key, content, {
      ...(writeId !== undefined && { writeId }),
      ...(contentEncoding !== undefined && { contentEncoding }),
    })
    const { etag, lastModifiedMs } = this.#object(key)
    return { etag, lastModifiedMs: this.#bucket.knobs.tellsTime === false ? undefined : lastModifiedMs }
  }

  begin(key: string, request: WriteRequest): Upload {
    if (this.#isInOrder) this.#check(key, request.condition)
    const id = `u${++this.#ids}`
    this.uploads.set(id, { key, request, parts: new Map(), begunAtMs: Date.now(), lastSentAtMs: 0 })
    return { key, id }
  }

  part(upload: Upload, content: Uint8Array, { number, start, isLast }: PartRequest): string {
    const { parts } = this.#upload(upload)
    if (this.#isInOrder && number > parts.size + 1) throw new Error(`part ${number} came too early`)
    this.parts.push({ number, start, bytes: content.length })
    parts.set(`p${number}`, Buffer.from(content))
    this.#upload(upload).lastSentAtMs = Date.now()
    if (this.#isInOrder && isLast) return JSON.stringify(this.#assemble(upload, [...parts.keys()]))
    return `p${number}`
  }

  complete(upload: Upload, receipts: readonly string[], { condition }: WriteRequest): Written {
    if (this.#isInOrder) return JSON.parse(receipts.at(-1)!) as Written
    return this.#assemble(upload, receipts, condition)
  }

  cancel({ id }: Upload): void {
    this.uploads.delete(id)
  }

  page(prefix: string, token: string | undefined): UploadPage {
    const all = [...this.uploads].filter(([, { key }]) => key.startsWith(prefix))
    // As a server does it: the token names the last that was given, which need not be there any more.
    const after = all.filter(([id]) => Number(id.slice(1)) > Number(token ?? 0))
    const given = after.slice(0, UPLOADS_PER_PAGE)
    return {
      uploads: given.map(([id, { key, begunAtMs }]) => ({ id, key, begunAtMs })),
      token: after.length > given.length ? given.at(-1)![0].slice(1) : undefined,
    }
  }

  lastSentAtMs({ id, begunAtMs }: UnfinishedUpload): number | undefined {
    const upload = this.uploads.get(id)
    return upload && Math.max(begunAtMs, upload.lastSentAtMs)
  }

  copy(source: CopySource, key: string, request: WriteRequest): Written {
    return this.put(key, this.#source(source).content, request)
  }

  copyPart(
    source: CopySource & { readonly start: number; readonly end: number },
    upload: Upload,
    number: number,
  ): string {
    const { content } = this.#source(source)
    const part = { number, start: source.start, isLast: false }
    return this.part(upload, content.subarray(source.start, source.end), part)
  }

  remove(key: string, etag: string | undefined): void {
    if (etag !== undefined) this.#check(key, { type: 'etag', etag })
    this.#bucket.objects.delete(key)
  }

  removeMany(keys: readonly string[]): readonly KeyFailure[] {
    return keys.flatMap(key => {
      const reason = this.#bucket.knobs.onRemoval?.(key)
      if (reason !== undefined) return [{ key, failure: new ObjectFailure(reason) }]
      this.#bucket.objects.delete(key)
      return []
    })
  }

  get #isInOrder(): boolean {
    return this.#bucket.knobs.partRules?.inOrder === true
  }

  #assemble(upload: Upload, receipts: readonly string[], condition?: Condition): Written {
    const { key, request, parts } = this.#upload(upload)
    const content = Buffer.concat(
      receipts.map(receipt => {
        const part = parts.get(receipt)
        if (part === undefined) throw new Error(`there is no part ${receipt}`)
        return part
      }),
    )
    const written = this.put(key, content, {
      ...request,
      condition: this.#isInOrder ? request.condition : condition,
    })
    this.uploads.delete(upload.id)
    return written
  }

  #upload({ id }: Upload): UnderWay {
    const found = this.uploads.get(id)
    if (found === undefined) throw new ObjectFailure('missing-upload')
    return found
  }

  #source({ key, etag }: CopySource): StoredObject {
    const object = this.#object(key)
    if (object.etag !== etag) throw new ObjectFailure('changed')
    return object
  }

  #object(key: string): StoredObject {
    const object = this.#bucket.objects.get(key)
    if (object === undefined) throw new ObjectFailure('missing-object')
    return object
  }

  #check(key: string, condition: Condition | undefined): void {
    const etag = this.#bucket.objects.get(key)?.etag
    const isMet =
      condition === undefined || (condition.type === 'absent' ? etag === undefined : etag === condition.etag)
    if (!isMet) throw new ObjectFailure('changed')
  }
}
