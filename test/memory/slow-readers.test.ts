// Many readers that are slower than the service: what is held for each must be small, however much each has asked for.
import { afterEach, beforeAll, afterAll, describe, expect, it } from 'vitest'
import { Connection } from '../faults/connection.ts'
import { OutputsFolder, RUN_URL, hasSparseFiles } from '../faults/outputs-folder.ts'
import { ask } from '../support/client.ts'
import { GiB, hasProc, loggedFailures, MiB, startProcess } from '../support/process.ts'
import type { ServiceProcess } from '../support/process.ts'

const MAX_GROWTH = 150 * MiB
const PIECE = 64 * 1024
const PAUSE_MS = 75
/** Long enough that the sockets' buffers are full and every transfer waits for its reader. */
const READING_MS = 4_000
/** What others may have to wait meanwhile. */
const OTHERS_MS = 3_000

const folder = new OutputsFolder()
let service: ServiceProcess | undefined

beforeAll(() => {
  folder.writeSparse('large.bin', 2 * GiB)
  folder.writeSparse('big-members/a.bin', 2 * GiB)
  for (let i = 0; i < 1000; i++) folder.writeRandom(`small-members/${i}.bin`, 100_000)
  folder.write('small.txt', 'small')
})
afterEach(async () => {
  await service?.destroy()
})
afterAll(() => folder.remove())

/** Reads a piece, waits, reads the next, for as long as it takes; fails when the body ends before. */
async function readSlowly(client: Connection): Promise<void> {
  const end = performance.now() + READING_MS
  while (performance.now() < end) {
    expect(await client.skip(PIECE)).toBeGreaterThan(0)
    await new Promise(resolve => setTimeout(resolve, PAUSE_MS * (0.5 + Math.random())))
  }
}

describe.skipIf(!hasProc)('measuring memory in /proc (Linux only)', () => {
  describe.skipIf(!hasSparseFiles())('with sparse files (not on every file system)', () => {
    it.each([
      [200, 'a file of 2 GiB', 'large.bin'],
      [100, 'a zip of a large member', 'big-members/?archive=zip'],
      [50, 'a zip of a thousand small members', 'small-members/?archive=zip'],
      [50, 'a tar of a thousand small members', 'small-members/?archive=tar'],
      [40, 'a tar.gz of a thousand small members', 'small-members/?archive=tar.gz'],
    ])(
      'grows by less than 150 MiB with %d slow readers of %s, and serves others',
      async (count, _what, target) => {
        service = await startProcess(folder.root, {
          env: { ARCHIVES_MAX_IN_PROGRESS: '200', LIMITS_ARCHIVES_PER_CALLER: '200' },
        })
        const { url, port } = service
        await ask(`${url}${RUN_URL}small.txt`)
        const idle = service.memory().resident
        service.resetPeak()

        const clients = await Promise.all(
          Array.from({ length: count }, () => Connection.get(port, RUN_URL + target)),
        )
        for (const client of clients) expect((await client.head()).status).toBe(200)
        const reading = Promise.all(clients.map(readSlowly))
        await new Promise(resolve => setTimeout(resolve, READING_MS / 2))
        const askedAt = performance.now()
        expect((await ask(`${url}${RUN_URL}small.txt`)).text).toBe('small')
        expect(performance.now() - askedAt).toBeLessThan(OTHERS_MS)
        await reading

        const growth = service.memory().peak - idle
        console.log(
          `${count} x ${target}: ${Math.round(growth / MiB)} MiB over ${Math.round(idle / MiB)} MiB`,
        )
        expect(growth).toBeLessThan(MAX_GROWTH)
        expect(loggedFailures(service)).toEqual([])
        for (const client of clients) client.reset()
      },
    )
  })
})
