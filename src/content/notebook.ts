// A notebook as a page: a Representation like a file, made from one.
import { AppError } from '../errors.ts'
import { nameOf } from '../store/path.ts'
import type { ArtifactPath } from '../store/path.ts'
import type { Entry, OpenArtifact, ReadableStore } from '../store/store.ts'
import { parseNotebook } from './notebook-model.ts'
import { renderNotebookPage } from './notebook-page.ts'
import { readWhole } from './read-whole.ts'
import type { Representation } from './representation.ts'

/** It is JSON, which is read as a whole. */
const MAX_BYTES = 16 * 1024 * 1024

/** Bytes of pages that are held until their clients have them; beyond it no further one is made. */
const MAX_HELD_BYTES = 256 * 1024 * 1024

/** Part of the etag: a page that looks different is another one. To be counted up with every change of it. */
const VERSION = 2

/** The notebooks of one process that are shown as pages. */
export class Notebooks {
  /** Resolves when no page is being made and none waits before. */
  #turn: Promise<undefined> = Promise.resolve(undefined)
  #heldBytes = 0

  /**
   * The page of the notebook at `path`. One is made at a time, for each takes many times the memory of its file. InvalidArgument for a file that is none, TooLarge for one that is too long to
   * be shown, RateLimited where clients hold too many pages; otherwise fails as `open` and `read` do. The caller closes it.
   */
  async open(
    store: ReadableStore,
    path: ArtifactPath,
    { signal }: { readonly signal: AbortSignal },
  ): Promise<Representation> {
    const before = this.#turn
    const { promise, resolve } = Promise.withResolvers<undefined>()
    this.#turn = promise
    try {
      await before
      signal.throwIfAborted()
      return await this.#make(store, path, signal)
    } finally {
      resolve(undefined)
    }
  }

  async #make(store: ReadableStore, path: ArtifactPath, signal: AbortSignal): Promise<NotebookPage> {
    if (this.#heldBytes > MAX_HELD_BYTES)
      throw new AppError(
        'RateLimited',
        'As many notebooks are on their way to clients as may be at once. Try again when one has arrived, or ask for the file as it is.',
        { op: 'read', path, limit: 'notebooks' },
      )
    const artifact = await store.open(path, { signal })
    try {
      const bytes = await wholeOf(artifact, path, signal)
      const page = Buffer.from(await renderNotebook(bytes, nameOf(path), signal))
      this.#heldBytes += page.length
      return new NotebookPage(artifact.entry, path, page, () => (this.#heldBytes -= page.length))
    } finally {
      await artifact.close()
    }
  }
}

/** One HTML page, that is safe to open whoever wrote the notebook. Fails with InvalidArgument for what is none. */
export function renderNotebook(bytes: Uint8Array, name: string, signal?: AbortSignal): Promise<string> {
  return renderNotebookPage(parseNotebook(bytes), name, signal)
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
  return readWhole(artifact, signal)
}

class NotebookPage implements Representation {
  readonly #page: Buffer
  #release: (() => void) | undefined
  readonly etag: string
  /** Undefined, for it would not change with `VERSION`. */
  readonly lastModifiedMs = undefined
  readonly mediaType = 'text/html; charset=utf-8'
  readonly filename: string

  /** `release` is called once, by `close`. */
  constructor(entry: Entry, path: ArtifactPath, page: Buffer, release: () => void) {
    this.#page = page
    this.#release = release
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
    this.#release?.()
    this.#release = undefined
    return Promise.resolve()
  }
}

const PIECE = 256 * 1024
