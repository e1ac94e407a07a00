// A small artifact at once.
import type { OpenArtifact } from '../store/store.ts'

/** Everything that it has; the caller has looked at its size. Fails as `OpenArtifact.read` does. */
export async function readWhole(artifact: OpenArtifact, signal?: AbortSignal): Promise<Buffer> {
  const { size } = artifact.entry
  const chunks: Uint8Array[] = []
  for await (const chunk of artifact.read(0, size, signal && { signal })) chunks.push(chunk)
  return Buffer.concat(chunks, size)
}
