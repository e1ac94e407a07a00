// Signed links: good for what was signed, to the letter, until it expires; and only for what the one who signs may do.
import { createHmac } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { AppError } from '../../src/errors.ts'
import type { Access, Authority, Verdict } from '../../src/http/gate.ts'
import { parsePath } from '../../src/store/path.ts'
import { judging } from '../support/authority.ts'
import { CountingStore } from '../support/changed-stores.ts'
import { ask as checkedAsk } from '../support/checked.ts'
import { ask, json, type Answer } from '../support/client.ts'
import { startService, type Overrides, type Service } from '../support/service.ts'

const RUN = '/outputs/ann/mnist/experiments/1'
const FILE = `${RUN}/a.txt`
const ZIP = `${RUN}/model/?archive=zip`
const KEY = Buffer.alloc(32, 1).toString('base64')
const OTHER_KEY = Buffer.alloc(32, 2).toString('base64')

let folder: string
let keysFile: string
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'links-'))
  keysFile = join(folder, 'keys.yaml')
})
afterAll(() => rmSync(folder, { recursive: true }))

let service: Service
/** Of tests that change nothing. */
let shared: Service | undefined
let store: CountingStore
/** Of everybody without a link. */
let verdict: (access: Access) => Verdict
let asked: Access[]

function writeKeys(): void {
  writeFileSync(keysFile, `keys: [{id: k1, secret: '${KEY}'}]`)
}

beforeEach(() => {
  writeKeys()
  store = new CountingStore()
  for (const path of ['a.txt', 'b.txt', 'model/x.bin', "odd/it's (a) 100% file+é&=?#.txt", 'model/sub/y.bin'])
    store.write(parsePath(`ann/mnist/experiments/1/${path}`), Buffer.from(`content of ${path}`))
  store.write(parsePath('ann/mnist/experiments/2/a.txt'), Buffer.from('of another run'))
  verdict = () => 'allowed'
  asked = []
})
afterEach(() => (service === shared ? undefined : service.close()))

const authority: Authority = judging(access => {
  asked.push(access)
  return Promise.resolve(verdict(access))
})

async function serve(overrides: Overrides = {}, by = authority): Promise<void> {
  service = await startService(
    '',
    { auth: { links: { keysFile, maxAgeMs: 3_600_000 } }, ...overrides },
    store,
    {
      authority: by,
    },
  )
}

function post(body: unknown, headers: Record<string, string> = {}): Promise<Answer> {
  return ask(`${service.url}/links`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify(body),
  })
}

/** The path and query of a link. From here on nobody may do anything without one. */
async function linkTo(url: string, method = 'GET', expiresIn?: number): Promise<string> {
  const answer = await post({ method, url, ...(expiresIn !== undefined && { expiresIn }) })
  expect([answer.status, answer.text]).toEqual([201, expect.anything()])
  verdict = () => 'hidden'
  return (json(answer) as { url: string }).url
}

const origin = (): string => `http://127.0.0.1:${service.port}`

