import fc from 'fast-check'
import type { IncomingHttpHeaders } from 'node:http'
import { describe, expect, test } from 'vitest'
import { plan, type Plan, type PlannedRepresentation } from '../../src/http/plan.ts'

const NOW_MS = Date.UTC(2026, 9, 15)
const MODIFIED_MS = 784111777_654
const MODIFIED = 'Sun, 06 Nov 1994 08:49:37 GMT'
const CONTENT = Buffer.from('0123456789A')

const FILE: PlannedRepresentation = {
  size: CONTENT.length,
  etag: 'v1',
  lastModifiedMs: MODIFIED_MS,
  mediaType: 'text/plain; charset=utf-8',
}
const STREAM: PlannedRepresentation = { ...FILE, size: undefined, etag: undefined, lastModifiedMs: undefined }

const VALIDATORS = { ETag: '"v1"', 'Last-Modified': MODIFIED }

function get(headers: IncomingHttpHeaders = {}, representation = FILE, method = 'GET'): Plan {
  return plan({ method, headers }, representation, { nowMs: NOW_MS, boundary: () => 'SEP' })
}

/** What a client would receive, given the content that the slices are taken from. */
function bodyOf({ parts }: Plan, content = CONTENT): Buffer {
  return Buffer.concat(
    parts.map(part => (part.kind === 'bytes' ? part.bytes : content.subarray(part.start, part.end))),
  )
}

describe('the whole content (RFC 9110 15.3.1)', () => {
  test('says everything that is known about a file', () => {
    const answer = get()
    expect(answer).toEqual({
      status: 200,
      headers: {
        ...VALIDATORS,
        'Accept-Ranges': 'bytes',
        'Content-Type': 'text/plain; charset=utf-8',
        'Content-Length': '11',
      },
      parts: [{ kind: 'slice', start: 0, end: 11 }],
      length: 11,
    })
  })

  test('has no parts for an empty file, with or without a Range', () => {
    const empty = { ...FILE, size: 0 }
    for (const headers of [{}, { range: 'bytes=0-0' }, { range: 'bytes=-1' }]) {
      const answer = get(headers, empty)
      expect(answer.status).toBe(200)
      expect(answer.headers['Content-Length']).toBe('0')
      expect(answer.parts).toEqual([])
    }
  })

  test('leaves out validators that there are none of', () => {
    const { headers } = get({}, { ...FILE, etag: undefined, lastModifiedMs: undefined })
    expect(Object.keys(headers).sort()).toEqual(['Accept-Ranges', 'Content-Length', 'Content-Type'])
  })

  test('8.8.2.1 never sends a Last-Modified later than the answer', () => {
    const { headers } = get({}, { ...FILE, lastModifiedMs: NOW_MS + 3600_000 })
    expect(headers['Last-Modified']).toBe(new Date(NOW_MS).toUTCString())
  })

  test('14.3 promises no ranges for what a POST selected', () => {
    const answer = get({ range: 'bytes=0-4' }, FILE, 'POST')
    expect(answer.status).toBe(200)
    expect(answer.headers['Accept-Ranges']).toBe('none')
  })
})

describe('content without a size', () => {
  test('is one slice without end, has no Content-Length and no ranges (RFC 9110 14.3)', () => {
    expect(get({ range: 'bytes=0-4' }, STREAM)).toEqual({
      status: 200,
      headers: { 'Accept-Ranges': 'none', 'Content-Type': 'text/plain; charset=utf-8' },
      parts: [{ kind: 'slice', start: 0, end: Infinity }],
      length: undefined,
    })
  })

  test('is not sent again to who has its tag', () => {
    expect(get({ 'if-none-match': '"v1"' }, { ...STREAM, etag: 'v1' }).status).toBe(304)
  })
})

