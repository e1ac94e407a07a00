// Who may do what by the word of an existing service: what it is asked, what its answers mean, and what becomes of a service that does not answer.
import { createServer, type AddressInfo } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { ForwardDefinition } from '../../src/config/config.ts'
import { parsePath } from '../../src/store/path.ts'
import { AskedServer } from '../support/asked-service.ts'
import { CountingStore } from '../support/changed-stores.ts'
import { ask, json, type Answer, type Ask } from '../support/client.ts'
import { FORM_TYPE, filePart, form } from '../support/form.ts'
import { startService, type Overrides, type Service } from '../support/service.ts'

const UUID = 'a1b2c3d4e5f647089a0b1c2d3e4f5a6b'
const OTHER = 'ffffffffffff47089a0b1c2d3e4f5a6b'
const TOKEN = { authorization: 'Token SECRET' }

type Settings = Partial<ForwardDefinition>

let upstream: AskedServer
let service: Service
let store: CountingStore

beforeEach(async () => {
  upstream = await AskedServer.start()
  store = new CountingStore()
  for (const run of [
    'ann/mnist/experiments/1',
    'ann/mnist/experiments/2',
    'bob/cifar/experiments/1',
    UUID,
    OTHER,
  ])
    store.write(parsePath(`${run}/a.txt`), Buffer.from('before'))
  store.write(parsePath(`${UUID}/events/metric/loss.plx`), Buffer.from('step|timestamp|metric\n1|t|0.5\n'))
})
afterEach(() => Promise.all([service.close(), upstream.close()]))

async function serve(
  settings: Settings = {},
  overrides: Overrides = {},
  stores?: ReadonlyMap<string, CountingStore>,
): Promise<void> {
  service = await startService(
    '',
    {
      auth: {
        forward: {
          url: `${upstream.origin}/`,
          preset: 'nginx',
          namespace: 'plx',
          timeoutMs: 2000,
          yesMs: 60_000,
          noMs: 5000,
          ...settings,
        },
      },
      ...overrides,
    },
    stores ?? store,
  )
}

function send(url: string, options: Ask = {}): Promise<Answer> {
  return ask(service.url + url, { ...options, headers: { ...TOKEN, ...options.headers } })
}

function upload(url: string): Promise<Answer> {
  const body = form(filePart('x.txt', 'new', 'upload_file'))
  return send(url, { method: 'POST', headers: { 'content-type': FORM_TYPE }, body })
}

async function tusUpload(path: string): Promise<Answer> {
  const metadata = Buffer.from(path).toString('base64')
  return send('/uploads', {
    method: 'POST',
    headers: { 'tus-resumable': '1.0.0', 'upload-length': '3', 'upload-metadata': `path ${metadata}` },
  })
}

