// Files whose bytes come from elsewhere: from the store by a signed URL, or from the web server in front.
import { afterEach, describe, expect, it } from 'vitest'
import type { DirectDelivery, DirectOptions } from '../../src/store/store.ts'
import { ask } from '../support/checked.ts'
import type { Answer, Ask } from '../support/client.ts'
import { startService } from '../support/service.ts'
import type { Service } from '../support/service.ts'
import { scriptedStore, type ScriptedStore } from './scripted-store.ts'

const RUN = '/outputs/ann/mnist/experiments/1/'
const SIGNED = 'https://bucket.example/key?X-Amz-Signature=0f&response-content-type=text%2Fcsv'

let service: Service
let store: ScriptedStore
let asked: { path: string; asked: boolean; options: DirectOptions }[]
afterEach(() => service.close())

/** Serves files from a store whose answer to `direct` is `decide`'s. */
async function serve(decide: (asked: boolean) => DirectDelivery | undefined): Promise<void> {
  asked = []
  store = scriptedStore({
    direct: async (path, byClient, options) => {
      asked.push({ path, asked: byClient, options })
      return decide(byClient)
    },
  })
  store.write('ann/mnist/experiments/1/metrics.csv', 'step,loss\n')
  store.write('ann/mnist/experiments/1/page.html', '<p>')
  store.write('ann/mnist/experiments/1/sub/x.bin', 'x')
  service = await startService('', {}, store)
}

const get = (target: string, options?: Ask): Promise<Answer> => ask(service.url + RUN + target, options)

const toStore = (): DirectDelivery => ({ type: 'redirect', url: SIGNED })
const onlyWhenAsked = (byClient: boolean): DirectDelivery | undefined => (byClient ? toStore() : undefined)

