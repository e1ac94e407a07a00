// Uploads by PUT: as a whole or not at all, and refused before they cost a byte.
import fc from 'fast-check'
import { createHash } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { AppError } from '../../src/errors.ts'
import { storeError } from '../../src/store/failure.ts'
import { parsePath } from '../../src/store/path.ts'
import { Connection } from '../faults/connection.ts'
import { CHANGED_STORES, CountingStore, type ChangedStore } from '../support/changed-stores.ts'
import { ask } from '../support/checked.ts'
import type { Answer, Ask } from '../support/client.ts'
import { json } from '../support/client.ts'
import { until } from '../support/process.ts'
import { startService, type Overrides, type Service } from '../support/service.ts'

const RUN = 'ann/mnist/experiments/1'
const FILE = `/outputs/${RUN}/folder/file.bin`

let service: Service
let store: ChangedStore

async function serve(served: ChangedStore, overrides: Overrides = {}): Promise<void> {
  store = served
  store.write(parsePath(`${RUN}/there.txt`), Buffer.from('before'))
  service = await startService('', overrides, store)
}

afterEach(async () => {
  await until(() => store.pending === 0)
  expect(store.leftovers()).toEqual([])
  await service.close()
})

const url = (path: string): string => service.url + path
const put = (path: string, body: string | Buffer, headers: Ask['headers'] = {}): Promise<Answer> =>
  ask(url(path), { method: 'PUT', body, headers })
const THERE = `/outputs/${RUN}/there.txt`

/** The text of a file; undefined where there is none. */
async function textOf(path: string): Promise<string | undefined> {
  const answer = await ask(url(path))
  return answer.status === 200 ? answer.text : undefined
}

/** A connection with the head of a PUT on its way. */
async function begin(path: string, ...fields: string[]): Promise<Connection> {
  const connection = await Connection.open(service.port)
  connection.send(`PUT ${path} HTTP/1.1\r\nHost: localhost:${service.port}\r\n${fields.join('\r\n')}\r\n\r\n`)
  return connection
}

