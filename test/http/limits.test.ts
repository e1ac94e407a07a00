// How much may be under way at once: what is too much is refused at once and clearly, costs nobody else anything, and is welcome again when something has ended.
import { pino } from 'pino'
import { afterEach, describe, expect, it } from 'vitest'
import { createApp } from '../../src/app.ts'
import { networkOf } from '../../src/http/caller.ts'
import type { Authority } from '../../src/http/gate.ts'
import { Service as Listening } from '../../src/process/service.ts'
import { MemoryStore } from '../../src/store/memory.ts'
import { parsePath } from '../../src/store/path.ts'
import { isOwnFolder } from '../../src/store/own-folder.ts'
import { Connection } from '../faults/connection.ts'
import { ask, json, type Answer, type Ask } from '../support/client.ts'
import { FORM_TYPE } from '../support/form.ts'
import { until } from '../support/process.ts'
import { configFor, description, startService, type Overrides, type Service } from '../support/service.ts'

const UUID = 'a1b2c3d4e5f647089a0b1c2d3e4f5a6b'
const RUN = '/outputs/ann/mnist/jobs/1/'
const STREAMS = `/streams/v1/ns/ann/mnist/runs/${UUID}`
const API = '/api/v1/ann/mnist/jobs/1'

/** Answers nothing that is about an artifact before it is told to. */
class HeldStore extends MemoryStore {
  readonly #held = new Set<() => void>()
  #isHolding = true

  get held(): number {
    return this.#held.size
  }

  release(): void {
    this.#isHolding = false
    this.#held.forEach(go => go())
  }

  async #hold(path: string): Promise<void> {
    if (!this.#isHolding || isOwnFolder(parsePath(path))) return
    await new Promise<void>(resolve => {
      const go = (): void => {
        this.#held.delete(go)
        resolve()
      }
      this.#held.add(go)
    })
  }

  override async open(...given: Parameters<MemoryStore['open']>): ReturnType<MemoryStore['open']> {
    await this.#hold(given[0])
    return super.open(...given)
  }

  override async *list(...given: Parameters<MemoryStore['list']>): ReturnType<MemoryStore['list']> {
    await this.#hold(given[0])
    yield* super.list(...given)
  }
}

let service: Service
let store: HeldStore
let reached: string[]
afterEach(async () => {
  store.release()
  await service.close()
})

async function serve(overrides: Overrides, authority?: Authority): Promise<void> {
  store = new HeldStore()
  reached = []
  for (const run of [UUID, 'ann/mnist/jobs/1']) store.write(parsePath(`${run}/a.txt`), Buffer.from('content'))
  store.write(parsePath(`${UUID}/events/metric/loss.plx`), Buffer.from('step|timestamp|metric\n1|t|0.5\n'))
  const onLimit = (limit: string): unknown => reached.push(limit)
  const server = { trustedProxies: ['loopback'], ...overrides.server }
  service = await startService('', { ...overrides, server }, store, {
    onLimit,
    ...(authority && { authority }),
  })
}

const from = (address: string): Record<string, string> => ({ 'x-forwarded-for': address })

function send(url: string, caller: string, options: Ask = {}): Promise<Answer> {
  return ask(service.url + url, { ...options, headers: { ...from(caller), ...options.headers } })
}

/** A request that does not end before the store is released, when it is in the store's hands. */
async function hold(url: string, caller: string): Promise<{ readonly answer: Promise<Answer> }> {
  const before = store.held
  const answer = send(url, caller)
  // It may break with the end of the test.
  answer.catch(() => undefined)
  await until(() => store.held > before)
  return { answer }
}

function expectRefused(answer: Answer, status: 429 | 503, setting: string): void {
  expect([answer.status, answer.text]).toEqual([status, expect.stringContaining(setting)])
  expect(answer.headers['retry-after']).toBe('5')
  expect(reached.at(-1)).toBe(setting)
}

