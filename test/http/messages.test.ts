// Messages that are faulty or without measure, byte by byte: what two servers could read in two ways is read in none.
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { parsePath } from '../../src/store/path.ts'
import { CountingStore } from '../support/changed-stores.ts'
import { Connection } from '../faults/connection.ts'
import { startService, type Service } from '../support/service.ts'

const FILE = '/outputs/ann/mnist/jobs/1/a.txt'
const UUID = 'a1b2c3d4e5f647089a0b1c2d3e4f5a6b'

let service: Service
let store: CountingStore
let reached: string[]
beforeAll(async () => {
  store = new CountingStore()
  reached = []
  for (const run of [UUID, 'ann/mnist/jobs/1']) store.write(parsePath(`${run}/a.txt`), Buffer.from('content'))
  const limits = { urlBytes: 1000, headerFields: 20 }
  const onLimit = (limit: string): unknown => reached.push(limit)
  service = await startService('', { limits }, store, { onLimit })
})
afterAll(() => service.close())

async function exchange(message: string): Promise<string> {
  const connection = await Connection.open(service.port)
  connection.send(message)
  return (await connection.rest()).text
}

/** A request that would be a second one to whoever takes the body of the first for shorter than we do, or the other way round. */
const SMUGGLED = 'GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n'
const CHUNK = '4\r\nevil\r\n0\r\n\r\n'

const CODINGS: readonly (readonly [what: string, fields: string, version?: string])[] = [
  ['gzip, chunked', 'Transfer-Encoding: gzip, chunked'],
  ['chunked, gzip', 'Transfer-Encoding: chunked, gzip'],
  ['chunked twice', 'Transfer-Encoding: chunked, chunked'],
  ['chunked in two lines', 'Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked'],
  ['identity', 'Transfer-Encoding: identity'],
  ['identity, chunked', 'Transfer-Encoding: identity, chunked'],
  ['xchunked', 'Transfer-Encoding: xchunked'],
  ['chunkedx', 'Transfer-Encoding: chunkedx'],
  ['chunked in quotes', 'Transfer-Encoding: "chunked"'],
  ['chunked with a parameter', 'Transfer-Encoding: chunked;a=b'],
  ['nothing', 'Transfer-Encoding:'],
  ['a comma in front', 'Transfer-Encoding: , chunked'],
  ['a vertical tab in front', 'Transfer-Encoding: \x0bchunked'],
  ['a space before the colon', 'Transfer-Encoding : chunked'],
  ['a folded line', 'Transfer-Encoding:\r\n chunked'],
  ['a length in front', 'Content-Length: 4\r\nTransfer-Encoding: chunked'],
  ['a length behind', 'Transfer-Encoding: chunked\r\nContent-Length: 4'],
  ['a length beside another coding', 'Content-Length: 4\r\nTransfer-Encoding: gzip'],
  ['HTTP/1.0', 'Transfer-Encoding: chunked', '1.0'],
  ['HTTP/1.0 with a length', 'Content-Length: 14\r\nTransfer-Encoding: chunked', '1.0'],
]

describe('a body with a transfer coding that is not just chunked is refused, and the connection ends:', () => {
  it.each(CODINGS)('%s', async (_, fields, version = '1.1') => {
    for (const [method, url] of [
      ['PUT', FILE],
      ['GET', FILE],
      ['POST', `/streams/v1/ns/ann/mnist/runs/${UUID}/artifact`],
      ['POST', '/uploads'],
    ] as const) {
      const { begun } = store
      const text = await exchange(
        `${method} ${url} HTTP/${version}\r\nHost: localhost\r\n${fields}\r\n\r\n${CHUNK}${SMUGGLED}`,
      )
      expect(text).toMatch(/^HTTP\/1\.1 400 /)
      expect(text).toMatch(/\r\nConnection: close\r\n/i)
      expect(text.match(/HTTP\/1\.1 \d/g)).toHaveLength(1)
      expect(store.begun).toBe(begun)
    }
  })
})

it.each(['chunked', 'Chunked', ' \tchunked '])('takes a body that is coded as %j', async coding => {
  const head = `PUT ${FILE}.${coding.trim()} HTTP/1.1\r\nHost: localhost\r\nConnection: close`
  expect(await exchange(`${head}\r\nTransfer-Encoding:${coding}\r\n\r\n${CHUNK}`)).toMatch(
    /^HTTP\/1\.1 20[14] /,
  )
})

describe('a URL that is too long', () => {
  it('is 414 on every surface, in its form, and the connection ends', async () => {
    for (const [url, form] of [
      ['/outputs/', 'application/problem+json'],
      ['/uploads/', 'application/problem+json'],
      ['/healthz?', 'application/problem+json'],
      [`/streams/v1/ns/ann/mnist/runs/${UUID}/artifact?path=`, 'text/plain'],
      ['/api/v1/ann/mnist/jobs/1/outputs/files?path=', 'application/json'],
    ] as const) {
      const long = url.padEnd(1001, 'x')
      const text = await exchange(`GET ${long} HTTP/1.1\r\nHost: localhost\r\n\r\n`)
      expect(text).toMatch(/^HTTP\/1\.1 414 URI Too Long\r\n/)
      expect(text).toContain(`\r\nContent-Type: ${form}`)
      expect(text).toMatch(/\r\nConnection: close\r\n/i)
      expect(reached.at(-1)).toBe('limits.urlBytes')
    }
  })

  it('is one byte longer than the longest', async () => {
    const url = `${FILE}?download&`.padEnd(1000, 'x')
    expect(await exchange(`GET ${url} HTTP/1.0\r\nHost: localhost\r\n\r\n`)).toMatch(/^HTTP\/1\.1 400 /)
  })
})

describe('a header with too many fields', () => {
  const fields = (count: number): string => 'X: y\r\n'.repeat(count - 2)

  it('is 431, and the connection ends', async () => {
    const head = `GET ${FILE} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n`
    expect(await exchange(`${head}${fields(20)}\r\n`)).toMatch(/^HTTP\/1\.1 200 /)
    for (const count of [21, 3000]) {
      const text = await exchange(`${head}${fields(count)}\r\n`)
      expect(text).toMatch(/^HTTP\/1\.1 431 /)
      expect(text).toContain('application/problem+json')
      expect(reached.at(-1)).toBe('limits.headerFields')
    }
  })

  it('hides none of its fields behind others', async () => {
    const hidden = `${'X: y\r\n'.repeat(3000)}Content-Length: 5\r\nTransfer-Encoding: gzip\r\n`
    const text = await exchange(`PUT ${FILE} HTTP/1.1\r\nHost: localhost\r\n${hidden}\r\nhello`)
    expect(text).toMatch(/^HTTP\/1\.1 4\d\d /)
    expect(text).toMatch(/\r\nConnection: close\r\n/i)
  })
})
