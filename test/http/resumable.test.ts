// tus 1.0 at /uploads: what each request is answered, and what becomes of its bytes.
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { connect } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { AppError } from '../../src/errors.ts'
import { parsePath, type ArtifactPath } from '../../src/store/path.ts'
import type { CreateOptions, PendingArtifact } from '../../src/store/store.ts'
import { Connection } from '../faults/connection.ts'
import { CountingStore } from '../support/changed-stores.ts'
import { ask } from '../support/checked.ts'
import { ask as plainAsk, json, type Answer } from '../support/client.ts'
import { MiB, until } from '../support/process.ts'
import { startService, type Overrides, type Service } from '../support/service.ts'
import { BYTES, metadataOf, Uploading } from '../support/uploading.ts'

const RUN = 'ann/mnist/experiments/1'
const FILE = `${RUN}/folder/file.bin`
const THERE = `${RUN}/there.txt`
const OWN = '.polyaxon-outputs-uploads'

/** A store that fails, or takes its time, where it is told to. */
class TroubledStore extends CountingStore {
  /** Of what is put into a run. */
  failure: AppError | undefined
  delayMs = 0
  /** Before each chunk of anything. */
  beforeWrite = (): Promise<unknown> => Promise.resolve()

  override async create(path: ArtifactPath, options?: CreateOptions): Promise<PendingArtifact> {
    if (path.startsWith(RUN)) {
      if (this.failure !== undefined) throw this.failure
      await sleep(this.delayMs)
    }
    const pending = await super.create(path, options)
    return {
      ...pending,
      write: async chunk => {
        await this.beforeWrite()
        return pending.write(chunk)
      },
    }
  }
}

let service: Service
let store: TroubledStore
let uploading: Uploading

async function serve(overrides: Overrides = {}): Promise<void> {
  store = new TroubledStore()
  store.write(parsePath(THERE), Buffer.from('before'))
  service = await startService('', overrides, store)
  uploading = new Uploading(ask, `${service.url}/uploads`)
}

beforeEach(() => serve())
afterEach(() => service.close())

async function restart(overrides: Overrides): Promise<void> {
  await service.close()
  await serve(overrides)
}

/** The text of a file; undefined where there is none. */
async function textOf(path: string): Promise<string | undefined> {
  const answer = await ask(`${service.url}/outputs/${path}`)
  return answer.status === 200 ? answer.text : undefined
}

/** What is kept of uploads, as paths below their folder. */
async function kept(): Promise<string[]> {
  const paths: string[] = []
  try {
    for await (const batch of store.list(parsePath(OWN), { recursive: true }))
      for (const { path, type } of batch) if (type === 'file') paths.push(path.slice(OWN.length + 42 + 1))
  } catch {
    // No upload was ever begun.
  }
  return paths.sort()
}

const offsetAt = async (url: string): Promise<number> =>
  Number((await uploading.head(url)).headers['upload-offset'])

/** A connection with the head of a PATCH on its way. */
async function sending(url: string, offset: number, ...fields: string[]): Promise<Connection> {
  const connection = await Connection.open(service.port)
  connection.send(
    `PATCH ${new URL(url).pathname} HTTP/1.1\r\nHost: 127.0.0.1:${service.port}\r\nTus-Resumable: 1.0.0\r\nUpload-Offset: ${offset}\r\n` +
      `Content-Type: ${BYTES['content-type']}\r\n${fields.join('\r\n')}\r\n\r\n`,
  )
  return connection
}

describe('OPTIONS', () => {
  it('says what is offered, which is not the sending of parts in parallel', async () => {
    const { status, headers } = await ask(`${service.url}/uploads`, { method: 'OPTIONS' })
    expect(status).toBe(204)
    expect(headers).toMatchObject({
      'tus-resumable': '1.0.0',
      'tus-version': '1.0.0',
      'tus-extension': 'creation,creation-with-upload,creation-defer-length,termination,checksum,expiration',
      'tus-max-size': String(5 * 1024 ** 4),
      'tus-checksum-algorithm': 'sha1,sha256,md5',
      allow: 'OPTIONS, POST',
    })
    expect(headers['access-control-allow-origin']).toBeUndefined()
    const ofUpload = await ask(`${service.url}/uploads/x`, { method: 'OPTIONS' })
    expect([ofUpload.status, ofUpload.headers.allow]).toEqual([204, 'OPTIONS, HEAD, PATCH, DELETE'])
  })
})

