// Clients that take nothing of what they asked for are sent away, and what was held for them is freed; those that are only slow are served for as long as they go on.
import { readdirSync, readlinkSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { MemoryStore } from '../../src/store/memory.ts'
import { parsePath } from '../../src/store/path.ts'
import { ask } from '../support/client.ts'
import { hasProc, MiB, startProcess, until, type ServiceProcess } from '../support/process.ts'
import { startService, type Service } from '../support/service.ts'
import { Connection } from './connection.ts'
import { OutputsFolder, RUN_URL } from './outputs-folder.ts'

const IDLE_MS = 1_000
/** The limit, a quarter of it more, and what a busy machine takes. */
const WITHIN_MS = 4_000

const folder = new OutputsFolder()
beforeAll(() => {
  folder.writeSparse('large.bin', 256 * MiB)
  for (let i = 0; i < 10_000; i++) folder.write(`many/${'n'.repeat(200)}-${i}`, '')
})
afterAll(() => folder.remove())

describe('a client that takes nothing', () => {
  let service: Service
  let reached: string[]
  beforeAll(async () => {
    reached = []
    const onLimit = (limit: string): unknown => reached.push(limit)
    service = await startService(folder.root, { limits: { idleTimeoutMs: IDLE_MS } }, undefined, { onLimit })
  })
  afterAll(() => service.close())

  const opened = (): number =>
    readdirSync('/proc/self/fd').filter(fd => linkOf(fd).startsWith(folder.root)).length
  const linkOf = (fd: string): string => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`)
    } catch {
      return ''
    }
  }

  it('is sent away by a reset, whatever it takes, and nothing stays open', async () => {
    const clients = await Promise.all(
      [
        ['large.bin', '1.1'],
        ['large.bin', '1.0'],
        ['large.bin', '1.1\r\nRange: bytes=0-99999999,100000001-200000000'],
        ['?archive=zip', '1.1'],
        ['?archive=tar', '1.1'],
        ['many/?format=ndjson', '1.1'],
      ].map(async ([target, version]) => {
        const client = await Connection.open(service.port)
        client.send(`GET ${RUN_URL}${target} HTTP/${version}\r\nHost: localhost\r\n\r\n`)
        return client
      }),
    )
    const heads = await Promise.all(clients.map(client => client.head()))
    expect(heads.map(({ status }) => status)).toEqual([200, 200, 206, 200, 200, 200])
    await until(() => reached.length >= clients.length, { withinMs: WITHIN_MS })
    expect(new Set(reached)).toEqual(new Set(['limits.idleTimeout']))
    for (const client of clients) expect((await client.drain()).ending).toBe('reset')
    if (hasProc) await until(() => opened() === 0)
  })

  it('of many documents that it asks for at once is sent away too', async () => {
    const before = reached.length
    const client = await Connection.open(service.port)
    client.send('GET /openapi.yaml HTTP/1.1\r\nHost: localhost\r\n\r\n'.repeat(300))
    await until(() => reached.length > before, { withinMs: WITHIN_MS })
    client.destroy()
  })

  it('because there is nothing yet is waited for', async () => {
    const client = await Connection.open(service.port)
    client.send(`PUT ${RUN_URL}new.bin HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\na`)
    await delay(2 * IDLE_MS)
    client.send('b')
    expect((await client.head()).status).toBe(201)
    client.destroy()
  })
})

it('a store that takes its time is no client that does', async () => {
  class SlowStore extends MemoryStore {
    override async open(...given: Parameters<MemoryStore['open']>): ReturnType<MemoryStore['open']> {
      await delay(2 * IDLE_MS)
      return super.open(...given)
    }
  }
  const store = new SlowStore()
  store.write(parsePath('ann/mnist/jobs/1/a.txt'), Buffer.from('content'))
  const service = await startService('', { limits: { idleTimeoutMs: IDLE_MS } }, store)
  expect((await ask(`${service.url}/outputs/ann/mnist/jobs/1/a.txt`)).text).toBe('content')
  await service.close()
})

describe.skipIf(!hasProc)('a client that is slow but goes on (needs Linux)', () => {
  const IDLE = 2_000
  const PIECE = 48 * 1024
  const PAUSE_MS = 100
  let service: ServiceProcess
  beforeAll(async () => {
    service = await startProcess(folder.root, { env: { LIMITS_IDLE_TIMEOUT: `${IDLE}ms` } })
  })
  afterAll(() => service.destroy())
  const clients: Connection[] = []
  afterEach(() => clients.splice(0).forEach(client => client.reset()))

  // Enough for the reader's system to tell ours in time, which it does for a 16th of its buffer; too little for ours to take more from the process, which it does when megabytes are free.
  it('is never sent away', async () => {
    for (const target of ['large.bin', '?archive=tar', '?archive=zip'])
      clients.push(await Connection.get(service.port, RUN_URL + target))
    await Promise.all(
      clients.map(async client => {
        expect((await client.head()).status).toBe(200)
        for (let waitedMs = 0; waitedMs < 3 * IDLE; waitedMs += PAUSE_MS) {
          expect(await client.skip(PIECE)).toBeGreaterThan(0)
          await delay(PAUSE_MS)
        }
      }),
    )
  })

  it('is sent away when it stops', async () => {
    const client = await Connection.get(service.port, `${RUN_URL}large.bin`)
    expect((await client.head()).status).toBe(200)
    await client.skip(PIECE)
    await until(() => service.descriptors().every(to => !to.startsWith(folder.root)), {
      withinMs: IDLE + WITHIN_MS,
    })
    expect((await client.drain()).ending).toBe('reset')
  })
})
