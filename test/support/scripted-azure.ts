// A Blob service of our own for what no emulator shows: hierarchical namespaces, empty pages, refusals, answers that break off. It checks no signatures.
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { ServerOptions } from 'node:https'
import { azureObjects } from '../../src/store/azure.ts'
import type { AzureDefinition } from '../../src/store/definition.ts'
import { openObjectStore } from '../../src/store/object-store.ts'
import type { ArtifactStore } from '../../src/store/store.ts'
import { Listening } from './listening.ts'
import { meets, ScriptedBlocks } from './scripted-azure-blocks.ts'

export const ACCOUNT = 'scripted'
export const CONTAINER = 'outputs'

export interface Blob {
  readonly content: Uint8Array
  readonly etag: string
  readonly modified: string
  readonly metadata: Readonly<Record<string, string>>
}

interface Row {
  readonly key: string
  readonly xml: string
}

/** Answers instead of the script where it returns true. */
export type Interception = (request: IncomingMessage, response: ServerResponse) => boolean

export class ScriptedAzure {
  readonly #blobs = new Map<string, Blob>()
  /** Of a hierarchical namespace: they stay when nothing is in them any more. */
  readonly #directories = new Set<string>()
  readonly blocks = new ScriptedBlocks(this)
  #listening!: Listening
  #versions = 0
  /** Lists as they are until something changes. */
  readonly #listed = new Map<string, readonly Row[]>()

  /** Method, path and query of what was asked for. */
  readonly requests: string[] = []
  namesPerPage = 5000
  /** Whether every other page has no names, as where a server comes by deleted blobs. */
  emptyPages = false
  /** Whether directories exist, and names are in order rather than keys. */
  hierarchical = false
  /** Whether Get Account Information is allowed. */
  tellsAccount = true
  /** What the answers say; the newer, the more parameters are looked at. */
  version = '2026-10-06'
  intercept: Interception | undefined

  static async start(tls?: ServerOptions): Promise<ScriptedAzure> {
    const scripted = new ScriptedAzure()
    const listener = (request: IncomingMessage, response: ServerResponse): void => {
      scripted.#answer(request, response).catch((error: unknown) => response.destroy(error as Error))
    }
    scripted.#listening = await Listening.start(listener, tls)
    return scripted
  }

  get endpoint(): string {
    return `${this.#listening.origin}/${ACCOUNT}`
  }

  get openSockets(): number {
    return this.#listening.sockets.size
  }

  definition(settings: Partial<AzureDefinition> = {}): AzureDefinition {
    return {
      ...{ kind: 'azure', name: 'models', readOnly: false, delivery: 'proxy', bucket: CONTAINER, prefix: '' },
      endpoint: this.endpoint,
      secret: {
        label: "the secret 'scripted'",
        values: { AZURE_ACCOUNT_NAME: ACCOUNT, AZURE_ACCOUNT_KEY: 'c2NyaXB0ZWQ=' },
        files: [],
      },
      maxConnections: 16,
      signedUrlSeconds: 60,
      ...settings,
    }
  }

  store(settings: Partial<AzureDefinition> = {}): ArtifactStore {
    const definition = this.definition(settings)
    return openObjectStore(definition, azureObjects(definition))
  }

  write(key: string, content: Uint8Array, metadata: Readonly<Record<string, string>> = {}): void {
    this.#versions += 1
    this.blocks.forget(key)
    if (this.hierarchical)
      for (let slash = key.lastIndexOf('/'); slash > 0; slash = key.lastIndexOf('/', slash - 1))
        this.#directories.add(key.slice(0, slash))
    const etag = `0x${this.#versions.toString(16).toUpperCase()}`
    this.#blobs.set(key, { content, etag, modified: new Date().toUTCString(), metadata })
    this.#listed.clear()
  }

