// Uploads by a form: each file as a whole or not at all, in its turn, and what came of it is said.
import fc from 'fast-check'
import { connect } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { AppError } from '../../src/errors.ts'
import { parsePath, type ArtifactPath } from '../../src/store/path.ts'
import type { CreateOptions, PendingArtifact } from '../../src/store/store.ts'
import { Connection } from '../faults/connection.ts'
import { CHANGED_STORES, CountingStore, type ChangedStore } from '../support/changed-stores.ts'
import { ask } from '../support/checked.ts'
import { json, type Answer, type Ask } from '../support/client.ts'
import { BOUNDARY, END, fieldPart, filePart, form, FORM_TYPE, MALFORMED, part } from '../support/form.ts'
import { until } from '../support/process.ts'
import { startService, type Overrides, type Service } from '../support/service.ts'

const ID = 'ann/mnist/experiments/1'
const RUN = `/outputs/${ID}/`

/** What would be a boundary in a file, which no form may have. */
const NEARLY = new RegExp(`(^|\\r\\n)--(?=${BOUNDARY})`, 'g')

let service: Service
let store: ChangedStore

async function serve(served: ChangedStore, overrides: Overrides = {}): Promise<void> {
  store = served
  store.write(parsePath(`${ID}/there.txt`), Buffer.from('before'))
  service = await startService('', overrides, store)
}

afterEach(async () => {
  expect([store.pending, store.leftovers()]).toEqual([0, []])
  await service.close()
})

const url = (path: string): string => service.url + path
const post = (body: Buffer, headers: Ask['headers'] = {}, path = RUN): Promise<Answer> =>
  ask(url(path), { method: 'POST', body, headers: { 'content-type': FORM_TYPE, ...headers } })

/** The text of a file in the run, by its path in URLs; undefined where there is none. */
async function textOf(path: string): Promise<string | undefined> {
  const answer = await ask(url(RUN + path))
  return answer.status === 200 ? answer.text : undefined
}

interface Files {
  readonly files: readonly {
    path: string
    size?: number
    etag?: string
    status?: number
    problem?: { status: number }
  }[]
}

/** What came of each file: its path and its status. */
const outcomes = (answer: Answer): [string, number][] =>
  (json(answer) as Files).files.map(({ path, status, problem }) => [path, problem?.status ?? status!])

/** A connection with the head of a form on its way. */
async function begin(length: number | 'chunked', ...fields: string[]): Promise<Connection> {
  const connection = await Connection.open(service.port)
  const framing = length === 'chunked' ? 'Transfer-Encoding: chunked' : `Content-Length: ${length}`
  const type = fields.some(field => field.startsWith('Content-Type')) ? [] : [`Content-Type: ${FORM_TYPE}`]
  const head = [`POST ${RUN} HTTP/1.1`, `Host: localhost:${service.port}`, framing, ...type, ...fields]
  connection.send(`${head.join('\r\n')}\r\n\r\n`)
  return connection
}

const sendBytes = (connection: Connection, bytes: Buffer): void => connection.send(bytes.toString('latin1'))