describe('a file with redirect', () => {
  it('is answered with the signed address, which nobody may keep, and no body is opened', async () => {
    await serve(onlyWhenAsked)
    const answer = await get('metrics.csv?redirect')
    expect(answer.status).toBe(307)
    expect(answer.headers).toMatchObject({
      location: SIGNED,
      'cache-control': 'no-store',
      'content-length': '0',
    })
    for (const name of ['etag', 'last-modified', 'content-disposition', 'content-type', 'accept-ranges'])
      expect(answer.headers[name], name).toBeUndefined()
    expect(store.calls.read).toBe(0)
    expect(store.opened).toBe(0)
  })

  it.each([
    ['metrics.csv?redirect', 'inline; filename="metrics.csv"', 'text/csv; charset=utf-8'],
    ['metrics.csv?redirect&download', 'attachment; filename="metrics.csv"', 'text/csv; charset=utf-8'],
    ['page.html?redirect', 'attachment; filename="page.html"', 'text/html; charset=utf-8'],
  ])('has in its address how %s is to be shown', async (target, disposition, mediaType) => {
    await serve(onlyWhenAsked)
    expect((await get(target)).status).toBe(307)
    expect(asked).toMatchObject([
      {
        path: `ann/mnist/experiments/1/${target.split('?')[0]}`,
        asked: true,
        options: { disposition, mediaType },
      },
    ])
  })

  it('is served from here where the store can sign nothing', async () => {
    await serve(() => undefined)
    expect(await get('metrics.csv?redirect')).toMatchObject({ status: 200, text: 'step,loss\n' })
  })

  it('goes wherever a store is configured to send it, unless the client will not', async () => {
    await serve(toStore)
    expect((await get('metrics.csv')).status).toBe(307)
    expect((await get('metrics.csv', { headers: { range: 'bytes=0-3' } })).status).toBe(307)
    expect(await get('metrics.csv?redirect=false')).toMatchObject({ status: 200, text: 'step,loss\n' })
    expect(await get('metrics.csv?redirect=0')).toMatchObject({ status: 200, text: 'step,loss\n' })
  })

  it('has its conditions evaluated here', async () => {
    await serve(toStore)
    const { etag } = (await get('metrics.csv', { method: 'HEAD' })).headers
    expect((await get('metrics.csv', { headers: { 'if-none-match': etag! } })).status).toBe(304)
    expect((await get('metrics.csv', { headers: { 'if-none-match': '"other"' } })).status).toBe(307)
    expect((await get('metrics.csv', { headers: { 'if-match': '"other"' } })).status).toBe(412)
    expect((await get('metrics.csv', { headers: { range: 'bytes=99-' } })).status).toBe(416)
    // The store would compare it with a tag of its own, and refuse.
    expect((await get('metrics.csv', { headers: { 'if-match': etag! } })).status).toBe(200)
  })

  it('is not sent away with a Range that is guarded, or that is ignored here', async () => {
    await serve(toStore)
    const { etag } = (await get('metrics.csv', { method: 'HEAD' })).headers
    const ranged = (range: string, others: Record<string, string> = {}) =>
      get('metrics.csv', { headers: { range, ...others } })
    // Not every store looks at If-Range, and none knows our tags: it would send a part of another content.
    expect(await ranged('bytes=5-', { 'if-range': '"other"' })).toMatchObject({
      status: 200,
      text: 'step,loss\n',
    })
    expect(await ranged('bytes=5-', { 'if-range': etag! })).toMatchObject({ status: 206, text: 'loss\n' })
    expect(await ranged('bytes=5-4')).toMatchObject({ status: 200, text: 'step,loss\n' })
    expect(await ranged('lines=1-2')).toMatchObject({ status: 200, text: 'step,loss\n' })
    for (const range of ['bytes=5-', 'bytes=5-7']) expect((await ranged(range)).status).toBe(307)
  })

  it('is not sent away with a Range that stores do not know', async () => {
    await serve(toStore)
    // Azure takes the last bytes for no range, and no store gives several.
    expect(await get('metrics.csv', { headers: { range: 'bytes=-5' } })).toMatchObject({
      status: 206,
      text: 'loss\n',
    })
    for (const range of ['bytes=0-0,9-9', 'Bytes= 5-7'])
      expect((await get('metrics.csv', { headers: { range } })).status, range).toBe(206)
  })

  it('has HEAD, listings and archives answered here', async () => {
    await serve(toStore)
    const head = await get('metrics.csv?redirect', { method: 'HEAD' })
    expect(head.status).toBe(200)
    expect(head.headers).toMatchObject({ 'content-length': '10', 'accept-ranges': 'bytes' })
    expect((await get('sub/?redirect&format=json')).status).toBe(200)
    expect((await get('sub/?redirect&archive=zip')).status).toBe(200)
    expect(asked).toEqual([])
    const folder = await get('sub?redirect')
    expect([folder.status, folder.headers.location]).toEqual([301, './sub/?redirect'])
    expect((await get('missing?redirect')).status).toBe(404)
  })

  it('computes no digest for an answer that has no content', async () => {
    await serve(toStore)
    const answer = await get('metrics.csv', { headers: { 'want-repr-digest': 'sha-256=1' } })
    expect([answer.status, answer.headers['repr-digest']]).toEqual([307, undefined])
    expect(store.calls.read).toBe(0)
  })

  it.each([
    ['javascript:alert(1)'],
    ['//elsewhere.example/'],
    ['https://bucket.example/\r\nSet-Cookie: a=b'],
    ['https://bucket.example/a b'],
  ])('answers 500 rather than send an address like %j', async url => {
    await serve(() => ({ type: 'redirect', url }))
    const answer = await get('metrics.csv')
    expect(answer.status).toBe(500)
    expect(answer.headers['set-cookie']).toBeUndefined()
    expect(answer.headers.location).toBeUndefined()
    expect(answer.text).not.toContain('elsewhere')
  })
})