describe('a link', () => {
  it('to a file reads it, whole, in part and its headers', async () => {
    await serve()
    const url = origin() + (await linkTo(FILE))
    const whole = await checkedAsk(url)
    expect([whole.status, whole.text]).toEqual([200, 'content of a.txt'])
    expect(whole.headers['referrer-policy']).toBe('no-referrer')
    expect((await checkedAsk(url, { headers: { range: 'bytes=0-6' } })).text).toBe('content')
    expect((await checkedAsk(url, { method: 'HEAD' })).status).toBe(200)
    expect((await ask(origin() + FILE)).status).toBe(404)
  })

  it('to an archive of a folder downloads it', async () => {
    await serve()
    const url = origin() + (await linkTo(`${RUN}/model?archive=tar&exclude=sub/**`))
    const answer = await checkedAsk(url)
    expect([answer.status, answer.headers['content-type']]).toEqual([200, 'application/x-tar'])
    expect(answer.text).toContain('content of model/x.bin')
    expect(answer.text).not.toContain('model/sub')
    expect((await checkedAsk(origin() + (await all(RUN)))).status).toBe(200)
  })

  async function all(run: string): Promise<string> {
    verdict = () => 'allowed'
    return linkTo(`${run}?archive=zip`)
  }

  it('to an upload takes one', async () => {
    await serve()
    const url = origin() + (await linkTo(`${RUN}/new/c.txt`, 'PUT'))
    expect((await checkedAsk(url, { method: 'PUT', body: 'uploaded' })).status).toBe(201)
    expect((await ask(url)).status).toBe(403)
    verdict = () => 'allowed'
    expect((await ask(`${origin()}${RUN}/new/c.txt`)).text).toBe('uploaded')
  })

  it('is given with the base path, in the one spelling that clients leave alone', async () => {
    await serve({ server: { basePath: '/base' } })
    const odd = "odd/it's (a) 100% file+é&=?#.txt"
    const url = await linkTo(
      `${RUN}/${odd.split('/').map(encodeURIComponent).join('/')}?connection=%6futputs&download`,
    )
    expect(url).toMatch(
      /^\/base\/outputs\/ann\/mnist\/experiments\/1\/odd\/it%27s%20%28a%29%20100%25%20file%2B%C3%A9%26%3D%3F%23\.txt\?connection=outputs&download=&signature=v1\.k1\.\d+\.[\w-]{43}$/,
    )
    expect((await ask(origin() + url)).text).toBe(`content of ${odd}`)
    // As WHATWG URLs have it, which fetch and browsers send.
    expect(new URL(url, origin()).href).toBe(origin() + url)
    expect(await (await fetch(origin() + url)).text()).toBe(`content of ${odd}`)
    // The base path is no part of what is signed: what a proxy cuts off may be another one.
    expect((await ask(origin() + url.replace('/base', '/other'))).status).toBe(404)
  })

  it('says when it expires, and does', async () => {
    await serve()
    const answer = await post({ method: 'GET', url: FILE, expiresIn: 1 })
    const { url, expires } = json(answer) as { url: string; expires: string }
    expect(answer.headers).toMatchObject({ 'cache-control': 'no-store', 'content-type': 'application/json' })
    expect(Date.parse(expires) - Date.now()).toBeLessThanOrEqual(1000)
    verdict = () => 'hidden'
    await sleep(Date.parse(expires) - Date.now() + 20)
    await expectRefused('GET', url)
  })

  it('needs no other credentials, and listens to none', async () => {
    const refusing: Authority = {
      recognise: request =>
        request.method === 'POST'
          ? authority.recognise(request, AbortSignal.timeout(1000))
          : Promise.reject(new AppError('Unauthenticated', 'not you')),
    }
    await serve({}, refusing)
    const url = origin() + (await linkTo(FILE))
    const others: Record<string, string>[] = [{}, { authorization: 'Bearer x' }, { cookie: 'sessionid=x' }]
    for (const headers of others) expect((await ask(url, { headers })).status).toBe(200)
    verdict = () => 'allowed'
    await expectRefused(
      'GET',
      (await linkTo(FILE)).replace(/.$/, end => (end === 'A' ? 'B' : 'A')),
      {
        authorization: 'Bearer right',
      },
    )
  })

  it('shows no folder that has taken the place of its file, and leads nowhere', async () => {
    await serve()
    const url = await linkTo(`${RUN}/b.txt`)
    await service.close()
    store = new CountingStore()
    store.write(parsePath('ann/mnist/experiments/1/b.txt/inside'), Buffer.from('x'))
    await serve()
    const answer = await ask(origin() + url)
    expect(answer.status).toBe(400)
    expect(answer.headers.location).toBeUndefined()
    expect(answer.text).not.toMatch(/inside|signature/)
  })
})

