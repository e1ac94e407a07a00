// One attack, as bytes on a socket of its own, and what holds for every answer to one.
import { gunzipSync } from 'node:zlib'
import { expect } from 'vitest'
import { Connection } from '../faults/connection.ts'
import { SECRET, type Victim } from './victim.ts'

/** Beyond anything that a request of a few bytes may take here. */
const WITHIN_MS = 5_000
const AT_ONCE = 8

export interface Attack {
  readonly method?: string
  /** As it stands in the request line. */
  readonly target: string
  readonly host?: string
  /** Lines of the head, besides Host, Connection and Content-Length. */
  readonly fields?: readonly string[]
  readonly body?: string | Buffer
}

export interface Answer {
  readonly status: number
  /** Names in lower case; values of one name are joined by commas. */
  readonly headers: ReadonlyMap<string, string>
  readonly body: Buffer
  /** The body, uncompressed where it is an archive. */
  readonly text: string
}

/** The bytes of a request, whose text goes out as UTF-8. */
export function bytesOf({ method = 'GET', target, host = 'localhost', fields = [], body }: Attack): Buffer {
  const content = Buffer.from(body ?? '')
  const length = body === undefined ? [] : [`Content-Length: ${content.length}`]
  const head = [`${method} ${target} HTTP/1.1`, `Host: ${host}`, 'Connection: close', ...fields, ...length]
  return Buffer.concat([Buffer.from(head.concat('', '').join('\r\n')), content])
}

/** Sends an attack, and fails where the answer breaks a rule of `expectHarmless`, or afterwards something outside the run is not as it was. */
export async function strike(victim: Victim, attack: Attack): Promise<Answer> {
  const [answer] = await strikeAll(victim, [attack])
  return answer!
}

/** The same for several, some of them at once. */
export async function strikeAll(victim: Victim, attacks: readonly Attack[]): Promise<Answer[]> {
  const answers: Answer[] = []
  for (let i = 0; i < attacks.length; i += AT_ONCE)
    answers.push(
      ...(await Promise.all(attacks.slice(i, i + AT_ONCE).map(attack => answerTo(victim, attack)))),
    )
  await victim.expectIntact(attacks.map(attack => printable(bytesOf(attack))).join('\n'))
  return answers
}

async function answerTo(victim: Victim, attack: Attack): Promise<Answer> {
  const sent = bytesOf(attack)
  const what = printable(sent)
  const [answer, ...more] = parseAnswers(await send(victim, sent), [attack.method ?? 'GET'])
  expect(answer, `no answer to ${what}`).toBeDefined()
  expect(more, what).toEqual([])
  expectHarmless(victim, answer!, what)
  return answer!
}

/** Sends any bytes and returns all that comes back until the connection ends. */
export async function send({ port }: Victim, bytes: Buffer): Promise<Buffer> {
  const connection = await Connection.open(port)
  const late = setTimeout(() => connection.destroy(), WITHIN_MS)
  const started = performance.now()
  try {
    connection.send(bytes.toString('latin1'))
    const { text } = await connection.rest()
    expect(performance.now() - started, `in time: ${printable(bytes)}`).toBeLessThan(WITHIN_MS)
    return Buffer.from(text, 'latin1')
  } finally {
    clearTimeout(late)
  }
}

export function printable(bytes: Buffer): string {
  return JSON.stringify(bytes.toString('latin1').slice(0, 600))
}

/** All messages in `bytes`, which must be whole and hold nothing else; `methods` are those of the requests, in their order. */
export function parseAnswers(bytes: Buffer, methods: readonly string[] = []): Answer[] {
  const answers: Answer[] = []
  for (let at = 0; at < bytes.length;) {
    const end = bytes.indexOf('\r\n\r\n', at)
    if (end < 0) throw new Error(`the head of an answer is cut: ${printable(bytes.subarray(at))}`)
    const { status, headers } = parseHead(bytes.toString('latin1', at, end))
    const isBare = methods[answers.length] === 'HEAD' || status < 200 || status === 204 || status === 304
    const [body, next] = isBare ? [Buffer.alloc(0), end + 4] : parseBody(bytes, end + 4, headers)
    at = next
    if (status >= 200) answers.push({ status, headers, body, text: textOf(body) })
  }
  return answers
}