describe('what is asked', () => {
  it('is, by the preset nginx, the URL of the run below /outputs, whichever surface is used', async () => {
    await serve({}, { server: { basePath: '/artifacts' } })
    const streams = `/streams/v1/ns/ann/mnist/runs/${UUID}`
    const run = `/artifacts/outputs/ann/mnist/runs/${UUID}/`
    for (const url of [
      `/outputs/ann/mnist/runs/${UUID}/a.txt`,
      `${streams}/artifact?path=a.txt`,
      `${streams}/logs`,
    ])
      await send(url)
    expect(new Set(upstream.taken())).toEqual(new Set([`GET ${run}`]))
    await send(`/outputs/ann/mnist/runs/${UUID}/b.txt`, { method: 'PUT', body: 'x' })
    await upload(`${streams}/artifacts`)
    await tusUpload(`ann/mnist/runs/${UUID}/c.txt`)
    expect(new Set(upstream.taken())).toEqual(new Set([`POST ${run}`]))
    await send(`/outputs/ann/mnist/runs/${UUID}/b.txt`, { method: 'DELETE' })
    await send(`${streams}/artifact?path=x.txt`, { method: 'DELETE' })
    expect(new Set(upstream.taken())).toEqual(new Set([`DELETE ${run}`]))
    await send('/api/v1/ann/mnist/experiments/1/outputs/files?path=a.txt')
    await send('/outputs/ann/mnist/experiments/1/?archive=zip')
    expect(upstream.taken()).toEqual(['GET /artifacts/outputs/ann/mnist/experiments/1/'])
  })

  it('is, by the preset polyaxon-2, a URL of the streams service', async () => {
    await serve({ preset: 'polyaxon-2' })
    const run = `/streams/v1/plx/ann/mnist/runs/${UUID}`
    // What the client says of the namespace is not believed.
    await send(`/streams/v1/elsewhere/ann/mnist/runs/${UUID}/artifact?path=a.txt`)
    await send(`/outputs/ann/mnist/runs/${UUID}/a.txt`)
    expect(upstream.questions.map(({ path }) => path)).toEqual(['/auth/v1/'])
    expect(upstream.taken()).toEqual([`GET ${run}/artifacts/tree`])
    await send(`/outputs/ann/mnist/runs/${UUID}/b.txt`, { method: 'PUT', body: 'x' })
    await send(`/outputs/ann/mnist/runs/${UUID}/b.txt`, { method: 'DELETE' })
    expect(upstream.taken()).toEqual([`POST ${run}/artifacts`, `DELETE ${run}/artifacts`])
    await send(`/streams/v1/ns/ann/mnist/runs/multi/events/metric?names=loss&runs=${UUID},${OTHER}`)
    expect(upstream.taken()).toEqual([`GET /streams/v1/plx/ann/mnist/runs/${OTHER}/artifacts/tree`])
  })

  it('is, by the preset polyaxon-0, the run itself', async () => {
    await serve({ preset: 'polyaxon-0' })
    expect((await send('/outputs/ann/mnist/experiments/1/a.txt')).text).toBe('before')
    expect((await send('/api/v1/ann/mnist/experiments/1/outputs/files?path=a.txt')).text).toBe('before')
    expect(upstream.taken()).toEqual(['GET /api/v1/ann/mnist/experiments/1'])
    expect((await send('/outputs/ann/mnist/experiments/1/a.txt', { method: 'DELETE' })).status).toBe(403)
    upstream.answer = () => 404
    expect((await send('/outputs/ann/mnist/experiments/2/a.txt')).status).toBe(404)
    expect((await send('/outputs/ann/mnist/experiments/2/a.txt', { method: 'DELETE' })).status).toBe(404)
    upstream.taken()
    expect((await send(`/outputs/ann/mnist/runs/${UUID}/a.txt`)).status).toBe(404)
    expect(upstream.taken()).toEqual([])
  })

  it('has the path of the configured URL, in front of what the preset adds', async () => {
    await serve({ preset: 'polyaxon-0', url: `${upstream.origin}/plx/` })
    await send('/outputs/ann/mnist/experiments/1/a.txt')
    expect(upstream.questions.map(({ path }) => path)).toEqual(['/plx/api/v1/ann/mnist/experiments/1'])
  })

  it.each(['nginx', 'polyaxon-0', 'polyaxon-2'] as const)(
    'names a store that is not the default one: %s',
    async preset => {
      await serve(
        { preset },
        {},
        new Map([
          ['outputs', store],
          ['b & c', store],
        ]),
      )
      const of = preset === 'polyaxon-2' ? `runs/${UUID}` : 'experiments/1'
      upstream.answer = ({ uri }) => (uri.includes('connection=') ? 403 : 200)
      expect((await send(`/outputs/ann/mnist/${of}/a.txt`)).status).toBe(200)
      expect((await send(`/outputs/ann/mnist/${of}/a.txt?connection=outputs`)).status).toBe(200)
      expect(upstream.taken()).toHaveLength(1)
      expect((await send(`/outputs/ann/mnist/${of}/a.txt?connection=b%20%26%20c`)).status).toBe(404)
      expect(upstream.taken()[0]).toMatch(/\?connection=b%20%26%20c$/)
    },
  )

  it('carries who asks, and nothing else of the request', async () => {
    await serve()
    const cookie = 'sessionid=S; other=1'
    const more = {
      cookie,
      'x-forwarded-for': '6.6.6.6',
      'x-secret': 'x',
      range: 'bytes=0-1',
      'if-match': '*',
    }
    await send('/outputs/ann/mnist/experiments/1/a.txt?download', { headers: more })
    await send('/outputs/ann/mnist/experiments/1/b.txt', { method: 'PUT', headers: more, body: 'the body' })
    for (const { method, headers } of upstream.questions) {
      const { host, connection: _, ...sent } = headers
      expect(method).toBe('GET')
      expect(upstream.origin).toContain(host)
      expect(Object.keys(sent).sort()).toEqual([
        ...['accept', 'authorization', 'cookie', 'x-forwarded-for'],
        ...['x-origin-method', 'x-origin-uri', 'x-original-method', 'x-original-uri'],
      ])
      expect(sent).toMatchObject({ ...TOKEN, cookie, 'x-forwarded-for': '127.0.0.1' })
    }
    expect(upstream.bodies.join('')).toBe('')
  })

  it('names owner, project and run as they are served, so that one of another project is not had by its id alone', async () => {
    await serve({ preset: 'polyaxon-2' })
    upstream.answer = ({ uri }) => (uri.includes(`/ann/mnist/runs/${UUID}/`) ? 200 : 403)
    expect((await send(`/outputs/ann/mnist/runs/${UUID}/a.txt`)).status).toBe(200)
    // The layout of runs has the id alone, so each of these is the same folder.
    for (const url of [
      `/outputs/bob/mnist/runs/${UUID}/a.txt`,
      `/outputs/ann/cifar/runs/${UUID}/a.txt`,
      `/outputs/ann/mnist/runs/${OTHER}/a.txt`,
      `/outputs/ann/mnist/runs/${UUID.toUpperCase()}/a.txt`,
      `/streams/v1/ns/bob/mnist/runs/${UUID}/artifact?path=a.txt`,
      `/streams/v1/ns/ann%2Fmnist%2Fruns%2F${UUID}%2F/x/runs/${UUID}/artifact?path=a.txt`,
      `/streams/v1/ns/ann%3F/mnist/runs/${UUID}/artifact?path=a.txt`,
    ])
      expect([url, (await send(url)).text.includes('before')]).toEqual([url, false])
    const { text } = await send(
      `/streams/v1/ns/ann/mnist/runs/multi/events/metric?names=loss&runs=${UUID},${OTHER}`,
    )
    expect(JSON.parse(text)).toMatchObject({ data: { [UUID]: [{}], [OTHER]: [] } })
  })

  it('is never a URL that the platform takes for another kind', async () => {
    await serve({ preset: 'polyaxon-2' })
    for (const url of [
      `/outputs/orgs/ann/runs/${UUID}/a.txt`,
      '/outputs/ann/mnist/runs/multi/a.txt',
      '/outputs/ann/mnist/experiments/1/a.txt',
      `/outputs/ann/m%20n/runs/${UUID}/a.txt`,
      `/outputs/ann/%E2%80%A5/runs/${UUID}/a.txt`,
    ])
      expect([url, (await send(url)).status]).toEqual([url, 404])
    // Of all projects at once, no project is known.
    const { text } = await send(`/streams/v1/ns/orgs/ann/runs/multi/events/metric?names=loss&runs=${UUID}`)
    expect(JSON.parse(text)).toEqual({ data: { [UUID]: [] } })
    expect(upstream.taken()).toEqual([])
  })
})

