// Clients that begin a request and do not go on: they must cost others nothing, and be sent away.
import { afterAll, beforeAll, expect, it } from 'vitest'
import { ask } from '../support/client.ts'
import { startProcess } from '../support/process.ts'
import type { ServiceProcess } from '../support/process.ts'
import { Connection } from './connection.ts'
import { OutputsFolder, RUN_URL } from './outputs-folder.ts'

const HALF_OPEN = 300
const OTHERS_MS = 1_000
/** The limit on the time of a head must not be above 20 s; what is over it is looked for every few seconds. */
const HEADERS_MS = 20_000

const folder = new OutputsFolder()
let service: ServiceProcess

beforeAll(async () => {
  folder.write('file.txt', 'content')
  service = await startProcess(folder.root)
})
afterAll(async () => {
  await service.destroy()
  folder.remove()
})

it('serves others quickly beside 300 half-open requests, and ends those in time', async () => {
  const openedAt = performance.now()
  const halfOpen = await Promise.all(
    Array.from({ length: HALF_OPEN }, async (_, i) => {
      const connection = await Connection.open(service.port)
      // Some send nothing, some half a request line, some all but the empty line at the end of the head.
      connection.send(['', 'GET /outp', `GET ${RUN_URL}file.txt HTTP/1.1\r\nHost: localhost\r\n`][i % 3]!)
      return connection
    }),
  )
  for (let i = 0; i < 20; i++) {
    const askedAt = performance.now()
    expect((await ask(`${service.url}${RUN_URL}file.txt`)).text).toBe('content')
    expect(performance.now() - askedAt).toBeLessThan(OTHERS_MS)
  }
  const ends = await Promise.all(halfOpen.map(connection => connection.rest()))
  expect(performance.now() - openedAt).toBeLessThan(HEADERS_MS)
  for (const { text } of ends) expect(text).toMatch(/^(HTTP\/1\.1 408 [^]*)?$/)
}, 40_000)
