// How the scripted Blob service is written: whole blobs, blocks, copies.
import { createHash } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { ACCOUNT, CONTAINER, refuse, type Blob, type ScriptedAzure } from './scripted-azure.ts'

export class ScriptedBlocks {
  /** Staged and not committed, by blob and id. */
  readonly staged = new Map<string, Map<string, Buffer>>()
  readonly #server: ScriptedAzure

  constructor(server: ScriptedAzure) {
    this.#server = server
  }

  /** Whatever writes a blob takes the blocks away that were staged for it. */
  forget(key: string): void {
    this.staged.delete(key)
  }

  async put(key: string, request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Uint8Array[] = []
    for await (const chunk of request) chunks.push(chunk as Uint8Array)
    const content = Buffer.concat(chunks)
    const { searchParams } = new URL(request.url!, 'http://scripted')
    const md5 = request.headers['content-md5']
    if (md5 !== undefined && md5 !== createHash('md5').update(content).digest('base64'))
      refuse(request, response, 400, 'Md5Mismatch')
    else if (searchParams.get('comp') === 'block')
      this.#stage(key, searchParams.get('blockid')!, content, request, response)
    else if (!meets(request, this.#server.blob(key))) this.#refuseCondition(request, response)
    else if (searchParams.get('comp') === 'blocklist') this.#commit(key, content, request, response)
    else if (request.headers['x-ms-copy-source'] !== undefined) this.#copy(key, request, response)
    else this.#store(key, content, request, response)
  }

  #stage(key: string, id: string, content: Buffer, request: IncomingMessage, response: ServerResponse): void {
    const blocks = this.staged.get(key) ?? new Map<string, Buffer>()
    this.staged.set(key, blocks)
    const source = this.#source(request)
    const range = /^bytes=(\d+)-(\d+)$/.exec(String(request.headers['x-ms-source-range']))
    blocks.set(
      id,
      source === undefined || range === null
        ? content
        : Buffer.from(source.content).subarray(Number(range[1]), Number(range[2]) + 1),
    )
    response.writeHead(201).end()
  }

  #commit(key: string, list: Buffer, request: IncomingMessage, response: ServerResponse): void {
    const blocks = this.staged.get(key)
    const ids = [...list.toString().matchAll(/<Latest>([^<]+)<\/Latest>/g)].map(([, id]) => id!)
    if (ids.some(id => blocks?.has(id) !== true)) refuse(request, response, 400, 'InvalidBlockList')
    else this.#store(key, Buffer.concat(ids.map(id => blocks!.get(id)!)), request, response)
  }

  #copy(key: string, request: IncomingMessage, response: ServerResponse): void {
    const source = this.#source(request)
    if (source === undefined) refuse(request, response, 404, 'CannotVerifyCopySource')
    else if (request.headers['x-ms-source-if-match'] !== `"${source.etag}"`)
      refuse(request, response, 412, 'SourceConditionNotMet')
    else this.#store(key, source.content, request, response)
  }

  #source({ headers }: IncomingMessage): Blob | undefined {
    const url = headers['x-ms-copy-source']
    if (typeof url !== 'string') return undefined
    return this.#server.blob(
      decodeURIComponent(new URL(url).pathname.slice(`/${ACCOUNT}/${CONTAINER}/`.length)),
    )
  }

  #store(key: string, content: Uint8Array, request: IncomingMessage, response: ServerResponse): void {
    const metadata = Object.entries(request.headers).flatMap(([name, value]) =>
      name.startsWith('x-ms-meta-') ? [[name.slice('x-ms-meta-'.length), String(value)]] : [],
    )
    this.#server.write(key, content, Object.fromEntries(metadata) as Record<string, string>)
    const { etag, modified } = this.#server.blob(key)!
    response.writeHead(201, { etag: `"${etag}"`, 'last-modified': modified, 'x-ms-copy-status': 'success' })
    response.end()
  }

  #refuseCondition(request: IncomingMessage, response: ServerResponse): void {
    if (request.headers['if-none-match'] === '*') refuse(request, response, 409, 'BlobAlreadyExists')
    else refuse(request, response, 412, 'ConditionNotMet')
  }
}

/** Whether the request's condition holds for what is there. */
export function meets({ headers }: IncomingMessage, blob: Blob | undefined): boolean {
  if (headers['if-none-match'] === '*') return blob === undefined
  const wanted = headers['if-match']
  return wanted === undefined || (blob !== undefined && wanted === `"${blob.etag}"`)
}
