// Deletes, copies and moves: what is asked for and nothing else, and what was not done is said.
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { storeError } from '../../src/store/failure.ts'
import { parsePath, type ArtifactPath } from '../../src/store/path.ts'
import type { ArtifactStore, Entry, Removal } from '../../src/store/store.ts'
import { Connection } from '../faults/connection.ts'
import { CHANGED_STORES, CountingStore, type ChangedStore } from '../support/changed-stores.ts'
import { ask } from '../support/checked.ts'
import { json, type Answer, type Ask } from '../support/client.ts'
import { until } from '../support/process.ts'
import { startService, type Service } from '../support/service.ts'

const ID = 'ann/mnist/experiments/1'
const RUN = `/outputs/${ID}`

let service: Service
let store: ChangedStore

async function serve(served: ChangedStore): Promise<void> {
  store = served
  for (const path of ['a.txt', 'b.txt', 'folder/c.txt', 'folder/deep/d.txt', 'other/e.txt'])
    store.write(parsePath(`${ID}/${path}`), Buffer.from(path))
  store.write(parsePath('ann/mnist/experiments/10/f.txt'), Buffer.from('f'))
  service = await startService('', {}, store)
}

afterEach(async () => {
  expect(store.leftovers()).toEqual([])
  await service.close()
})

const send = (method: string, path: string, headers: Ask['headers'] = {}, body?: string): Promise<Answer> =>
  ask(service.url + path, { method, headers, ...(body !== undefined && { body }) })
const remove = (path: string, headers: Ask['headers'] = {}): Promise<Answer> => send('DELETE', path, headers)
const tagOf = async (path: string): Promise<string> => (await send('HEAD', path)).headers.etag!

/** Every file in the store. */
async function contents(): Promise<string[]> {
  const found: Entry[] = []
  for await (const batch of store.list(parsePath(''), { recursive: true })) found.push(...batch)
  return found.filter(({ type }) => type === 'file').map(({ path }) => path)
}

const FILES = ['a.txt', 'b.txt', 'folder/c.txt', 'folder/deep/d.txt', 'other/e.txt']
const all = (...without: string[]): string[] =>
  [
    ...FILES.filter(path => !without.includes(path)).map(path => `${ID}/${path}`),
    'ann/mnist/experiments/10/f.txt',
  ].sort()

async function expectOnly(...without: string[]): Promise<void> {
  expect((await contents()).sort()).toEqual(all(...without))
}

const post = (path: string, body: unknown, headers: Ask['headers'] = {}): Promise<Answer> =>
  send('POST', path, { 'content-type': 'application/json', ...headers }, JSON.stringify(body))