/** Fails for anything that is no field of visible ASCII: names and values of requests must not get through. */
function parseHead(head: string): Pick<Answer, 'status' | 'headers'> {
  const [first = '', ...lines] = head.split('\r\n')
  expect(first).toMatch(/^HTTP\/1\.1 \d{3} [ -~]+$/)
  const headers = new Map<string, string>()
  for (const line of lines) {
    expect(line).toMatch(/^[A-Za-z0-9-]+: [ -~]*$/)
    const name = line.slice(0, line.indexOf(':')).toLowerCase()
    const before = headers.get(name)
    headers.set(name, (before === undefined ? '' : `${before}, `) + line.slice(name.length + 2))
  }
  return { status: Number(first.slice(9, 12)), headers }
}

function parseBody(bytes: Buffer, start: number, headers: Answer['headers']): [body: Buffer, next: number] {
  const length = headers.get('content-length')
  if (length !== undefined) {
    const end = start + Number(length)
    expect(bytes.length, 'the body is whole').toBeGreaterThanOrEqual(end)
    return [bytes.subarray(start, end), end]
  }
  expect(headers.get('transfer-encoding')).toBe('chunked')
  const chunks: Buffer[] = []
  for (let at = start; ;) {
    const line = bytes.indexOf('\r\n', at)
    const size = Number.parseInt(bytes.toString('latin1', at, line), 16)
    expect(size, 'the body is whole').toBeGreaterThanOrEqual(0)
    if (size === 0) {
      // Fields behind the body end with an empty line.
      const end = bytes.indexOf('\r\n\r\n', line)
      return [Buffer.concat(chunks), end + 4]
    }
    chunks.push(bytes.subarray(line + 2, line + 2 + size))
    at = line + 2 + size + 2
  }
}

function textOf(body: Buffer): string {
  const isCompressed = body.length > 2 && body.readUInt16BE(0) === 0x1f8b
  return (isCompressed ? gunzipSync(body) : body).toString()
}

/** What must not be in any answer, and what every refusal has. */
export function expectHarmless({ hidden }: Victim, answer: Answer, what: string): void {
  const { status, headers, text } = answer
  const all = `${[...headers.values()].join('\n')}\n${text}`
  expect(status, what).toBeLessThan(500)
  expect(all, what).not.toContain(SECRET)
  expect(all, what).not.toMatch(/root:[^:]*:0:0/)
  for (const each of hidden)
    if (!what.includes(each) && !decodesTo(what, each)) expect(all, what).not.toContain(each)
  for (const name of ['set-cookie', 'x-injected', 'refresh', 'access-control-allow-origin'])
    expect(headers.has(name), `${name} in the answer to ${what}`).toBe(false)
  if (headers.get('content-type') !== undefined)
    expect(headers.get('x-content-type-options'), what).toBe('nosniff')
  if (status < 400) return
  expect(headers.get('content-type') ?? 'none', what).toMatch(
    /^(application\/(problem\+)?json|text\/plain; charset=utf-8|none)$/,
  )
  if (headers.get('content-type')?.includes('json') === true && text !== '') {
    expect(text, what).not.toContain('<')
    JSON.parse(text)
  }
  expect(text, what).not.toMatch(
    /node:internal|node_modules|\.ts:\d+|\bat \w+ \(|Error: |ENOENT|EACCES|ELOOP/,
  )
}

/** Whether a request has `text` in it in some spelling. */
function decodesTo(what: string, text: string): boolean {
  return what.replace(/%25/g, '%').replace(/%2f/gi, '/').includes(text)
}
