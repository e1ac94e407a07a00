// Requests made to break in or to break something, as bytes on a socket: no client library tidies them up.
import { execFileSync } from 'node:child_process'
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { describeClient, findProgram } from '../client/programs.ts'
import { startService } from '../support/service.ts'
import type { Service } from '../support/service.ts'
import { Connection } from './connection.ts'
import type { Head } from './connection.ts'
import { OutputsFolder, RUN_URL } from './outputs-folder.ts'

const SECRET = 'SECRET-OF-ANOTHER-RUN'
const MARKUP = '<script>alert(1)</script>'

const folder = new OutputsFolder()
let service: Service

beforeAll(async () => {
  folder.write('file.txt', 'content')
  folder.write('%2e%2e', 'a literal name')
  folder.write('..x', 'dots')
  folder.write('a%2fb', 'an escaped slash in a name')
  const other = join(folder.root, 'ann', 'mnist', 'experiments', '10')
  mkdirSync(other)
  writeFileSync(join(other, 'secret.txt'), SECRET)
  writeFileSync(join(folder.root, 'secret.txt'), SECRET)
  mkdirSync(folder.at('links'))
  folder.write('links/inside.txt', 'inside')
  symlinkSync('/etc', folder.at('links/absolute-folder'))
  symlinkSync('/etc/passwd', folder.at('links/absolute-file'))
  symlinkSync('../../10', folder.at('links/sibling-run'))
  symlinkSync('../../10/secret.txt', folder.at('links/sibling-file'))
  symlinkSync('../../../../../secret.txt', folder.at('links/store-file'))
  symlinkSync('/proc/self/root/etc/passwd', folder.at('links/proc'))
  symlinkSync('links/absolute-folder', folder.at('chain'))
  symlinkSync('nowhere', folder.at('links/dangling'))
  symlinkSync('loop', folder.at('links/loop'))
  service = await startService(folder.root)
})
afterAll(async () => {
  await service.close()
  folder.remove()
})

interface RawAnswer extends Head {
  readonly body: string
}

/** Sends one request as it stands and reads to the end of the connection. */
async function exchange(
  target: string,
  { method = 'GET', fields = [] as readonly string[], host = 'localhost' } = {},
): Promise<RawAnswer> {
  const connection = await Connection.open(service.port)
  connection.send(
    [`${method} ${target} HTTP/1.1`, `Host: ${host}`, 'Connection: close', ...fields, '', ''].join('\r\n'),
  )
  const head = await connection.head()
  const { text } = await connection.rest()
  return { ...head, body: text }
}

/** What holds for every refusal, whatever was asked. */
function expectProblem(answer: RawAnswer, statuses: readonly number[]): void {
  expect(statuses).toContain(answer.status)
  expect(answer.headers.get('content-type')).toBe('application/problem+json')
  expect(answer.headers.get('x-content-type-options')).toBe('nosniff')
  const problem = JSON.parse(answer.body) as Record<string, unknown>
  expect(problem).toMatchObject({
    type: expect.stringMatching(/^urn:polyaxon-outputs:problem:[a-z-]+$/),
    title: expect.stringMatching(/./),
    status: answer.status,
    detail: expect.stringMatching(/./),
    requestId: answer.headers.get('x-request-id'),
  })
  expectNothingRevealed(answer)
}

