// For which hosts requests are taken: a page that has its own name lead here (DNS rebinding) must not get a word, on any surface.
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { AppError } from '../../src/errors.ts'
import { parsePath } from '../../src/store/path.ts'
import { Connection } from '../faults/connection.ts'
import { judging } from '../support/authority.ts'
import { CountingStore } from '../support/changed-stores.ts'
import { ask, json } from '../support/client.ts'
import { startService, type Overrides, type Service } from '../support/service.ts'

const UUID = 'a1b2c3d4e5f647089a0b1c2d3e4f5a6b'
const FILE = '/outputs/ann/mnist/jobs/1/a.txt'

let service: Service
let store: CountingStore

async function serve(
  server: NonNullable<Overrides['server']> = {},
  options: Parameters<typeof startService>[3] = {},
): Promise<void> {
  store = new CountingStore()
  for (const run of [UUID, 'ann/mnist/jobs/1']) store.write(parsePath(`${run}/a.txt`), Buffer.from('content'))
  service = await startService('', { server }, store, options)
}

async function statusFor(host: string, url = FILE, headers: Record<string, string> = {}): Promise<number> {
  return (await ask(service.url + url, { headers: { host, ...headers } })).status
}

const OF_THIS_MACHINE = [
  'localhost',
  'LocalHost:8000',
  'localhost.',
  'outputs.localhost:80',
  '127.0.0.1',
  '127.0.0.1:8000',
  '127.200.3.4',
  '[::1]',
  '[::1]:8000',
]
const OF_OTHERS = [
  'evil.example',
  'evil.example:8000',
  'localhost.evil.example',
  'evil-localhost',
  'localhost@evil.example',
  'evil.example#localhost',
  '127.0.0.1.evil.example',
  '192.0.2.7',
  '0.0.0.0',
  '[::]',
  '::1',
  'localhost:x',
  'localhost, evil.example',
]

const REQUESTS: readonly (readonly [method: string, url: string, form: RegExp])[] = [
  ['GET', FILE, /^application\/problem\+json$/],
  ['HEAD', FILE, /^application\/problem\+json$/],
  ['PUT', FILE, /^application\/problem\+json$/],
  ['DELETE', FILE, /^application\/problem\+json$/],
  ['GET', '/outputs/', /^application\/problem\+json$/],
  ['OPTIONS', FILE, /^application\/problem\+json$/],
  ['POST', '/uploads', /^application\/problem\+json$/],
  ['GET', `/streams/v1/ns/ann/mnist/runs/${UUID}/artifact?path=a.txt`, /^text\/plain/],
  ['POST', `/streams/v1/ns/ann/mnist/runs/${UUID}/artifact`, /^text\/plain/],
  ['GET', '/api/v1/ann/mnist/jobs/1/outputs/files?path=a.txt', /^application\/json$/],
  ['GET', '/healthz', /^application\/problem\+json$/],
  ['GET', '/readyz', /^application\/problem\+json$/],
  ['GET', '/docs', /^application\/problem\+json$/],
  ['GET', '/', /^application\/problem\+json$/],
]

describe('on a loopback address, where nobody has to say who they are,', () => {
  beforeAll(() => serve({ corsOrigins: ['https://dashboard.example'] }))
  afterAll(() => service.close())

  it.each(OF_THIS_MACHINE)('a request for %s is taken', async host => {
    expect(await statusFor(host)).toBe(200)
  })

  it.each(OF_OTHERS)("a request for '%s' is not", async host => {
    expect(await statusFor(host)).toBe(421)
  })

  it.each(REQUESTS)('%s %s for another host learns and changes nothing', async (method, url, form) => {
    const before = store.begun
    const headers = { host: 'evil.example', origin: 'http://evil.example', 'tus-resumable': '1.0.0' }
    const answer = await ask(service.url + url, { method, headers, ...(method === 'PUT' && { body: 'x' }) })
    expect(answer.status).toBe(421)
    expect(answer.headers['content-type']).toMatch(form)
    if (method !== 'HEAD') expect(answer.text).toContain('server.allowedHosts')
    expect(answer.headers['access-control-allow-origin']).toBeUndefined()
    expect(store.begun).toBe(before)
  })

  it.each([
    ['of HTTP/1.0 without a Host is taken', 'GET / HTTP/1.0', 302],
    ['with an empty Host is not', 'GET / HTTP/1.1\r\nHost:', 421],
    ['for a whole URL is for the host in that', 'GET http://evil.example/ HTTP/1.1\r\nHost: localhost', 421],
    ['for a whole URL is taken', 'GET http://localhost/ HTTP/1.1\r\nHost: evil.example', 302],
  ])('a request %s', async (_, head, status) => {
    const connection = await Connection.open(service.port)
    connection.send(`${head}\r\n\r\n`)
    expect((await connection.head()).status).toBe(status)
    connection.destroy()
  })

  it('the refusal is a problem of a kind of its own', async () => {
    const answer = await ask(service.url + FILE, { headers: { host: 'evil.example' } })
    expect(json(answer)).toMatchObject({ type: 'urn:polyaxon-outputs:problem:misdirected', status: 421 })
  })
})

