// Lists of object stores against a sorted model: what is listed, what is left out and counted, in which order, and with how many requests.
import fc from 'fast-check'
import { describe, expect, it, vi } from 'vitest'
import { ObjectBucket } from '../../src/store/object-bucket.ts'
import { inUtf8Order } from '../../src/store/object-order.ts'
import { Pages } from '../../src/store/object-pages.ts'
import { openObjectStore } from '../../src/store/object-store.ts'
import type { ListRequest, ObjectPage } from '../../src/store/object-client.ts'
import { compareUtf8, parsePath, type ArtifactPath } from '../../src/store/path.ts'
import { listKey, type ArtifactStore, type ListOptions } from '../../src/store/store.ts'
import { at, listAll } from '../contract/harness.ts'
import { bucketDefinition, MemoryBucket, type Knobs, type StoredObject } from '../support/object-memory.ts'

const PREFIX = 'data/'
const NEVER = new AbortController().signal

function storeOf(objects: readonly (string | readonly [string, Partial<StoredObject>])[], knobs: Knobs = {}) {
  const bucket = new MemoryBucket(knobs)
  for (const each of objects) {
    const [key, extra] = typeof each === 'string' ? [each, {}] : each
    bucket.store(`${PREFIX}${key}`, extra.content ?? (key.endsWith('/') ? '' : key), extra)
  }
  return { bucket, store: openObjectStore(bucketDefinition({ prefix: PREFIX }), bucket.connect) }
}

interface Listed {
  readonly keys: string[]
  readonly omitted: number
}

async function listed(store: ArtifactStore, folder: string, options: ListOptions = {}): Promise<Listed> {
  let omitted = 0
  const entries = await listAll(store, folder, { ...options, onOmitted: artifacts => (omitted += artifacts) })
  return { keys: entries.map(entry => listKey(at(folder), entry)), omitted }
}

/** The list by pages of `limit`, each going on after the last key of the page before. */
async function paged(store: ArtifactStore, limit: number, recursive: boolean): Promise<Listed> {
  const keys: string[] = []
  let omitted = 0
  for (;;) {
    const after = keys.at(-1)
    const page = await listed(store, '', { recursive, limit, ...(after !== undefined && { after }) })
    keys.push(...page.keys)
    omitted += page.omitted
    if (page.keys.length < limit) return { keys, omitted }
  }
}

function nameable(text: string): ArtifactPath | undefined {
  try {
    return text === '' ? undefined : parsePath(text)
  } catch {
    return undefined
  }
}

