// The bound on connections: who gets one, who must give one up, and that nobody waits for longer than turns take.
import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, it, onTestFinished } from 'vitest'
import { guarded } from '../../src/store/guarded.ts'
import { openObjectStore } from '../../src/store/object-store.ts'
import { NoSlot, Slots, type Slot, type TurnTimes } from '../../src/store/object-slots.ts'
import { ROOT } from '../../src/store/path.ts'
import type { ArtifactStore } from '../../src/store/store.ts'
import { at, listAll, pattern, readAll, withOpen } from '../contract/harness.ts'
import { bucketDefinition, MemoryBucket, type Knobs } from '../support/object-memory.ts'

const NEVER = new AbortController().signal

function take(slots: Slots, count: number, use: 'request' | 'body' = 'body'): Promise<Slot[]> {
  return Promise.all(Array.from({ length: count }, () => slots.acquire(use, NEVER, 1000)))
}

describe('the slots of a store', () => {
  it('are given in the order of asking, to requests and bodies alike', async () => {
    const slots = new Slots(2)
    const held = [...(await take(slots, 1)), ...(await take(slots, 1, 'request'))]
    const order: number[] = []
    const waiting = (['body', 'body', 'request', 'body'] as const).map(async (use, i) => {
      const slot = await slots.acquire(use, NEVER, 1000)
      order.push(i)
      await sleep(1)
      slot.release()
      slot.release()
    })
    for (const slot of held) slot.release()
    await Promise.all(waiting)
    // The second body must wait for the first, but the request need not.
    expect(order).toEqual([0, 2, 1, 3])
    expect(slots.taken).toBe(0)
  })

  it('are not waited for beyond the deadline or the abort, and nobody loses one thereby', async () => {
    const slots = new Slots(2)
    const [held] = await take(slots, 1)
    const controller = new AbortController()
    const late = expect(slots.acquire('body', NEVER, 10)).rejects.toBeInstanceOf(NoSlot)
    const aborted = expect(slots.acquire('body', controller.signal, 1000)).rejects.toMatchObject({
      reason: 'aborted',
    })
    controller.abort()
    await Promise.all([late, aborted])
    held!.release()
    expect(slots.taken).toBe(0)
    const next = await slots.acquire('body', NEVER, 10)
    expect(slots.taken).toBe(1)
    next.release()
  })

  it.each([
    [1, 1, 1],
    [2, 1, 1],
    [8, 7, 1],
    [64, 56, 8],
  ])('of %i connections are %i for bodies, and %i for requests alone', async (limit, bodies, requests) => {
    const slots = new Slots(limit)
    const held = await take(slots, bodies)
    await expect(slots.acquire('body', NEVER, 5)).rejects.toBeInstanceOf(NoSlot)
    held.push(...(await take(slots, requests, 'request')))
    await expect(slots.acquire('request', NEVER, 5)).rejects.toBeInstanceOf(NoSlot)
    for (const slot of held) slot.release()
    const all = await take(slots, Math.max(2, limit), 'request')
    expect(slots.taken).toBe(Math.max(2, limit))
    for (const slot of all) slot.release()
  })

  function reclaimable(slot: Slot, name: string, reclaimed: string[]): () => void {
    return () => {
      reclaimed.push(name)
      slot.release()
    }
  }

  it('are taken from the body that has rested longest, one for each that waits, and only after a while', async () => {
    const slots = new Slots(3, { restMs: 30 })
    const reclaimed: string[] = []
    const [a, b] = (await take(slots, 2)) as [Slot, Slot]
    const startedMs = performance.now()
    a.rest(reclaimable(a, 'a', reclaimed))
    await sleep(5)
    b.rest(reclaimable(b, 'b', reclaimed))
    const next = await slots.acquire('body', NEVER, 1000)
    expect(reclaimed).toEqual(['a'])
    expect(performance.now() - startedMs).toBeGreaterThanOrEqual(29)
    b.work()
    await expect(slots.acquire('body', NEVER, 60)).rejects.toBeInstanceOf(NoSlot)
    expect(reclaimed).toEqual(['a'])
    next.release()
    b.release()
    expect(slots.taken).toBe(0)
  })

  it('are given up by a busy body at a chunk when its turn is over, and only where somebody waits', async () => {
    const slots = new Slots(1, { restMs: 60_000, turnMs: 40 })
    const reclaimed: string[] = []
    const [body] = (await take(slots, 1)) as [Slot]
    const chunk = (): void => {
      body.work()
      body.rest(reclaimable(body, 'body', reclaimed))
    }
    chunk()
    await sleep(50)
    chunk()
    expect(reclaimed).toEqual([])
    // While it works nothing is taken from it.
    body.work()
    const waiting = slots.acquire('body', NEVER, 1000)
    await sleep(50)
    expect(reclaimed).toEqual([])
    chunk()
    expect(reclaimed).toEqual(['body'])
    ;(await waiting).release()
    expect(slots.taken).toBe(0)
  })

  it('are taken for requests too, but only when these have waited for as long as a body may rest', async () => {
    const slots = new Slots(2, { restMs: 40, turnMs: 0 })
    const reclaimed: string[] = []
    const [[body], [request]] = (await Promise.all([take(slots, 1), take(slots, 1, 'request')])) as [
      [Slot],
      [Slot],
    ]
    const startedMs = performance.now()
    const waiting = slots.acquire('request', NEVER, 1000)
    body.rest(reclaimable(body, 'body', reclaimed))
    expect(reclaimed).toEqual([])
    ;(await waiting).release()
    expect(performance.now() - startedMs).toBeGreaterThanOrEqual(39)
    expect(reclaimed).toEqual(['body'])
    request.release()
  })
})