it('a refusal has the form of its surface below a base path too', async () => {
  await serve({ basePath: '/base' })
  const url = `${service.url}/streams/v1/ns/ann/mnist/runs/${UUID}/artifact?path=a.txt`
  const { status, headers } = await ask(url, { headers: { host: 'evil.example' } })
  expect([status, headers['content-type']]).toEqual([421, 'text/plain; charset=utf-8'])
  await service.close()
})

describe('any host is taken', () => {
  afterEach(() => service.close())

  it.each(['0.0.0.0', '192.0.2.7'])('on %s, whose names nobody here knows', async host => {
    await serve({ host, allowUnauthenticated: true })
    for (const name of ['outputs.example', ...OF_THIS_MACHINE]) expect(await statusFor(name)).toBe(200)
  })

  it('where callers have to say who they are, which no page can do for them', async () => {
    const authority = judging(() => Promise.reject(new AppError('Unauthenticated', 'Say who you are.')))
    await serve({}, { authority })
    expect(await statusFor('outputs.example')).toBe(401)
  })
})

describe('with server.allowedHosts', () => {
  const allowedHosts = ['outputs.example', '*.apps.example', 'ported.example:8443', 'tls.example:443']
  beforeAll(() => serve({ host: '0.0.0.0', allowUnauthenticated: true, allowedHosts, basePath: '/base' }))
  afterAll(() => service.close())

  it.each([
    'outputs.example',
    'OUTPUTS.example:8000',
    'outputs.example.',
    'a.apps.example',
    'a.b.apps.example:1',
    'ported.example:8443',
    'tls.example',
    'tls.example:443',
    ...OF_THIS_MACHINE,
  ])('%s is taken', async host => {
    expect(await statusFor(host)).toBe(200)
  })

  it.each([
    'apps.example',
    'evilapps.example',
    'x.outputs.example',
    'outputs.example.evil.example',
    'ported.example',
    'ported.example:443',
    'tls.example:80',
    '192.0.2.7',
  ])("'%s' is not", async host => {
    expect(await statusFor(host)).toBe(421)
  })

  it('what an orchestrator asks of one instance by its address is answered', async () => {
    for (const url of ['/healthz', '/readyz']) {
      expect(await statusFor('10.1.2.3:8000', url)).toBe(200)
      expect(await statusFor('[2001:db8::7]:8000', `${url}?x=1`)).not.toBe(421)
      expect(await statusFor('evil.example', url)).toBe(421)
    }
    expect(await statusFor('10.1.2.3:8000', '/healthz/../outputs/')).toBe(421)
  })
})

describe('behind a proxy', () => {
  afterEach(() => service.close())

  const OUTSIDE = { 'x-forwarded-host': 'outputs.example', 'x-forwarded-proto': 'https' }

  it('that is not trusted, what it says of the host means nothing', async () => {
    await serve({ allowedHosts: ['outputs.example'] })
    expect(await statusFor('evil.example', FILE, OUTSIDE)).toBe(421)
    await service.close()
    await serve({ allowedHosts: ['outputs.example'], trustedProxies: ['192.0.2.0/24'] })
    expect(await statusFor('evil.example', FILE, OUTSIDE)).toBe(421)
    expect(await statusFor('outputs.example', FILE, { 'x-forwarded-host': 'evil.example' })).toBe(200)
  })

  it.each([['loopback'], ['127.0.0.0/8'], ['10.0.0.1', '127.0.0.1']])(
    'that is trusted as %s, its word counts',
    async (...trustedProxies) => {
      await serve({ allowedHosts: ['outputs.example'], trustedProxies })
      expect(await statusFor('upstream', FILE, OUTSIDE)).toBe(200)
      expect(await statusFor('outputs.example', FILE, { 'x-forwarded-host': 'evil.example' })).toBe(421)
      // A client may have written the first one.
      const both = { 'x-forwarded-host': 'outputs.example, evil.example' }
      expect(await statusFor('upstream', FILE, both)).toBe(421)
      expect(await statusFor('outputs.example', FILE)).toBe(200)
    },
  )

  it('that is trusted, pages of the host and scheme that it was asked for may change something', async () => {
    await serve({ allowedHosts: ['outputs.example'], trustedProxies: ['loopback'] })
    const put = async (headers: Record<string, string>): Promise<number> =>
      (await ask(`${service.url}/outputs/ann/mnist/jobs/1/b.txt`, { method: 'PUT', body: 'x', headers }))
        .status
    expect(await put({ ...OUTSIDE, origin: 'https://outputs.example' })).toBe(201)
    expect(await put({ ...OUTSIDE, origin: 'http://outputs.example' })).toBe(403)
    expect(await put({ ...OUTSIDE, origin: 'https://evil.example' })).toBe(403)
    expect(await put({ ...OUTSIDE, origin: service.url })).toBe(403)
  })

  it('that is not trusted, its word makes no page one of ours', async () => {
    await serve()
    const headers = { ...OUTSIDE, origin: 'https://outputs.example' }
    const answer = await ask(service.url + FILE, { method: 'PUT', body: 'x', headers })
    expect(answer.status).toBe(403)
  })
})
