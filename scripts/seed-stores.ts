// Copies a folder into the bucket `outputs` of object stores, for trying and for benchmarks:
// `node scripts/seed-stores.ts FOLDER [s3=ENDPOINT,KEY,SECRET] [gcs=ENDPOINT] [azure=CONNECTION_STRING]`.
//
// Buckets are created where they are missing; servers that are still starting are waited for.
import { createReadStream, readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'

/** Stores the file at `path` as `key`. */
type Upload = (key: string, path: string) => Promise<unknown>

const BUCKET = 'outputs'
const AT_ONCE = 16
const PATIENCE_MS = 60_000

async function s3(settings: string): Promise<Upload> {
  const { S3Client, CreateBucketCommand, PutObjectCommand } = await import('@aws-sdk/client-s3')
  const [endpoint = '', accessKeyId = '', secretAccessKey = ''] = settings.split(',')
  const client = new S3Client({
    endpoint,
    region: 'us-east-1',
    forcePathStyle: true,
    credentials: { accessKeyId, secretAccessKey },
  })
  await patiently(
    () => client.send(new CreateBucketCommand({ Bucket: BUCKET })),
    ['BucketAlreadyOwnedByYou', 'BucketAlreadyExists'],
  )
  return (key, path) =>
    client.send(
      new PutObjectCommand({
        Bucket: BUCKET,
        Key: key,
        Body: createReadStream(path),
        ContentLength: statSync(path).size,
      }),
    )
}

/** fake-gcs-server asks for no keys. */
async function gcs(endpoint: string): Promise<Upload> {
  const json = { 'Content-Type': 'application/json' }
  await patiently(async () => {
    const answer = await fetch(`${endpoint}/storage/v1/b?project=test`, {
      method: 'POST',
      headers: json,
      body: JSON.stringify({ name: BUCKET }),
    })
    if (!answer.ok && answer.status !== 409) throw new Error(`the bucket was answered ${answer.status}`)
  })
  return async (key, path) => {
    const url = `${endpoint}/upload/storage/v1/b/${BUCKET}/o?uploadType=media&name=${encodeURIComponent(key)}`
    const init = { method: 'POST', body: createReadStream(path), duplex: 'half' } as unknown as RequestInit
    const answer = await fetch(url, init)
    if (!answer.ok) throw new Error(`${key} was answered ${answer.status}`)
    await answer.body?.cancel()
  }
}

async function azure(connectionString: string): Promise<Upload> {
  const { BlobServiceClient } = await import('@azure/storage-blob')
  const container = BlobServiceClient.fromConnectionString(connectionString).getContainerClient(BUCKET)
  await patiently(() => container.createIfNotExists())
  return (key, path) => container.getBlockBlobClient(key).uploadFile(path)
}

const KINDS: Readonly<Record<string, (settings: string) => Promise<Upload>>> = { s3, gcs, azure }

/** Tries `work` until it succeeds or fails with one of `fine`. */
async function patiently(work: () => Promise<unknown>, fine: readonly string[] = []): Promise<void> {
  for (const deadline = Date.now() + PATIENCE_MS; ;) {
    try {
      await work()
      return
    } catch (error) {
      if (fine.includes((error as Error).name)) return
      if (Date.now() > deadline) throw error
      await delay(500)
    }
  }
}

async function copy(folder: string, upload: Upload): Promise<number> {
  const keys = readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter(key => statSync(join(folder, key)).isFile())
    .sort()
  const queue = keys.values()
  const worker = async (): Promise<void> => {
    for (const key of queue) await upload(key, join(folder, key))
  }
  await Promise.all(Array.from({ length: AT_ONCE }, worker))
  return keys.length
}

const [folder, ...targets] = process.argv.slice(2)
if (folder === undefined || targets.length === 0)
  throw new Error('usage: seed-stores.ts FOLDER KIND=SETTINGS...')
for (const target of targets) {
  const [kind = ''] = target.split('=', 1)
  const connect = KINDS[kind]
  if (connect === undefined)
    throw new Error(`'${kind}' is no kind of store: ${Object.keys(KINDS).join(', ')}`)
  console.log(`${kind}: ${await copy(folder, await connect(target.slice(kind.length + 1)))} files`)
}
