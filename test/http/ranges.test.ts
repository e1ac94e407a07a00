// One table of range and conditional requests over a real socket, for a file, a zip and a tar; and random ranges of all three. On every store.
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Harness } from '../contract/harness.ts'
import { ask } from '../support/checked.ts'
import { json, parseByteRanges } from '../support/client.ts'
import type { Answer } from '../support/client.ts'
import { startService } from '../support/service.ts'
import type { Service } from '../support/service.ts'
import { asServed, describeEach, STORES } from '../support/stores.ts'

/** Bytes that differ from place to place, so that a shifted slice cannot pass. */
function pattern(length: number, seed: number): Buffer {
  const bytes = Buffer.alloc(length)
  let state = seed
  for (let i = 0; i < length; i++) {
    state = (Math.imul(state, 1103515245) + 12345) >>> 0
    bytes[i] = state >>> 24
  }
  return bytes
}

const FOLDER = 'ann/mnist/experiments/1/outputs'
const WRITTEN_MS = Date.parse('2020-01-02T03:04:05.250Z')

async function fill(harness: Harness): Promise<void> {
  const write = (name: string, content: Buffer, options?: { readonly lastModifiedMs: number }) =>
    harness.write(`${FOLDER}/${name}`, content, options)
  await harness.makeDirectory?.(`${FOLDER}/empty`)
  for (let i = 0; i < 12; i++) await write(`part-${i}.bin`, pattern(1000 + i, i))
  await write('model.bin', pattern(700_000, 1), { lastModifiedMs: WRITTEN_MS })
  await write('nothing.txt', Buffer.alloc(0), { lastModifiedMs: WRITTEN_MS })
  // A date is no validator before its second is over (RFC 9110 8.8.2.2).
  if (!harness.keepsTimes) await new Promise(resolve => setTimeout(resolve, 2000))
}

const REPRESENTATIONS = [
  { name: 'a file', path: 'model.bin', dated: true },
  { name: 'a zip', path: '?archive=zip', dated: false },
  { name: 'a tar', path: '?archive=tar', dated: false },
] as const

interface Row {
  readonly what: string
  readonly headers: (w: {
    etag: string
    size: number
    date: string | undefined
  }) => Record<string, string | string[]>
  readonly status: number
  /** The slice that the body must be; default: everything for 200, nothing otherwise. */
  readonly slice?: (size: number) => [number, number]
  readonly method?: string
  readonly datedOnly?: boolean
}

/** Than anything was written, also where a store sets the time itself. */
const LATER = 'Fri, 01 Jan 2100 00:00:00 GMT'
const EARLIER = 'Wed, 01 Jan 2014 00:00:00 GMT'

