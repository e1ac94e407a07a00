// A notebook as a page: a Representation like a file, made from one.
import { AppError } from '../errors.ts'
import { nameOf } from '../store/path.ts'
import type { ArtifactPath } from '../store/path.ts'
import type { Entry, OpenArtifact, ReadableStore } from '../store/store.ts'
import { parseNotebook } from './notebook-model.ts'
import { renderNotebookPage } from './notebook-page.ts'
import type { Representation } from './representation.ts'

/** It is JSON, which is read as a whole. */
const MAX_BYTES = 16 * 1024 * 1024

/** Part of the etag: a page that looks different is another one. To be counted up with every change of it. */
const VERSION = 1

/**
 * The page of the notebook at `path`. InvalidArgument for a file that is none, TooLarge for one that is too long to be shown; otherwise fails as `open` and `read` do. The caller closes it.
 */
export async function openNotebook(
  store: ReadableStore,
  path: ArtifactPath,
  { signal }: { readonly signal: AbortSignal },
): Promise<Representation> {
  const artifact = await store.open(path, { signal })
  try {
    const bytes = await wholeOf(artifact, path, signal)
    return new NotebookPage(artifact.entry, path, await renderNotebook(bytes, nameOf(path)))
  } finally {
    await artifact.close()
  }
}

/** One HTML page, that is safe to open whoever wrote the notebook. Fails with InvalidArgument for what is none. */
export function renderNotebook(bytes: Uint8Array, name: string): Promise<string> {
  return renderNotebookPage(parseNotebook(bytes), name)
}

async function wholeOf(artifact: OpenArtifact, path: ArtifactPath, signal: AbortSignal): Promise<Uint8Array> {
  const { size } = artifact.entry
  if (size > MAX_BYTES)
    throw new AppError(
      'TooLarge',
      `The notebook has ${size} bytes; up to ${MAX_BYTES} are shown as a page. Ask for the file as it is.`,
      { op: 'read', path },
    )
  if (artifact.contentEncoding !== undefined)
    throw new AppError(
      'InvalidArgument',
      `The notebook is stored as ${artifact.contentEncoding}, and not shown as a page. Ask for the file as it is.`,
      { op: 'read', path },
    )
  const chunks: Uint8Array[] = []
  for await (const chunk of artifact.read(0, size, { signal })) chunks.push(chunk)
  return Buffer.concat(chunks)
}

class NotebookPage implements Representation {
  readonly #page: Buffer
  readonly etag: string
  /** Undefined, for it would not change with `VERSION`. */
  readonly lastModifiedMs = undefined
  readonly mediaType = 'text/html; charset=utf-8'
  readonly filename: string

  constructor(entry: Entry, path: ArtifactPath, page: string) {
    this.#page = Buffer.from(page)
    this.etag = `${entry.etag}-page${VERSION}`
    this.filename = `${nameOf(path)}.html`
  }

  get size(): number {
    return this.#page.length
  }

  async *read(start: number, end: number): AsyncGenerator<Uint8Array> {
    // In pieces, as memory that is under way to a slow client would be counted twice otherwise.
    for (let at = start; at < end; at += PIECE) yield this.#page.subarray(at, Math.min(at + PIECE, end))
  }

  close(): Promise<void> {
    return Promise.resolve()
  }
}

const PIECE = 256 * 1024
