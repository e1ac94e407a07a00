// A small server of the Cloud Storage JSON API with one bucket, for what no emulator shows: pages as the real service cuts them, conditions on content, coded objects,
// access tokens, and any answer or silence that a test scripts.
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { ServerOptions } from 'node:https'
import type { Socket } from 'node:net'
import { gunzipSync } from 'node:zlib'
import type { GcsDefinition } from '../../src/store/definition.ts'
import { openObjectStore } from '../../src/store/object-store.ts'
import { gcsObjects } from '../../src/store/gcs.ts'
import { compareUtf8 } from '../../src/store/path.ts'
import type { ArtifactStore } from '../../src/store/store.ts'
import { Listening } from './listening.ts'
import { ScriptedUploads } from './scripted-gcs-uploads.ts'

export interface StoredObject {
  readonly content: Uint8Array
  readonly generation: string
  readonly timeCreated: string
  readonly contentEncoding: string | undefined
  readonly contentType: string | undefined
  readonly metadata: Readonly<Record<string, string>> | undefined
}

export interface SeenRequest {
  readonly method: string
  readonly url: URL
  readonly headers: IncomingMessage['headers']
}

/** Answers a request itself and returns true, or leaves it to the service. */
export type Script = (request: SeenRequest, response: ServerResponse) => boolean

export const BUCKET = 'scripted-bucket'

export class ScriptedGcs {
  readonly requests: SeenRequest[] = []
  readonly uploads = new ScriptedUploads(this)
  /** Names that one page looks at before it ends, with a token and perhaps nothing else. */
  namesPerPage = 1000
  /** Bearer tokens that are accepted; undefined: requests need none. */
  tokens: Set<string> | undefined
  readonly #objects = new Map<string, StoredObject>()
  readonly #scripts: Script[] = []
  #listening!: Listening
  #generations = 1_700_000_000_000_000

  static async start(tls?: ServerOptions): Promise<ScriptedGcs> {
    const scripted = new ScriptedGcs()
    const listener = (request: IncomingMessage, response: ServerResponse): void => {
      // A request that breaks off has nobody to answer.
      scripted.#serve(request, response).catch(() => response.destroy())
    }
    scripted.#listening = await Listening.start(listener, tls)
    return scripted
  }

  get endpoint(): string {
    return this.#listening.origin
  }

  /** Open connections. */
  get sockets(): ReadonlySet<Socket> {
    return this.#listening.sockets
  }

  definition(changes: Partial<GcsDefinition> = {}): GcsDefinition {
    return {
      kind: 'gcs',
      name: 'models',
      readOnly: false,
      delivery: 'proxy',
      bucket: BUCKET,
      prefix: '',
      endpoint: this.endpoint,
      maxConnections: 16,
      signedUrlSeconds: 60,
      ...changes,
    }
  }

  store(changes?: Partial<GcsDefinition>): ArtifactStore {
    const definition = this.definition(changes)
    return openObjectStore(definition, gcsObjects(definition))
  }