const ROWS: readonly Row[] = [
  { what: 'no range', headers: () => ({}), status: 200 },
  { what: 'the first byte', headers: () => ({ range: 'bytes=0-0' }), status: 206, slice: () => [0, 1] },
  { what: 'a middle', headers: () => ({ range: 'bytes=1000-1999' }), status: 206, slice: () => [1000, 2000] },
  {
    what: 'an open range',
    headers: () => ({ range: 'bytes=500-' }),
    status: 206,
    slice: size => [500, size],
  },
  {
    what: 'a suffix',
    headers: () => ({ range: 'bytes=-700' }),
    status: 206,
    slice: size => [size - 700, size],
  },
  {
    what: 'a suffix longer than the content (14.1.2)',
    headers: w => ({ range: `bytes=-${w.size + 500}` }),
    status: 206,
    slice: size => [0, size],
  },
  {
    what: 'an end beyond the content',
    headers: () => ({ range: 'bytes=10-99999999999999999999' }),
    status: 206,
    slice: size => [10, size],
  },
  {
    what: 'a unit in capitals (14.1)',
    headers: () => ({ range: 'BYTES=0-4' }),
    status: 206,
    slice: () => [0, 5],
  },
  {
    what: 'empty list elements (5.6.1)',
    headers: () => ({ range: 'bytes=,0-4, ,' }),
    status: 206,
    slice: () => [0, 5],
  },
  {
    what: 'overlapping ranges, merged',
    headers: () => ({ range: 'bytes=0-99,50-199' }),
    status: 206,
    slice: () => [0, 200],
  },
  { what: 'an unknown unit', headers: () => ({ range: 'items=0-5' }), status: 200 },
  { what: 'a malformed range', headers: () => ({ range: 'bytes=5-3' }), status: 200 },
  { what: 'garbage', headers: () => ({ range: 'bytes=a-b' }), status: 200 },
  {
    what: 'more than 16 ranges',
    headers: () => ({ range: `bytes=${Array.from({ length: 17 }, (_, i) => `${i * 10}-${i * 10}`).join()}` }),
    status: 200,
  },
  {
    what: 'ranges of more than twice the content',
    headers: () => ({ range: 'bytes=0-,0-,0-' }),
    status: 200,
  },
  { what: 'a range beyond the end', headers: w => ({ range: `bytes=${w.size}-` }), status: 416 },
  { what: 'a suffix of nothing', headers: () => ({ range: 'bytes=-0' }), status: 416 },
  { what: 'HEAD ignores Range (14.2)', headers: () => ({ range: 'bytes=0-0' }), status: 200, method: 'HEAD' },
  {
    what: 'If-Range with the tag',
    headers: w => ({ range: 'bytes=0-4', 'if-range': w.etag }),
    status: 206,
    slice: () => [0, 5],
  },
  {
    what: 'If-Range with the tag made weak (13.1.5)',
    headers: w => ({ range: 'bytes=0-4', 'if-range': `W/${w.etag}` }),
    status: 200,
  },
  {
    what: 'If-Range with another tag',
    headers: () => ({ range: 'bytes=0-4', 'if-range': '"other"' }),
    status: 200,
  },
  {
    what: 'If-Range with junk around the tag',
    headers: w => ({ range: 'bytes=0-4', 'if-range': `junk ${w.etag} junk` }),
    status: 200,
  },
  {
    what: 'If-Range with the date',
    headers: w => ({ range: 'bytes=0-4', 'if-range': w.date! }),
    status: 206,
    slice: () => [0, 5],
    datedOnly: true,
  },
  {
    what: 'If-Range with a later date: it must be the same (13.1.5)',
    headers: () => ({ range: 'bytes=0-4', 'if-range': LATER }),
    status: 200,
  },
  {
    what: 'If-Range wins over nothing: an unsatisfiable range is still 416',
    headers: w => ({ range: `bytes=${w.size}-`, 'if-range': w.etag }),
    status: 416,
  },
  { what: 'If-Match with the tag', headers: w => ({ 'if-match': w.etag }), status: 200 },
  {
    what: 'If-Match with the tag in a list',
    headers: w => ({ 'if-match': `"a", ${w.etag}, "b"` }),
    status: 200,
  },
  { what: 'If-Match in several lines', headers: w => ({ 'if-match': ['"a"', w.etag] }), status: 200 },
  { what: 'If-Match *', headers: () => ({ 'if-match': '*' }), status: 200 },
  { what: 'If-Match with another tag', headers: () => ({ 'if-match': '"other"' }), status: 412 },
  {
    what: 'If-Match with the tag made weak (13.1.1)',
    headers: w => ({ 'if-match': `W/${w.etag}` }),
    status: 412,
  },
  {
    what: 'If-Match fails before a range',
    headers: () => ({ 'if-match': '"other"', range: 'bytes=0-4' }),
    status: 412,
  },
  { what: 'If-None-Match with the tag', headers: w => ({ 'if-none-match': w.etag }), status: 304 },
  {
    what: 'If-None-Match with the tag made weak (13.1.2)',
    headers: w => ({ 'if-none-match': `W/${w.etag}` }),
    status: 304,
  },
  {
    what: 'If-None-Match in several lines',
    headers: w => ({ 'if-none-match': ['"a"', w.etag] }),
    status: 304,
  },
  { what: 'If-None-Match *', headers: () => ({ 'if-none-match': '*' }), status: 304 },
  { what: 'If-None-Match with another tag', headers: () => ({ 'if-none-match': '"other"' }), status: 200 },
  {
    what: 'If-None-Match wins over a range',
    headers: w => ({ 'if-none-match': w.etag, range: 'bytes=0-4' }),
    status: 304,
  },
  {
    what: 'If-None-Match wins over If-Modified-Since (13.2.2)',
    headers: () => ({ 'if-none-match': '"other"', 'if-modified-since': LATER }),
    status: 200,
  },
  {
    what: 'If-Match wins over If-Unmodified-Since (13.2.2)',
    headers: w => ({ 'if-match': w.etag, 'if-unmodified-since': EARLIER }),
    status: 200,
  },
  {
    what: 'If-Modified-Since with the date',
    headers: w => ({ 'if-modified-since': w.date! }),
    status: 304,
    datedOnly: true,
  },
  {
    what: 'If-Modified-Since later',
    headers: () => ({ 'if-modified-since': LATER }),
    status: 304,
    datedOnly: true,
  },
  { what: 'If-Modified-Since earlier', headers: () => ({ 'if-modified-since': EARLIER }), status: 200 },
  {
    what: 'If-Modified-Since that is no date',
    headers: () => ({ 'if-modified-since': 'yesterday' }),
    status: 200,
  },
  { what: 'If-Unmodified-Since later', headers: () => ({ 'if-unmodified-since': LATER }), status: 200 },
  {
    what: 'If-Unmodified-Since earlier',
    headers: () => ({ 'if-unmodified-since': EARLIER }),
    status: 412,
    datedOnly: true,
  },
  {
    what: 'HEAD with If-None-Match',
    headers: w => ({ 'if-none-match': w.etag }),
    status: 304,
    method: 'HEAD',
  },
  {
    what: 'HEAD with If-Match of another tag',
    headers: () => ({ 'if-match': '"other"' }),
    status: 412,
    method: 'HEAD',
  },
]

