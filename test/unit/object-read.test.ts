// Reads of object stores through broken, short, stalled and wrong bodies: exactly the bytes, or a failure.
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { ObjectFailure } from '../../src/store/object-client.ts'
import { openObjectStore } from '../../src/store/object-store.ts'
import type { OpenArtifact } from '../../src/store/store.ts'
import { at, pattern, readAll, withOpen } from '../contract/harness.ts'
import { bucketDefinition, MemoryBucket, type BodyFault, type Knobs } from '../support/object-memory.ts'

const SIZE = 300_001
const CONTENT = pattern(SIZE)
const QUICK = { basePauseMs: 1, maxPauseMs: 2 }

function storeOf(knobs: Knobs = {}, maxConnections = 64, restMs = 20, budgetMs = 20_000) {
  const bucket = new MemoryBucket(knobs)
  bucket.store('data', CONTENT)
  const store = openObjectStore(bucketDefinition({ maxConnections }), bucket.connect, {
    retries: { ...QUICK, budgetMs },
    turns: { restMs },
  })
  return { bucket, store }
}

/** One fault for each request, in their order, and none afterwards. */
function faults(...list: readonly BodyFault[]): (request: unknown) => BodyFault | undefined {
  const left = [...list]
  return () => left.shift()
}

const endless =
  (fault: BodyFault): (() => BodyFault) =>
  () =>
    fault

