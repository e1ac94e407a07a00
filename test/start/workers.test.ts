// Several processes: one address, one banner, and a successor for every worker that dies.
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest'
import { makeSample } from '../../src/sample/make.ts'
import { hasProc, until } from '../support/process.ts'
import { endAll, isAlive, launch, printedUrl, temporaryFolder, workersOf } from './launch.ts'

const work = temporaryFolder()
beforeAll(async () => {
  await makeSample(join(work.path, 'outputs'))
})
afterEach(endAll)
afterAll(() => work.remove())

it.skipIf(!hasProc)(
  'WORKERS=3 starts three processes behind one printed address (needs Linux /proc)',
  async () => {
    const service = launch({ cwd: work.path, env: { WORKERS: '3' } })
    const url = await printedUrl(service)
    expect(workersOf(service)).toHaveLength(3)
    expect(service.stdout().match(/^at http/gm)).toHaveLength(1)
    expect(service.stderr().match(/"listening"/g)).toHaveLength(1)
    expect((await fetch(`${url}/readyz`)).status).toBe(200)
  },
)

it.skipIf(!hasProc)(
  'a worker that dies is replaced while the others answer (needs Linux /proc)',
  async () => {
    const service = launch({ cwd: work.path, env: { WORKERS: '2' } })
    const url = await printedUrl(service)
    const [victim, survivor] = workersOf(service) as [number, number]
    process.kill(victim, 'SIGKILL')
    await until(() => !isAlive(victim))
    expect((await fetch(`${url}/healthz`)).status).toBe(200)
    await until(() => workersOf(service).filter(isAlive).length === 2)
    expect(workersOf(service)).toContain(survivor)
    expect(service.stderr()).toContain('"worker died"')
  },
)

it.skipIf(!hasProc)('no worker outlives the process that started it (needs Linux /proc)', async () => {
  const service = launch({ cwd: work.path, env: { WORKERS: '2' } })
  await printedUrl(service)
  const workers = workersOf(service)
  service.kill('SIGKILL')
  await until(() => !workers.some(isAlive))
})

it.skipIf(!hasProc)(
  'a signal to the whole group, as a terminal sends it, ends with 0 (needs Linux /proc)',
  async () => {
    const service = launch({ cwd: work.path, env: { WORKERS: '2' } })
    await printedUrl(service)
    for (const pid of [...workersOf(service), service.pid]) process.kill(pid, 'SIGINT')
    expect(await service.ended).toEqual({ code: 0, signal: null })
    expect(service.stderr()).not.toContain('"worker died"')
  },
)
