// What the drivers' changes come to on real servers, without the layer above: conditions in one step with the change, parts, copies, batches, and what is left unfinished.
import { crc32 } from 'node:zlib'
import { describe, expect, it, onTestFinished } from 'vitest'
import { azureObjects } from '../../src/store/azure.ts'
import { gcsObjects } from '../../src/store/gcs.ts'
import type { ObjectClient, Upload } from '../../src/store/object-client.ts'
import { openObjectStore } from '../../src/store/object-store.ts'
import { s3Objects } from '../../src/store/s3.ts'
import { serverSettings } from '../support/servers.ts'
import { azurite, azuriteAccess, makeAzurite } from '../support/store-azure.ts'
import { fakeGcs, makeFakeGcs } from '../support/store-gcs.ts'
import { makeBucket, minio, moto, s3Definition, s3Server } from '../support/store-s3.ts'
import { at, bytes, pattern, withOpen } from './harness.ts'
import { put } from './write-cases.ts'

const NEVER = new AbortController().signal
const TIMEOUTS = { connectMs: 5000, headersMs: 10_000, idleMs: 10_000 }
const MIB = 1024 ** 2

/** What a server does not do, tried on it; then a look just before the change is all that there is. */
type Lack = 'condition of complete' | 'condition of remove' | 'condition of copy' | 'copyPart' | 'uploads'

interface Driver {
  readonly title: string
  readonly available: boolean
  readonly lacks: Readonly<Partial<Record<Lack, string>>>
  readonly connect: () => Promise<ObjectClient>
}

const s3 = (name: 'minio' | 'moto', lacks: Driver['lacks']): Driver => ({
  title: (name === 'minio' ? minio : moto).title,
  available: s3Server(name) !== undefined,
  lacks,
  async connect() {
    const bucket = await makeBucket(s3Server(name)!)
    const definition = s3Definition(s3Server(name)!, bucket.name)
    const client = await s3Objects(definition)({ values: definition.secret!.values, timeouts: TIMEOUTS })
    onTestFinished(async () => {
      client.close()
      await bucket.close()
    })
    return client
  },
})

const DRIVERS: readonly Driver[] = [
  s3('minio', {
    'condition of remove': 'If-Match of DeleteObject is ignored, and what is there removed',
    'condition of copy': 'If-Match of CopyObject is ignored',
    uploads: 'are listed only where the prefix is the whole key',
  }),
  s3('moto', {
    'condition of complete': 'If-Match of CompleteMultipartUpload is ignored',
    'condition of copy': 'If-Match of CopyObject is ignored',
  }),
  {
    title: fakeGcs.title,
    available: fakeGcs.available,
    lacks: {
      'condition of remove': 'ifGenerationMatch of objects.delete is ignored',
      'condition of copy': 'ifGenerationMatch of objects.rewrite is ignored',
      copyPart: 'is not needed: one rewrite takes everything',
      uploads: 'cannot be listed',
    },
    async connect() {
      const harness = await makeFakeGcs(serverSettings('gcs')!['endpoint']!)
      const client = await gcsObjects(harness.definition)({ values: {}, timeouts: TIMEOUTS })
      onTestFinished(async () => {
        client.close()
        await harness.close()
      })
      return client
    },
  },
  {
    title: azurite.title,
    available: azurite.available,
    lacks: { copyPart: 'Put Block From URL is not implemented', uploads: 'cannot be listed' },
    async connect() {
      const harness = await makeAzurite()
      const { account, key } = azuriteAccess()
      const values = { AZURE_STORAGE_ACCOUNT_NAME: account, AZURE_STORAGE_ACCOUNT_KEY: key }
      const client = await azureObjects(harness.definition)({ values, timeouts: TIMEOUTS })
      onTestFinished(async () => {
        client.close()
        await harness.close()
      })
      return client
    },
  },
]

async function begun(client: ObjectClient, key: string, parts: readonly Uint8Array[], request = {}) {
  const upload = await client.begin(key, request, NEVER)
  const receipts: string[] = []
  let start = 0
  for (const [i, part] of parts.entries()) {
    const isLast = i === parts.length - 1
    // Where parts come in order the last one is for `finish`.
    if (client.partRules.inOrder && isLast) break
    receipts.push(await client.part(upload, part, { number: i + 1, start, isLast }, NEVER))
    start += part.length
  }
  const finish = async (condition?: Parameters<ObjectClient['complete']>[2]['condition']) => {
    const last = { number: parts.length, start, isLast: true }
    if (client.partRules.inOrder) receipts.push(await client.part(upload, parts.at(-1)!, last, NEVER))
    return client.complete(upload, receipts, { ...request, condition }, NEVER)
  }
  return { upload, finish }
}

