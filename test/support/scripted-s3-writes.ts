// How the scripted S3 is written: whole objects, parts, and removals, by their conditions.
import { createHash } from 'node:crypto'
import type { ServerResponse } from 'node:http'
import { etagOf, s3Error, xml, type ScriptedS3, type SeenRequest } from './scripted-s3.ts'

interface UnderWay {
  readonly key: string
  readonly metadata: Readonly<Record<string, string>>
  readonly parts: Map<number, Buffer>
}

export class ScriptedS3Writes {
  /** By their ids. */
  readonly uploads = new Map<string, UnderWay>()
  /** `x-amz-meta-…` of each object, by key. */
  readonly metadata = new Map<string, Readonly<Record<string, string>>>()
  readonly #server: ScriptedS3
  #ids = 0

  constructor(server: ScriptedS3) {
    this.#server = server
  }

  /** PUT, POST and DELETE of an object. */
  serve(key: string, request: SeenRequest, response: ServerResponse, body: Buffer): void {
    const { searchParams } = request.url
    const id = searchParams.get('uploadId')
    if (request.method === 'POST' && searchParams.has('uploads')) this.#begin(key, request, response)
    else if (id !== null && !this.uploads.has(id)) s3Error(request, response)(404, 'NoSuchUpload')
    else if (id === null && request.method === 'DELETE') this.#remove(key, request, response)
    else if (id === null) this.#store(key, body, metadataOf(request), request, response)
    else if (request.method === 'DELETE') {
      this.uploads.delete(id)
      response.writeHead(204).end()
    } else if (request.method === 'POST') this.#complete(id, request, response, body)
    else {
      this.uploads.get(id)!.parts.set(Number(searchParams.get('partNumber')), body)
      response.writeHead(200, { etag: `"${etagOf(body)}"` }).end()
    }
  }

  #begin(key: string, request: SeenRequest, response: ServerResponse): void {
    const id = `upload-${++this.#ids}`
    this.uploads.set(id, { key, metadata: metadataOf(request), parts: new Map() })
    const result = 'InitiateMultipartUploadResult'
    xml(response, 200, `<${result}><Key>${key}</Key><UploadId>${id}</UploadId></${result}>`)
  }

  #complete(id: string, request: SeenRequest, response: ServerResponse, body: Buffer): void {
    const { key, metadata, parts } = this.uploads.get(id)!
    const numbers = [...body.toString().matchAll(/<PartNumber>(\d+)<\/PartNumber>/g)].map(([, number]) =>
      Number(number),
    )
    if (numbers.some(number => !parts.has(number))) {
      s3Error(request, response)(400, 'InvalidPart')
      return
    }
    const content = Buffer.concat(numbers.map(number => parts.get(number)!))
    if (this.#store(key, content, metadata, request, response)) this.uploads.delete(id)
  }

  /** Whether the conditions let it. */
  #store(
    key: string,
    content: Buffer,
    metadata: Readonly<Record<string, string>>,
    request: SeenRequest,
    response: ServerResponse,
  ): boolean {
    const sha256 = request.headers['x-amz-content-sha256']
    if (!this.#meets(key, request, response)) return false
    if (request.method === 'PUT' && sha256 !== createHash('sha256').update(content).digest('hex')) {
      s3Error(request, response)(400, 'XAmzContentSHA256Mismatch')
      return false
    }
    this.metadata.set(key, metadata)
    const etag = this.#server.put(key, content)
    if (request.method === 'PUT') response.writeHead(200, { etag: `"${etag}"` }).end()
    else {
      const result = 'CompleteMultipartUploadResult'
      xml(response, 200, `<${result}><Key>${key}</Key><ETag>&quot;${etag}&quot;</ETag></${result}>`)
    }
    return true
  }

  #remove(key: string, request: SeenRequest, response: ServerResponse): void {
    if (!this.#meets(key, request, response)) return
    this.#server.remove(key)
    response.writeHead(204).end()
  }

  /** False where it has answered that a condition does not hold. */
  #meets(key: string, request: SeenRequest, response: ServerResponse): boolean {
    const content = this.#server.content(key)
    const { 'if-match': wanted, 'if-none-match': unwanted } = request.headers
    const fail = s3Error(request, response)
    if (unwanted === '*' && content !== undefined) fail(412, 'PreconditionFailed')
    else if (wanted !== undefined && content === undefined) fail(404, 'NoSuchKey')
    else if (wanted !== undefined && wanted !== `"${etagOf(content!)}"`) fail(412, 'PreconditionFailed')
    else return true
    return false
  }
}

function metadataOf({ headers }: SeenRequest): Readonly<Record<string, string>> {
  const entries = Object.entries(headers).filter(([name]) => name.startsWith('x-amz-meta-'))
  return Object.fromEntries(entries.map(([name, value]) => [name, String(value)]))
}