describe('a single range (RFC 9110 15.3.7.1)', () => {
  test('is a 206 with Content-Range and its own length', () => {
    expect(get({ range: 'bytes=2-4' })).toEqual({
      status: 206,
      headers: {
        ...VALIDATORS,
        'Accept-Ranges': 'bytes',
        'Content-Type': 'text/plain; charset=utf-8',
        'Content-Range': 'bytes 2-4/11',
        'Content-Length': '3',
      },
      parts: [{ kind: 'slice', start: 2, end: 5 }],
      length: 3,
    })
  })

  // The cases of ServeFileRangeTests in Go's net/http, whose file has the same 11 bytes.
  test.each([
    ['bytes=0-4', '0-4'],
    ['bytes=2-', '2-10'],
    ['bytes=-5', '6-10'],
    ['bytes=3-7', '3-7'],
    ['bytes=5-1000', '5-10'],
    ['bytes=0-9', '0-9'],
    ['bytes=0-10', '0-10'],
    ['bytes=0-11', '0-10'],
    ['bytes=10-11', '10-10'],
    ['bytes=10-', '10-10'],
    ['bytes=-500', '0-10'],
    ['bytes=0-4,3-7', '0-7'],
    ['bytes=20-,3-7', '3-7'],
  ])('%s gives bytes %s', (range, positions) => {
    const answer = get({ range })
    expect(answer.status).toBe(206)
    expect(answer.headers['Content-Range']).toBe(`bytes ${positions}/11`)
    const [first, last] = positions.split('-').map(Number)
    expect(bodyOf(answer)).toEqual(CONTENT.subarray(first, last! + 1))
  })

  test.each(['bytes=20-', 'bytes=11-', 'bytes=11-12', 'bytes=100-1000', 'bytes=-0'])(
    '%s is a 416 with the size',
    range => {
      expect(get({ range })).toEqual({
        status: 416,
        headers: { 'Accept-Ranges': 'bytes', 'Content-Range': 'bytes */11' },
        parts: [],
        length: 0,
      })
    },
  )

  test.each(['bytes=0-,1-,2-,3-,4-', 'bytes=5-4', 'lines=0-1', 'bytes', ''])(
    '%j is answered with the whole content',
    range => {
      expect(get({ range })).toEqual(get())
    },
  )
})

describe('HEAD', () => {
  test.each<[string, IncomingHttpHeaders]>([
    ['without conditions', {}],
    ['with the tag', { 'if-none-match': '"v1"' }],
    ['with another tag to match', { 'if-match': '"v2"' }],
    ['with the date', { 'if-modified-since': MODIFIED }],
  ])('%s is answered as GET is (RFC 9110 9.3.2)', (_title, headers) => {
    expect(get(headers, FILE, 'HEAD')).toEqual(get(headers))
  })

  test.each(['bytes=0-4', 'bytes=99-', 'bytes=0-0,4-4'])(
    'with Range %s is answered as without (RFC 9110 14.2)',
    range => {
      expect(get({ range }, FILE, 'HEAD')).toEqual(get())
    },
  )
})

describe('preconditions', () => {
  test('15.4.5 304 says the tag and nothing about the content', () => {
    expect(get({ 'if-none-match': '"v1"' })).toEqual({
      status: 304,
      headers: { ETag: '"v1"' },
      parts: [],
      length: 0,
    })
  })

  test('15.4.5 304 says the date where there is no tag', () => {
    const answer = get({ 'if-modified-since': MODIFIED }, { ...FILE, etag: undefined })
    expect(answer).toEqual({ status: 304, headers: { 'Last-Modified': MODIFIED }, parts: [], length: 0 })
  })

  test('13.1.3 compares whole seconds, which is all that the client was told', () => {
    expect(get({ 'if-modified-since': MODIFIED }).status).toBe(304)
    expect(get({ 'if-unmodified-since': MODIFIED }).status).toBe(200)
  })

  test('15.5.13 412 has no headers of the content', () => {
    expect(get({ 'if-match': '"v2"' })).toEqual({ status: 412, headers: {}, parts: [], length: 0 })
  })

  test('13.2.2 304 comes before 416', () => {
    expect(get({ 'if-none-match': '"v1"', range: 'bytes=99-' }).status).toBe(304)
  })

  test.each([
    ['the tag', '"v1"', 206],
    ['the tag marked weak', 'W/"v1"', 200],
    ['junk around the tag', '"junk"v1"junk"', 200],
    ['another tag', '"v2"', 200],
    ['the date', MODIFIED, 206],
    ['a later date', 'Sun, 06 Nov 1994 08:49:38 GMT', 200],
  ])('13.1.5 If-Range with %s', (_title, header, status) => {
    expect(get({ range: 'bytes=0-4', 'if-range': header }).status).toBe(status)
  })

  test('13.1.5 If-Range that does not match turns a 416 into the whole content', () => {
    expect(get({ range: 'bytes=99-', 'if-range': '"v2"' })).toEqual(get())
  })

  test('8.8.2.2 If-Range never trusts the date of a file from the future', () => {
    const future = { ...FILE, lastModifiedMs: NOW_MS + 3600_000 }
    const sent = get({}, future).headers['Last-Modified']
    expect(get({ range: 'bytes=0-4', 'if-range': sent! }, future).status).toBe(200)
  })
})