/** Refused as every link that is not good, by the gate alone. */
async function expectRefused(
  method: string,
  url: string,
  headers: Record<string, string> = {},
): Promise<void> {
  const { begun } = store
  const reads = watched()
  const answer = await ask(origin() + url, {
    method,
    headers,
    ...(['PUT', 'POST'].includes(method) && { body: 'x' }),
  })
  expect([method, url, answer.status]).toEqual([method, url, 403])
  if (method !== 'HEAD') expect(answer.text).toMatch(/This link is not valid/)
  expect(answer.text).not.toContain('content of')
  expect([store.begun, watched()]).toEqual([begun, reads])
}

let looks = 0
function watched(): number {
  return looks
}
class LookedAt extends CountingStore {
  override stat(...given: Parameters<CountingStore['stat']>): ReturnType<CountingStore['stat']> {
    looks++
    return super.stat(...given)
  }

  override open(...given: Parameters<CountingStore['open']>): ReturnType<CountingStore['open']> {
    looks++
    return super.open(...given)
  }
}

describe('a link is good for nothing else', () => {
  const lookedAt = new LookedAt()
  beforeAll(async () => {
    store = lookedAt
    for (const path of ['a.txt', 'b.txt', 'A.txt', 'model/x.bin'])
      store.write(parsePath(`ann/mnist/experiments/1/${path}`), Buffer.from(`content of ${path}`))
    store.write(parsePath('ann/mnist/experiments/2/a.txt'), Buffer.from('content of 2'))
    writeKeys()
    await serve()
    shared = service
  })
  beforeEach(() => {
    store = lookedAt
    service = shared!
  })
  afterAll(() => shared?.close())

  const swap = (from: string | RegExp, to: string) => (url: string) => {
    expect(url).toMatch(from)
    return url.replace(from, to)
  }
  const addFirst = (pair: string) => swap('?', `?${pair}&`)

  it.each<[what: string, change: (url: string) => string]>([
    ['another file', swap('a.txt', 'b.txt')],
    ['another case', swap('a.txt', 'A.txt')],
    ['another run', swap('experiments/1', 'experiments/2')],
    ['another kind', swap('experiments/1', 'jobs/1')],
    ['a longer path', swap('a.txt', 'a.txt/b')],
    ['a folder', swap('a.txt', 'a.txt/')],
    ['a shorter path', swap('/a.txt', '/')],
    ['no path', swap(/\/ann.*\?/, '/?')],
    ['a dot', swap('/a.txt', '/./a.txt')],
    ['two dots', swap('/a.txt', '/model/../a.txt')],
    ['two slashes', swap('/a.txt', '//a.txt')],
    ['escaped letters', swap('a.txt', '%61.txt')],
    ['an escaped slash', swap('/a.txt', '%2Fa.txt')],
    ['a NUL', swap('a.txt', 'a.txt%00')],
    ['a backslash', swap('/a.txt', '\\a.txt')],
    [
      'another surface',
      swap(
        '/outputs/ann/mnist/experiments/1/a.txt?',
        '/api/v1/ann/mnist/experiments/1/outputs/files?path=a.txt&',
      ),
    ],
    ['one more parameter', addFirst('archive=zip')],
    ['another connection', addFirst('connection=outputs')],
    ['an empty parameter', swap('?', '?&')],
    ['a parameter behind', url => `${url}&download=true`],
    ['an empty one behind', url => `${url}&`],
    ['the signature twice', url => `${url}&${url.split('?')[1]!}`],
    ['the signature in front too', url => swap('?', `?${url.split('?')[1]!}&`)(url)],
    ['no key', swap('v1.k1', 'v1.')],
    ['another key', swap('v1.k1', 'v1.k2')],
    ['another case of the key', swap('v1.k1', 'v1.K1')],
    ['another version', swap('v1.k1', 'v2.k1')],
    ['a later end', swap(/k1\.\d+/, `k1.${Math.floor(Date.now() / 1000) + 1e6}`)],
    ['a zero in front of the end', swap('k1.', 'k1.0')],
    ['an end that is none', swap(/k1\.\d+/, 'k1.1e9')],
    ['no signature', swap(/signature=.*/, 'signature=')],
    ['no value', swap(/signature=.*/, 'signature')],
    ['garbage', swap(/signature=.*/, 'signature=%00%ff..')],
    ['padding', url => `${url}=`],
    ['an escape in the signature', swap('v1.', 'v1%2E')],
    ['an escaped name', swap('signature', '%73ignature')],
    ['an escaped name beside', addFirst('%73ignature=x')],
    ['a signature that is cut', url => url.slice(0, -1)],
    ['a longer one', url => `${url}A`],
    ['a fragment in the query', url => `${url}#`],
  ])('%s', async (_what, change) => {
    const url = await linkTo(FILE)
    expect((await ask(origin() + url)).status).toBe(200)
    await expectRefused('GET', change(url))
  })

  it('not for the same bytes of a signature in another spelling', async () => {
    const url = await linkTo(FILE)
    const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
    const last = alphabet.indexOf(url.at(-1)!)
    for (const next of [1, 2, 3]) await expectRefused('GET', url.slice(0, -1) + alphabet[last ^ next]!)
  })

  it('not for another method, whatever it says', async () => {
    const reading = await linkTo(FILE)
    verdict = () => 'allowed'
    const writing = await linkTo(FILE, 'PUT')
    for (const method of ['PUT', 'DELETE', 'POST']) await expectRefused(method, reading)
    for (const method of ['GET', 'HEAD', 'DELETE', 'POST']) await expectRefused(method, writing)
    await expectRefused('POST', reading.replace('?', '?copyTo=b.txt&'))
    await expectRefused('POST', reading.replace('?', '?delete&'))
    await expectRefused('PUT', writing.replace('a.txt?', '?unpack=tar&'))
    await expectRefused('GET', writing, { 'x-http-method-override': 'PUT' })
  })

  it('not for parameters in another order, left out, or repeated', async () => {
    const url = await linkTo(`${RUN}/?archive=zip&path=a.txt&path=model`)
    expect((await ask(origin() + url)).status).toBe(200)
    await expectRefused('GET', url.replace('archive=zip&path=a.txt', 'path=a.txt&archive=zip'))
    await expectRefused('GET', url.replace('&path=a.txt', ''))
    await expectRefused('GET', url.replace('path=a.txt&path=model', 'path=model&path=a.txt'))
    await expectRefused('GET', url.replace('&path=model', '&path=model&path=b.txt'))
    await expectRefused('GET', url.replace('archive=zip&', ''))
    await expectRefused('GET', url.replace('zip', 'tar'))
  })

  it('on no other surface', async () => {
    const signature = (await linkTo(FILE)).split('?')[1]!
    const uuid = 'a1b2c3d4e5f647089a0b1c2d3e4f5a6b'
    await expectRefused('GET', `/streams/v1/ns/ann/mnist/runs/${uuid}/artifact?path=a.txt&${signature}`)
    await expectRefused('GET', `/api/v1/ann/mnist/experiments/1/outputs/files?path=a.txt&${signature}`)
    await expectRefused('GET', `/outputs/?${signature}`)
    await expectRefused('GET', `/outputs/ann/mnist/experiments/?${signature}`)
    expect((await ask(`${origin()}/uploads?${signature}`, { method: 'POST' })).status).toBe(400)
    expect((await ask(`${origin()}/links?${signature}`, { method: 'POST' })).status).toBe(400)
  })

  it('not with a key that somebody else has', async () => {
    const expires = Math.floor(Date.now() / 1000) + 100
    const text = JSON.stringify(['polyaxon-outputs link v1', 'k1', String(expires), 'GET', FILE, ''])
    const by = (secret: string) =>
      `${FILE}?signature=v1.k1.${expires}.${createHmac('sha256', Buffer.from(secret, 'base64')).update(text).digest('base64url')}`
    expect((await ask(origin() + by(KEY))).status).toBe(200)
    await expectRefused('GET', by(OTHER_KEY))
  })
})