describe('an upload', () => {
  it('becomes the file in the moment in which its last byte has come', async () => {
    const url = await uploading.begin(10, { path: FILE, note: 'mine' })
    expect(await offsetAt(url)).toBe(0)
    const first = await uploading.patch(url, 0, 'hello')
    expect([first.status, first.headers['upload-offset']]).toEqual([204, '5'])
    expect(Date.parse(first.headers['upload-expires'] as string) - Date.now()).toBeGreaterThan(86_300_000)
    expect(await textOf(FILE)).toBeUndefined()
    const { headers } = await uploading.head(url)
    expect(headers).toMatchObject({
      'upload-offset': '5',
      'upload-length': '10',
      'upload-metadata': metadataOf({ path: FILE, note: 'mine' }),
      'cache-control': 'no-store',
    })
    const last = await uploading.patch(url, 5, 'world')
    expect([last.status, last.headers['upload-offset']]).toEqual([204, '10'])
    expect(last.headers['upload-expires']).toBeUndefined()
    expect(await textOf(FILE)).toBe('helloworld')
    expect(store.pending).toBe(0)
  })

  it('is known as finished afterwards, without its bytes', async () => {
    const url = await uploading.begin(5, { path: FILE })
    await uploading.patch(url, 0, 'hello')
    expect(await kept()).toEqual(['finished', 'record'])
    const { status, headers } = await uploading.head(url)
    expect([status, headers['upload-offset'], headers['upload-length']]).toEqual([200, '5', '5'])
    expect((await uploading.patch(url, 5, '')).status).toBe(204)
    expect((await uploading.patch(url, 0, 'hello')).status).toBe(409)
    expect((await uploading.remove(url)).status).toBe(204)
    expect(await textOf(FILE)).toBe('hello')
    expect((await uploading.head(url)).status).toBe(404)
  })

  it('comes along with its creation, as a whole or in part', async () => {
    const whole = await uploading.create(5, { path: FILE }, BYTES, 'hello')
    expect([whole.status, whole.headers['upload-offset']]).toEqual([201, '5'])
    expect(await textOf(FILE)).toBe('hello')
    const part = await uploading.create(8, { path: FILE }, BYTES, 'other')
    expect([part.status, part.headers['upload-offset']]).toEqual([201, '5'])
    const url = new URL(part.headers.location!, `${service.url}/uploads`).href
    expect((await uploading.patch(url, 5, '!!!')).status).toBe(204)
    expect(await textOf(FILE)).toBe('other!!!')
  })

  it('of no bytes is a file at once', async () => {
    expect((await uploading.create(0, { path: FILE })).status).toBe(201)
    expect(await textOf(FILE)).toBe('')
  })

  it('may say its length late, once', async () => {
    const url = await uploading.begin(undefined, { path: FILE })
    expect((await uploading.head(url)).headers).toMatchObject({
      'upload-offset': '0',
      'upload-defer-length': '1',
    })
    expect((await uploading.patch(url, 0, 'hello')).status).toBe(204)
    expect((await uploading.patch(url, 5, '', { 'upload-length': '3' })).status).toBe(400)
    expect((await uploading.patch(url, 5, 'wor', { 'upload-length': '10' })).status).toBe(204)
    expect((await uploading.patch(url, 8, 'ld', { 'upload-length': '11' })).status).toBe(400)
    expect((await uploading.head(url)).headers).toMatchObject({ 'upload-length': '10', 'upload-offset': '8' })
    expect((await uploading.patch(url, 8, 'ld')).status).toBe(204)
    expect(await textOf(FILE)).toBe('helloworld')
  })

  it('may end with the request that says its length', async () => {
    const url = await uploading.begin(undefined, { path: FILE })
    await uploading.patch(url, 0, 'hello')
    expect((await uploading.patch(url, 5, '', { 'upload-length': '5' })).status).toBe(204)
    expect(await textOf(FILE)).toBe('hello')
  })

  it('takes no length from a request that is refused', async () => {
    const url = await uploading.begin(undefined, { path: FILE })
    const refused = [
      await uploading.patch(url, 0, 'hello', { 'upload-length': '4' }),
      await uploading.patch(url, 0, 'hell', { 'upload-length': '4', 'upload-checksum': 'crc32 AAAA' }),
    ]
    expect(refused.map(({ status }) => status)).toEqual([413, 400])
    expect((await uploading.head(url)).headers['upload-length']).toBeUndefined()
    expect((await uploading.patch(url, 0, 'hello', { 'upload-length': '5' })).status).toBe(204)
    expect(await textOf(FILE)).toBe('hello')
  })

  it('makes its run where there is none, and may have any name', async () => {
    for (const path of ['ann/mnist/experiments/77/ü b%41#?.txt', 'ann/mnist/jobs/5/..x/模型.pt']) {
      expect((await uploading.create(2, { path }, BYTES, 'ok')).status).toBe(201)
      expect((await store.stat(parsePath(path))).size).toBe(2)
    }
  })

  it('can be given up', async () => {
    const url = await uploading.begin(10, { path: FILE })
    await uploading.patch(url, 0, 'hello')
    expect((await uploading.remove(url)).status).toBe(204)
    expect(await kept()).toEqual([])
    for (const answer of [await uploading.patch(url, 5, 'x'), await uploading.remove(url)])
      expect(answer.status).toBe(404)
  })
})