describe.each(CHANGED_STORES)('on %s', (_store, make) => {
  beforeEach(() => serve(make()))

  describe('a file', () => {
    it('is deleted, and folders that are empty then, up to the run', async () => {
      expect((await remove(`${RUN}/folder/deep/d.txt`)).status).toBe(204)
      await expectOnly('folder/deep/d.txt')
      expect((await send('GET', `${RUN}/folder/deep/?format=json`)).status).toBe(404)
      expect((await send('GET', `${RUN}/folder/?format=json`)).status).toBe(200)
      expect((await remove(`${RUN}/folder/deep/d.txt`)).status).toBe(404)
    })

    it.each([
      ['if-match', '{tag}', 204],
      ['if-match', '"x", {tag}', 204],
      ['if-match', '*', 204],
      ['if-match', 'W/{tag}', 412],
      ['if-match', '"x"', 412],
      ['if-none-match', '*', 412],
      ['if-none-match', '{tag}', 412],
      ['if-none-match', '"x"', 204],
      ['if-unmodified-since', 'Tue, 01 Sep 2020 08:30:00 GMT', 412],
    ])('%s: %s', async (name, value, status) => {
      const headers = { [name]: value.replace('{tag}', await tagOf(`${RUN}/a.txt`)) }
      expect((await remove(`${RUN}/a.txt`, headers)).status).toBe(status)
      await expectOnly(...(status === 204 ? ['a.txt'] : []))
      // What is absent is that first of all.
      expect((await remove(`${RUN}/absent.txt`, headers)).status).toBe(404)
    })

    it('goes with recursive too', async () => {
      expect((await remove(`${RUN}/a.txt?recursive=true`)).status).toBe(204)
      await expectOnly('a.txt')
    })

    it('named as a folder is none', async () => {
      expect((await remove(`${RUN}/a.txt/?recursive=true`)).status).toBe(404)
      await expectOnly()
    })
  })

  describe('a folder', () => {
    it.each(['/folder/', '/folder', '/'])('%s is kept unless everything in it is to go', async path => {
      const answer = await remove(RUN + path)
      expect(answer.status).toBe(400)
      expect((json(answer) as { detail: string }).detail).toContain('recursive=true')
      expect((await remove(`${RUN}${path}?recursive=false`)).status).toBe(400)
      await expectOnly()
    })

    it.each(['/folder/', '/folder'])('%s goes with everything in it', async path => {
      expect((await remove(`${RUN}${path}?recursive=true`)).status).toBe(204)
      await expectOnly('folder/c.txt', 'folder/deep/d.txt')
    })

    it('that is not there is 404', async () => {
      expect((await remove(`${RUN}/absent/?recursive=true`)).status).toBe(404)
      expect((await remove('/outputs/ann/mnist/experiments/5/?recursive=true')).status).toBe(404)
    })

    it('has no tag that a condition could be about', async () => {
      for (const path of ['/folder/', '/folder', '/'])
        for (const condition of ['*', '"x"'])
          expect((await remove(`${RUN}${path}?recursive=true`, { 'if-match': condition })).status).toBe(412)
      await expectOnly()
    })
  })

  describe('the run itself', () => {
    it('goes by its own URL and recursive only, and no other run with it', async () => {
      expect((await remove(`${RUN}/?recursive=true`)).status).toBe(204)
      expect(await contents()).toEqual(['ann/mnist/experiments/10/f.txt'])
      expect((await send('GET', `${RUN}/`)).status).toBe(404)
    })

    it.each([
      [RUN, 405],
      [`${RUN}//`, 400],
      [`${RUN}/./`, 400],
      [`${RUN}/.`, 400],
      [`${RUN}/%2e`, 400],
      [`${RUN}/folder/..`, 400],
      [`${RUN}/folder/../`, 400],
      [`${RUN}/%2F`, 400],
      ['/outputs/ann/mnist/experiments/./1/', 400],
      ['/outputs/ann/mnist/experiments/', 405],
      ['/outputs/ann/mnist/experiments', 405],
      ['/outputs/ann/mnist/', 405],
      ['/outputs/ann/', 405],
      ['/outputs/', 405],
      ['/outputs', 405],
      ['/', 405],
      ['/healthz', 405],
    ])('does not go as %s', async (path, status) => {
      const answer = await remove(`${path}?recursive=true`)
      expect(answer.status).toBe(status)
      if (status === 405) expect(answer.headers.allow).toBe('GET, HEAD')
      await expectOnly()
    })

    it('is in another place when it comes again', async () => {
      store.write(parsePath('ann/mnist/groups/3/8/x'), Buffer.from('x'))
      const run = '/outputs/ann/mnist/experiments/8/'
      expect((await send('GET', `${run}?format=json`)).status).toBe(200)
      expect((await remove(`${run}?recursive=true`)).status).toBe(204)
      expect((await send('PUT', `${run}x`, {}, 'x')).status).toBe(201)
      expect(await contents()).toContain('ann/mnist/experiments/8/x')
    })
  })

  describe('a list', () => {
    it('removes its files, and tells of each that it did not remove', async () => {
      const paths = ['a.txt', 'absent.txt', 'folder/c.txt', 'other', 'a.txt']
      const answer = await post(`${RUN}/?delete`, { paths })
      expect(answer.status).toBe(200)
      expect(json(answer)).toMatchObject({
        removed: 2,
        failures: [
          { path: 'absent.txt', status: 404 },
          { path: 'other', status: 400 },
        ],
      })
      await expectOnly('a.txt', 'folder/c.txt')
    })

    it('is relative to its folder, and may be a form', async () => {
      const form = { 'content-type': 'application/x-www-form-urlencoded' }
      const answer = await send(
        'POST',
        `${RUN}/folder/?delete`,
        form,
        'path=c.txt&path=deep%2Fd.txt&path=a.txt',
      )
      expect(json(answer)).toMatchObject({ removed: 2, failures: [{ path: 'a.txt', status: 404 }] })
      await expectOnly('folder/c.txt', 'folder/deep/d.txt')
    })

    it('removes folders that it names as such, with recursive only', async () => {
      const paths = ['folder/', 'folder/c.txt', 'absent/']
      expect((await post(`${RUN}/?delete`, { paths })).status).toBe(400)
      await expectOnly()
      const answer = await post(`${RUN}/?delete&recursive`, { paths })
      expect(json(answer)).toMatchObject({ removed: 2, failures: [{ path: 'absent/', status: 404 }] })
      await expectOnly('folder/c.txt', 'folder/deep/d.txt')
    })

    it.each([
      { paths: [] },
      { paths: [''] },
      { paths: ['.'] },
      { paths: ['/'] },
      { paths: ['//'] },
      { paths: ['./'] },
      { paths: ['..'] },
      { paths: ['../10/f.txt'] },
      { paths: ['/ann'] },
      { paths: ['folder/..'] },
      { paths: ['a.txt', 'folder//c.txt'] },
      { paths: ['a.txt\0'] },
      { paths: ['a.txt'], glob: '*' },
      { paths: ['a.txt'], exclude: '*' },
      { path: ['a.txt'] },
      {},
      'a.txt',
    ])('%j is refused as a whole', async body => {
      expect((await post(`${RUN}/?delete&recursive`, body)).status).toBe(400)
      await expectOnly()
    })

    it('is bounded', async () => {
      const paths = Array.from({ length: 10_001 }, (_, i) => `x${i}`)
      expect((await post(`${RUN}/?delete`, { paths })).status).toBe(413)
      const answer = await post(`${RUN}/?delete`, { paths: [...paths.slice(2), 'a.txt'] })
      expect(json(answer)).toMatchObject({ removed: 1, failures: { length: 9999 } })
    })

    it('needs to be told what it is for', async () => {
      for (const query of ['', '?recursive', '?delete=false', '?delete&archive=zip'])
        expect((await post(`${RUN}/${query}`, { paths: ['a.txt'] })).status).toBe(400)
      expect((await post(`${RUN}/?delete`, { paths: ['a.txt'] }, { 'if-match': '*' })).status).toBe(412)
      await expectOnly()
    })
  })
})

