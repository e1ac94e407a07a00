// One line for each request: what was asked, by whom, how it ended, and nothing that opens a door.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { get } from 'node:http'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { AppError } from '../../src/errors.ts'
import { MemoryStore } from '../../src/store/memory.ts'
import { parsePath as at } from '../../src/store/path.ts'
import { ask, type Ask } from '../support/client.ts'
import { keptLog, type KeptLog, type Line } from '../support/lines.ts'
import { until } from '../support/process.ts'
import { startService, type Service } from '../support/service.ts'

const root = mkdtempSync(join(tmpdir(), 'access-log-'))
const run = join(root, 'ann/mnist/experiments/1')
const RUN = '/outputs/ann/mnist/experiments/1'
const RUN_ROUTE = '/outputs/{owner}/{project}/{kind}/{id}/'
beforeAll(() => {
  mkdirSync(join(run, 'sub'), { recursive: true })
  writeFileSync(join(run, 'a.txt'), 'hello')
  writeFileSync(join(run, 'large.bin'), Buffer.alloc(64 * 1024 * 1024, 7))
  writeFileSync(join(run, 'sub/b.txt'), 'b')
})
afterAll(() => rmSync(root, { recursive: true }))

let log: KeptLog
let service: Service
beforeEach(async () => {
  log = keptLog()
  service = await startService(root, {}, undefined, { logger: log.logger })
})
afterEach(() => service.close())

async function lineOf(path: string, options: Ask = {}): Promise<Line> {
  const before = log.requests().length
  const answer = await ask(service.url + path, options)
  await until(() => log.requests().length > before)
  expect(log.requests()).toHaveLength(before + 1)
  const line = log.requests().at(-1)!
  expect(line['requestId']).toBe(answer.headers['x-request-id'])
  return line
}