describe('what speaks against the file is said before a byte of it is sent', () => {
  const creation = async (
    metadata: Record<string, string>,
    headers: Record<string, string> = {},
    size = 1000,
  ): Promise<Answer> => uploading.create(size, metadata, headers)

  it.each([
    ['no path', {}, 400],
    ['a run', { path: RUN }, 400],
    ['a folder', { path: `${RUN}/folder/` }, 400],
    ['an owner', { path: 'ann' }, 400],
    ['another kind', { path: 'ann/mnist/models/1/a' }, 404],
    ['a way out', { path: `${RUN}/../2/a` }, 400],
    ['a way out of the store', { path: '../a/b/c' }, 400],
    ['an absolute path', { path: `/${FILE}` }, 400],
    ['NUL', { path: `${RUN}/a\0b` }, 400],
    ['an id that is none', { path: 'ann/mnist/experiments/abc/a' }, 404],
    ['the folder of the uploads', { path: `${OWN}/mnist/experiments/1/a` }, 404],
    ['another store', { path: FILE, connection: 'other' }, 404],
    ['a file where there is one', { path: THERE, overwrite: 'false' }, 412],
    ['a version that is not there', { path: THERE, ifMatch: '"other"' }, 412],
    ['a file where a folder is', { path: `${RUN}/there.txt/x` }, 409],
    ['a folder of that name', { path: 'ann/mnist/experiments/1/made' }, 409],
    ['neither yes nor no', { path: FILE, overwrite: 'maybe' }, 400],
    ['a contradiction', { path: FILE, overwrite: 'false', ifMatch: '"x"' }, 400],
  ])('%s', async (_what, metadata, status) => {
    store.makeDirectory(parsePath('ann/mnist/experiments/1/made'))
    const answer = await creation(metadata)
    expect(answer.status).toBe(status)
    expect(json(answer)).toMatchObject({ status })
    expect(await kept()).toEqual([])
    expect(store.written).toBe(0)
  })

  it.each([
    [{ 'upload-length': '-1' }, 400],
    [{ 'upload-length': '1e3' }, 400],
    [{ 'upload-length': '99999999999999999999' }, 400],
    [{ 'upload-length': '6000000000000' }, 413],
    [{ 'upload-defer-length': '1' }, 400],
    [{ 'upload-metadata': 'path' }, 400],
    [{ 'upload-metadata': 'path %%%' }, 400],
    [{ 'upload-metadata': 'path YQ==,path YQ==' }, 400],
    [{ 'upload-metadata': 'path /w==' }, 400],
    [{ 'upload-concat': 'partial' }, 400],
    [{ 'tus-resumable': '0.2.2' }, 412],
    [{ origin: 'https://evil.example' }, 403],
    [{ origin: 'null' }, 403],
    [{ 'sec-fetch-site': 'cross-site' }, 403],
  ])('%j', async (headers, status) => {
    const answer = await creation({ path: FILE }, headers)
    expect(answer.status).toBe(status)
    if (status === 412) expect(answer.headers['tus-version']).toBe('1.0.0')
    expect(answer.headers['tus-resumable']).toBe('1.0.0')
    expect(await kept()).toEqual([])
  })

  it('a length that is not said', async () => {
    const answer = await ask(`${service.url}/uploads`, {
      method: 'POST',
      headers: { 'tus-resumable': '1.0.0', 'upload-metadata': metadataOf({ path: FILE }) },
    })
    expect(answer.status).toBe(400)
  })

  it('a body that is not declared as bytes of an upload', async () => {
    const answer = await uploading.create(3, { path: FILE }, { 'content-type': 'text/plain' }, 'abc')
    expect(answer.status).toBe(415)
    expect(await kept()).toEqual([])
  })

  it('a store that takes no changes', async () => {
    store.checkWritable = () => Promise.reject(new AppError('PermissionDenied', 'Read only.'))
    expect((await creation({ path: FILE })).status).toBe(403)
  })

  it('changes that are switched off, for every request', async () => {
    await restart({ server: { host: '0.0.0.0' } })
    const url = `${service.url}/uploads/6a24159a-4f0c0b8f0e1e4d4e8f5f3c2b1a097867`
    for (const answer of [
      await creation({ path: FILE }),
      await uploading.head(url),
      await uploading.patch(url, 0, 'x'),
      await uploading.remove(url),
    ])
      expect(answer.status).toBe(403)
  })
})

