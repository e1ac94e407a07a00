// S3 on real servers: the whole contract bare, with a prefix of keys and behind `prefixed`, and what only S3 has.
import { crc32 } from 'node:zlib'
import {
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  PutObjectCommand,
  UploadPartCommand,
  type PutObjectCommandInput,
} from '@aws-sdk/client-s3'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { S3Definition } from '../../src/store/definition.ts'
import type { ObjectClient, ObjectPage } from '../../src/store/object-client.ts'
import { openObjectStore } from '../../src/store/object-store.ts'
import { prefixed } from '../../src/store/prefixed.ts'
import { s3Objects } from '../../src/store/s3.ts'
import type { ArtifactStore } from '../../src/store/store.ts'
import { makeBucket, minio, moto, s3Definition, s3Server, type Bucket } from '../support/store-s3.ts'
import { at, bytes, listAll, pattern, readAll, withOpen } from './harness.ts'
import { describeStore } from './store-suite.ts'

const PREFIX = 'polyaxon/outputs/'
const RUN = 'owner/project/run1'
const NONE = new AbortController().signal
const TIMEOUTS = { connectMs: 5000, headersMs: 10_000, idleMs: 10_000 }

for (const server of [minio, moto])
  describe.skipIf(!server.available)(server.title, () => {
    const { capabilities } = server
    describeStore('bare', capabilities, () => server.make())
    describeStore('with a prefix', capabilities, () => server.make({ prefix: PREFIX }))
    describeStore('behind prefixed', capabilities, async () => {
      const harness = await server.make()
      // Of an object store a folder is there only as long as something is in it.
      await harness.write(`${RUN}/`, bytes(''))
      await harness.write('owner/project/run10/decoy', bytes('decoy'))
      return {
        ...harness,
        store: prefixed(harness.store, at(RUN)),
        write: (path, content) => harness.write(`${RUN}/${path}`, content),
        remove: path => harness.remove(`${RUN}/${path}`),
      }
    })
  })

/** A fresh bucket for each case, with the driver and the store on it. */
function eachBucket(name: 'minio' | 'moto') {
  let bucket: Bucket
  let objects: ObjectClient
  let store: ArtifactStore
  const define = (changes?: Partial<S3Definition>): S3Definition =>
    s3Definition(s3Server(name)!, bucket.name, changes)
  const connect = (
    changes?: Partial<S3Definition>,
    values: Record<string, string> = {},
  ): Promise<ObjectClient> => {
    const definition = define(changes)
    return s3Objects(definition)({ values: { ...definition.secret!.values, ...values }, timeouts: TIMEOUTS })
  }
  beforeEach(async () => {
    bucket = await makeBucket(s3Server(name)!)
    objects = await connect()
    store = openObjectStore(define(), s3Objects(define()))
  })
  afterEach(async () => {
    objects.close()
    await store.close()
    await bucket.close()
  })
  return {
    connect,
    get bucket() {
      return bucket
    },
    get objects() {
      return objects
    },
    get store() {
      return store
    },
  }
}

async function allPages(
  client: ObjectClient,
  delimiter: '/' | undefined,
  maxKeys: number,
): Promise<{ objects: string[]; prefixes: string[]; pages: number }> {
  const found = { objects: [] as string[], prefixes: [] as string[], pages: 0 }
  let page: ObjectPage | undefined
  do {
    const token = page?.token
    page = await client.list({ prefix: '', delimiter, maxKeys, ...(token !== undefined && { token }) }, NONE)
    found.objects.push(...page.objects.map(({ key }) => key))
    found.prefixes.push(...page.prefixes)
    found.pages++
  } while (page.token !== undefined)
  return found
}

async function put(bucket: Bucket, key: string, input: Partial<PutObjectCommandInput>): Promise<void> {
  await bucket.client.send(new PutObjectCommand({ Bucket: bucket.name, Key: key, ...input }))
}

