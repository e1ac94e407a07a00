// Requests of tus 1.0, spelled out.
import type { Answer, Ask } from './client.ts'

export type Headers = Readonly<Record<string, string>>
export type Asking = (url: string, options?: Ask) => Promise<Answer>

export const BYTES = { 'content-type': 'application/offset+octet-stream' }

/** A value of Upload-Metadata. */
export function metadataOf(values: Readonly<Record<string, string>>): string {
  return Object.entries(values)
    .map(([key, value]) => `${key} ${Buffer.from(value).toString('base64')}`)
    .join(',')
}

/** A client that says only what it is told to, over `ask`. */
export class Uploading {
  readonly #ask: Asking
  readonly #endpoint: string

  constructor(ask: Asking, endpoint: string) {
    this.#ask = ask
    this.#endpoint = endpoint
  }

  create(
    size: number | undefined,
    metadata: Readonly<Record<string, string>>,
    headers: Headers = {},
    body = '',
  ) {
    const length: Headers =
      size === undefined ? { 'upload-defer-length': '1' } : { 'upload-length': String(size) }
    return this.#send(
      'POST',
      this.#endpoint,
      { ...length, 'upload-metadata': metadataOf(metadata), ...headers },
      body,
    )
  }

  /** The URL of a new upload. */
  async begin(size: number | undefined, metadata: Readonly<Record<string, string>>): Promise<string> {
    const { status, headers, text } = await this.create(size, metadata)
    if (status !== 201) throw new Error(`${status} ${text}`)
    return new URL(headers.location!, this.#endpoint).href
  }

  head(url: string, headers: Headers = {}): Promise<Answer> {
    return this.#send('HEAD', url, headers)
  }

  patch(url: string, offset: number, body: string | Buffer, headers: Headers = {}): Promise<Answer> {
    return this.#send('PATCH', url, { ...BYTES, 'upload-offset': String(offset), ...headers }, body)
  }

  remove(url: string, headers: Headers = {}): Promise<Answer> {
    return this.#send('DELETE', url, headers)
  }

  #send(method: string, url: string, headers: Headers, body: string | Buffer = ''): Promise<Answer> {
    return this.#ask(url, { method, headers: { 'tus-resumable': '1.0.0', ...headers }, body })
  }
}
