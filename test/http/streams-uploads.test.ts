// Uploads as Polyaxon's client sends them: the file first, and what is to become of it behind it. Until the form has ended nothing changes, and then all of it or nothing.
import fc from 'fast-check'
import { readdirSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { gzipSync } from 'node:zlib'
import { AppError } from '../../src/errors.ts'
import { openLocalStore } from '../../src/store/local.ts'
import { parsePath, ROOT, type ArtifactPath } from '../../src/store/path.ts'
import type { ArtifactStore, CreateOptions, PendingArtifact } from '../../src/store/store.ts'
import { paxOf, tarOf, zipOf, type TarParts } from '../archive/unpacking.ts'
import { pattern } from '../contract/harness.ts'
import { Connection } from '../faults/connection.ts'
import { CHANGED_STORES, CountingStore, type ChangedStore } from '../support/changed-stores.ts'
import { ask } from '../support/checked.ts'
import type { Answer, Ask } from '../support/client.ts'
import { fieldPart, filePart, form, FORM_TYPE, MALFORMED } from '../support/form.ts'
import { until } from '../support/process.ts'
import { judging } from '../support/authority.ts'
import { startService, type Overrides, type Service } from '../support/service.ts'
import { asServed, STORES } from '../support/stores.ts'
import { Tree } from '../support/tree.ts'

const UUID = 'a1b2c3d4e5f647089a0b1c2d3e4f5a6b'
const RUN = `/streams/v1/ns/ann/mnist/runs/${UUID}`
const OWN = '.polyaxon-outputs-uploads'

interface Served {
  readonly store: ArtifactStore
  /** Somebody else writes. */
  write(path: string, content: string | Buffer): Promise<void> | void
  /** What is under way, and files of the store's own. */
  leftovers(): unknown[]
  close(): Promise<void>
}

interface Kind {
  readonly title: string
  readonly available: boolean
  make(): Promise<Served>
}

const KINDS: readonly Kind[] = [
  ...CHANGED_STORES.map(([title, make]) => ({
    title,
    available: true,
    make: () => Promise.resolve(servedOf(make())),
  })),
  ...STORES.filter(({ title }) => !['memory', 'local store'].includes(title)).map(under => ({
    title: under.title,
    available: under.available,
    make: async () => {
      const harness = await under.make()
      return {
        store: asServed(harness.store),
        write: (path: string, content: string | Buffer) => harness.write(path, Buffer.from(content)),
        leftovers: () => [],
        close: () => harness.close(),
      }
    },
  })),
]

function servedOf(store: ChangedStore): Served {
  return {
    store,
    write: (path, content) => store.write(parsePath(path), Buffer.from(content)),
    leftovers: () => [...(store.pending === 0 ? [] : [store.pending]), ...store.leftovers()],
    // The service closes it.
    close: () => Promise.resolve(),
  }
}

let service: Service
let served: Served

async function serve(made: Served, overrides: Overrides = {}): Promise<void> {
  served = made
  service = await startService('', overrides, made.store)
}

afterEach(async () => {
  expect(await filesIn(ROOT).then(all => Object.keys(all).filter(path => path.includes(OWN)))).toEqual([])
  expect(served.leftovers()).toEqual([])
  await service.close()
  await served.close()
})

/** Every file below `folder` with its content as latin1, by its path there. */
async function filesIn(
  folder: string = UUID,
  store: ArtifactStore = served.store,
): Promise<Record<string, string>> {
  const found: [string, string][] = []
  const root = parsePath(folder)
  try {
    for await (const batch of store.list(root, { recursive: true }))
      for (const { path, type } of batch)
        if (type === 'file')
          found.push([path.slice(root === ROOT ? 0 : root.length + 1), await textAt(store, path)])
  } catch (error) {
    if (!(error instanceof AppError && error.kind === 'NotFound')) throw error
  }
  return Object.fromEntries(found)
}

async function textAt(store: ArtifactStore, path: ArtifactPath): Promise<string> {
  const artifact = await store.open(path)
  const chunks: Buffer[] = []
  for await (const chunk of artifact.read(0, artifact.entry.size)) chunks.push(Buffer.from(chunk))
  await artifact.close()
  return Buffer.concat(chunks).toString('latin1')
}

type Fields = Readonly<Record<string, unknown>>
const jsonPart = (fields: Fields): Buffer => fieldPart('json', JSON.stringify(fields))
const uploadPart = (name: string, content: string | Uint8Array): Buffer =>
  filePart(name, content, 'upload_file')

const post = (body: Buffer, resource = 'artifact', headers: Ask['headers'] = {}): Promise<Answer> =>
  ask(`${service.url}${RUN}/${resource}`, {
    method: 'POST',
    body,
    headers: { 'content-type': FORM_TYPE, ...headers },
  })

/** As the client sends them. */
const upload = (name: string, content: string | Uint8Array, fields: Fields): Promise<Answer> =>
  post(form(uploadPart(name, content), jsonPart(fields)))
const uploadDir = (archive: Uint8Array, fields: Fields): Promise<Answer> =>
  post(form(uploadPart('/tmp/x.tar.gz', archive), jsonPart(fields)), 'artifacts')

const tarGz = (...members: TarParts[]): Buffer => gzipSync(tarOf(...members))
const AB = [
  { name: 'a.txt', content: 'new a' },
  { name: 'deep/', type: '5' },
  { name: 'deep/b.txt', content: 'new b' },
]
const THERE = { 'dir/a.txt': 'old a', 'dir/c.txt': 'old c', 'dir/deep/d.txt': 'old d', 'kept.txt': 'kept' }

async function fill(files: Readonly<Record<string, string>> = THERE): Promise<void> {
  for (const [path, content] of Object.entries(files)) await served.write(`${UUID}/${path}`, content)
}

/** A connection with the head of an upload on its way. */
async function begin(length: number, ...fields: string[]): Promise<Connection> {
  const connection = await Connection.open(service.port)
  const head = [
    `POST ${RUN}/artifact HTTP/1.1`,
    `Host: localhost:${service.port}`,
    `Content-Length: ${length}`,
    `Content-Type: ${FORM_TYPE}`,
    ...fields,
  ]
  connection.send(`${head.join('\r\n')}\r\n\r\n`)
  return connection
}

const sendBytes = (connection: Connection, bytes: Buffer): void => connection.send(bytes.toString('latin1'))

for (const kind of KINDS)
  describe.skipIf(!kind.available)(kind.title, () => {
    beforeEach(async () => serve(await kind.make()))

    describe('a file', () => {
      it('goes where the form says behind it, under the last part of its name', async () => {
        const bytes = Buffer.from(Array.from({ length: 400_000 }, (_, i) => i % 251))
        const answer = await upload('/home/ann/model.bin', bytes, { untar: false, path: '/out//sub/' })
        expect([answer.status, answer.text, answer.headers['content-length']]).toEqual([200, '', '0'])
        expect(await filesIn()).toEqual({ 'out/sub/model.bin': bytes.toString('latin1') })
        const read = await ask(`${service.url}${RUN}/artifact?path=out/sub/model.bin&stream=true`)
        expect(read.body.equals(bytes)).toBe(true)
      })

      it('of many parts goes there as it is', async () => {
        const bytes = pattern(20 * 1024 ** 2)
        const answer = await upload('model.bin', bytes, { untar: false, path: 'out' })
        expect([answer.status, answer.text]).toEqual([200, ''])
        const read = await ask(`${service.url}${RUN}/artifact?path=out/model.bin&stream=true`)
        expect(read.body.equals(bytes)).toBe(true)
      })

      it('replaces the file that is there, and stays away from all others', async () => {
        await fill()
        expect((await upload('a.txt', 'new', { untar: false, path: 'dir' })).status).toBe(200)
        expect((await upload('top.txt', 'top', { untar: false, path: '' })).status).toBe(200)
        expect((await upload('empty', '', { untar: false, path: '/' })).status).toBe(200)
        expect(await filesIn()).toEqual({ ...THERE, 'dir/a.txt': 'new', 'top.txt': 'top', empty: '' })
      })

      it('leaves the file that is there, where it is not to be replaced', async () => {
        await fill()
        const fields = { untar: false, path: 'dir', overwrite: false }
        for (const parts of [
          [uploadPart('a.txt', 'new'), jsonPart(fields)],
          [jsonPart(fields), uploadPart('a.txt', 'new')],
          [uploadPart('new.txt', 'new'), jsonPart(fields)],
          [jsonPart(fields), uploadPart('first.txt', 'new')],
        ])
          expect((await post(form(...parts))).status).toBe(200)
        expect(await filesIn()).toEqual({ ...THERE, 'dir/new.txt': 'new', 'dir/first.txt': 'new' })
      })

      it('goes straight there where the form says so in front of it', async () => {
        const fields = jsonPart({ untar: false, path: 'first', overwrite: true })
        expect((await post(form(fields, uploadPart('x.bin', Buffer.alloc(300_000, 'x'))))).status).toBe(200)
        expect(await filesIn()).toEqual({ 'first/x.bin': 'x'.repeat(300_000) })
      })
    })

    describe('an archive', () => {
      it.each([
        ['tar.gz', tarGz(...AB)],
        ['tar', tarOf(...AB)],
        [
          'zip',
          zipOf([
            { name: 'a.txt', content: 'new a' },
            { name: 'deep/b.txt', content: 'new b' },
          ]),
        ],
        [
          'tar.gz of .',
          tarGz({ name: './', type: '5' }, ...AB.map(part => ({ ...part, name: `./${part.name}` }))),
        ],
      ])('(%s) replaces the folder of its path, and nothing beside it', async (_format, archive) => {
        await fill()
        const answer = await uploadDir(archive, { untar: true, path: 'dir', overwrite: true })
        expect([answer.status, answer.text, answer.headers['content-length']]).toEqual([200, '', '0'])
        expect(await filesIn()).toEqual({
          'dir/a.txt': 'new a',
          'dir/deep/b.txt': 'new b',
          'kept.txt': 'kept',
        })
      })

      it('replaces only what it has where no path is given: a run is never wiped', async () => {
        await fill()
        for (const path of ['', '/', '.'])
          expect(
            (
              await uploadDir(tarGz({ name: 'dir/a.txt', content: path }, { name: 'n', content: 'n' }), {
                path,
              })
            ).status,
          ).toBe(200)
        expect((await uploadDir(tarGz(), { path: '' })).status).toBe(200)
        expect(await filesIn()).toEqual({ ...THERE, 'dir/a.txt': '.', n: 'n' })
      })

      it('has for a hard link the file that it leads to', async () => {
        await fill()
        const long = 'n'.repeat(150)
        const archive = tarGz(
          ...AB,
          { name: 'deep/l', type: '1', linkName: 'a.txt' },
          { name: './l', type: '1', linkName: './deep/b.txt' },
          { name: 'large', content: 'x'.repeat(300_000) },
          { name: 'l2', type: '1', linkName: 'large' },
          paxOf({ path: `deep/${long}` }),
          { name: 'cut', content: 'long' },
          paxOf({ linkpath: `deep/${long}` }),
          { name: 'l3', type: '1', linkName: 'cut' },
          { name: '././@LongLink', type: 'K', content: `deep/${long}\0` },
          { name: 'l4', type: '1', linkName: 'cut' },
          { name: 'l5', type: '1', linkName: 'l4' },
        )
        expect((await uploadDir(archive, { path: 'dir' })).status).toBe(200)
        const dir = {
          'a.txt': 'new a',
          'deep/b.txt': 'new b',
          'deep/l': 'new a',
          l: 'new b',
          large: 'x'.repeat(300_000),
          l2: 'x'.repeat(300_000),
          [`deep/${long}`]: 'long',
          l3: 'long',
          l4: 'long',
          l5: 'long',
        }
        expect(await filesIn(`${UUID}/dir`)).toEqual(dir)
        expect((await uploadDir(archive, { path: '', overwrite: false })).status).toBe(200)
        expect((await filesIn())['l5']).toBe('long')
      })

      it('sent as a file becomes a folder of its name in the folder of its path', async () => {
        await fill()
        expect((await upload('/x/dir', tarGz(...AB), { untar: true, path: '' })).status).toBe(200)
        expect(await filesIn()).toEqual({ ...THERE, 'a.txt': 'new a', 'deep/b.txt': 'new b' })
        expect((await upload('/x/deep', tarGz(...AB), { path: 'dir' })).status).toBe(200)
        expect(await filesIn('a1b2c3d4e5f647089a0b1c2d3e4f5a6b/dir')).toEqual({
          'a.txt': 'old a',
          'c.txt': 'old c',
          'deep/a.txt': 'new a',
          'deep/deep/b.txt': 'new b',
        })
      })

      it('adds nothing to a folder that is there, and only what is missing to a run, where nothing is to be replaced', async () => {
        await fill()
        expect((await uploadDir(tarGz(...AB), { path: 'dir', overwrite: false })).status).toBe(200)
        expect(await filesIn()).toEqual(THERE)
        const large = { name: 'large', content: 'x'.repeat(300_000) }
        const again = { name: 'kept.txt', content: 'y'.repeat(300_000) }
        for (let times = 0; times < 2; times++)
          expect((await uploadDir(tarGz(again, ...AB, large), { path: '', overwrite: false })).status).toBe(
            200,
          )
        expect(await filesIn()).toEqual({
          ...THERE,
          'a.txt': 'new a',
          'deep/b.txt': 'new b',
          large: large.content,
        })
        expect((await uploadDir(tarGz(...AB), { path: 'else', overwrite: false })).status).toBe(200)
        expect(await filesIn(`${UUID}/else`)).toEqual({ 'a.txt': 'new a', 'deep/b.txt': 'new b' })
      })

      it.each<[string, Buffer, number]>([
        ['no archive', Buffer.from('just text'), 400],
        ['nothing', Buffer.alloc(0), 400],
        ['zeros', Buffer.alloc(10_240), 400],
        [
          'a tar.gz that is cut',
          tarGz(...AB, { name: 'z', content: 'z'.repeat(5000) }).subarray(0, -30),
          400,
        ],
        ['a tar that is cut', tarOf(...AB).subarray(0, 1700), 400],
        ['a tar without an end', tarOf(...AB).subarray(0, -1024), 400],
        ['a gzip of something else', gzipSync('text'), 400],
        ['a zip without its directory', zipOf([{ name: 'a.txt', content: 'a' }]).subarray(0, 60), 400],
        ['a name that climbs', tarGz(...AB, { name: '../../x', content: 'x' }), 400],
        ['a name that climbs after all', tarGz(...AB, { name: 'a/../../x', content: 'x' }), 400],
        ['an absolute name', tarGz(...AB, { name: '/etc/x', content: 'x' }), 400],
        ['a symbolic link', tarGz(...AB, { name: 'link', type: '2' }), 400],
        ['a hard link to nothing', tarGz(...AB, { name: 'link', type: '1' }), 400],
        ['a hard link out of it', tarGz(...AB, { name: 'l', type: '1', linkName: '../kept.txt' }), 400],
        ['a hard link to a place', tarGz(...AB, { name: 'l', type: '1', linkName: '/etc/passwd' }), 400],
        [
          'a hard link to what it does not have',
          tarGz(...AB, { name: 'l', type: '1', linkName: 'c.txt' }),
          400,
        ],
        ['a hard link to what comes later', tarGz({ name: 'l', type: '1', linkName: 'a.txt' }, ...AB), 400],
        ['a hard link to itself', tarGz(...AB, { name: 'a.txt', type: '1', linkName: 'a.txt' }), 400],
        [
          'a hard link with a content',
          tarGz(...AB, { name: 'l', type: '1', linkName: 'a.txt', content: 'x' }),
          400,
        ],
        ['a device', tarGz(...AB, { name: 'dev', type: '3' }), 400],
        [
          'a file in which others lie',
          tarGz({ name: 'a', content: 'x' }, { name: 'a/b', content: 'x' }),
          400,
        ],
        [
          'a file in which others have lain',
          tarGz({ name: 'a/b/c', content: 'x' }, { name: 'a', content: 'x' }),
          400,
        ],
        ['a bomb', tarGz({ name: 'zeros', content: Buffer.alloc(40 * 1024 ** 2) }), 413],
      ])(
        'that is not one, or not whole, or holds what may not be, changes nothing: %s',
        async (_what, archive, status) => {
          await fill()
          for (const path of ['dir', '']) {
            const answer = await uploadDir(archive, { path })
            expect([answer.status, answer.headers['content-type']]).toEqual([
              status,
              'text/plain; charset=utf-8',
            ])
            expect(answer.text).not.toMatch(/staged|polyaxon-outputs/)
          }
          expect((await upload('x', archive, { path: 'dir' })).status).toBe(status)
          expect(await filesIn()).toEqual(THERE)
        },
      )
    })

    it('changes nothing before the form has ended, wherever it is cut', async () => {
      await fill()
      const archive = { path: 'dir', untar: true }
      const file = { path: 'dir', untar: false }
      const bodies = [
        form(uploadPart('a.txt', tarGz(...AB)), jsonPart(archive)),
        form(uploadPart('a.txt', Buffer.alloc(100_000, 'x')), jsonPart(file)),
        form(jsonPart(file), uploadPart('a.txt', Buffer.alloc(100_000, 'x'))),
      ]
      await fc.assert(
        fc.asyncProperty(
          fc.constantFrom(...bodies),
          fc.double({ min: 0, max: 1, noNaN: true }),
          fc.boolean(),
          async (body, share, resets) => {
            // What comes behind the last boundary is nothing.
            const cut = Math.floor(share * (body.length - 5))
            const connection = await begin(body.length)
            sendBytes(connection, body.subarray(0, cut))
            await sleep(20)
            if (resets) connection.reset()
            else connection.destroy()
            await until(() => served.leftovers().length === 0)
          },
        ),
        { numRuns: 12 },
      )
      await until(async () => Object.keys(await filesIn(OWN)).length === 0)
      expect(await filesIn()).toEqual(THERE)
    })
  })

describe('what the form says', () => {
  beforeEach(async () => {
    await serve(servedOf(new CountingStore()))
    await fill()
  })

  const refused = async (answering: Promise<Answer>): Promise<[number, string]> => {
    const { status, text } = await answering
    expect(await filesIn()).toEqual(THERE)
    return [status, text]
  }

  it.each([
    ['/tmp/a/b/model.bin', 'model.bin'],
    ['C:\\\\Users\\\\ann\\\\model.bin', 'model.bin'],
    ['./x', 'x'],
    ['a\\\\b/c', 'c'],
    ['..x', '..x'],
    ['模型 – 1.pt', '模型 – 1.pt'],
    ['50%.txt', '50%.txt'],
  ])('calls the file %j %j', async (filename, name) => {
    expect((await upload(filename, 'x', { untar: false, path: 'n' })).status).toBe(200)
    expect(Object.keys(await filesIn(`${UUID}/n`))).toEqual([name])
  })

  it.each(['..', '/tmp/..', 'a\\\\..', '.', 'dir/', 'dir\\\\', `/x/${'n'.repeat(300)}`, '\u00e4\0'])(
    'refuses a file called %j',
    async filename => {
      const [status] = await refused(upload(filename, 'x', { untar: false, path: 'dir' }))
      expect(status).toBe(400)
    },
  )

  it('refuses a file whose name is no UTF-8', async () => {
    const [head, rest] = uploadPart('NAME', 'x').toString('latin1').split('NAME')
    const latin1 = Buffer.from(`${head}\u00e4.txt${rest}`, 'latin1')
    expect((await refused(post(form(latin1, jsonPart({ untar: false })))))[0]).toBe(400)
  })

  it.each(['..', '../x', 'a/../..', 'dir/../dir', '/../x', 'x/..'])('refuses the path %j', async path => {
    const outcomes = [
      upload('x', 'x', { untar: false, path }),
      post(form(jsonPart({ untar: false, path }), uploadPart('x', 'x'))),
      uploadDir(tarGz(...AB), { path }),
    ]
    for (const outcome of outcomes)
      expect(await refused(outcome)).toEqual([400, 'Invalid path: traversal detected'])
  })

  it.each(['a\0b', 'x\\..\\..\\y', `${'n'.repeat(300)}/x`])('refuses the path %j', async path => {
    expect((await refused(upload('x', 'x', { untar: false, path })))[0]).toBe(400)
  })

  it.each([
    '{',
    '[]',
    '"text"',
    'null',
    '1',
    '{"untar": "false"}',
    '{"untar": 0}',
    '{"overwrite": "no"}',
    '{"path": 1}',
    '{"path": ["a"]}',
    '{"connection": {}}',
  ])('refuses %s', async json => {
    for (const parts of [
      [uploadPart('x', tarGz(...AB)), fieldPart('json', json)],
      [fieldPart('json', json), uploadPart('x', tarGz(...AB))],
    ])
      expect(await refused(post(form(...parts)))).toEqual([400, expect.stringContaining('json')])
  })

  it('has defaults: an archive, at the root, that replaces', async () => {
    const archive = tarGz({ name: 'kept.txt', content: 'new' })
    for (const parts of [
      [],
      [fieldPart('json', '')],
      [fieldPart('json', '{}')],
      [fieldPart('json', '{"path":null,"untar":null,"connection":null}')],
    ]) {
      await served.write(`${UUID}/kept.txt`, 'old')
      expect((await post(form(uploadPart('x', archive), ...parts))).status).toBe(200)
      expect(await filesIn()).toEqual({ ...THERE, 'kept.txt': 'new' })
    }
  })

  it('is ignored where nobody knows it', async () => {
    const parts = [
      fieldPart('other', '{'),
      filePart('other.txt', 'x'.repeat(100_000), 'other'),
      uploadPart('x', 'x'),
      filePart('more.txt', 'y', 'upload_files'),
      jsonPart({ untar: false, path: 'p', more: 1, __proto__: { path: '..' } }),
      fieldPart('z', 'z'),
    ]
    expect((await post(form(...parts))).status).toBe(200)
    expect(await filesIn()).toEqual({ ...THERE, 'p/x': 'x' })
  })

  it('is one file: none, or two, are refused', async () => {
    const none = [400, 'A file is required to upload a file']
    const json = jsonPart({ untar: false, path: 'dir' })
    expect(await refused(post(form(json)))).toEqual(none)
    expect(await refused(post(form(json, uploadPart('', ''))))).toEqual(none)
    expect(await refused(post(form(json, fieldPart('upload_file', 'x'))))).toEqual(none)
    expect(await refused(post(form(json, filePart('x', 'x', 'file'))))).toEqual(none)
    for (const type of ['application/json', 'text/plain', 'multipart/mixed; boundary=x'])
      expect(await refused(post(Buffer.from('{}'), 'artifact', { 'content-type': type }))).toEqual(none)
    const two = [uploadPart('a.txt', 'x'), uploadPart('b.txt', 'y')]
    expect(await refused(post(form(...two, json)))).toEqual([
      400,
      expect.stringContaining('more than one file'),
    ])
    expect(await refused(post(form(json, ...two)))).toEqual([
      400,
      expect.stringContaining('more than one file'),
    ])
    expect(await refused(post(form(json, two[0]!, json)))).toEqual([400, expect.stringContaining("'json'")])
  })

  it.each(MALFORMED)('is a form: $what', async ({ type = FORM_TYPE, body, status }) => {
    expect((await refused(post(body, 'artifact', { 'content-type': type })))[0]).toBe(status)
    expect((await upload('after', 'x', { untar: false, path: 'dir' })).status).toBe(200)
    expect(await filesIn()).toEqual({ ...THERE, 'dir/after': 'x' })
  })
})

describe('an upload on its way', () => {
  let store: CountingStore

  async function start(made: CountingStore, overrides: Overrides = {}): Promise<void> {
    store = made
    await serve(servedOf(store), overrides)
    await fill()
  }

  async function restart(made: CountingStore, overrides: Overrides = {}): Promise<void> {
    await service.close()
    await start(made, overrides)
  }

  beforeEach(() => start(new CountingStore()))

  it('is written while it comes, and seen by nobody', async () => {
    const body = form(uploadPart('x', Buffer.alloc(1_000_000, 'x')), jsonPart({ untar: false, path: 'p' }))
    const connection = await begin(body.length)
    sendBytes(connection, body.subarray(0, 600_000))
    await until(() => store.written > 400_000)
    expect(await filesIn()).toEqual(THERE)
    sendBytes(connection, body.subarray(600_000))
    expect((await connection.head()).status).toBe(200)
    connection.destroy()
    expect(Object.keys(await filesIn())).toEqual([
      'dir/a.txt',
      'dir/c.txt',
      'dir/deep/d.txt',
      'kept.txt',
      'p/x',
    ])
  })

  it('waits at a place that no URL leads to', async () => {
    // As of another replica, just now.
    await served.write(`${OWN}/staged-0b0e5f8a-7a55-4b39-9d6f-2f1f0c1e4a77/file`, 'secret')
    const urls = [
      '/outputs/?format=text',
      `/outputs/${OWN}/?format=text`,
      `/outputs/a/b/runs/${OWN}/?format=text&recursive`,
      `/outputs/${OWN}/staged-0b0e5f8a-7a55-4b39-9d6f-2f1f0c1e4a77/runs/x/file`,
      `/outputs/a/b/runs/${OWN}/staged-0b0e5f8a-7a55-4b39-9d6f-2f1f0c1e4a77/file`,
      `/streams/v1/a/b/c/runs/${OWN}/artifacts/tree`,
      `/streams/v1/a/b/c/runs/${OWN}/artifacts`,
      `/streams/v1/a/b/c/runs/${OWN}/artifact?path=staged-0b0e5f8a-7a55-4b39-9d6f-2f1f0c1e4a77/file`,
      `/streams/v1/a/b/c/runs/${OWN.toUpperCase()}/artifacts`,
      '/uploads/staged-0b0e5f8a-7a55-4b39-9d6f-2f1f0c1e4a77',
    ]
    for (const url of urls) {
      const { status, text } = await ask(service.url + url)
      expect([200, 404, 405], url).toContain(status)
      // A refusal may repeat what was asked for.
      for (const word of ['secret', 'staged', OWN])
        if (!url.includes(word)) expect(text, url).not.toContain(word)
    }
    const removal = await ask(`${service.url}/uploads/staged-0b0e5f8a-7a55-4b39-9d6f-2f1f0c1e4a77`, {
      method: 'DELETE',
      headers: { 'tus-resumable': '1.0.0' },
    })
    expect(removal.status).toBe(404)
    expect(await filesIn(OWN)).toEqual({ 'staged-0b0e5f8a-7a55-4b39-9d6f-2f1f0c1e4a77/file': 'secret' })
    store.forget(parsePath(OWN))
  })

  it('is asked for when nothing speaks against it (Expect: 100-continue)', async () => {
    const body = form(uploadPart('x', 'x'), jsonPart({ untar: false }))
    const connection = await begin(body.length, 'Expect: 100-continue')
    expect((await connection.head()).status).toBe(100)
    sendBytes(connection, body)
    expect((await connection.head()).status).toBe(200)
    connection.destroy()
  })

  it.each([
    ['a page of another site', ['Sec-Fetch-Site: cross-site'], 403],
    ['a coding', ['Content-Encoding: gzip'], 415],
    ['a part of a file', ['Content-Range: bytes 0-1/3'], 400],
  ])('is refused at once for %s', async (_what, fields, status) => {
    const connection = await begin(100_000_000, 'Expect: 100-continue', ...fields)
    const head = await connection.head()
    expect([head.status, head.headers.get('connection')]).toEqual([status, 'close'])
    connection.destroy()
    expect(store.begun).toBe(0)
  })

  it('is refused at once by a store that takes no changes, and for a connection or run that there is not', async () => {
    class ReadOnly extends CountingStore {
      override checkWritable(): Promise<void> {
        return Promise.reject(new AppError('PermissionDenied', 'It is read-only.'))
      }
    }
    const elsewhere = (url: string): Promise<Answer> =>
      ask(service.url + url, {
        method: 'POST',
        body: form(uploadPart('x', 'x'), jsonPart({ untar: false })),
        headers: { 'content-type': FORM_TYPE },
      })
    expect((await elsewhere(`${RUN}/artifact?connection=none`)).status).toBe(404)
    expect((await elsewhere('/streams/v1/a/b/c/runs/..%2f/artifact')).status).not.toBe(200)
    await restart(new ReadOnly())
    const connection = await begin(100_000_000, 'Expect: 100-continue')
    expect((await connection.head()).status).toBe(403)
    connection.destroy()
  })

  it('keeps the limits', async () => {
    await restart(new CountingStore(), {
      uploads: { maxBytes: 10_000, maxUnpackedBytes: 20_000, maxUnpackedEntries: 3 },
    })
    const large = Buffer.alloc(10_001)
    expect((await upload('x', large, { untar: false, path: 'dir' })).status).toBe(413)
    expect((await post(form(jsonPart({ untar: false }), uploadPart('x', large)))).status).toBe(413)
    expect((await upload('x', large.subarray(1), { untar: false, path: 'fits' })).status).toBe(200)
    expect(
      (await uploadDir(tarGz({ name: 'x', content: Buffer.alloc(20_001) }), { path: 'dir' })).status,
    ).toBe(413)
    const links = Array.from({ length: 2 }, (_, i) => ({ name: `l${i}`, type: '1', linkName: 'x' }))
    const linked = tarGz({ name: 'x', content: Buffer.alloc(9_000) }, ...links)
    expect((await uploadDir(linked, { path: 'dir' })).status).toBe(413)
    const four = ['a', 'b', 'c', 'd'].map(name => ({ name, content: 'x' }))
    expect((await uploadDir(tarGz(...four), { path: 'dir' })).status).toBe(413)
    expect((await uploadDir(tarGz({ name: 'a/b/c/x', content: 'x' }), { path: 'deep' })).status).toBe(200)
    // Of a path of 4096 bytes, two thousand could be folders.
    expect((await uploadDir(tarGz({ name: 'a/b/c/d/x', content: 'x' }), { path: 'dir' })).status).toBe(413)
    expect(await filesIn()).toEqual({ ...THERE, 'fits/x': '\0'.repeat(10_000), 'deep/a/b/c/x': 'x' })
  })

  it('is given up where it stands still', async () => {
    await restart(new CountingStore(), { uploads: { idleTimeoutMs: 200 } })
    const body = form(uploadPart('x', Buffer.alloc(100_000)), jsonPart({ untar: false }))
    const connection = await begin(body.length)
    sendBytes(connection, body.subarray(0, 50_000))
    expect((await connection.head()).status).toBe(408)
    connection.destroy()
    expect(await filesIn()).toEqual(THERE)
  })

  it('that fails while its files are written leaves of what was there what it was, and of what is new nothing', async () => {
    class Full extends CountingStore {
      override create(path: ArtifactPath, options?: CreateOptions): Promise<PendingArtifact> {
        if (path.endsWith('/last.txt')) return Promise.reject(new AppError('NoSpace', 'The store is full.'))
        return super.create(path, options)
      }
    }
    await restart(new Full())
    const archive = tarGz(
      ...AB,
      { name: 'large', content: 'x'.repeat(300_000) },
      { name: 'last.txt', content: 'x' },
    )
    const answer = await uploadDir(archive, { path: 'dir' })
    expect([answer.status, answer.text]).toEqual([
      507,
      expect.stringMatching(/last\.txt.*full.*3 of its files were written/),
    ])
    expect(await filesIn()).toEqual({ ...THERE, 'dir/a.txt': 'new a' })
  })

  it('that cannot be staged, or moved, changes nothing', async () => {
    for (const where of [OWN, 'dir/full']) {
      class Full extends CountingStore {
        override async create(path: ArtifactPath, options?: CreateOptions): Promise<PendingArtifact> {
          const pending = await super.create(path, options)
          if (!path.includes(where)) return pending
          return {
            ...pending,
            write: () => Promise.reject(new AppError('NoSpace', 'The store is full.', { path })),
          }
        }
      }
      await restart(new Full())
      const { status, text } = await upload('full', 'x', { untar: false, path: 'dir' })
      expect([status, text]).toEqual([507, 'The store is full.'])
      expect(await filesIn()).toEqual(THERE)
    }
  })

  it('leaves what somebody writes meanwhile', async () => {
    class Busy extends CountingStore {
      override create(path: ArtifactPath, options?: CreateOptions): Promise<PendingArtifact> {
        if (path.endsWith('/deep/b.txt')) {
          this.write(parsePath(`${UUID}/dir/c.txt`), Buffer.from('theirs'))
          this.write(parsePath(`${UUID}/dir/theirs.txt`), Buffer.from('theirs'))
          this.forget(parsePath(`${UUID}/dir/deep/d.txt`))
        }
        return super.create(path, options)
      }
    }
    await restart(new Busy())
    expect((await uploadDir(tarGz(...AB), { path: 'dir' })).status).toBe(200)
    expect(await filesIn()).toEqual({
      'dir/a.txt': 'new a',
      'dir/deep/b.txt': 'new b',
      'dir/c.txt': 'theirs',
      'dir/theirs.txt': 'theirs',
      'kept.txt': 'kept',
    })
  })

  it('never shows a folder without one of its files', async () => {
    const seen = new Set<string>()
    let isOver = false
    const watch = async (): Promise<void> => {
      while (!isOver) {
        seen.add((await filesIn())['dir/a.txt'] ?? 'missing')
        await sleep(0)
      }
    }
    const watching = watch()
    for (let i = 0; i < 20; i++) {
      const archive = tarGz({ name: 'a.txt', content: `new ${i}` }, { name: `b${i}`, content: 'b' })
      expect((await uploadDir(archive, { path: 'dir' })).status).toBe(200)
    }
    isOver = true
    await watching
    expect(seen).not.toContain('missing')
    expect(Object.keys(await filesIn()).sort()).toEqual(['dir/a.txt', 'dir/b19', 'kept.txt'])
  })

  it('does not replace what somebody puts there meanwhile, where nothing is to be replaced', async () => {
    const fields = { untar: false, path: 'p', overwrite: false }
    const [file, json] = [uploadPart('x', 'mine'), jsonPart(fields)]
    for (const parts of [
      [file, json],
      [json, file],
    ])
      // A store may look at a precondition at once, and has to in the end.
      for (const looksAtOnce of [false, true]) {
        class Busy extends CountingStore {
          override async create(path: ArtifactPath, options?: CreateOptions): Promise<PendingArtifact> {
            if (!path.endsWith('/p/x')) return super.create(path, options)
            this.write(path, Buffer.from('theirs'))
            if (looksAtOnce) throw new AppError('Changed', 'Something is there.')
            return super.create(path, options)
          }
        }
        await restart(new Busy())
        expect((await post(form(...parts))).status).toBe(200)
        expect(await filesIn()).toEqual({ ...THERE, 'p/x': 'theirs' })
      }
  })

  it('that finds a folder in its place, or a file in the place of its folder, says so', async () => {
    expect((await upload('deep', 'x', { untar: false, path: 'dir' })).status).toBe(409)
    expect((await upload('x', 'x', { untar: false, path: 'kept.txt' })).status).toBe(409)
    expect((await uploadDir(tarGz(...AB), { path: 'kept.txt' })).status).toBe(409)
    expect(
      (await uploadDir(tarGz({ name: 'new', content: 'x' }, { name: 'deep', content: 'x' }), { path: 'dir' }))
        .status,
    ).toBe(409)
    const replacing = Array.from({ length: 40 }, (_, i) => ({ name: `new${i}`, content: 'x' }))
    const asFolder = tarGz(...AB, ...replacing, { name: 'c.txt/x', content: 'x' })
    expect((await uploadDir(asFolder, { path: 'dir' })).status).toBe(409)
    const asFolderInRun = tarGz(...replacing, { name: 'dir/a.txt', content: 'x' }, { name: 'kept.txt/x' })
    expect((await uploadDir(asFolderInRun, { path: '' })).status).toBe(409)
    expect(await filesIn()).toEqual(THERE)
  })
})

describe('another connection', () => {
  let first: CountingStore
  let second: CountingStore
  let refusal: AppError | undefined

  beforeEach(async () => {
    first = new CountingStore()
    served = servedOf(first)
    second = new CountingStore()
    refusal = undefined
    service = await startService(
      '',
      {},
      new Map([
        ['outputs', first],
        ['second', second],
      ]),
      {
        authority: judging(({ action, connection }) =>
          action === 'write' && connection === 'second' && refusal !== undefined
            ? Promise.reject(refusal)
            : Promise.resolve('allowed'),
        ),
      },
    )
    await fill()
    second.write(parsePath(`${UUID}/dir/old.txt`), Buffer.from('old'))
  })

  const named = { connection: 'second' }

  it('is written to where the form names it, and nothing is left in the first one', async () => {
    expect((await upload('x', 'x', { untar: false, path: 'p', ...named })).status).toBe(200)
    expect(
      (await post(form(jsonPart({ untar: false, path: 'q', ...named }), uploadPart('x', 'x')))).status,
    ).toBe(200)
    expect((await uploadDir(tarGz(...AB), { path: 'dir', ...named })).status).toBe(200)
    expect(await filesIn()).toEqual(THERE)
    expect(await filesIn(ROOT, second)).toEqual({
      [`${UUID}/p/x`]: 'x',
      [`${UUID}/q/x`]: 'x',
      [`${UUID}/dir/a.txt`]: 'new a',
      [`${UUID}/dir/deep/b.txt`]: 'new b',
    })
  })

  it('is used from the beginning where the query names it', async () => {
    const body = form(uploadPart('x', 'x'), jsonPart({ untar: false, path: 'p' }))
    expect((await post(body, 'artifact?connection=second')).status).toBe(200)
    expect(first.begun).toBe(0)
    expect(await filesIn(`${UUID}/p`, second)).toEqual({ x: 'x' })
  })

  it('is written to only by whom the gate lets in there', async () => {
    refusal = new AppError('PermissionDenied', 'Not you.')
    const json = jsonPart({ untar: false, path: 'p', ...named })
    for (const outcome of [
      upload('x', 'x', { untar: false, path: 'p', ...named }),
      post(form(json, uploadPart('x', 'x'))),
      uploadDir(tarGz(...AB), { path: 'dir', ...named }),
      post(form(uploadPart('x', 'x'), json), 'artifact?connection=second'),
    ]) {
      const { status, text } = await outcome
      expect([status, text]).toEqual([403, 'Not you.'])
    }
    expect([await filesIn(), second.begun]).toEqual([THERE, 0])
  })

  it('has to exist', async () => {
    expect((await upload('x', 'x', { untar: false, path: 'p', connection: 'third' })).status).toBe(404)
    expect([await filesIn(), await filesIn(ROOT, second)]).toEqual([
      THERE,
      { [`${UUID}/dir/old.txt`]: 'old' },
    ])
  })
})

describe('links in a run', () => {
  let tree: Tree

  beforeEach(async () => {
    tree = new Tree()
    await serve({
      store: openLocalStore({ root: tree.root }),
      write: (path, content) => tree.write(path, content),
      leftovers: () => [],
      close: () => {
        tree.remove()
        return Promise.resolve()
      },
    })
    await fill()
    tree.write('other/run.txt', 'other')
    tree.link(`${UUID}/dir/out`, '../../other')
    tree.link(`${UUID}/dir/in`, '../elsewhere')
    tree.link(`${UUID}/dir/file`, '../elsewhere/e.txt')
    tree.write(`${UUID}/elsewhere/e.txt`, 'e')
  })

  it('lead no upload out of it', async () => {
    for (const untar of [true, false])
      expect((await upload('x', tarGz(...AB), { untar, path: 'dir/out' })).status).toBe(409)
    expect((await uploadDir(tarGz({ name: 'out/x', content: 'x' }), { path: 'dir' })).status).toBe(409)
    expect(await filesIn('other')).toEqual({ 'run.txt': 'other' })
  })

  it('go, but not what they lead to, and those that lead to folders stay', async () => {
    expect((await uploadDir(tarGz(...AB), { path: 'dir' })).status).toBe(200)
    expect(await filesIn(`${UUID}/elsewhere`)).toEqual({ 'e.txt': 'e' })
    expect(readdirSync(tree.at(`${UUID}/dir`)).sort()).toEqual(['a.txt', 'deep', 'in', 'out'])
  })

  it('have nothing removed of what they lead to where the path of the upload goes through one', async () => {
    tree.link(`${UUID}/self`, '.')
    tree.link(`${UUID}/dir/up`, '..')
    for (const path of ['self', 'dir/up', 'self/dir', 'dir/in'])
      expect((await uploadDir(tarGz({ name: 'n.txt', content: path }), { path })).status).toBe(200)
    expect(await filesIn()).toMatchObject({
      ...THERE,
      'n.txt': 'dir/up',
      'dir/n.txt': 'self/dir',
      'elsewhere/n.txt': 'dir/in',
      'elsewhere/e.txt': 'e',
    })
  })
})
