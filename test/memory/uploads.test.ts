// The memory of uploads to an object store does not depend on how much is uploaded, nor on whether its length is known.
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { describeClient, findProgram } from '../client/programs.ts'
import { run } from '../client/run.ts'
import { OutputsFolder, RUN_URL } from '../faults/outputs-folder.ts'
import { ask } from '../support/client.ts'
import { hasProc, loggedFailures, MiB, startProcess } from '../support/process.ts'
import type { ServiceProcess } from '../support/process.ts'
import { makeBucket, s3Server, type Bucket } from '../support/store-s3.ts'

/** Five parts of an upload, what four uploads at once may hold beyond, and as much again that the garbage collector has not given back. */
const MAX_GROWTH = 100 * MiB
const LARGE = 300 * MiB

const server = s3Server('minio')

describe.skipIf(!hasProc || server === undefined)('S3 on MinIO (needs TEST_MINIO and Linux)', () => {
  const folder = new OutputsFolder()
  let bucket: Bucket
  let service: ServiceProcess

  beforeAll(async () => {
    bucket = await makeBucket(server!)
    folder.writeSparse('large.bin', LARGE)
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
    await ask(`${service.url}${RUN_URL}warm.bin`, { method: 'PUT', body: Buffer.alloc(20 * MiB) })
  }, 120_000)
  afterAll(async () => {
    await service.destroy()
    await bucket.close()
    folder.remove()
  }, 60_000)

  describeClient('curl', findProgram('curl'), curl => {
    const upload = (target: string, ...args: string[]): ReturnType<typeof run> =>
      run(curl, [
        ...['-q', '-sS', '--noproxy', '*', '-o', '/dev/null', '-w', '%{http_code}', ...args],
        ...['-T', `${folder.run}/large.bin`, `${service.url}${RUN_URL}${target}`],
      ])

    it.each<[string, readonly string[]]>([
      ['of a length that is known', []],
      ['of a length that is not known', ['-H', 'Transfer-Encoding: chunked']],
    ])(
      'grows by less than 100 MiB while 300 MiB %s are uploaded',
      async (_what, args) => {
        const idle = service.memory().resident
        service.resetPeak()
        const { stdout } = await upload('large.bin', ...args)
        const growth = service.memory().peak - idle
        console.log(`${_what}: ${Math.round(growth / MiB)} MiB over ${Math.round(idle / MiB)} MiB`)
        expect(stdout.toString()).toMatch(/^20[14]$/)
        expect(growth).toBeLessThan(MAX_GROWTH)
        const head = await ask(`${service.url}${RUN_URL}large.bin`, { method: 'HEAD' })
        expect(head.headers['content-length']).toBe(String(LARGE))
        expect(loggedFailures(service)).toEqual([])
      },
      120_000,
    )

    it('grows by less than 200 MiB while four are uploaded at once', async () => {
      const idle = service.memory().resident
      service.resetPeak()
      const done = await Promise.all([1, 2, 3, 4].map(i => upload(`large-${i}.bin`)))
      const growth = service.memory().peak - idle
      console.log(`four at once: ${Math.round(growth / MiB)} MiB over ${Math.round(idle / MiB)} MiB`)
      expect(done.map(({ stdout }) => stdout.toString())).toEqual(['201', '201', '201', '201'])
      expect(growth).toBeLessThan(2 * MAX_GROWTH)
    }, 120_000)
  })
})