describe('the line of a request', () => {
  it('says what was asked, how it ended, and how much went over the connection in what time', async () => {
    const line = await lineOf(`${RUN}/a.txt?connection=outputs`, { headers: { 'x-request-id': 'abc-1' } })
    expect(line).toMatchObject({
      requestId: 'abc-1',
      caller: 'anonymous',
      address: '127.0.0.1',
      connection: 'outputs',
      route: `${RUN_ROUTE}{path}`,
      answer: 'file',
      method: 'GET',
      url: `${RUN}/a.txt?connection=outputs`,
      status: 200,
      outcome: 'done',
      msg: 'request',
    })
    expect(line['sentBytes']).toBeGreaterThan('hello'.length + 100)
    expect(line['receivedBytes']).toBeGreaterThan(50)
    const { firstByteMs, storeMs, durationMs } = line as Record<string, number>
    expect(storeMs).toBeGreaterThan(0)
    expect(storeMs).toBeLessThanOrEqual(firstByteMs! + 0.1)
    expect(firstByteMs).toBeLessThanOrEqual(durationMs!)
  })

  const cases: [answer: string | undefined, status: number, route: string, path: string, options?: Ask][] = [
    ['listing', 200, RUN_ROUTE, `${RUN}/`],
    ['listing', 200, `${RUN_ROUTE}{path}/`, `${RUN}/sub/`],
    ['listing', 200, '/outputs/{owner}/', '/outputs/ann/'],
    ['archive', 200, RUN_ROUTE, `${RUN}/?archive=zip&glob=*.txt`],
    ['redirect', 301, `${RUN_ROUTE}{path}`, `${RUN}/sub`],
    ['file', 404, `${RUN_ROUTE}{path}`, `${RUN}/none`],
    ['upload', 201, `${RUN_ROUTE}{path}`, `${RUN}/new-1.txt`, { method: 'PUT', body: 'x' }],
    ['removal', 204, `${RUN_ROUTE}{path}`, `${RUN}/new-1.txt`, { method: 'DELETE' }],
    [
      'listing',
      200,
      '/api/v1/{owner}/{project}/{kind}/{id}/outputs/tree',
      '/api/v1/ann/mnist/experiments/1/outputs/tree',
    ],
    ['resumable', 204, '/uploads', '/uploads', { method: 'OPTIONS' }],
    ['document', 200, '/openapi.yaml', '/openapi.yaml'],
    [undefined, 404, 'other', '/nowhere'],
  ]
  it.each(cases)('%s, %i, %s', async (answer, status, route, path, options) => {
    const line = await lineOf(path, options)
    expect(line).toMatchObject({ status, outcome: status < 400 ? 'done' : 'refused' })
    expect(line['answer']).toBe(answer)
    expect(line['route'] ?? 'other').toBe(route)
  })

  it('counts the bytes of an upload and of every request of a connection once', async () => {
    const line = await lineOf(`${RUN}/up.bin`, { method: 'PUT', body: Buffer.alloc(300_000) })
    expect(line['receivedBytes']).toBeGreaterThan(300_000)
    expect(line['receivedBytes']).toBeLessThan(301_000)
    const socket = connect(service.port, '127.0.0.1')
    let received = 0
    socket.on('data', (chunk: Buffer) => (received += chunk.length))
    const request = `GET ${RUN}/a.txt HTTP/1.1\r\nHost: x\r\n\r\n`
    socket.write(request.repeat(5))
    await until(() => log.requests().length === 6)
    socket.destroy()
    const five = log.requests().slice(1) as Record<string, number>[]
    expect(five.reduce((sum, each) => sum + each['sentBytes']!, 0)).toBe(received)
    expect(five.reduce((sum, each) => sum + each['receivedBytes']!, 0)).toBe(5 * request.length)
    for (const each of five) expect(each['sentBytes']).toBeCloseTo(received / 5, -2)
  })

  it('says who left: the client', async () => {
    await new Promise<void>(resolve => {
      get(`${service.url}${RUN}/large.bin`, response => {
        response.once('data', () => {
          response.destroy()
          resolve()
        })
        response.on('error', () => undefined)
      })
    })
    await until(() => log.requests().length === 1)
    expect(log.requests()[0]).toMatchObject({ status: 200, outcome: 'aborted', level: 30 })
    expect(log.lines()).toHaveLength(1)
  })

  it('is written for what is no request too', async () => {
    const socket = connect(service.port, '127.0.0.1')
    socket.end('GET / HTTP/1.1\r\nHost: x\r\nAuthorization Bearer OURS\r\n\r\n')
    await until(() => log.requests().length === 1)
    expect(log.requests()[0]).toMatchObject({ route: 'unparsed', status: 400, outcome: 'refused' })
    expect(log.text()).not.toContain('OURS')
  })

  it('is written at debug for what is asked all the time', async () => {
    await ask(`${service.url}/healthz`)
    await ask(`${service.url}/readyz`)
    await ask(`${service.url}/metrics`)
    await lineOf(`${RUN}/a.txt`)
    expect(log.lines()).toHaveLength(1)
  })

  it('belongs to the trace that the request is of', async () => {
    const traceId = '4bf92f3577b34da6a3ce929d0e0e4736'
    const line = await lineOf(`${RUN}/a.txt`, {
      headers: { traceparent: `00-${traceId}-00f067aa0ba902b7-01` },
    })
    expect(line['traceId']).toBe(traceId)
    expect(line['spanId']).toMatch(/^[0-9a-f]{16}$/)
    expect(line['spanId']).not.toBe('00f067aa0ba902b7')
  })
})

describe('of what failed', () => {
  async function failing(kind: 'Unavailable' | 'Internal', when: 'open' | 'read'): Promise<Line[]> {
    const memory = new MemoryStore()
    memory.write(at('ann/mnist/experiments/1/a.txt'), Buffer.alloc(1_000_000))
    const failure = new AppError(kind, 'It is gone.', { op: when, cause: new Error('the reason') })
    const store = new Proxy(memory, {
      get(target, name) {
        const value: unknown = Reflect.get(target, name)
        if (name === 'scoped') return () => store
        if (name === 'open')
          return async (path: string) => {
            if (when === 'open') throw failure
            const artifact = await target.open(at(`ann/mnist/experiments/1/${path}`))
            return {
              ...artifact,
              entry: artifact.entry,
              async *read() {
                yield Buffer.alloc(600_000)
                throw failure
              },
              close: () => artifact.close(),
            }
          }
        return typeof value === 'function' ? (value.bind(target) as unknown) : value
      },
    })
    const failed = await startService('', {}, store, { logger: log.logger })
    await ask(`${failed.url}${RUN}/a.txt`).catch(() => undefined)
    await until(() => log.requests().length === 1)
    await failed.close()
    return log.lines()
  }

  it.each([
    ['Unavailable', 'open', 503, 'store', 40],
    ['Internal', 'open', 500, 'broken', 50],
    ['Unavailable', 'read', 200, 'store', 40],
    ['Internal', 'read', 200, 'broken', 50],
  ] as const)('%s at %s: one line, with the reason', async (kind, when, status, outcome, level) => {
    const lines = await failing(kind, when)
    expect(lines).toHaveLength(1)
    expect(lines[0]).toMatchObject({
      status,
      outcome,
      level,
      kind,
      op: when,
      msg: 'It is gone.',
      err: { message: 'the reason' },
    })
  })
})

