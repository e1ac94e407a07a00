// The text of an event file, piece by piece, as often as it is asked for.
import { isAppError } from '../errors.ts'
import type { ArtifactPath } from '../store/path.ts'
import type { OpenArtifact, ReadableStore } from '../store/store.ts'
import { readWhole } from './read-whole.ts'
import { rotatingBuffers } from './rope-buffers.ts'
import { Slices } from './slices.ts'

/** Files up to this size are read once. A column takes a pass, and of small files most of a pass is the way to the store. */
const HELD_BYTES = 1024 * 1024
const READ_BYTES = 256 * 1024
/** Rows are made of one piece at once. */
const PIECE_BYTES = 64 * 1024

/** An event file, opened: all passes see the content that it had at this moment, or fail with Changed. */
export class EventText {
  readonly #artifact: OpenArtifact
  #held: Promise<Buffer> | undefined

  constructor(artifact: OpenArtifact) {
    this.#artifact = artifact
  }

  /**
   * The text with line feeds for all kinds of line ends, as Python reads it; bytes that are no UTF-8 become U+FFFD, and a character that the end cuts off is left out. Stopping early
   * releases what a pass holds. Fails as `OpenArtifact.read` does.
   */
  async *pieces(signal?: AbortSignal): AsyncGenerator<string, void> {
    const decoder = new TextDecoder()
    const slices = new Slices()
    let wasReturn = false
    for await (const bytes of this.#bytes(signal)) {
      for (let at = 0; at < bytes.length; at += PIECE_BYTES) {
        const decoded = decoder.decode(bytes.subarray(at, at + PIECE_BYTES), { stream: true })
        if (decoded === '') continue
        const text = wasReturn && decoded.startsWith('\n') ? decoded.slice(1) : decoded
        wasReturn = decoded.endsWith('\r')
        if (text !== '') yield text.includes('\r') ? text.replaceAll(/\r\n?/g, '\n') : text
        if (slices.due) await slices.rest()
      }
    }
  }

  /** The beginning of the text, which is enough to tell what kind of file it is. */
  async start(signal?: AbortSignal): Promise<string> {
    const chunks: Uint8Array[] = []
    for await (const chunk of this.#bytes(signal, PIECE_BYTES)) chunks.push(chunk.slice(0, PIECE_BYTES))
    return new TextDecoder().decode(Buffer.concat(chunks))
  }

  close(): Promise<void> {
    return this.#artifact.close()
  }

  /** Up to `end` at least. */
  async *#bytes(signal: AbortSignal | undefined, end = Infinity): AsyncGenerator<Uint8Array, void> {
    const { size } = this.#artifact.entry
    if (size > HELD_BYTES)
      yield* this.#artifact.read(0, Math.min(size, end), {
        buffers: rotatingBuffers(READ_BYTES),
        ...(signal && { signal }),
      })
    else yield await (this.#held ??= readWhole(this.#artifact, signal))
  }
}

/** Undefined where there is no file, or nothing in it yet. The caller closes it. */
export async function openEventText(
  store: ReadableStore,
  path: ArtifactPath,
  signal?: AbortSignal,
): Promise<EventText | undefined> {
  try {
    const artifact = await store.open(path, signal && { signal })
    if (artifact.entry.size > 0) return new EventText(artifact)
    await artifact.close()
    return undefined
  } catch (error) {
    if (isAppError(error, 'NotFound', 'IsDirectory', 'NotDirectory')) return undefined
    throw error
  }
}
