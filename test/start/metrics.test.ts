// /metrics of the whole service: on its own port or on that of the service, whoever of its processes is asked.
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { SAMPLE_EXPERIMENT } from '../../src/sample/contents.ts'
import { makeSample } from '../../src/sample/make.ts'
import { freePort } from '../support/listening.ts'
import { hasProc, until } from '../support/process.ts'
import { sampleIn } from '../support/samples.ts'
import { endAll, isAlive, launch, printedUrl, temporaryFolder, workersOf } from './launch.ts'

const work = temporaryFolder()
beforeAll(async () => {
  await makeSample(join(work.path, 'outputs'))
})
afterEach(endAll)
afterAll(() => work.remove())

const FILE = `/outputs/${SAMPLE_EXPERIMENT}/metrics.csv`
const READ = { route: '/outputs/{owner}/{project}/{kind}/{id}/{path}', method: 'GET', outcome: 'done' }

/** Each on a connection of its own, so that every worker gets some. */
async function ask(url: string): Promise<string> {
  return (await fetch(url, { headers: { connection: 'close' } })).text()
}

async function readTimes(url: string, times: number): Promise<void> {
  for (let i = 0; i < times; i++) await ask(url + FILE)
}

async function reads(url: string): Promise<number | undefined> {
  return sampleIn(await ask(`${url}/metrics`), 'polyaxon_outputs_requests_total', READ)
}

describe.each(['1', '2'])('with WORKERS=%s', workers => {
  it('the port of the service tells of all workers', async () => {
    const service = launch({ cwd: work.path, env: { WORKERS: workers } })
    const url = await printedUrl(service)
    const before = (await reads(url)) ?? 0
    await readTimes(url, 8)
    for (let i = 0; i < 4; i++) await until(async () => (await reads(url)) === before + 8)
    const text = await ask(`${url}/metrics`)
    for (const name of ['process_resident_memory_bytes', 'nodejs_eventloop_lag_p99_seconds'])
      expect(sampleIn(text, name)).toBeGreaterThan(0)
    expect(sampleIn(text, 'polyaxon_outputs_build_info')).toBe(1)
  })

  it('a port of its own tells the same, and only there', async () => {
    const port = await freePort()
    const service = launch({ cwd: work.path, env: { WORKERS: workers, METRICS_PORT: String(port) } })
    const url = await printedUrl(service)
    const own = `http://127.0.0.1:${port}`
    const before = (await reads(own)) ?? 0
    await readTimes(url, 8)
    await until(async () => (await reads(own)) === before + 8)
    expect((await fetch(`${url}/metrics`)).status).toBe(404)
    expect((await fetch(own)).status).toBe(404)
    expect((await fetch(`${own}/healthz`)).status).toBe(404)
    expect((await fetch(`${own}/metrics`, { method: 'POST' })).status).toBe(405)
    service.kill('SIGTERM')
    expect(await service.ended).toEqual({ code: 0, signal: null })
  })
})

it.skipIf(!hasProc)('what a worker has counted counts when it is gone (needs Linux /proc)', async () => {
  const port = await freePort()
  const service = launch({ cwd: work.path, env: { WORKERS: '2', METRICS_PORT: String(port) } })
  const url = await printedUrl(service)
  const own = `http://127.0.0.1:${port}`
  await readTimes(url, 8)
  await until(async () => (await reads(own))! >= 8)
  const before = await reads(own)
  const [victim] = workersOf(service) as [number]
  process.kill(victim, 'SIGKILL')
  await until(() => !isAlive(victim))
  expect(await reads(own)).toBe(before)
})

it('a port of its own that is in use is said, with what sets it', async () => {
  const first = launch({ cwd: work.path })
  const { port } = new URL(await printedUrl(first))
  const second = launch({ cwd: work.path, env: { METRICS_PORT: port } })
  expect(await second.ended).toEqual({ code: 1, signal: null })
  expect(second.stderr()).toMatch(/cannot start: port \d+ of 127\.0\.0\.1 is in use: .* set METRICS_PORT\./)
})
