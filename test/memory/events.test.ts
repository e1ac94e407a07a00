// The memory of an answer with events does not depend on how many there are: no file, row list or column is held, and of a row no more than a bounded length.
import { appendFileSync, mkdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { hasSparseFiles } from '../faults/outputs-folder.ts'
import { GiB, hasProc, MiB, startProcess } from '../support/process.ts'
import type { ServiceProcess } from '../support/process.ts'
import { Tree } from '../support/tree.ts'

/** A fifth of the file, of which a column of timestamps is a half. */
const MAX_GROWTH = 48 * MiB
const RUN = 'a1b2c3d4e5f647089a0b1c2d3e4f5a6b'
const FILE_BYTES = 256 * MiB

const tree = new Tree()
let service: ServiceProcess

function writeRows(path: string, size: number): void {
  mkdirSync(dirname(tree.at(path)), { recursive: true })
  writeFileSync(tree.at(path), 'step|timestamp|metric')
  const rows = Buffer.from('\n123456|2018-12-11 10:24:57.123456+00:00|0.12345678901'.repeat(20_000))
  for (let written = 0; written < size; written += rows.length) appendFileSync(tree.at(path), rows)
}

beforeAll(async () => {
  writeRows(`${RUN}/events/metric/warm.plx`, 8 * MiB)
  writeRows(`${RUN}/events/metric/large.plx`, FILE_BYTES)
  tree.write(`${RUN}/events/metric/zeros.plx`, '')
  tree.resize(`${RUN}/events/metric/zeros.plx`, GiB)
  service = await startProcess(tree.root)
}, 60_000)
afterAll(async () => {
  await service.destroy()
  tree.remove()
})

async function read(query: string): Promise<number> {
  const response = await fetch(
    join(service.url, `streams/v1/default/ann/mnist/runs/${RUN}/events/metric?${query}`),
  )
  expect(response.status).toBe(200)
  let bytes = 0
  for await (const chunk of response.body as ReadableStream<Uint8Array>) bytes += chunk.length
  return bytes
}

describe.skipIf(!hasProc)('measuring memory in /proc (Linux only)', () => {
  it.each([
    ['by columns', 'orient=dict', FILE_BYTES],
    ['as text', 'orient=csv', FILE_BYTES],
    ['as a sample', 'sample=1000', 1000],
    ['as zeros, which are one row without an end', 'names=zeros', 50],
  ])(
    'grows by less than 48 MiB while events are read %s',
    async (_how, query, atLeast) => {
      if (query === 'names=zeros' && !hasSparseFiles()) return
      for (let turn = 0; turn < 3; turn++) await read(`names=warm&${query.replace('names=zeros', '')}`)
      const idle = service.memory().resident
      service.resetPeak()
      const bytes = await read(query.startsWith('names') ? query : `names=large&${query}`)
      const growth = service.memory().peak - idle
      console.log(`${query}: ${Math.round(growth / MiB)} MiB over ${Math.round(idle / MiB)} MiB`)
      expect(bytes).toBeGreaterThanOrEqual(atLeast)
      expect(growth).toBeLessThan(MAX_GROWTH)
    },
    240_000,
  )
})
