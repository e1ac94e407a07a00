// What a bad network does to the downloads of each kind of store: they are whole or visibly broken, they end in time, and the store beside it does not suffer.
import { setTimeout as delay } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { ask, json } from '../support/client.ts'
import type { Toxic } from '../support/toxiproxy.ts'
import {
  BAD,
  BODY_MS,
  FAULTY_SERVERS,
  GOOD,
  MiB,
  REQUEST_MS,
  startFaulty,
  type Faulty,
} from './objects-service.ts'

/** Larger than all buffers between the store and a client that does not read. */
const LARGE = 24 * MiB

/** A network that is away, in one of the ways in which networks are. */
const OUTAGES: readonly {
  readonly what: string
  readonly toxic: Toxic
  readonly statuses: readonly number[]
}[] = [
  {
    what: 'resets every connection',
    toxic: { type: 'reset_peer', attributes: { timeout: 0 } },
    statuses: [502, 503],
  },
  { what: 'swallows every answer', toxic: { type: 'timeout', attributes: { timeout: 0 } }, statuses: [504] },
  {
    what: 'cuts every answer off in its head',
    toxic: { type: 'limit_data', attributes: { bytes: 20 } },
    statuses: [502, 503],
  },
]

const TARGETS = ['large.bin', '?format=json', '?archive=zip', '?archive=tar.gz', 'nothing.txt']

describe.each(FAULTY_SERVERS.map(server => [server.title, server] as const))('%s', (_title, server) => {
  describe.skipIf(!server.available)('behind a bad network', () => {
    let faulty: Faulty
    let large: Buffer

    beforeAll(async () => {
      faulty = await startFaulty(server)
      large = await faulty.write('large.bin', LARGE)
    }, 60_000)
    afterAll(() => faulty.close())

    /** What /readyz says. */
    async function readiness(): Promise<{ status: number; bad: unknown; good: unknown }> {
      const answer = await ask(`${faulty.service.url}/readyz`)
      const { stores } = json(answer) as { stores: { name: string; status: string }[] }
      const of = (name: string): unknown => stores.find(store => store.name === name)?.status
      return { status: answer.status, bad: of(BAD), good: of(GOOD) }
    }

    it.each(OUTAGES)(
      'that $what: says so in time, names the store and no endpoint, and is well again afterwards',
      async ({ toxic, statuses }) => {
        const heal = await faulty.suffer(toxic)
        const begunAt = performance.now()
        await Promise.all(
          TARGETS.map(async target => {
            const answer = await ask(faulty.url + target)
            expect(statuses, `${target}: ${answer.text}`).toContain(answer.status)
            expect(answer.headers['content-type']).toBe('application/problem+json')
            expect(Number(answer.headers['retry-after'])).toBeGreaterThan(0)
            expect(json(answer)).toMatchObject({ temporary: true })
            expect(answer.text).toContain(`'${BAD}'`)
            expect(answer.text).not.toContain(new URL(faulty.network.endpoint).port)
          }),
        )
        expect(performance.now() - begunAt).toBeLessThan(REQUEST_MS)
        await faulty.expectOtherStoreServed()
        await expect
          .poll(readiness, { timeout: REQUEST_MS })
          .toEqual({ status: 200, bad: 'unavailable', good: 'ok' })
        await heal()
        const answer = await ask(`${faulty.url}large.bin`)
        expect(answer.body.equals(large)).toBe(true)
        expect((await ask(`${faulty.url}nothing.txt`)).status).toBe(404)
        await expect.poll(readiness, { timeout: REQUEST_MS }).toMatchObject({ bad: 'ok' })
      },
      REQUEST_MS * 4,
    )

    async function expectWhole(downloading: ReturnType<typeof ask>): Promise<void> {
      const { status, complete, body } = await downloading
      expect([status, complete]).toEqual([200, true])
      expect(body.equals(large)).toBe(true)
    }

    it(
      'that cuts each connection after 5 MB: goes on where it was cut, and every byte is right',
      async () => {
        await faulty.suffer({ type: 'limit_data', attributes: { bytes: 5_000_000 } })
        await expectWhole(ask(`${faulty.url}large.bin`))
      },
      BODY_MS,
    )

    it(
      'that resets connections in the middle of a body: goes on there, and every byte is right',
      async () => {
        await faulty.suffer({ type: 'bandwidth', attributes: { rate: 20_000 } })
        const downloading = ask(`${faulty.url}large.bin`)
        await delay(400)
        const heal = await faulty.suffer({ type: 'reset_peer', attributes: { timeout: 0 } })
        await delay(100)
        await heal()
        await expectWhole(downloading)
      },
      BODY_MS,
    )

    it(
      'that goes silent in the middle of a body: breaks the download in time, and no other',
      async () => {
        await faulty.suffer({ type: 'bandwidth', attributes: { rate: 20_000 } })
        const client = await faulty.connect('large.bin')
        expect((await client.head()).status).toBe(200)
        // Toxiproxy adds a toxic to a connection only while bytes go through it, so the client goes on reading.
        const draining = client.drain()
        await delay(300)
        await faulty.suffer({ type: 'timeout', attributes: { timeout: 0 } })
        const silentAt = performance.now()
        await faulty.expectOtherStoreServed()
        const { bytes, ending } = await draining
        expect(ending).toBe('reset')
        expect(bytes).toBeLessThan(LARGE)
        expect(performance.now() - silentAt).toBeLessThan(BODY_MS)
      },
      BODY_MS * 2,
    )
  })
})