/** An object of parts of 5 MiB and more, which is what S3 takes. */
async function putInParts(
  bucket: Bucket,
  key: string,
  parts: readonly Uint8Array[],
  checksum: {
    readonly ChecksumAlgorithm?: 'CRC32'
    readonly ChecksumType?: 'COMPOSITE' | 'FULL_OBJECT'
  } = {},
): Promise<void> {
  const target = { Bucket: bucket.name, Key: key }
  const { UploadId } = await bucket.client.send(new CreateMultipartUploadCommand({ ...target, ...checksum }))
  const done = []
  for (const [i, Body] of parts.entries()) {
    const part = await bucket.client.send(
      new UploadPartCommand({
        ...target,
        UploadId,
        PartNumber: i + 1,
        Body,
        ...(checksum.ChecksumAlgorithm && { ChecksumAlgorithm: checksum.ChecksumAlgorithm }),
      }),
    )
    done.push({ PartNumber: i + 1, ETag: part.ETag, ChecksumCRC32: part.ChecksumCRC32 })
  }
  await bucket.client.send(
    new CompleteMultipartUploadCommand({
      ...target,
      UploadId,
      MultipartUpload: { Parts: done },
      ...(checksum.ChecksumType && { ChecksumType: checksum.ChecksumType }),
    }),
  )
}

describe.skipIf(!moto.available)('keys that only S3 itself and Moto can hold (needs TEST_MOTO)', () => {
  const s3 = eachBucket('moto')

  it('shows an object beside the folder of the same name', async () => {
    await s3.bucket.put('a', bytes('file'))
    await s3.bucket.put('a/b', bytes('below'))
    const entries = await listAll(s3.store, '')
    expect(entries.map(({ path, type }) => [path, type])).toEqual([
      ['a', 'file'],
      ['a', 'directory'],
    ])
    expect(String(await withOpen(s3.store, 'a', artifact => readAll(artifact)))).toBe('file')
    expect(String(await withOpen(s3.store, 'a/b', artifact => readAll(artifact)))).toBe('below')
  })

  it('leaves keys out that no path can name, and counts them', async () => {
    for (const key of ['a//b', '../up', './here', '/lead', 'a/../c', 'good'])
      await s3.bucket.put(key, bytes('x'))
    let omitted = 0
    const onOmitted = (artifacts: number): void => void (omitted += artifacts)
    const entries = await listAll(s3.store, '', { recursive: true, onOmitted })
    expect(entries.filter(({ type }) => type === 'file').map(({ path }) => path)).toEqual(['good'])
    expect(omitted).toBe(5)
  })

  it('sends keys as they are: no dot or slash is resolved away on the wire', async () => {
    const keys = ['a//b', '../up', './here', '/lead', 'a/../c', 'a/./d', '//', 'e/']
    for (const [i, key] of keys.entries()) await s3.objects.put(key, bytes('x'.repeat(i + 1)), {}, NONE)
    for (const [i, key] of keys.entries())
      expect(await s3.objects.head(key, NONE)).toMatchObject({ size: i + 1 })
    expect((await allPages(s3.objects, undefined, 3)).objects).toEqual(keys.toSorted())
  })

  it('shows folder markers as folders, also empty ones', async () => {
    await s3.bucket.put('marked/', bytes(''))
    await s3.bucket.put('marked/file', bytes('f'))
    await s3.bucket.put('alone/', bytes(''))
    expect((await listAll(s3.store, '', { recursive: true })).map(({ path, type }) => [path, type])).toEqual([
      ['alone', 'directory'],
      ['marked', 'directory'],
      ['marked/file', 'file'],
    ])
    expect(await s3.store.stat(at('alone'))).toMatchObject({ type: 'directory' })
    expect(await listAll(s3.store, 'alone')).toEqual([])
  })
})