describe('a request about an upload', () => {
  it.each([
    ['PATCH', { 'content-type': 'text/plain' }, 415],
    ['PATCH', { 'upload-offset': '3' }, 409],
    ['PATCH', { 'upload-offset': 'x' }, 400],
    ['PATCH', { 'upload-checksum': 'crc32 AAAA' }, 400],
    ['PATCH', { 'upload-checksum': 'sha1 AAAA' }, 400],
    ['PATCH', { 'tus-resumable': '2.0.0' }, 412],
    ['PATCH', { origin: 'https://evil.example' }, 403],
    ['HEAD', { origin: 'https://evil.example' }, 403],
    ['DELETE', { origin: 'https://evil.example' }, 403],
    ['HEAD', { 'tus-resumable': '2.0.0' }, 412],
  ] as const)('%s with %j', async (method, headers, status) => {
    const url = await uploading.begin(10, { path: FILE })
    const answer =
      method === 'PATCH'
        ? await uploading.patch(url, 0, 'hello', headers)
        : await ask(url, { method, headers: { 'tus-resumable': '1.0.0', ...headers } })
    expect(answer.status).toBe(status)
    expect(await offsetAt(url)).toBe(0)
  })

  it('may come from a page of this service', async () => {
    const url = await uploading.begin(5, { path: FILE })
    const own = { origin: service.url, 'sec-fetch-site': 'same-origin' }
    expect((await uploading.patch(url, 0, 'hello', own)).status).toBe(204)
  })

  it('of no upload, and of a URL that is none', async () => {
    for (const id of [
      'x',
      '6a24159a-4f0c0b8f0e1e4d4e8f5f3c2b1a097867',
      '00000000-4f0c0b8f0e1e4d4e8f5f3c2b1a097867',
    ])
      expect((await uploading.head(`${service.url}/uploads/${id}`)).status).toBe(404)
    for (const id of ['a/b', '..%2fx', '%00'])
      expect((await uploading.head(`${service.url}/uploads/${id}`)).status).toBe(404)
    expect((await ask(`${service.url}/uploadsx`, { method: 'OPTIONS' })).status).toBe(404)
  })

  it('of another method is told what there is, whatever a header says', async () => {
    const answer = await ask(`${service.url}/uploads`, { method: 'GET' })
    expect([answer.status, answer.headers.allow]).toEqual([405, 'OPTIONS, POST'])
    const url = await uploading.begin(5, { path: FILE })
    const override = {
      'tus-resumable': '1.0.0',
      'x-http-method-override': 'PATCH',
      'upload-offset': '0',
      ...BYTES,
    }
    expect((await ask(url, { method: 'POST', headers: override, body: 'hello' })).status).toBe(405)
    expect(await offsetAt(url)).toBe(0)
  })

  it('with more bytes than belong to it costs none', async () => {
    const url = await uploading.begin(5, { path: FILE })
    const connection = await sending(url, 0, 'Expect: 100-continue', 'Content-Length: 6')
    expect((await connection.head()).status).toBe(413)
    connection.destroy()
    expect(await offsetAt(url)).toBe(0)
    const chunked = await sending(url, 0, 'Transfer-Encoding: chunked', 'Connection: close')
    chunked.send('3\r\nabc\r\n3\r\ndef\r\n0\r\n\r\n')
    expect((await chunked.head()).status).toBe(413)
    expect(await offsetAt(url)).toBe(3)
    expect((await uploading.patch(url, 3, 'de')).status).toBe(204)
    expect(await textOf(FILE)).toBe('abcde')
  })

  it('is asked for its body when nothing speaks against it', async () => {
    const url = await uploading.begin(3, { path: FILE })
    const refused = await sending(url, 1, 'Expect: 100-continue', 'Content-Length: 2')
    expect((await refused.head()).status).toBe(409)
    const taken = await sending(url, 0, 'Expect: 100-continue', 'Content-Length: 3')
    expect((await taken.head()).status).toBe(100)
    taken.send('abc')
    expect((await taken.head()).status).toBe(204)
    for (const connection of [refused, taken]) connection.destroy()
  })
})