describe.each(CHANGED_STORES)('%s', (_title, make) => {
  beforeEach(() => serve(make()))

  describe('a form', () => {
    it('stores its files as they are, and says what is new and what was replaced', async () => {
      const bytes = Buffer.from(Array.from({ length: 300_000 }, (_, i) => i % 251))
      const answer = await post(
        form(
          filePart('new.bin', bytes),
          fieldPart('note', 'x'),
          filePart('there.txt', 'after'),
          filePart('empty', ''),
        ),
      )
      expect(answer.status).toBe(201)
      expect(outcomes(answer)).toEqual([
        ['new.bin', 201],
        ['there.txt', 204],
        ['empty', 201],
      ])
      const read = await ask(url(`${RUN}new.bin`))
      expect(read.body.equals(bytes)).toBe(true)
      expect((json(answer) as Files).files[0]).toMatchObject({ size: bytes.length, etag: read.headers.etag })
      expect(await textOf('there.txt')).toBe('after')
      expect(await textOf('empty')).toBe('')
    })

    it('goes into the folder of its URL, and makes it, and the run', async () => {
      for (const path of [`${RUN}a/b%20c/`, '/outputs/ann/mnist/experiments/77/']) {
        expect((await post(form(filePart('x.txt', path)), {}, path)).status).toBe(201)
        expect((await ask(url(`${path}x.txt`))).text).toBe(path)
      }
      expect((await post(form(filePart('x', 'x')), {}, '/outputs/ann/mnist/experiments/abc/')).status).toBe(
        404,
      )
    })

    it.each([
      ['sub/dir/file.txt', 'sub/dir/file.txt'],
      ['ü/模型 – résumé.pt', 'ü/模型 – résumé.pt'],
      ['50%.txt', '50%.txt'],
      ['a%22b%0Ac', 'a"b\nc'],
      ['a\\"b', 'a"b'],
      ['..x', '..x'],
      ["it's a+b;c=d.txt", "it's a+b;c=d.txt"],
      ['a\\b.txt', 'a\\b.txt'],
    ])('calls %j %j', async (filename, name) => {
      expect(outcomes(await post(form(filePart(filename, 'x'))))).toEqual([[name, 201]])
      expect(await textOf(name.split('/').map(encodeURIComponent).join('/'))).toBe('x')
    })

    it('gives a file the name in filename*, where it has one', async () => {
      const head = `Content-Disposition: form-data; name="f"; filename="e.txt"; filename*=UTF-8''%e2%82%ac.txt`
      expect(outcomes(await post(form(part([head], 'x'))))).toEqual([['€.txt', 201]])
    })

    it('may have anything before, between and after its parts that is no file', async () => {
      const body = Buffer.concat([
        Buffer.from('preamble\r\n'),
        form(part(['X-Other: y'], 'x'), filePart('', ''), filePart('a.txt', 'a'), fieldPart('b[c][]', '1')),
        Buffer.from('epilogue'),
      ])
      expect(outcomes(await post(body))).toEqual([['a.txt', 201]])
    })

    it('comes in chunks without a length, too', async () => {
      const connection = await begin('chunked', 'Connection: close')
      for (const byte of form(filePart('chunked', 'abc\r\n--def'))) {
        connection.send(`1\r\n${String.fromCharCode(byte)}\r\n`)
        if (byte === 0x0a) await sleep(1)
      }
      connection.send('0\r\n\r\n')
      expect((await connection.head()).status).toBe(201)
      expect(await textOf('chunked')).toBe('abc\r\n--def')
    })

    it.each([
      '../x',
      'a/../../x',
      '..',
      '/etc/passwd',
      'a//b',
      'a/',
      './a',
      'C:\\Users\\ann\\x.txt',
      'c:\\\\x.txt',
      '\\\\\\\\server\\share\\x.txt',
      '..\\..\\x',
      'a%00b/../x',
      'x'.repeat(300),
    ])('stores all but a file called %j', async filename => {
      const answer = await post(form(filePart('a', 'a'), filePart(filename, 'bad'), filePart('z', 'z')))
      expect(answer.status).toBe(400)
      expect(outcomes(answer).map(([, status]) => status)).toEqual([201, 400, 201])
      expect([await textOf('a'), await textOf('z')]).toEqual(['a', 'z'])
      expect(store.begun).toBe(2)
    })

    it('stores all but files whose names are no UTF-8, which would all be one', async () => {
      const latin1 = Buffer.concat([
        Buffer.from(`--${BOUNDARY}\r\nContent-Disposition: form-data; name="f"; filename="`),
        Buffer.from('\u00e4.txt', 'latin1'),
        Buffer.from('"\r\n\r\nx\r\n'),
      ])
      expect((await post(form(latin1, filePart('z', 'z')))).status).toBe(400)
      expect(await textOf('z')).toBe('z')
    })

    it('stores all but a file that is coded', async () => {
      const head = [
        'Content-Disposition: form-data; name="f"; filename="b"',
        'Content-Transfer-Encoding: BASE64',
      ]
      const answer = await post(form(part(head, 'eA=='), filePart('z', 'z')))
      expect([answer.status, await textOf('b'), await textOf('z')]).toEqual([415, undefined, 'z'])
    })

    it('stores the first of two files of one name', async () => {
      const answer = await post(form(filePart('a', 'one'), filePart('a', 'two'), filePart('b', 'b', 'other')))
      expect(answer.status).toBe(409)
      expect(outcomes(answer)).toEqual([
        ['a', 201],
        ['a', 409],
        ['b', 201],
      ])
      expect(await textOf('a')).toBe('one')
    })

    it('stores all but what has a folder in its place, or a file in the place of its folder', async () => {
      store.makeDirectory(parsePath(`${ID}/folder`))
      const answer = await post(
        form(filePart('folder', 'x'), filePart('there.txt/x', 'x'), filePart('z', 'z')),
      )
      expect(answer.status).toBe(409)
      expect(json(answer)).toMatchObject({
        type: 'urn:polyaxon-outputs:problem:already-exists',
        path: 'folder',
        detail: expect.stringMatching(/^Of the 3 files that were read 1 are stored: see files\./),
      })
      expect(outcomes(answer).map(([, status]) => status)).toEqual([409, 409, 201])
    })
  })

  describe('conditions', () => {
    it.each([
      ['?overwrite=false', {}, 412, 201],
      ['?overwrite=0', {}, 412, 201],
      ['?overwrite=true', {}, 204, 201],
      ['?overwrite', {}, 204, 201],
      ['', { 'if-none-match': '*' }, 412, 201],
      ['', { 'if-match': '*' }, 204, 412],
      ['', { 'if-match': '"other"' }, 412, 412],
      ['?overwrite=false', { 'if-match': '*' }, 412, 412],
    ])('%s %j: %i where a file is, %i where none is', async (query, headers, there, absent) => {
      const answer = await post(
        form(filePart('there.txt', 'after'), filePart('new.txt', 'new')),
        headers,
        RUN + query,
      )
      expect(answer.status).toBe(there === 412 || absent === 412 ? 412 : 201)
      expect(outcomes(answer)).toEqual([
        ['there.txt', there],
        ['new.txt', absent],
      ])
      expect(await textOf('there.txt')).toBe(there === 412 ? 'before' : 'after')
      expect(await textOf('new.txt')).toBe(absent === 412 ? undefined : 'new')
    })

    it('still hold in the moment in which a file appears', async () => {
      const body = form(filePart('new.txt', 'mine!'))
      const connection = await begin(body.length, 'If-None-Match: *')
      const half = body.indexOf('ine!')
      sendBytes(connection, body.subarray(0, half))
      await until(() => store.begun === 1)
      store.write(parsePath(`${ID}/new.txt`), Buffer.from('theirs'))
      sendBytes(connection, body.subarray(half))
      expect((await connection.head()).status).toBe(412)
      connection.destroy()
      expect(await textOf('new.txt')).toBe('theirs')
    })
  })

  it('takes any files in any pieces as they are', async () => {
    const content = fc.oneof(
      fc.uint8Array({ maxLength: 3000 }).map(bytes => Buffer.from(bytes)),
      // What is nearly a boundary.
      fc
        .array(fc.constantFrom('\r\n', '--', `\r\n--${BOUNDARY.slice(0, -1)}`, BOUNDARY, '\r', '\n', 'x'), {
          maxLength: 20,
        })
        .map(pieces => Buffer.from(pieces.join('').replaceAll(NEARLY, '$1-'))),
    )
    await fc.assert(
      fc.asyncProperty(
        fc.array(content, { minLength: 1, maxLength: 6 }),
        fc.infiniteStream(fc.integer({ min: 1, max: 500 })),
        async (contents, sizes) => {
          const body = form(...contents.map((bytes, i) => filePart(`any/${i}`, bytes)))
          const connection = await begin(body.length)
          for (let at = 0; at < body.length;) {
            const size = sizes.next().value as number
            sendBytes(connection, body.subarray(at, at + size))
            at += size
            if (size % 3 === 0) await sleep(0)
          }
          expect((await connection.head()).status).toBe(201)
          connection.destroy()
          for (const [i, bytes] of contents.entries())
            expect((await ask(url(`${RUN}any/${i}`))).body.equals(bytes)).toBe(true)
        },
      ),
      { numRuns: 25 },
    )
  })

  it('cut anywhere, has stored each file whole or not at all', async () => {
    const contents = [Buffer.alloc(0), Buffer.from('a'), Buffer.alloc(70_000, 'b'), Buffer.alloc(200, 'c')]
    const body = form(...contents.map((bytes, i) => filePart(`cut/${i}`, bytes)))
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 0, max: body.length - 1 }), fc.boolean(), async (cut, resets) => {
        store.forget(parsePath(`${ID}/cut`))
        const connection = await begin(body.length)
        sendBytes(connection, body.subarray(0, cut))
        await sleep(20)
        if (resets) connection.reset()
        else connection.destroy()
        await until(() => store.pending === 0)
        await sleep(5)
        for (const [i, bytes] of contents.entries())
          expect([undefined, bytes.toString()]).toContain(await textOf(`cut/${i}`))
      }),
      { numRuns: 25 },
    )
  })
})

