// A single file as a Representation.
import type { ReadableStore, OpenArtifact, OpenOptions, ReadOptions } from '../store/store.ts'
import { nameOf } from '../store/path.ts'
import type { ArtifactPath } from '../store/path.ts'
import { mediaTypeOf } from './media-type.ts'
import type { Representation } from './representation.ts'

/** A file, opened: what a client gets is the content it had at this moment, or a broken transfer. */
export class FileRepresentation implements Representation {
  readonly #artifact: OpenArtifact
  readonly path: ArtifactPath
  readonly filename: string
  readonly mediaType: string

  constructor(path: ArtifactPath, artifact: OpenArtifact, mediaType?: string) {
    this.#artifact = artifact
    this.path = path
    this.filename = nameOf(path)
    this.mediaType = mediaType ?? mediaTypeOf(this.filename)
  }

  get size(): number {
    return this.#artifact.entry.size
  }

  get etag(): string {
    return this.#artifact.entry.etag
  }

  get contentEncoding(): string | undefined {
    return this.#artifact.contentEncoding
  }

  get lastModifiedMs(): number | undefined {
    return this.#artifact.entry.lastModifiedMs
  }

  read(start: number, end: number, options?: ReadOptions): AsyncIterable<Uint8Array> {
    return this.#artifact.read(start, end, options)
  }

  close(): Promise<void> {
    return this.#artifact.close()
  }
}

/** `mediaType` is for a file whose name does not tell it. Fails as `ReadableStore.open` does. The caller closes it. */
export async function openFile(
  store: ReadableStore,
  path: ArtifactPath,
  options: OpenOptions = {},
  mediaType?: string,
): Promise<FileRepresentation> {
  return new FileRepresentation(path, await store.open(path, options), mediaType)
}