/** What the rules say of a set of keys, worked out the slow way. */
function model(keys: readonly string[], recursive: boolean, fullMarkers = false): Listed {
  const shown = new Set<string>()
  const omitted = new Set<string>()
  for (const key of keys) {
    const slashes = [...key.matchAll(/\//g)].map(match => match.index)
    const folders = recursive ? slashes : slashes.slice(0, 1)
    const unnameable = folders.find(slash => nameable(key.slice(0, slash)) === undefined)
    for (const slash of folders) if (slash < (unnameable ?? Infinity)) shown.add(key.slice(0, slash + 1))
    const isRolledUp = !recursive && slashes.length > 0
    if (unnameable !== undefined) omitted.add(isRolledUp ? key.slice(0, unnameable + 1) : key)
    else if (!isRolledUp && !key.endsWith('/')) (nameable(key) === undefined ? omitted : shown).add(key)
    else if (!isRolledUp && fullMarkers) omitted.add(key)
  }
  return { keys: [...shown].sort(compareUtf8), omitted: omitted.size }
}

const SEGMENT = fc.constantFrom(
  'a',
  'b',
  'a-',
  'a.b',
  'a0',
  '',
  '.',
  '..',
  '🙂',
  '\uE000',
  '\u{10FFFF}',
  'x'.repeat(256),
)
const KEY = fc.array(SEGMENT, { minLength: 1, maxLength: 4 }).map(segments => segments.join('/'))
const KNOBS = fc.record({
  order: fc.constantFrom('utf8' as const, 'utf16' as const),
  canStartAfter: fc.boolean(),
  pageKeys: fc.integer({ min: 1, max: 6 }),
  oddPages: fc.boolean(),
})

describe('a list of an object store', () => {
  it('agrees with the rules for random keys, on every kind of server, whole and by pages', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.uniqueArray(KEY, { minLength: 1, maxLength: 25 }),
        KNOBS,
        fc.boolean(),
        fc.boolean(),
        fc.integer({ min: 1, max: 5 }),
        async (keys, knobs, recursive, fullMarkers, limit) => {
          const named = keys.filter(key => key !== '')
          const content = Buffer.from('content')
          const { store } = storeOf(fullMarkers ? named.map(key => [key, { content }]) : named, knobs)
          const expected = model(named, recursive, fullMarkers)
          expect(await listed(store, '', { recursive })).toEqual(expected)
          expect(await paged(store, limit, recursive)).toEqual(expected)
        },
      ),
      { numRuns: 150 },
    )
  })

  it('shows an object and a folder of the same name; stat and open give the file, list the folder', async () => {
    const { store } = storeOf(['a', 'a/b', 'a-'])
    expect((await listed(store, '')).keys).toEqual(['a', 'a-', 'a/'])
    expect((await listed(store, '', { recursive: true })).keys).toEqual(['a', 'a-', 'a/', 'a/b'])
    expect(await store.stat(at('a'))).toMatchObject({ type: 'file', size: 1 })
    expect((await store.open(at('a'))).entry.type).toBe('file')
    expect((await listed(store, 'a')).keys).toEqual(['b'])
  })

  it('is that of a scope, whose root is the folder although a file has its name', async () => {
    const { store } = storeOf(['a', 'a/b'])
    const scoped = store.scoped(at('a'))
    expect(await scoped.stat(at(''))).toEqual({ ...(await store.stat(at(''))), path: '' })
    expect((await listed(scoped, '')).keys).toEqual(['b'])
    await expect(scoped.open(at(''))).rejects.toMatchObject({ kind: 'IsDirectory', path: '' })
  })

  it('signs no URL for the root of a scope, which would be one of the file beside it', async () => {
    const { bucket } = storeOf(['a', 'a/b'])
    const scoped = openObjectStore(
      bucketDefinition({ prefix: PREFIX, delivery: 'redirect' }),
      bucket.connect,
    ).scoped(at('a'))
    const asked = { disposition: 'inline', mediaType: 'text/plain' }
    expect(await scoped.direct!(at(''), false, asked)).toBeUndefined()
    expect(await scoped.direct!(at('b'), false, asked)).toMatchObject({ type: 'redirect' })
  })

  it('shows folders for their markers, and nothing else for them', async () => {
    const { store } = storeOf(['', 'empty/', 'full/', 'full/x'])
    expect(await listed(store, '', { recursive: true })).toEqual({
      keys: ['empty/', 'full/', 'full/x'],
      omitted: 0,
    })
    expect(await listed(store, 'empty')).toEqual({ keys: [], omitted: 0 })
    expect(await store.stat(at('empty'))).toMatchObject({ type: 'directory' })
  })

  it('counts a marker with content as left out', async () => {
    const { store } = storeOf([['a/', { content: Buffer.from('notes') }], 'a/b'])
    expect(await listed(store, '', { recursive: true })).toEqual({ keys: ['a/', 'a/b'], omitted: 1 })
    expect(await listed(store, 'a')).toEqual({ keys: ['b'], omitted: 1 })
  })

  it('counts such a marker once by pages too, with the folder that it shows', async () => {
    const content = Buffer.from('notes')
    const { store } = storeOf([['a/', { content }], 'a/b', ['c/', { content }], ['d//', { content }], 'e'])
    const whole = await listed(store, '', { recursive: true })
    expect(whole.omitted).toBe(3)
    for (const limit of [1, 2, 3, 4, 5, 6]) expect(await paged(store, limit, true)).toEqual(whole)
  })

  it('puts folders whose object has no slash where folders stand, once', async () => {
    const folder = { isFolder: true, content: Buffer.alloc(0) }
    const { store } = storeOf([['a', folder], 'a-b', ['a.', folder], 'a/x', ['b', folder], ['b!', folder]], {
      order: 'utf16',
      canStartAfter: false,
    })
    const keys = ['a-b', 'a./', 'a/', 'b!/', 'b/']
    expect((await listed(store, '')).keys).toEqual(keys)
    expect((await listed(store, '', { recursive: true })).keys).toEqual([...keys, 'a/x'].sort())
    expect(await paged(store, 1, true)).toEqual({ keys: [...keys, 'a/x'].sort(), omitted: 0 })
    expect(await store.stat(at('b'))).toMatchObject({ type: 'directory' })
    expect((await listed(store, 'b')).keys).toEqual([])
    await expect(store.open(at('b'))).rejects.toMatchObject({ kind: 'IsDirectory' })
  })

  it('hides the objects of its own checks at the root, and only those', async () => {
    const check = '.polyaxon-outputs-check-5f2b1c1e-9a51-4d1c-8f65-0d8d1a3c2b4e'
    const { store } = storeOf([check, `${check}0`, `a/${check}`])
    expect((await listed(store, '', { recursive: true })).keys).toEqual([`${check}0`, 'a/', `a/${check}`])
    expect((await listed(store, '')).omitted).toBe(0)
  })

  it('says NotFound for a path longer than any key, without a request', async () => {
    const { bucket, store } = storeOf(['a'])
    const long = at(Array.from({ length: 5 }, () => 'x'.repeat(250)).join('/'))
    await expect(store.stat(long)).rejects.toMatchObject({ kind: 'NotFound' })
    await expect(listAll(store, long)).rejects.toMatchObject({ kind: 'NotFound' })
    expect(bucket.requests).toBe(0)
  })

  it('fails where the server lists backwards, rather than lose or repeat something', async () => {
    const { bucket, store } = storeOf(['a', 'b'])
    const page = (keys: string[], token?: string): ObjectPage => ({
      objects: keys.map(key => ({ key: `${PREFIX}${key}`, size: 1, etag: 'e', lastModifiedMs: 0 })),
      prefixes: [],
      token,
    })
    const pages = [page(['a', 'c'], '1'), page(['b'])]
    const backwards = openObjectStore(bucketDefinition({ prefix: PREFIX }), async options => ({
      ...(await bucket.connect(options)),
      list: () => Promise.resolve(pages.shift()!),
    }))
    await expect(listAll(backwards, '')).rejects.toMatchObject({
      kind: 'Unavailable',
      trouble: 'interrupted',
    })
    expect((await listed(store, '')).keys).toEqual(['a', 'b'])
  })
})

