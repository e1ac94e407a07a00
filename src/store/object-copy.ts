// Copying an object within its bucket, without its bytes coming through here.
import { storeError } from './failure.ts'
import type { ObjectBucket } from './object-bucket.ts'
import {
  ObjectFailure,
  type CopySource,
  type ObjectHead,
  type PartRules,
  type Upload,
  type Written,
} from './object-client.ts'
import { COMPLETING_MS } from './object-deadline.ts'
import { fileEntry } from './object-entry.ts'
import type { ObjectKeys } from './object-keys.ts'
import { timeOf } from './object-pending.ts'
import { following } from './object-signal.ts'
import { contentEtag, isReason, ObjectWrite } from './object-write.ts'
import type { ArtifactPath } from './path.ts'
import type { ChangeOptions, Entry } from './store.ts'

export interface CopyScope {
  readonly bucket: ObjectBucket
  readonly keys: ObjectKeys
  readonly rules: PartRules
  /** The largest object that is copied by one request. */
  readonly maxBytes: number
}

/** Parts that are copied at once: the store does the work. */
const AT_ONCE = 8
const MIB = 1024 ** 2

/** For signals that nobody gave. */
const NEVER = new AbortController().signal

/** As `ArtifactStore.copy`, neither path being the root; rejects with ObjectFailure too. */
export async function copyObject(
  scope: CopyScope,
  from: ArtifactPath,
  to: ArtifactPath,
  { precondition, signal }: ChangeOptions & { readonly signal: AbortSignal },
): Promise<Entry> {
  const { bucket, keys, maxBytes } = scope
  const head = await fileAt(scope, from, signal)
  const target = { bucket, key: keys.file(to), precondition }
  const write = new ObjectWrite(target, head.key)
  const copying =
    head.size > maxBytes
      ? copyInParts(scope, head, target.key, write, signal)
      : write.settle(
          (client, request, ending) => client.copies.copy(head, target.key, request, ending),
          signal,
          () => bucket.bodyPatience(COMPLETING_MS),
        )
  const written = await copying.catch((error: unknown) => {
    // Of what is written nothing has to be there, unless a condition asks for it.
    const isSource = precondition === undefined || precondition.type === 'absent'
    throw isSource && isReason(error, 'missing-object') ? storeError('NotFound', 'open', from, error) : error
  })
  return {
    ...fileEntry(to, { ...head, key: target.key, etag: written.etag }),
    lastModifiedMs: written.lastModifiedMs ?? (await timeOf(target, written.etag)),
  }
}

async function fileAt(
  { bucket, keys }: CopyScope,
  path: ArtifactPath,
  signal: AbortSignal,
): Promise<ObjectHead> {
  const key = keys.file(path)
  const head = keys.canExist(key) ? await bucket.head(key, signal) : undefined
  if (head !== undefined && contentEtag(head) !== undefined) return head
  const folder = keys.folder(path)
  const isFolder = head !== undefined || (keys.canExist(folder) && (await bucket.has(folder, signal)))
  throw storeError(isFolder ? 'IsDirectory' : 'NotFound', 'open', path)
}

async function copyInParts(
  { bucket, rules, maxBytes }: CopyScope,
  source: CopySource & { readonly size: number },
  key: string,
  write: ObjectWrite,
  signal: AbortSignal,
): Promise<Written> {
  const partBytes = Math.min(
    maxBytes,
    Math.max(maxBytes / 4, Math.ceil(source.size / rules.maxParts / MIB) * MIB),
  )
  const request = await write.request(signal)
  // Not ended with the rest: an upload whose id is not known could not be cancelled.
  const upload = await bucket.request((client, ending) => client.begin(key, request, ending), NEVER)
  try {
    const receipts = await copyParts(bucket, source, upload, partBytes, signal)
    // Not every server takes a condition with each part.
    if (contentEtag(await bucket.head(source.key, signal)) !== source.etag) throw new ObjectFailure('changed')
    return await write.settle(
      (client, latest, ending) => client.complete(upload, receipts, latest, ending),
      signal,
      () => bucket.bodyPatience(COMPLETING_MS),
    )
  } catch (error) {
    await bucket.request((client, ending) => client.cancel(upload, ending), NEVER).catch(() => undefined)
    throw error
  }
}

async function copyParts(
  bucket: ObjectBucket,
  source: CopySource & { readonly size: number },
  upload: Upload,
  partBytes: number,
  signal: AbortSignal,
): Promise<string[]> {
  const receipts: string[] = []
  const parts = Array.from({ length: Math.ceil(source.size / partBytes) }, (_, i) => i).values()
  const copying = following(signal)
  const worker = async (): Promise<void> => {
    for (const i of parts) {
      const start = i * partBytes
      const stretch = { ...source, start, end: Math.min(source.size, start + partBytes) }
      receipts[i] = await bucket.request(
        (client, ending) => client.copies.copyPart!(stretch, upload, i + 1, ending),
        copying.signal,
        bucket.bodyPatience(COMPLETING_MS),
      )
    }
  }
  const workers = Array.from({ length: AT_ONCE }, () =>
    worker().catch((error: unknown) => {
      copying.abort()
      throw error
    }),
  )
  try {
    // The first failure is the reason; the others were ended by it.
    await Promise.all(workers)
  } finally {
    await Promise.allSettled(workers)
    copying.detach()
  }
  return receipts
}
