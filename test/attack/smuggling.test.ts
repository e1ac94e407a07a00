// Messages of which two parsers could see different ends: with one of them a second request would come in that nobody has let through.
import { describe, expect, it } from 'vitest'
import { expectHarmless, parseAnswers, printable, send } from './strike.ts'
import { describeVictims, RUN, UUID, type Victim } from './victim.ts'

/** What is smuggled: it would show. */
const HIDDEN = `DELETE /outputs/${RUN}/inside.txt HTTP/1.1\r\nHost: localhost\r\n\r\n`
const CHUNKED = 'Transfer-Encoding: chunked'
const END = '0\r\n\r\n'

const FRONTS = [
  ['a PUT', `PUT /outputs/${RUN}/new.txt`],
  ['a GET', `GET /outputs/${RUN}/inside.txt`],
  ['a list', `POST /outputs/${RUN}/?archive=tar`],
  ['an upload of tus', 'POST /uploads'],
  ['a form', `POST /streams/v1/default/ann/mnist/runs/${UUID}/artifact`],
  ['a log', `GET /api/v1/${RUN}/logs`],
] as const

/** Heads with the body behind them, each of which must be refused as a whole. */
const AMBIGUOUS: readonly (readonly [title: string, fields: string, body: string])[] = [
  [
    'a length and chunks (CL.TE)',
    `Content-Length: ${END.length + HIDDEN.length}\r\n${CHUNKED}`,
    END + HIDDEN,
  ],
  ['chunks and a length (TE.CL)', `${CHUNKED}\r\nContent-Length: 4`, `5c\r\n${HIDDEN}`],
  ['chunks and no bytes', `${CHUNKED}\r\nContent-Length: 0`, HIDDEN],
  ['two codings', `${CHUNKED}\r\nTransfer-Encoding: identity`, END + HIDDEN],
  ['two codings, the other way round', `Transfer-Encoding: identity\r\n${CHUNKED}`, END + HIDDEN],
  ['a list of codings', 'Transfer-Encoding: chunked, identity', END + HIDDEN],
  ['another coding in front', 'Transfer-Encoding: gzip, chunked', END + HIDDEN],
  ['identity in front', 'Transfer-Encoding: identity, chunked', END + HIDDEN],
  ['chunked twice', 'Transfer-Encoding: chunked, chunked', END + HIDDEN],
  ['a coding that only looks like it', 'Transfer-Encoding: xchunked', END + HIDDEN],
  ['a coding in quotes', 'Transfer-Encoding: "chunked"', END + HIDDEN],
  ['a coding with a parameter', 'Transfer-Encoding: chunked;q=1', END + HIDDEN],
  ['a coding behind a vertical tab', 'Transfer-Encoding: \x0bchunked', END + HIDDEN],
  ['a coding and NUL', 'Transfer-Encoding: chunked\0', END + HIDDEN],
  ['a coding that is empty', 'Transfer-Encoding:', END + HIDDEN],
  ['a coding by its beginning', 'Transfer-Encoding: chunk', END + HIDDEN],
  ['a coding after a bare LF', 'X: x\nTransfer-Encoding: chunked', END + HIDDEN],
  ['a coding after a bare CR', 'X: x\rTransfer-Encoding: chunked', END + HIDDEN],
  ['a blank before the colon', 'Transfer-Encoding : chunked', END + HIDDEN],
  ['a tab before the colon', 'Transfer-Encoding\t: chunked', END + HIDDEN],
  ['a blank before the name', ' Transfer-Encoding: chunked', END + HIDDEN],
  ['a name on two lines', 'Transfer-Encoding\n: chunked', END + HIDDEN],
  ['two lengths', `Content-Length: 0\r\nContent-Length: ${HIDDEN.length}`, HIDDEN],
  ['two lengths, the other way round', `Content-Length: ${HIDDEN.length}\r\nContent-Length: 0`, HIDDEN],
  ['a list of lengths', `Content-Length: 0, ${HIDDEN.length}`, HIDDEN],
  ['a length with a sign', 'Content-Length: +0', HIDDEN],
  ['a length below zero', 'Content-Length: -1', HIDDEN],
  ['a length in hexadecimal', 'Content-Length: 0x0', HIDDEN],
  ['a length with an exponent', 'Content-Length: 0e1', HIDDEN],
  ['a length with a fraction', 'Content-Length: 0.0', HIDDEN],
  ['two lengths in one', `Content-Length: 0 ${HIDDEN.length}`, HIDDEN],
  ['a length and NUL', 'Content-Length: 0\0', HIDDEN],
  ['a length that is none', 'Content-Length: none', HIDDEN],
  ['a length that is empty', 'Content-Length:', HIDDEN],
  ['a length beyond all numbers', `Content-Length: ${'9'.repeat(30)}`, HIDDEN],
  ['a length that wraps around', 'Content-Length: 18446744073709551616', HIDDEN],
  ['a length and a blank before the colon', 'Content-Length : 0', HIDDEN],
  ['a length after a bare LF', `Content-Length: 0\nContent-Length: ${HIDDEN.length}`, HIDDEN],
  ['a field without a name', ': x', HIDDEN],
  ['a field without a colon', 'Content-Length 0', HIDDEN],
  ['a field whose name has a blank', 'Content Length: 0', HIDDEN],
  ['a field whose name is not ASCII', 'C\xf6ntent-Length: 0', HIDDEN],
  ['a field with NUL', 'X: a\0b', HIDDEN],
  ['two hosts', 'Host: evil.example', HIDDEN],
  ['a chunk size in two bases', CHUNKED, `0x0\r\n\r\n${HIDDEN}`],
  ['a chunk size below zero', CHUNKED, `-1\r\n\r\n${HIDDEN}`],
  ['a chunk size with a sign', CHUNKED, `+0\r\n\r\n${HIDDEN}`],
  ['a chunk size behind a blank', CHUNKED, ` 0\r\n\r\n${HIDDEN}`],
  ['a chunk size that wraps around', CHUNKED, `10000000000000000\r\n\r\n${HIDDEN}`],
  ['a chunk size without digits', CHUNKED, `\r\n\r\n${HIDDEN}`],
  ['a chunk that is longer than its size', CHUNKED, `1\r\nxxxx\r\n${END}${HIDDEN}`],
  ['a chunk without an end of line', CHUNKED, `1\r\nx0\r\n\r\n${HIDDEN}`],
  ['a chunk size that ends with LF', CHUNKED, `0\n\n${HIDDEN}`],
  ['a chunk size that ends with CR', CHUNKED, `0\r\r${HIDDEN}`],
  ['a chunk that ends with LF', CHUNKED, `1\r\nx\n${END}${HIDDEN}`],
  ['an extension with a bare LF', CHUNKED, `0;a=\n\r\n\r\n${HIDDEN}`],
  ['an extension with a bare CR', CHUNKED, `0;a=\rb\r\n\r\n${HIDDEN}`],
]