for (const name of ['minio', 'moto'] as const)
  describe.skipIf(s3Server(name) === undefined)(`lists on ${name} (needs TEST_${name.toUpperCase()})`, () => {
    const s3 = eachBucket(name)
    const KEYS = ['+', 'a b', 'a%20b', 'a+b', 'd/1', 'd/2', 'e/\u0001', 'é', '日本/語']

    it.each([
      { version: 2, legacy: 'false' },
      { version: 1, legacy: 'true' },
    ])('are the same by version $version for every page size', async ({ legacy }) => {
      for (const key of KEYS) await s3.bucket.put(key, bytes(key))
      const client = await s3.connect({}, { AWS_LEGACY_API: legacy })
      for (let maxKeys = 1; maxKeys <= KEYS.length + 1; maxKeys++) {
        const flat = await allPages(client, undefined, maxKeys)
        expect(flat.objects).toEqual(KEYS)
        const level = await allPages(client, '/', maxKeys)
        expect(level.objects).toEqual(KEYS.filter(key => !key.includes('/')))
        expect([...new Set(level.prefixes)]).toEqual(['d/', 'e/', '日本/'])
      }
      client.close()
    })

    it.each(['false', 'true'])('start after a key, with AWS_LEGACY_API: %s', async legacy => {
      for (const key of KEYS) await s3.bucket.put(key, bytes(key))
      const client = await s3.connect({}, { AWS_LEGACY_API: legacy })
      const request = { prefix: '', delimiter: undefined, maxKeys: 1000 }
      for (const startAfter of ['a b', 'a%', 'd/1', 'e/\u0001', '\u{10FFFF}']) {
        const page = await client.list({ ...request, startAfter }, NONE)
        expect(page.objects.map(({ key }) => key)).toEqual(KEYS.filter(key => key > startAfter))
      }
      client.close()
    })
  })