  /** The blob and everything below it, and directories that are empty then. */
  remove(key: string): void {
    this.#listed.clear()
    for (const set of [this.#blobs, this.#directories])
      for (const each of [...set.keys()]) if (each === key || each.startsWith(`${key}/`)) set.delete(each)
    for (let slash = key.lastIndexOf('/'); slash > 0; slash = key.lastIndexOf('/', slash - 1)) {
      if (this.#hasBelow(key.slice(0, slash))) return
      this.#directories.delete(key.slice(0, slash))
    }
  }

  blob(key: string): Blob | undefined {
    return this.#blobs.get(key)
  }

  #hasBelow(directory: string): boolean {
    return [...this.#blobs.keys(), ...this.#directories].some(key => key.startsWith(`${directory}/`))
  }

  close(): Promise<void> {
    return this.#listening.close()
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url!, this.endpoint)
    this.requests.push(`${request.method} ${url.pathname}${url.search}`)
    response.setHeader('x-ms-version', this.version)
    if (this.intercept?.(request, response) === true) return
    const root = `/${ACCOUNT}/${CONTAINER}`
    if (url.searchParams.get('restype') === 'account') this.#tellAccount(request, response)
    else if (url.pathname === root && url.searchParams.get('comp') === 'list')
      this.#list(url.searchParams, response)
    else if (!url.pathname.startsWith(`${root}/`)) refuse(request, response, 404, 'ContainerNotFound')
    else await this.#blob(decodeURIComponent(url.pathname.slice(root.length + 1)), request, response)
  }

  #tellAccount(request: IncomingMessage, response: ServerResponse): void {
    if (!this.tellsAccount) {
      refuse(request, response, 403, 'AuthorizationPermissionMismatch')
      return
    }
    response.setHeader('x-ms-is-hns-enabled', String(this.hierarchical))
    response.setHeader('x-ms-account-kind', 'StorageV2')
    response.end()
  }

  async #blob(key: string, request: IncomingMessage, response: ServerResponse): Promise<void> {
    const blob = this.#blobs.get(key) ?? (this.#directories.has(key) ? DIRECTORY : undefined)
    if (request.method === 'PUT') await this.blocks.put(key, request, response)
    else if (blob === undefined) refuse(request, response, 404, 'BlobNotFound')
    else if (request.method === 'DELETE') this.#delete(key, blob, request, response)
    else this.#give(blob, request, response)
  }

  #delete(key: string, blob: Blob, request: IncomingMessage, response: ServerResponse): void {
    if (!meets(request, blob)) refuse(request, response, 412, 'ConditionNotMet')
    else if (blob === DIRECTORY && this.#hasBelow(key)) refuse(request, response, 409, 'DirectoryIsNotEmpty')
    else {
      this.#listed.clear()
      this.#blobs.delete(key)
      this.#directories.delete(key)
      response.writeHead(202).end()
    }
  }

  #give(blob: Blob, request: IncomingMessage, response: ServerResponse): void {
    const { 'if-match': pin, 'x-ms-range': range = request.headers.range } = request.headers
    if (pin !== undefined && pin !== `"${blob.etag}"`) {
      refuse(request, response, 412, 'ConditionNotMet')
      return
    }
    const [, first, last] = /^bytes=(\d+)-(\d*)$/.exec(String(range)) ?? []
    const start = Number(first ?? 0)
    const size = blob.content.byteLength
    const end = last === undefined || last === '' ? size : Math.min(size, Number(last) + 1)
    if (first !== undefined && start >= size) {
      refuse(request, response, 416, 'InvalidRange')
      return
    }
    response.setHeader('etag', `"${blob.etag}"`)
    response.setHeader('last-modified', blob.modified)
    response.setHeader('content-length', end - start)
    for (const [name, value] of Object.entries(blob.metadata)) response.setHeader(`x-ms-meta-${name}`, value)
    if (first !== undefined) response.setHeader('content-range', `bytes ${start}-${end - 1}/${size}`)
    response.writeHead(first === undefined ? 200 : 206)
    response.end(request.method === 'HEAD' ? undefined : blob.content.subarray(start, end))
  }

  #list(query: URLSearchParams, response: ServerResponse): void {
    const prefix = query.get('prefix') ?? ''
    const delimited = query.get('delimiter') === '/'
    const rows = this.#rows(prefix, delimited)
    const from = this.version >= '2026-02-06' ? (query.get('startFrom') ?? '') : ''
    const marker = query.get('marker') ?? ''
    const [, at = encodeURIComponent(from), empty = ''] = /^2!([^!]*)!(-?)$/.exec(marker) ?? []
    const first = decodeURIComponent(at)
    const compare = this.#order
    // A prefix stays as long as a key in it does.
    const start = rows.findIndex(
      ({ key }) => compare(key, first) >= 0 || (marker === '' && key.endsWith('/') && first.startsWith(key)),
    )
    const isEmpty = this.emptyPages && empty === '' && marker !== ''
    const count =
      isEmpty || start < 0 ? 0 : Math.min(this.namesPerPage, Number(query.get('maxresults') ?? 5000))
    const page = rows.slice(start, start + count)
    const next = rows.at(start + count)
    const nextMarker =
      start < 0 || next === undefined ? '' : `2!${encodeURIComponent(next.key)}!${isEmpty ? '-' : ''}`
    response.setHeader('content-type', 'application/xml')
    response.end(
      `<?xml version="1.0" encoding="utf-8"?><EnumerationResults ContainerName="${CONTAINER}"><Blobs>${page
        .map(({ xml }) => xml)
        .join('')}</Blobs><NextMarker>${nextMarker}</NextMarker></EnumerationResults>`,
    )
  }

  get #order(): (a: string, b: string) => number {
    return this.hierarchical ? compareNames : compareKeys
  }

  /** What a list shows below `prefix`, in the order of the namespace. */
  #rows(prefix: string, delimited: boolean): readonly Row[] {
    const name = `${delimited ? '/' : ''}:${prefix}`
    const known = this.#listed.get(name)
    if (known !== undefined) return known
    const rows = new Map<string, string>()
    for (const [key, blob] of this.#blobs) {
      if (!key.startsWith(prefix)) continue
      const slash = key.indexOf('/', prefix.length)
      if (delimited && slash >= 0)
        rows.set(key.slice(0, slash + 1), `<BlobPrefix>${nameXml(key.slice(0, slash + 1))}</BlobPrefix>`)
      else rows.set(key, blobXml(key, blob))
    }
    for (const key of this.#directories) {
      if (!key.startsWith(prefix)) continue
      const slash = key.indexOf('/', prefix.length)
      const shown = delimited ? `${slash < 0 ? key : key.slice(0, slash)}/` : key
      rows.set(shown, delimited ? `<BlobPrefix>${nameXml(shown)}</BlobPrefix>` : blobXml(key, DIRECTORY))
    }
    const compare = this.#order
    const sorted = [...rows].map(([key, xml]) => ({ key, xml })).sort((a, b) => compare(a.key, b.key))
    this.#listed.set(name, sorted)
    return sorted
  }
}