describe('Location', () => {
  it.each([
    ['', '/uploads', './uploads/'],
    ['', '/uploads/', './'],
    ['/base', '/uploads', './uploads/'],
  ])('is relative, below %j at %j', async (basePath, path, beginning) => {
    await restart({ server: { basePath, allowedHosts: ['evil.example'] } })
    const answer = await new Uploading(plainAsk, service.url + path).create(
      3,
      { path: FILE },
      {
        host: 'evil.example',
        'x-forwarded-host': 'evil.example',
        'x-forwarded-proto': 'https, http',
      },
    )
    expect(answer.headers.location).toMatch(new RegExp(`^\\${beginning}[0-9a-f]{8}-[0-9a-f]{32}$`))
    const url = new URL(answer.headers.location!, service.url + path).href
    expect((await new Uploading(plainAsk, '').patch(url, 0, 'abc')).status).toBe(204)
  })
})

describe('a checksum', () => {
  it.each(['sha1', 'sha256', 'md5'])('%s is that of the body, or none of it counts', async algorithm => {
    const checksum = (text: string) => ({
      'upload-checksum': `${algorithm} ${createHash(algorithm).update(text).digest('base64')}`,
    })
    const url = await uploading.begin(10, { path: FILE })
    const wrong = await uploading.patch(url, 0, 'hallo', checksum('hello'))
    expect([wrong.status, json(wrong)]).toMatchObject([460, { status: 460 }])
    expect(await offsetAt(url)).toBe(0)
    expect((await uploading.patch(url, 0, 'hello', checksum('hello'))).status).toBe(204)
    expect((await uploading.patch(url, 5, 'wOrld', checksum('world'))).status).toBe(460)
    expect((await uploading.patch(url, 5, 'world', checksum('world'))).status).toBe(204)
    expect(await textOf(FILE)).toBe('helloworld')
    expect(store.pending).toBe(0)
  })

  it('of a body that breaks off cannot be checked', async () => {
    const url = await uploading.begin(10, { path: FILE })
    const sha1 = createHash('sha1').update('helloworld').digest('base64')
    const connection = await sending(url, 0, 'Content-Length: 10', `Upload-Checksum: sha1 ${sha1}`)
    const before = store.written
    connection.send('hello')
    await until(() => store.written === before + 5)
    connection.reset()
    await until(() => store.pending === 0)
    expect(await offsetAt(url)).toBe(0)
  })

  it('that a creation comes with is checked too, and nothing is left where it is wrong', async () => {
    const headers = { ...BYTES, 'upload-checksum': `sha1 ${createHash('sha1').update('x').digest('base64')}` }
    expect((await uploading.create(5, { path: FILE }, headers, 'hello')).status).toBe(460)
    expect(await kept()).toEqual([])
  })
})