describe('requests of a list', () => {
  const names = Array.from({ length: 2500 }, (_, i) => `n${String(i).padStart(4, '0')}`)

  it('are one for each thousand keys', async () => {
    const { bucket, store } = storeOf(names)
    expect((await listed(store, '')).keys).toHaveLength(2500)
    expect(bucket.requests).toBe(3)
    expect(bucket.lists.map(({ maxKeys }) => maxKeys)).toEqual([1000, 1000, 1000])
  })

  it('are one for a page anywhere, which asks for no more than it needs', async () => {
    const { bucket, store } = storeOf(names)
    const page = await listed(store, '', { after: 'n1999', limit: 100 })
    expect(page.keys).toEqual(names.slice(2000, 2100))
    expect(bucket.requests).toBe(1)
    expect(bucket.lists[0]).toMatchObject({ startAfter: `${PREFIX}n1999`, maxKeys: 102 })
  })

  it('skip a folder that the list went past, however much is in it', async () => {
    const { bucket, store } = storeOf([...names.map(name => `a/${name}`), 'b'])
    expect((await listed(store, '', { after: 'a/' })).keys).toEqual(['b'])
    expect((await listed(store, '', { after: 'a/n0001' })).keys).toEqual(['b'])
    const startAfter = `${PREFIX}a/\u{10FFFF}`
    expect(bucket.lists).toMatchObject([{ startAfter }, { startAfter }])
  })

  it('are two for the failure of a list, and for a stat of a folder or of nothing; one for a stat of a file', async () => {
    const { bucket, store } = storeOf(['a/b'])
    const count = async (work: () => Promise<unknown>): Promise<number> => {
      const before = bucket.requests
      await work().catch(() => undefined)
      return bucket.requests - before
    }
    expect(await count(() => listAll(store, 'missing'))).toBe(2)
    expect(await count(() => store.stat(at('a/b')))).toBe(1)
    expect(await count(() => store.stat(at('a')))).toBe(2)
    expect(await count(() => store.stat(at('missing')))).toBe(2)
    expect(await count(() => store.stat(at('')))).toBe(1)
    expect(await count(() => store.scoped(at('a')).stat(at('')))).toBe(1)
    expect(await count(() => store.scoped(at('missing')).stat(at('')))).toBe(2)
  })

  it('are made one page ahead of the consumer, and given up when it leaves', async () => {
    const { bucket, store } = storeOf(names)
    bucket.knobs.onRequest = method => {
      if (method === 'list' && bucket.counts.list === 2) return new Promise(() => undefined)
      return undefined
    }
    const steps = store.list(at(''))[Symbol.asyncIterator]()
    expect((await steps.next()).value).toHaveLength(1000)
    await vi.waitFor(() => expect(bucket.lists).toHaveLength(2))
    expect(bucket.underWay).toBe(1)
    await steps.return!()
    await new Promise(resolve => setImmediate(resolve))
    expect(bucket.underWay).toBe(0)
  })
})

describe('a server that orders by UTF-16', () => {
  it('is put in the order of UTF-8 with no more held than allowed, groups that are larger being listed again', async () => {
    const part = fc.constantFrom('a', '🙂', '🙃', '\uE000', '\uFFFD', '/')
    const key = fc.array(part, { minLength: 1, maxLength: 6 }).map(parts => `${PREFIX}${parts.join('')}`)
    await fc.assert(
      fc.asyncProperty(
        fc.uniqueArray(key, { maxLength: 40 }),
        fc.integer({ min: 1, max: 5 }),
        fc.integer({ min: 1, max: 4 }),
        async (keys, pageKeys, maxHeld) => {
          const memory = new MemoryBucket({ order: 'utf16', pageKeys })
          for (const each of keys) memory.store(each, '')
          const bucket = new ObjectBucket(bucketDefinition(), memory.connect)
          const again = (request: ListRequest): Pages =>
            new Pages(bucket, {
              request,
              order: (a, b) => (a < b ? -1 : a > b ? 1 : 0),
              needsMoreThan: () => false,
              signal: NEVER,
            })
          const found: string[] = []
          const pages = again({ prefix: PREFIX, delimiter: undefined, maxKeys: 1000 })
          for await (const items of inUtf8Order(pages, PREFIX, again, maxHeld))
            found.push(...items.map(item => item.key))
          expect(found).toEqual(keys.toSorted(compareUtf8))
        },
      ),
      { numRuns: 300 },
    )
  })
})