describe('requests under way', () => {
  const LIMITS = { limits: { requests: 3, requestsPerCaller: 2 } }

  it('are bounded for each caller, on every surface in its form', async () => {
    await serve(LIMITS)
    const held = [await hold(`${RUN}a.txt`, '192.0.2.1'), await hold(`${RUN}a.txt`, '192.0.2.1')]
    for (const [url, form] of [
      [`${RUN}a.txt`, 'application/problem+json'],
      ['/uploads', 'application/problem+json'],
      ['/docs', 'application/problem+json'],
      [`${STREAMS}/artifact?path=a.txt`, 'text/plain; charset=utf-8'],
      [`${API}/outputs/files?path=a.txt`, 'application/json'],
    ] as const) {
      const refused = await send(url, '192.0.2.1')
      expectRefused(refused, 429, 'limits.requestsPerCaller')
      expect(refused.headers['content-type']).toBe(form)
    }
    expect(json(await send(`${RUN}a.txt`, '192.0.2.1'))).toMatchObject({
      type: 'urn:polyaxon-outputs:problem:caller-limited',
      temporary: true,
    })
    expect((await send('/docs', '192.0.2.2')).status).toBe(200)
    store.release()
    for (const { answer } of held) expect((await answer).text).toBe('content')
    expect((await send(`${RUN}a.txt`, '192.0.2.1')).status).toBe(200)
  })

  it('are bounded for all together, but not those of probes', async () => {
    await serve(LIMITS)
    for (const caller of ['192.0.2.1', '192.0.2.2', '192.0.2.3']) await hold(`${RUN}a.txt`, caller)
    expectRefused(await send(`${RUN}a.txt`, '192.0.2.4'), 503, 'limits.requests')
    for (let i = 0; i < 3; i++)
      for (const url of ['/healthz', '/readyz']) expect((await send(url, '192.0.2.4')).status).not.toBe(429)
    expect((await send('/healthz', '192.0.2.4')).status).toBe(200)
  })

  it('end with the connection of a client that leaves', async () => {
    await serve({ limits: { requestsPerCaller: 1 } })
    const client = await Connection.get(service.port, `${RUN}a.txt`)
    await until(() => store.held === 1)
    expect((await ask(service.url + '/docs')).status).toBe(429)
    client.reset()
    await until(async () => (await ask(service.url + '/docs')).status === 200)
  })

  it('of the addresses of one network of IPv6 count together', async () => {
    await serve({ limits: { requestsPerCaller: 1 } })
    await hold(`${RUN}a.txt`, '2001:db8:0:1::1')
    expect((await send('/docs', '2001:db8::1:ffff:0:0:7')).status).toBe(429)
    expect((await send('/docs', '2001:db8:0:2::1')).status).toBe(200)
  })

  it('of addresses that nobody trustworthy has said count as those of the connection', async () => {
    await serve({ server: { trustedProxies: [] }, limits: { requestsPerCaller: 1 } })
    await hold(`${RUN}a.txt`, '192.0.2.1')
    expect((await send('/docs', '192.0.2.2')).status).toBe(429)
  })
})

it.each([
  ['192.0.2.1', '192.0.2.1'],
  ['2001:db8::1', '2001:db8:0:0::/64'],
  ['2001:0DB8:0001::', '2001:db8:1:0::/64'],
  ['::1', '0:0:0:0::/64'],
  ['1:2:3:4:5:6:7:8', '1:2:3:4::/64'],
  ['fe80::1%eth0', 'fe80:0:0:0::/64'],
  ['64:ff9b::192.0.2.1', '64:ff9b:0:0::/64'],
])('%s is in the network %s', (address, network) => {
  expect(networkOf(address)).toBe(network)
})

const KINDS: readonly (readonly [
  what: string,
  overrides: Overrides,
  one: string,
  all: string,
  urls: string[],
])[] = [
  [
    'archives',
    { archives: { maxInProgress: 3 }, limits: { archivesPerCaller: 2 } },
    'limits.archivesPerCaller',
    'archives.maxInProgress',
    [
      `${RUN}?archive=tar`,
      `${RUN}?archive=zip`,
      `${STREAMS}/artifacts`,
      `${STREAMS}/artifacts?path=a.txt`,
      `${API}/outputs/download`,
    ],
  ],
  [
    'listings',
    { limits: { listings: 3, listingsPerCaller: 2 } },
    'limits.listingsPerCaller',
    'limits.listings',
    [RUN, `${RUN}?recursive&format=ndjson`, '/outputs/', `${STREAMS}/artifacts/tree`, `${API}/outputs/tree`],
  ],
  [
    'logs and events',
    { limits: { logs: 3, logsPerCaller: 2 } },
    'limits.logsPerCaller',
    'limits.logs',
    [
      `${STREAMS}/logs`,
      `${STREAMS}/events/metric?names=loss`,
      `${STREAMS}/resources`,
      `/streams/v1/ns/ann/mnist/runs/multi/events/metric?names=loss&runs=${UUID}`,
    ],
  ],
]

describe.each(KINDS)('%s', (_, overrides, one, all, urls) => {
  it('under way are bounded for each caller and for all, and nothing else with them', async () => {
    await serve(overrides)
    const held = [await hold(urls[0]!, '192.0.2.1'), await hold(urls[1]!, '192.0.2.1')]
    for (const url of urls) {
      const refused = await send(url, '192.0.2.1')
      expectRefused(refused, 429, one)
    }
    held.push(await hold(urls[0]!, '192.0.2.2'))
    for (const url of urls) expectRefused(await send(url, '192.0.2.3'), 503, all)
    expect((await send('/docs', '192.0.2.1')).status).toBe(200)
    store.release()
    for (const { answer } of held) expect((await answer).status).toBe(200)
    for (const url of urls) expect((await send(url, '192.0.2.1')).status).toBe(200)
  })
})