describe('what can be linked to', () => {
  it.each<[body: unknown, detail: RegExp]>([
    [{ method: 'GET', url: `${RUN}/` }, /listing/],
    [{ method: 'GET', url: `${RUN}/model/?format=json` }, /listing/],
    [{ method: 'GET', url: '/outputs/ann/?archive=zip' }, /archive/],
    [{ method: 'GET', url: '/outputs/ann/mnist/' }, /above a run/],
    [{ method: 'GET', url: `${RUN}/model` }, /folder/],
    [{ method: 'PUT', url: `${RUN}/model/` }, /unpack/],
    [{ method: 'PUT', url: `${RUN}/a.txt?archive=zip` }, /archive/],
    [{ method: 'DELETE', url: FILE }, /method/],
    [{ method: 'HEAD', url: FILE }, /method/],
    [{ method: 'POST', url: `${FILE}?copyTo=b.txt` }, /method/],
    [{ method: 'GET', url: `http://evil.example${FILE}` }, /must begin/],
    [{ method: 'GET', url: `//evil.example${FILE}` }, /must begin/],
    [{ method: 'GET', url: `/base${FILE}` }, /must begin/],
    [{ method: 'GET', url: '/streams/v1/a/b/c/runs/d/artifact?path=a' }, /must begin/],
    [{ method: 'GET', url: '/outputsx' }, /must begin/],
    [{ method: 'GET', url: `${FILE}?nonsense=1` }, /nonsense/],
    [{ method: 'GET', url: `${FILE}?signature=x` }, /signed already/],
    [{ method: 'GET', url: `${FILE}?%73ignature=x` }, /signed already/],
    [{ method: 'GET', url: `${FILE}#x` }, /fragment/],
    [{ method: 'GET', url: `${RUN}/../2/a.txt` }, /./],
    [{ method: 'GET', url: `${RUN}/%2e%2e/2/a.txt` }, /./],
    [{ method: 'GET', url: `${RUN}/%zz` }, /percent/],
    [{ method: 'GET', url: FILE, expiresIn: 0 }, /expiresIn/],
    [{ method: 'GET', url: FILE, expiresIn: 1.5 }, /expiresIn/],
    [{ method: 'GET', url: FILE, expiresIn: -1 }, /expiresIn/],
    [{ method: 'GET', url: FILE, expiresIn: '60' }, /expiresIn/],
    [{ method: 'GET', url: FILE, expiresIn: 3601 }, /maxAge/],
    [{ method: 'GET', url: FILE, more: 1 }, /more/],
    [{ method: 'GET' }, /url/],
    [[], /object/],
    [null, /object/],
  ])('%j cannot', async (body, detail) => {
    await serve()
    const answer = await post(body)
    expect([answer.status, (json(answer) as { detail: string }).detail]).toEqual([
      400,
      expect.stringMatching(detail),
    ])
    expect(answer.text).not.toContain('v1.k1')
  })

  it('is what the caller may do, and nothing of what is not known to it', async () => {
    await serve()
    verdict = () => 'hidden'
    const hidden = await post({ method: 'GET', url: FILE })
    verdict = () => 'allowed'
    const absent = await post({ method: 'GET', url: FILE.replace('/1/', '/99/') })
    const shown = ({ status, text }: Answer) => [
      status,
      text.replace(/"requestId":".*"/, '').replaceAll('99', '1'),
    ]
    expect(shown(hidden)).toEqual(shown(absent))
    expect(hidden.status).toBe(404)
    verdict = ({ action }) => (action === 'read' ? 'allowed' : 'forbidden')
    expect((await post({ method: 'PUT', url: FILE })).status).toBe(403)
    expect((await post({ method: 'GET', url: FILE })).status).toBe(201)
    verdict = () => 'hidden'
    expect((await post({ method: 'PUT', url: FILE })).status).toBe(404)
    expect((await post({ method: 'GET', url: ZIP })).status).toBe(404)
    verdict = () => 'allowed'
    expect((await post({ method: 'GET', url: `${FILE}?connection=none` })).status).toBe(404)
    asked = []
    await post({ method: 'PUT', url: `${RUN}/sub/?unpack=tar&connection=outputs` })
    const of = { owner: 'ann', project: 'mnist', kind: 'experiments', id: '1' }
    expect(asked).toEqual([{ action: 'write', connection: 'outputs', of }])
  })

  it('is asked by POST of JSON, and by no page of another site', async () => {
    await serve()
    expect((await checkedAsk(`${origin()}/links`)).status).toBe(405)
    const body = { method: 'GET', url: FILE }
    expect((await post(body, { origin: 'http://evil.example' })).status).toBe(403)
    expect((await post(body, { 'sec-fetch-site': 'cross-site' })).status).toBe(403)
    for (const type of ['application/x-www-form-urlencoded', 'text/plain', ''])
      expect((await post(body, { 'content-type': type })).status).toBe(400)
    expect((await post({ ...body, url: `${FILE}${'x'.repeat(70_000)}` })).status).toBe(400)
    expect((await post({ ...body, url: `${RUN}/${'x/'.repeat(20_000)}y` })).status).toBeGreaterThanOrEqual(
      400,
    )
    expect((await post('x'.repeat(2_000_000))).status).toBe(413)
    expect((await ask(`${origin()}/links/`, { method: 'POST' })).status).toBe(404)
    expect((await ask(`${origin()}/linksx`, { method: 'POST' })).status).toBe(404)
  })

  it('is nothing without keys', async () => {
    await serve({ auth: {} })
    expect((await post({ method: 'GET', url: FILE })).status).toBe(404)
    await expectRefused('GET', `${FILE}?signature=v1.k1.9999999999.${'A'.repeat(43)}`)
  })
})

