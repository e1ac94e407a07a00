// Uploads that a process began and did not live to complete or cancel.
import type { ObjectBucket } from './object-bucket.ts'
import type { UploadPage } from './object-client.ts'

/**
 * Cancels uploads below `prefix` of which nothing came for `olderThanMs`, and gives how many. They carry no mark of who began them, so it is the time alone that tells. Stores that do not list
 * them forget them after a week by themselves (Cloud Storage, Azure).
 */
export async function cancelUnfinished(
  bucket: ObjectBucket,
  prefix: string,
  olderThanMs: number,
  signal: AbortSignal,
): Promise<number> {
  const before = Date.now() - olderThanMs
  let cancelled = 0
  let token: string | undefined
  do {
    const at = token
    const page: UploadPage | undefined = await bucket.request(
      async (client, ending) => client.uploads?.(prefix, at, ending),
      signal,
    )
    for (const upload of page?.uploads ?? []) {
      if (upload.begunAtMs > before) continue
      const sentAtMs = await bucket.request((client, ending) => client.lastSentAtMs!(upload, ending), signal)
      if (sentAtMs === undefined || sentAtMs > before) continue
      await bucket.request((client, ending) => client.cancel(upload, ending), signal)
      cancelled += 1
    }
    token = page?.token
  } while (token !== undefined)
  return cancelled
}
