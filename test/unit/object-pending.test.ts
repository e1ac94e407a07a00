// Writing an object: one put or parts, how many at once and in how much memory, and what is left when a step fails.
import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, it, vi } from 'vitest'
import { ByteBudget } from '../../src/store/object-budget.ts'
import { ObjectFailure, type FailureReason } from '../../src/store/object-client.ts'
import { openObjectStore } from '../../src/store/object-store.ts'
import { partSize, type UploadSettings } from '../../src/store/object-upload.ts'
import type { ArtifactStore } from '../../src/store/store.ts'
import { at, bytes, pattern } from '../contract/harness.ts'
import { contentOf, put } from '../contract/write-cases.ts'
import { bucketDefinition, MemoryBucket, type Knobs, type Method } from '../support/object-memory.ts'

const MIB = 1024 ** 2
const QUICK = { basePauseMs: 1, maxPauseMs: 2 }
const PART = 1000
const RULES = { maxParts: 10_000, maxBytes: Infinity, inOrder: false }
const IN_ORDER = { ...RULES, maxParts: Infinity, inOrder: true }

/** A store whose parts have 1000 bytes. */
function storeOf(knobs: Knobs = {}, uploads: Partial<UploadSettings> = {}) {
  const bucket = new MemoryBucket(knobs)
  const budget = new ByteBudget(64 * PART)
  const store = openObjectStore(bucketDefinition(), bucket.connect, {
    retries: QUICK,
    uploads: { partBytes: PART, budget, ...uploads },
  })
  return { bucket, store, budget }
}

/** Throws each of `reasons` at the next request `method`, one after the other. */
function failing(method: Method, ...reasons: (FailureReason | undefined)[]): (each: Method) => void {
  return each => {
    const reason = each === method ? reasons.shift() : undefined
    if (reason !== undefined) throw new ObjectFailure(reason)
  }
}

async function begun(store: ArtifactStore, parts: number) {
  const pending = await store.create(at('file'))
  await pending.write(pattern(parts * PART))
  return pending
}

describe('the requests of a write', () => {
  it.each([0, 1, PART])('are one put of %i bytes, which fit into a part', async size => {
    const { bucket, store } = storeOf()
    await put(store, 'file', pattern(size))
    expect(bucket.counts).toMatchObject({ put: 1, begin: 0 })
    expect(bucket.requests).toBe(1)
  })

  it('are as many parts as it takes beyond, of one size but for the last', async () => {
    const { bucket, store } = storeOf()
    const content = pattern(3 * PART + 1)
    await put(store, 'file', content, { chunkBytes: 7 })
    expect(bucket.counts).toMatchObject({ put: 0, begin: 1, part: 4, complete: 1, cancel: 0 })
    expect(bucket.requests).toBe(6)
    expect(bucket.objects.get('file')!.content).toEqual(content)
  })

  it('ask for the time where the answer does not tell it', async () => {
    const { bucket, store } = storeOf({ tellsTime: false })
    const entry = await put(store, 'file', bytes('x'))
    expect(bucket.counts).toMatchObject({ put: 1, head: 1 })
    expect(entry).toEqual(await store.stat(at('file')))
  })

  it('has no time where it cannot be asked: what is stored is stored', async () => {
    const { store } = storeOf({ tellsTime: false, onRequest: failing('head', 'denied') })
    expect((await put(store, 'file', bytes('x'))).lastModifiedMs).toBeUndefined()
  })

  it('take more than was announced', async () => {
    const { bucket, store } = storeOf()
    const content = pattern(2 * PART + 5)
    await put(store, 'file', content, { size: 10, chunkBytes: 4 })
    expect(bucket.objects.get('file')!.content).toEqual(content)
    expect(bucket.writes.parts.map(part => part.bytes)).toEqual([PART, PART, 5])
  })
})

