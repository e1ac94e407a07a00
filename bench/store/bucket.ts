// The same run in a bucket of its own, on the MinIO that the environment names.
import { randomBytes } from 'node:crypto'
import { createReadStream, statSync } from 'node:fs'
import { join } from 'node:path'
import {
  CreateBucketCommand,
  DeleteBucketCommand,
  DeleteObjectsCommand,
  PutBucketPolicyCommand,
  PutObjectCommand,
  S3Client,
} from '@aws-sdk/client-s3'
import { serverSettings } from '../../test/support/servers.ts'

/** A server on this machine that speaks S3. */
export interface StoreServer {
  readonly endpoint: string
  readonly port: number
  readonly region: string
  readonly accessKey: string
  readonly secretKey: string
  /** Undefined where it is not a process that can be seen from here, as in a container. */
  readonly pid: number | undefined
}

export interface Bucket extends AsyncDisposable {
  readonly server: StoreServer
  readonly name: string
}

const UPLOADS_AT_ONCE = 16
/** The most that DeleteObjects takes. */
const DELETE_AT_ONCE = 1000
const LOOPBACK = ['127.0.0.1', 'localhost']

/** Undefined unless TEST_MINIO names a server that answers on the loopback interface, as everything here does. */
export function storeServer(): StoreServer | undefined {
  const settings = serverSettings('minio')
  if (settings === undefined) return undefined
  const { endpoint, region, access_key: accessKey, secret_key: secretKey, pid } = settings
  if (endpoint === undefined || accessKey === undefined || secretKey === undefined)
    throw new Error('TEST_MINIO must have endpoint=, access_key= and secret_key=')
  const { protocol, hostname, port } = new URL(endpoint)
  if (protocol !== 'http:' || !LOOPBACK.includes(hostname)) return undefined
  return {
    endpoint,
    port: Number(port || 80),
    region: region ?? 'us-east-1',
    accessKey,
    secretKey,
    pid: pid === undefined ? undefined : Number(pid),
  }
}

/** Copies the files `keys`, relative to `root`, into a new bucket that everybody may read. Disposing of the bucket removes it with all that is in it. */
export async function fillBucket(
  server: StoreServer,
  root: string,
  keys: readonly string[],
  signal: AbortSignal,
): Promise<Bucket> {
  const client = new S3Client({
    endpoint: server.endpoint,
    region: server.region,
    forcePathStyle: true,
    credentials: { accessKeyId: server.accessKey, secretAccessKey: server.secretKey },
  })
  const name = `outputs-bench-${randomBytes(6).toString('hex')}`
  await client.send(new CreateBucketCommand({ Bucket: name }))
  const bucket = { server, name, [Symbol.asyncDispose]: () => remove(client, name, keys) }
  try {
    await client.send(new PutBucketPolicyCommand({ Bucket: name, Policy: readableByAll(name) }))
    await upload(client, name, root, keys, signal)
  } catch (error) {
    await bucket[Symbol.asyncDispose]()
    throw error
  }
  return bucket
}

function readableByAll(bucket: string): string {
  const statement = {
    Effect: 'Allow',
    Principal: { AWS: ['*'] },
    Action: ['s3:GetObject'],
    Resource: [`arn:aws:s3:::${bucket}/*`],
  }
  return JSON.stringify({ Version: '2012-10-17', Statement: [statement] })
}

/** Ends with all uploads, also when one fails: none may come after the bucket is removed. */
async function upload(
  client: S3Client,
  bucket: string,
  root: string,
  keys: readonly string[],
  abortSignal: AbortSignal,
): Promise<void> {
  const queue = keys.values()
  const uploader = async (): Promise<void> => {
    for (const key of queue) {
      const path = join(root, key)
      const ContentLength = statSync(path).size
      const content = { Body: createReadStream(path), ContentLength }
      await client.send(new PutObjectCommand({ Bucket: bucket, Key: key, ...content }), { abortSignal })
    }
  }
  const settled = await Promise.allSettled(Array.from({ length: UPLOADS_AT_ONCE }, uploader))
  for (const each of settled) if (each.status === 'rejected') throw each.reason
}

async function remove(client: S3Client, bucket: string, keys: readonly string[]): Promise<void> {
  for (let start = 0; start < keys.length; start += DELETE_AT_ONCE) {
    const Objects = keys.slice(start, start + DELETE_AT_ONCE).map(Key => ({ Key }))
    await client.send(new DeleteObjectsCommand({ Bucket: bucket, Delete: { Objects, Quiet: true } }))
  }
  await client.send(new DeleteBucketCommand({ Bucket: bucket }))
  client.destroy()
}
