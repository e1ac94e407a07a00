// What changes one bucket of Cloud Storage: whole objects with their metadata, resumable uploads, rewrites and removals.
import { createHash, randomUUID } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import { senselessAnswer, type GcsSubject } from './gcs-failure.ts'
import {
  COPIED_FIELDS,
  newResource,
  parseCopied,
  parseResource,
  parseRewrite,
  RESOURCE_FIELDS,
} from './gcs-resource.ts'
import type { GcsRequest } from './gcs-transport.ts'
import { COMPLETING_MS } from './object-deadline.ts'
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

export interface GcsSender {
  /** Path of the bucket's objects, and of one. */
  readonly objects: string
  readonly path: (key: string) => string
  readonly target: (path: string, parameters: Readonly<Record<string, string | undefined>>) => string
  /** The body of a success. */
  readonly json: (request: GcsRequest, subject: GcsSubject, signal: AbortSignal) => Promise<unknown>
  /** The answer, whatever it is. */
  readonly answer: (request: GcsRequest, signal: AbortSignal) => Promise<GcsAnswer>
  /** What an answer that is no success says. */
  readonly failure: (response: IncomingMessage, body: string, subject: GcsSubject) => ObjectFailure
}

export interface GcsAnswer {
  readonly response: IncomingMessage
  readonly body: string
}

const TIB = 1024 ** 4

/** https://cloud.google.com/storage/docs/performing-resumable-uploads#cancel-upload: Client Closed Request is the success. */
const CANCELLED = 499
const GONE: ReadonlySet<number | undefined> = new Set([200, 204, CANCELLED, 404, 410])

