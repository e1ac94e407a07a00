// Parallel ranges: faster where single streams are slow, in order, within one budget, and only where the consumer waits.
import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { ByteBudget } from '../../src/store/object-budget.ts'
import { openObjectStore } from '../../src/store/object-store.ts'
import type { ParallelSettings } from '../../src/store/object-parts.ts'
import { at, pattern, readAll, withOpen } from '../contract/harness.ts'
import { bucketDefinition, MemoryBucket, type Knobs } from '../support/object-memory.ts'

const KIB = 1024
const SIZE = 4 * 1024 * KIB + 17
const CONTENT = pattern(SIZE)
/** Parts as in production, at a thirty-second of their size. */
const SETTINGS = { partBytes: 256 * KIB, smallPartBytes: 128 * KIB, windowMs: 20 }

function storeOf(knobs: Knobs, settings: Partial<ParallelSettings> = {}, maxConnections = 64) {
  const bucket = new MemoryBucket(knobs)
  bucket.store('data', CONTENT)
  const budget = new ByteBudget(4 * 1024 * KIB)
  const store = openObjectStore(bucketDefinition({ maxConnections }), bucket.connect, {
    retries: { basePauseMs: 1, maxPauseMs: 2 },
    parallel: { ...SETTINGS, budget, ...settings },
  })
  return { bucket, store, budget }
}

type Store = ReturnType<typeof storeOf>['store']

/** Time passes only when nobody has anything else to do, so that how busy the machine is shows in no speed. */
let nextPass: NodeJS.Immediate
beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval', 'performance'] })
  const pass = (): void => {
    vi.advanceTimersToNextTimer()
    nextPass = setImmediate(pass)
  }
  nextPass = setImmediate(pass)
})
afterEach(() => {
  clearImmediate(nextPass)
  vi.useRealTimers()
})

const sleep = (ms: number): Promise<void> => new Promise(resolve => setTimeout(resolve, ms))

async function readMs(store: Store): Promise<number> {
  const startedMs = performance.now()
  const read = await withOpen(store, 'data', artifact => readAll(artifact))
  expect(read.equals(CONTENT)).toBe(true)
  return performance.now() - startedMs
}

