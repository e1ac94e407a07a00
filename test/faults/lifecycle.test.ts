// The end of a process: asked for, in the middle of transfers, and by surprise.
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { ask } from '../support/client.ts'
import { hasProc, MiB, startProcess, until } from '../support/process.ts'
import type { ServiceProcess } from '../support/process.ts'
import { Connection } from './connection.ts'
import { OutputsFolder, RUN_URL } from './outputs-folder.ts'

const SIZE = 32 * MiB

const folder = new OutputsFolder()
const started: ServiceProcess[] = []

beforeAll(() => {
  folder.writeRandom('large.bin', SIZE)
  folder.write('file.txt', 'content')
})
afterEach(async () => {
  await Promise.all(started.splice(0).map(service => service.destroy()))
})
afterAll(() => folder.remove())

async function start(env: Record<string, string> = {}): Promise<ServiceProcess> {
  const service = await startProcess(folder.root, { env })
  started.push(service)
  return service
}

/** A download that stands still because its reader does not read. */
async function held(service: ServiceProcess): Promise<Connection> {
  const client = await Connection.get(service.port, `${RUN_URL}large.bin`)
  expect((await client.head()).status).toBe(200)
  return client
}

it.each(['SIGTERM', 'SIGINT'] as const)(
  'finishes a running download after %s and exits with 0',
  async signal => {
    const service = await start()
    const client = await held(service)
    service.kill(signal)
    await until(
      async () =>
        await Connection.open(service.port).then(
          () => false,
          () => true,
        ),
    )
    expect(await client.drain()).toEqual({ bytes: SIZE, ending: 'end' })
    expect(await service.ended).toEqual({ code: 0, signal: null })
  },
)

it('cuts what still runs at the drain deadline, visibly, and exits with 0', async () => {
  const service = await start({ DRAIN_TIMEOUT: '500ms' })
  const client = await held(service)
  const startedAt = performance.now()
  service.kill('SIGTERM')
  expect(await service.ended).toEqual({ code: 0, signal: null })
  expect(performance.now() - startedAt).toBeGreaterThanOrEqual(450)
  expect((await client.drain()).bytes).toBeLessThan(SIZE)
})

it('leaves a second service over the same folder alone', async () => {
  const [first, second] = [await start(), await start()]
  const [cut, kept] = [await held(first), await held(second)]
  first.kill('SIGKILL')
  await first.ended
  expect((await cut.drain()).bytes).toBeLessThan(SIZE)
  expect(await ask(`${second.url}${RUN_URL}file.txt`)).toMatchObject({ status: 200, text: 'content' })
  expect(await kept.skip(SIZE)).toBe(SIZE)
  kept.destroy()
})

describe.skipIf(!hasProc)('finding workers in /proc (Linux only)', () => {
  it('stays up when a worker is killed, and replaces it', async () => {
    const service = await start({ WORKERS: '2' })
    const [victim, survivor] = service.children()
    expect(survivor).toBeDefined()
    process.kill(victim!, 'SIGKILL')
    await until(() => !service.children().includes(victim!))
    for (let i = 0; i < 50; i++)
      expect(await ask(`${service.url}${RUN_URL}file.txt`)).toMatchObject({ status: 200, text: 'content' })
    await until(() => service.children().length === 2)
    expect(service.children()).toContain(survivor)
  })

  it('ends soon after SIGTERM while a worker is only starting', async () => {
    const service = await start({ WORKERS: '2' })
    const [victim] = service.children()
    process.kill(victim!, 'SIGKILL')
    await until(() => !service.children().includes(victim!) && service.children().length === 2)
    const startedAt = performance.now()
    service.kill('SIGTERM')
    expect(await service.ended).toEqual({ code: 0, signal: null })
    expect(performance.now() - startedAt).toBeLessThan(5_000)
  })

  it('finishes downloads of every worker after SIGTERM', async () => {
    const service = await start({ WORKERS: '2' })
    const clients = await Promise.all([held(service), held(service), held(service), held(service)])
    service.kill('SIGTERM')
    await until(
      async () =>
        await Connection.open(service.port).then(
          () => false,
          () => true,
        ),
    )
    for (const client of clients) expect(await client.drain()).toEqual({ bytes: SIZE, ending: 'end' })
    expect(await service.ended).toEqual({ code: 0, signal: null })
  })

  it('leaves no worker behind when the supervisor is killed', async () => {
    const service = await start({ WORKERS: '2' })
    const workers = service.children()
    service.kill('SIGKILL')
    await service.ended
    await until(() => workers.every(pid => !isAlive(pid)))
  })
})

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}
