// Uploads that go on later, as they are in a store: pieces that make a chain whoever adds to them, and one file in the end.
import fc from 'fast-check'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { ResumableUploads, type Destination } from '../../src/content/resumable-uploads.ts'
import { MemoryStore } from '../../src/store/memory.ts'
import type { ArtifactStore, Precondition } from '../../src/store/store.ts'
import { at, bytes, listAll, pattern, readAll, withOpen, type Harness } from '../contract/harness.ts'
import { asServed, describeEach, STORES } from '../support/stores.ts'

const PIECE = 8
const DAY_MS = 86_400_000
const OWN = '.polyaxon-outputs-uploads'

const running = new AbortController().signal

describeEach(STORES, under => {
  const isSlow = under.capabilities.latency === 'network'
  let harness: Harness
  let store: ArtifactStore
  let uploads: ResumableUploads

  beforeEach(() => renew())
  afterEach(() => harness.close())

  async function renew(): Promise<void> {
    harness = await under.make()
    store = asServed(harness.store)
    uploads = new ResumableUploads(store, DAY_MS, PIECE)
  }

  const destination = (precondition?: Precondition): Destination => ({
    store,
    path: at('run/file'),
    precondition: () => Promise.resolve(precondition),
  })

  async function begin(size: number | undefined): Promise<void> {
    await uploads.create('id', { size, metadata: 'path x' })
  }

  /** Adds `content`, in chunks of `chunkBytes`, to what is there. */
  async function add(
    content: Uint8Array,
    { inOne = false, chunkBytes = 3, keep = true } = {},
  ): Promise<number> {
    const writer = uploads.append(await uploads.find('id'), Infinity, inOne)
    for (let i = 0; i < content.length; i += chunkBytes)
      await writer.write(content.subarray(i, i + chunkBytes))
    await (keep ? writer.keep() : writer.drop())
    return writer.offset
  }

  const pieces = async (): Promise<[string, number][]> =>
    (await listAll(store, OWN, { recursive: true }))
      .filter(({ path, type }) => path.includes('/bytes/') && type === 'file')
      .map(({ path, size }) => [path.slice(-2), size])

  const contentOf = (): Promise<Buffer> => withOpen(store, 'run/file', artifact => readAll(artifact))

  describe('pieces', () => {
    it('are bounded, and begin where the last one ended', async () => {
      await begin(100)
      expect(await add(pattern(20))).toBe(20)
      expect(await add(pattern(3))).toBe(23)
      expect(await pieces()).toEqual([
        ['00', 8],
        ['08', 8],
        ['16', 4],
        ['20', 3],
      ])
      expect((await uploads.find('id')).offset).toBe(23)
    })

    it('that count only together are one', async () => {
      await begin(100)
      expect(await add(pattern(50), { inOne: true, keep: false })).toBe(0)
      expect(await add(pattern(50), { inOne: true })).toBe(50)
      expect(await pieces()).toEqual([['00', 50]])
      for (const near of [0, 49, 50, 51, 500]) expect((await uploads.find('id', near)).offset).toBe(50)
    })

    it('are made by one of several who go on from one offset', async () => {
      await begin(16)
      const found = await uploads.find('id')
      const writers = Array.from({ length: 4 }, () => uploads.append(found, 16, false))
      const outcomes = await Promise.allSettled(
        writers.map(async (writer, i) => {
          await writer.write(Buffer.alloc(16, `${i}`))
          await writer.keep()
        }),
      )
      expect(outcomes.filter(({ status }) => status === 'fulfilled')).toHaveLength(1)
      for (const outcome of outcomes)
        if (outcome.status === 'rejected') expect(outcome.reason).toMatchObject({ kind: 'OffsetMismatch' })
      await uploads.finish(await uploads.find('id'), destination(), running)
      const content = (await contentOf()).toString()
      expect(content).toMatch(/^(.)\1{15}$/)
    })

    it('take no more than they may', async () => {
      await begin(10)
      const writer = uploads.append(await uploads.find('id'), 10, false)
      await writer.write(pattern(9))
      await expect(writer.write(pattern(2))).rejects.toMatchObject({ kind: 'TooLarge' })
      await writer.keep()
      expect((await uploads.find('id')).offset).toBe(9)
    })

    it('are the content, however they came, and whatever went wrong in between', async () => {
      const step = fc.record({
        length: fc.nat(40),
        chunkBytes: fc.integer({ min: 1, max: 20 }),
        keep: fc.boolean(),
        inOne: fc.boolean(),
      })
      await fc.assert(
        fc.asyncProperty(fc.nat(100), fc.array(step, { maxLength: 12 }), async (size, steps) => {
          await harness.close()
          await renew()
          const content = pattern(size)
          await begin(size)
          for (const { length, ...how } of [...steps, { length: size, keep: true }]) {
            // Another replica each time.
            uploads = new ResumableUploads(store, DAY_MS, PIECE)
            const { offset } = await uploads.find('id')
            expect((await uploads.find('id', offset)).offset).toBe(offset)
            await add(content.subarray(offset, offset + length), how)
          }
          await uploads.finish(await uploads.find('id'), destination(), running)
          expect((await contentOf()).equals(content)).toBe(true)
          expect(await uploads.find('id')).toMatchObject({ offset: size, isFinished: true })
          expect(await pieces()).toEqual([])
        }),
        { numRuns: isSlow ? 3 : 20 },
      )
    })
  })

  describe('the end of an upload', () => {
    it('is one step, under the precondition, and can be tried again', async () => {
      await begin(5)
      await add(bytes('hello'))
      await harness.write('run/file', bytes('theirs'))
      const absent = destination({ type: 'absent' })
      const upload = await uploads.find('id')
      await expect(uploads.finish(upload, absent, running)).rejects.toMatchObject({ kind: 'Changed' })
      expect(await uploads.find('id')).toMatchObject({ offset: 5, isFinished: false })
      await harness.remove('run/file')
      expect(await uploads.finish(upload, absent, running)).toMatchObject({ isFinished: true })
    })

    it('at two replicas at once is one end', async () => {
      await begin(20)
      await add(pattern(20))
      const upload = await uploads.find('id')
      const other = new ResumableUploads(store, DAY_MS, PIECE)
      const absent = destination({ type: 'absent' })
      const ends = await Promise.all([uploads, other].map(each => each.finish(upload, absent, running)))
      expect(ends.map(({ isFinished }) => isFinished)).toEqual([true, true])
    })

    it('needs all bytes', async () => {
      await begin(20)
      await add(pattern(20))
      const upload = await uploads.find('id')
      await harness.remove(`${OWN}/id/bytes/0000000000000008`)
      await expect(uploads.finish(upload, destination(), running)).rejects.toMatchObject({ kind: 'NotFound' })
      expect(await listAll(store, 'run').catch(() => [])).toEqual([])
    })
  })

  describe('an upload that nobody goes on with', () => {
    // Object stores keep whole seconds.
    const expireAfterMs = isSlow ? 3000 : 500

    it('is swept with everything that is left of it, and no other one is', async () => {
      uploads = new ResumableUploads(store, expireAfterMs, PIECE)
      await begin(20)
      await add(pattern(10))
      await harness.write(`${OWN}/removed/bytes/0000000000000000`, bytes('late'))
      expect(await uploads.sweep(running)).toBe(0)
      await sleep(expireAfterMs + 200)
      await expect(uploads.find('id')).rejects.toMatchObject({ kind: 'NotFound' })
      await uploads.create('other', { size: 5, metadata: '' })
      expect(await uploads.sweep(running)).toBe(2)
      expect((await listAll(store, OWN)).map(({ path }) => path)).toEqual([`${OWN}/other`])
    })

    it('is none where none was ever begun', async () => {
      expect(await uploads.sweep(running)).toBe(0)
    })

    it('is removed at once where its client says so', async () => {
      await begin(20)
      await add(pattern(10))
      await uploads.remove('id')
      await expect(uploads.find('id')).rejects.toMatchObject({ kind: 'NotFound' })
      await expect(uploads.remove('id')).rejects.toMatchObject({ kind: 'NotFound' })
      expect(await listAll(store, OWN).catch(() => [])).toEqual([])
    })
  })
})

it('keeps the bytes of a slow client before there are enough of them for a piece', async () => {
  const uploads = new ResumableUploads(new MemoryStore(), DAY_MS)
  vi.useFakeTimers()
  try {
    const writer = uploads.append(await uploads.create('id', { size: 100, metadata: '' }), Infinity, false)
    await writer.write(bytes('a'))
    expect(writer.offset).toBe(0)
    vi.advanceTimersByTime(31_000)
    await writer.write(bytes('b'))
    expect(writer.offset).toBe(2)
  } finally {
    vi.useRealTimers()
  }
})