  write(name: string, content: Uint8Array, contentEncoding?: string, more: Partial<StoredObject> = {}): void {
    const generation = String(++this.#generations)
    const timeCreated = new Date().toISOString()
    const { contentType, metadata } = more
    this.#objects.set(name, {
      content: Buffer.from(content),
      ...{ generation, timeCreated, contentEncoding, contentType, metadata },
    })
  }

  object(name: string): StoredObject | undefined {
    return this.#objects.get(name)
  }

  remove(name: string): void {
    this.#objects.delete(name)
    for (const each of this.#objects.keys()) if (each.startsWith(`${name}/`)) this.#objects.delete(each)
  }

  /** Asks `script` about every request that comes, before the service and before earlier scripts; it ends by the returned call. */
  script(script: Script): () => void {
    this.#scripts.unshift(script)
    return () => void this.#scripts.splice(this.#scripts.indexOf(script), 1)
  }

  /** Lets `script` answer the next request that it takes. */
  once(script: Script): void {
    const end = this.script((request, response) => {
      const taken = script(request, response)
      if (taken) end()
      return taken
    })
  }

  socketsDownTo(count: number, withinMs?: number): Promise<void> {
    return this.#listening.socketsDownTo(count, withinMs)
  }

  close(): Promise<void> {
    return this.#listening.close()
  }

  async #serve(incoming: IncomingMessage, response: ServerResponse): Promise<void> {
    const content: Uint8Array[] = []
    for await (const chunk of incoming) content.push(chunk as Uint8Array)
    const { method = '', headers } = incoming
    const request = { method, headers, url: new URL(incoming.url ?? '', this.endpoint) }
    this.requests.push(request)
    if (this.#scripts.some(script => script(request, response))) return
    const token = /^Bearer (.*)/.exec(headers.authorization ?? '')?.[1]
    if (this.tokens !== undefined && (token === undefined || !this.tokens.has(token))) {
      fail(request, response, 401, 'authError', 'Invalid Credentials')
      return
    }
    this.#route(request, response, Buffer.concat(content))
  }

  #route(request: SeenRequest, response: ServerResponse, content: Buffer): void {
    const [, upload, bucket, key] = /^(\/upload)?\/storage\/v1\/b\/([^/]+)\/o(?:\/(.+))?$/.exec(
      request.url.pathname,
    ) ?? [undefined, undefined, '']
    if (bucket !== BUCKET) {
      fail(request, response, 404, 'notFound', 'The specified bucket does not exist.')
      return
    }
    if (upload !== undefined) {
      this.uploads.serve(request, response, content)
      return
    }
    const copied = /^(.+)\/rewriteTo\/b\/[^/]+\/o\/(.+)$/.exec(key ?? '')
    if (copied !== null) {
      this.uploads.rewrite(request, response, copied.slice(1).map(decodeURIComponent), content)
      return
    }
    if (key === undefined) {
      json(response, 200, this.#page(request.url.searchParams))
      return
    }
    const name = decodeURIComponent(key)
    const object = this.#objects.get(name)
    if (object === undefined) {
      fail(request, response, 404, 'notFound', `No such object: ${BUCKET}/${name}`)
      return
    }
    if (request.method === 'DELETE' && !meets(request, object)) conditionNotMet(request, response)
    else if (request.method === 'DELETE') {
      this.#objects.delete(name)
      response.writeHead(204).end()
    } else if (request.url.searchParams.get('alt') === 'media') sendMedia(request, response, object)
    else json(response, 200, resourceOf(name, object))
  }

  /** Items and prefixes share `maxResults`, in the order of the names; objects.list in the reference of the JSON API. */
  #page(query: URLSearchParams): unknown {
    const prefix = query.get('prefix') ?? ''
    const delimiter = query.get('delimiter')
    const token = query.get('pageToken')
    const after = token === null ? undefined : Buffer.from(token, 'base64url').toString()
    const from = query.get('startOffset') ?? ''
    const names = [...this.#objects.keys()]
      .filter(name => name.startsWith(prefix) && compareUtf8(name, from) >= 0)
      .sort(compareUtf8)
    const items: unknown[] = []
    const prefixes: string[] = []
    let seen = 0
    let last = after
    for (const name of names) {
      const slash = delimiter === null ? -1 : name.indexOf(delimiter, prefix.length)
      const folder = slash < 0 ? undefined : name.slice(0, slash + 1)
      // A token names an item, or a prefix that was given: all that it stands for is over.
      const over = after !== undefined && (compareUtf8(name, after) <= 0 || folder === after)
      if (over || (folder !== undefined && folder === prefixes.at(-1))) continue
      if (
        items.length + prefixes.length >= Number(query.get('maxResults') ?? 1000) ||
        seen++ >= this.namesPerPage
      )
        return { items, prefixes, nextPageToken: Buffer.from(last ?? '').toString('base64url') }
      if (folder === undefined) items.push(resourceOf(name, this.#objects.get(name)!))
      else prefixes.push(folder)
      last = folder ?? name
    }
    return { ...(items.length > 0 && { items }), ...(prefixes.length > 0 && { prefixes }) }
  }
}

export function resourceOf(name: string, object: StoredObject): unknown {
  const { content, ...properties } = object
  return { name, ...properties, size: String(content.length) }
}

/** Whether the generation that a request is conditional on is the current one; 0 is that of no object. */
export function meets({ url }: SeenRequest, object: StoredObject | undefined): boolean {
  const wanted = url.searchParams.get('ifGenerationMatch')
  return wanted === null || wanted === (object?.generation ?? '0')
}

export function conditionNotMet(request: SeenRequest, response: ServerResponse): void {
  fail(request, response, 412, 'conditionNotMet', 'At least one of the pre-conditions did not hold.')
}

function sendMedia(request: SeenRequest, response: ServerResponse, object: StoredObject): void {
  const { content, generation, contentEncoding } = object
  if (!meets(request, object)) {
    conditionNotMet(request, response)
    return
  }
  response.setHeader('x-goog-generation', generation)
  response.setHeader('x-goog-stored-content-encoding', contentEncoding ?? 'identity')
  const accepted = request.headers['accept-encoding']?.includes('gzip') === true
  if (contentEncoding === 'gzip' && !accepted) {
    // Decompressive transcoding: whole, whatever range was asked for.
    response.writeHead(200).end(gunzipSync(content))
    return
  }
  if (contentEncoding !== undefined) response.setHeader('content-encoding', contentEncoding)
  const [, first, last] = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? '') ?? []
  if (first === undefined || last === undefined) {
    response.writeHead(200, { 'content-length': content.length }).end(content)
    return
  }
  if (Number(first) >= content.length) {
    fail(request, response, 416, 'requestedRangeNotSatisfiable', 'Request range not satisfiable')
    return
  }
  const part = content.subarray(Number(first), Number(last) + 1)
  const range = `bytes ${first}-${Number(first) + part.length - 1}/${content.length}`
  response.writeHead(206, { 'content-length': part.length, 'content-range': range }).end(part)
}

/** As the service does: JSON, but text for a request of content. */
export function fail(
  request: SeenRequest,
  response: ServerResponse,
  status: number,
  reason: string,
  message: string,
): void {
  if (request.url.searchParams.get('alt') === 'media') {
    response.writeHead(status, { 'content-type': 'text/html; charset=UTF-8' }).end(message)
    return
  }
  json(response, status, {
    error: { code: status, message, errors: [{ domain: 'global', reason, message }] },
  })
}

export function json(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json; charset=UTF-8' }).end(JSON.stringify(body))
}

/** Whether a request is one for content. */
export const isMedia = ({ url }: SeenRequest): boolean => url.searchParams.get('alt') === 'media'