describe('several ranges (RFC 9110 14.6, 15.3.7.2)', () => {
  test('are multipart/byteranges with Content-Range in the parts only', () => {
    const answer = get({ range: 'bytes=0-0,-2' })
    const body = [
      '--SEP',
      'Content-Type: text/plain; charset=utf-8',
      'Content-Range: bytes 0-0/11',
      '',
      '0',
      '--SEP',
      'Content-Type: text/plain; charset=utf-8',
      'Content-Range: bytes 9-10/11',
      '',
      '9A',
      '--SEP--',
      '',
    ].join('\r\n')
    expect(bodyOf(answer).toString()).toBe(body)
    expect(answer.status).toBe(206)
    expect(answer.length).toBe(body.length)
    expect(answer.headers).toEqual({
      ...VALIDATORS,
      'Accept-Ranges': 'bytes',
      'Content-Type': 'multipart/byteranges; boundary=SEP',
      'Content-Length': String(body.length),
    })
  })

  test('are separated by a new boundary each time, which no content can know', () => {
    const boundary = () => {
      const answer = plan({ method: 'GET', headers: { range: 'bytes=0-0,9-9' } }, FILE, { nowMs: NOW_MS })
      return /^multipart\/byteranges; boundary=([\w-]{22,70})$/.exec(answer.headers['Content-Type']!)?.[1]
    }
    const first = boundary()
    expect(first).toBeDefined()
    expect(boundary()).not.toBe(first)
  })
})

/** Reads a multipart/byteranges body by its lengths, as a client that trusts Content-Range would. */
function readParts(body: Buffer, boundary: string): { start: number; total: number; bytes: Buffer }[] {
  const parts: { start: number; total: number; bytes: Buffer }[] = []
  let at = 0
  for (;;) {
    const rest = body.subarray(at).toString('latin1')
    if (rest === `--${boundary}--\r\n`) return parts
    const head = new RegExp(
      `^--${boundary}\r\nContent-Type: [^\r\n]+\r\nContent-Range: bytes (\\d+)-(\\d+)/(\\d+)\r\n\r\n`,
    ).exec(rest)
    if (head === null) throw new Error(`no part at ${at}`)
    const [start, last, total] = head.slice(1).map(Number)
    const from = at + head[0].length
    const to = from + last! + 1 - start!
    parts.push({ start: start!, total: total!, bytes: body.subarray(from, to) })
    expect(body.subarray(to, to + 2).toString()).toBe('\r\n')
    at = to + 2
  }
}

describe('any Range of any content', () => {
  const specs = fc.oneof(
    {
      weight: 8,
      arbitrary: fc
        .tuple(fc.integer({ min: 0, max: 300 }), fc.nat({ max: 15 }))
        .map(([first, length]) => `${first}-${first + length}`),
    },
    { weight: 1, arbitrary: fc.nat({ max: 300 }).map(first => `${first}-`) },
    { weight: 1, arbitrary: fc.nat({ max: 300 }).map(length => `-${length}`) },
  )
  const headers = fc
    .array(specs, { minLength: 1, maxLength: 17, size: 'max' })
    .map(list => ({ range: `bytes=${list.join(',')}` }))
  const contents = fc
    .uint8Array({ minLength: 1, maxLength: 250, size: 'max' })
    .map(bytes => Buffer.from(bytes))

  test('is answered with slices of the content, and a length that is the number of bytes', () => {
    let multiparts = 0
    fc.assert(
      fc.property(contents, headers, (content, request) => {
        const answer = get(request, { ...FILE, size: content.length })
        const body = bodyOf(answer, content)
        expect(body.length).toBe(answer.length)
        if (answer.status === 416) return
        expect(answer.headers['Content-Length']).toBe(String(body.length))
        if (answer.status === 200) {
          expect(body).toEqual(content)
          return
        }
        const range = answer.headers['Content-Range']
        if (range === undefined) {
          multiparts++
          const parts = readParts(body, 'SEP')
          expect(parts.length).toBeGreaterThan(1)
          for (const { start, total, bytes } of parts) {
            expect(total).toBe(content.length)
            expect(bytes).toEqual(content.subarray(start, start + bytes.length))
          }
          // No two parts overlap, so that the content is never sent twice.
          expect(parts.reduce((sum, { bytes }) => sum + bytes.length, 0)).toBeLessThan(content.length)
          return
        }
        const [first, last] = /bytes (\d+)-(\d+)\//.exec(range)!.slice(1).map(Number)
        expect(body).toEqual(content.subarray(first, last! + 1))
      }),
      { numRuns: 1000 },
    )
    expect(multiparts).toBeGreaterThan(100)
  })
})
