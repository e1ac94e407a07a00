// A store that is slow, or goes away in the middle of downloads and comes back: what clients see, and that nothing has to be restarted.
import { setTimeout as delay } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { ask } from '../support/client.ts'
import { BODY_MS, MiB, MINIO, startFaulty, type Faulty } from './objects-service.ts'

/** Larger than all buffers between the store and a client that does not read. */
const LARGE = 24 * MiB
const MEMBERS = 40

describe.skipIf(!MINIO.available)(MINIO.title, () => {
  let faulty: Faulty

  beforeAll(async () => {
    faulty = await startFaulty(MINIO)
    await faulty.write('large.bin', LARGE)
    await faulty.write('set/a.bin', LARGE)
    for (let i = 0; i < MEMBERS; i++) await faulty.write(`set/small/${i}.bin`, 30_000)
  }, 60_000)
  afterAll(() => faulty.close())

  it(
    'that is slow and far away gives archives whole, and ranges of them',
    async () => {
      await faulty.suffer({ type: 'latency', attributes: { latency: 100, jitter: 30 } })
      await faulty.suffer({ type: 'bandwidth', attributes: { rate: 20_000 } })
      const url = `${faulty.url}set/?archive=tar`
      const whole = await ask(url)
      expect([whole.status, whole.complete]).toEqual([200, true])
      expect(whole.body.length).toBe(Number(whole.headers['content-length']))
      const range = await ask(url, {
        headers: { Range: 'bytes=20000000-26000000', 'If-Range': whole.headers.etag! },
      })
      expect(range.status).toBe(206)
      expect(range.body.equals(whole.body.subarray(20_000_000, 26_000_001))).toBe(true)
    },
    BODY_MS,
  )

  it.each(['large.bin', 'set/?archive=zip', 'set/?archive=tar.gz', 'set/?archive=zip&compress=true'])(
    'that goes away breaks the download of %s, and gives it whole when it is back',
    async target => {
      const client = await faulty.connect(target)
      expect((await client.head()).status).toBe(200)
      await client.skip(MiB)
      await faulty.goAway()
      const begunAt = performance.now()
      const { ending } = await client.drain()
      expect(ending).toBe('reset')
      expect(performance.now() - begunAt).toBeLessThan(BODY_MS)
      await faulty.expectOtherStoreServed()
      expect((await ask(faulty.url + target)).status).toBe(503)
      await faulty.network.comeBack()
      const again = await ask(faulty.url + target)
      expect([again.status, again.complete]).toEqual([200, true])
    },
    BODY_MS * 2,
  )

  it(
    'that is away for a second is waited for, and the download goes on',
    async () => {
      const client = await faulty.connect('large.bin')
      const head = await client.head()
      const skipped = await client.skip(MiB)
      await faulty.goAway()
      const rest = client.skip(LARGE - skipped)
      await delay(1000)
      await faulty.network.comeBack()
      expect(skipped + (await rest)).toBe(Number(head.headers.get('content-length')))
      client.destroy()
    },
    BODY_MS,
  )
})
