// What Prometheus is told: by which routes and stores, how often, how long and how much, in few series.
import { get, type IncomingMessage } from 'node:http'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { AppError } from '../../src/errors.ts'
import { Metrics } from '../../src/metrics/metrics.ts'
import { guarded } from '../../src/store/guarded.ts'
import { MemoryStore } from '../../src/store/memory.ts'
import { parsePath as at } from '../../src/store/path.ts'
import { ask as checkedAsk } from '../support/checked.ts'
import { ask } from '../support/client.ts'
import { until } from '../support/process.ts'
import { sampleIn } from '../support/samples.ts'
import { startService, type Service } from '../support/service.ts'

const RUN = '/outputs/ann/mnist/experiments/1'
const FILE_ROUTE = '/outputs/{owner}/{project}/{kind}/{id}/{path}'
const RUN_ROUTE = '/outputs/{owner}/{project}/{kind}/{id}/'

let memory: MemoryStore
let metrics: Metrics
let service: Service
beforeEach(async () => {
  memory = new MemoryStore()
  memory.write(at('ann/mnist/experiments/1/a.txt'), Buffer.from('hello'))
  memory.write(at('ann/mnist/experiments/1/b.bin'), Buffer.alloc(32 * 1024 * 1024))
  metrics = new Metrics({ version: '1.2.3' })
  const store = guarded(memory, { maxOperations: 8, deadlineMs: 10_000 }, 'outputs')
  service = await startService('', { archives: { maxInProgress: 1 } }, store, { metrics })
})
afterEach(() => service.close())

/** The value of a series of `polyaxon_outputs_…`; undefined where there is none. */
async function value(name: string, labels: Record<string, string> = {}): Promise<number | undefined> {
  const { text } = await ask(`${service.url}/metrics`)
  return sampleIn(text, `polyaxon_outputs_${name}`, labels)
}

it('is described, in the format of Prometheus, and read-only', async () => {
  const answer = await checkedAsk(`${service.url}/metrics`)
  expect(answer.headers['content-type']).toBe('text/plain; version=0.0.4; charset=utf-8')
  expect(answer.headers['cache-control']).toBe('no-store')
  expect(answer.text).toMatch(
    /^# HELP polyaxon_outputs_requests_total .*\n# TYPE polyaxon_outputs_requests_total counter$/m,
  )
  expect((await checkedAsk(`${service.url}/metrics`, { method: 'HEAD' })).body).toHaveLength(0)
  expect((await checkedAsk(`${service.url}/metrics`, { method: 'POST' })).status).toBe(405)
  expect((await checkedAsk(`${service.url}/metrics?x=1`)).status).toBe(400)
  expect(await value('build_info', { version: '1.2.3' })).toBe(1)
})

it('counts requests by route, method, status and outcome, and their times and bytes', async () => {
  await ask(`${service.url}${RUN}/a.txt`)
  await ask(`${service.url}${RUN}/a.txt`)
  await ask(`${service.url}${RUN}/none`)
  await ask(`${service.url}${RUN}/c.txt`, { method: 'PUT', body: Buffer.alloc(1000) })
  const read = { route: FILE_ROUTE, method: 'GET' }
  expect(await value('requests_total', { ...read, status: '2xx', outcome: 'done' })).toBe(2)
  expect(await value('requests_total', { ...read, status: '4xx', outcome: 'refused' })).toBe(1)
  const file = { route: FILE_ROUTE, answer: 'file' }
  expect(await value('request_duration_seconds_count', file)).toBe(3)
  expect(await value('request_duration_seconds_bucket', { ...file, le: '+Inf' })).toBe(3)
  expect(await value('time_to_first_byte_seconds_count', file)).toBe(3)
  expect(await value('request_duration_seconds_sum', file)).toBeGreaterThan(
    (await value('time_to_first_byte_seconds_sum', file))!,
  )
  expect(await value('received_bytes_total', { answer: 'upload' })).toBeGreaterThan(1000)
  expect(await value('sent_bytes_total', { answer: 'file' })).toBeGreaterThan(600)
})