/** Request lines, each of which must be refused, with what follows not looked at. */
const LINES: readonly (readonly [title: string, line: string])[] = [
  ['no version (HTTP/0.9)', `GET /outputs/${RUN}/inside.txt`],
  ['a version before all', 'GET / HTTP/0.9'],
  ['a version of the future', 'GET / HTTP/3.0'],
  ['a version that is none', 'GET / HTTP/x'],
  ['a version and more', 'GET / HTTP/1.1 x'],
  ['another protocol', 'GET / ICY/1.1'],
  ['the preface of HTTP/2', 'PRI * HTTP/2.0\r\n\r\nSM'],
  ['an unknown method', 'BREW / HTTP/1.1'],
  ['a method in small letters', 'get / HTTP/1.1'],
  ['a method with a colon', 'GET: / HTTP/1.1'],
  ['no method', ' / HTTP/1.1'],
  ['no target', 'GET  HTTP/1.1'],
  ['a blank in the target', 'GET /a b HTTP/1.1'],
  ['NUL in the target', 'GET /\0 HTTP/1.1'],
  ['a tab in front of the target', 'GET\t/ HTTP/1.1'],
  ['a bare CR', 'GET / HTTP/1.1\rX: x'],
  ['a greeting of TLS', '\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03'],
]

/** Targets that are no path, and what a proxy would make of them. */
const TARGETS: readonly (readonly [title: string, line: string])[] = [
  ['a whole URL of another host', 'GET http://evil.example/latest/meta-data/ HTTP/1.1'],
  [
    'a whole URL with a password',
    `GET http://user:pass@evil.example/outputs/${RUN}/../10/secret.txt HTTP/1.1`,
  ],
  ['a file URL', 'GET file:///etc/passwd HTTP/1.1'],
  ['an address of the cloud (CVE-2023-6570)', 'GET http://169.254.169.254/latest/meta-data/ HTTP/1.1'],
  ['an asterisk', 'GET * HTTP/1.1'],
  ['an asterisk for OPTIONS', 'OPTIONS * HTTP/1.1'],
  ['an authority', 'GET localhost:22 HTTP/1.1'],
  ['an authority to connect to', 'CONNECT 169.254.169.254:80 HTTP/1.1'],
  ['two slashes and a host', 'GET //evil.example/outputs HTTP/1.1'],
  ['a bare query', 'GET ?x=1 HTTP/1.1'],
  ['a path without a slash', 'GET outputs/../secret.txt HTTP/1.1'],
  ['backslashes', 'GET \\\\evil.example\\outputs HTTP/1.1'],
  [
    'an upgrade to HTTP/2',
    'GET / HTTP/1.1\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk',
  ],
  [
    'an upgrade to WebSocket',
    'GET / HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: x',
  ],
  ['an expectation that nobody knows', 'GET / HTTP/1.1\r\nExpect: miracle'],
  ['fields for the next hop', 'GET / HTTP/1.1\r\nConnection: close, Host, X-Request-Id\r\nTE: trailers'],
]