describe.each(CHANGED_STORES)('on %s', (_store, make) => {
  beforeEach(() => serve(make()))

  async function restart(overrides: Overrides): Promise<void> {
    await service.close()
    await serve(make(), overrides)
  }

  describe('a file', () => {
    it('is there with the tag of the answer, 201 when it is new and 204 when it replaces one', async () => {
      for (const [content, status] of [
        ['first', 201],
        ['second', 204],
        ['', 204],
      ] as const) {
        const answer = await put(FILE, content)
        expect([answer.status, answer.text]).toEqual([status, ''])
        expect(answer.headers.location).toBeUndefined()
        const read = await ask(url(FILE))
        expect([read.text, read.headers.etag]).toEqual([content, answer.headers.etag])
      }
      expect(store.pending).toBe(0)
    })

    it('makes its run where there is none, in the first place that has no wildcard', async () => {
      expect((await put('/outputs/ann/mnist/experiments/77/a.txt', 'new')).status).toBe(201)
      expect((await store.stat(parsePath('ann/mnist/experiments/77/a.txt'))).size).toBe(3)
      expect((await put('/outputs/ann/mnist/experiments/abc/a.txt', 'new')).status).toBe(404)
    })

    it('gets into the group of an experiment that has one', async () => {
      store.write(parsePath('ann/mnist/groups/3/8/x'), Buffer.from('x'))
      expect((await put('/outputs/ann/mnist/experiments/8/a.txt', 'new')).status).toBe(201)
      expect((await store.stat(parsePath('ann/mnist/groups/3/8/a.txt'))).size).toBe(3)
    })

    it('may have any name that a URL can say', async () => {
      for (const name of ['a b%c#d?.txt', '..x', 'ü/模型.pt', 'a+b', "it's"]) {
        const path = `/outputs/${RUN}/${name.split('/').map(encodeURIComponent).join('/')}`
        expect((await put(path, name)).status).toBe(201)
        expect(await textOf(path)).toBe(name)
      }
    })

    it.each([
      ['/../../x', 400],
      ['/%2e%2e/x', 400],
      ['/a%00b', 400],
      ['/..%5c..%5cx', 400],
      [`/${'x'.repeat(300)}`, 400],
      ['//x', 400],
    ])('is refused as %s', async (path, status) => {
      expect((await put(`/outputs/${RUN}${path}`, 'x')).status).toBe(status)
      expect(store.begun).toBe(0)
    })

    it('comes in chunks without a length, too', async () => {
      const connection = await begin(FILE, 'Transfer-Encoding: chunked', 'Connection: close')
      connection.send('3\r\nabc\r\n')
      await sleep(20)
      connection.send('2;x=y\r\nde\r\n0\r\nTrailer: x\r\n\r\n')
      expect((await connection.head()).status).toBe(201)
      expect(await textOf(FILE)).toBe('abcde')
    })
  })

  describe('what cannot be put', () => {
    it.each([
      ['a folder', `/outputs/${RUN}/folder/`, 400, undefined],
      ['a run', `/outputs/${RUN}/`, 400, undefined],
      ['a run without its slash', `/outputs/${RUN}`, 405, 'GET, HEAD'],
      ['a kind', '/outputs/ann/mnist/experiments/', 405, 'GET, HEAD'],
      ['an owner', '/outputs/ann', 405, 'GET, HEAD'],
      ['everything', '/outputs/', 405, 'GET, HEAD'],
    ])('%s', async (_what, path, status, allow) => {
      const answer = await put(path, 'x')
      expect([answer.status, answer.headers.allow]).toEqual([status, allow])
    })

    it('a file where a folder is, and one below a file: a conflict', async () => {
      store.makeDirectory(parsePath(`${RUN}/folder`))
      const folder = await put(`/outputs/${RUN}/folder`, 'x')
      const below = await put(`${THERE}/x`, 'x')
      for (const answer of [folder, below]) {
        expect(answer.status).toBe(409)
        expect(json(answer)).toMatchObject({ type: 'urn:polyaxon-outputs:problem:already-exists' })
      }
      expect(await textOf(THERE)).toBe('before')
    })

    it.each([
      [{ 'content-range': 'bytes 0-2/10' }, 400],
      [{ 'content-encoding': 'gzip' }, 415],
      [{ 'content-encoding': 'identity, gzip' }, 415],
    ])('%j', async (headers, status) => {
      const answer = await put(THERE, 'abc', headers)
      expect(answer.status).toBe(status)
      if (status === 415) expect(answer.headers['accept-encoding']).toBe('identity')
      expect(await textOf(THERE)).toBe('before')
    })

    it('a part, or anything else that a query might ask for', async () => {
      expect((await put(`${THERE}?append=true`, 'abc')).status).toBe(400)
      expect((await put(`${THERE}?connection=other`, 'abc')).status).toBe(404)
      expect((await put(`${THERE}?connection=outputs`, 'abc')).status).toBe(204)
    })

    it('a body of HTTP/1.0 whose length nobody knows', async () => {
      const connection = await Connection.open(service.port)
      connection.send(`PUT ${FILE} HTTP/1.0\r\nHost: localhost:${service.port}\r\n\r\n`)
      expect((await connection.head()).status).toBe(400)
      expect(await textOf(FILE)).toBeUndefined()
    })

    it('without a coding is one of identity', async () => {
      expect((await put(FILE, 'abc', { 'content-encoding': 'identity' })).status).toBe(201)
    })
  })

  describe('conditions', () => {
    const current = async (): Promise<string> => (await ask(url(THERE))).headers.etag!

    it.each([
      ['if-none-match', '*', 412, 201],
      ['if-match', '*', 204, 412],
      ['if-match', '{tag}', 204, 412],
      ['if-match', '"other", {tag}', 204, 412],
      ['if-match', 'W/{tag}', 412, 412],
      ['if-match', '"other"', 412, 412],
      ['if-match', 'other', 412, 412],
      ['if-none-match', '{tag}', 412, 201],
      ['if-none-match', 'W/{tag}', 412, 201],
      ['if-none-match', '"other"', 204, 201],
      ['if-none-match', 'other', 412, 412],
      ['if-unmodified-since', 'Tue, 01 Sep 2020 08:30:00 GMT', 412, 201],
      ['if-unmodified-since', 'Tue, 01 Sep 2099 08:30:00 GMT', 204, 201],
      ['if-unmodified-since', 'yesterday', 204, 201],
      ['if-modified-since', 'Tue, 01 Sep 2099 08:30:00 GMT', 204, 201],
    ] as const)(
      '%s: %s where there is a file and where there is none',
      async (name, value, there, absent) => {
        const headers = { [name]: value.replace('{tag}', await current()) }
        expect((await put(THERE, 'after', headers)).status).toBe(there)
        expect(await textOf(THERE)).toBe(there === 412 ? 'before' : 'after')
        expect((await put(FILE, 'new', headers)).status).toBe(absent)
        expect(await textOf(FILE)).toBe(absent === 412 ? undefined : 'new')
      },
    )

    it('are looked at before the body is asked for', async () => {
      const connection = await begin(
        THERE,
        'If-None-Match: *',
        'Expect: 100-continue',
        'Content-Length: 100000000',
      )
      expect((await connection.head()).status).toBe(412)
      expect(store.begun).toBe(0)
      connection.destroy()
    })

    it.each([
      ['If-None-Match: *', FILE],
      ['If-Match: {tag}', THERE],
      ['If-Match: *', THERE],
      ['If-None-Match: "other"', THERE],
    ])('%s still holds in the moment in which the file appears', async (field, path) => {
      const tag = await current()
      const connection = await begin(path, field.replace('{tag}', tag), 'Content-Length: 6')
      connection.send('mi')
      await until(() => store.written === 2)
      if (field === 'If-Match: *') store.forget(parsePath(`${RUN}/there.txt`))
      else expect((await put(path, 'theirs')).status).toBeLessThan(300)
      connection.send('ne!!')
      expect((await connection.head()).status).toBe(412)
      expect(await textOf(path)).toBe(field === 'If-Match: *' ? undefined : 'theirs')
      await until(() => store.pending === 0)
    })

    it('of 8 who create one file at once let exactly one through', async () => {
      const answers = await Promise.all(
        Array.from({ length: 8 }, (_, i) => put(FILE, `writer ${i}`, { 'if-none-match': '*' })),
      )
      const statuses = answers.map(({ status }) => status)
      expect(statuses.filter(status => status === 201)).toHaveLength(1)
      expect(statuses.filter(status => status === 412)).toHaveLength(7)
      expect(await textOf(FILE)).toBe(`writer ${statuses.indexOf(201)}`)
    })
  })

  describe('a client that waits for being asked (Expect: 100-continue)', () => {
    it('is asked when nothing speaks against its body, and answered when it has come', async () => {
      const connection = await begin(FILE, 'Expect: 100-continue', 'Content-Length: 3')
      expect((await connection.head()).status).toBe(100)
      connection.send('abc')
      expect((await connection.head()).status).toBe(201)
      connection.destroy()
      expect(await textOf(FILE)).toBe('abc')
    })

    it.each([
      ['a path that is none', `/outputs/${RUN}/a/../../b%00`, [], 400],
      ['a folder', `/outputs/${RUN}/x/`, [], 400],
      ['a part', THERE, ['Content-Range: bytes 0-2/10'], 400],
      ['a coding', THERE, ['Content-Encoding: gzip'], 415],
      ['a digest that cannot be read', THERE, ['Content-Digest: sha-256=x'], 400],
      ['a page of another site', THERE, ['Sec-Fetch-Site: cross-site'], 403],
      ['a file where a folder would be', `${THERE}/x`, [], 409],
      ['a size', THERE, ['Content-Length: 100000000000000'], 413],
    ])('is refused at once for %s', async (_what, path, fields, status) => {
      const length = fields.some(field => field.startsWith('Content-Length')) ? [] : ['Content-Length: 1000']
      const connection = await begin(path, 'Expect: 100-continue', ...length, ...fields)
      const head = await connection.head()
      expect([head.status, head.headers.get('connection')]).toEqual([status, 'close'])
      connection.destroy()
      expect(store.written).toBe(0)
    })

    it('of HTTP/1.0 is not asked, because it cannot wait', async () => {
      const connection = await Connection.open(service.port)
      connection.send(
        `PUT ${FILE} HTTP/1.0\r\nHost: localhost:${service.port}\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\nabc`,
      )
      expect((await connection.head()).status).toBe(201)
    })

    it('with a list in its body is asked too', async () => {
      const connection = await Connection.open(service.port)
      const body = JSON.stringify({ paths: ['there.txt'] })
      connection.send(
        `POST /outputs/${RUN}/?archive=tar HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\n` +
          `Content-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n`,
      )
      expect((await connection.head()).status).toBe(100)
      connection.send(body)
      expect((await connection.head()).status).toBe(200)
      connection.destroy()
    })
  })

  describe('a refusal', () => {
    it('gets to a client that goes on sending, and then the connection ends', async () => {
      const connection = await begin(THERE, 'If-None-Match: *', 'Content-Length: 100000000')
      connection.send('x'.repeat(600_000))
      const head = await connection.head()
      expect([head.status, head.headers.get('connection')]).toEqual([412, 'close'])
      connection.send('x'.repeat(900_000))
      const askedAt = performance.now()
      await connection.drain()
      expect(performance.now() - askedAt).toBeLessThan(3_000)
      expect(await textOf(THERE)).toBe('before')
    })

    it('of a body that does not come keeps the connection for two seconds, not longer', async () => {
      const connection = await begin(THERE, 'If-None-Match: *', 'Content-Length: 10')
      expect((await connection.head()).status).toBe(412)
      const askedAt = performance.now()
      expect((await connection.drain()).ending).toBe('end')
      expect(performance.now() - askedAt).toBeLessThan(4_000)
    })

    it('of a body that has come leaves the connection for the next request', async () => {
      const connection = await begin(THERE, 'If-None-Match: *', 'Content-Length: 3')
      connection.send('abc')
      const { status, headers } = await connection.head()
      expect(status).toBe(412)
      await connection.skip(Number(headers.get('content-length')))
      if (headers.get('connection') === 'close') return
      connection.send(`GET ${THERE} HTTP/1.1\r\nHost: localhost\r\n\r\n`)
      expect((await connection.head()).status).toBe(200)
      connection.destroy()
    })

    it('is not needed where a client of a GET never sends the body that it announced', async () => {
      const connection = await Connection.open(service.port)
      connection.send(`GET ${THERE} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\nabc`)
      expect((await connection.head()).status).toBe(200)
      const trickle = setInterval(() => connection.send('x'), 900)
      const askedAt = performance.now()
      await connection.drain()
      clearInterval(trickle)
      expect(performance.now() - askedAt).toBeLessThan(4_000)
    })
  })

  describe('a body that is not whole', () => {
    it.each([
      ['ends before its length', ['Content-Length: 10'], 'abc', 'end'],
      ['is cut before its length', ['Content-Length: 10'], 'abc', 'reset'],
      ['ends before its last chunk', ['Transfer-Encoding: chunked'], '3\r\nabc\r\n', 'end'],
      ['is cut in a chunk', ['Transfer-Encoding: chunked'], '30\r\nabc', 'reset'],
    ])('%s: nothing is stored, and nothing is left', async (_what, fields, body, ending) => {
      for (const path of [FILE, THERE]) {
        const before = store.written
        const connection = await begin(path, ...fields)
        connection.send(body)
        await until(() => store.written === before + 3)
        if (ending === 'end') connection.destroy()
        else connection.reset()
        await until(() => store.pending === 0)
      }
      expect(await textOf(FILE)).toBeUndefined()
      expect(await textOf(THERE)).toBe('before')
    })

    it.each(['zz\r\nabc\r\n', '3\r\nabcdef\r\n', '3\nabc\n'])(
      'has chunks that are none (%j): 400, and nothing is stored',
      async body => {
        const connection = await begin(THERE, 'Transfer-Encoding: chunked')
        connection.send(body)
        expect((await connection.head()).status).toBe(400)
        connection.destroy()
        await until(() => store.pending === 0)
        expect(await textOf(THERE)).toBe('before')
      },
    )

    it('100 times over leaves nothing behind', async () => {
      const connections = await Promise.all(
        Array.from({ length: 100 }, async (_, i) => {
          const connection = await begin(`/outputs/${RUN}/many/${i}`, 'Content-Length: 100')
          connection.send('x'.repeat(i))
          return connection
        }),
      )
      await until(() => store.begun === 100)
      for (const connection of connections) connection.reset()
      await until(() => store.pending === 0)
      expect((await ask(url(`/outputs/${RUN}/many/`))).status).toBe(404)
    })

    it('however it is cut, and wherever: then nothing has changed, else all of it is there', async () => {
      await fc.assert(
        fc.asyncProperty(
          fc.array(fc.string({ unit: 'binary-ascii', minLength: 1, maxLength: 2000 }), { maxLength: 6 }),
          fc.boolean(),
          fc.option(fc.nat()),
          async (pieces, chunked, cut) => {
            store.write(parsePath(`${RUN}/there.txt`), Buffer.from('before'))
            const { begun } = store
            const content = pieces.join('')
            const framing = chunked ? 'Transfer-Encoding: chunked' : `Content-Length: ${content.length}`
            const framed = chunked
              ? [...pieces.map(piece => `${piece.length.toString(16)}\r\n${piece}\r\n`), '0\r\n\r\n']
              : pieces
            const size = framed.join('').length
            // Without its last byte, a body is never whole.
            const end = cut === null || size === 0 ? size : cut % size
            const connection = await begin(THERE, framing)
            let sent = 0
            for (const piece of framed) {
              connection.send(piece.slice(0, Math.max(0, end - sent)))
              sent += piece.length
              await sleep(0)
            }
            if (end < size) {
              await until(() => store.begun > begun)
              connection.destroy()
              await until(() => store.pending === 0)
              expect(await textOf(THERE)).toBe('before')
            } else {
              expect((await connection.head()).status).toBe(204)
              connection.destroy()
              expect(await textOf(THERE)).toBe(content)
            }
          },
        ),
        { numRuns: 60 },
      )
    })
  })

  describe('digests', () => {
    const sha256 = (text: string): string => `sha-256=:${createHash('sha256').update(text).digest('base64')}:`

    it.each(['content-digest', 'repr-digest'])('%s is checked before the file appears', async field => {
      expect((await put(FILE, 'content', { [field]: sha256('content') })).status).toBe(201)
      const answer = await put(FILE, 'damaged', { [field]: sha256('content') })
      expect(answer.status).toBe(400)
      expect((json(answer) as { detail: string }).detail).toMatch(new RegExp(`${field}.*damaged`, 'i'))
      expect(await textOf(FILE)).toBe('content')
      expect(store.pending).toBe(0)
    })

    it('of one kind may come with those of another, and all count', async () => {
      const md5 = createHash('md5').update('content').digest('base64')
      const headers = { 'content-md5': md5, 'repr-digest': `unixsum=:AAA=:, ${sha256('content')}` }
      expect((await put(FILE, 'content', headers)).status).toBe(201)
      expect((await put(FILE, 'other', { 'content-md5': md5 })).status).toBe(400)
      expect((await put(FILE, 'other', { 'content-digest': 'sha-256=xyz' })).status).toBe(400)
    })
  })

  describe('a limit on the size', () => {
    it('is kept before the first byte where the length is known, else when it is reached', async () => {
      await restart({ uploads: { maxBytes: 10 } })
      expect((await put(FILE, 'x'.repeat(10))).status).toBe(201)
      expect((await put(THERE, 'x'.repeat(11))).status).toBe(413)
      expect(store.begun).toBe(1)
      const connection = await begin(THERE, 'Transfer-Encoding: chunked')
      connection.send(`6\r\n${'x'.repeat(6)}\r\n5\r\n${'x'.repeat(5)}\r\n`)
      expect((await connection.head()).status).toBe(413)
      connection.destroy()
      await until(() => store.pending === 0)
      expect(await textOf(THERE)).toBe('before')
    })
  })

  describe('a body that stands still', () => {
    it('is given up with 408 and closed, and one that only takes its time is not', async () => {
      await restart({ uploads: { idleTimeoutMs: 300 } })
      const still = await begin(THERE, 'Content-Length: 10')
      still.send('abc')
      const slow = await begin(FILE, 'Content-Length: 10')
      for (let i = 0; i < 10; i++) {
        slow.send('x')
        await sleep(100)
      }
      expect((await slow.head()).status).toBe(201)
      const head = await still.head()
      expect([head.status, head.headers.get('connection')]).toEqual([408, 'close'])
      expect((await still.drain()).ending).toBe('end')
      expect([await textOf(THERE), await textOf(FILE)]).toEqual(['before', 'x'.repeat(10)])
      slow.destroy()
    })
  })
})