/** A memory store that copies and moves by itself. */
class Copying extends CountingStore {
  readonly asked: string[] = []

  copy: NonNullable<ArtifactStore['copy']> = async (from, to, options) => {
    this.asked.push('copy')
    return this.put(from, to, options)
  }

  move: NonNullable<ArtifactStore['move']> = async (from, to, options) => {
    this.asked.push('move')
    const entry = await this.put(from, to, options)
    await this.remove(from)
    return entry
  }

  protected async put(
    ...[from, to, options]: Parameters<NonNullable<ArtifactStore['copy']>>
  ): Promise<Entry> {
    const artifact = await this.open(from)
    const pending = await this.create(to, options)
    for await (const chunk of artifact.read(0, artifact.entry.size)) await pending.write(chunk)
    return pending.complete()
  }
}

describe.each<readonly [string, () => ChangedStore]>([
  ...CHANGED_STORES,
  ['a store that copies and moves by itself', () => new Copying()],
])('a file in %s', (_store, make) => {
  beforeEach(() => serve(make()))

  const textOf = async (path: string): Promise<string> => (await send('GET', path)).text

  it.each([
    ['copyTo', ['a.txt'], []],
    ['moveTo', [], ['a.txt']],
  ])('%s gives a file another path', async (way, kept, gone) => {
    const answer = await send('POST', `${RUN}/a.txt?${way}=new/x%20%2By.txt`)
    expect([answer.status, answer.headers.location]).toEqual([201, './new/x%20%2By.txt'])
    const target = new URL(answer.headers.location!, `${service.url}${RUN}/a.txt`).pathname
    expect([await textOf(target), await tagOf(target)]).toEqual(['a.txt', answer.headers.etag])
    for (const path of kept) expect((await send('HEAD', `${RUN}/${path}`)).status).toBe(200)
    for (const path of gone) expect((await send('HEAD', `${RUN}/${path}`)).status).toBe(404)
    expect(store.pending).toBe(0)
    if (store instanceof Copying) expect(store.asked).toEqual([way.slice(0, 4)])
  })

  it('over another file: 204, and only under the conditions', async () => {
    const from = `${RUN}/folder/deep/d.txt`
    const tag = await tagOf(`${RUN}/b.txt`)
    for (const [name, value] of [
      ['if-none-match', '*'],
      ['if-match', '"x"'],
      ['if-match', `W/${tag}`],
    ] as const)
      for (const way of ['copyTo', 'moveTo'])
        expect((await send('POST', `${from}?${way}=b.txt`, { [name]: value })).status).toBe(412)
    await expectOnly()
    expect(await textOf(`${RUN}/b.txt`)).toBe('b.txt')
    const answer = await send('POST', `${from}?moveTo=b.txt&connection=outputs`, { 'if-match': tag })
    expect([answer.status, answer.headers.location]).toEqual([204, '../../b.txt?connection=outputs'])
    expect(await textOf(`${RUN}/b.txt`)).toBe('folder/deep/d.txt')
    await expectOnly('folder/deep/d.txt')
  })

  it('of what is no file, or to where no file can be, changes nothing', async () => {
    for (const [path, status] of [
      ['/a.txt?copyTo=a.txt', 400],
      ['/a.txt?moveTo=a.txt', 400],
      ['/a.txt?copyTo=x&moveTo=y', 400],
      ['/a.txt', 400],
      ['/a.txt?copyTo=', 400],
      ['/a.txt?copyTo=folder/', 400],
      ['/a.txt?copyTo=../10/x', 400],
      ['/a.txt?copyTo=/x', 400],
      ['/a.txt?archive=zip', 400],
      ['/folder?copyTo=x', 400],
      ['/folder?moveTo=x', 400],
      ['/absent?moveTo=x', 404],
      ['/a.txt?copyTo=folder', 409],
      ['/a.txt?moveTo=folder', 409],
      ['/a.txt?copyTo=b.txt/x', 409],
    ] as const)
      expect([path, (await send('POST', RUN + path)).status]).toEqual([path, status])
    await expectOnly()
    expect(store.pending).toBe(0)
  })

  it('counts an escaped slash as none where it says where the file is', async () => {
    const answer = await send('POST', `${RUN}/folder%2Fc.txt?copyTo=x`)
    expect(answer.headers.location).toBe('./x')
  })
})