describe('what the answers mean', () => {
  const url = '/outputs/ann/mnist/experiments/1/a.txt'

  it.each([200, 204, 299])('%i lets in', async status => {
    await serve()
    upstream.answer = () => status
    expect((await send(url)).text).toBe('before')
    expect((await send(url, { method: 'DELETE' })).status).toBe(204)
  })

  it('401 is passed on, with our own challenge', async () => {
    await serve()
    upstream.answer = (_, response) => {
      response.setHeader('WWW-Authenticate', 'Basic realm="theirs"')
      return 401
    }
    for (const method of ['GET', 'PUT', 'DELETE']) {
      const answer = await send(url, { method })
      expect(answer.status).toBe(401)
      expect(answer.headers['www-authenticate']).toMatch(/polyaxon-outputs/)
      expect(answer.headers['www-authenticate']).not.toMatch(/theirs/)
    }
  })

  it('403 looks like what is not there', async () => {
    await serve()
    upstream.answer = () => 403
    for (const method of ['GET', 'PUT', 'DELETE']) {
      const refused = await send(url, { method, ...(method === 'PUT' && { body: 'x' }) })
      expect([method, refused.status]).toEqual([method, 404])
    }
    expect(store.begun).toBe(0)
  })

  it('403 for a change is said as that to who may read', async () => {
    await serve()
    upstream.answer = ({ action }) => (action === 'GET' ? 200 : 403)
    expect((await send(url)).status).toBe(200)
    expect((await send(url, { method: 'PUT', body: 'x' })).status).toBe(403)
    expect((await send(url, { method: 'DELETE' })).status).toBe(403)
    expect((await tusUpload('ann/mnist/experiments/1/c.txt')).status).toBe(403)
    expect(store.begun).toBe(0)
  })

  it.each([100, 301, 302, 307, 304, 400, 404, 407, 429, 500, 502, 503])('%i is no answer', async status => {
    await serve()
    upstream.answer = (_, response) => {
      response.setHeader('Location', '/yes')
      if (status !== 100) return status
      response.socket!.end('HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n')
      return undefined
    }
    for (const method of ['GET', 'DELETE']) {
      const answer = await send(url, { method })
      expect(answer.status).toBe(503)
      expect(answer.headers['retry-after']).toBeDefined()
      expect(json(answer)).toMatchObject({ title: 'It is not known who may do this' })
      expect(answer.text).not.toMatch(/127\.0\.0\.1|SECRET|store/)
    }
    expect(upstream.questions.every(({ path }) => path === '/')).toBe(true)
  })

  it('who says nothing is asked about where the service may know them, and else has to say who they are', async () => {
    await serve()
    expect((await ask(service.url + url)).status).toBe(200)
    await service.close()
    await serve({ preset: 'polyaxon-2' })
    upstream.taken()
    expect((await ask(service.url + url)).status).toBe(401)
    expect(upstream.taken()).toEqual([])
    await service.close()
    await serve({ preset: 'polyaxon-2' }, { server: { allowUnauthenticated: true } })
    expect((await ask(service.url + url)).status).toBe(200)
    expect((await ask(service.url + url, { method: 'DELETE' })).status).toBe(401)
  })
})

