// A store that is away: downloads outlast it together, it is asked little meanwhile, and clients hear of it soon.
import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { ObjectFailure, type FailureReason } from '../../src/store/object-client.ts'
import { Outage } from '../../src/store/object-outage.ts'
import { BODY_POLICY, Patience } from '../../src/store/object-retry.ts'
import { openObjectStore } from '../../src/store/object-store.ts'
import { openArchive, readAll as readArchive } from '../archive/archives.ts'
import { at, pattern, readAll, withOpen } from '../contract/harness.ts'
import { bucketDefinition, MemoryBucket } from '../support/object-memory.ts'

const NEVER = new AbortController().signal
/** A tenth of the pauses of production. */
const TENTH = { basePauseMs: 20, maxPauseMs: 200, budgetMs: 2000 }
const PAUSES = { basePauseMs: 40, maxPauseMs: 40 }

function begun(reason: FailureReason = 'unreachable'): Outage {
  const outage = new Outage(PAUSES)
  for (let i = 0; i < 4; i++) outage.failed(new ObjectFailure(reason))
  return outage
}

function patience(budgetMs = 5000): Patience {
  return new Patience({ ...BODY_POLICY, budgetMs })
}

describe('an outage', () => {
  it('begins with four failures in a row, and ends with any answer', async () => {
    const outage = new Outage(PAUSES)
    for (let i = 0; i < 10; i++) {
      for (let j = 0; j < 3; j++) outage.failed(new ObjectFailure('throttled'))
      expect(outage.isUnderWay).toBe(false)
      if (i % 2 === 0) outage.answered()
      else outage.failed(new ObjectFailure('missing-object'))
    }
    for (let j = 0; j < 4; j++) outage.failed(new ObjectFailure('timeout'))
    expect(outage.isUnderWay).toBe(true)
    outage.failed(new ObjectFailure('denied'))
    expect([outage.isUnderWay, outage.lastedMs]).toEqual([false, 0])
    expect(await outage.turn(patience(), NEVER)).toBe(false)
  })

  it('is not made of requests that were given up, nor of mistakes of ours', () => {
    const outage = new Outage(PAUSES)
    for (let i = 0; i < 10; i++) {
      outage.failed(new ObjectFailure('aborted'))
      outage.failed(new TypeError('a mistake of ours'))
    }
    expect(outage.isUnderWay).toBe(false)
  })

  it('lets one of those that wait try after each pause', async () => {
    const outage = begun()
    const startedMs = performance.now()
    const triedAtMs: number[] = []
    const controller = new AbortController()
    const waiting = Array.from({ length: 30 }, async () => {
      while (await outage.turn(patience(), controller.signal).catch(() => false))
        triedAtMs.push(performance.now() - startedMs)
    })
    await sleep(210)
    controller.abort()
    await Promise.all(waiting)
    // Pauses are of 20 to 40 ms.
    expect(triedAtMs.length).toBeGreaterThanOrEqual(4)
    expect(triedAtMs.length).toBeLessThanOrEqual(11)
    for (const [i, atMs] of triedAtMs.entries())
      expect(atMs - (triedAtMs[i - 1] ?? 0)).toBeGreaterThanOrEqual(19)
  })

  it('is over for all that wait as soon as one of them is answered', async () => {
    const outage = new Outage({ basePauseMs: 60_000, maxPauseMs: 60_000 })
    for (let i = 0; i < 4; i++) outage.failed(new ObjectFailure('unreachable'))
    const waiting = Array.from({ length: 30 }, () => outage.turn(patience(), NEVER))
    outage.answered()
    expect(new Set(await Promise.all(waiting))).toEqual(new Set([false]))
  })

  it('keeps nobody beyond his patience, or his signal, and says what ails the store', async () => {
    const outage = new Outage({ basePauseMs: 60_000, maxPauseMs: 60_000 })
    for (let i = 0; i < 4; i++) outage.failed(new ObjectFailure('throttled'))
    await expect(outage.turn(patience(20), NEVER)).rejects.toMatchObject({ reason: 'throttled' })
    const controller = new AbortController()
    const aborted = expect(outage.turn(patience(), controller.signal)).rejects.toMatchObject({
      reason: 'aborted',
    })
    controller.abort()
    await aborted
  })

  it('leaves the store alone for as long as it asks', async () => {
    const outage = begun()
    outage.failed(new ObjectFailure('throttled', { retryAfterMs: 100 }))
    const startedMs = performance.now()
    expect(await outage.turn(patience(), NEVER)).toBe(true)
    expect(performance.now() - startedMs).toBeGreaterThanOrEqual(99)
  })
})