describe('the size of a part', () => {
  const settings = { partBytes: 8 * MIB }

  it('is fitted to the length where that is known, up to 5 TiB in 10,000 parts', () => {
    expect(partSize(1, RULES, settings, 1)).toBe(8 * MIB)
    expect(partSize(1, RULES, settings, 80_000 * MIB)).toBe(8 * MIB)
    const size = 5 * 1024 ** 4
    const large = partSize(1, RULES, settings, size)
    expect(large % MIB).toBe(0)
    expect(Math.ceil(size / large)).toBeLessThanOrEqual(10_000)
    expect(partSize(9999, RULES, settings, size)).toBe(large)
  })

  it('grows where it is not known, so that 10,000 parts hold 5 TiB', () => {
    let total = 0
    for (let number = 1; number <= 10_000; number++) total += partSize(number, RULES, settings)
    expect(total).toBeGreaterThan(5 * 1024 ** 4)
    expect(partSize(1000, RULES, settings)).toBe(8 * MIB)
    expect(partSize(1001, RULES, settings)).toBe(16 * MIB)
  })

  it('stays where there is no bound on the number of parts', () => {
    expect(partSize(1_000_000, IN_ORDER, settings)).toBe(8 * MIB)
    expect(partSize(1, IN_ORDER, settings, 5 * 1024 ** 4)).toBe(8 * MIB)
  })

  it('grows in an upload too, without losing a byte', async () => {
    const { bucket, store } = storeOf({}, { partBytes: 2 })
    const content = pattern(2 * 1000 + 4 * 1000 + 9)
    await put(store, 'file', content, { chunkBytes: 5 })
    expect(bucket.objects.get('file')!.content).toEqual(content)
    expect(Math.max(...bucket.writes.parts.map(part => part.bytes))).toBe(8)
  })

  it('cannot help where more comes than all parts hold', async () => {
    const { bucket, store, budget } = storeOf({ partRules: { ...RULES, maxParts: 3 } })
    await expect(put(store, 'file', pattern(4 * PART))).rejects.toMatchObject({
      kind: 'TooLarge',
      path: 'file',
    })
    expect(bucket.writes.uploads.size).toBe(0)
    expect(budget.taken).toBe(0)
    expect([...bucket.objects]).toEqual([])
  })

  it('does not matter where the object would be too large: that is said before it is sent', async () => {
    const { bucket, store } = storeOf({ partRules: { ...RULES, maxBytes: 10 } })
    await expect(put(store, 'file', pattern(11))).rejects.toMatchObject({ kind: 'TooLarge' })
    expect(bucket.requests).toBe(0)
  })
})

describe('parts in flight', () => {
  it('are as many as there is memory for, once the first has shown that the store is quick', async () => {
    const { bucket, store } = storeOf({ latencyMs: 5 })
    await put(store, 'file', pattern(20 * PART))
    expect(bucket.maxUnderWay).toBe(5)
  })

  it('are one where the store is slow, and one more at the end, when nothing is being filled', async () => {
    const { bucket, store } = storeOf({ latencyMs: 5 }, { slowPartMs: 0 })
    await put(store, 'file', pattern(6 * PART))
    expect(bucket.maxUnderWay).toBe(2)
  })

  it('are one where they must come in order', async () => {
    const { bucket, store } = storeOf({ latencyMs: 2, partRules: IN_ORDER })
    const content = pattern(6 * PART + 3)
    await put(store, 'file', content, { chunkBytes: 64 })
    expect(bucket.maxUnderWay).toBe(1)
    expect(bucket.writes.parts.map(part => part.start)).toEqual([0, 1, 2, 3, 4, 5, 6].map(i => i * PART))
    expect(bucket.objects.get('file')!.content).toEqual(content)
  })

  it('are fewer where the memory of the process is used up, and none of many uploads is stuck', async () => {
    const { bucket, store, budget } = storeOf({ latencyMs: 1 }, { budget: new ByteBudget(2 * PART) })
    const contents = Array.from({ length: 12 }, (_, i) => pattern(9 * PART + i, i))
    await Promise.all(contents.map((content, i) => put(store, `file${i}`, content)))
    for (const [i, content] of contents.entries())
      expect(bucket.objects.get(`file${i}`)!.content).toEqual(content)
    expect(budget.taken).toBe(0)
  })

  it('never hold more than the budget beyond one part of each upload', async () => {
    const budget = new ByteBudget(3 * PART)
    let most = 0
    const { store } = storeOf(
      { latencyMs: 1, onRequest: () => void (most = Math.max(most, budget.taken)) },
      { budget },
    )
    await Promise.all(Array.from({ length: 6 }, (_, i) => put(store, `file${i}`, pattern(9 * PART))))
    expect(most).toBe(3 * PART)
    expect(budget.taken).toBe(0)
  })
})

