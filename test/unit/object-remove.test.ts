// Removing objects: what no path can name, markers and directories, batches and their failures, in bounded memory.
import { describe, expect, it } from 'vitest'
import { ObjectFailure, type ObjectFailure as Failure } from '../../src/store/object-client.ts'
import { openObjectStore } from '../../src/store/object-store.ts'
import { at, bytes } from '../contract/harness.ts'
import { bucketDefinition, MemoryBucket, type Knobs } from '../support/object-memory.ts'

const QUICK = { basePauseMs: 1, maxPauseMs: 2 }

function storeOf(knobs: Knobs = {}, prefix = '') {
  const bucket = new MemoryBucket(knobs)
  const store = openObjectStore(bucketDefinition({ prefix }), bucket.connect, { retries: QUICK })
  return { bucket, store }
}

function fill(bucket: MemoryBucket, keys: Iterable<string>): void {
  for (const key of keys) bucket.store(key, key.endsWith('/') ? '' : 'x')
}

function* numbered(count: number): Generator<string> {
  for (let i = 0; i < count; i++) yield `run/${String(i).padStart(6, '0')}`
}

describe.each([true, false])('removal of a folder, by batches: %s', removesMany => {
  it('takes along what no path can name, and markers, which count for nothing', async () => {
    const { bucket, store } = storeOf({ removesMany }, 'team/')
    const odd = ['//', 'a//b', '../up', './here', 'a/../c', `${'n'.repeat(300)}/x`]
    fill(bucket, [...odd.map(key => `team/run/${key}`), 'team/run/', 'team/run/a/', 'team/run/file'])
    fill(bucket, ['team/run', 'team/run.txt', 'team/run0/x', 'team/', 'run/x'])
    expect(await store.removeAll(at('run'))).toEqual({ removed: odd.length, failures: [] })
    expect([...bucket.objects.keys()]).toEqual(['team/run', 'team/run.txt', 'team/run0/x', 'team/', 'run/x'])
  })

  it('goes by pages of 1000, however many there are', async () => {
    const { bucket, store } = storeOf({ removesMany })
    fill(bucket, numbered(2500))
    let progress = 0
    const removal = await store.removeAll(at('run'), { onProgress: () => progress++ })
    expect(removal).toEqual({ removed: 2500, failures: [] })
    expect(bucket.objects.size).toBe(0)
    expect(bucket.counts.removeMany).toBe(removesMany ? 3 : 0)
    expect(bucket.counts.remove).toBe(removesMany ? 0 : 2500)
    expect(bucket.maxUnderWay).toBeLessThanOrEqual(16)
    expect(progress).toBeGreaterThanOrEqual(3)
  })

  it('removes also what a server left out of its list because something else was removed', async () => {
    const { bucket, store } = storeOf({ removesMany, pageKeys: 10 })
    fill(bucket, numbered(100))
    // As a server does whose pages are numbers of rows: what moves up is on no page any more.
    bucket.knobs.onRequest = method => {
      if (method === 'list' && bucket.lists.at(-1)?.token !== undefined && hidden.length === 0)
        for (const key of [...bucket.objects.keys()].slice(0, 5)) {
          hidden.push([key, bucket.objects.get(key)!])
          bucket.objects.delete(key)
        }
      else if (method === 'list' && bucket.lists.at(-1)?.token === undefined)
        for (const [key, object] of hidden.splice(0)) bucket.objects.set(key, object)
    }
    const hidden: [string, ReturnType<typeof bucket.objects.get> & object][] = []
    expect((await store.removeAll(at('run'))).removed).toBe(100)
    expect(bucket.objects.size).toBe(0)
  })

  it('reports what it could not remove, and removes the rest', async () => {
    const { bucket, store } = storeOf({ removesMany })
    fill(bucket, ['run/a', 'run/b', 'run/kept', 'run/dir//kept', 'run/z'])
    const refuse = (key: string) => (key.endsWith('kept') ? ('denied' as const) : undefined)
    bucket.knobs.onRemoval = refuse
    bucket.knobs.onRequest = (method, key) => {
      if (method === 'remove' && refuse(key) !== undefined) throw new ObjectFailure('denied')
    }
    const { removed, failures } = await store.removeAll(at('run'))
    expect(removed).toBe(3)
    expect(failures.map(({ path }) => path).toSorted()).toEqual(['run/dir', 'run/kept'])
    for (const { path, error } of failures)
      expect(error).toMatchObject({ kind: 'Unavailable', trouble: 'denied', op: 'remove', path })
    expect([...bucket.objects.keys()]).toEqual(['run/kept', 'run/dir//kept'])
  })

  it('names no more than a hundred failures', async () => {
    const { bucket, store } = storeOf({ removesMany, onRemoval: () => 'denied' })
    bucket.knobs.onRequest = method => {
      if (method === 'remove') throw new ObjectFailure('denied')
    }
    fill(bucket, numbered(1500))
    const { removed, failures } = await store.removeAll(at('run'))
    expect(removed).toBe(0)
    expect(failures).toHaveLength(100)
    expect(bucket.objects.size).toBe(1500)
  })

  it('ends with the store, and with the signal', async () => {
    const { bucket, store } = storeOf({ removesMany })
    fill(bucket, numbered(50))
    bucket.knobs.onRequest = method => {
      if (method.startsWith('remove')) throw new ObjectFailure('unreachable')
    }
    await expect(store.removeAll(at('run'))).rejects.toMatchObject({ kind: 'Unavailable', path: 'run' })
    const ending = new AbortController()
    bucket.knobs.onRequest = method => {
      if (method.startsWith('remove')) ending.abort()
    }
    await expect(store.removeAll(at('run'), { signal: ending.signal })).rejects.toMatchObject({
      kind: 'Aborted',
    })
    expect(bucket.underWay).toBe(0)
  })
})

