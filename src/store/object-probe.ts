// What a store lets us do, tried in the smallest way that shows it.
import { randomUUID } from 'node:crypto'
import { AppError } from '../errors.ts'
import type { ObjectStoreDefinition } from './definition.ts'
import type { ObjectBucket } from './object-bucket.ts'
import { ObjectFailure, type ListedObject } from './object-client.ts'
import { RangeStream } from './object-range.ts'
import { contractError } from './object-retry.ts'
import { trySignedUrl } from './object-signed.ts'
import { ROOT } from './path.ts'
import { readCertificates } from './secret-file.ts'
import type { Probe, ProbeStep } from './store.ts'

const CHECK_PREFIX = '.polyaxon-outputs-check-'
const CHECK_OBJECT = /^\.polyaxon-outputs-check-[\da-f]{8}-(?:[\da-f]{4}-){3}[\da-f]{12}$/
/** Enough to find an object with content among folder markers. */
const LOOKED_AT = 100

/** Whether `key`, without the store's prefix, is an object that a probe wrote; one is left behind when the process ends in the middle of it. */
export function isCheckObject(key: string): boolean {
  return CHECK_OBJECT.test(key)
}

interface Probed {
  readonly bucket: ObjectBucket
  readonly definition: ObjectStoreDefinition
  readonly signal: AbortSignal
}

/** Lists, reads one byte, has it delivered where the store is configured to, writes and removes a small object. Never rejects. */
export async function probeBucket(
  bucket: ObjectBucket,
  definition: ObjectStoreDefinition,
  signal: AbortSignal,
): Promise<Probe> {
  const probed = { bucket, definition, signal }
  const { prefix, readOnly, delivery } = definition
  let found: readonly ListedObject[] | undefined
  const list = await step(probed, 'list', async () => {
    const page = await bucket.list({ prefix, delimiter: undefined, maxKeys: LOOKED_AT }, signal)
    found = page.objects
    return page.objects.length > 0 || page.token !== undefined ? undefined : 'nothing is there yet'
  })
  const object = found?.find(({ size, isFolder }) => size > 0 && isFolder !== true)
  const withObject = (work: (object: ListedObject) => Promise<undefined>): Promise<ProbeStep> | ProbeStep => {
    if (found === undefined) return skipped('nothing could be listed')
    if (object === undefined) return skipped('there is no artifact to read')
    return step(probed, 'read', () => work(object))
  }
  const read = await withObject(object => readByte(probed, object))
  const write = readOnly
    ? skipped('the store is configured as read-only')
    : await step(probed, 'write', () => writeAndRemove(probed, `${CHECK_PREFIX}${randomUUID()}`))
  if (delivery !== 'redirect') return { list, read, write }
  return { list, read, write, deliver: await withObject(object => fetchByte(probed, object)) }
}

function skipped(detail: string): ProbeStep {
  return { result: 'skipped', detail }
}

/** `work` gives a detail where there is something to say. */
async function step(
  { definition }: Probed,
  operation: 'list' | 'read' | 'write',
  work: () => Promise<string | undefined>,
): Promise<ProbeStep> {
  const startedAtMs = performance.now()
  const elapsedMs = (): number => performance.now() - startedAtMs
  try {
    const detail = await work()
    return { result: 'ok', elapsedMs: elapsedMs(), ...(detail !== undefined && { detail }) }
  } catch (cause) {
    const error = contractError(cause, { connection: definition.name, operation, path: ROOT })
    return { result: 'failed', elapsedMs: elapsedMs(), error }
  }
}

async function readByte({ bucket, signal }: Probed, { key, etag }: ListedObject): Promise<undefined> {
  const stream = new RangeStream({ bucket, key, etag }, 0, 1, signal)
  try {
    await stream.next()
  } finally {
    await stream.close()
  }
}

const SIGNED_SECONDS = 60

async function fetchByte({ bucket, definition, signal }: Probed, { key }: ListedObject): Promise<undefined> {
  const request = {
    disposition: 'attachment',
    mediaType: 'application/octet-stream',
    expiresInSeconds: SIGNED_SECONDS,
  }
  const url = await bucket.compute((client, ending) => client.signedUrl(key, request, ending), signal)
  if (url === undefined)
    throw new AppError(
      'Unavailable',
      `The outputs store '${definition.name}' cannot sign URLs with its access keys, so files come through the service: give it keys that can, or set its delivery to proxy.`,
      { op: 'read', trouble: 'misconfigured', temporary: false },
    )
  await trySignedUrl(url, definition, await readCertificates(definition.caFile), signal)
}

async function writeAndRemove({ bucket, definition, signal }: Probed, name: string): Promise<undefined> {
  const key = definition.prefix + name
  const content = Buffer.from('Written by polyaxon-outputs to see whether it may write here.\n')
  await bucket.request((client, ending) => client.put(key, content, {}, ending), signal)
  try {
    await bucket.request((client, ending) => client.remove(key, ending), signal)
  } catch (cause) {
    if (!(cause instanceof ObjectFailure)) throw cause
    // The right to write may be given without the right to remove: one answer for both would not tell which to ask for.
    const advice = `Writing worked, removing did not: '${name}' is left there.`
    throw new ObjectFailure(cause.reason, {
      cause,
      advice: cause.advice === undefined ? advice : `${advice} ${cause.advice}`,
    })
  }
}
