// A small S3 server with one bucket, for what no emulator shows: refusals by key, region and clock, throttling, and any answer or silence that a test scripts.
import { createHash } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { ServerOptions } from 'node:https'
import type { Socket } from 'node:net'
import { buffer } from 'node:stream/consumers'
import type { S3Definition } from '../../src/store/definition.ts'
import type { ObjectClient, ObjectTimeouts } from '../../src/store/object-client.ts'
import { openObjectStore } from '../../src/store/object-store.ts'
import { compareUtf8 } from '../../src/store/path.ts'
import { s3Objects } from '../../src/store/s3.ts'
import type { SecretReference } from '../../src/store/secret.ts'
import type { ArtifactStore } from '../../src/store/store.ts'
import { Listening } from './listening.ts'
import { ScriptedS3Writes } from './scripted-s3-writes.ts'

export interface SeenRequest {
  readonly method: string
  readonly url: URL
  readonly headers: IncomingMessage['headers']
}

/** Answers one request instead of the service, by what it does with the `body` if it likes. */
export type Script = (request: SeenRequest, response: ServerResponse, body: Promise<Buffer>) => void

export const BUCKET = 'scripted-bucket'
export const KEYS = { AWS_ACCESS_KEY_ID: 'AKIAGOOD', AWS_SECRET_ACCESS_KEY: 'secret-of-good' }

const QUICK: ObjectTimeouts = { connectMs: 1000, headersMs: 1000, idleMs: 300 }
const SKEW_MS = 15 * 60_000

export class ScriptedS3 {
  readonly requests: SeenRequest[] = []
  /** Where the bucket is; requests that are signed for another region are refused. */
  region = 'us-east-1'
  /** What a refusal for the region looks like: a redirect (S3), or a malformed header (S3 in newer regions, MinIO). */
  regionRefusal: 'redirect' | 'malformed' = 'redirect'
  /** How far the server's clock is ahead of ours. */
  clockAheadMs = 0
  /** Ids of access keys that are refused, with the code. */
  readonly refused = new Map<string, { readonly status: number; readonly code: string }>()
  readonly writes = new ScriptedS3Writes(this)
  readonly #objects = new Map<string, Uint8Array>()
  readonly #scripts: Script[] = []
  #listening!: Listening

  static async start(tls?: ServerOptions): Promise<ScriptedS3> {
    const scripted = new ScriptedS3()
    scripted.#listening = await Listening.start(
      (request, response) => scripted.#handle(request, response),
      tls,
    )
    return scripted
  }

  get endpoint(): string {
    return this.#listening.origin
  }

  get port(): number {
    return this.#listening.port
  }

  /** Open connections. */
  get sockets(): ReadonlySet<Socket> {
    return this.#listening.sockets
  }

  definition(changes: Partial<S3Definition> = {}): S3Definition {
    const secret: SecretReference = { label: "the secret 'models-s3'", values: KEYS, files: [] }
    return {
      kind: 's3',
      name: 'models',
      readOnly: false,
      delivery: 'proxy',
      bucket: BUCKET,
      prefix: '',
      secret,
      endpoint: this.endpoint,
      maxConnections: 16,
      signedUrlSeconds: 60,
      requesterPays: false,
      ...changes,
    }
  }

  store(changes?: Partial<S3Definition>): ArtifactStore {
    const definition = this.definition(changes)
    return openObjectStore(definition, s3Objects(definition))
  }

  /** The driver alone, with short timeouts. */
  connect(
    changes?: Partial<S3Definition>,
    values: Readonly<Record<string, string>> = KEYS,
    timeouts: Partial<ObjectTimeouts> = {},
  ): Promise<ObjectClient> {
    return s3Objects(this.definition(changes))({ values, timeouts: { ...QUICK, ...timeouts } })
  }

  put(key: string, content: string | Uint8Array): string {
    this.#objects.set(key, Buffer.from(content))
    return etagOf(Buffer.from(content))
  }

  content(key: string): Uint8Array | undefined {
    return this.#objects.get(key)
  }

  remove(key: string): void {
    this.#objects.delete(key)
  }

  /** The next requests get these answers, in this order. */
  next(...scripts: Script[]): void {
    this.#scripts.push(...scripts)
  }

  methods(): string[] {
    return this.requests.map(({ method }) => method)
  }

  socketsDownTo(count: number, withinMs?: number): Promise<void> {
    return this.#listening.socketsDownTo(count, withinMs)
  }

  close(): Promise<void> {
    return this.#listening.close()
  }

  #handle(incoming: IncomingMessage, response: ServerResponse): void {
    const url = new URL(incoming.url!, 'http://scripted')
    const request = { method: incoming.method!, url, headers: incoming.headers }
    this.requests.push(request)
    const body = buffer(incoming)
    // A request that breaks off has nobody to answer.
    body.catch(() => undefined)
    response.sendDate = false
    response.setHeader('date', new Date(Date.now() + this.clockAheadMs).toUTCString())
    response.setHeader('x-amz-request-id', `R${this.requests.length}`)
    const script = this.#scripts.shift()
    if (script !== undefined) script(request, response, body)
    else if (!this.#isRefused(request, response)) this.serve(request, response, body)
  }

  /** Of S3's checks, in its order, those that a test turns on. Signatures are not looked at. */
  #isRefused(request: SeenRequest, response: ServerResponse): boolean {
    const [, id, region] =
      /Credential=([^/]+)\/\d+\/([^/]+)\//.exec(request.headers.authorization ?? '') ?? []
    const refusal = this.refused.get(id ?? '')
    const ask = s3Error(request, response)
    if (region !== this.region) {
      response.setHeader('x-amz-bucket-region', this.region)
      if (this.regionRefusal === 'redirect') ask(301, 'PermanentRedirect')
      else ask(400, 'AuthorizationHeaderMalformed', `<Region>${this.region}</Region>`)
    } else if (Math.abs(dateOf(request) - Date.now() - this.clockAheadMs) > SKEW_MS)
      ask(403, 'RequestTimeTooSkewed')
    else if (refusal !== undefined) ask(refusal.status, refusal.code)
    else return false
    return true
  }

  /** What the service answers: GET and HEAD of objects with Range and If-Match, lists, and once their `body` is there, what changes an object. */
  serve(request: SeenRequest, response: ServerResponse, body?: Promise<Buffer>): void {
    const [bucket, ...rest] = decodeURIComponent(request.url.pathname.slice(1)).split('/')
    const key = rest.join('/')
    const content = this.#objects.get(key)
    const fail = s3Error(request, response)
    if (bucket !== BUCKET) fail(404, 'NoSuchBucket')
    else if (key === '') this.#list(request, response)
    else if (!['GET', 'HEAD'].includes(request.method))
      void body?.then(
        whole => this.writes.serve(key, request, response, whole),
        () => undefined,
      )
    else if (content === undefined) fail(404, 'NoSuchKey')
    else {
      for (const [name, value] of Object.entries(this.writes.metadata.get(key) ?? {}))
        response.setHeader(name, value)
      serveObject(request, response, content)
    }
  }

  #list({ url }: SeenRequest, response: ServerResponse): void {
    const prefix = url.searchParams.get('prefix') ?? ''
    const keys = [...this.#objects.keys()].filter(key => key.startsWith(prefix)).sort(compareUtf8)
    const contents = keys.map(key => {
      const content = this.#objects.get(key)!
      const fields = `<LastModified>${MODIFIED.toISOString()}</LastModified><ETag>&quot;${etagOf(content)}&quot;</ETag>`
      return `<Contents><Key>${encodeURIComponent(key)}</Key>${fields}<Size>${content.length}</Size></Contents>`
    })
    const page = `<KeyCount>${keys.length}</KeyCount><EncodingType>url</EncodingType><IsTruncated>false</IsTruncated>`
    xml(
      response,
      200,
      `<ListBucketResult><Name>${BUCKET}</Name>${page}${contents.join('')}</ListBucketResult>`,
    )
  }
}