describe('a file left to the web server in front', () => {
  const toServer = (): DirectDelivery => ({ type: 'x-accel', uri: '/files/ann/metrics%20%0A.csv' })

  it('is named to it, with everything that describes the whole content and no body', async () => {
    await serve(toServer)
    const { etag } = (await get('metrics.csv', { method: 'HEAD' })).headers
    for (const headers of [{}, { range: 'bytes=0-3' }, { range: 'bytes=0-1,3-4' }] as Record<
      string,
      string
    >[]) {
      const answer = await get('metrics.csv', { headers })
      expect(answer).toMatchObject({ status: 200, text: '' })
      expect(answer.headers).toMatchObject({
        'x-accel-redirect': '/files/ann/metrics%20%0A.csv',
        'content-type': 'text/csv; charset=utf-8',
        'content-disposition': 'inline; filename="metrics.csv"',
        'content-security-policy': 'sandbox',
        'x-content-type-options': 'nosniff',
        'cache-control': 'private, no-cache',
        'content-length': '0',
        etag,
      })
      // nginx adds these by itself, and would have them twice.
      expect(answer.headers['accept-ranges']).toBeUndefined()
      expect(answer.headers['content-range']).toBeUndefined()
    }
    expect(store.calls.read).toBe(0)
    expect(store.opened).toBe(0)
  })

  it('carries a digest that is known, and has none computed', async () => {
    await serve(toServer)
    const wanted = { headers: { 'want-repr-digest': 'sha-256=1' } }
    expect((await get('metrics.csv', wanted)).headers['repr-digest']).toBeUndefined()
    expect(store.calls.read).toBe(0)
    const { headers } = await get('metrics.csv?redirect=false', wanted)
    expect(headers['repr-digest']).toMatch(/^sha-256=:/)
    expect((await get('metrics.csv', wanted)).headers['repr-digest']).toBe(headers['repr-digest'])
  })

  it('is left to it also when a download is resumed: it compares our tag', async () => {
    await serve(toServer)
    const answer = await get('metrics.csv', { headers: { range: 'bytes=5-', 'if-range': '"other"' } })
    expect(answer.headers['x-accel-redirect']).toBeDefined()
  })

  it('is served from here where the client will have it so, and for HEAD', async () => {
    await serve(toServer)
    expect(await get('metrics.csv?redirect=false')).toMatchObject({ status: 200, text: 'step,loss\n' })
    const head = await get('metrics.csv', { method: 'HEAD' })
    expect(head.headers['x-accel-redirect']).toBeUndefined()
    expect(head.headers['content-length']).toBe('10')
  })

  it.each([['files/a'], ['//elsewhere.example/a'], ['/a\r\nSet-Cookie: a=b'], ['/a b'], ['/é']])(
    'answers 500 rather than send a URI like %j',
    async uri => {
      await serve(() => ({ type: 'x-accel', uri }))
      const answer = await get('metrics.csv')
      expect(answer.status).toBe(500)
      expect(answer.headers['x-accel-redirect']).toBeUndefined()
      expect(answer.headers['set-cookie']).toBeUndefined()
    },
  )
})

describe.each<[string, DirectDelivery]>([
  ['a signed URL', toStore()],
  ['the web server in front', { type: 'x-accel', uri: '/files/page.html' }],
])('a page shown in place, where files come by %s', (_, delivery) => {
  const UUID = 'a1b2c3d4e5f647089a0b1c2d3e4f5a6b'
  const streams = (resource: string): Promise<Answer> =>
    ask(`${service.url}/streams/v1/ns/ann/mnist/runs/${UUID}/${resource}`)

  it('comes from here, for its sandbox is ours to say', async () => {
    await serve(() => delivery)
    store.write(`${UUID}/page.html`, '<p>')
    for (const resource of ['embedded_artifact?path=page.html', 'ro_artifact/page.html']) {
      const answer = await streams(resource)
      expect(answer).toMatchObject({ status: 200, text: '<p>' })
      expect(answer.headers['content-security-policy']).toBe('sandbox')
    }
    expect(asked).toEqual([])
    await streams('artifact?path=page.html&stream=true')
    expect(asked).toMatchObject([{ options: { disposition: 'attachment; filename="page.html"' } }])
  })
})
