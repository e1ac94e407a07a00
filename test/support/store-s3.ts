// S3 on the servers that the environment names: fresh buckets, the store under test on them, and a plain client of the test's own.
import { randomUUID } from 'node:crypto'
import {
  CreateBucketCommand,
  DeleteBucketCommand,
  DeleteObjectCommand,
  DeleteObjectsCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  S3Client,
} from '@aws-sdk/client-s3'
import type { S3Definition } from '../../src/store/definition.ts'
import { openObjectStore } from '../../src/store/object-store.ts'
import { s3Objects } from '../../src/store/s3.ts'
import type { Harness } from '../contract/harness.ts'
import { serverSettings, type StoreUnderTest } from './servers.ts'

export interface S3Server {
  readonly endpoint: string
  readonly accessKeyId: string
  readonly secretAccessKey: string
}

export const CAPABILITIES = {
  emptyDirectories: false,
  modes: false,
  links: false,
  changesInPlace: false,
  latency: 'network',
} as const

/** Names that a server cannot hold, with what it does instead. */
const UNSUPPORTED: Readonly<Record<'minio' | 'moto', ReadonlyMap<string, string>>> = {
  minio: new Map(),
  moto: new Map([
    ['new\nline', 'its router matches keys by a pattern in which a dot is no newline: 404 in HTML'],
  ]),
}

export function s3Server(name: 'minio' | 'moto'): S3Server | undefined {
  const settings = serverSettings(name)
  if (settings?.['endpoint'] === undefined) return undefined
  // Moto looks at no keys, but wants some.
  const { endpoint, access_key: accessKeyId = 'any', secret_key: secretAccessKey = 'any' } = settings
  return { endpoint, accessKeyId, secretAccessKey }
}

/** A definition of `bucket` on `server`, as configuration would make it. */
export function s3Definition(
  { endpoint, accessKeyId, secretAccessKey }: S3Server,
  bucket: string,
  changes: Partial<S3Definition> = {},
): S3Definition {
  return {
    kind: 's3',
    name: 'data',
    readOnly: false,
    delivery: 'proxy',
    bucket,
    prefix: '',
    secret: {
      label: 'the secret of the test',
      values: { AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secretAccessKey },
      files: [],
    },
    endpoint,
    maxConnections: 32,
    signedUrlSeconds: 300,
    requesterPays: false,
    ...changes,
  }
}

export interface Bucket {
  readonly name: string
  readonly client: S3Client
  put(key: string, content: Uint8Array): Promise<void>
  /** Removes the object, and everything below it. */
  removeAll(prefix: string): Promise<void>
  /** Removes the bucket with all that is in it. */
  close(): Promise<void>
}

const CONTROL = /[\0-\x1f]/

/** A fresh bucket and a client that is not the one under test. */
export async function makeBucket({ endpoint, accessKeyId, secretAccessKey }: S3Server): Promise<Bucket> {
  const client = new S3Client({
    endpoint,
    region: 'us-east-1',
    forcePathStyle: true,
    credentials: { accessKeyId, secretAccessKey },
  })
  const name = `s3-${randomUUID()}`
  await client.send(new CreateBucketCommand({ Bucket: name }))
  const remove = async (key: string): Promise<void> => {
    await client.send(new DeleteObjectCommand({ Bucket: name, Key: key }))
  }
  const removeBelow = async (prefix: string): Promise<void> => {
    for (;;) {
      const page = await client.send(
        new ListObjectsV2Command({ Bucket: name, Prefix: prefix, EncodingType: 'url', MaxKeys: 1000 }),
      )
      const keys = (page.Contents ?? []).map(({ Key }) => decodeURIComponent(Key!.replaceAll('+', ' ')))
      if (keys.length === 0) return
      // XML 1.0 can carry neither control characters nor, as a reader sees it, a carriage return.
      const [plain, odd] = [keys.filter(key => !CONTROL.test(key)), keys.filter(key => CONTROL.test(key))]
      for (const key of odd) await remove(key)
      if (plain.length === 0) continue
      const Objects = plain.map(Key => ({ Key }))
      await client.send(new DeleteObjectsCommand({ Bucket: name, Delete: { Objects, Quiet: true } }))
    }
  }
  return {
    name,
    client,
    put: async (key, content) => {
      await client.send(new PutObjectCommand({ Bucket: name, Key: key, Body: content }))
    },
    removeAll: async prefix => {
      await remove(prefix)
      await removeBelow(`${prefix}/`)
    },
    close: async () => {
      await removeBelow('')
      await client.send(new DeleteBucketCommand({ Bucket: name }))
      client.destroy()
    },
  }
}

async function makeHarness(
  name: 'minio' | 'moto',
  prefix: string,
  delivery: 'proxy' | 'redirect',
): Promise<Harness> {
  const server = s3Server(name)!
  const bucket = await makeBucket(server)
  if (prefix !== '') await writeDecoys(bucket, prefix)
  const definition = s3Definition(server, bucket.name, { prefix, delivery })
  const store = openObjectStore(definition, s3Objects(definition))
  return {
    store,
    keepsTimes: false,
    unsupportedNames: UNSUPPORTED[name],
    write: (path, content) => bucket.put(prefix + path, content),
    remove: path => bucket.removeAll(prefix + path),
    close: async () => {
      await store.close()
      await bucket.close()
    },
  }
}

/** What begins like the prefix and is not below it. */
async function writeDecoys(bucket: Bucket, prefix: string): Promise<void> {
  const bare = prefix.replace(/\/$/, '')
  for (const key of [`${bare}0/decoy`, `${bare}.txt`, 'decoy']) await bucket.put(key, Buffer.from('decoy'))
}

function storeUnderTest(
  name: 'minio' | 'moto',
  title: string,
  delivery: 'proxy' | 'redirect' = 'proxy',
): StoreUnderTest {
  return {
    title: `${title} (needs TEST_${name.toUpperCase()})`,
    available: s3Server(name) !== undefined,
    capabilities: CAPABILITIES,
    make: ({ prefix = '' } = {}) => makeHarness(name, prefix, delivery),
  }
}

export const minio = storeUnderTest('minio', 'S3 on MinIO')
export const moto = storeUnderTest('moto', 'S3 on Moto')
/** Clients get addresses of the servers themselves. */
export const redirectingMinio = storeUnderTest('minio', 'S3 on MinIO by redirects', 'redirect')
export const redirectingMoto = storeUnderTest('moto', 'S3 on Moto by redirects', 'redirect')
