// A service over a store made for one test file, and a folder for what its clients download.
import { randomBytes } from 'node:crypto'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { makeSample } from '../../src/sample/make.ts'
import { startService } from '../support/service.ts'
import type { Service } from '../support/service.ts'

export interface ServedOutputs {
  readonly service: Service
  /** Where the store lies on disk. */
  readonly root: string
  /** A new, empty folder for one test. */
  readonly makeFolder: () => Promise<string>
  readonly close: () => Promise<void>
}

/** The sample store. */
export function serveSample(): Promise<ServedOutputs> {
  return serve(async root => {
    await makeSample(root)
  })
}

/** One run, the job 1 of `tests/files`, that holds `files`: contents by path. */
export function serveJob(files: ReadonlyMap<string, string>): Promise<ServedOutputs> {
  return serve(async root => {
    for (const [path, content] of files) {
      const target = join(root, JOB, path)
      await mkdir(dirname(target), { recursive: true })
      await writeFile(target, content)
    }
  })
}

/** Where `serveJob` puts its run, on the store and below /outputs/ alike. */
export const JOB = 'tests/files/jobs/1'

async function serve(fill: (root: string) => Promise<void>): Promise<ServedOutputs> {
  const folder = await mkdtemp(join(tmpdir(), 'polyaxon-outputs-clients-'))
  const root = join(folder, 'store')
  try {
    await fill(root)
    const keysFile = join(folder, 'keys.yaml')
    await writeFile(keysFile, `keys: [{id: k1, secret: '${randomBytes(32).toString('base64')}'}]`)
    const service = await startService(root, { auth: { links: { keysFile, maxAgeMs: 7 * 86_400_000 } } })
    return {
      service,
      root,
      makeFolder: () => mkdtemp(join(folder, 'client-')),
      close: async () => {
        await service.close()
        await rm(folder, { recursive: true, force: true })
      },
    }
  } catch (error) {
    await rm(folder, { recursive: true, force: true })
    throw error
  }
}