describe('lists of what lies above a run', () => {
  const names = (answer: Answer): string[] =>
    (json(answer) as { entries: { name: string }[] }).entries.map(({ name }) => name)

  it('show what the service says yes to', async () => {
    await serve()
    upstream.answer = ({ uri }) => (/bob|experiments\/2/.test(uri) ? 403 : 200)
    expect(names(await send('/outputs/?format=json'))).toEqual(['ann'])
    expect(names(await send('/outputs/ann/mnist/experiments/?format=json'))).toEqual(['1'])
    const detail = async (owner: string) =>
      (json(await send(`/outputs/${owner}/?format=json`)) as { detail: string }).detail.replace(
        owner,
        'OWNER',
      )
    expect(await detail('bob')).toBe(await detail('nobody'))
  })

  it('show, by the preset polyaxon-2, the runs of the project alone, whatever the folder holds', async () => {
    await serve({ preset: 'polyaxon-2' })
    upstream.answer = ({ uri }) => (uri.includes(`/runs/${OTHER}/`) ? 403 : 200)
    expect(names(await send('/outputs/ann/mnist/runs/?format=json'))).toEqual([UUID])
    expect(upstream.taken()[0]).toBe('GET /streams/v1/plx/ann/mnist/runs/multi/events/metric')
    await send('/outputs/ann/?format=json')
    expect(upstream.taken()[0]).toBe('GET /streams/v1/plx/orgs/ann/runs/multi/events/metric')
  })

  it('fail where the service does in the middle', async () => {
    await serve()
    upstream.answer = ({ uri }) => (uri.endsWith('/experiments/2/') ? 500 : 200)
    expect((await send('/outputs/ann/mnist/experiments/?format=json')).status).toBe(503)
  })
})

describe('answers that are known', () => {
  const url = '/outputs/ann/mnist/experiments/1/a.txt'

  it('are good for their time', async () => {
    await serve({ yesMs: 400, noMs: 0 })
    await send(url)
    await send(url)
    expect(upstream.taken()).toHaveLength(1)
    upstream.answer = () => 403
    expect((await send(url)).status).toBe(200)
    await sleep(450)
    expect((await send(url)).status).toBe(404)
    expect((await send(url)).status).toBe(404)
    upstream.answer = () => 200
    expect((await send(url)).status).toBe(200)
  })

  it('are no longer than that a no', async () => {
    await serve({ noMs: 300 })
    upstream.answer = () => 403
    expect((await send(url)).status).toBe(404)
    upstream.answer = () => 200
    expect((await send(url)).status).toBe(404)
    await sleep(350)
    expect((await send(url)).status).toBe(200)
  })

  it('are for who asked, for the run and for the right alone', async () => {
    await serve()
    await send(url)
    upstream.answer = () => 403
    const others: readonly [url: string, headers: Record<string, string>, method?: string][] = [
      [url, { authorization: 'Token OTHER' }],
      [url, { authorization: 'token SECRET' }],
      [url, { authorization: 'Token SECRET', cookie: 'a=b' }],
      [url, { cookie: 'Token SECRET' }],
      ['/outputs/ann/mnist/experiments/2/a.txt', TOKEN],
      ['/outputs/bob/cifar/experiments/1/a.txt', TOKEN],
      [url, TOKEN, 'DELETE'],
    ]
    for (const [asked, headers, method = 'GET'] of others) {
      const { status } = await ask(service.url + asked, { headers, method })
      expect([asked, headers, [403, 404].includes(status)]).toEqual([asked, headers, true])
    }
    expect((await send(url)).status).toBe(200)
  })

  it('are asked for once by many at the same time, also when the first of them leaves', async () => {
    await serve()
    const waiting: (() => void)[] = []
    upstream.answer = (_, response) => {
      waiting.push(() => response.end())
      return undefined
    }
    const leaving = new AbortController()
    const left = fetch(service.url + url, { headers: TOKEN, signal: leaving.signal }).catch(() => 'left')
    const many = Array.from({ length: 20 }, () => send(url))
    while (waiting.length === 0) await sleep(5)
    leaving.abort()
    expect(await left).toBe('left')
    await sleep(50)
    expect(waiting).toHaveLength(1)
    waiting[0]!()
    expect((await Promise.all(many)).map(({ status }) => status)).toEqual(Array(20).fill(200))
    expect(upstream.questions).toHaveLength(1)
  })
})