describe('a step that fails', () => {
  it.each(['throttled', 'interrupted', 'timeout', 'unreachable'] as const)(
    'of a part is tried again after %s, with the same bytes',
    async reason => {
      const { bucket, store } = storeOf({ onRequest: failing('part', undefined, reason, undefined, reason) })
      const content = pattern(4 * PART)
      await put(store, 'file', content)
      expect(bucket.counts.part).toBe(6)
      expect(bucket.objects.get('file')!.content).toEqual(content)
    },
  )

  it.each<[FailureReason, string]>([
    ['denied', 'Unavailable'],
    ['full', 'NoSpace'],
    ['too-large', 'TooLarge'],
    ['missing-upload', 'Unavailable'],
    ['impossible-name', 'InvalidPath'],
    ['not-directory', 'NotDirectory'],
    ['is-directory', 'IsDirectory'],
    ['missing', 'Unavailable'],
  ])('with %s in a part is %s, and abort leaves nothing', async (reason, kind) => {
    const { bucket, store, budget } = storeOf({ onRequest: failing('part', undefined, reason) })
    await expect(put(store, 'file', pattern(9 * PART))).rejects.toMatchObject({ kind, path: 'file' })
    expect(bucket.writes.uploads.size).toBe(0)
    expect(bucket.counts).toMatchObject({ cancel: 1, complete: 0 })
    expect(budget.taken).toBe(0)
    expect([...bucket.objects]).toEqual([])
  })

  it('is what all later steps fail with', async () => {
    const { store } = storeOf({ onRequest: failing('part', 'full') })
    const pending = await store.create(at('file'))
    const failure = { kind: 'NoSpace' }
    await expect(
      (async () => {
        for (;;) await pending.write(pattern(PART))
      })(),
    ).rejects.toMatchObject(failure)
    await expect(pending.write(pattern(PART))).rejects.toMatchObject(failure)
    await expect(pending.complete()).rejects.toMatchObject(failure)
    await pending.abort()
  })

  it('ends when the store is gone for good, and what it kept goes with the next sweep', async () => {
    const { bucket, store } = storeOf({}, {})
    const pending = await begun(store, 3)
    bucket.knobs.onRequest = () => {
      throw new ObjectFailure('credentials')
    }
    await expect(pending.complete()).rejects.toMatchObject({ kind: 'Unavailable', trouble: 'credentials' })
    await pending.abort()
    delete bucket.knobs.onRequest
    expect(bucket.writes.uploads.size).toBe(1)
    expect([...bucket.objects]).toEqual([])
    expect(await store.sweep!(3600_000)).toBe(0)
    for (const upload of bucket.writes.uploads.values())
      Object.assign(upload, { begunAtMs: 0, lastSentAtMs: Date.now() - 7200_000 })
    expect(await store.sweep!(3600_000)).toBe(1)
    expect(bucket.writes.uploads.size).toBe(0)
  })
})