const MEMBERS = 800
const MEMBER = pattern(700)

function storeOf(retries = TENTH) {
  const bucket = new MemoryBucket({ latencyMs: 1 })
  for (let i = 0; i < MEMBERS; i++) bucket.store(`set/${i}`, MEMBER)
  const outage = { isUnderWay: false }
  bucket.knobs.onRequest = () => {
    if (outage.isUnderWay) throw new ObjectFailure('unreachable')
  }
  return { bucket, outage, store: openObjectStore(bucketDefinition(), bucket.connect, { retries }) }
}

describe('a store that is away', () => {
  it.each([100, 200, 300])(
    'for %i ms, with pauses of a tenth, costs no archive of small members and few requests',
    async awayMs => {
      const downloads = Array.from({ length: 5 }, async () => {
        const { bucket, outage, store } = storeOf()
        const archive = await openArchive(store, 'tar')
        let requests = 0
        const away = async (): Promise<void> => {
          await expect.poll(() => bucket.counts.get, { interval: 5 }).toBeGreaterThan(20)
          outage.isUnderWay = true
          const before = bucket.counts.get
          await sleep(awayMs)
          outage.isUnderWay = false
          requests = bucket.counts.get - before
        }
        const [content] = await Promise.all([readArchive(archive), away()])
        expect(content.length).toBe(archive.size)
        // What was under way, and its first pause; then one at a time.
        expect(requests).toBeLessThan(150)
      })
      await Promise.all(downloads)
    },
  )

  it('and dies under many downloads is not asked by all of them again and again', async () => {
    const { bucket, outage, store } = storeOf({ ...TENTH, budgetMs: 500 })
    const archives = await Promise.all(Array.from({ length: 10 }, () => openArchive(store, 'tar')))
    const downloads = archives.map(archive => readArchive(archive).catch((error: unknown) => error))
    await expect.poll(() => bucket.counts.get, { interval: 5 }).toBeGreaterThan(100)
    outage.isUnderWay = true
    const before = bucket.counts.get
    for (const error of await Promise.all(downloads)) expect(error).toMatchObject({ kind: 'Unavailable' })
    expect(bucket.counts.get - before).toBeLessThan(150)
  })

  it('that throttles every fifth request gives an archive of 2,000 members whole', async () => {
    const { bucket, store } = storeOf()
    for (let i = MEMBERS; i < 2000; i++) bucket.store(`set/${i}`, MEMBER)
    bucket.knobs.onRequest = method => {
      if (method === 'get' && Math.random() < 0.2) throw new ObjectFailure('throttled')
    }
    const archive = await openArchive(store, 'tar')
    expect((await readArchive(archive)).length).toBe(archive.size)
  })

  it('is asked three times for a client that waits, and only once when that has long been known', async () => {
    const { bucket, outage, store } = storeOf({ ...TENTH, basePauseMs: 1, maxPauseMs: 2 })
    outage.isUnderWay = true
    const asked = async (): Promise<number> => {
      const before = bucket.counts.head
      await expect(store.stat(at('set/0'))).rejects.toMatchObject({ trouble: 'unreachable' })
      return bucket.counts.head - before
    }
    expect([await asked(), await asked()]).toEqual([3, 3])
    await sleep(2000)
    expect([await asked(), await asked()]).toEqual([1, 1])
    outage.isUnderWay = false
    expect(await store.stat(at('set/0'))).toMatchObject({ size: 700 })
    outage.isUnderWay = true
    expect(await asked()).toBe(3)
  })

  it('is told by a download that waited for it in vain', async () => {
    const { outage, store } = storeOf({ ...TENTH, budgetMs: 200 })
    await withOpen(store, 'set/0', async artifact => {
      outage.isUnderWay = true
      const startedMs = performance.now()
      const reads = Array.from({ length: 20 }, () => readAll(artifact).catch((error: unknown) => error))
      for (const error of await Promise.all(reads))
        expect(error).toMatchObject({ kind: 'Unavailable', path: 'set/0' })
      expect(performance.now() - startedMs).toBeLessThan(1000)
    })
  })
})