const CHUNK = 10_000
const SIZE = 100 * CHUNK
const CONTENT = pattern(SIZE)

function storeOf(maxConnections: number, turns: Partial<TurnTimes>, knobs: Knobs = {}, budgetMs = 300) {
  const bucket = new MemoryBucket({ chunkBytes: CHUNK, ...knobs })
  bucket.store('data', CONTENT)
  const inner = openObjectStore(bucketDefinition({ maxConnections }), bucket.connect, {
    turns,
    retries: { basePauseMs: 1, maxPauseMs: 2, budgetMs },
  })
  const store = guarded(inner, { maxOperations: 2048, deadlineMs: 60_000 }, 'bucket-store')
  return { bucket, store }
}

/** Reads the object, `pauseMs` after each chunk, until the test has finished or it has ended; what it got. */
async function slowReader(store: ArtifactStore, pauseMs: number): Promise<Buffer> {
  let isOver = false
  onTestFinished(() => void (isOver = true))
  const chunks: Uint8Array[] = []
  await withOpen(store, 'data', async artifact => {
    for await (const chunk of artifact.read(0, SIZE)) {
      chunks.push(Buffer.from(chunk))
      if (isOver) return
      await sleep(pauseMs)
    }
  })
  return Buffer.concat(chunks)
}

describe('the connections to a store', () => {
  it('are never more than configured', async () => {
    const { bucket, store } = storeOf(3, {}, { latencyMs: 2, bytesPerSecond: 50_000_000 })
    await Promise.all(
      Array.from({ length: 40 }, () => withOpen(store, 'data', artifact => readAll(artifact))),
    )
    expect(bucket.maxUnderWay).toBe(3)
    expect(bucket.maxOpenBodies).toBe(2)
  })

  it.each([1, 8])('leave stats and lists alone while clients that pause briefly keep all %i', async limit => {
    // Never due: only what is kept for requests is left.
    const { bucket, store } = storeOf(limit, { restMs: 60_000, turnMs: 60_000 })
    const readers = Array.from({ length: limit }, () => slowReader(store, 20))
    await expect.poll(() => bucket.openBodies).toBe(Math.max(1, limit - 1))
    for (let i = 0; i < 5; i++) {
      expect(await store.stat(ROOT)).toMatchObject({ type: 'directory' })
      expect(await store.stat(at('data'))).toMatchObject({ size: SIZE })
      expect(await listAll(store, ROOT)).toHaveLength(1)
    }
    void Promise.all(readers)
  })

  it('go round among clients that never rest for long, so that each download ends whole', async () => {
    const { bucket, store } = storeOf(2, { restMs: 60_000, turnMs: 30 })
    const startedMs = performance.now()
    const slow = slowReader(store, 10)
    await expect.poll(() => bucket.openBodies).toBe(1)
    const other = await withOpen(store, 'data', artifact => readAll(artifact))
    // Long before the slow one has ended.
    expect(performance.now() - startedMs).toBeLessThan(900)
    expect(other.equals(CONTENT)).toBe(true)
    expect((await slow).equals(CONTENT)).toBe(true)
    expect(bucket.counts.get).toBeGreaterThanOrEqual(3)
    expect(bucket.openBodies).toBe(0)
  })

  it('are kept by whoever has one where nobody waits, however long that takes', async () => {
    const { bucket, store } = storeOf(2, { restMs: 1, turnMs: 1 })
    expect((await slowReader(store, 3)).equals(CONTENT)).toBe(true)
    expect(bucket.counts.get).toBe(1)
  })

  it('are waited for by a download for longer than the store has to answer', async () => {
    const knobs = { bytesPerSecond: 1_000_000, latencyMs: 5 }
    const { store } = storeOf(2, { restMs: 60_000, turnMs: 300 }, knobs, 100)
    const reads = await Promise.all(
      Array.from({ length: 3 }, () => withOpen(store, 'data', artifact => readAll(artifact))),
    )
    for (const read of reads) expect(read.equals(CONTENT)).toBe(true)
  })

  it('may go round after each chunk, the last one too, and all downloads are whole', async () => {
    const { bucket, store } = storeOf(2, { restMs: 0, turnMs: 0 })
    const reads = await Promise.all(
      Array.from({ length: 4 }, () => withOpen(store, 'data', artifact => readAll(artifact))),
    )
    for (const read of reads) expect(read.equals(CONTENT)).toBe(true)
    expect(bucket.counts.get).toBeGreaterThan(4)
    expect(bucket.openBodies).toBe(0)
  })

  it('that never come free are said to be in use, not to be out of reach', async () => {
    const { bucket, store } = storeOf(1, {}, {}, 50)
    bucket.knobs.onRequest = (_, key) => (key === 'slow' ? sleep(200) : undefined)
    const slow = [1, 2].map(() => store.stat(at('slow')).catch((error: unknown) => error))
    await expect(store.stat(at('data'))).rejects.toMatchObject({
      kind: 'RateLimited',
      temporary: true,
      trouble: undefined,
      message: "All connections to the outputs store 'bucket-store' are in use: try again shortly.",
    })
    for (const error of await Promise.all(slow))
      expect(error).toMatchObject({ kind: 'Unavailable', trouble: 'timeout' })
  })
})