async function answersTo(victim: Victim, text: string): Promise<ReturnType<typeof parseAnswers>> {
  const bytes = Buffer.from(text, 'latin1')
  const answers = parseAnswers(await send(victim, bytes))
  for (const answer of answers) expectHarmless(victim, answer, printable(bytes))
  await victim.expectIntact(printable(bytes))
  expect(await victim.isChanged(), printable(bytes)).toBe(false)
  return answers
}

describeVictims(victim => {
  it('a second request is done when it is one', async () => {
    const text = `GET /healthz HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\n\r\nbody${HIDDEN.replace('Host', 'Connection: close\r\nHost')}`
    const answers = parseAnswers(await send(victim(), Buffer.from(text)))
    expect(answers.map(({ status }) => status)).toEqual([200, 204])
    await victim().restore()
  })

  describe.each(FRONTS)('no second request gets in behind %s', (_title, front) => {
    it.each(AMBIGUOUS)('%s', async (_case, fields, body) => {
      const text = `${front} HTTP/1.1\r\nHost: localhost\r\n${fields}\r\n\r\n${body}`
      const answers = await answersTo(victim(), text)
      expect(answers.length).toBe(1)
      const [{ status } = { status: 0 }] = answers
      // What needs no body may have its answer before anybody sees what is wrong with that.
      if (status !== 200 || !front.startsWith('GET') || fields !== CHUNKED)
        expect(Math.floor(status / 100)).toBe(4)
    })
  })

  it.each(LINES)('a request line with %s is refused', async (_title, line) => {
    expect(
      (await answersTo(victim(), `${line}\r\nHost: localhost\r\n\r\n`)).map(({ status }) => status),
    ).toEqual([400])
    // With another request right behind it, it may be too late to say so.
    for (const { status } of await answersTo(victim(), `${line}\r\nHost: localhost\r\n\r\n${HIDDEN}`))
      expect(status).toBe(400)
  })

  it.each(TARGETS)('a target goes nowhere else: %s', async (_title, line) => {
    const closing = line.includes('Connection:') ? '' : 'Connection: close\r\n'
    const host = closing === '' ? 'Connection: close\r\nHost: localhost' : 'Host: localhost'
    const answers = await answersTo(victim(), `${line}\r\n${closing}${host}\r\n\r\n`)
    expect(answers.length).toBeLessThanOrEqual(1)
    for (const { headers, text } of answers) {
      expect(headers.get('location') ?? '').not.toContain('evil')
      expect(text).not.toContain('ami-id')
    }
  })

  it('a body that is announced and not sent holds up nothing behind it', async () => {
    const front = `PUT /outputs/${RUN}/new.txt HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: ${HIDDEN.length}\r\nOrigin: null\r\n\r\n`
    const answers = await answersTo(victim(), front + HIDDEN)
    expect(answers.map(({ status }) => status)).toEqual([403])
  })
})