describe('what is no form', () => {
  beforeEach(() => serve(new CountingStore()))

  it.each(MALFORMED)('$what: $status', async ({ type = FORM_TYPE, body, status }) => {
    const answer = await post(body, { 'content-type': type })
    expect([answer.status, store.pending]).toEqual([status, 0])
    expect(await textOf('cut')).toBeUndefined()
    expect((await post(form(filePart('after', 'x')))).status).toBe(201)
  })

  it.each(['multipart/mixed; boundary=x', 'application/json', 'text/plain', 'multipart/form-datax', ''])(
    'of the type %j is refused',
    async type => {
      const answer = await post(form(filePart('a', 'a')), { 'content-type': type })
      expect([answer.status, store.begun]).toEqual([400, 0])
      expect(json(answer)).toMatchObject({ detail: expect.stringContaining('multipart/form-data') })
    },
  )

  it('keeps the files that came whole before it went wrong, and says so', async () => {
    const answer = await post(
      Buffer.concat([filePart('whole', 'a'), filePart('cut', 'content').subarray(0, -5)]),
    )
    expect(answer.status).toBe(400)
    expect(outcomes(answer)).toEqual([
      ['whole', 201],
      ['cut', 400],
    ])
    expect([await textOf('whole'), await textOf('cut')]).toEqual(['a', undefined])
  })
})

