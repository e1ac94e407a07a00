// The commands that the API reference shows work as they stand, on the sample that a first start makes, where the files are that they send.
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { endpointsOf, parseDescription } from '../../src/http/description.ts'
import { ask } from '../support/client.ts'
import { description } from '../support/service.ts'
import { describeClient, findProgram } from './programs.ts'
import { run } from './run.ts'
import { serveSample } from './served-outputs.ts'
import type { ServedOutputs } from './served-outputs.ts'

const samples = endpointsOf(parseDescription(description)).flatMap(({ method, operation }) =>
  (operation['x-codeSamples'] ?? []).map(({ source }) => [operation.operationId, method, source] as const),
)

const MODEL = Buffer.alloc(2 * 1024 ** 2, 'model')
const RUN = 'demo/quick-start/experiments/1'
/** What the samples of resumed uploads call theirs. */
const UPLOAD = /[0-9a-f]{8}-[0-9a-f]{32}/

describe('the samples', () => {
  it('are there for more than half a dozen operations', () => {
    expect(samples.length).toBeGreaterThan(6)
  })
})

describeClient('curl', findProgram('curl'), () => {
  let shared: ServedOutputs
  beforeAll(async () => {
    shared = await serveSample()
  })
  afterAll(() => shared.close())

  async function end(sample: ServedOutputs, source: string): Promise<void> {
    const script = source
      .replaceAll('http://127.0.0.1:8000', sample.service.url)
      .replaceAll(/(^ *|\| )curl /gm, '$1curl --fail --silent --show-error ')
    const cwd = await sample.makeFolder()
    mkdirSync(join(cwd, 'results'))
    for (const name of ['model.pt', 'model.bin']) writeFileSync(join(cwd, name), MODEL)
    for (const name of ['notes.txt', 'results/metrics.csv']) writeFileSync(join(cwd, name), name)
    const { code, stderr } = await run('sh', ['-ec', script], { cwd })
    expect([code, stderr]).toEqual([0, ''])
  }

  it.each(samples)('of %s (%s) end well', async (_operation, method, source) => {
    if (method === 'get') {
      await end(shared, source)
      return
    }
    const sample = await serveSample()
    try {
      const { url } = sample.service
      // What is deleted has been uploaded, and what goes on has been begun.
      await ask(`${url}/outputs/${RUN}/checkpoints/model.pt`, { method: 'PUT', body: MODEL })
      await ask(`${url}/outputs/${RUN}/plots/old/loss.png`, { method: 'PUT', body: 'old' })
      await end(sample, source.replace(UPLOAD, await beginUpload(url)))
    } finally {
      await sample.close()
    }
  })
})

/** The id of an upload of which the first MiB has come. */
async function beginUpload(url: string): Promise<string> {
  const { headers } = await ask(`${url}/uploads`, {
    method: 'POST',
    headers: {
      'Tus-Resumable': '1.0.0',
      'Upload-Length': String(MODEL.length),
      'Upload-Metadata': `path ${Buffer.from(`${RUN}/resumed.pt`).toString('base64')}`,
      'Content-Type': 'application/offset+octet-stream',
    },
    body: MODEL.subarray(0, 1024 ** 2),
  })
  return UPLOAD.exec(String(headers.location))![0]
}