it('names the caller whom the gate has recognised', async () => {
  const named = await startService(root, {}, undefined, {
    logger: log.logger,
    authority: {
      recognise: () =>
        Promise.resolve({ name: 'scraper', seesAll: false, judge: () => Promise.resolve('hidden') }),
    },
  })
  log.logger.level = 'debug'
  expect((await ask(`${named.url}/metrics`)).status).toBe(403)
  await until(() => log.requests().length === 1)
  expect(log.requests()[0]).toMatchObject({ caller: 'scraper', status: 403, kind: 'PermissionDenied' })
  await named.close()
})

describe('nothing secret is in the log', () => {
  const SECRET = 'S3CR3T-0urs-7777'
  const JWT = 'eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJzM2NyM3QifQ.c2lnbmF0dXJlLW91cnM'
  const base64 = (text: string) => Buffer.from(text).toString('base64')

  it('wherever a client puts it, at every level', async () => {
    log.logger.level = 'trace'
    const paths = [
      `${RUN}/a.txt?signature=${SECRET}`,
      `${RUN}/a.txt?connection=outputs&signature=${SECRET}&expires=1`,
      `${RUN}/a.txt?${SECRET}`,
      `${RUN}/a.txt?access_token=${SECRET}`,
      `${RUN}/a.txt?%73ignature=${SECRET}`,
      `${RUN}/none/signature=${SECRET}/x`,
      `${RUN}/none/token=${SECRET}`,
      `${RUN}/none/Bearer%20${SECRET}`,
      `${RUN}/${JWT}`,
      `${RUN}/?glob=${JWT}`,
      `${RUN}/?glob=token=${SECRET}`,
      `/uploads/a1b2c3d4-0123456789abcdef0123456789abcdef?x=${SECRET}`,
      `/streams/v1/ns/ann/mnist/runs/1/artifact?path=none&token=${SECRET}`,
      `/api/v1/ann/mnist/experiments/1/outputs/files?path=none&password=${SECRET}`,
      `http://user:${SECRET}@host/outputs/?sig=${SECRET}`,
      `/nowhere?key=${SECRET}`,
    ]
    const headers = {
      authorization: `Bearer ${SECRET}`,
      cookie: `token=${SECRET}`,
      'proxy-authorization': `Basic ${base64(`u:${SECRET}`)}`,
      'x-polyaxon-service': SECRET,
      'x-api-key': SECRET,
      'x-forwarded-for': SECRET,
      'tus-resumable': '1.0.0',
      'upload-length': '3',
      'upload-metadata': `path ${base64(`ann/mnist/experiments/1/token=${SECRET}`)},token ${base64(SECRET)}`,
      referer: `http://x/?signature=${SECRET}`,
    }
    let asked = 0
    for (const path of paths)
      for (const method of ['GET', 'PUT', 'DELETE', 'POST']) {
        await ask(service.url + path.replace(/^http/, '/http'), { method, headers }).catch(() => undefined)
        asked++
      }
    await new Promise<void>(resolve => {
      const socket = connect(service.port, '127.0.0.1')
      socket.on('close', () => resolve()).resume()
      socket.end(
        `GET http://user:${SECRET}@host${RUN}/none?sig=${SECRET} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`,
      )
    })
    await ask(`${service.url}/uploads`, { method: 'POST', headers })
    await until(() => log.requests().length === asked + 2)
    for (const secret of [SECRET, JWT, base64(SECRET), '0123456789abcdef0123456789abcdef'])
      expect(log.text()).not.toContain(secret)
    expect(log.text()).toContain('connection=outputs&***')
    expect(log.text()).toContain('/uploads/a1b2c3d4-01234567***')
  })

  it('and nothing in it drives a terminal or hides text', async () => {
    log.logger.level = 'debug'
    await ask(`${service.url}${RUN}/${encodeURIComponent('a\x1b[31m\u202e\u2028\nb')}`)
    const socket = connect(service.port, '127.0.0.1')
    socket.end(`GET ${RUN}/\x9b31m\u202e HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`)
    await until(() => log.requests().length === 2)
    for (const line of log.text().trimEnd().split('\n'))
      expect(line).not.toMatch(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u)
  })
})
