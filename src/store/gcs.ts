// Google Cloud Storage: one bucket by the JSON API. Why its SDK does not send the requests is in docs/decisions/0012.
import type { IncomingMessage } from 'node:http'
import type { GcsDefinition } from './definition.ts'
import { gcsFailure, senselessAnswer } from './gcs-failure.ts'
import { findKey, type GcsKey } from './gcs-key.ts'
import { headOf, parsePage, parseResource, RESOURCE_FIELDS } from './gcs-resource.ts'
import { signedObjectUrl } from './gcs-sign.ts'
import { GcsTokens } from './gcs-tokens.ts'
import { GcsTransport, type GcsRequest } from './gcs-transport.ts'
import { ObjectAgents } from './object-agents.ts'
import {
  ObjectFailure,
  type ConnectObjects,
  type ConnectOptions,
  type GetRequest,
  type ListRequest,
  type ObjectBody,
  type ObjectClient,
  type ObjectHead,
  type ObjectPage,
  type SignRequest,
} from './object-client.ts'
import { checkPart, discard } from './object-response.ts'
import { failureOf } from './object-verdict.ts'
import { readCertificates } from './secret-file.ts'

/** A page of 1000 names of 1024 bytes, each byte escaped, with all that a server may add. */
const MAX_ANSWER_BYTES = 16 * 1024 ** 2
const MAX_ERROR_BYTES = 64 * 1024

export function gcsObjects(definition: GcsDefinition): ConnectObjects {
  return async options => {
    const key = await findKey(options.values, definition.secret)
    const endpoint = new URL(definition.endpoint ?? `https://storage.${universeOf(key)}`)
    const agents = new ObjectAgents({
      maxConnections: definition.maxConnections,
      connectMs: options.timeouts.connectMs,
      verifyTls: definition.verifyTls ?? true,
      certificates: await readCertificates(definition.caFile),
    })
    return new GcsClient({
      definition,
      endpoint,
      tokens: tokensFor(endpoint, key, options),
      transport: new GcsTransport({ origin: endpoint, agents, timeouts: options.timeouts }),
    })
  }
}

function universeOf(key: GcsKey | undefined): string {
  const domain = (key as { universe_domain?: unknown } | undefined)?.universe_domain
  return typeof domain === 'string' ? domain : 'googleapis.com'
}

/** An endpoint that is not Google's (an emulator) gets the keys of its own secret or none: what the surroundings offer is meant for Google only. */
function tokensFor(endpoint: URL, key: GcsKey | undefined, options: ConnectOptions): GcsTokens | undefined {
  const ofGoogle = endpoint.hostname.endsWith('.googleapis.com') && endpoint.protocol === 'https:'
  if (key === undefined && !ofGoogle) return undefined
  return new GcsTokens(key, options.values, options.timeouts.headersMs)
}

interface Parts {
  readonly definition: GcsDefinition
  readonly endpoint: URL
  /** Undefined for anonymous requests. */
  readonly tokens: GcsTokens | undefined
  readonly transport: GcsTransport
}

type Subject = 'object' | 'bucket'

class GcsClient implements ObjectClient {
  readonly order = 'utf8'
  readonly canStartAfter = true
  readonly #parts: Parts
  /** Path of the bucket's objects. */
  readonly #objects: string

  constructor(parts: Parts) {
    this.#parts = parts
    this.#objects = `/storage/v1/b/${encodeURIComponent(parts.definition.bucket)}/o`
  }

