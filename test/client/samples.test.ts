// The commands that the API reference shows work as they stand, on the sample that a first start makes.
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { endpointsOf, parseDescription } from '../../src/http/description.ts'
import { description } from '../support/service.ts'
import { describeClient, findProgram } from './programs.ts'
import { run } from './run.ts'
import { serveSample } from './served-outputs.ts'
import type { ServedOutputs } from './served-outputs.ts'

const samples = endpointsOf(parseDescription(description)).flatMap(({ operation }) =>
  (operation['x-codeSamples'] ?? []).map(({ source }) => [operation.operationId, source] as const),
)

describe('the samples', () => {
  it('are there for more than half a dozen operations', () => {
    expect(samples.length).toBeGreaterThan(6)
  })
})

describeClient('curl', findProgram('curl'), () => {
  let sample: ServedOutputs
  beforeAll(async () => {
    sample = await serveSample()
  })
  afterAll(() => sample.close())

  it.each(samples)('of %s end well', async (_operation, source) => {
    const script = source
      .replaceAll('http://127.0.0.1:8000', sample.service.url)
      .replaceAll(/^( *)curl /gm, '$1curl --fail --silent --show-error ')
    const { code, stderr } = await run('sh', ['-ec', script], { cwd: await sample.makeFolder() })
    expect([code, stderr]).toEqual([0, ''])
  })
})