const DIRECTORY: Blob = {
  content: new Uint8Array(),
  etag: '0xD',
  modified: 'Tue, 24 Nov 2026 03:00:00 GMT',
  metadata: { hdi_isfolder: 'true' },
}

function compareKeys(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}

/** As if the slash came before all other characters, and none at the end were a directory's. */
function compareNames(a: string, b: string): number {
  const [x, y] = [a, b].map(key => key.replace(/\/$/, '').replaceAll('/', '\0')) as [string, string]
  return compareKeys(x, y)
}

function blobXml(key: string, { content, etag, modified, metadata }: Blob): string {
  const properties = `<Last-Modified>${modified}</Last-Modified><Etag>${etag}</Etag><Content-Length>${content.byteLength}</Content-Length><BlobType>BlockBlob</BlobType>`
  const named = Object.entries(metadata).map(([name, value]) => `<${name}>${value}</${name}>`)
  return `<Blob>${nameXml(key)}<Properties>${properties}</Properties><Metadata>${named.join('')}</Metadata></Blob>`
}

/** Names that XML cannot hold come percent-encoded (https://learn.microsoft.com/rest/api/storageservices/list-blobs). */
function nameXml(name: string): string {
  if (/[\u0000-\u0008\u000B\u000C\u000E-\u001F\uFFFE\uFFFF]/.test(name))
    return `<Name Encoded="true">${encodeURIComponent(name)}</Name>`
  return `<Name>${name.replace(/[&<>\r]/g, character => `&#x${character.charCodeAt(0).toString(16)};`)}</Name>`
}

/** An error as the Blob service writes it: the code in the head too, for answers to HEAD have no body. */
export function refuse(
  request: IncomingMessage,
  response: ServerResponse,
  status: number,
  code: string,
  { headers = {}, detail = '' }: { headers?: Record<string, string>; detail?: string } = {},
): void {
  const more = detail === '' ? '' : `<AuthenticationErrorDetail>${detail}</AuthenticationErrorDetail>`
  const body = `<?xml version="1.0"?><Error><Code>${code}</Code><Message>Refused.</Message>${more}</Error>`
  response.writeHead(status, { 'x-ms-error-code': code, 'content-type': 'application/xml', ...headers })
  response.end(request.method === 'HEAD' ? undefined : body)
}