describe('abort', () => {
  it('ends parts in flight, and cancels when none is left', async () => {
    const { bucket, store, budget } = storeOf({ latencyMs: 1 })
    const pending = await begun(store, 4)
    bucket.knobs.latencyMs = 60_000
    await pending.write(pattern(2 * PART))
    await vi.waitFor(() => expect(bucket.underWay).toBeGreaterThan(1))
    bucket.knobs.latencyMs = 0
    const startedMs = performance.now()
    await pending.abort()
    await pending.abort()
    expect(performance.now() - startedMs).toBeLessThan(1000)
    expect(bucket.counts.cancel).toBe(1)
    expect(bucket.writes.uploads.size).toBe(0)
    expect(budget.taken).toBe(0)
  })

  it('cancels an upload that was being begun', async () => {
    const { bucket, store } = storeOf({ latencyMs: 20 })
    const ending = new AbortController()
    const pending = await store.create(at('file'), { signal: ending.signal })
    const writing = pending.write(pattern(5 * PART))
    await vi.waitFor(() => expect(bucket.counts.begin).toBe(1), { interval: 1 })
    ending.abort()
    await expect(writing).rejects.toMatchObject({ kind: 'Aborted' })
    await pending.abort()
    expect(bucket.counts).toMatchObject({ begin: 1, cancel: 1, complete: 0 })
    expect(bucket.writes.uploads.size).toBe(0)
  })

  it('gives all memory back where a write still waited for the upload to begin', async () => {
    const { bucket, store, budget } = storeOf({ latencyMs: 20 })
    const pending = await store.create(at('file'))
    const writing = pending.write(pattern(5 * PART))
    await vi.waitFor(() => expect(bucket.counts.begin).toBe(1), { interval: 1 })
    await Promise.all([expect(writing).rejects.toMatchObject({ kind: 'Aborted' }), pending.abort()])
    expect(bucket.writes.uploads.size).toBe(0)
    expect(bucket.counts).toMatchObject({ begin: 1, part: 0, cancel: 1 })
    expect(budget.taken).toBe(0)
  })

  it('asks nothing where nothing was sent', async () => {
    const { bucket, store } = storeOf()
    const pending = await store.create(at('file'))
    await pending.write(pattern(PART))
    await pending.abort()
    expect(bucket.requests).toBe(0)
  })

  it('does not fail where the store does', async () => {
    const { bucket, store } = storeOf()
    const pending = await begun(store, 3)
    bucket.knobs.onRequest = failing('cancel', 'denied')
    await pending.abort()
  })
})

/** Lets the next requests `method` be done, and their answers be lost. */
function losing(method: Method, count = 1): (each: Method) => void {
  return each => {
    if (each === method && count-- > 0) throw new ObjectFailure('interrupted')
  }
}

describe('an answer that was lost', () => {
  it.each(['absent', 'etag'] as const)(
    'to a put with the precondition %s is no change of somebody else',
    async type => {
      const { bucket, store } = storeOf()
      const { etag } = type === 'etag' ? await put(store, 'file', bytes('old')) : { etag: '' }
      bucket.knobs.onAnswer = losing('put')
      const precondition = type === 'etag' ? ({ type, etags: [etag] } as const) : ({ type } as const)
      const entry = await put(store, 'file', bytes('new'), { precondition })
      expect(entry).toEqual(await store.stat(at('file')))
      expect(await contentOf(store, 'file')).toBe('new')
    },
  )

  it.each(['absent', 'etag'] as const)(
    'to complete with %s neither: the upload is gone because it is the object',
    async type => {
      const { bucket, store } = storeOf()
      const { etag } = type === 'etag' ? await put(store, 'file', bytes('old')) : { etag: '' }
      bucket.knobs.onAnswer = losing('complete')
      const precondition = type === 'etag' ? ({ type, etags: [etag] } as const) : ({ type } as const)
      const entry = await put(store, 'file', pattern(3 * PART), { precondition })
      expect(entry).toEqual(await store.stat(at('file')))
      expect(bucket.writes.uploads.size).toBe(0)
    },
  )

  it('to a complete without a precondition is found out too', async () => {
    const { bucket, store } = storeOf({ onAnswer: losing('complete') })
    expect(await put(store, 'file', pattern(3 * PART))).toEqual(await store.stat(at('file')))
    expect(bucket.counts.complete).toBe(2)
  })

  it('to the last part, where parts come in order, is one to complete', async () => {
    const { bucket, store } = storeOf({ partRules: IN_ORDER })
    const pending = await store.create(at('file'), { precondition: { type: 'absent' } })
    await pending.write(pattern(3 * PART))
    await vi.waitFor(() => expect(bucket.writes.parts).toHaveLength(2))
    bucket.knobs.onAnswer = losing('part')
    const entry = await pending.complete()
    expect(entry).toEqual(await store.stat(at('file')))
    expect(entry.size).toBe(3 * PART)
  })

  it('is no excuse where somebody else has written', async () => {
    const { bucket, store } = storeOf()
    const { etag } = await put(store, 'file', bytes('old'))
    bucket.knobs.onRequest = method => {
      if (method !== 'put') return
      delete bucket.knobs.onRequest
      bucket.store('file', 'of somebody else')
      throw new ObjectFailure('interrupted')
    }
    await expect(
      put(store, 'file', bytes('new'), { precondition: { type: 'etag', etags: [etag] } }),
    ).rejects.toMatchObject({ kind: 'Changed' })
    expect(await contentOf(store, 'file')).toBe('of somebody else')
  })

  it('is not called a change of somebody else where nobody can see whose it is', async () => {
    const { bucket, store } = storeOf({ onAnswer: losing('put') })
    bucket.knobs.onRequest = method => {
      if (method === 'head' && bucket.counts.put > 1) throw new ObjectFailure('denied')
    }
    await expect(
      put(store, 'file', bytes('new'), { precondition: { type: 'absent' } }),
    ).rejects.toMatchObject({ kind: 'Unavailable', trouble: 'denied' })
    expect(await contentOf(store, 'file').catch(() => 'new')).toBe('new')
  })

  it('is found out too where there is no time for another attempt', async () => {
    const { bucket, store } = storeOf({ onAnswer: losing('put') })
    const once = openObjectStore(bucketDefinition(), bucket.connect, { retries: { ...QUICK, attempts: 1 } })
    expect(await put(once, 'file', bytes('new'))).toEqual(await store.stat(at('file')))
  })

  it('is found out although no other came', async () => {
    const { bucket, store } = storeOf()
    bucket.knobs.onAnswer = method => {
      if (method === 'put') throw new ObjectFailure('interrupted')
    }
    const slow = openObjectStore(bucketDefinition(), bucket.connect, { retries: { ...QUICK, attempts: 3 } })
    expect(await put(slow, 'file', bytes('new'))).toEqual(await store.stat(at('file')))
  })
})

