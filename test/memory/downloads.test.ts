// The memory of a download does not depend on how much is downloaded: content passes through, whatever its size.
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { OutputsFolder, RUN_URL, hasSparseFiles } from '../faults/outputs-folder.ts'
import { describeClient, findProgram } from '../client/programs.ts'
import { run } from '../client/run.ts'
import { GiB, hasProc, MiB, startProcess } from '../support/process.ts'
import type { ServiceProcess } from '../support/process.ts'

const MAX_GROWTH = 64 * MiB

const folder = new OutputsFolder()
let service: ServiceProcess

beforeAll(async () => {
  folder.writeSparse('large.bin', 8 * GiB)
  folder.writeSparse('set/model.bin', 4 * GiB + 123_456)
  folder.writeRandom('set/metrics.csv', 50_000)
  for (let i = 0; i < 500; i++) folder.writeRandom(`set/plots/${i}.png`, 30_000)
  folder.writeSparse('warm/model.bin', 64 * MiB)
  folder.writeRandom('warm/small.bin', 50_000)
  service = await startProcess(folder.root)
})
afterAll(async () => {
  await service.destroy()
  folder.remove()
})

describe.skipIf(!hasProc)('measuring memory in /proc (Linux only)', () => {
  describe.skipIf(!hasSparseFiles())('with sparse files (not on every file system)', () => {
    describeClient('curl', findProgram('curl'), curl => {
      async function download(target: string): Promise<{ code: number | null; bytes: number }> {
        const options = ['-q', '-sS', '--noproxy', '*', '-o', '/dev/null', '-w', '%{size_download}']
        const { code, stdout } = await run(curl, [...options, service.url + RUN_URL + target])
        return { code, bytes: Number(stdout.toString()) }
      }

      it.each([
        ['a file of 8 GiB', 'large.bin', 'warm/model.bin', 8 * GiB],
        ['a zip of more than 4 GiB', 'set/?archive=zip', 'warm/?archive=zip', 4 * GiB],
        ['a tar of more than 4 GiB', 'set/?archive=tar', 'warm/?archive=tar', 4 * GiB],
      ])('grows by less than 64 MiB while %s is downloaded', async (_what, target, warmUp, size) => {
        await download(warmUp)
        const idle = service.memory().resident
        service.resetPeak()
        const { code, bytes } = await download(target)
        const growth = service.memory().peak - idle
        console.log(`${target}: ${Math.round(growth / MiB)} MiB over ${Math.round(idle / MiB)} MiB`)
        expect(code).toBe(0)
        expect(bytes).toBeGreaterThanOrEqual(size)
        expect(growth).toBeLessThan(MAX_GROWTH)
      })
    })
  })
})