describe('a form on its way', () => {
  beforeEach(() => serve(new CountingStore()))

  async function restart(overrides: Overrides, served: ChangedStore = new CountingStore()): Promise<void> {
    await service.close()
    await serve(served, overrides)
  }

  it('sends a browser back to the folder', async () => {
    const accept = 'text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8'
    const back = async (path: string, headers: Ask['headers']): Promise<unknown[]> => {
      const { status, headers: fields } = await post(form(filePart('a', 'a')), headers, path)
      return [status, fields.location]
    }
    expect(await back(RUN, { accept })).toEqual([303, './'])
    expect(await back(`${RUN}?connection=outputs`, { accept })).toEqual([303, './?connection=outputs'])
    for (const other of ['*/*', 'application/json', 'application/json, text/html;q=0.5'])
      expect(await back(RUN, { accept: other })).toEqual([201, undefined])
    const refused = await post(form(filePart('../a', 'a')), { accept })
    expect([refused.status, refused.headers['content-type']]).toEqual([400, 'application/problem+json'])
  })

  it('is taken from a page of the service itself, and from no other', async () => {
    const from = (origin: string): Promise<Answer> => post(form(filePart('a', 'a')), { origin })
    expect((await from(`http://127.0.0.1:${service.port}`)).status).toBe(201)
    expect((await from('http://evil.example')).status).toBe(403)
    expect((await from('null')).status).toBe(403)
    expect(store.begun).toBe(1)
  })

  it('is asked for when nothing speaks against it (Expect: 100-continue)', async () => {
    const body = form(filePart('a', 'a'))
    const connection = await begin(body.length, 'Expect: 100-continue')
    expect((await connection.head()).status).toBe(100)
    sendBytes(connection, body)
    expect((await connection.head()).status).toBe(201)
    connection.destroy()
  })

  it.each([
    ['a page of another site', ['Sec-Fetch-Site: cross-site'], 403],
    ['no boundary', ['Content-Type: multipart/form-data'], 400],
    ['another type', ['Content-Type: multipart/mixed; boundary=x'], 400],
    ['a coding', ['Content-Encoding: gzip'], 415],
  ])('is refused at once for %s', async (_what, fields, status) => {
    const connection = await begin(100_000_000, 'Expect: 100-continue', ...fields)
    const head = await connection.head()
    expect([head.status, head.headers.get('connection')]).toEqual([status, 'close'])
    connection.destroy()
    expect(store.begun).toBe(0)
  })

  it('is refused at once by a store that takes no changes', async () => {
    class ReadOnly extends CountingStore {
      override checkWritable(): Promise<void> {
        return Promise.reject(new AppError('PermissionDenied', 'It is read-only.'))
      }
    }
    await restart({}, new ReadOnly())
    const connection = await begin(100_000_000, 'Expect: 100-continue')
    expect((await connection.head()).status).toBe(403)
    connection.destroy()
  })

  it('keeps the limit on the size of a file, and goes on with the next one', async () => {
    await restart({ uploads: { maxBytes: 100_000 } })
    const answer = await post(
      form(
        filePart('fits', Buffer.alloc(100_000)),
        filePart('large', Buffer.alloc(400_000)),
        filePart('z', 'z'),
      ),
    )
    expect(answer.status).toBe(413)
    expect(outcomes(answer)).toEqual([
      ['fits', 201],
      ['large', 413],
      ['z', 201],
    ])
  })

  it('is not read on for ever to get past a file that was refused', async () => {
    const connection = await begin(10_000_000_000, 'If-None-Match: *')
    sendBytes(connection, filePart('there.txt', 'x').subarray(0, -3))
    const piece = 'x'.repeat(1_000_000)
    const sending = (async () => {
      for (let i = 0; i < 80; i++) {
        connection.send(piece)
        await sleep(1)
      }
    })()
    const head = await connection.head()
    expect([head.status, head.headers.get('connection')]).toEqual([412, 'close'])
    await sending
    connection.destroy()
  })

  it.each([
    [
      'in a file',
      filePart('slow', 'content').subarray(0, -8),
      [
        ['first', 201],
        ['slow', 408],
      ],
    ],
    ['between files', Buffer.from(`--${BOUNDARY}`), [['first', 201]]],
    ['in a head', Buffer.from(`--${BOUNDARY}\r\nContent-Disp`), [['first', 201]]],
  ])('that stands still %s is given up, and what came before it stays', async (_where, rest, expected) => {
    await restart({ uploads: { idleTimeoutMs: 200 } })
    const connection = await begin(1_000_000)
    sendBytes(connection, Buffer.concat([filePart('first', 'a'), rest]))
    const head = await connection.head()
    expect([head.status, head.headers.get('connection')]).toEqual([408, 'close'])
    const { text } = await connection.rest()
    const { files } = JSON.parse(text) as Files
    expect(files.map(({ path, status, problem }) => [path, problem?.status ?? status])).toEqual(expected)
    expect([await textOf('first'), await textOf('slow')]).toEqual(['a', undefined])
  })

  it('that only takes its time is not given up, nor one whose store does', async () => {
    class Slow extends CountingStore {
      override async create(path: ArtifactPath, options?: CreateOptions): Promise<PendingArtifact> {
        await sleep(500)
        return super.create(path, options)
      }
    }
    await restart({ uploads: { idleTimeoutMs: 200 } }, new Slow())
    const body = form(filePart('a', 'content'), filePart('b', 'content'))
    const connection = await begin(body.length)
    for (let at = 0; at < body.length; at += 40) {
      sendBytes(connection, body.subarray(at, at + 40))
      await sleep(50)
    }
    expect((await connection.head()).status).toBe(201)
    connection.destroy()
  })

  it.each([
    ['NoSpace', 507],
    ['Unavailable', 503],
    ['Internal', 500],
  ] as const)('ends with the file at which the store fails for all (%s)', async (kind, status) => {
    class Failing extends CountingStore {
      override async create(path: ArtifactPath, options?: CreateOptions): Promise<PendingArtifact> {
        const inner = await super.create(path, options)
        if (!path.endsWith('b')) return inner
        return { ...inner, write: () => Promise.reject(new AppError(kind, 'It failed.')) }
      }
    }
    await restart({}, new Failing())
    const answer = await post(form(filePart('a', 'a'), filePart('b', 'b'), filePart('c', 'c')))
    expect(answer.status).toBe(status)
    expect(outcomes(answer)).toEqual([
      ['a', 201],
      ['b', status],
    ])
    expect(await textOf('c')).toBeUndefined()
  })

  it('ends with what no store should throw as an error of the service', async () => {
    class Broken extends CountingStore {
      override create(): Promise<PendingArtifact> {
        return Promise.reject(new TypeError('secret'))
      }
    }
    await restart({}, new Broken())
    const answer = await post(form(filePart('a', 'a')))
    expect([answer.status, answer.text.includes('secret')]).toEqual([500, false])
  })

  it('comes no faster than the store takes it, one file at a time', async () => {
    let open = (): void => undefined
    const gate = new Promise<void>(resolve => (open = resolve))
    let atOnce = 0
    let most = 0
    class Held extends CountingStore {
      override async create(path: ArtifactPath, options?: CreateOptions): Promise<PendingArtifact> {
        most = Math.max(most, ++atOnce)
        await gate
        const inner = await super.create(path, options)
        return { ...inner, complete: () => inner.complete().finally(() => atOnce--) }
      }
    }
    await restart({}, new Held())
    const body = form(...Array.from({ length: 900 }, (_, i) => filePart(`held/${i}`, Buffer.alloc(30_000))))
    const socket = connect(service.port, '127.0.0.1')
    const answered = new Promise<string>(resolve => socket.once('data', data => resolve(data.toString())))
    socket.write(
      `POST ${RUN} HTTP/1.1\r\nHost: localhost\r\nContent-Type: ${FORM_TYPE}\r\nContent-Length: ${body.length}\r\n\r\n`,
    )
    socket.write(body)
    await sleep(500)
    // What is in the buffers of the kernel, and no more.
    expect(socket.writableLength).toBeGreaterThan(body.length / 2)
    open()
    expect(await answered).toMatch(/^HTTP\/1\.1 201 /)
    expect(most).toBe(1)
    socket.destroy()
  })

  it('that its client leaves in the middle keeps what is whole, and nothing else', async () => {
    const connection = await begin(1_000_000)
    sendBytes(connection, Buffer.concat([filePart('whole', 'a'), filePart('cut', 'content')]).subarray(0, -5))
    await until(() => store.begun === 2)
    connection.reset()
    await until(() => store.pending === 0)
    expect([await textOf('whole'), await textOf('cut')]).toEqual(['a', undefined])
  })

  it('100 times cut leaves nothing behind', async () => {
    const connections = await Promise.all(
      Array.from({ length: 100 }, async (_, i) => {
        const connection = await begin(100_000)
        sendBytes(connection, filePart(`many/${i}`, 'x'.repeat(i + 3)).subarray(0, -2))
        return connection
      }),
    )
    await until(() => store.begun === 100)
    for (const connection of connections) connection.reset()
    await until(() => store.pending === 0)
    expect((await ask(url(`${RUN}many/`))).status).toBe(404)
  })

  it('refused in the middle is answered, and then the connection ends', async () => {
    const connection = await begin(100_000_000)
    sendBytes(connection, Buffer.concat([filePart('a', 'a'), part(['no colon'], 'x'.repeat(600_000))]))
    const head = await connection.head()
    expect([head.status, head.headers.get('connection')]).toEqual([400, 'close'])
    const askedAt = performance.now()
    await connection.drain()
    expect(performance.now() - askedAt).toBeLessThan(4_000)
  })

  it('that was read to its end leaves the connection for the next request', async () => {
    const body = form(filePart('../x', 'x'))
    const connection = await begin(body.length)
    sendBytes(connection, body)
    const { status, headers } = await connection.head()
    expect([status, headers.get('connection')]).toEqual([400, 'keep-alive'])
    await connection.skip(Number(headers.get('content-length')))
    connection.send(`GET ${RUN}there.txt HTTP/1.1\r\nHost: localhost\r\n\r\n`)
    expect((await connection.head()).status).toBe(200)
    connection.destroy()
  })

  it('ends after its last boundary, whatever follows: too much of that is refused', async () => {
    const connection = await begin(10_000_000_000)
    sendBytes(connection, Buffer.concat([filePart('a', 'a'), END]))
    const sending = (async () => {
      for (let i = 0; i < 80; i++) {
        connection.send('y'.repeat(1_000_000))
        await sleep(1)
      }
    })()
    expect((await connection.head()).status).toBe(413)
    await sending
    connection.destroy()
  })
})

