import { describe, expect, it } from 'vitest'
import { ResponseReader } from '../../bench/client/response-reader.ts'

/** The responses in `bytes`, read in pieces of `step` bytes out of one reused buffer, as a socket gives them. */
function readAll(bytes: string, step: number): { responses: [number, string][]; close: () => void } {
  const responses: [number, string][] = []
  let status = 0
  let body = ''
  const reader = new ResponseReader({
    head: head => (status = head.status),
    body: chunk => (body += chunk.toString('latin1')),
    end: () => {
      responses.push([status, body])
      body = ''
    },
  })
  const memory = Buffer.alloc(step)
  for (let start = 0; start < bytes.length; start += step) {
    const size = memory.write(bytes.slice(start, start + step), 'latin1')
    reader.push(memory.subarray(0, size))
  }
  return { responses, close: () => reader.close() }
}

const TWO_SIZED =
  'HTTP/1.1 206 Partial\r\ncontent-length: 5\r\n\r\nhelloHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n'
const CHUNKED =
  'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nA;x=y\r\n0123456789\r\n0\r\nTrailer: 1\r\n\r\n'

describe('ResponseReader', () => {
  it.each([1, 2, 3, 7, 1000])(
    'frames sized and chunked bodies however they are cut: %i bytes a read',
    step => {
      const { responses } = readAll(TWO_SIZED + CHUNKED + TWO_SIZED, step)
      expect(responses).toEqual([
        [206, 'hello'],
        [200, ''],
        [200, 'abc0123456789'],
        [206, 'hello'],
        [200, ''],
      ])
    },
  )

  it('takes everything until the connection closes where nothing says how long the body is', () => {
    const { responses, close } = readAll('HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nall of it', 4)
    expect(responses).toEqual([])
    close()
    expect(responses).toEqual([[200, 'all of it']])
  })

  it.each([
    ['head', 'HTTP/1.1 200 OK\r\nContent-'],
    ['sized body', 'HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello'],
    ['chunk', CHUNKED.slice(0, -20)],
    ['trailer', CHUNKED.slice(0, -2)],
  ])('fails when the connection closes in the middle of a %s', (_where, bytes) => {
    expect(readAll(bytes, 1000).close).toThrow('in the middle of a response')
  })

  it('refuses what is not HTTP/1.1', () => {
    expect(() => readAll('SSH-2.0-x\r\n\r\n', 1000)).toThrow('not an HTTP/1.1 status line')
  })
})