export class GcsWrites {
  /** https://cloud.google.com/storage/quotas#objects. Of the parts of a resumable upload all but the last are a multiple of 256 KiB. */
  readonly partRules: PartRules = { maxParts: Infinity, maxBytes: 5 * TIB, inOrder: true }
  readonly copies: Copies = { maxBytes: Infinity, copy: (...args) => this.#copy(...args) }
  readonly #sender: GcsSender

  constructor(sender: GcsSender) {
    this.#sender = sender
  }

  async put(key: string, content: Uint8Array, request: WriteRequest, signal: AbortSignal): Promise<Written> {
    const { objects, target, json } = this.#sender
    const md5Hash = createHash('md5').update(content).digest('base64')
    const resource = { ...newResource(key, request.writeId), contentType: DEFAULT_TYPE, md5Hash }
    const boundary = randomUUID()
    const chunks = [
      Buffer.from(
        `--${boundary}\r\ncontent-type: application/json; charset=UTF-8\r\n\r\n${JSON.stringify(resource)}\r\n` +
          `--${boundary}\r\ncontent-type: ${DEFAULT_TYPE}\r\n\r\n`,
      ),
      content,
      Buffer.from(`\r\n--${boundary}--\r\n`),
    ]
    const answer = await json(
      {
        method: 'POST',
        target: target(`/upload${objects}`, {
          uploadType: 'multipart',
          name: key,
          ...conditionOf(request.condition),
          fields: RESOURCE_FIELDS,
        }),
        headers: { 'content-type': `multipart/related; boundary=${boundary}` },
        content: chunks,
      },
      'new-object',
      signal,
    )
    return writtenOf(answer)
  }

  /** The session keeps its condition, and the service checks that when the object would come to be. */
  async begin(key: string, request: WriteRequest, signal: AbortSignal): Promise<Upload> {
    const { objects, target, answer, failure } = this.#sender
    const resource = newResource(key, request.writeId, {
      contentType: DEFAULT_TYPE,
      ...(await this.#like(request, signal)),
    })
    const { response, body } = await answer(
      {
        method: 'POST',
        target: target(`/upload${objects}`, {
          uploadType: 'resumable',
          name: key,
          ...conditionOf(request.condition),
          fields: RESOURCE_FIELDS,
        }),
        headers: JSON_BODY,
        content: [Buffer.from(JSON.stringify(resource))],
      },
      signal,
    )
    if (response.statusCode !== 200) throw failure(response, body, 'new-object')
    const { location } = response.headers
    if (location === undefined || !URL.canParse(location)) throw senselessAnswer('an upload without a place')
    const { pathname, search } = new URL(location)
    return { key, id: `${pathname}${search}` }
  }

  /** What the service has already it ignores; what it did not keep it wants again. The answer to the last part is the object. */
  async part(upload: Upload, content: Uint8Array, part: PartRequest, signal: AbortSignal): Promise<string> {
    const end = part.start + content.length
    for (let start = part.start; ;) {
      const rest = content.subarray(start - part.start)
      const { response, body } = await this.#chunk(upload, rest, start, part, signal)
      if (response.statusCode === 200 || response.statusCode === 201) return body
      if (response.statusCode !== 308) throw this.#sender.failure(response, body, 'upload')
      const persisted = persistedBytes(response)
      if (persisted >= end && !part.isLast) return ''
      if (persisted <= start) throw senselessAnswer('that it has kept nothing of a part')
      start = persisted
    }
  }

  async complete(_: Upload, receipts: readonly string[]): Promise<Written> {
    try {
      return writtenOf(JSON.parse(receipts.at(-1)!))
    } catch {
      throw senselessAnswer('something else than the object')
    }
  }

  async cancel({ id }: Upload, signal: AbortSignal): Promise<void> {
    const { answer, failure } = this.#sender
    const { response, body } = await answer(
      { method: 'DELETE', target: id, headers: { 'content-length': '0' } },
      signal,
    )
    if (!GONE.has(response.statusCode)) throw failure(response, body, 'upload')
  }

  async remove(key: string, signal: AbortSignal, etag?: string): Promise<void> {
    const { path, target, answer, failure } = this.#sender
    const { response, body } = await answer(
      { method: 'DELETE', target: target(path(key), { ifGenerationMatch: etag }), headers: {} },
      signal,
    )
    const status = response.statusCode ?? 0
    if (status >= 200 && status < 300) return
    const refusal = failure(response, body, 'object')
    if (refusal.reason !== 'missing-object') throw refusal
    if (etag !== undefined) throw new ObjectFailure('changed', { cause: refusal.cause })
  }

  /** A rewrite of much is done in steps, each of which goes on from the one before. */
  async #copy(source: CopySource, key: string, request: WriteRequest, signal: AbortSignal): Promise<Written> {
    const { path, target, json } = this.#sender
    const resource = newResource(key, request.writeId, await this.#like(request, signal))
    let rewriteToken: string | undefined
    for (;;) {
      const answer = await json(
        {
          method: 'POST',
          target: target(`${path(source.key)}/rewriteTo${path(key).replace(/^\/storage\/v1/, '')}`, {
            ...conditionOf(request.condition),
            ifSourceGenerationMatch: source.etag,
            rewriteToken,
            fields: `done,rewriteToken,resource(${RESOURCE_FIELDS})`,
          }),
          headers: JSON_BODY,
          content: [Buffer.from(JSON.stringify(resource))],
          moreMs: COMPLETING_MS,
        },
        'object',
        signal,
      )
      const rewrite = parseRewrite(answer)
      if (rewrite.done) return writtenOf(rewrite.resource)
      rewriteToken = rewrite.token
    }
  }

  async #like({ like }: WriteRequest, signal: AbortSignal): Promise<Readonly<Record<string, unknown>>> {
    if (like === undefined) return {}
    const { path, target, json } = this.#sender
    const request = {
      method: 'GET',
      target: target(path(like), { fields: COPIED_FIELDS }),
      headers: {},
    } as const
    return parseCopied(await json(request, 'object', signal))
  }

  #chunk(
    { id }: Upload,
    content: Uint8Array,
    start: number,
    { isLast, md5 }: PartRequest,
    signal: AbortSignal,
  ): Promise<GcsAnswer> {
    const end = start + content.length
    const headers = {
      'content-range': `bytes ${start}-${end - 1}/${isLast ? end : '*'}`,
      ...(md5 !== undefined && { 'x-goog-hash': `md5=${md5}` }),
    }
    return this.#sender.answer({ method: 'PUT', target: id, headers, content: [content] }, signal)
  }
}

const DEFAULT_TYPE = 'application/octet-stream'
const JSON_BODY = { 'content-type': 'application/json; charset=UTF-8' } as const

function conditionOf(condition: Condition | undefined): { readonly ifGenerationMatch?: string } {
  if (condition === undefined) return {}
  return { ifGenerationMatch: condition.type === 'absent' ? '0' : condition.etag }
}

function writtenOf(resource: unknown): Written {
  const { etag, lastModifiedMs } = parseResource(resource)
  return { etag, lastModifiedMs }
}

/** Of the object, from its beginning. */
function persistedBytes({ headers }: IncomingMessage): number {
  const [, last] = /^bytes=0-(\d+)$/.exec(headers.range ?? '') ?? []
  return last === undefined ? 0 : Number(last) + 1
}
