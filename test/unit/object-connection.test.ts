// The client in use: made once, rotated keys, refused keys, and keys that are slow to come.
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { ObjectFailure, type ConnectObjects, type ObjectClient } from '../../src/store/object-client.ts'
import { openObjectStore } from '../../src/store/object-store.ts'
import { at, readAll, withOpen } from '../contract/harness.ts'
import { bucketDefinition, MemoryBucket } from '../support/object-memory.ts'

const QUICK = { basePauseMs: 1, maxPauseMs: 2 }

describe('the access keys of a store', () => {
  let folder: string
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'object-connection-'))
    await writeFile(join(folder, 'key'), 'first')
  })
  afterEach(() => rm(folder, { recursive: true, force: true }))

  /** A store whose server accepts `accepted.key`, and counts what it was asked with each key. */
  function storeOf(times: { lookMs?: number; lookAfterRefusalMs?: number; renewMs?: number } = {}) {
    const bucket = new MemoryBucket({ chunkBytes: 3 })
    bucket.store('data', 'content')
    const accepted = { key: 'first' }
    const asked = new Map<string, number>()
    bucket.knobs.onRequest = (_, __, { key = '' }) => {
      asked.set(key, (asked.get(key) ?? 0) + 1)
      if (key !== accepted.key) throw new ObjectFailure('credentials')
    }
    const secret = {
      label: "the secret 'keys'",
      values: {},
      files: [{ key: 'key', path: join(folder, 'key') }],
    }
    const connect: ConnectObjects = async options => {
      await sleep(5)
      return bucket.connect(options)
    }
    const store = openObjectStore(bucketDefinition({ secret }), connect, { retries: QUICK, times })
    return { bucket, store, accepted, asked }
  }

  it('are read when the store is first used, and one client serves all requests', async () => {
    const { bucket, store } = storeOf()
    expect(bucket.counts.clients).toBe(0)
    await Promise.all(Array.from({ length: 20 }, () => store.stat(at('data'))))
    expect(bucket.counts.clients).toBe(1)
  })

  it('are looked at again now and then, and others make a new client; the old one is closed when it is idle', async () => {
    const { bucket, store, accepted } = storeOf({ lookMs: 20 })
    const artifact = await store.open(at('data'))
    const steps = artifact.read(0, 7)[Symbol.asyncIterator]()
    await steps.next()
    await sleep(25)
    await store.stat(at('data'))
    expect(bucket.counts).toMatchObject({ clients: 1, closedClients: 0 })
    await writeFile(join(folder, 'key'), 'second')
    accepted.key = 'second'
    await sleep(25)
    await store.stat(at('data'))
    expect(bucket.counts).toMatchObject({ clients: 2, closedClients: 0 })
    for (let step = await steps.next(); step.done !== true; step = await steps.next())
      expect(step.value.length).toBeGreaterThan(0)
    expect(bucket.counts.closedClients).toBe(1)
    await artifact.close()
  })

  it('are joined by the certificates of caFile: others make a new client, and none that cannot be read', async () => {
    const bucket = new MemoryBucket({ chunkBytes: 3 })
    bucket.store('data', 'content')
    const caFile = join(folder, 'ca.pem')
    await writeFile(caFile, '-----BEGIN CERTIFICATE-----\nfirst')
    const times = { lookMs: 10 }
    const store = openObjectStore(bucketDefinition({ caFile }), bucket.connect, { retries: QUICK, times })
    const clientsAfterLook = async () => {
      await sleep(20)
      await store.stat(at('data'))
      await sleep(20)
      return bucket.counts.clients
    }
    expect([await clientsAfterLook(), await clientsAfterLook()]).toEqual([1, 1])
    await writeFile(caFile, '-----BEGIN CERTIFICATE-----\nsecond')
    expect([await clientsAfterLook(), await clientsAfterLook()]).toEqual([2, 2])
    await rm(caFile)
    expect(await clientsAfterLook()).toBe(2)
  })

  it('stay in use while the secret cannot be read', async () => {
    const { store } = storeOf({ lookMs: 0 })
    await store.stat(at('data'))
    await rm(join(folder, 'key'))
    expect(await store.stat(at('data'))).toMatchObject({ size: 7 })
  })

  it('are read at once when the store refuses them, and the request succeeds with the new ones', async () => {
    const { bucket, store, accepted } = storeOf()
    await store.stat(at('data'))
    await writeFile(join(folder, 'key'), 'second')
    accepted.key = 'second'
    expect(await store.stat(at('data'))).toMatchObject({ size: 7 })
    expect(bucket.counts.clients).toBe(2)
  })

  it('are read once for many requests that are refused at once, in the middle of a body too', async () => {
    const { bucket, store, accepted, asked } = storeOf()
    await store.stat(at('data'))
    await writeFile(join(folder, 'key'), 'second')
    accepted.key = 'second'
    await Promise.all(
      Array.from({ length: 30 }, () => withOpen(store, 'data', artifact => readAll(artifact))),
    )
    expect(bucket.counts).toMatchObject({ clients: 2, closedClients: 1 })
    expect(asked.get('first')).toBeLessThanOrEqual(31)
  })

  it('that others have renewed meanwhile are used by a request that is refused later', async () => {
    const { bucket, store, accepted } = storeOf()
    const { onRequest } = bucket.knobs
    await store.stat(at('data'))
    await writeFile(join(folder, 'key'), 'second')
    accepted.key = 'second'
    bucket.store('late', 'content')
    bucket.knobs.onRequest = async (method, key, values) => {
      if (key === 'late' && values['key'] === 'first') await sleep(30)
      await onRequest!(method, key, values)
    }
    const late = store.stat(at('late'))
    await store.stat(at('data'))
    expect(await late).toMatchObject({ size: 7 })
    expect(bucket.counts.clients).toBe(2)
  })

  it('are tried once more for each request, however often they change', async () => {
    const { bucket, store } = storeOf({ lookAfterRefusalMs: 0 })
    let version = 0
    bucket.knobs.onRequest = async () => {
      await writeFile(join(folder, 'key'), `version ${++version}`)
      throw new ObjectFailure('credentials')
    }
    await expect(store.stat(at('data'))).rejects.toMatchObject({ trouble: 'credentials' })
    expect(bucket.counts.head).toBe(2)
  })

  it('that are refused and have not changed fail at once, with the connection and the trouble', async () => {
    const { bucket, store, accepted, asked } = storeOf()
    accepted.key = 'another'
    await expect(store.stat(at('data'))).rejects.toMatchObject({
      kind: 'Unavailable',
      trouble: 'credentials',
      temporary: false,
    })
    expect(asked.get('first')).toBe(1)
    expect(bucket.counts.clients).toBe(1)
  })

  it('that are refused and have not changed make a new client where theirs is old: what the SDK was given for them may be revoked', async () => {
    const { bucket, store } = storeOf({ lookAfterRefusalMs: 0, renewMs: 30 })
    bucket.knobs.onRequest = () => {
      if (bucket.counts.clients < 2) throw new ObjectFailure('credentials')
    }
    await expect(store.stat(at('data'))).rejects.toMatchObject({ trouble: 'credentials' })
    expect(bucket.counts.clients).toBe(1)
    await sleep(35)
    expect(await store.stat(at('data'))).toMatchObject({ size: 7 })
    expect(bucket.counts).toMatchObject({ clients: 2, closedClients: 1 })
  })

  it('that are not refused keep their client, however old it is', async () => {
    const { bucket, store } = storeOf({ lookMs: 0, renewMs: 0 })
    for (let i = 0; i < 3; i++) {
      await store.stat(at('data'))
      await sleep(5)
    }
    expect(bucket.counts.clients).toBe(1)
  })

  it('that cannot be read at all fail the request, and the next one tries again', async () => {
    const { store } = storeOf()
    await rm(join(folder, 'key'))
    await expect(store.stat(at('data'))).rejects.toMatchObject({
      kind: 'Unavailable',
      trouble: 'credentials',
    })
    await writeFile(join(folder, 'key'), 'first')
    expect(await store.stat(at('data'))).toMatchObject({ size: 7 })
  })

  it('of the surroundings are asked for anew when they are refused, but not by a client that is young', async () => {
    const bucket = new MemoryBucket()
    bucket.store('data', 'content')
    let refused = true
    bucket.knobs.onRequest = () => {
      if (refused && bucket.counts.clients < 2) throw new ObjectFailure('credentials')
    }
    const store = openObjectStore(bucketDefinition(), bucket.connect, { times: { renewMs: 30 } })
    await expect(store.stat(at('data'))).rejects.toMatchObject({ trouble: 'credentials' })
    expect(bucket.counts.clients).toBe(1)
    await sleep(35)
    expect(await store.stat(at('data'))).toMatchObject({ size: 7 })
    expect(bucket.counts).toMatchObject({ clients: 2, closedClients: 1 })
    refused = false
  })

  it('are of no use after the store was closed, whose client is closed when the last body ends', async () => {
    const { bucket, store } = storeOf()
    const artifact = await store.open(at('data'))
    const steps = artifact.read(0, 7)[Symbol.asyncIterator]()
    await steps.next()
    await store.close()
    expect(bucket.counts.closedClients).toBe(0)
    await steps.return!()
    expect(bucket.counts.closedClients).toBe(1)
  })

  it('that never come are waited for no longer than patience lasts and the caller wants, with no connection held', async () => {
    const connect: ConnectObjects = () => new Promise<ObjectClient>(() => undefined)
    const definition = bucketDefinition({ maxConnections: 1 })
    const store = openObjectStore(definition, connect, { retries: { budgetMs: 60 } })
    const patient = openObjectStore(definition, connect)
    const controller = new AbortController()
    const aborted = [
      expect(patient.stat(at('data'), { signal: controller.signal })).rejects.toMatchObject({
        kind: 'Aborted',
      }),
      expect(
        patient.direct!(at('data'), true, {
          disposition: '',
          mediaType: '',
          signal: controller.signal,
        }),
      ).rejects.toMatchObject({ kind: 'Aborted' }),
    ]
    controller.abort()
    await Promise.all(aborted)
    for (let i = 0; i < 3; i++)
      await expect(store.stat(at('data'))).rejects.toMatchObject({ kind: 'Unavailable', trouble: 'timeout' })
  })

  it('stay in use, without a wait, while new ones are slow to come', async () => {
    const bucket = new MemoryBucket()
    bucket.store('data', 'content')
    const arrival = Promise.withResolvers<undefined>()
    const connect: ConnectObjects = async options => {
      if (bucket.counts.clients > 0) await arrival.promise
      return bucket.connect(options)
    }
    const files = [{ key: 'key', path: join(folder, 'key') }]
    const store = openObjectStore(
      bucketDefinition({ secret: { label: "the secret 'keys'", values: {}, files } }),
      connect,
      { times: { lookMs: 0 } },
    )
    await store.stat(at('data'))
    await writeFile(join(folder, 'key'), 'second')
    for (let i = 0; i < 3; i++) expect(await store.stat(at('data'))).toMatchObject({ size: 7 })
    expect(bucket.counts.clients).toBe(1)
    arrival.resolve(undefined)
    await expect.poll(() => bucket.counts.closedClients).toBe(1)
    expect(await store.stat(at('data'))).toMatchObject({ size: 7 })
    expect(bucket.counts.clients).toBe(2)
  })
})
