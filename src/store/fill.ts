// The steps of a pending artifact in the one order in which they end well.
import type { Entry, PendingArtifact } from './store.ts'

/** Makes `content` the content of `pending` and gives the new artifact; `abort` was called where it fails, as the content or a step does. */
export async function fill(
  pending: PendingArtifact,
  content: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
): Promise<Entry> {
  try {
    for await (const chunk of content) await pending.write(chunk)
    return await pending.complete()
  } catch (error) {
    await pending.abort()
    throw error
  }
}
