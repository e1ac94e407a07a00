// The memory of downloads from an object store does not depend on how much is downloaded, nor on how many members an archive has.
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { describeClient, findProgram } from '../client/programs.ts'
import { run } from '../client/run.ts'
import { OutputsFolder, RUN_URL } from '../faults/outputs-folder.ts'
import { ask } from '../support/client.ts'
import { hasProc, loggedFailures, MiB, startProcess } from '../support/process.ts'
import type { ServiceProcess } from '../support/process.ts'
import { makeBucket, s3Server, type Bucket } from '../support/store-s3.ts'

/** What all stores of a process may read ahead, and as much again that the garbage collector has not given back; for all the downloads one after the other. */
const MAX_GROWTH = 2 * 128 * MiB + 64 * MiB
const LARGE = 512 * MiB
const MEMBERS = 1500
const RUN = 'ann/mnist/experiments/1'

const server = s3Server('minio')

describe.skipIf(!hasProc || server === undefined)('S3 on MinIO (needs TEST_MINIO and Linux)', () => {
  const folder = new OutputsFolder()
  let bucket: Bucket
  let service: ServiceProcess
  let idle: number

  beforeAll(async () => {
    bucket = await makeBucket(server!)
    await bucket.put(`${RUN}/large.bin`, Buffer.alloc(LARGE))
    await bucket.put(`${RUN}/set/model.bin`, Buffer.alloc(LARGE))
    const small = Array.from({ length: MEMBERS }, (_, i) => i).values()
    await Promise.all(
      Array.from({ length: 32 }, async () => {
        for (const i of small) await bucket.put(`${RUN}/set/small/${i}.bin`, Buffer.alloc(20_000, i))
      }),
    )
    service = await startProcess(folder.root, {
      env: {
        POLYAXON_PERSISTENCE_OUTPUTS: JSON.stringify({
          models: { store: 's3', bucket: `s3://${bucket.name}`, endpoint: server!.endpoint },
        }),
        AWS_ACCESS_KEY_ID: server!.accessKeyId,
        AWS_SECRET_ACCESS_KEY: server!.secretAccessKey,
        AWS_REGION: 'us-east-1',
      },
    })
    await ask(`${service.url}${RUN_URL}set/small/1.bin`)
    idle = service.memory().resident
  }, 120_000)
  afterAll(async () => {
    await service.destroy()
    await bucket.close()
    folder.remove()
  }, 60_000)

  describeClient('curl', findProgram('curl'), curl => {
    it.each([
      ['a file of 512 MiB', 'large.bin', LARGE],
      ['a zip of 1,500 small members and a large one', 'set/?archive=zip', LARGE],
      ['a tar of the same', 'set/?archive=tar', LARGE],
    ])(
      'grows by less than 320 MiB over all downloads while %s is downloaded',
      async (_what, target, size) => {
        const options = [
          '-q',
          '-sS',
          '--noproxy',
          '*',
          '-o',
          '/dev/null',
          '-w',
          '%{http_code} %{size_download}',
        ]
        const { code, stdout } = await run(curl, [...options, service.url + RUN_URL + target])
        const growth = service.memory().peak - idle
        console.log(`${target}: ${Math.round(growth / MiB)} MiB over ${Math.round(idle / MiB)} MiB`)
        const [status, bytes] = stdout.toString().split(' ').map(Number)
        expect([code, status]).toEqual([0, 200])
        expect(bytes).toBeGreaterThanOrEqual(size)
        expect(growth).toBeLessThan(MAX_GROWTH)
        expect(loggedFailures(service)).toEqual([])
      },
      120_000,
    )
  })
})