function expectNothingRevealed({ body }: RawAnswer): void {
  expect(body).not.toContain(folder.root)
  expect(body).not.toContain(SECRET)
  expect(body).not.toContain('root:')
  expect(body).not.toMatch(/<script|<img/)
  expect(body).not.toMatch(/node:internal|node_modules|\.ts:\d+|\bat \w+ \(/)
}

/** Targets below the run, or absolute when they begin with a slash or a scheme. */
function absolute(target: string): string {
  return target.startsWith('/') || target.includes('://') ? target : RUN_URL + target
}

const LONG = 'n'.repeat(256)

const REFUSED: readonly [what: string, target: string, ...statuses: number[]][] = [
  ['NUL', 'file.txt%00.png', 400],
  ['NUL in a run id', '/outputs/ann/mnist/experiments/1%00/file.txt', 400],
  ['..', '../10/secret.txt', 400],
  ['.. at the end', 'links/..', 400],
  ['.. above everything', '/outputs/../../../../etc/passwd', 400],
  ['.. before /outputs', '/../outputs/ann/', 404],
  ['. as the last segment', 'links/.', 400],
  ['. in percent escapes', '%2e/file.txt', 400],
  ['.. in percent escapes', '%2e%2e/10/secret.txt', 400],
  ['.. in capital escapes', '%2E%2E/10/secret.txt', 400],
  ['.. half escaped', '.%2e/10/secret.txt', 400],
  ['.. with an escaped slash', '..%2f10%2fsecret.txt', 400],
  ['everything escaped', '%2e%2e%2f10%2fsecret.txt', 400],
  ['.. with backslashes', '..\\10\\secret.txt', 400],
  ['.. with escaped backslashes', '..%5c10%5csecret.txt', 400],
  ['.. behind a name and a backslash', 'links%5c..%5c..%5c10%5csecret.txt', 400],
  ['.. as owner', '/outputs/../mnist/experiments/1/file.txt', 400],
  ['.. as run id', '/outputs/ann/mnist/experiments/../secret.txt', 400],
  ['an escaped slash in a run id', '/outputs/ann/mnist/experiments/1%2f..%2f10/secret.txt', 400],
  ['an escaped slash in an owner', '/outputs/ann%2fmnist/experiments/1/file.txt', 400, 404],
  ['.. behind a path parameter', '..;/10/secret.txt', 404],
  ['an absolute path', `${RUN_URL}/etc/passwd`, 400],
  ['an escaped absolute path', '%2fetc%2fpasswd', 400],
  ['two slashes', 'links//inside.txt', 400],
  ['an empty owner', '/outputs//mnist/experiments/1/file.txt', 400],
  ['the double escape of ..', '%252e%252e/10/secret.txt', 404],
  ['the double escape of a slash', '..%252f10%252fsecret.txt', 404],
  ['an overlong UTF-8 form of a dot', '%c0%ae%c0%ae/10/secret.txt', 400],
  ['an overlong UTF-8 form of a slash', '..%c0%af10%c0%afsecret.txt', 400],
  ['bytes that are not UTF-8', 'caf%e9.txt', 400],
  ['a surrogate in UTF-8', '%ed%a0%80.txt', 400],
  ['a percent sign without digits', '100%.txt', 400],
  ['a percent sign with other letters', '%zz', 400],
  ['a %u escape', '%u002e%u002e/secret.txt', 400],
  ['control characters', 'a%0d%0aSet-Cookie:%20x=1%1b%5b31m', 404],
  ['a name of 256 bytes', LONG, 400, 404, 414],
  ['a name of 256 bytes in UTF-8', '%c3%a9'.repeat(128), 400, 404, 414],
  ['a path of 5,000 bytes', 'd/'.repeat(2500) + 'f', 400, 404, 414],
  ['markup', encodeURIComponent(MARKUP), 404],
  ['markup as kind', `/outputs/ann/mnist/${encodeURIComponent('<img src=x>')}/1/`, 404],
  ['a repeated parameter', '?limit=1&limit=2', 400],
  ['an array parameter', '?limit[]=1', 400],
  ['an indexed array parameter', '?archive[0]=zip', 400],
  ['an object parameter', '?glob[$ne]=x', 400],
  ['a parameter called __proto__', '?__proto__=1', 400],
  ['a parameter called constructor', '?constructor=1', 400],
  ['an unknown parameter', '?root=/etc', 400],
  ['an unknown parameter on a file', 'file.txt?file=../../10', 400],
  ['a percent sign in a query', '?glob=%', 400],
  ['markup in a query', `?sort=${encodeURIComponent(MARKUP)}`, 400],
  ['markup as a parameter', `?${encodeURIComponent(MARKUP)}=1`, 400],
  ['NUL in a query', '?glob=%00', 200, 400],
  ['.. as a selected path', '?archive=zip&path=../10/secret.txt', 400],
  ['an absolute selected path', '?archive=tar&path=/etc/passwd', 400],
  ['.. in a selected path with backslashes', '?archive=tar&path=..%5c10%5csecret.txt', 400],
  ['a cursor of nobody', '?cursor=!!!!', 400],
  ['a cursor that is JSON of another form', `?cursor=${Buffer.from('{"a":1}').toString('base64url')}`, 400],
  ['a limit beyond all numbers', '?limit=99999999999999999999', 400],
  ['a limit below zero', '?limit=-1', 400],
  ['a limit that is no number', '?limit=1e3', 400],
  ['a connection of nobody', '?connection=../secret', 400, 404],
  ['a glob of a thousand alternatives', `?glob=${encodeURIComponent('{a,b}'.repeat(100))}`, 400],
  ['a query of 12,000 characters', `?glob=${'a'.repeat(12_000)}`, 400, 414],
  ['an archive of a file', 'file.txt?archive=zip', 404],
  ['an archive of nothing', 'nothing/?archive=zip', 404],
  ['a folder that is a file', 'file.txt/', 404],
  ['a file below a file', 'file.txt/more', 404],
  ['an unknown kind', '/outputs/ann/mnist/secrets/1/', 404],
  ['a URL of another host', 'http://169.254.169.254/latest/meta-data/', 421],
  ['a URL with a host and ..', `http://localhost${RUN_URL}../10/secret.txt`, 400],
]

describe('the refusal of', () => {
  it.each(REFUSED)('%s is a problem document', async (_what, target, ...statuses) => {
    const url = absolute(target)
    const answer = await exchange(url)
    if (answer.status === 200) expect(statuses).toContain(200)
    else expectProblem(answer, statuses)
    const head = await exchange(url, { method: 'HEAD' })
    expect(head.status).toBe(answer.status)
    expect(head.body).toBe('')
  })
})

it('takes a double escape for the literal name that it decodes to', async () => {
  expect(await exchange(`${RUN_URL}%252e%252e`)).toMatchObject({ status: 200, body: 'a literal name' })
  expect(await exchange(`${RUN_URL}a%252fb`)).toMatchObject({
    status: 200,
    body: 'an escaped slash in a name',
  })
})

it('serves names that only look like traversal', async () => {
  expect(await exchange(`${RUN_URL}..x`)).toMatchObject({ status: 200, body: 'dots' })
})

it('answers a whole URL as request target by its path, for the host in it only, and names none', async () => {
  const host = 'other.example'
  expectProblem(await exchange(`http://other.example${RUN_URL}file.txt`), [421])
  expectProblem(await exchange(`http://${RUN_URL}file.txt`), [421])
  const answer = await exchange(`http://localhost${RUN_URL}file.txt`, { host })
  expect(answer).toMatchObject({ status: 200, body: 'content' })
  const redirect = await exchange(`http://localhost${RUN_URL}links`, { host })
  expect(redirect.status).toBe(301)
  expect(redirect.headers.get('location')).toBe('./links/')
})

it('redirects nowhere else for a path that a browser would take for a host', async () => {
  const answer = await exchange('//evil.example/%2e%2e')
  expect(answer.headers.get('location') ?? './').toMatch(/^\.\//)
  expect(answer.status).toBeLessThan(500)
})

it.each(['BREW', 'PATCH', 'TRACE', 'OPTIONS', 'PROPFIND'])(
  'refuses the method %s with 400 or with 405 and Allow',
  async method => {
    const answer = await exchange(`${RUN_URL}file.txt`, { method, fields: ['Content-Length: 0'] })
    expect([400, 405]).toContain(answer.status)
    if (answer.status === 405) {
      expectProblem(answer, [405])
      expect(answer.headers.get('allow')).toBe('GET, HEAD, PUT, POST, DELETE')
    }
  },
)

it.each([
  ['a body that is no JSON', 'application/json', '{'],
  ['a body of another form', 'application/json', '{"paths":{"length":1}}'],
  ['a body that reaches for the prototype', 'application/json', '{"paths":["file.txt"],"__proto__":{"x":1}}'],
  ['a list that holds no text', 'application/json', '{"paths":[["file.txt"]]}'],
  ['.. in a list', 'application/json', '{"paths":["../10/secret.txt"]}'],
  ['NUL in a list', 'application/json', '{"paths":["file.txt\\u0000"]}'],
  ['a lone surrogate in a list', 'application/json', '{"paths":["\\ud800"]}'],
  ['a nest of ten thousand lists', 'application/json', '['.repeat(10_000) + ']'.repeat(10_000)],
  ['a form without a path', 'application/x-www-form-urlencoded', 'a=b'],
  ['a form with nested names', 'application/x-www-form-urlencoded', 'path[a][b]=c'],
  ['a form that is not UTF-8', 'application/x-www-form-urlencoded', 'path=%ff'],
  ['a body of another type', 'text/plain', 'file.txt'],
])('refuses %s in a POST', async (_what, type, body) => {
  const connection = await Connection.open(service.port)
  connection.send(
    `POST ${RUN_URL}?archive=tar HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n` +
      `Content-Type: ${type}\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
  )
  const head = await connection.head()
  expectProblem({ ...head, body: (await connection.rest()).text }, [400])
})

it('refuses a body beyond the limit without reading all of it', async () => {
  const connection = await Connection.open(service.port)
  connection.send(
    `POST ${RUN_URL}?archive=tar HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n` +
      `Content-Type: application/json\r\nContent-Length: 1000000000000\r\n\r\n{"paths":[`,
  )
  expect((await connection.head()).status).toBe(413)
  connection.destroy()
})

it.each([
  ['Range', 'bytes=0-0,'.repeat(500)],
  ['Range', `bytes=${'9'.repeat(400)}-`],
  ['Range', 'bytes=-'],
  ['If-None-Match', '"'.repeat(3000)],
  ['If-Range', 'W/'.repeat(1000)],
  ['If-Modified-Since', '9'.repeat(2000)],
  ['Accept', 'a/b;q=0.5,'.repeat(700)],
  ['Want-Repr-Digest', 'sha-256=('.repeat(500)],
  ['X-Request-Id', '<b>'.repeat(100)],
])('answers a hostile %s without failing', async (name, value) => {
  for (const target of [
    `${RUN_URL}file.txt`,
    `${RUN_URL}links/?format=json`,
    `${RUN_URL}links/?archive=zip`,
  ]) {
    const answer = await exchange(target, { fields: [`${name}: ${value}`] })
    expect([200, 206, 304, 400, 412, 416, 431]).toContain(answer.status)
    expectNothingRevealed(answer)
  }
})

const LEAVING = [
  'links/absolute-folder/passwd',
  'links/absolute-file',
  'links/sibling-run/secret.txt',
  'links/sibling-file',
  'links/store-file',
  'links/proc',
  'links/dangling',
  'links/loop',
  'chain/passwd',
]

describe('a link that leaves the run or leads nowhere', () => {
  it.each(LEAVING)('is not found by GET, HEAD or Range: %s', async path => {
    expectProblem(await exchange(RUN_URL + path), [404])
    expectProblem(await exchange(RUN_URL + path, { fields: ['Range: bytes=0-3'] }), [404])
    expect((await exchange(RUN_URL + path, { method: 'HEAD' })).status).toBe(404)
  })

  it.each(['links/absolute-folder/', 'links/sibling-run/', 'chain/', 'links/loop/'])(
    'is not listed and not archived as the folder %s',
    async path => {
      for (const query of ['', '?format=json', '?recursive=true', '?archive=zip', '?archive=tar.gz'])
        expectProblem(await exchange(RUN_URL + path + query), [404])
    },
  )

  it.each([
    '?format=json',
    '?format=ndjson&recursive=true',
    '?format=text&recursive=true',
    '?recursive=true',
  ])('does not stand in the listing %s', async query => {
    for (const path of ['', 'links/']) {
      const answer = await exchange(RUN_URL + path + query)
      expect(answer.status).toBe(200)
      expect(answer.body).not.toMatch(/absolute-|sibling-|store-file|proc|dangling|loop|chain|passwd/)
      expectNothingRevealed(answer)
    }
  })

  it.each(['zip', 'tar'])('is not in a %s', async format => {
    const answer = await exchange(`${RUN_URL}?archive=${format}`)
    expect(answer.status).toBe(200)
    expect(answer.body).toContain('links/inside.txt')
    expect(answer.body).not.toMatch(/absolute-|sibling-|store-file|dangling|chain|passwd/)
    expectNothingRevealed(answer)
  })

  it('is not found as a selected path of an archive', async () => {
    for (const path of ['links/absolute-file', 'links/sibling-run', 'chain/passwd'])
      expectProblem(await exchange(`${RUN_URL}?archive=tar&path=${path}`), [404])
  })
})

describeClient('mkfifo', findProgram('mkfifo'), mkfifo => {
  it('neither waits for a writer of a pipe nor lists or archives it', async () => {
    execFileSync(mkfifo, [folder.at('links/pipe')])
    expectProblem(await exchange(`${RUN_URL}links/pipe`), [404])
    expectProblem(await exchange(`${RUN_URL}links/pipe/`), [404])
    for (const query of ['?format=text', '?archive=tar'])
      expect((await exchange(`${RUN_URL}links/${query}`)).body).not.toContain('pipe')
  })
})

it('closes after 400 on bytes that are no request', async () => {
  for (const garbage of [
    '\x16\x03\x01\x02\x00\x01\x00',
    'GET\r\n\r\n',
    'GET / HTTP/9.9\r\n\r\n',
    '\0\0\0\0\r\n\r\n',
  ]) {
    const connection = await Connection.open(service.port)
    connection.send(garbage)
    expect((await connection.head()).status).toBe(400)
    await connection.drain()
  }
})

it('refuses a head that is too long with 431', async () => {
  const connection = await Connection.open(service.port)
  connection.send(
    `GET ${RUN_URL}file.txt HTTP/1.1\r\nHost: localhost\r\nX-Long: ${'x'.repeat(100_000)}\r\n\r\n`,
  )
  expect((await connection.head()).status).toBe(431)
  connection.destroy()
})
