// What a store lets us do, and where clients can fetch a file themselves.
import { describe, expect, it } from 'vitest'
import { ObjectFailure } from '../../src/store/object-client.ts'
import { openObjectStore } from '../../src/store/object-store.ts'
import { s3Objects } from '../../src/store/s3.ts'
import type { S3Definition } from '../../src/store/definition.ts'
import { at } from '../contract/harness.ts'
import { bucketDefinition, MemoryBucket, type Method } from '../support/object-memory.ts'

function storeOf(definition: Partial<S3Definition> = {}, refused: readonly Method[] = []) {
  const bucket = new MemoryBucket()
  bucket.knobs.onRequest = method => {
    if (refused.includes(method)) throw new ObjectFailure('denied')
  }
  return {
    bucket,
    store: openObjectStore(bucketDefinition({ prefix: 'data/', ...definition }), bucket.connect),
  }
}

const OK = { result: 'ok', elapsedMs: expect.any(Number) as number }

describe('a probe', () => {
  it('lists, reads one byte, and writes and removes an object of its own below the prefix', async () => {
    const { bucket, store } = storeOf()
    bucket.store('data/folder/', '')
    bucket.store('data/folder/file', 'content')
    const written: string[] = []
    bucket.knobs.onRequest = (method, key) => {
      if (method === 'put' || method === 'remove') written.push(key)
    }
    expect(await store.probe!()).toEqual({ list: OK, read: OK, write: OK })
    expect(bucket.gets).toMatchObject([{ start: 0, end: 1 }])
    expect(written).toHaveLength(2)
    expect(written[0]).toBe(written[1])
    expect(written[0]).toMatch(/^data\/\.polyaxon-outputs-check-[\da-f-]{36}$/)
    expect([...bucket.objects.keys()]).toEqual(['data/folder/', 'data/folder/file'])
    expect(bucket.openBodies).toBe(0)
  })

  it('says what it did not try, and why', async () => {
    const { bucket, store } = storeOf({ readOnly: true })
    expect(await store.probe!()).toEqual({
      list: { ...OK, detail: 'nothing is there yet' },
      read: { result: 'skipped', detail: 'there is no artifact to read' },
      write: { result: 'skipped', detail: 'the store is configured as read-only' },
    })
    expect(bucket.counts).toMatchObject({ list: 1, get: 0, put: 0, remove: 0 })
  })

  it.each([
    ['list', ['list'], { list: 'failed', read: 'skipped', write: 'ok' }],
    ['get', ['get'], { list: 'ok', read: 'failed', write: 'ok' }],
    ['put', ['put'], { list: 'ok', read: 'ok', write: 'failed' }],
    ['remove', ['remove'], { list: 'ok', read: 'ok', write: 'failed' }],
  ] as const)('tells a refused %s from the rest', async (_, refused, results) => {
    const { bucket, store } = storeOf({}, refused)
    bucket.store('data/file', 'content')
    const probe = await store.probe!()
    expect({ list: probe.list.result, read: probe.read.result, write: probe.write.result }).toEqual(results)
    for (const step of [probe.list, probe.read, probe.write])
      if (step.result === 'failed')
        expect(step.error).toMatchObject({ kind: 'Unavailable', trouble: 'denied' })
  })

  it('says that it could write but not remove, and what it left behind', async () => {
    const { bucket, store } = storeOf({}, ['remove'])
    const { write } = await store.probe!()
    const [left] = [...bucket.objects.keys()]
    expect(write).toMatchObject({ result: 'failed', error: { trouble: 'denied' } })
    if (write.result !== 'failed') return
    expect(write.error.message).toMatch(
      `Writing worked, removing did not: '${left!.slice('data/'.length)}' is left there.`,
    )
    const { write: refused } = await storeOf({}, ['put']).store.probe!()
    expect(refused.result === 'failed' && refused.error.message).not.toContain('left')
  })

  it('does not reject when aborted', async () => {
    const { store } = storeOf()
    const probe = await store.probe!({ signal: AbortSignal.abort() })
    expect(probe.list).toMatchObject({ result: 'failed', error: { kind: 'Aborted' } })
  })
})

describe('direct delivery', () => {
  const options = { disposition: 'attachment; filename="a.bin"', mediaType: 'application/octet-stream' }

  it('is a signed URL when it is asked for, or configured', async () => {
    const { bucket, store } = storeOf({ publicEndpoint: 'https://signed.example' })
    const direct = await store.direct!(at('folder/a.bin'), true, options)
    expect(direct).toMatchObject({ type: 'redirect' })
    const url = (direct as { url: string }).url
    expect(url).toContain(encodeURIComponent('data/folder/a.bin'))
    expect(JSON.parse(url.slice(url.indexOf('?') + 1))).toEqual({ ...options, expiresInSeconds: 300 })
    expect(await store.direct!(at('a'), false, options)).toBeUndefined()
    expect(bucket.requests).toBe(0)
    const redirecting = storeOf({ delivery: 'redirect' }).store
    expect(await redirecting.direct!(at('a'), false, options)).toMatchObject({ type: 'redirect' })
    expect(await redirecting.direct!(at(''), false, options)).toBeUndefined()
  })

  it('is undefined where the keys cannot sign', async () => {
    const secret = { label: 'the environment', values: { sign: 'no' }, files: [] }
    const { store } = storeOf({ secret, delivery: 'redirect' })
    expect(await store.direct!(at('a'), true, options)).toBeUndefined()
  })

  it('is not had for the asking where its address could be one that only the service knows', async () => {
    const values = { AWS_ACCESS_KEY_ID: 'OURKEY', AWS_SECRET_ACCESS_KEY: 's' }
    const addressOf = async (definition: Partial<S3Definition>, more: Record<string, string> = {}) => {
      const secret = { label: 'the environment', values: { ...values, ...more }, files: [] }
      const full = bucketDefinition({ region: 'eu-west-1', secret, ...definition })
      const store = openObjectStore(full, s3Objects(full))
      const direct = await store.direct!(at('a'), true, options)
      await store.close()
      return direct && new URL((direct as { url: string }).url).host
    }
    expect(await addressOf({})).toBe('outputs.s3.eu-west-1.amazonaws.com')
    expect(await addressOf({ endpoint: 'http://minio.internal:9000' })).toBeUndefined()
    expect(await addressOf({}, { AWS_ENDPOINT_URL: 'http://minio.internal:9000' })).toBeUndefined()
    const inNetwork = 'https://bucket.vpce-1a2b.s3.eu-west-1.vpce.amazonaws.com'
    expect(await addressOf({ endpoint: inNetwork })).toBeUndefined()
    expect(await addressOf({ endpoint: 'https://s3.amazonaws.com.example' })).toBeUndefined()
    const publicEndpoint = 'https://files.example'
    expect(await addressOf({ endpoint: 'http://minio.internal:9000', publicEndpoint })).toBe('files.example')
  })

  it('does not wait for a connection', async () => {
    const { bucket, store } = storeOf({ maxConnections: 1, delivery: 'redirect' })
    bucket.store('data/a', 'content')
    const artifact = await store.open(at('a'))
    const steps = artifact.read(0, 7)[Symbol.asyncIterator]()
    bucket.knobs.onRequest = () => new Promise(() => undefined)
    const controller = new AbortController()
    const stuck = store.stat(at('a'), { signal: controller.signal }).catch((error: unknown) => error)
    expect(await store.direct!(at('a'), true, options)).toMatchObject({ type: 'redirect' })
    controller.abort()
    expect(await stuck).toMatchObject({ kind: 'Aborted' })
    await steps.return!()
    await artifact.close()
  })
})
