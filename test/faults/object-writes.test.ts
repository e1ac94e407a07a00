// Uploads to object stores in trouble: whole and once, or not at all, and nothing left behind.
import { setTimeout as sleep } from 'node:timers/promises'
import { ListMultipartUploadsCommand, S3Client } from '@aws-sdk/client-s3'
import { afterEach, beforeEach, describe, expect, it, onTestFinished } from 'vitest'
import { azureObjects } from '../../src/store/azure.ts'
import type { ObjectStoreDefinition } from '../../src/store/definition.ts'
import { gcsObjects } from '../../src/store/gcs.ts'
import type { ConnectObjects, ObjectTimeouts } from '../../src/store/object-client.ts'
import { openObjectStore } from '../../src/store/object-store.ts'
import { s3Objects } from '../../src/store/s3.ts'
import type { ArtifactStore } from '../../src/store/store.ts'
import { at, bytes, listAll, pattern, readAll, withOpen } from '../contract/harness.ts'
import { contentOf, put } from '../contract/write-cases.ts'
import { refuse, reset, s3Error, ScriptedS3, silence, type Script } from '../support/scripted-s3.ts'
import { fail, ScriptedGcs } from '../support/scripted-gcs.ts'
import { s3Server } from '../support/store-s3.ts'
import { BadNetwork } from '../support/toxiproxy.ts'
import { FAULTY_SERVERS } from './objects-service.ts'

const MIB = 1024 ** 2
const TIMEOUTS: ObjectTimeouts = { connectMs: 500, headersMs: 1000, idleMs: 1000 }