  async list(request: ListRequest, signal: AbortSignal): Promise<ObjectPage> {
    const target = this.#target(this.#objects, {
      prefix: request.prefix,
      delimiter: request.delimiter,
      startOffset: request.startAfter,
      pageToken: request.token,
      maxResults: String(request.maxKeys),
      fields: `nextPageToken,prefixes,items(${RESOURCE_FIELDS})`,
    })
    const page = parsePage(await this.#json({ method: 'GET', target, headers: {} }, 'bucket', signal))
    // `startOffset` is inclusive.
    return { ...page, objects: page.objects.filter(object => object.key !== request.startAfter) }
  }

  async head(key: string, signal: AbortSignal): Promise<ObjectHead> {
    const target = this.#target(this.#path(key), { fields: RESOURCE_FIELDS })
    return headOf(parseResource(await this.#json({ method: 'GET', target, headers: {} }, 'object', signal)))
  }

  async get(key: string, request: GetRequest, signal: AbortSignal): Promise<ObjectBody> {
    const { start, end, pin } = request
    const target = this.#target(this.#path(key), { alt: 'media', ifGenerationMatch: pin })
    // Without gzip among what we accept, objects stored with that coding would be decompressed on the way, whole and of unknown length.
    const headers = { range: `bytes=${start}-${end - 1}`, 'accept-encoding': 'gzip' }
    const response = await this.#send({ method: 'GET', target, headers }, 'object', signal)
    try {
      checkAnswer(request, response)
    } catch (error) {
      discard(response)
      throw error
    }
    return this.#parts.transport.bodyOf(response, signal)
  }

  async put(key: string, content: Uint8Array, signal: AbortSignal): Promise<void> {
    const target = this.#target(`/upload${this.#objects}`, { uploadType: 'media', name: key, fields: 'name' })
    const headers = {
      'content-type': 'application/octet-stream',
      'content-length': String(content.length),
    }
    await this.#json({ method: 'POST', target, headers, content }, 'bucket', signal)
  }

  async remove(key: string, signal: AbortSignal): Promise<void> {
    const target = this.#target(this.#path(key), {})
    try {
      const response = await this.#send({ method: 'DELETE', target, headers: {} }, 'object', signal)
      await this.#parts.transport.readWhole(response, MAX_ERROR_BYTES, signal)
    } catch (error) {
      if (error instanceof ObjectFailure && error.reason === 'missing-object') return
      throw error
    }
  }

  async signedUrl(key: string, request: SignRequest, signal: AbortSignal): Promise<string | undefined> {
    const { definition, endpoint, tokens } = this.#parts
    if (tokens === undefined) return undefined
    const origin = new URL(definition.publicEndpoint ?? endpoint.origin)
    const object = { bucket: definition.bucket, key, origin, userProject: definition.userProject }
    try {
      return await tokens.use(signal, auth => signedObjectUrl(auth, object, request))
    } catch (error) {
      if (error instanceof ObjectFailure && CANNOT_SIGN.has(error.reason)) return undefined
      throw error
    }
  }

  close(): void {
    this.#parts.transport.close()
  }

  #path(key: string): string {
    return `${this.#objects}/${encodeURIComponent(key)}`
  }

  #target(path: string, parameters: Readonly<Record<string, string | undefined>>): string {
    const query = new URLSearchParams()
    for (const [name, value] of Object.entries({
      ...parameters,
      userProject: this.#parts.definition.userProject,
    }))
      if (value !== undefined) query.set(name, value)
    return query.size === 0 ? path : `${path}?${query.toString()}`
  }

  async #json(request: GcsRequest, subject: Subject, signal: AbortSignal): Promise<unknown> {
    const response = await this.#send(request, subject, signal)
    const text = await this.#parts.transport.readWhole(response, MAX_ANSWER_BYTES, signal)
    try {
      return JSON.parse(text) as unknown
    } catch (error) {
      throw failureOf({ reason: 'interrupted' }, error)
    }
  }

  /** The response, if it is a success. */
  async #send(request: GcsRequest, subject: Subject, signal: AbortSignal): Promise<IncomingMessage> {
    const { tokens, transport } = this.#parts
    const authorization = await tokens?.headers(signal)
    const headers = { ...authorization, ...request.headers }
    const response = await transport.send({ ...request, headers }, signal)
    const status = response.statusCode ?? 0
    if (status >= 200 && status < 300) return response
    const body = await transport.readWhole(response, MAX_ERROR_BYTES, signal)
    const retryAfter = response.headers['retry-after']
    throw gcsFailure({ stage: 'answer', subject, status, retryAfter, body })
  }
}

/** No account to sign as, or none that may: `iam.serviceAccounts.signBlob` is a right of its own. */
const CANNOT_SIGN = new Set(['denied', 'credentials'])

/** Throws ObjectFailure unless the answer is what was asked for, of the generation that was pinned. */
function checkAnswer(request: GetRequest, { statusCode, headers }: IncomingMessage): void {
  const generation = headers['x-goog-generation']
  if (generation === undefined) throw senselessAnswer('no generation')
  // Servers that ignore `ifGenerationMatch` exist (fake-gcs-server 1.56, for content).
  if (generation !== request.pin) throw new ObjectFailure('changed')
  const length = headers['content-length']
  checkPart(request, {
    status: statusCode,
    contentRange: headers['content-range'],
    contentLength: length === undefined ? undefined : Number(length),
  })
}