describe('a large read', () => {
  it('takes at most a third of the time by parallel ranges where each stream is capped', async () => {
    const capped = { bytesPerSecond: 4 * 1024 * KIB }
    const one = storeOf(capped, { maxParts: 1 })
    const many = storeOf(capped)
    const [alone, together] = await Promise.all([readMs(one.store), readMs(many.store)])
    expect(one.bucket.maxOpenBodies).toBe(1)
    expect(many.bucket.maxOpenBodies).toBeGreaterThan(4)
    expect(many.bucket.maxOpenBodies).toBeLessThanOrEqual(9)
    expect(together).toBeLessThan(alone / 3)
    expect(many.bucket.gets.every(({ pin }) => pin === many.bucket.gets[0]!.pin)).toBe(true)
    expect(many.budget.taken).toBe(0)
  })

  it('goes back to one stream where several are no faster', async () => {
    const { bucket, store } = storeOf({ sharedBytesPerSecond: 8 * 1024 * KIB }, { windowMs: 150 })
    const content = pattern(3 * SIZE)
    bucket.store('data', content)
    const read = await withOpen(store, 'data', artifact => readAll(artifact))
    expect(read.equals(content)).toBe(true)
    // The first one, the parts beside it, and one for the rest: not the 48 parts of the whole.
    expect(bucket.counts.get).toBeGreaterThan(5)
    expect(bucket.counts.get).toBeLessThanOrEqual(18)
    expect(bucket.gets.at(-1)!.end).toBe(3 * SIZE)
  })

  it('goes back to one stream where several are no faster, although a pause of the consumer spoilt the first trial', async () => {
    const { bucket, store } = storeOf({ sharedBytesPerSecond: 8 * 1024 * KIB }, { windowMs: 100 })
    const content = pattern(4 * SIZE)
    bucket.store('data', content)
    await withOpen(store, 'data', async artifact => {
      let length = 0
      let paused = false
      for await (const chunk of artifact.read(0, 4 * SIZE)) {
        length += chunk.length
        if (paused || bucket.counts.get === 1) continue
        paused = true
        await sleep(250)
      }
      expect([length, paused]).toEqual([4 * SIZE, true])
    })
    // Twice the first ones and a rest, where 64 parts make the whole.
    expect(bucket.counts.get).toBeLessThanOrEqual(36)
    expect(bucket.gets.at(-1)!.end).toBe(4 * SIZE)
    expect(bucket.gets.at(-1)!.end - bucket.gets.at(-1)!.start).toBeGreaterThan(SIZE / 4)
  })

  it('stays one stream where that is fast', async () => {
    const { bucket, store } = storeOf({ bytesPerSecond: 40_000_000 }, { fastBytesPerSecond: 1000 })
    await readMs(store)
    expect(bucket.counts.get).toBe(1)
  })

  it('stays one stream where the consumer is the slower one', async () => {
    const { bucket, store } = storeOf({ bytesPerSecond: 20_000_000 })
    await withOpen(store, 'data', async artifact => {
      let length = 0
      for await (const chunk of artifact.read(0, SIZE)) {
        length += chunk.length
        await sleep(6)
      }
      expect(length).toBe(SIZE)
    })
    expect(bucket.counts.get).toBe(1)
  })

  it('stays one stream where the two are about equally fast', async () => {
    const { bucket, store } = storeOf(
      { bytesPerSecond: 20_000_000, chunkBytes: 256 * KIB },
      { windowMs: 100 },
    )
    await withOpen(store, 'data', async artifact => {
      // A chunk comes every 13 ms.
      for await (const chunk of artifact.read(0, SIZE)) await sleep(chunk.length > 17 ? 8 : 0)
    })
    expect(bucket.counts.get).toBe(1)
  })

  it('holds less and less ahead of a consumer that became slow', async () => {
    const { bucket, store, budget } = storeOf({ bytesPerSecond: 8 * 1024 * KIB })
    bucket.store('data', pattern(3 * SIZE))
    await withOpen(store, 'data', async artifact => {
      let length = 0
      let most = 0
      for await (const chunk of artifact.read(0, 3 * SIZE)) {
        length += chunk.length
        if (length < SIZE) most = Math.max(most, budget.taken)
        else await sleep(8)
        // By now what was read ahead is used up, and there is as much again to come.
        if (length < 2 * SIZE) continue
        expect(budget.taken).toBeLessThan(most / 2)
        break
      }
      expect(most).toBeGreaterThan(2 * SETTINGS.partBytes)
    })
  })

  it.each(['on the first stream', 'on parts'])(
    'gives back what it holds ahead of a consumer that stopped %s, and goes on whole afterwards',
    async where => {
      const { bucket, store, budget } = storeOf({ bytesPerSecond: 4 * 1024 * KIB }, { keptMs: 60 })
      const content = pattern(2 * SIZE)
      bucket.store('data', content)
      await withOpen(store, 'data', async artifact => {
        const chunks: Uint8Array[] = []
        let length = 0
        let stops = 0
        for await (const chunk of artifact.read(0, 2 * SIZE)) {
          chunks.push(chunk)
          length += chunk.length
          if (stops > 0 || budget.taken === 0 || (where === 'on parts' && length < SIZE)) continue
          stops += 1
          await vi.waitFor(() => expect(budget.taken).toBe(0), { timeout: 1000, interval: 5 })
          expect(bucket.openBodies).toBeLessThanOrEqual(1)
        }
        expect(stops).toBe(1)
        expect(Buffer.concat(chunks).equals(content)).toBe(true)
      })
      expect([bucket.openBodies, budget.taken]).toEqual([0, 0])
    },
  )

  it('keeps what it holds ahead of a consumer that comes back in time', async () => {
    const { store, bucket, budget } = storeOf({ bytesPerSecond: 4 * 1024 * KIB }, { keptMs: 800 })
    await withOpen(store, 'data', async artifact => {
      const steps = artifact.read(0, SIZE)[Symbol.asyncIterator]()
      while (budget.taken === 0) await steps.next()
      for (let i = 0; i < 12; i++) {
        await sleep(100)
        await steps.next()
        expect(budget.taken).toBeGreaterThan(0)
      }
      const { get } = bucket.counts
      expect(get).toBeGreaterThan(2)
      await steps.return!()
    })
  })

  it('asks for the rest of a part only when a body breaks off that was cut', async () => {
    let broken = false
    const { bucket, store } = storeOf({ bytesPerSecond: 4 * 1024 * KIB })
    bucket.knobs.onBody = ({ start, end }) => {
      if (broken || start > 0 || end < SIZE) return undefined
      broken = true
      return { afterBytes: 200 * KIB, then: 'interrupted' }
    }
    await readMs(store)
    const resumed = bucket.gets.find(({ start }) => start === 200 * KIB)
    const second = bucket.gets[1]!
    expect(second.start).toBeGreaterThan(200 * KIB)
    expect(resumed).toMatchObject({ end: second.start })
  })

  it('shares one budget with all others, and gives it back', async () => {
    const { bucket, store, budget } = storeOf({ bytesPerSecond: 4 * 1024 * KIB })
    const limited = openObjectStore(bucketDefinition(), bucket.connect, {
      parallel: { ...SETTINGS, budget: new ByteBudget(0) },
    })
    let most = 0
    const watch = setInterval(() => (most = Math.max(most, budget.taken)), 5)
    try {
      await Promise.all(Array.from({ length: 5 }, () => readMs(store)))
    } finally {
      clearInterval(watch)
    }
    expect(most).toBeGreaterThan(1024 * KIB)
    expect(most).toBeLessThanOrEqual(4 * 1024 * KIB)
    expect([budget.taken, bucket.openBodies]).toEqual([0, 0])
    bucket.resetCounts()
    await readMs(limited)
    expect(bucket.counts.get).toBe(1)
  })

  it('leaves half of the connections to others', async () => {
    const { bucket, store } = storeOf({ bytesPerSecond: 4 * 1024 * KIB }, {}, 8)
    await readMs(store)
    expect(bucket.maxOpenBodies).toBeGreaterThan(1)
    expect(bucket.maxOpenBodies).toBeLessThanOrEqual(4)
  })

  it('ends all its requests and gives back its memory when it is left, aborted or closed', async () => {
    const ends = ['leave', 'abort', 'close'] as const
    for (const end of ends) {
      const { bucket, store, budget } = storeOf({ bytesPerSecond: 4 * 1024 * KIB })
      const artifact = await store.open(at('data'))
      const controller = new AbortController()
      const read = async (): Promise<void> => {
        let length = 0
        for await (const chunk of artifact.read(0, SIZE, { signal: controller.signal })) {
          length += chunk.length
          if (length < SIZE / 2) continue
          expect(bucket.openBodies).toBeGreaterThan(2)
          expect(budget.taken).toBeGreaterThan(0)
          if (end === 'leave') return
          if (end === 'abort') controller.abort()
          else await artifact.close()
        }
      }
      if (end === 'leave') await read()
      else await expect(read()).rejects.toMatchObject({ kind: 'Aborted' })
      expect([bucket.openBodies, budget.taken], end).toEqual([0, 0])
      await artifact.close()
    }
  })

  it('fails with Changed, and holds nothing, when the object is replaced between two parts', async () => {
    const { bucket, store, budget } = storeOf({ bytesPerSecond: 4 * 1024 * KIB })
    bucket.knobs.onRequest = method => {
      if (method === 'get' && bucket.counts.get === 6) bucket.store('data', pattern(SIZE, 1))
    }
    await expect(readMs(store)).rejects.toMatchObject({ kind: 'Changed' })
    expect([bucket.openBodies, budget.taken]).toEqual([0, 0])
  })

  it('gives every range whole through faults in any of its parts', async () => {
    const bound = fc.integer({ min: 0, max: SIZE })
    const every = fc.integer({ min: 2, max: 5 })
    await fc.assert(
      fc.asyncProperty(bound, bound, every, fc.boolean(), async (a, b, n, rotate) => {
        let gets = 0
        const { bucket, store, budget } = storeOf(
          {
            bytesPerSecond: 60_000_000,
            onBody: () => (++gets % n === 0 ? { afterBytes: 70_000, then: 'interrupted' } : undefined),
          },
          { windowMs: 2 },
        )
        const [start, end] = [Math.min(a, b), Math.max(a, b)]
        const memory = [Buffer.alloc(100_000), Buffer.alloc(100_000)]
        let turn = 0
        const options = rotate ? { buffers: { take: () => memory[turn++ % 2]! } } : {}
        const read = await withOpen(store, 'data', artifact => readAll(artifact, start, end, options))
        expect(read.equals(CONTENT.subarray(start, end))).toBe(true)
        expect([bucket.openBodies, budget.taken]).toEqual([0, 0])
      }),
      { numRuns: 25 },
    )
  })
})