describe('S3 as scripted', () => {
  let s3: ScriptedS3
  let store: ArtifactStore
  beforeEach(async () => {
    s3 = await ScriptedS3.start()
    store = s3.store()
  })
  afterEach(async () => {
    await store.close()
    await s3.close()
  })

  const absent = { precondition: { type: 'absent' } } as const

  /** Lets the service do what it was asked for, and breaks the connection instead of answering. */
  const losing: Script = (request, response, body) => {
    void body.then(() => {
      const unheard = Object.assign(Object.create(response) as typeof response, {
        end: () => response.socket?.resetAndDestroy(),
      })
      s3.serve(request, unheard, body)
    })
  }

  it('takes each part once more that it asks to slow down for, that breaks off or gets no answer', async () => {
    const content = pattern(9 * MIB)
    const pending = await store.create(at('file'))
    await pending.write(content.subarray(0, 8 * MIB))
    s3.next((request, response, body) => s3.serve(request, response, body))
    s3.next(refuse(503, 'SlowDown'), reset, refuse(400, 'RequestTimeout'))
    await pending.write(content.subarray(8 * MIB))
    await pending.complete()
    expect(content.equals(s3.content('file')!)).toBe(true)
    expect(s3.writes.uploads.size).toBe(0)
    expect(s3.methods().filter(method => method === 'PUT')).toHaveLength(5)
  })

  it('whose answer to a put was lost has done it, with the precondition that nothing was there', async () => {
    const pending = await store.create(at('file'), absent)
    await pending.write(bytes('content'))
    s3.next(losing)
    const entry = await pending.complete()
    expect(entry).toEqual(await store.stat(at('file')))
    expect(s3.methods().filter(method => method === 'PUT')).toHaveLength(2)
  })

  it('whose answer to the completion was lost has done it, and knows the upload no longer', async () => {
    const content = pattern(9 * MIB)
    const pending = await store.create(at('file'), absent)
    await pending.write(content)
    const pass: Script = (request, response, body) => s3.serve(request, response, body)
    s3.next(pass, losing)
    const entry = await pending.complete()
    await pending.abort()
    expect(entry.size).toBe(content.length)
    expect(content.equals(s3.content('file')!)).toBe(true)
  })

  it('that answers 200 and an error in it to the completion is asked again', async () => {
    const pending = await store.create(at('file'))
    await pending.write(pattern(9 * MIB))
    const pass: Script = (request, response, body) => s3.serve(request, response, body)
    const errorInside: Script = (_, response) =>
      void response
        .writeHead(200, { 'content-type': 'application/xml' })
        .end('<Error><Code>InternalError</Code></Error>')
    s3.next(pass, errorInside)
    expect((await pending.complete()).size).toBe(9 * MIB)
  })

  it('that has a concurrent change (409) is asked again', async () => {
    s3.next(refuse(409, 'ConditionalRequestConflict'))
    const pending = await store.create(at('file'))
    await pending.write(bytes('x'))
    await pending.complete()
    expect(await contentOf(store, 'file')).toBe('x')
  })

  it('says Changed of somebody else’s content, whatever answer was lost', async () => {
    const pending = await store.create(at('file'), absent)
    await pending.write(bytes('ours'))
    s3.next((_, response) => {
      s3.put('file', 'theirs')
      response.socket?.resetAndDestroy()
    })
    await expect(pending.complete()).rejects.toMatchObject({ kind: 'Changed' })
    await pending.abort()
    expect(String(s3.content('file'))).toBe('theirs')
  })

  it('that forgets an upload says that it must be sent again, and has nothing of it', async () => {
    const pending = await store.create(at('file'))
    await pending.write(pattern(9 * MIB))
    s3.writes.uploads.clear()
    await expect(pending.complete()).rejects.toMatchObject({
      kind: 'Unavailable',
      message: expect.stringContaining('must be sent again') as string,
    })
    await pending.abort()
    expect(s3.content('file')).toBeUndefined()
  })

  it('that does not let the keys write says so, and which rights they need', async () => {
    s3.next(refuse(403, 'AccessDenied'))
    await expect(put(store, 'file', bytes('x'))).rejects.toMatchObject({
      kind: 'Unavailable',
      trouble: 'denied',
      message: expect.stringMatching(/may not write there: they need s3:PutObject/) as string,
    })
    s3.put('file', 'x')
    await store.stat(at('file'))
    s3.next((request, response, body) => s3.serve(request, response, body), refuse(403, 'AccessDenied'))
    await expect(store.remove(at('file'))).rejects.toMatchObject({ trouble: 'denied' })
  })

  it('whose object is removed while it is copied says that it is not there', async () => {
    s3.put('from', 'content')
    await store.stat(at('from'))
    const pass: Script = (request, response, body) => s3.serve(request, response, body)
    for (const scripts of [
      [pass, refuse(404, 'NoSuchKey')],
      [pass, pass, refuse(404, 'NoSuchKey')],
    ]) {
      s3.next(...scripts)
      await expect(store.copy!(at('from'), at('to'))).rejects.toMatchObject({
        kind: 'NotFound',
        path: 'from',
      })
    }
  })

  it.each([
    ['QuotaExceeded', 507, 'NoSpace'],
    ['XMinioStorageFull', 507, 'NoSpace'],
    ['EntityTooLarge', 400, 'TooLarge'],
    ['KeyTooLongError', 400, 'InvalidPath'],
    ['XMinioParentIsObject', 400, 'NotDirectory'],
    ['XMinioObjectExistsAsDirectory', 409, 'IsDirectory'],
  ])('that answers %s says %s', async (code, status, kind) => {
    s3.next(refuse(status, code))
    await expect(put(store, 'file', bytes('x'))).rejects.toMatchObject({ kind, path: 'file' })
  })

  it('that refuses checksums in headers is written to without them from then on', async () => {
    const withoutChecksums: Script = (request, response, body) => {
      if (request.headers['x-amz-checksum-crc32'] === undefined) s3.serve(request, response, body)
      else s3Error(request, response)(400, 'InvalidArgument')
    }
    s3.next(withoutChecksums, withoutChecksums)
    await put(store, 'a', bytes('a'))
    s3.next((request, response, body) => s3.serve(request, response, body), withoutChecksums)
    await put(store, 'b', bytes('b'))
    expect(String(s3.content('b'))).toBe('b')
    const puts = s3.requests.filter(({ method }) => method === 'PUT')
    expect(puts.map(({ headers }) => headers['x-amz-checksum-crc32'] !== undefined)).toEqual([
      true,
      false,
      false,
    ])
  })

  it('that does not know batches of removals is asked for each object', async () => {
    for (const key of ['run/a', 'run/b']) s3.put(key, 'x')
    await store.stat(at('run/a'))
    const pass: Script = (request, response, body) => s3.serve(request, response, body)
    // A look at the place of the folder, the list of what is in it, and the batch.
    s3.next(pass, pass, refuse(501, 'NotImplemented'))
    expect(await store.removeAll(at('run'))).toEqual({ removed: 2, failures: [] })
    expect(s3.content('run/a')).toBeUndefined()
  })

  it('that answers nothing to a write ends it in time, and abort frees the connection', async () => {
    const definition = s3.definition()
    const quick: ConnectObjects = options => s3Objects(definition)({ ...options, timeouts: TIMEOUTS })
    const impatient = openObjectStore(definition, quick, { retries: { budgetMs: 3000 } })
    onTestFinished(() => impatient.close())
    s3.next(silence, silence, silence, silence)
    const pending = await impatient.create(at('file'))
    await pending.write(bytes('x'))
    const startedMs = performance.now()
    await expect(pending.complete()).rejects.toMatchObject({ kind: 'Unavailable', trouble: 'timeout' })
    expect(performance.now() - startedMs).toBeLessThan(6000)
    await pending.abort()
    await s3.socketsDownTo(1)
  })
})