describe('a body that breaks off', () => {
  it.each(['end', 'reset'] as const)('keeps what came before its connection was cut (%s)', async how => {
    const url = await uploading.begin(10, { path: FILE })
    const before = store.written
    const connection = await sending(url, 0, 'Content-Length: 10')
    connection.send('hello')
    await until(() => store.written === before + 5)
    if (how === 'end') connection.destroy()
    else connection.reset()
    await until(() => store.pending === 0)
    expect(await offsetAt(url)).toBe(5)
    expect((await uploading.patch(url, 5, 'world')).status).toBe(204)
    expect(await textOf(FILE)).toBe('helloworld')
  })

  it('is kept as soon as its client asks on another connection', async () => {
    const url = await uploading.begin(10, { path: FILE })
    const before = store.written
    const connection = await sending(url, 0, 'Content-Length: 10')
    connection.send('hello')
    await until(() => store.written === before + 5)
    expect((await uploading.patch(url, 0, 'HELLO')).status).toBe(423)
    expect(await offsetAt(url)).toBe(5)
    expect((await connection.head()).status).toBe(423)
    expect((await uploading.patch(url, 5, 'world')).status).toBe(204)
    connection.destroy()
  })

  it('and one that stands still breaks the connection, which clients take for what it is', async () => {
    await restart({ uploads: { idleTimeoutMs: 300 } })
    const url = await uploading.begin(10, { path: FILE })
    const connection = await sending(url, 0, 'Content-Length: 10')
    connection.send('hello')
    expect((await connection.drain()).bytes).toBe(0)
    expect(await offsetAt(url)).toBe(5)
  })

  it('of a creation leaves nothing, because nobody knows its URL', async () => {
    const connection = await Connection.open(service.port)
    connection.send(
      `POST /uploads HTTP/1.1\r\nHost: localhost\r\nTus-Resumable: 1.0.0\r\nUpload-Length: 10\r\nContent-Length: 10\r\n` +
        `Content-Type: ${BYTES['content-type']}\r\nUpload-Metadata: ${metadataOf({ path: FILE })}\r\n\r\nhello`,
    )
    await until(async () => (await kept()).length > 0)
    connection.reset()
    await until(async () => (await kept()).length === 0)
    expect(store.pending).toBe(0)
  })
})

describe('a store that takes its time', () => {
  it('slows the client down to what it takes', async () => {
    const { promise: released, resolve: release } = Promise.withResolvers<undefined>()
    const url = await uploading.begin(64 * MiB, { path: FILE })
    store.beforeWrite = () => released
    const client = connect(service.port, '127.0.0.1')
    client.write(
      `PATCH ${new URL(url).pathname} HTTP/1.1\r\nHost: localhost\r\nTus-Resumable: 1.0.0\r\nUpload-Offset: 0\r\n` +
        `Content-Type: ${BYTES['content-type']}\r\nContent-Length: ${64 * MiB}\r\nConnection: close\r\n\r\n`,
    )
    client.end(Buffer.alloc(64 * MiB, 'x'))
    await sleep(500)
    const waiting = client.writableLength
    await sleep(500)
    expect(client.writableLength).toBe(waiting)
    expect(waiting).toBeGreaterThan(48 * MiB)
    release(undefined)
    await once(client.resume(), 'close')
    expect(await offsetAt(url)).toBe(64 * MiB)
    expect((await store.stat(parsePath(FILE))).size).toBe(64 * MiB)
  })
})

describe('of several requests that would go on from one offset', () => {
  it('one does, at one replica and at several', async () => {
    const replicas = await Promise.all(Array.from({ length: 3 }, () => startService('', {}, store)))
    try {
      const url = await uploading.begin(100_000, { path: FILE })
      const contents = Array.from({ length: 9 }, (_, i) => Buffer.alloc(100_000, `${i}`))
      const answers = await Promise.all(
        contents.map((content, i) =>
          uploading.patch(url.replace(service.url, replicas[i % 3]!.url), 0, content).catch(() => undefined),
        ),
      )
      const winners = answers.flatMap((answer, i) => (answer?.status === 204 ? [i] : []))
      for (const answer of answers) expect([204, 409, 423]).toContain(answer?.status)
      expect(winners).toHaveLength(1)
      expect(await textOf(FILE)).toBe(contents[winners[0]!]!.toString())
    } finally {
      for (const replica of replicas) await replica.close()
    }
  })
})