describe('uploads', () => {
  const ways: readonly (readonly [what: string, head: string])[] = [
    ['PUT', `PUT ${RUN}new.bin HTTP/1.1`],
    ['PUT of an archive', `PUT ${RUN}sub/?unpack=tar HTTP/1.1`],
    ['a form', `POST ${RUN} HTTP/1.1\r\nContent-Type: ${FORM_TYPE}`],
    ["a form of Polyaxon's client", `POST ${STREAMS}/artifact HTTP/1.1\r\nContent-Type: ${FORM_TYPE}`],
    [
      'tus',
      `POST /uploads HTTP/1.1\r\nTus-Resumable: 1.0.0\r\nUpload-Length: 9\r\nContent-Type: application/offset+octet-stream\r\n` +
        `Upload-Metadata: path ${Buffer.from('ann/mnist/jobs/1/b.txt').toString('base64')}`,
    ],
  ]

  async function begin(head: string, caller: string): Promise<Connection> {
    const client = await Connection.open(service.port)
    const [first = '', ...more] = head.split('\r\n')
    const fields = [...more, 'Host: localhost', `X-Forwarded-For: ${caller}`, 'Content-Length: 9']
    client.send([first, ...fields, 'Expect: 100-continue', '', ''].join('\r\n'))
    return client
  }

  it.each(ways)('by %s are bounded for each caller and for all', async (_, head) => {
    await serve({ limits: { uploads: 2, uploadsPerCaller: 1 } })
    store.release()
    // The answer to be asked for the body, which then stands still.
    const first = await begin(head, '192.0.2.1')
    expect((await first.head()).status).toBe(100)
    for (const [, other] of ways) {
      const refused = await begin(other, '192.0.2.1')
      expect((await refused.head()).status).toBe(429)
      refused.destroy()
    }
    const second = await begin(ways[0]![1], '192.0.2.2')
    expect((await second.head()).status).toBe(100)
    const third = await begin(head, '192.0.2.3')
    expect((await third.head()).status).toBe(503)
    expect(reached).toEqual([...ways.map(() => 'limits.uploadsPerCaller'), 'limits.uploads'])
    first.reset()
    await until(async () => {
      const again = await begin(head, '192.0.2.1')
      const { status } = await again.head()
      again.destroy()
      return status === 100
    })
    for (const client of [second, third]) client.destroy()
  })
})

it('a caller that was recognised is the same at every address, and another one than others there', async () => {
  const authority: Authority = {
    recognise: ({ headers }) =>
      Promise.resolve({
        name: String(headers['x-name']),
        seesAll: true,
        judge: () => Promise.resolve('allowed'),
      }),
  }
  await serve({ limits: { listingsPerCaller: 1 } }, authority)
  const list = (name: string, address: string): Promise<Answer> =>
    send(RUN, address, { headers: { 'x-name': name } })
  const first = list('ann', '192.0.2.1')
  await until(() => store.held === 1)
  expect((await list('ann', '192.0.2.2')).status).toBe(429)
  const other = list('bob', '192.0.2.1')
  await until(() => store.held === 2)
  store.release()
  expect([(await first).status, (await other).status]).toEqual([200, 200])
})

describe('connections', () => {
  async function listen(connections: number): Promise<Listening> {
    store = new HeldStore()
    store.write(parsePath('ann/mnist/jobs/1/a.txt'), Buffer.from('content'))
    reached = []
    const config = configFor('', { limits: { connections } })
    const logger = pino({ level: 'silent' })
    const stores = { outputs: new Map([['outputs', store]]) }
    const onLimit = (limit: string): unknown => reached.push(limit)
    const app = await createApp({ config, logger, description, stores, onLimit })
    return Listening.listen(app, config.server, logger)
  }

  it('beyond a number are told so, idle ones make room, and far more are not accepted', async () => {
    const server = await listen(4)
    const port = Number(new URL(server.origin).port)
    const clients: Connection[] = []
    for (let i = 0; i < 3; i++) clients.push(await Connection.get(port, `${RUN}a.txt`))
    await until(() => store.held === 3)
    const idle = await Connection.get(port, '/healthz')
    expect((await idle.head()).status).toBe(200)

    const told = await Connection.get(port, `${RUN}a.txt`)
    const { status, headers } = await told.head()
    expect([status, headers.get('connection'), headers.get('retry-after')]).toEqual([503, 'close', '5'])
    expect((await told.rest()).ending).toBe('end')
    expect(reached).toEqual(['limits.connections'])
    await idle.drain()

    const fits = await Connection.get(port, '/healthz')
    expect((await fits.head()).headers.get('connection')).toBe('keep-alive')
    const probe = await Connection.get(port, '/healthz')
    const probed = await probe.head()
    expect([probed.status, probed.headers.get('connection')]).toEqual([200, 'close'])
    await probe.drain()

    for (let i = 0; i < 300; i++) clients.push(await Connection.open(port))
    await until(() => reached.length > 1)
    store.release()
    for (const client of clients.slice(0, 3)) expect((await client.head()).status).toBe(200)
    for (const client of [...clients, fits]) client.destroy()
    await until(async () => {
      const client = await Connection.get(port, `${RUN}a.txt`)
      const answer = await client.head().catch(() => undefined)
      client.destroy()
      return answer?.status === 200
    })
    service = { ...service, close: () => server.drain(0) }
  })
})