describe('Cloud Storage as scripted', () => {
  async function scripted() {
    const gcs = await ScriptedGcs.start()
    const store = gcs.store()
    onTestFinished(async () => {
      await store.close()
      await gcs.close()
    })
    return { gcs, store }
  }

  it('gets what it has not kept of a part, from where it has kept it', async () => {
    const { gcs, store } = await scripted()
    gcs.uploads.keepsAtMost = 3 * MIB
    const content = pattern(18 * MIB)
    await put(store, 'file', content)
    expect(content.equals(gcs.object('file')!.content)).toBe(true)
  })

  it('whose answer to a part, and to the last one, was lost is asked again without harm', async () => {
    const { gcs, store } = await scripted()
    const content = pattern(18 * MIB)
    let puts = 0
    gcs.script((request, response) => {
      if (request.method !== 'PUT') return false
      // Served by the second script, and then nobody hears of it.
      if (++puts % 2 === 1) response.end = () => response.socket!.resetAndDestroy() as never
      return false
    })
    const entry = await put(store, 'file', content, { precondition: { type: 'absent' } })
    expect(entry).toEqual(await store.stat(at('file')))
    expect(content.equals(gcs.object('file')!.content)).toBe(true)
    expect(puts).toBe(6)
  })

  it('refuses content that was damaged on its way, and gets it again', async () => {
    const { gcs, store } = await scripted()
    gcs.once((request, response) => {
      if (request.url.searchParams.get('uploadType') !== 'multipart') return false
      fail(request, response, 400, 'invalid', 'Provided MD5 hash "x" does not match calculated MD5 hash "y".')
      return true
    })
    await put(store, 'file', bytes('content'))
    expect(await contentOf(store, 'file')).toBe('content')
  })

  it('forgets the session of an upload that was given up', async () => {
    const { gcs, store } = await scripted()
    const pending = await store.create(at('file'))
    await pending.write(pattern(18 * MIB))
    expect(gcs.uploads.sessions.size).toBe(1)
    await pending.abort()
    expect(gcs.uploads.sessions.size).toBe(0)
  })

  it('keeps the condition of an upload for its end', async () => {
    const { gcs, store } = await scripted()
    const pending = await store.create(at('file'), { precondition: { type: 'absent' } })
    await pending.write(pattern(18 * MIB))
    gcs.write('file', Buffer.from('theirs'))
    await expect(pending.complete()).rejects.toMatchObject({ kind: 'Changed', path: 'file' })
    await pending.abort()
    expect(await contentOf(store, 'file')).toBe('theirs')
  })
})

