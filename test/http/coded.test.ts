// Objects that were stored with a content coding: every length, range, tag and digest is of the coded bytes (RFC 9110 8.4).
import { createHash } from 'node:crypto'
import { gunzipSync, gzipSync } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { ask } from '../support/checked.ts'
import { parseByteRanges } from '../support/client.ts'
import type { Answer, Ask } from '../support/client.ts'
import { startService } from '../support/service.ts'
import type { Service } from '../support/service.ts'
import { scriptedStore } from './scripted-store.ts'

const RUN = 'ann/mnist/experiments/1'
const PLAIN = 'step,loss\n1,0.5\n'.repeat(100)
const CODED = gzipSync(PLAIN)

/** By what the store says their coding is. */
const CODINGS: Readonly<Record<string, string | undefined>> = {
  'metrics.csv': 'gzip',
  'twice.csv': 'gzip, br',
  'plain.csv': undefined,
  'odd.csv': 'gzip\r\nSet-Cookie: a=b',
  'emoji.csv': '😀',
}

let service: Service

beforeAll(async () => {
  const store = scriptedStore({
    artifact: ({ entry }) => ({ contentEncoding: CODINGS[entry.path.slice(RUN.length + 1)] }),
  })
  for (const name of Object.keys(CODINGS)) store.write(`${RUN}/${name}`, CODED)
  service = await startService('', {}, store)
})
afterAll(() => service.close())

const get = (name: string, options?: Ask): Promise<Answer> =>
  ask(`${service.url}/outputs/${RUN}/${name}`, options)

describe('a file with a content coding', () => {
  it('is sent as it is stored, with its coding and the length of the coded bytes', async () => {
    for (const method of ['GET', 'HEAD']) {
      const { headers, body } = await get('metrics.csv', { method })
      expect(headers).toMatchObject({
        'content-encoding': 'gzip',
        'content-type': 'text/csv; charset=utf-8',
        'content-length': String(CODED.length),
      })
      if (method === 'GET') expect(gunzipSync(body).toString()).toBe(PLAIN)
    }
  })

  it('comes out plain for clients that decode', async () => {
    const answer = await fetch(`${service.url}/outputs/${RUN}/metrics.csv`)
    expect(await answer.text()).toBe(PLAIN)
  })

  it('has ranges of the coded bytes', async () => {
    const answer = await get('metrics.csv', { headers: { range: 'bytes=10-19' } })
    expect(answer.status).toBe(206)
    expect(answer.headers).toMatchObject({
      'content-encoding': 'gzip',
      'content-range': `bytes 10-19/${CODED.length}`,
    })
    expect(answer.body.equals(CODED.subarray(10, 20))).toBe(true)
  })

  it('is sent whole for several ranges, which have no place for its coding', async () => {
    const several = { headers: { range: 'bytes=0-1,10-11' } }
    const answer = await get('metrics.csv', several)
    expect([answer.status, answer.headers['content-encoding']]).toEqual([200, 'gzip'])
    expect(answer.body.equals(CODED)).toBe(true)
    expect(parseByteRanges(await get('plain.csv', several))).toHaveLength(2)
  })

  it('has the digest of the coded bytes', async () => {
    const { headers } = await get('metrics.csv', { headers: { 'want-repr-digest': 'sha-256=1' } })
    expect(headers['repr-digest']).toBe(`sha-256=:${createHash('sha256').update(CODED).digest('base64')}:`)
  })

  it('says no coding in 304 and in problems', async () => {
    const { etag } = (await get('metrics.csv')).headers
    for (const headers of [
      { 'if-none-match': etag! },
      { 'if-match': '"x"' },
      { range: 'bytes=9999999-' },
    ] as Record<string, string>[])
      expect((await get('metrics.csv', { headers })).headers['content-encoding']).toBeUndefined()
  })

  it.each([
    ['twice.csv', 'gzip, br'],
    ['plain.csv', undefined],
    ['odd.csv', undefined],
    ['emoji.csv', undefined],
  ])('has a header only where the coding is one: %s', async (name, coding) => {
    const answer = await get(name)
    expect([answer.status, answer.headers['content-encoding']]).toEqual([200, coding])
    expect(answer.headers['set-cookie']).toBeUndefined()
    expect(answer.body.equals(CODED)).toBe(true)
  })
})