async function contentOf(client: ObjectClient, key: string): Promise<Buffer> {
  const { size, etag } = await client.head(key, NEVER)
  const chunks: Uint8Array[] = []
  for await (const chunk of await client.get(key, { start: 0, end: size, pin: etag }, NEVER))
    chunks.push(Buffer.from(chunk))
  return Buffer.concat(chunks)
}

const PARTS = [pattern(8 * MIB), pattern(8 * MIB, 1), pattern(99, 2)]

describe.each(DRIVERS.map(driver => [driver.title, driver] as const))(
  '%s',
  (_title, { available, lacks, connect }) => {
    describe.skipIf(!available)('changed by its driver', () => {
      const changed = { reason: 'changed' }
      const absent = { type: 'absent' } as const

      it('keeps the conditions of a put', async () => {
        const client = await connect()
        const first = await client.put('a', bytes('first'), { condition: absent }, NEVER)
        await expect(client.put('a', bytes('x'), { condition: absent }, NEVER)).rejects.toMatchObject(changed)
        const other = await client.put('other', bytes('other'), {}, NEVER)
        for (const [key, { etag }] of [
          ['a', other],
          ['missing', first],
        ] as const)
          await expect(
            client.put(key, bytes('x'), { condition: { type: 'etag', etag } }, NEVER),
          ).rejects.toMatchObject(changed)
        await client.put('a', bytes('second'), { condition: { type: 'etag', etag: first.etag } }, NEVER)
        expect(String(await contentOf(client, 'a'))).toBe('second')
      })

      it('tells what a write came to, and who wrote it', async () => {
        const client = await connect()
        const written = await client.put('a', bytes('first'), { writeId: 'id-1' }, NEVER)
        const head = await client.head('a', NEVER)
        expect(head).toMatchObject({ etag: written.etag, writeId: 'id-1' })
        expect(written.lastModifiedMs ?? head.lastModifiedMs).toBe(head.lastModifiedMs)
        const { finish } = await begun(client, 'b', PARTS, { writeId: 'id-2' })
        expect(await client.head('b', NEVER).catch(() => undefined)).toBeUndefined()
        const large = await finish()
        expect(await client.head('b', NEVER)).toMatchObject({ etag: large.etag, writeId: 'id-2' })
        expect((await contentOf(client, 'b')).equals(Buffer.concat(PARTS))).toBe(true)
      })

      it('keeps the conditions of an upload in parts at its end', async () => {
        const client = await connect()
        const { finish } = await begun(client, 'a', PARTS, { condition: absent })
        const between = await client.put('a', bytes('between'), {}, NEVER)
        await expect(finish(absent)).rejects.toMatchObject(changed)
        expect(String(await contentOf(client, 'a'))).toBe('between')
        const condition = { type: 'etag', etag: between.etag } as const
        const second = await begun(client, 'a', PARTS, { condition })
        await client.put('a', bytes('again'), {}, NEVER)
        const outcome = await second.finish(condition).then(
          () => 'done',
          (error: unknown) => (error as { reason: string }).reason,
        )
        // Azure's own failure is that a write takes away what is staged for the same blob.
        if (lacks['condition of complete'] === undefined)
          expect(['changed', 'missing-upload']).toContain(outcome)
        else expect(outcome).toBe('done')
      })

      it('has nothing of an upload that is cancelled, also twice', async () => {
        const client = await connect()
        const { upload } = await begun(client, 'a', PARTS)
        await client.cancel(upload, NEVER)
        await client.cancel(upload, NEVER)
        await expect(client.head('a', NEVER)).rejects.toMatchObject({ reason: 'missing-object' })
        if (client.uploads !== undefined)
          expect((await client.uploads('a', undefined, NEVER)).uploads).toEqual([])
      })

      it('keeps the condition of a removal, or is known not to', async () => {
        const client = await connect()
        const first = await client.put('a', bytes('first'), {}, NEVER)
        await client.put('a', bytes('second'), {}, NEVER)
        const removal = client.remove('a', NEVER, first.etag)
        if (lacks['condition of remove'] === undefined) await expect(removal).rejects.toMatchObject(changed)
        else await removal
        const isThere = await client.head('a', NEVER).then(
          () => true,
          () => false,
        )
        expect(isThere).toBe(lacks['condition of remove'] === undefined)
      })

      it('copies by one request, of one content and with its properties, and keeps the condition or is known not to', async () => {
        const client = await connect()
        const source = await client.put('dir/from +%ä', bytes('content'), { writeId: 'old' }, NEVER)
        const { copies } = client
        const from = { key: 'dir/from +%ä', etag: source.etag }
        const request = { writeId: 'new', like: from.key }
        const copied = await copies.copy(from, 'to', request, NEVER)
        expect(await client.head('to', NEVER)).toMatchObject({ etag: copied.etag, writeId: 'new', size: 7 })
        expect(String(await contentOf(client, 'to'))).toBe('content')
        const second = await client.put(from.key, bytes('other content'), {}, NEVER)
        await client.put('to', bytes('theirs'), {}, NEVER)
        const condition = { type: 'etag', etag: second.etag } as const
        const copy = copies.copy({ ...from, etag: second.etag }, 'to', { ...request, condition }, NEVER)
        if (lacks['condition of copy'] === undefined) await expect(copy).rejects.toMatchObject(changed)
        else await copy
      })

      it.skipIf(lacks.copyPart !== undefined)('copies by parts', async () => {
        const client = await connect()
        const { finish } = await begun(client, 'from', PARTS)
        const { etag } = await finish()
        const request = { like: 'from' }
        const upload: Upload = await client.begin('to', request, NEVER)
        const size = 16 * MIB + 99
        const receipts: string[] = []
        for (let start = 0, number = 1; start < size; start += 6 * MIB, number++) {
          const end = Math.min(size, start + 6 * MIB)
          receipts.push(
            await client.copies.copyPart!({ key: 'from', etag, start, end }, upload, number, NEVER),
          )
        }
        await client.complete(upload, receipts, request, NEVER)
        expect((await contentOf(client, 'to')).equals(Buffer.concat(PARTS))).toBe(true)
      })

      it('removes many, whatever their names, and does not mind what is not there', async () => {
        const client = await connect()
        const keys = ['a', 'a&b<c>', 'ü/日本', 'q"\'', 'x y+z', 'never there']
        for (const key of keys.slice(0, -1)) await client.put(key, bytes('x'), {}, NEVER)
        if (client.removeMany === undefined) for (const key of keys) await client.remove(key, NEVER)
        else expect(await client.removeMany(keys, NEVER)).toEqual([])
        expect((await client.list({ prefix: '', delimiter: undefined, maxKeys: 10 }, NEVER)).objects).toEqual(
          [],
        )
      })

      it('lists what is unfinished with the time of its last part, or is known not to', async () => {
        const client = await connect()
        await begun(client, 'folder/a', PARTS)
        await begun(client, 'other', PARTS)
        if (client.uploads === undefined) {
          expect(lacks.uploads).toBeDefined()
          return
        }
        const { uploads } = await client.uploads('folder/', undefined, NEVER)
        expect(uploads.map(({ key }) => key)).toEqual(lacks.uploads === undefined ? ['folder/a'] : [])
        const [upload] = (await client.uploads('folder/a', undefined, NEVER)).uploads
        const sentAtMs = await client.lastSentAtMs!(upload!, NEVER)
        expect(Math.abs(sentAtMs! - Date.now())).toBeLessThan(60_000)
        await client.cancel(upload!, NEVER)
        expect(await client.lastSentAtMs!(upload!, NEVER)).toBeUndefined()
      })
    })
  },
)

describe.skipIf(!minio.available)('what is uploaded to MinIO (needs TEST_MINIO)', () => {
  it('has a checksum of the whole, by one put and by parts, so that a zip need not read it twice', async () => {
    const bucket = await makeBucket(s3Server('minio')!)
    const definition = s3Definition(s3Server('minio')!, bucket.name)
    const store = openObjectStore(definition, s3Objects(definition))
    onTestFinished(async () => {
      await store.close()
      await bucket.close()
    })
    for (const content of [pattern(1000), Buffer.concat(PARTS)]) {
      await put(store, 'file', content)
      expect(await withOpen(store, 'file', artifact => artifact.storedCrc32!())).toBe(crc32(content))
      await store.copy!(at('file'), at('copy'))
      expect(await withOpen(store, 'copy', artifact => artifact.storedCrc32!())).toBe(crc32(content))
    }
  })
})
