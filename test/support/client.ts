// A plain HTTP client that hides nothing: no redirects, no decoding, and it says whether the body came to its end.
import { Agent, request } from 'node:http'
import type { IncomingHttpHeaders } from 'node:http'

export interface Answer {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly body: Buffer
  readonly text: string
  /** False when the connection broke before the message was whole. */
  readonly complete: boolean
}

const agent = new Agent({ keepAlive: false })

export interface Ask {
  readonly method?: string
  readonly headers?: Readonly<Record<string, string | string[]>>
  readonly body?: string | Buffer
}

/** `url` goes out as it is: the path is not normalised. */
export function ask(url: string, { method = 'GET', headers = {}, body }: Ask = {}): Promise<Answer> {
  const { hostname, port, origin } = new URL(url)
  return new Promise((resolve, reject) => {
    const sent = request(
      { hostname, port, path: url.slice(origin.length) || '/', method, headers, agent },
      response => {
        const chunks: Buffer[] = []
        const done = (): void => {
          const whole = Buffer.concat(chunks)
          resolve({
            status: response.statusCode ?? 0,
            headers: response.headers,
            body: whole,
            text: whole.toString(),
            complete: response.complete,
          })
        }
        response.on('data', (chunk: Buffer) => chunks.push(chunk))
        response.on('end', done)
        response.on('error', done)
      },
    )
    sent.on('error', reject)
    sent.end(body)
  })
}

export function json(answer: Answer): unknown {
  return JSON.parse(answer.text)
}

/** The parts of a multipart/byteranges body, read byte by byte as RFC 2046 5.1.1 says. */
export function parseByteRanges(answer: Answer): { range: string; type: string; bytes: Buffer }[] {
  const boundary = /^multipart\/byteranges; ?boundary="?([^";]+)"?$/.exec(
    answer.headers['content-type'] ?? '',
  )?.[1]
  if (boundary === undefined) throw new Error(`not multipart/byteranges: ${answer.headers['content-type']}`)
  const parts: { range: string; type: string; bytes: Buffer }[] = []
  let at = answer.body.indexOf(`--${boundary}`)
  if (at !== 0) throw new Error('the body does not begin with the delimiter')
  for (;;) {
    at += boundary.length + 2
    const after = answer.body.subarray(at, at + 2).toString()
    if (after === '--') {
      if (answer.body.subarray(at + 2).toString() !== '\r\n')
        throw new Error('something follows the last delimiter')
      return parts
    }
    if (after !== '\r\n') throw new Error('a delimiter does not end its line')
    const end = answer.body.indexOf('\r\n\r\n', at)
    const fields = answer.body.subarray(at + 2, end).toString()
    const range = /^content-range: (.*)$/im.exec(fields)?.[1] ?? ''
    const [, first, last] = /^bytes (\d+)-(\d+)\/\d+$/.exec(range) ?? []
    const bytes = answer.body.subarray(end + 4, end + 4 + Number(last) - Number(first) + 1)
    parts.push({ range, type: /^content-type: (.*)$/im.exec(fields)?.[1] ?? '', bytes })
    at = end + 4 + bytes.length
    if (answer.body.subarray(at, at + boundary.length + 4).toString() !== `\r\n--${boundary}`)
      throw new Error('a part is not followed by a delimiter')
    at += 2
  }
}