describe('a precondition', () => {
  it('that something is there holds for whatever comes in between', async () => {
    const { bucket, store } = storeOf()
    bucket.store('file', 'first')
    let replacements = 2
    bucket.knobs.onRequest = method => {
      if (method === 'put' && replacements-- > 0) bucket.store('file', 'in between')
    }
    await put(store, 'file', bytes('last'), { precondition: { type: 'present' } })
    expect(await contentOf(store, 'file')).toBe('last')
    expect(bucket.counts.put).toBe(3)
  })

  it('is refused before the first byte where it does not hold already', async () => {
    const { bucket, store } = storeOf()
    bucket.store('file', 'there')
    await expect(store.create(at('file'), { precondition: { type: 'absent' } })).rejects.toMatchObject({
      kind: 'Changed',
      path: 'file',
    })
    expect(bucket.requests).toBe(1)
  })

  it('never sends the text of a client to the store', async () => {
    const { bucket, store } = storeOf()
    await expect(
      store.create(at('file'), { precondition: { type: 'etag', etags: ['0', '*', 'a\r\nb'] } }),
    ).rejects.toMatchObject({ kind: 'Changed' })
    expect(bucket.counts).toMatchObject({ head: 1, put: 0 })
  })
})

describe('a store that is configured as read-only', () => {
  it('refuses every change before any request', async () => {
    const bucket = new MemoryBucket()
    const store = openObjectStore(bucketDefinition({ readOnly: true }), bucket.connect)
    const refused = { kind: 'PermissionDenied', message: expect.stringContaining('read-only') as string }
    await expect(store.checkWritable()).rejects.toMatchObject(refused)
    await expect(store.create(at('a'))).rejects.toMatchObject({ ...refused, path: 'a' })
    await expect(store.remove(at('a'))).rejects.toMatchObject(refused)
    await expect(store.removeAll(at('a'))).rejects.toMatchObject(refused)
    await expect(store.copy!(at('a'), at('b'))).rejects.toMatchObject(refused)
    expect(await store.sweep!(0)).toBe(0)
    await sleep(1)
    expect(bucket.requests).toBe(0)
  })
})