describe('a body that stops being framed as one', () => {
  beforeEach(() => serve(new CountingStore()))
  const chunk = (bytes: Buffer): Buffer =>
    Buffer.concat([Buffer.from(`${bytes.length.toString(16)}\r\n`), bytes, Buffer.from('\r\n')])
  const head = `POST ${RUN} HTTP/1.1\r\nHost: localhost\r\nContent-Type: ${FORM_TYPE}\r\nTransfer-Encoding: chunked\r\n\r\n`

  it('gets no answer that denies the files which are there', async () => {
    const connection = await Connection.open(service.port)
    connection.send(head)
    const begun = Buffer.concat([filePart('one.txt', 'kept'), filePart('two.txt', 'begun').subarray(0, -4)])
    connection.send(chunk(begun).toString('latin1'))
    await until(async () => (await ask(`${service.url}${RUN}one.txt`)).status === 200)
    connection.send('zz\r\n')
    expect((await connection.drain()).bytes).toBe(0)
    expect((await ask(`${service.url}${RUN}two.txt`)).status).toBe(404)
  })

  it('is refused where nothing was begun', async () => {
    const connection = await Connection.open(service.port)
    connection.send(`${head}zz\r\n`)
    expect((await connection.head()).status).toBe(400)
    connection.destroy()
  })
})
