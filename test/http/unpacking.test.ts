// Archives by PUT on a folder: their files appear there, or the answer says what did.
import { createHash } from 'node:crypto'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { gzipSync } from 'node:zlib'
import { parsePath } from '../../src/store/path.ts'
import { CountingStore } from '../support/changed-stores.ts'
import { ask } from '../support/checked.ts'
import { json, type Answer, type Ask } from '../support/client.ts'
import { startService, type Service } from '../support/service.ts'

const ID = 'ann/mnist/experiments/1'
const RUN = `/outputs/${ID}`

let service: Service
let store: CountingStore
beforeEach(async () => {
  store = new CountingStore()
  store.write(parsePath(`${ID}/kept.txt`), Buffer.from('kept'))
  store.write(parsePath(`${ID}/source/a.txt`), Buffer.from('a'))
  store.write(parsePath(`${ID}/source/deep/b.bin`), Buffer.alloc(700_000, 'b'))
  service = await startService('', {}, store)
})
afterEach(() => service.close())

const put = (path: string, body: string | Buffer, headers: Ask['headers'] = {}): Promise<Answer> =>
  ask(service.url + path, { method: 'PUT', body, headers })
const get = (path: string): Promise<Answer> => ask(service.url + path)

const problem = (answer: Answer) => json(answer) as { detail: string; written?: { files: number } }

/** The folder `source` as the service itself packs it. */
async function archive(query: string): Promise<Buffer> {
  const answer = await get(`${RUN}/source/?${query}`)
  expect(answer.status).toBe(200)
  return answer.body
}

async function listed(path = ''): Promise<string> {
  return (await get(`${RUN}/${path}?format=text&recursive`)).text
}

describe.each([
  ['tar', 'archive=tar'],
  ['tar.gz', 'archive=tar.gz'],
  ['zip', 'archive=zip'],
  ['zip', 'archive=zip&compress=true'],
])('a %s (%s)', (format, query) => {
  it('is unpacked into a folder', async () => {
    const answer = await put(`${RUN}/new/results/?unpack=${format}`, await archive(query))
    expect(answer.status).toBe(200)
    expect(json(answer)).toEqual({
      files: 2,
      bytes: 700_001,
      paths: ['new/results/a.txt', 'new/results/deep/b.bin'],
    })
    expect((await get(`${RUN}/new/results/a.txt`)).text).toBe('a')
    expect((await get(`${RUN}/new/results/deep/b.bin`)).body.equals(Buffer.alloc(700_000, 'b'))).toBe(true)
    expect(store.pending).toBe(0)
  })

  it('is unpacked into a run, beside what is there', async () => {
    expect((await put(`${RUN}/?unpack=${format}`, await archive(query))).status).toBe(200)
    expect(await listed()).toBe(
      'a.txt\ndeep/\ndeep/b.bin\nkept.txt\nsource/\nsource/a.txt\nsource/deep/\nsource/deep/b.bin\n',
    )
  })

  it('that is cut off says what was written, and removes that when asked to', async () => {
    const whole = await archive(query)
    // Behind its end a tar has only zeros.
    const cut = whole.subarray(0, whole.length - (format === 'tar' ? 1500 : 20))
    const kept = await put(`${RUN}/cut/?unpack=${format}`, cut)
    expect(kept.status).toBe(400)
    expect(json(kept)).toMatchObject({
      status: 400,
      written: { paths: expect.arrayContaining(['cut/a.txt']) as unknown },
    })
    expect((await get(`${RUN}/cut/a.txt`)).text).toBe('a')
    const removed = await put(`${RUN}/gone/?unpack=${format}&onFailure=remove`, cut)
    expect(removed.status).toBe(400)
    expect(json(removed)).toMatchObject({ failures: [] })
    expect((await get(`${RUN}/gone/?format=json`)).status).toBe(404)
    expect(store.pending).toBe(0)
  })
})

describe('an archive', () => {
  it('must be what the query says', async () => {
    const tar = await archive('archive=tar')
    for (const format of ['zip', 'tar.gz'])
      expect((await put(`${RUN}/x/?unpack=${format}`, tar)).status).toBe(400)
    const unknown = await put(`${RUN}/x/?unpack=rar`, tar)
    expect([unknown.status, problem(unknown).detail]).toEqual([400, expect.stringContaining('unpack')])
    const unsaid = await put(`${RUN}/x/`, tar)
    expect([unsaid.status, problem(unsaid).detail]).toEqual([400, expect.stringContaining('?unpack=')])
    expect(await listed()).not.toContain('x/')
  })

  it('is held to the digest of its body', async () => {
    const tar = await archive('archive=tar')
    const digest = (bytes: Buffer): string =>
      `sha-256=:${createHash('sha256').update(bytes).digest('base64')}:`
    const wrong = { 'Content-Digest': digest(Buffer.from('other')) }
    expect((await put(`${RUN}/x/?unpack=tar&onFailure=remove`, tar, wrong)).status).toBe(400)
    expect(await listed()).not.toContain('x/')
    const kept = problem(await put(`${RUN}/x/?unpack=tar`, tar, wrong))
    expect(kept.written?.files).toBeGreaterThan(0)
    expect(kept.detail).not.toContain('Nothing')
    expect((await put(`${RUN}/x/?unpack=tar`, tar, { 'Content-Digest': digest(tar) })).status).toBe(200)
  })

  it('that unpacks to too much is 413', async () => {
    const bomb = gzipSync(Buffer.alloc(64 * 1024 * 1024))
    const answer = await put(`${RUN}/x/?unpack=tar.gz`, bomb)
    expect([400, 413]).toContain(answer.status)
    await service.close()
    service = await startService('', { uploads: { maxUnpackedBytes: 1000 } }, store)
    const large = await put(`${RUN}/x/?unpack=tar`, await archive('archive=tar'))
    expect([large.status, problem(large).written?.files]).toEqual([413, 1])
  })

  it('with a file where a folder is says so, naming the member', async () => {
    store.write(parsePath(`${ID}/place/a.txt/inside`), Buffer.from('x'))
    const answer = await put(`${RUN}/place/?unpack=tar`, await archive('archive=tar'))
    expect(answer.status).toBe(409)
    expect(problem(answer).detail).toContain("'a.txt'")
  })

  it('is refused on a condition that a folder cannot meet', async () => {
    const answer = await put(`${RUN}/x/?unpack=tar`, await archive('archive=tar'), { 'If-Match': '"x"' })
    expect(answer.status).toBe(412)
    expect(store.begun).toBe(0)
  })
})
