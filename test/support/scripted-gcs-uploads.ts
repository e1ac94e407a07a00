// How the scripted Cloud Storage is written: objects with their metadata in one request, resumable uploads, rewrites.
import { createHash } from 'node:crypto'
import type { ServerResponse } from 'node:http'
import {
  conditionNotMet,
  fail,
  json,
  meets,
  resourceOf,
  type ScriptedGcs,
  type SeenRequest,
  type StoredObject,
} from './scripted-gcs.ts'

/** What a client says of an object that is to be. */
type Resource = Partial<Pick<StoredObject, 'contentEncoding' | 'contentType' | 'metadata'>> & {
  readonly md5Hash?: string
}

interface Session {
  readonly name: string
  readonly resource: Resource
  /** With the condition of the session. */
  readonly begun: SeenRequest
  content: Buffer
  done: boolean
}

export class ScriptedUploads {
  /** By their ids. */
  readonly sessions = new Map<string, Session>()
  /** Bytes that are kept of a part, at most; a multiple of 256 KiB. */
  keepsAtMost = Infinity
  readonly #server: ScriptedGcs
  #ids = 0

  constructor(server: ScriptedGcs) {
    this.#server = server
  }

  serve(request: SeenRequest, response: ServerResponse, content: Buffer): void {
    const { searchParams } = request.url
    const name = searchParams.get('name') ?? ''
    const id = searchParams.get('upload_id')
    if (id !== null) this.#session(id, request, response, content)
    else if (/[\r\n]/.test(name))
      fail(request, response, 400, 'invalid', 'Disallowed unicode characters present in object name')
    else if (searchParams.get('uploadType') === 'resumable')
      this.#begin(name, request, response, JSON.parse(content.toString()) as Resource)
    else {
      const [resource, body] = partsOf(request, content)
      this.#store(name, request, response, JSON.parse(resource!.toString()) as Resource, body!)
    }
  }

  rewrite(request: SeenRequest, response: ServerResponse, names: readonly string[], body: Buffer): void {
    const [from, to] = names as [string, string]
    const source = this.#server.object(from)
    if (source === undefined) {
      fail(request, response, 404, 'notFound', `No such object: ${from}`)
      return
    }
    const isSource = request.url.searchParams.get('ifSourceGenerationMatch') === source.generation
    if (!isSource || !meets(request, this.#server.object(to))) {
      conditionNotMet(request, response)
      return
    }
    // The first answer to each says that there is more to do, as the service does for large objects.
    if (request.url.searchParams.get('rewriteToken') === null) {
      json(response, 200, { done: false, rewriteToken: 'go on' })
      return
    }
    const { contentEncoding, ...resource } = JSON.parse(body.toString()) as Resource
    this.#server.write(to, source.content, contentEncoding, resource)
    json(response, 200, { done: true, resource: resourceOf(to, this.#server.object(to)!) })
  }

  #begin(name: string, begun: SeenRequest, response: ServerResponse, resource: Resource): void {
    if (!meets(begun, this.#server.object(name))) {
      conditionNotMet(begun, response)
      return
    }
    const id = `session-${++this.#ids}`
    this.sessions.set(id, { name, resource, begun, content: Buffer.alloc(0), done: false })
    const query = new URLSearchParams({ uploadType: 'resumable', name, upload_id: id }).toString()
    response.setHeader('location', `https://storage.googleapis.com${begun.url.pathname}?${query}`)
    json(response, 200, {})
  }

  #session(id: string, request: SeenRequest, response: ServerResponse, content: Buffer): void {
    const session = this.sessions.get(id)
    if (session === undefined) fail(request, response, 404, 'notFound', 'Not Found')
    else if (request.method === 'DELETE') {
      this.sessions.delete(id)
      response.writeHead(499).end()
    } else if (session.done) json(response, 200, resourceOf(session.name, this.#server.object(session.name)!))
    else this.#take(session, request, response, content)
  }

  #take(session: Session, request: SeenRequest, response: ServerResponse, content: Buffer): void {
    const [, first, total] = /^bytes (\d+)-\d+\/(\d+|\*)$/.exec(request.headers['content-range'] ?? '') ?? []
    const start = Number(first)
    if (start > session.content.length) {
      fail(request, response, 503, 'backendError', 'Bytes are missing before these.')
      return
    }
    const kept = content.subarray(session.content.length - start).subarray(0, this.keepsAtMost)
    session.content = Buffer.concat([session.content, kept])
    if (session.content.length === Number(total)) {
      session.done = true
      const [, md5Hash] = /^md5=(.+)$/.exec(String(request.headers['x-goog-hash'])) ?? []
      const resource = { ...session.resource, ...(md5Hash !== undefined && { md5Hash }) }
      this.#store(session.name, session.begun, response, resource, session.content)
      return
    }
    const { length } = session.content
    response.writeHead(308, length === 0 ? {} : { range: `bytes=0-${length - 1}` }).end()
  }

  #store(
    name: string,
    conditional: SeenRequest,
    response: ServerResponse,
    { contentEncoding, md5Hash, ...resource }: Resource,
    content: Buffer,
  ): void {
    if (md5Hash !== undefined && md5Hash !== createHash('md5').update(content).digest('base64'))
      fail(conditional, response, 400, 'invalid', `Provided MD5 hash "${md5Hash}" does not match.`)
    else if (!meets(conditional, this.#server.object(name))) conditionNotMet(conditional, response)
    else {
      this.#server.write(name, content, contentEncoding, resource)
      json(response, 200, resourceOf(name, this.#server.object(name)!))
    }
  }
}

/** The bodies of multipart/related, RFC 2387. */
function partsOf({ headers }: SeenRequest, content: Buffer): Buffer[] {
  const [, boundary] = /boundary=(\S+)/.exec(headers['content-type'] ?? '') ?? []
  const delimiter = `--${boundary}`
  const parts: Buffer[] = []
  for (let at = content.indexOf(delimiter); ;) {
    const next = content.indexOf(`\r\n${delimiter}`, at)
    if (next < 0) return parts
    parts.push(content.subarray(content.indexOf('\r\n\r\n', at) + 4, next))
    at = next + 2
  }
}
