// Clients that leave in the middle of what comes from an object store: its connections are free again at once.
import { setTimeout as delay } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { ask } from '../support/client.ts'
import { Connection } from './connection.ts'
import { MiB, MINIO, RUN, startFaulty, type Faulty } from './objects-service.ts'

const LARGE = 32 * MiB
const ABORTS = 150
const AT_ONCE = 25
const MAX_CONNECTIONS = 16
/** The others are kept for requests without a body. */
const MAX_BODIES = 14

const TARGETS = [
  'large.bin',
  'set/?archive=zip',
  'set/?archive=tar',
  'set/?archive=tar.gz',
  'small/?archive=zip',
  'small/?archive=tar.zst',
]

describe.skipIf(!MINIO.available)(`aborted downloads from ${MINIO.title}`, () => {
  let faulty: Faulty

  beforeAll(async () => {
    faulty = await startFaulty(MINIO, {
      change: definition => ({ ...definition, maxConnections: MAX_CONNECTIONS }),
      counted: true,
    })
    await faulty.write('large.bin', LARGE)
    await faulty.write('set/a.bin', LARGE)
    for (let i = 0; i < 200; i++) await faulty.write(`small/${i}.bin`, 100_000)
  }, 60_000)
  afterAll(() => faulty.close())

  async function abort(turn: number): Promise<void> {
    const client = await faulty.connect(TARGETS[turn % TARGETS.length]!)
    const { status } = await client.head()
    expect(status).toBe(200)
    await client.skip(1 + (turn % 5) * 100_000)
    if (turn % 2 === 0) client.reset()
    else client.destroy()
  }

  it(`leave the pool free after ${ABORTS} of them, and nothing is sent any more`, async () => {
    const turns = Array.from({ length: ABORTS }, (_, turn) => turn).values()
    await Promise.all(
      Array.from({ length: AT_ONCE }, async () => {
        for (const turn of turns) await abort(turn)
      }),
    )
    const { traffic } = faulty
    // Those that are being closed are seen a moment longer than they count in the pool.
    expect(traffic!.maxOpen).toBeLessThan(2 * MAX_CONNECTIONS)
    await expect.poll(() => traffic!.open).toBeLessThanOrEqual(MAX_CONNECTIONS)
    // What was on its way arrives, and then it is quiet.
    await delay(300)
    const { received } = traffic!
    await delay(500)
    expect(traffic!.received).toBe(received)
    await expectAllConnectionsFree()
  }, 60_000)

  it('leave it free too when they leave before the answer begins', async () => {
    await Promise.all(
      Array.from({ length: 100 }, async (_, turn) => {
        const client = await faulty.connect(TARGETS[turn % TARGETS.length]!)
        await delay(turn % 20)
        client.reset()
      }),
    )
    await expectAllConnectionsFree()
  }, 60_000)

  /** As many downloads as there are connections for bodies begin at once, and each has bytes while none of the others has ended. */
  async function expectAllConnectionsFree(): Promise<void> {
    const clients = await Promise.all(
      Array.from({ length: MAX_BODIES }, () =>
        Connection.get(faulty.service.port, `/outputs/${RUN}/large.bin`),
      ),
    )
    const begunAt = performance.now()
    for (const client of clients) {
      expect((await client.head()).status).toBe(200)
      expect(await client.skip(100_000)).toBeGreaterThanOrEqual(100_000)
    }
    expect(performance.now() - begunAt).toBeLessThan(3_000)
    for (const client of clients) client.reset()
    expect((await ask(`${faulty.url}small/1.bin`)).body.length).toBe(100_000)
  }
})