const CONNECT: Readonly<Record<ObjectStoreDefinition['kind'], (definition: never) => ConnectObjects>> = {
  s3: s3Objects,
  gcs: gcsObjects,
  azure: azureObjects,
}

describe.each(FAULTY_SERVERS.map(server => [server.title, server] as const))('%s', (_title, server) => {
  describe.skipIf(!server.available)('behind a bad network', () => {
    async function faulty() {
      const bucket = await server.makeBucket()
      const { endpoint } = bucket.definition
      const network = await BadNetwork.before(endpoint!)
      const { pathname } = new URL(endpoint!)
      const definition = {
        ...bucket.definition,
        endpoint: `${network.endpoint}${pathname === '/' ? '' : pathname}`,
      }
      const connect = CONNECT[definition.kind](definition as never)
      const store = openObjectStore(definition, options => connect({ ...options, timeouts: TIMEOUTS }), {
        retries: { budgetMs: 4000 },
      })
      onTestFinished(async () => {
        await store.close()
        await network.remove()
        await bucket.close()
      })
      return { store, network, definition }
    }

    it('takes an upload whose connections break in the middle of its parts, as a whole', async () => {
      const { store, network } = await faulty()
      const content = pattern(20 * MIB)
      const pending = await store.create(at('file'), { size: content.length })
      await pending.write(content.subarray(0, 9 * MIB))
      const takeAway = await network.add({
        type: 'limit_data',
        stream: 'upstream',
        attributes: { bytes: 3 * MIB },
      })
      setTimeout(() => void takeAway(), 700)
      await pending.write(content.subarray(9 * MIB))
      const entry = await pending.complete()
      expect(entry).toEqual(await store.stat(at('file')))
      expect((await withOpen(store, 'file', artifact => readAll(artifact))).equals(content)).toBe(true)
    })

    it('has nothing of an upload in whose middle it went away, and abort ends in time', async () => {
      const { store, network } = await faulty()
      const pending = await store.create(at('large'))
      await pending.write(pattern(12 * MIB))
      await network.goAway()
      const startedMs = performance.now()
      const going = async (): Promise<void> => {
        for (let i = 0; i < 8; i++) await pending.write(pattern(4 * MIB))
        await pending.complete()
      }
      await expect(going()).rejects.toMatchObject({ kind: 'Unavailable', path: 'large' })
      await pending.abort()
      expect(performance.now() - startedMs).toBeLessThan(120_000)
      await network.comeBack()
      await sleep(100)
      expect(await listAll(store, '')).toEqual([])
      await put(store, 'large', bytes('now'))
      expect(await contentOf(store, 'large')).toBe('now')
    }, 180_000)

    it('keeps no parts of an upload that was aborted with parts in flight', async () => {
      const { store, network, definition } = await faulty()
      const pending = await store.create(at('large'))
      await pending.write(pattern(12 * MIB))
      await network.add({ type: 'bandwidth', stream: 'upstream', attributes: { rate: 2000 } })
      await pending.write(pattern(12 * MIB))
      await pending.abort()
      expect(await listAll(store, '')).toEqual([])
      if (definition.kind === 's3') expect(await unfinished(definition.bucket, 'large')).toEqual([])
    })
  })
})

/** Ids of uploads to `key` that the server keeps; MinIO lists them only by the whole key. */
async function unfinished(bucket: string, key: string): Promise<unknown[]> {
  const { endpoint, accessKeyId, secretAccessKey } = s3Server('minio')!
  const client = new S3Client({
    endpoint,
    region: 'us-east-1',
    forcePathStyle: true,
    credentials: { accessKeyId, secretAccessKey },
  })
  const { Uploads = [] } = await client.send(new ListMultipartUploadsCommand({ Bucket: bucket, Prefix: key }))
  client.destroy()
  return Uploads
}