describe.skipIf(!minio.available)('objects as S3 keeps them, on MinIO (needs TEST_MINIO)', () => {
  const s3 = eachBucket('minio')

  it('have the same etag and time in lists and heads, in whole seconds', async () => {
    await s3.bucket.put('a', bytes('content'))
    const [listed] = (await s3.objects.list({ prefix: '', delimiter: undefined, maxKeys: 10 }, NONE)).objects
    const { contentEncoding, crc32: _, ...head } = await s3.objects.head('a', NONE)
    expect(head).toEqual(listed)
    expect(contentEncoding).toBeUndefined()
    expect(head.lastModifiedMs % 1000).toBe(0)
    expect(head.etag).toMatch(/^[0-9a-f]{32}$/)
  })

  it('are read whole and by ranges after an upload in parts', async () => {
    const parts = [pattern(5 * 1024 ** 2), pattern(70_001, 9)]
    await putInParts(s3.bucket, 'parts', parts)
    const whole = Buffer.concat(parts)
    const entry = await s3.store.stat(at('parts'))
    expect(entry.etag).toMatch(/^[0-9a-f]{32}-2$/)
    expect(entry.size).toBe(whole.length)
    await withOpen(s3.store, 'parts', async artifact => {
      expect((await readAll(artifact)).equals(whole)).toBe(true)
      const across = await readAll(artifact, parts[0]!.length - 10, parts[0]!.length + 10)
      expect(across.equals(whole.subarray(parts[0]!.length - 10, parts[0]!.length + 10))).toBe(true)
    })
  })

  it('give the CRC-32 of the whole object, and none where only that of its parts is kept', async () => {
    const parts = [pattern(5 * 1024 ** 2), pattern(1000, 3)]
    const whole = Buffer.concat(parts)
    await put(s3.bucket, 'one', { Body: whole, ChecksumAlgorithm: 'CRC32' })
    await put(s3.bucket, 'other', { Body: whole, ChecksumAlgorithm: 'SHA256' })
    await putInParts(s3.bucket, 'full', parts, { ChecksumAlgorithm: 'CRC32', ChecksumType: 'FULL_OBJECT' })
    await putInParts(s3.bucket, 'composite', parts, { ChecksumAlgorithm: 'CRC32', ChecksumType: 'COMPOSITE' })
    const found = await Promise.all(
      ['one', 'other', 'full', 'composite'].map(async key => (await s3.objects.head(key, NONE)).crc32),
    )
    expect(found).toEqual([crc32(whole), undefined, crc32(whole), undefined])
    // The sign bit of both is looked at: a checksum read as a signed number would differ.
    expect(crc32(whole)).toBeGreaterThan(2 ** 31)
  })

  it('tell how they were coded, but not how their upload was', async () => {
    await put(s3.bucket, 'gzip', { Body: bytes('x'), ContentEncoding: 'gzip' })
    await put(s3.bucket, 'chunked', { Body: bytes('x'), ContentEncoding: 'aws-chunked,gzip' })
    await put(s3.bucket, 'identity', { Body: bytes('x'), ContentEncoding: 'identity' })
    const codings = ['gzip', 'chunked', 'identity'].map(
      async key => (await s3.objects.head(key, NONE)).contentEncoding,
    )
    expect(await Promise.all(codings)).toEqual(['gzip', 'gzip', undefined])
  })

  it('are had without the service by a signed URL with the name and type that it gives, for a while', async () => {
    await s3.bucket.put('dir/ä b+c.bin', bytes('signed'))
    const sign = (expiresInSeconds: number) =>
      s3.objects.signedUrl(
        'dir/ä b+c.bin',
        {
          disposition: `attachment; filename*=UTF-8''%C3%A4`,
          mediaType: 'application/x-model',
          expiresInSeconds,
        },
        NONE,
      )
    const answer = await fetch((await sign(60))!)
    expect(answer.status).toBe(200)
    expect(answer.headers.get('content-disposition')).toBe(`attachment; filename*=UTF-8''%C3%A4`)
    expect(answer.headers.get('content-type')).toBe('application/x-model')
    expect(await answer.text()).toBe('signed')
    expect(new URL((await sign(77))!).searchParams.get('X-Amz-Expires')).toBe('77')
  })

  it('are signed for the public endpoint where there is one', async () => {
    const client = await s3.connect({ publicEndpoint: 'https://files.example.org' })
    const request = { disposition: 'inline', mediaType: 'text/plain', expiresInSeconds: 60 }
    const url = new URL((await client.signedUrl('a', request, NONE))!)
    expect(url.origin).toBe('https://files.example.org')
    expect(url.pathname).toBe(`/${s3.bucket.name}/a`)
    client.close()
  })

  it('are removed once, and again without complaint', async () => {
    await s3.objects.put('a', bytes('a'), {}, NONE)
    await s3.objects.remove('a', NONE)
    await s3.objects.remove('a', NONE)
    await expect(s3.objects.head('a', NONE)).rejects.toMatchObject({ reason: 'missing-object' })
  })

  it('are told from a bucket that is missing, also by HEAD, which has no body', async () => {
    await expect(s3.objects.head('a', NONE)).rejects.toMatchObject({ reason: 'missing-object' })
    const client = await s3.connect({ bucket: 'no-such-bucket-anywhere' })
    await expect(client.head('a', NONE)).rejects.toMatchObject({ reason: 'missing' })
    const nothing = { prefix: '', delimiter: undefined, maxKeys: 1 } as const
    await expect(client.list(nothing, NONE)).rejects.toMatchObject({ reason: 'missing' })
    client.close()
  })

  it.each([
    [{ AWS_ACCESS_KEY_ID: 'nobody' }, /key id is unknown/],
    [{ AWS_SECRET_ACCESS_KEY: 'wrong' }, /does not fit/],
    [{ AWS_SESSION_TOKEN: 'of.other.keys' }, /session token is not valid/],
  ])('are refused by their reason for wrong keys, also by HEAD: %o', async (values, advice) => {
    const client = await s3.connect({}, values)
    const refused = { reason: 'credentials', advice: expect.stringMatching(advice) as string }
    await expect(client.head('a', NONE)).rejects.toMatchObject(refused)
    await expect(client.get('a', { start: 0, end: 1, pin: 'x' }, NONE)).rejects.toMatchObject(refused)
    client.close()
  })
})