describe('the end', () => {
  it('holds the file to the precondition in the moment in which it appears', async () => {
    const url = await uploading.begin(5, { path: FILE, overwrite: 'false' })
    await uploading.patch(url, 0, 'hel')
    store.write(parsePath(FILE), Buffer.from('theirs'))
    expect((await uploading.patch(url, 3, 'lo')).status).toBe(412)
    expect(await textOf(FILE)).toBe('theirs')
    expect((await uploading.head(url)).status).toBe(412)
    store.forget(parsePath(FILE))
    expect((await uploading.head(url)).headers['upload-offset']).toBe('5')
    expect(await textOf(FILE)).toBe('hello')
  })

  it('replaces the version that the client knows', async () => {
    const { etag } = (await ask(`${service.url}/outputs/${THERE}`)).headers
    const answer = await uploading.create(5, { path: THERE, ifMatch: etag! }, BYTES, 'after')
    expect(answer.status).toBe(201)
    expect(await textOf(THERE)).toBe('after')
    expect((await uploading.create(5, { path: THERE, ifMatch: etag! }, BYTES, 'again')).status).toBe(412)
  })

  it('that a replica reached and could not tell is taken for reached', async () => {
    const url = await uploading.begin(5, { path: FILE, overwrite: 'false' })
    store.failure = new AppError('Unavailable', 'Away.', { temporary: true })
    expect((await uploading.patch(url, 0, 'hello')).status).toBe(503)
    store.failure = undefined
    store.write(parsePath(FILE), Buffer.from('hello'))
    const { status, headers } = await uploading.head(url)
    expect([status, headers['upload-offset']]).toEqual([200, '5'])
    expect(await kept()).toEqual(['finished', 'record'])
  })

  it.each([
    [new AppError('NoSpace', 'Full.'), 507],
    [new AppError('Unavailable', 'Away.', { temporary: true }), 503],
  ])(
    'that fails keeps the bytes, and lets nobody think that they have to be sent again',
    async (failure, status) => {
      const url = await uploading.begin(5, { path: FILE })
      store.failure = failure
      expect((await uploading.patch(url, 0, 'hello')).status).toBe(status)
      expect((await uploading.head(url)).status).toBe(423)
      store.failure = undefined
      expect((await uploading.patch(url, 5, '')).status).toBe(204)
      expect(await textOf(FILE)).toBe('hello')
      expect(store.pending).toBe(0)
    },
  )

  it('comes although the client has gone', async () => {
    const url = await uploading.begin(5, { path: FILE })
    store.delayMs = 100
    const connection = await sending(url, 0, 'Content-Length: 5')
    connection.send('hello')
    await sleep(30)
    connection.reset()
    await until(async () => (await textOf(FILE)) === 'hello')
  })
})

describe('what nobody goes on with', () => {
  it('is gone when its time is over, at once for those who ask and then from the store', async () => {
    await restart({ uploads: { expireAfterMs: 200 } })
    const url = await uploading.begin(10, { path: FILE })
    await sleep(150)
    expect((await uploading.patch(url, 0, 'hello')).status).toBe(204)
    await sleep(150)
    expect(await offsetAt(url)).toBe(5)
    await sleep(250)
    expect((await uploading.head(url)).status).toBe(404)
    expect((await uploading.patch(url, 5, 'world')).status).toBe(404)
    expect(await kept()).not.toEqual([])
    const next = await startService('', { uploads: { expireAfterMs: 200 } }, store)
    await until(async () => (await kept()).length === 0)
    await next.close()
  })

  it('stays while it is younger', async () => {
    const url = await uploading.begin(10, { path: FILE })
    const next = await startService('', {}, store)
    await sleep(50)
    await next.close()
    expect(await offsetAt(url)).toBe(0)
  })
})

describe('the folder of the uploads', () => {
  it.each([
    '',
    '/',
    '/x',
    '/x/',
    '/mnist/jobs/',
    '/mnist/jobs/1/',
    '/mnist/jobs/1/record',
    '/bytes/runs/00000000-0000-0000-0000-000000000000/x',
  ])('is nobody’s: %s', async path => {
    const url = await uploading.begin(10, { path: FILE })
    await uploading.patch(url, 0, 'hello')
    store.write(parsePath(`${OWN}/mnist/jobs/1/record`), Buffer.from('x'))
    for (const name of [OWN, OWN.toUpperCase()]) {
      const answer = await ask(`${service.url}/outputs/${name}${path}`)
      expect([301, 404]).toContain(answer.status)
      const put = await ask(`${service.url}/outputs/${name}/mnist/jobs/1/a`, { method: 'PUT', body: 'x' })
      expect(put.status).toBe(404)
    }
    expect((await ask(`${service.url}/outputs/?format=json`)).text).not.toContain(OWN)
  })
})
