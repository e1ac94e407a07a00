// Hung file operations: the thread pool has room beside them, and the process ends although they never do.
//
// An open of a named pipe for reading waits for a writer, as one on a dead network mount waits for its server.
import { execFileSync, spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest'
import { SAMPLE_EXPERIMENT } from '../../src/sample/contents.ts'
import { makeSample } from '../../src/sample/make.ts'
import { hasProc, until } from '../support/process.ts'
import { endAll, isAlive, launch, printedUrl, temporaryFolder, workersOf, type Launched } from './launch.ts'

const HUNG = 20
const work = temporaryFolder()
const pipe = join(work.path, 'pipe')
const noPipes = process.env['REQUIRE_TOOLS'] !== '1' && spawnSync('mkfifo', ['--version']).error !== undefined

beforeAll(async () => {
  await makeSample(join(work.path, 'outputs'))
  if (!noPipes) execFileSync('mkfifo', [pipe])
})
afterEach(endAll)
afterAll(() => work.remove())

/** Loaded before src/main.ts: opens the pipe many times as soon as SIGUSR2 asks for it. */
const preload = `
  process.on('SIGUSR2', async () => {
    const { open } = await import('node:fs/promises')
    for (let i = 0; i < ${HUNG}; i++) void open(${JSON.stringify(pipe)}, 'r')
    process.stderr.write('opens hang\\n')
  })`

/** `processesOf` names the processes in which the opens hang. */
async function startHung(
  env: Record<string, string> = {},
  processesOf = (service: Launched) => [service.pid],
): Promise<{ service: Launched; url: string }> {
  const service = launch({
    cwd: work.path,
    env,
    nodeArgv: ['--import', `data:text/javascript,${encodeURIComponent(preload)}`],
  })
  const url = await printedUrl(service)
  const processes = processesOf(service)
  for (const pid of processes) process.kill(pid, 'SIGUSR2')
  await until(() => service.stderr().split('opens hang').length > processes.length)
  return { service, url }
}

const listing = (url: string) =>
  fetch(`${url}/outputs/${SAMPLE_EXPERIMENT}/?format=text`, { signal: AbortSignal.timeout(3000) })

it.skipIf(noPipes)('twenty hung opens do not keep others waiting (needs mkfifo)', async () => {
  const { url } = await startHung()
  const answer = await listing(url)
  expect([answer.status, await answer.text()]).toEqual([200, expect.stringContaining('metrics.csv')])
})

it.skipIf(noPipes)(
  'twenty hung opens would keep others waiting in a pool of twenty (needs mkfifo)',
  async () => {
    const { url } = await startHung({
      UV_THREADPOOL_SIZE: '20',
      STORE_MAX_OPERATIONS: '4',
      STORE_DEADLINE: '1s',
    })
    const answer = await listing(url).catch(() => undefined)
    expect(answer?.status).not.toBe(200)
  },
)

it.skipIf(noPipes)('SIGTERM ends it within seconds although opens hang (needs mkfifo)', async () => {
  const { service } = await startHung()
  const started = performance.now()
  service.kill('SIGTERM')
  const ending = await service.ended
  expect(performance.now() - started).toBeLessThan(10_000)
  // No exit code is possible: an exit would wait for the threads.
  expect(ending).toEqual({ code: null, signal: 'SIGKILL' })
})

it.skipIf(noPipes || !hasProc)(
  'SIGTERM ends it with 0 although opens hang in its workers (needs mkfifo and Linux /proc)',
  async () => {
    const { service } = await startHung({ WORKERS: '2' }, workersOf)
    const started = performance.now()
    service.kill('SIGTERM')
    expect(await service.ended).toEqual({ code: 0, signal: null })
    expect(performance.now() - started).toBeLessThan(10_000)
  },
)

it.skipIf(noPipes || !hasProc)(
  'no worker in which opens hang outlives the process that started it (needs mkfifo and Linux /proc)',
  async () => {
    const { service } = await startHung({ WORKERS: '2' }, workersOf)
    const workers = workersOf(service)
    service.kill('SIGKILL')
    await until(() => !workers.some(isAlive))
  },
)