describeEach(STORES, kind => {
  let harness: Harness
  let service: Service
  const whole = new Map<string, Answer>()

  beforeAll(async () => {
    harness = await kind.make()
    await fill(harness)
    service = await startService('', {}, asServed(harness.store))
  })
  afterAll(async () => {
    await service.close()
    await harness.close()
  })

  const at = (path: string): string => `${service.url}/outputs/${FOLDER}/${path}`

  async function wholeOf(path: string): Promise<Answer> {
    const known = whole.get(path) ?? (await ask(at(path)))
    whole.set(path, known)
    expect(known.status).toBe(200)
    return known
  }

  describe.each(REPRESENTATIONS)('$name', ({ path, dated }) => {
    it.each(ROWS.filter(row => dated || row.datedOnly !== true))('answers $status to $what', async row => {
      const full = await wholeOf(path)
      const size = full.body.length
      const etag = full.headers.etag!
      expect(etag).toMatch(/^"[^"]+"$/)
      const { method = 'GET' } = row
      const answer = await ask(at(path), {
        method,
        headers: row.headers({ etag, size, date: full.headers['last-modified'] }),
      })
      expect(answer.status).toBe(row.status)
      expect(answer.complete).toBe(true)
      expect(answer.headers['x-request-id']).toBeTruthy()
      if (row.status < 400) expect(answer.headers.etag).toBe(etag)
      if (row.status === 304) {
        expect(answer.body.length).toBe(0)
        expect(answer.headers['content-length']).toBeUndefined()
        expect(answer.headers['content-type']).toBeUndefined()
        return
      }
      expect(answer.headers['x-content-type-options']).toBe('nosniff')
      if (row.status === 416) expect(answer.headers['content-range']).toBe(`bytes */${size}`)
      if (row.status >= 400) {
        expect(answer.headers['content-type']).toBe('application/problem+json')
        if (method !== 'HEAD')
          expect(json(answer)).toMatchObject({
            status: row.status,
            requestId: answer.headers['x-request-id'],
          })
        return
      }
      const [start, end] = row.slice?.(size) ?? [0, size]
      expect(answer.headers['content-length']).toBe(String(end - start))
      expect(answer.headers['accept-ranges']).toBe('bytes')
      expect(answer.headers['content-security-policy']).toBe('sandbox')
      if (row.status === 206)
        expect(answer.headers['content-range']).toBe(`bytes ${start}-${end - 1}/${size}`)
      if (method === 'HEAD') expect(answer.body.length).toBe(0)
      else expect(answer.body.equals(full.body.subarray(start, end))).toBe(true)
    })

    it('answers several ranges as multipart/byteranges in the order asked for', async () => {
      const full = await wholeOf(path)
      const size = full.body.length
      const answer = await ask(at(path), { headers: { range: 'bytes=5000-5099,0-9,-100' } })
      expect(answer.status).toBe(206)
      expect(answer.headers['content-range']).toBeUndefined()
      expect(answer.headers['content-length']).toBe(String(answer.body.length))
      const parts = parseByteRanges(answer)
      expect(parts.map(part => part.range)).toEqual([
        `bytes 5000-5099/${size}`,
        `bytes 0-9/${size}`,
        `bytes ${size - 100}-${size - 1}/${size}`,
      ])
      expect(parts.map(part => part.type)).toEqual(Array(3).fill(full.headers['content-type']))
      expect(
        Buffer.concat(parts.map(part => part.bytes)).equals(
          Buffer.concat([
            full.body.subarray(5000, 5100),
            full.body.subarray(0, 10),
            full.body.subarray(size - 100),
          ]),
        ),
      ).toBe(true)
    })

    it('gives HEAD the headers of GET', async () => {
      const full = await wholeOf(path)
      const head = await ask(at(path), { method: 'HEAD' })
      const strip = ({
        date: _date,
        'x-request-id': _id,
        'server-timing': _times,
        ...rest
      }: Answer['headers']): object => rest
      expect(strip(head.headers)).toEqual(strip(full.headers))
      expect(head.body.length).toBe(0)
    })

    it('gives every random range as that slice of the whole', async () => {
      const full = await wholeOf(path)
      const size = full.body.length
      await fc.assert(
        fc.asyncProperty(fc.nat(size - 1), fc.nat(size - 1), async (a, b) => {
          const [first, last] = a <= b ? [a, b] : [b, a]
          const answer = await ask(at(path), { headers: { range: `bytes=${first}-${last}` } })
          return answer.status === 206 && answer.body.equals(full.body.subarray(first, last + 1))
        }),
        { numRuns: kind.capabilities.latency === 'network' ? 25 : 120 },
      )
    })
  })

  describe('an empty file', () => {
    it.each(['bytes=0-', 'bytes=-5', 'bytes=0-0'])('is 200 with nothing for %s', async range => {
      const answer = await ask(at('nothing.txt'), { headers: { range } })
      expect([answer.status, answer.body.length, answer.headers['content-length']]).toEqual([200, 0, '0'])
    })
  })
})
