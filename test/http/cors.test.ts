// Pages of other sites: the browser lets them in only where the operator named them.
import { afterEach, describe, expect, it } from 'vitest'
import { parsePath } from '../../src/store/path.ts'
import { MemoryStore } from '../../src/store/memory.ts'
import { ask } from '../support/client.ts'
import { startService, type Service } from '../support/service.ts'

const UUID = 'a1b2c3d4e5f647089a0b1c2d3e4f5a6b'
const DASHBOARD = 'https://polyaxon.example'
const STREAMS = `/streams/v1/ns/ann/mnist/runs/${UUID}`

let service: Service
afterEach(() => service.close())

async function serve(corsOrigins: readonly string[]): Promise<void> {
  const store = new MemoryStore()
  for (const run of [UUID, 'ann/mnist/jobs/1']) store.write(parsePath(`${run}/a.txt`), Buffer.from('content'))
  service = await startService('', { server: { corsOrigins } }, store)
}

const URLS = [
  `${STREAMS}/artifact?path=a.txt`,
  `${STREAMS}/artifact?path=absent`,
  `${STREAMS}/artifacts`,
  '/api/v1/ann/mnist/jobs/1/outputs/files?path=a.txt',
  '/outputs/ann/mnist/jobs/1/a.txt',
  '/outputs/ann/mnist/jobs/1/',
  '/outputs/ann/mnist/jobs/2/',
  '/healthz',
  '/nowhere',
]

describe('a site that is named', () => {
  it.each(URLS)('may read the answer and its fields: %s', async url => {
    await serve(['http://other.example', DASHBOARD])
    const { headers } = await ask(service.url + url, { headers: { origin: DASHBOARD } })
    expect(headers['access-control-allow-origin']).toBe(DASHBOARD)
    expect(headers['access-control-allow-credentials']).toBe('true')
    const exposed = headers['access-control-expose-headers']!.toLowerCase().split(', ')
    // What a page can read in any case, or is about the connection.
    const others = [
      'content-type',
      'cache-control',
      'last-modified',
      'date',
      'connection',
      'keep-alive',
      'vary',
      'trailer',
    ]
    for (const name of ['content-disposition', 'outputs-omitted', ...Object.keys(headers)])
      if (
        !others.includes(name) &&
        !/^(?:access-control|timing-allow|transfer-encoding|content-security|x-content|cross-origin-resource)/.test(
          name,
        )
      )
        expect(exposed).toContain(name)
    expect(headers.vary).toContain('Origin')
  })

  it.each([...URLS, '/uploads'])('is told before it asks what it may send: %s', async url => {
    await serve([DASHBOARD])
    const { status, headers, body } = await ask(service.url + url, {
      method: 'OPTIONS',
      headers: {
        origin: DASHBOARD,
        'access-control-request-method': 'DELETE',
        'access-control-request-headers': 'authorization,x-polyaxon-service,range',
      },
    })
    expect([status, body.length]).toEqual([204, 0])
    expect(headers['access-control-allow-origin']).toBe(DASHBOARD)
    for (const method of ['GET', 'POST', 'PUT', 'DELETE', 'PATCH'])
      expect(headers['access-control-allow-methods']).toContain(method)
    for (const field of ['X-POLYAXON-SERVICE', 'Authorization', 'Range', 'Content-Type'])
      expect(headers['access-control-allow-headers']).toContain(field)
  })

  it('may change what its users may', async () => {
    await serve([DASHBOARD])
    const headers = { origin: DASHBOARD, 'sec-fetch-site': 'cross-site' }
    const removed = await ask(`${service.url}${STREAMS}/artifact?path=a.txt`, { method: 'DELETE', headers })
    expect(removed.status).toBe(204)
  })
})

describe('a site that is not', () => {
  it.each(['https://evil.example', 'null', `${DASHBOARD}.evil.example`, 'http://polyaxon.example', '*', ''])(
    'is told nothing and changes nothing: %s',
    async origin => {
      await serve([DASHBOARD])
      for (const method of ['GET', 'OPTIONS', 'DELETE']) {
        const answer = await ask(`${service.url}${STREAMS}/artifact?path=a.txt`, {
          method,
          headers: { origin, 'access-control-request-method': 'DELETE' },
        })
        expect(answer.headers['access-control-allow-origin']).toBeUndefined()
        expect(answer.status).toBe(method === 'GET' ? 200 : method === 'OPTIONS' ? 405 : 403)
      }
    },
  )

  it('is any, where none is named', async () => {
    await serve([])
    const answer = await ask(`${service.url}/outputs/ann/mnist/jobs/1/a.txt`, {
      headers: { origin: DASHBOARD },
    })
    expect(answer.headers['access-control-allow-origin']).toBeUndefined()
    expect(answer.headers.vary).toBeUndefined()
  })
})
