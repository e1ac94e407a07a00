// The memory of a resumable upload does not depend on its size, neither while it comes nor when it becomes the file.
import { createReadStream, statSync } from 'node:fs'
import { Upload } from 'tus-js-client'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { OutputsFolder, hasSparseFiles } from '../faults/outputs-folder.ts'
import { GiB, hasProc, MiB, startProcess } from '../support/process.ts'
import type { ServiceProcess } from '../support/process.ts'

const MAX_GROWTH = 100 * MiB

const folder = new OutputsFolder()
const source = new OutputsFolder()
let service: ServiceProcess

beforeAll(async () => {
  source.writeSparse('warm.bin', 128 * MiB)
  source.writeSparse('large.bin', GiB + 12_345)
  service = await startProcess(folder.root)
})
afterAll(async () => {
  await service.destroy()
  folder.remove()
  source.remove()
})

function upload(name: string): Promise<void> {
  return new Promise((resolve, reject) => {
    new Upload(createReadStream(source.at(name)), {
      endpoint: `${service.url}/uploads`,
      metadata: { path: `ann/mnist/experiments/1/${name}` },
      retryDelays: [],
      onSuccess: () => resolve(),
      onError: reject,
    }).start()
  })
}

describe.skipIf(!hasProc)('measuring memory in /proc (Linux only)', () => {
  describe.skipIf(!hasSparseFiles())('with sparse files (not on every file system)', () => {
    it('grows by less than 100 MiB while more than 1 GiB is uploaded and put in its place', async () => {
      await upload('warm.bin')
      const idle = service.memory().resident
      service.resetPeak()
      await upload('large.bin')
      const growth = service.memory().peak - idle
      console.log(`${Math.round(growth / MiB)} MiB over ${Math.round(idle / MiB)} MiB`)
      expect(statSync(folder.at('large.bin')).size).toBe(GiB + 12_345)
      expect(growth).toBeLessThan(MAX_GROWTH)
    })
  })
})