describe('keys', () => {
  it('rotate: the first one that is not retired signs, all of them are good, and one that is gone is not', async () => {
    await serve()
    const before = await linkTo(FILE)
    const bothKeys = `keys:\n  - {id: k1, secret: '${KEY}', retired: true}\n  - {id: k2, secret: '${OTHER_KEY}'}\n`
    writeFileSync(keysFile, bothKeys)
    const after = await untilSignedBy('k2')
    for (const url of [before, after]) expect((await ask(origin() + url)).status).toBe(200)
    // What cannot be used changes nothing.
    writeFileSync(keysFile, 'keys: [')
    await sleep(800)
    expect((await ask(origin() + before)).status).toBe(200)
    writeFileSync(keysFile, `keys: [{id: k2, secret: '${OTHER_KEY}'}]`)
    const until = Date.now() + 5000
    while ((await ask(origin() + before)).status === 200 && Date.now() < until) await sleep(50)
    await expectRefused('GET', before)
    expect((await ask(origin() + after)).status).toBe(200)
  })

  async function untilSignedBy(id: string): Promise<string> {
    const until = Date.now() + 5000
    for (;;) {
      verdict = () => 'allowed'
      const url = await linkTo(FILE)
      if (url.includes(`v1.${id}.`)) return url
      if (Date.now() > until) throw new Error(`no link is signed by ${id}`)
      await sleep(50)
    }
  }

  it('that cannot be used from the start sign nothing, and make nothing good', async () => {
    writeFileSync(keysFile, 'keys: []')
    await serve()
    expect((await post({ method: 'GET', url: FILE })).status).toBe(503)
    const answer = await ask(`${origin()}${FILE}?signature=v1.k1.9999999999.${'A'.repeat(43)}`)
    expect(answer.status).toBe(503)
  })
})