it('measures archives and listings, and what is under way', async () => {
  await ask(`${service.url}${RUN}/`)
  expect(await value('listing_entries_sum')).toBe(2)
  const response = await new Promise<IncomingMessage>(resolve => {
    get(`${service.url}${RUN}/?archive=tar`, resolve)
  })
  expect(await value('archives_in_progress')).toBe(1)
  // The request for the metrics too.
  expect(await value('requests_in_progress')).toBe(2)
  const refused = await ask(`${service.url}${RUN}/?archive=zip`)
  expect(refused.status).toBe(503)
  expect(await value('limits_hit_total', { limit: 'archives.maxInProgress' })).toBe(1)
  response.on('error', () => undefined).destroy()
  await until(async () => (await value('archives_in_progress')) === 0)
  const aborted = { route: RUN_ROUTE, method: 'GET', status: '2xx', outcome: 'aborted' }
  expect(await value('requests_total', aborted)).toBe(1)
  expect(await value('archive_entries_sum')).toBe(2)
  expect(await value('archive_bytes_sum')).toBe(5 + 32 * 1024 * 1024)
})

it('measures the operations of stores, and what came of them', async () => {
  await ask(`${service.url}${RUN}/a.txt`)
  await ask(`${service.url}${RUN}/none`)
  const operation = (name: string) => ({ connection: 'outputs', operation: name })
  expect(await value('store_operation_duration_seconds_count', operation('open'))).toBe(2)
  expect(await value('store_operation_duration_seconds_count', operation('read'))).toBe(1)
  expect(await value('store_operation_errors_total', { ...operation('open'), kind: 'NotFound' })).toBe(1)
  for (const name of ['in_progress', 'waiting', 'hung'])
    expect(await value(`store_operations_${name}`, { connection: 'outputs' })).toBe(0)
  metrics.storeObserver('lake').retry('throttled')
  expect(await value('store_retries_total', { connection: 'lake', reason: 'throttled' })).toBe(1)
})

it('has few series, whatever clients send', async () => {
  const seriesNow = async () => (await ask(`${service.url}/metrics`)).text.split('\n').length
  const round = async (i: number): Promise<void> => {
    await ask(`${service.url}/outputs/o${i}/p${i}/experiments/${i}/f${i}?download`)
    await ask(`${service.url}/outputs/o${i}/p${i}/kind${i}/`)
    await ask(`${service.url}/nowhere${i}`)
    await ask(`${service.url}/streams/v1/n${i}/o${i}/p${i}/runs/${i}/x${i}`)
    await ask(`${service.url}/api/v1/o${i}/p${i}/experiments/${i}/x${i}`)
    await ask(`${service.url}/uploads/u${i}`)
    await ask(`${service.url}${RUN}/a.txt?connection=c${i}`)
    await ask(`${service.url}${RUN}/a.txt`, { method: ['PROPFIND', 'MKCOL', 'SEARCH'][i % 3]! })
  }
  await seriesNow()
  await round(0)
  await round(1)
  await round(2)
  const before = await seriesNow()
  for (let i = 3; i < 20; i++) await round(i)
  expect(await seriesNow()).toBe(before)
})

it('is shown to whom it may be shown, and shows what the process has it show', async () => {
  const own = await startService('', {}, memory, {
    metricsText: () => Promise.resolve('all workers 2\n'),
    authority: {
      recognise: ({ headers: { authorization } }) =>
        authorization === undefined
          ? Promise.reject(new AppError('Unauthenticated', 'Say who you are.'))
          : Promise.resolve({
              name: authorization,
              seesAll: false,
              seesMetrics: authorization === 'Bearer scraper',
              judge: () => Promise.resolve('allowed'),
            }),
    },
  })
  expect((await ask(`${own.url}/metrics`)).status).toBe(401)
  const other = { headers: { authorization: 'Bearer somebody' } }
  expect((await ask(`${own.url}/metrics`, other)).status).toBe(403)
  const answer = await ask(`${own.url}/metrics`, { headers: { authorization: 'Bearer scraper' } })
  expect([answer.status, answer.text]).toEqual([200, 'all workers 2\n'])
  await own.close()
})

it('is not here where it has a port of its own', async () => {
  const own = await startService('', { metrics: { port: 9 } }, memory)
  expect((await checkedAsk(`${own.url}/metrics`)).status).toBe(404)
  await own.close()
})

it('says with each answer how long it took, and how much of that the stores did', async () => {
  for (const path of [`${RUN}/a.txt`, `${RUN}/`, `${RUN}/none`, '/healthz']) {
    const header = (await ask(service.url + path)).headers['server-timing']
    const [, storeMs, totalMs] = /^store;dur=([\d.]+), total;dur=([\d.]+)$/.exec(String(header)) ?? []
    expect(Number(storeMs)).toBeLessThanOrEqual(Number(totalMs))
  }
})