describe('a read of an object', () => {
  it('gives exactly the range through random faults, and holds no connection afterwards', async () => {
    const fault: fc.Arbitrary<BodyFault> = fc.record({
      afterBytes: fc.integer({ min: 0, max: SIZE }),
      then: fc.constantFrom('end', 'interrupted', 'unreachable', 'timeout', 'throttled', 'stall'),
    })
    const bound = fc.integer({ min: 0, max: SIZE })
    await fc.assert(
      fc.asyncProperty(
        fc.array(fault, { maxLength: 5 }),
        bound,
        bound,
        fc.option(fc.integer({ min: 1000, max: 100_000 })),
        async (list, a, b, bufferBytes) => {
          const { bucket, store } = storeOf({ onBody: faults(...list), idleMs: 2, chunkBytes: 10_000 })
          const [start, end] = [Math.min(a, b), Math.max(a, b)]
          const take = (): Buffer => Buffer.alloc(bufferBytes ?? 1)
          const options = bufferBytes === null ? {} : { buffers: { take } }
          const read = await withOpen(store, 'data', artifact => readAll(artifact, start, end, options))
          expect(read.equals(CONTENT.subarray(start, end))).toBe(true)
          expect(bucket.openBodies).toBe(0)
        },
      ),
      { numRuns: 150 },
    )
  })

  it('costs one request, and one for the opening that a pin saves; an empty range costs none', async () => {
    const { bucket, store } = storeOf()
    await withOpen(store, 'data', artifact => readAll(artifact))
    expect(bucket.counts).toMatchObject({ head: 1, get: 1, list: 0 })
    const pin = await store.stat(at('data'))
    bucket.resetCounts()
    await withOpen(store, 'data', artifact => readAll(artifact, 5, SIZE), pin)
    expect(bucket.requests).toBe(1)
    expect(bucket.gets).toEqual([{ start: 5, end: SIZE, pin: pin.etag }])
    await withOpen(store, 'data', artifact => readAll(artifact, 5, 5), pin)
    expect(bucket.requests).toBe(1)
  })

  it('resumes where it stood, with the pin, when a body breaks off', async () => {
    const { bucket, store } = storeOf({ onBody: faults({ afterBytes: 100_000, then: 'interrupted' }) })
    await withOpen(store, 'data', artifact => readAll(artifact))
    const { etag } = await store.stat(at('data'))
    expect(bucket.gets).toEqual([
      { start: 0, end: SIZE, pin: etag },
      { start: 100_000, end: SIZE, pin: etag },
    ])
  })

  it.each([
    ['interrupted', 'interrupted'],
    ['end', 'interrupted'],
    ['stall', 'timeout'],
    ['throttled', 'throttled'],
  ] as const)(
    'gives up when its time without progress is over, and not before, where every body says %s',
    async (then, trouble) => {
      const onBody = endless({ afterBytes: 0, then })
      const { bucket, store } = storeOf({ onBody, idleMs: 1 }, 64, 20, 100)
      const startedMs = performance.now()
      const read = withOpen(store, 'data', artifact => readAll(artifact))
      await expect(read).rejects.toMatchObject({ kind: 'Unavailable', trouble, path: 'data' })
      expect(performance.now() - startedMs).toBeGreaterThan(50)
      expect(bucket.counts.get).toBeGreaterThan(6)
      expect(bucket.openBodies).toBe(0)
    },
  )

  it('goes on as long as every attempt brings something', async () => {
    const { bucket, store } = storeOf({
      onBody: endless({ afterBytes: 20_000, then: 'interrupted' }),
      chunkBytes: 10_000,
    })
    const read = await withOpen(store, 'data', artifact => readAll(artifact))
    expect(read.equals(CONTENT)).toBe(true)
    // The chunk that ends the range is given when the body has ended, so the last attempt has to bring it whole.
    expect(bucket.counts.get).toBe(Math.ceil(SIZE / 20_000))
  })

  it.each(['denied', 'missing', 'misconfigured'] as const)(
    'does not try again when the body says %s',
    async then => {
      const { bucket, store } = storeOf({ onBody: endless({ afterBytes: 10, then }) })
      const read = withOpen(store, 'data', artifact => readAll(artifact))
      await expect(read).rejects.toMatchObject({ kind: 'Unavailable', trouble: then, temporary: false })
      expect(bucket.counts.get).toBe(1)
    },
  )

  it('fails on more bytes than it asked for, and never gives one of them', async () => {
    const { bucket, store } = storeOf({ onBody: endless({ afterBytes: Infinity, then: 'overrun' }) })
    await withOpen(store, 'data', async artifact => {
      const given: Uint8Array[] = []
      const read = async (): Promise<void> => {
        for await (const chunk of artifact.read(0, 100_000)) given.push(chunk)
      }
      await expect(read()).rejects.toMatchObject({ kind: 'Unavailable', trouble: 'interrupted' })
      expect(Buffer.concat(given).length).toBeLessThan(100_000)
    })
    expect(bucket.counts.get).toBe(1)
    expect(bucket.openBodies).toBe(0)
  })

  it.each([
    ['replaced', (bucket: MemoryBucket) => bucket.store('data', pattern(SIZE, 1))],
    ['removed', (bucket: MemoryBucket) => bucket.objects.delete('data')],
    ['cut', (bucket: MemoryBucket) => bucket.store('data', CONTENT.subarray(0, 10))],
  ])('fails with Changed when the object is %s before a body is resumed', async (_, change) => {
    const { bucket, store } = storeOf({ onBody: faults({ afterBytes: 100_000, then: 'interrupted' }) })
    bucket.knobs.onRequest = method => {
      if (method === 'get' && bucket.counts.get === 2) change(bucket)
    }
    await expect(withOpen(store, 'data', artifact => readAll(artifact))).rejects.toMatchObject({
      kind: 'Changed',
    })
  })

  it('says Changed for a pinned object that is gone before it is read', async () => {
    const { bucket, store } = storeOf()
    const pin = await store.stat(at('data'))
    bucket.objects.delete('data')
    const read = withOpen(store, 'data', artifact => readAll(artifact), pin)
    await expect(read).rejects.toMatchObject({ kind: 'Changed', path: 'data' })
  })

  it('ends at once when aborted, in the request, in a stalled body and while others have all connections', async () => {
    const stages: readonly Knobs[] = [
      { onRequest: method => (method === 'get' ? new Promise<void>(() => undefined) : undefined) },
      { onBody: endless({ afterBytes: 0, then: 'stall' }) },
    ]
    for (const knobs of stages) {
      const { bucket, store } = storeOf(knobs, 1)
      await withOpen(store, 'data', async artifact => {
        const first = new AbortController()
        const second = new AbortController()
        const reads = [first, second].map(({ signal }) => readAll(artifact, 0, SIZE, { signal }))
        const ends = reads.map(read => expect(read).rejects.toMatchObject({ kind: 'Aborted' }))
        await new Promise(resolve => setTimeout(resolve, 10))
        second.abort()
        await ends[1]
        first.abort()
        await ends[0]
        expect([bucket.openBodies, bucket.underWay]).toEqual([0, 0])
      })
    }
  })

  it('frees its connection when the signal is aborted between two chunks, though nobody comes back', async () => {
    const { bucket, store } = storeOf({}, 1, 60_000)
    const artifact = await store.open(at('data'))
    const controller = new AbortController()
    const steps = artifact.read(0, SIZE, { signal: controller.signal })[Symbol.asyncIterator]()
    await steps.next()
    expect(bucket.openBodies).toBe(1)
    controller.abort()
    expect(bucket.openBodies).toBe(0)
    expect((await readAll(artifact)).equals(CONTENT)).toBe(true)
    await expect(steps.next()).rejects.toMatchObject({ kind: 'Aborted' })
  })

  it('ends when the artifact is closed', async () => {
    const { bucket, store } = storeOf({ onBody: endless({ afterBytes: 0, then: 'stall' }) })
    const artifact = await store.open(at('data'))
    const read = expect(readAll(artifact)).rejects.toMatchObject({ kind: 'Aborted' })
    await new Promise(resolve => setTimeout(resolve, 5))
    await artifact.close()
    await read
    expect(bucket.openBodies).toBe(0)
  })

  it('leaves the bucket free after 150 downloads that were left or aborted in the middle', async () => {
    const { bucket, store } = storeOf({}, 4)
    const download = async (i: number): Promise<void> => {
      const controller = new AbortController()
      await withOpen(store, 'data', async artifact => {
        for await (const chunk of artifact.read(0, SIZE, { signal: controller.signal })) {
          expect(chunk.length).toBeGreaterThan(0)
          if (i % 2 === 0) break
          controller.abort()
        }
      }).catch((error: unknown) => expect(error).toMatchObject({ kind: 'Aborted' }))
    }
    await Promise.all(Array.from({ length: 150 }, (_, i) => download(i)))
    expect(bucket.openBodies).toBe(0)
    expect(bucket.maxOpenBodies).toBeLessThanOrEqual(4)
    expect((await withOpen(store, 'data', artifact => readAll(artifact))).equals(CONTENT)).toBe(true)
  })

  it('lends the connection of a body that nobody reads from to others that wait, and resumes it later', async () => {
    const { bucket, store } = storeOf({}, 3)
    const slow: AsyncIterator<Uint8Array>[] = []
    const artifacts: OpenArtifact[] = []
    const received: Buffer[][] = []
    for (let i = 0; i < 10; i++) {
      const artifact = await store.open(at('data'))
      const steps = artifact.read(0, SIZE)[Symbol.asyncIterator]()
      received.push([Buffer.from((await steps.next()).value as Uint8Array)])
      slow.push(steps)
      artifacts.push(artifact)
    }
    expect(bucket.maxOpenBodies).toBe(2)
    for (const [i, steps] of slow.entries())
      for (let step = await steps.next(); step.done !== true; step = await steps.next())
        received[i]!.push(Buffer.from(step.value))
    for (const chunks of received) expect(Buffer.concat(chunks).equals(CONTENT)).toBe(true)
    expect(bucket.openBodies).toBe(0)
    await Promise.all(artifacts.map(artifact => artifact.close()))
  })

  it('gives what there is when a slow store would take long to fill a buffer', async () => {
    const { store } = storeOf({ bytesPerSecond: 100_000, chunkBytes: 10_000 })
    await withOpen(store, 'data', async artifact => {
      const buffers = { take: () => Buffer.alloc(SIZE) }
      const steps = artifact.read(0, SIZE, { buffers })[Symbol.asyncIterator]()
      const startedMs = performance.now()
      const { value } = (await steps.next()) as IteratorYieldResult<Uint8Array>
      expect(performance.now() - startedMs).toBeLessThan(2500)
      expect(value.length).toBeLessThan(SIZE)
      expect(CONTENT.subarray(0, value.length).equals(value)).toBe(true)
      await steps.return!()
    })
  })
})

