// Google Cloud Storage: one bucket by the JSON API. Why its SDK does not send the requests is in docs/decisions/0012.
import type { IncomingMessage } from 'node:http'
import type { GcsDefinition } from './definition.ts'
import { gcsFailure, senselessAnswer, type GcsSubject } from './gcs-failure.ts'
import { findKey, type GcsKey } from './gcs-key.ts'
import { HEAD_FIELDS, headOf, parsePage, parseResource, RESOURCE_FIELDS } from './gcs-resource.ts'
import { signedObjectUrl } from './gcs-sign.ts'
import { GcsTokens } from './gcs-tokens.ts'
import { GcsTransport, type GcsRequest } from './gcs-transport.ts'
import { GcsWrites } from './gcs-write.ts'
import { ObjectAgents } from './object-agents.ts'
import {
  ObjectFailure,
  type ConnectObjects,
  type ConnectOptions,
  type Copies,
  type GetRequest,
  type ListRequest,
  type ObjectBody,
  type ObjectClient,
  type ObjectHead,
  type ObjectPage,
  type PartRules,
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

class GcsClient implements ObjectClient {
  readonly order = 'utf8'
  readonly canStartAfter = true
  readonly #parts: Parts
  /** Path of the bucket's objects. */
  readonly #objects: string
  readonly #writes: GcsWrites

  constructor(parts: Parts) {
    this.#parts = parts
    this.#objects = `/storage/v1/b/${encodeURIComponent(parts.definition.bucket)}/o`
    this.#writes = new GcsWrites({
      objects: this.#objects,
      path: key => this.#path(key),
      target: (path, parameters) => this.#target(path, parameters),
      json: (request, subject, signal) => this.#json(request, subject, signal),
      answer: async (request, signal) => {
        const response = await this.#ask(request, signal)
        return { response, body: await this.#parts.transport.readWhole(response, MAX_ANSWER_BYTES, signal) }
      },
      failure: refusalOf,
    })
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
    const target = this.#target(this.#path(key), { fields: HEAD_FIELDS })
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

  readonly put: ObjectClient['put'] = (...args) => this.#writes.put(...args)
  readonly begin: ObjectClient['begin'] = (...args) => this.#writes.begin(...args)
  readonly part: ObjectClient['part'] = (...args) => this.#writes.part(...args)
  readonly complete: ObjectClient['complete'] = (upload, receipts) => this.#writes.complete(upload, receipts)
  readonly cancel: ObjectClient['cancel'] = (...args) => this.#writes.cancel(...args)
  readonly remove: ObjectClient['remove'] = (...args) => this.#writes.remove(...args)

  get partRules(): PartRules {
    return this.#writes.partRules
  }

  get copies(): Copies {
    return this.#writes.copies
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

  async #json(request: GcsRequest, subject: GcsSubject, signal: AbortSignal): Promise<unknown> {
    const response = await this.#send(request, subject, signal)
    const text = await this.#parts.transport.readWhole(response, MAX_ANSWER_BYTES, signal)
    try {
      return JSON.parse(text) as unknown
    } catch (error) {
      throw failureOf({ reason: 'interrupted' }, error)
    }
  }

  /** The response, if it is a success. */
  async #send(request: GcsRequest, subject: GcsSubject, signal: AbortSignal): Promise<IncomingMessage> {
    const response = await this.#ask(request, signal)
    const status = response.statusCode ?? 0
    if (status >= 200 && status < 300) return response
    throw refusalOf(
      response,
      await this.#parts.transport.readWhole(response, MAX_ERROR_BYTES, signal),
      subject,
    )
  }

  async #ask(request: GcsRequest, signal: AbortSignal): Promise<IncomingMessage> {
    const { tokens, transport } = this.#parts
    const authorization = await tokens?.headers(signal)
    return transport.send({ ...request, headers: { ...authorization, ...request.headers } }, signal)
  }
}

function refusalOf(
  { statusCode = 0, headers }: IncomingMessage,
  body: string,
  subject: GcsSubject,
): ObjectFailure {
  return gcsFailure({
    stage: 'answer',
    subject,
    status: statusCode,
    retryAfter: headers['retry-after'],
    body,
  })
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