describe('a service that does not answer', () => {
  const url = '/outputs/ann/mnist/experiments/1/a.txt'

  it('lets nobody in while it is away, and everybody when it is back', async () => {
    await serve({ noMs: 0 })
    expect((await send('/outputs/ann/mnist/experiments/2/a.txt')).status).toBe(200)
    await upstream.close()
    expect((await send(url)).status).toBe(503)
    expect((await send(url, { method: 'PUT', body: 'x' })).status).toBe(503)
    expect((await send(`/streams/v1/ns/ann/mnist/runs/${UUID}/artifact?path=a.txt`)).status).toBe(503)
    expect((await send('/api/v1/ann/mnist/experiments/1/outputs/files?path=a.txt')).status).toBe(503)
    expect((await tusUpload('ann/mnist/experiments/1/c.txt')).status).toBe(503)
    expect(store.begun).toBe(0)
    // What it has said just before is good for its time.
    expect((await send('/outputs/ann/mnist/experiments/2/a.txt')).status).toBe(200)
  })

  it('costs its timeout, and is asked again by the next one', async () => {
    await serve({ timeoutMs: 300 })
    upstream.answer = () => undefined
    const before = performance.now()
    const answers = await Promise.all([send(url), send(url), send('/outputs/ann/mnist/experiments/2/a.txt')])
    expect(answers.map(({ status }) => status)).toEqual([503, 503, 503])
    expect(performance.now() - before).toBeLessThan(2000)
    upstream.answer = () => 200
    expect((await send(url)).status).toBe(200)
  })

  it.each([
    'no HTTP at all\r\n\r\n',
    'HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n',
    'HTTP/1.1 2000 OK\r\n\r\n',
    '',
  ])('is one that says %j', async text => {
    const garbage = createServer(socket => {
      socket.on('error', () => undefined)
      socket.once('data', () => socket.end(text)).once('end', () => socket.destroy())
    })
    await new Promise<void>(resolve => garbage.listen(0, '127.0.0.1', resolve))
    const { port } = garbage.address() as AddressInfo
    await serve({ url: `http://127.0.0.1:${port}/` })
    expect((await send(url)).status).toBe(503)
    expect((await send(url, { method: 'DELETE' })).status).toBe(503)
    garbage.close()
  })

  it('is not one whose answer has a body that never ends', async () => {
    await serve()
    upstream.answer = (_, response) => {
      response.writeHead(200)
      response.write('x'.repeat(100_000))
      return undefined
    }
    expect((await send(url)).status).toBe(200)
  })

  it('is not one that has closed the connections that were kept', async () => {
    await serve({ yesMs: 0 })
    for (let round = 0; round < 5; round++) {
      await Promise.all(['1', '2'].map(id => send(`/outputs/ann/mnist/experiments/${id}/a.txt`)))
      upstream.dropConnections()
      expect((await send(url)).status).toBe(200)
    }
  })

  it('is asked over few connections, however many ask', async () => {
    await serve({ timeoutMs: 5000 })
    let most = 0
    upstream.answer = (_, response) => {
      most = Math.max(most, upstream.connections)
      setTimeout(() => response.end(), 2)
      return undefined
    }
    const answers = await Promise.all(
      Array.from({ length: 300 }, (_, i) => send(url, { headers: { authorization: `Token ${i}` } })),
    )
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([200]))
    expect(upstream.questions).toHaveLength(300)
    expect(most).toBeLessThanOrEqual(64)
  })
})