describe('the stored CRC-32 of an object', () => {
  it('comes with the opening, or with one request where a pin saved that', async () => {
    const { bucket, store } = storeOf()
    bucket.store('data', CONTENT, { crc32: 0xcbf43926 })
    const pin = await store.stat(at('data'))
    bucket.resetCounts()
    await withOpen(store, 'data', async artifact => {
      expect(await artifact.storedCrc32!()).toBe(0xcbf43926)
    })
    expect(bucket.requests).toBe(1)
    await withOpen(
      store,
      'data',
      async artifact => {
        expect(await artifact.storedCrc32!()).toBe(0xcbf43926)
        expect(await artifact.storedCrc32!()).toBe(0xcbf43926)
      },
      pin,
    )
    expect(bucket.requests).toBe(2)
  })

  it('fails like a read when the object is another one by now', async () => {
    const { bucket, store } = storeOf()
    const pin = await store.stat(at('data'))
    bucket.store('data', CONTENT, { crc32: 1 })
    const crc = withOpen(store, 'data', artifact => artifact.storedCrc32!(), pin)
    await expect(crc).rejects.toMatchObject({ kind: 'Changed' })
  })
})

describe('opening an object', () => {
  it('says how its content is coded', async () => {
    const { bucket, store } = storeOf()
    bucket.store('log.gz', 'x', { contentEncoding: 'gzip' })
    expect((await store.open(at('log.gz'))).contentEncoding).toBe('gzip')
    expect((await store.open(at('data'))).contentEncoding).toBeUndefined()
  })

  it('tries three times, then names the connection and the trouble', async () => {
    const { bucket, store } = storeOf({
      onRequest: () => {
        throw new ObjectFailure('throttled', { advice: 'Fewer requests may help.' })
      },
    })
    await expect(store.open(at('data'))).rejects.toMatchObject({
      kind: 'Unavailable',
      trouble: 'throttled',
      temporary: true,
      message:
        "The outputs store 'bucket-store' asks to be left alone for a while: try again later. Fewer requests may help.",
    })
    expect(bucket.counts.head).toBe(3)
  })
})