describe('a batch', () => {
  it('leaves to single requests what only passes', async () => {
    const { bucket, store } = storeOf()
    fill(bucket, ['run/a', 'run/b', 'run/c'])
    bucket.knobs.onRemoval = key => (key === 'run/b' ? 'throttled' : undefined)
    expect(await store.removeAll(at('run'))).toEqual({ removed: 3, failures: [] })
    expect(bucket.counts).toMatchObject({ removeMany: 1, remove: 1 })
  })
})

describe('directories of a hierarchical namespace', () => {
  const asDirectories = (bucket: MemoryBucket, ...keys: string[]): void => {
    for (const key of keys) bucket.store(key, '', { isFolder: true })
  }
  /** As the service does it. */
  const onlyEmptyOnes =
    (bucket: MemoryBucket): NonNullable<Knobs['onRequest']> =>
    (method, key) => {
      const isFull = [...bucket.objects.keys()].some(each => each.startsWith(`${key}/`))
      if (method === 'remove' && isFull) throw new ObjectFailure('misconfigured')
    }

  function hierarchical() {
    const knobs: Knobs = { removesMany: false, canStartAfter: false, mayKeepFolders: true }
    const { bucket, store } = storeOf(knobs)
    bucket.knobs.onRequest = onlyEmptyOnes(bucket)
    return { bucket, store }
  }

  it('go after what is in them, and the folder itself', async () => {
    const { bucket, store } = hierarchical()
    asDirectories(bucket, 'run', 'run/a', 'run/a/b', 'run/a/b/empty', 'run/c', 'run-1')
    fill(bucket, ['run/a/b/1', 'run/a/2', 'run/c/3', 'run-1/4'])
    expect(await store.removeAll(at('run'))).toEqual({ removed: 3, failures: [] })
    expect([...bucket.objects.keys()]).toEqual(['run-1', 'run-1/4'])
  })

  it('go when a removal has left them empty, as far up as they are', async () => {
    const { bucket, store } = hierarchical()
    asDirectories(bucket, 'owner', 'owner/run', 'owner/run/a', 'owner/run/a/b')
    fill(bucket, ['owner/run/a/b/file', 'owner/run/other'])
    await store.remove(at('owner/run/a/b/file'))
    expect([...bucket.objects.keys()]).toEqual(['owner', 'owner/run', 'owner/run/other'])
    await store.scoped(at('owner/run')).remove(at('other'))
    expect([...bucket.objects.keys()]).toEqual(['owner', 'owner/run'])
    expect(await store.removeAll(at('owner/run'))).toEqual({ removed: 0, failures: [] })
    expect(bucket.objects.size).toBe(0)
  })

  it('that cannot go are no failure of a removal that is done', async () => {
    const { bucket, store } = hierarchical()
    asDirectories(bucket, 'a')
    fill(bucket, ['a/file'])
    bucket.knobs.onRequest = (method, key) => {
      if (method === 'remove' && key === 'a') throw new ObjectFailure('denied')
    }
    await store.remove(at('a/file'))
    expect([...bucket.objects.keys()]).toEqual(['a'])
  })
})

describe('removal of a file', () => {
  const interrupted: Failure = new ObjectFailure('interrupted')

  it('whose answer was lost is done, with a precondition too', async () => {
    for (const precondition of [undefined, { type: 'present' } as const]) {
      const { bucket, store } = storeOf()
      bucket.store('file', bytes('x'))
      let lost = 1
      bucket.knobs.onAnswer = method => {
        if (method === 'remove' && lost-- > 0) throw interrupted
      }
      await store.remove(at('file'), precondition && { precondition })
      expect(bucket.objects.size).toBe(0)
    }
  })

  it('does not take what came in its place', async () => {
    const { bucket, store } = storeOf()
    bucket.store('file', 'first')
    const { etag } = await store.stat(at('file'))
    bucket.knobs.onRequest = method => {
      if (method === 'remove') bucket.store('file', 'second')
    }
    await expect(
      store.remove(at('file'), { precondition: { type: 'etag', etags: [etag] } }),
    ).rejects.toMatchObject({ kind: 'Changed', path: 'file' })
    expect(bucket.objects.size).toBe(1)
  })

  it('of which nothing is there by then is NotFound or done, never a failure of the store', async () => {
    const { bucket, store } = storeOf()
    bucket.store('file', 'x')
    bucket.knobs.onRequest = method => {
      if (method === 'remove') bucket.objects.delete('file')
    }
    await store.remove(at('file'))
    await expect(store.remove(at('file'))).rejects.toMatchObject({ kind: 'NotFound' })
  })
})