it('a move whose source changes meanwhile leaves it, and says that the copy is there', async () => {
  class Changing extends CountingStore {
    override async remove(...args: Parameters<CountingStore['remove']>): Promise<void> {
      this.write(args[0], Buffer.from('changed'))
      return super.remove(...args)
    }
  }
  await serve(new Changing())
  const answer = await send('POST', `${RUN}/a.txt?moveTo=x`)
  expect(answer.status).toBe(412)
  expect((json(answer) as { detail: string }).detail).toMatch(
    /^'x' is written, but 'a.txt' could not be removed/,
  )
  expect((await send('GET', `${RUN}/a.txt`)).text).toBe('changed')
  expect((await send('GET', `${RUN}/x`)).text).toBe('a.txt')
})

describe('a body that nobody asked for, and that is not framed as one', () => {
  /** Changes files when it is let, however the client stands. */
  class Held extends Copying {
    reached = 0
    let = Promise.withResolvers<undefined>()

    override remove: CountingStore['remove'] = async path => this.#hold(() => super.remove(path))
    override removeAll: CountingStore['removeAll'] = async path => this.#hold(() => super.removeAll(path))
    override copy: Copying['copy'] = async (from, to) => this.#hold(() => this.put(from, to))
    override move: Copying['move'] = async (from, to) =>
      this.#hold(async () => {
        const entry = await this.put(from, to)
        await super.remove(from)
        return entry
      })

    async #hold<T>(change: () => Promise<T>): Promise<T> {
      this.reached += 1
      await this.let.promise
      return change()
    }
  }

  let held: Held
  beforeEach(async () => {
    held = new Held()
    await serve(held)
  })
  afterEach(() => held.let.resolve(undefined))

  const CHANGES = [
    ['DELETE', '/a.txt'],
    ['DELETE', '/folder/?recursive=true'],
    ['POST', '/a.txt?copyTo=new.txt'],
    ['POST', '/a.txt?moveTo=new.txt'],
  ] as const
  const headOf = (method: string, path: string): string =>
    `${method} ${RUN}${path} HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n`
  const FAULT = 'zz\r\n'

  it.each(CHANGES)('gets %s %s no answer that denies what is under way', async (method, path) => {
    const connection = await Connection.open(service.port)
    connection.send(headOf(method, path))
    await until(() => held.reached === 1)
    connection.send(FAULT)
    expect((await connection.drain()).bytes).toBe(0)
    held.let.resolve(undefined)
    const before = all()
    await until(async () => (await contents()).sort().join() !== before.join())
  })

  it.each(CHANGES)('refuses %s %s, or has it done, not both', async (method, path) => {
    const connection = await Connection.open(service.port)
    held.let.resolve(undefined)
    connection.send(headOf(method, path) + FAULT)
    expect((await connection.head()).status).toBe(400)
    connection.destroy()
    // Time enough for what must not come.
    for (let i = 0; i < 5; i++) await send('GET', `${RUN}/b.txt`)
    expect(held.reached).toBe(0)
    await expectOnly()
  })

  it.each(CHANGES)('is not answered beside %s %s', async (method, path) => {
    const connection = await Connection.open(service.port)
    held.let.resolve(undefined)
    connection.send(headOf(method, path))
    expect((await connection.head()).status).toBe(method === 'DELETE' ? 204 : 201)
    connection.send(FAULT)
    expect((await connection.drain()).bytes).toBe(0)
  })
})

describe('a folder of which a part cannot be removed', () => {
  class Sticky extends CountingStore {
    override removeAll(path: ArtifactPath): Promise<Removal> {
      const stuck = parsePath(`${path}/stuck.txt`)
      const error = storeError('PermissionDenied', 'remove', stuck)
      return Promise.resolve({ removed: 3, failures: [{ path: stuck, error }] })
    }
  }
  beforeEach(() => serve(new Sticky()))

  it('says what is gone and what is not', async () => {
    const answer = await remove(`${RUN}/folder/?recursive=true`)
    expect(answer.status).toBe(403)
    expect(json(answer)).toMatchObject({
      type: 'urn:polyaxon-outputs:problem:permission-denied',
      path: 'folder/stuck.txt',
      removed: 3,
      failures: [
        { path: 'folder/stuck.txt', detail: expect.stringContaining("'folder/stuck.txt'") as string },
      ],
    })
  })

  it('says it in a list too, relative to its folder', async () => {
    const answer = await post(`${RUN}/folder/?delete&recursive`, { paths: ['deep/', 'c.txt'] })
    expect(json(answer)).toMatchObject({ removed: 4, failures: [{ path: 'deep/stuck.txt', status: 403 }] })
  })
})
