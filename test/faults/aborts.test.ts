// Clients that leave in the middle: nothing of what was opened for them may stay.
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { hasProc, loggedFailures, MiB, startProcess, until } from '../support/process.ts'
import type { ServiceProcess } from '../support/process.ts'
import { Connection } from './connection.ts'
import { OutputsFolder, RUN_URL } from './outputs-folder.ts'

const ABORTS = 1000
const AT_ONCE = 20
const MAX_ARCHIVES = 32

const folder = new OutputsFolder()
let service: ServiceProcess

beforeAll(async () => {
  folder.writeSparse('large.bin', 256 * MiB)
  folder.writeRandom('set/noise.bin', 24 * MiB)
  for (let i = 0; i < 200; i++) folder.writeRandom(`set/small/${i}.bin`, 100_000)
  for (let i = 0; i < 20_000; i++) folder.write(`many/a-file-with-a-name-of-some-length-${i}.txt`, '')
  service = await startProcess(folder.root, { env: { ARCHIVES_MAX_IN_PROGRESS: String(MAX_ARCHIVES) } })
})
afterAll(async () => {
  await service.destroy()
  folder.remove()
})

/** None of them fits into the buffers between the service and a client that leaves after the first bytes. */
const REQUESTS: readonly { target: string; range?: string; status: number }[] = [
  { target: 'large.bin', status: 200 },
  { target: 'large.bin', range: 'bytes=1000000-200000000', status: 206 },
  { target: 'large.bin', range: 'bytes=0-99999999,150000000-199999999', status: 206 },
  { target: 'set/?archive=zip', status: 200 },
  { target: 'set/?archive=zip', range: 'bytes=2000000-', status: 206 },
  { target: 'set/?archive=tar', status: 200 },
  { target: 'set/?archive=tar.gz', status: 200 },
  { target: 'set/?archive=tar.zst', status: 200 },
  { target: 'set/?archive=zip&compress=true', status: 200 },
  { target: 'many/?format=ndjson', status: 200 },
]

function requestText({ target, range }: { target: string; range?: string }): string {
  return `GET ${RUN_URL}${target} HTTP/1.1\r\nHost: localhost\r\n${range === undefined ? '' : `Range: ${range}\r\n`}\r\n`
}

function leave(client: Connection, turn: number): void {
  if (turn % 2 === 0) client.reset()
  else client.destroy()
}

/** Calls `work` with 0 … count - 1, so many at a time. */
async function inParallel(
  count: number,
  atOnce: number,
  work: (turn: number) => Promise<void>,
): Promise<void> {
  let next = 0
  const lane = async (): Promise<void> => {
    while (next < count) await work(next++)
  }
  await Promise.all(Array.from({ length: atOnce }, lane))
}

/** Asks and leaves after some of the body; `turn` decides what is asked for and how much is read. */
async function abortOne(turn: number): Promise<void> {
  const asked = REQUESTS[turn % REQUESTS.length]!
  const client = await Connection.open(service.port)
  client.send(requestText(asked))
  const { status } = await client.head()
  expect(status, `${asked.target} ${asked.range ?? ''}`).toBe(asked.status)
  await client.skip(1 + (turn % 7) * 50_000)
  leave(client, turn)
}

/** Within seconds: a listing that is broken off in the middle of a batch ends with the batch. */
async function expectNothingLeft(baseline: number): Promise<void> {
  const left = (): string[] => service.descriptors()
  await until(() => left().length <= baseline && !left().some(target => target.startsWith(folder.root)), {
    describe: () => `${left().length} descriptors are open, ${baseline} were: ${left().join(' ')}`,
  })
}

/** As many archives as are allowed can be begun, and not one more. */
async function expectAllArchivePlaces(): Promise<void> {
  const archives = await Promise.all(
    Array.from({ length: MAX_ARCHIVES }, () => Connection.get(service.port, `${RUN_URL}set/?archive=tar`)),
  )
  const statuses = await Promise.all(archives.map(async archive => (await archive.head()).status))
  expect(statuses).toEqual(statuses.map(() => 200))
  const refused = await Connection.get(service.port, `${RUN_URL}set/?archive=tar`)
  const { status, headers } = await refused.head()
  expect(status).toBe(503)
  expect(Number(headers.get('retry-after'))).toBeGreaterThan(0)
  for (const connection of [...archives, refused]) connection.reset()
}

describe.skipIf(!hasProc)('counting descriptors in /proc (Linux only)', () => {
  it(`leaves no descriptor and no archive place behind after ${ABORTS} aborted downloads`, async () => {
    await inParallel(REQUESTS.length, 1, abortOne)
    await until(() => !service.descriptors().some(target => target.startsWith(folder.root)))
    const baseline = service.descriptors().length
    await inParallel(ABORTS, AT_ONCE, abortOne)
    await expectNothingLeft(baseline)
    // A client that leaves is no fault of the service, and nobody should be woken up by it.
    expect(loggedFailures(service)).toEqual([])
    await expectAllArchivePlaces()
    await expectNothingLeft(baseline)
  })

  it('leaves nothing behind when the client of pipelined requests leaves during any of them', async () => {
    const baseline = service.descriptors().length
    await inParallel(100, AT_ONCE, async turn => {
      const client = await Connection.open(service.port)
      // A small one first, so that in some turns the one that is broken off is the second.
      const first = turn % 2 === 0 ? [{ target: 'set/small/0.bin' }] : []
      const rest = [0, 3, 6, 9, 5].map(offset => REQUESTS[(turn + offset) % REQUESTS.length]!)
      client.send([...first, ...rest].map(requestText).join(''))
      await client.head()
      await client.skip(150_000)
      leave(client, turn)
    })
    await expectNothingLeft(baseline)
    await expectAllArchivePlaces()
    await expectNothingLeft(baseline)
  })

  it('leaves nothing behind when clients leave before the answer begins', async () => {
    const baseline = service.descriptors().length
    await inParallel(200, AT_ONCE, async turn => {
      const client = await Connection.open(service.port)
      client.send(requestText(REQUESTS[turn % REQUESTS.length]!))
      await new Promise(resolve => setTimeout(resolve, turn % 5))
      leave(client, turn)
    })
    await expectNothingLeft(baseline)
    await expectAllArchivePlaces()
    await expectNothingLeft(baseline)
  })

  it('holds one socket and one file for a reader that has stopped, and nothing when it has left', async () => {
    const baseline = service.descriptors().length
    const stopped = await Promise.all(
      Array.from({ length: 20 }, () => Connection.get(service.port, `${RUN_URL}large.bin`)),
    )
    for (const client of stopped) expect((await client.head()).status).toBe(200)
    const held = service.descriptors().length
    expect(held).toBeLessThanOrEqual(baseline + 2 * stopped.length)
    const { resident } = service.memory()
    await new Promise(resolve => setTimeout(resolve, 1500))
    expect(service.descriptors().length).toBe(held)
    expect(service.memory().resident - resident).toBeLessThan(5 * MiB)
    for (const client of stopped) client.destroy()
    await expectNothingLeft(baseline)
  })
})