const MODIFIED = new Date('2026-11-01T10:20:30.456Z')

export function etagOf(content: Uint8Array): string {
  return createHash('md5').update(content).digest('hex')
}

function dateOf({ headers }: SeenRequest): number {
  return Date.parse(
    String(headers['x-amz-date']).replace(/^(....)(..)(..)T(..)(..)(..)Z$/, '$1-$2-$3T$4:$5:$6Z'),
  )
}

function serveObject(request: SeenRequest, response: ServerResponse, content: Uint8Array): void {
  const etag = `"${etagOf(content)}"`
  const fail = s3Error(request, response)
  const wanted = request.headers['if-match']
  if (wanted !== undefined && wanted !== etag) {
    fail(412, 'PreconditionFailed')
    return
  }
  const range = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? '')
  const start = Number(range?.[1] ?? 0)
  const end = Math.min(content.length, Number(range?.[2] ?? Infinity) + 1)
  if (range !== null && start >= content.length) {
    fail(416, 'InvalidRange')
    return
  }
  response.writeHead(range === null ? 200 : 206, {
    etag,
    'last-modified': MODIFIED.toUTCString(),
    'content-length': end - start,
    ...(range !== null && { 'content-range': `bytes ${start}-${end - 1}/${content.length}` }),
  })
  response.end(request.method === 'HEAD' ? undefined : content.subarray(start, end))
}

/** An error as S3 words it; in answers to HEAD without the body, as S3 does. */
export function s3Error(
  request: SeenRequest,
  response: ServerResponse,
): (status: number, code: string, more?: string) => void {
  return (status, code, more = '') => {
    const text = `<Error><Code>${code}</Code><Message>text of ${code}</Message>${more}</Error>`
    if (request.method === 'HEAD') response.writeHead(status).end()
    else xml(response, status, text)
  }
}

export function xml(response: ServerResponse, status: number, text: string): void {
  response.writeHead(status, { 'content-type': 'application/xml' })
  response.end(`<?xml version="1.0" encoding="UTF-8"?>\n${text}`)
}

/** Answers with an error. */
export function refuse(status: number, code: string, headers: Readonly<Record<string, string>> = {}): Script {
  return (request, response) => {
    for (const [name, value] of Object.entries(headers)) response.setHeader(name, value)
    s3Error(request, response)(status, code)
  }
}

/** Answers nothing. */
export const silence: Script = () => undefined

/** Ends the connection without an answer. */
export const reset: Script = (_, response) => void response.socket?.resetAndDestroy()

/** The first `bytes` of what `content` says it would be, and then nothing more: the connection ends, or stalls. */
export function partOf(content: Uint8Array, bytes: number, then: 'end' | 'stall'): Script {
  return (request, response) => {
    const start = Number(/^bytes=(\d+)-/.exec(request.headers.range ?? '')?.[1] ?? 0)
    response.writeHead(206, {
      etag: `"${etagOf(content)}"`,
      'content-length': content.length - start,
      'content-range': `bytes ${start}-${content.length - 1}/${content.length}`,
    })
    response.write(content.subarray(start, start + bytes), () => {
      if (then === 'end') response.socket?.destroy()
    })
  }
}
