// Copying within a bucket: by one request or by parts, and what is left when it fails.
import { describe, expect, it } from 'vitest'
import { ObjectFailure } from '../../src/store/object-client.ts'
import { openObjectStore } from '../../src/store/object-store.ts'
import { at, pattern } from '../contract/harness.ts'
import { bucketDefinition, MemoryBucket, type Knobs } from '../support/object-memory.ts'

const MIB = 1024 ** 2

/** A store with a file of 9 MiB that copies up to 4 MiB by one request. */
function storeOf(knobs: Knobs = {}) {
  const bucket = new MemoryBucket({ maxCopyBytes: 4 * MIB, ...knobs })
  const content = pattern(9 * MIB)
  bucket.store('from', content, { contentEncoding: 'gzip' })
  const store = openObjectStore(bucketDefinition(), bucket.connect, {
    retries: { basePauseMs: 1, maxPauseMs: 2 },
  })
  return { bucket, store, content }
}

describe('a copy', () => {
  it('of a small file is one request beside the look at the source', async () => {
    const { bucket, store } = storeOf()
    bucket.store('small', 'small', { contentEncoding: 'gzip' })
    const entry = await store.copy!(at('small'), at('to'))
    expect(entry).toEqual(await store.stat(at('to')))
    expect(bucket.counts).toMatchObject({ copy: 1, put: 0, get: 0, begin: 0 })
    expect(bucket.objects.get('to')).toMatchObject({ contentEncoding: 'gzip' })
  })

  it('of a large one is put together from parts, with the properties of the source', async () => {
    const { bucket, store, content } = storeOf()
    const entry = await store.copy!(at('from'), at('to'), { precondition: { type: 'absent' } })
    expect(entry).toEqual(await store.stat(at('to')))
    expect(bucket.objects.get('to')).toMatchObject({ contentEncoding: 'gzip' })
    expect(content.equals(bucket.objects.get('to')!.content)).toBe(true)
    expect(bucket.counts).toMatchObject({ copy: 0, copyPart: 9, begin: 1, complete: 1, cancel: 0, get: 0 })
    expect(bucket.maxUnderWay).toBeLessThanOrEqual(8)
  })

  it('leaves nothing when it fails, and fails with the first reason', async () => {
    const { bucket, store } = storeOf({ latencyMs: 1 })
    let parts = 0
    bucket.knobs.onRequest = method => {
      if (method === 'copyPart' && ++parts === 3) throw new ObjectFailure('denied')
    }
    await expect(store.copy!(at('from'), at('to'))).rejects.toMatchObject({ trouble: 'denied', path: 'to' })
    expect(bucket.writes.uploads.size).toBe(0)
    expect(bucket.underWay).toBe(0)
    expect([...bucket.objects.keys()]).toEqual(['from'])
  })

  it('is of one content, also where the server looks at none: a source that is replaced meanwhile is Changed', async () => {
    const { bucket, store } = storeOf()
    bucket.knobs.onAnswer = method => {
      if (method === 'copyPart' && bucket.counts.copyPart === 9) bucket.store('from', 'other')
    }
    await expect(store.copy!(at('from'), at('to'))).rejects.toMatchObject({ kind: 'Changed' })
    expect(bucket.writes.uploads.size).toBe(0)
    expect([...bucket.objects.keys()]).toEqual(['from'])
  })

  it.each(['copy', 'complete'] as const)(
    'whose answer was lost at %s is no change of somebody else',
    async method => {
      const { bucket, store } = storeOf(method === 'copy' ? { maxCopyBytes: Infinity } : {})
      let lost = 1
      bucket.knobs.onAnswer = each => {
        if (each === method && lost-- > 0) throw new ObjectFailure('interrupted')
      }
      const entry = await store.copy!(at('from'), at('to'), { precondition: { type: 'absent' } })
      expect(entry).toEqual(await store.stat(at('to')))
    },
  )

  it('ends with the signal', async () => {
    const { bucket, store } = storeOf({ latencyMs: 5 })
    const ending = new AbortController()
    bucket.knobs.onRequest = method => {
      if (method === 'copyPart') ending.abort()
    }
    await expect(store.copy!(at('from'), at('to'), { signal: ending.signal })).rejects.toMatchObject({
      kind: 'Aborted',
    })
    expect(bucket.writes.uploads.size).toBe(0)
  })
})