describe('a store that takes no changes, or no more', () => {
  it('refuses with its reason, before the body', async () => {
    class ReadOnly extends CountingStore {
      override checkWritable(): Promise<void> {
        return Promise.reject(new AppError('PermissionDenied', 'The store is read-only (readOnly: true).'))
      }
    }
    await serve(new ReadOnly())
    const connection = await begin(THERE, 'Expect: 100-continue', 'Content-Length: 1000000')
    expect((await connection.head()).status).toBe(403)
    expect((await connection.take())!.toString()).toContain('read-only')
    connection.destroy()
  })

  it('is full: 507, and nothing is left', async () => {
    class Full extends CountingStore {
      override async create(
        ...args: Parameters<CountingStore['create']>
      ): ReturnType<CountingStore['create']> {
        const pending = await super.create(...args)
        let bytes = 0
        const write = async (chunk: Uint8Array): Promise<void> => {
          if ((bytes += chunk.length) > 100_000) throw storeError('NoSpace', 'write', args[0])
          return pending.write(chunk)
        }
        return { ...pending, write }
      }
    }
    await serve(new Full())
    const answer = await put(THERE, Buffer.alloc(300_000))
    expect(answer.status).toBe(507)
    expect(await textOf(THERE)).toBe('before')
    await until(() => store.pending === 0)
    expect((await put(THERE, 'fits')).status).toBe(204)
  })
})
