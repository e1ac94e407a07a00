// Reads the contents of an archive's members, each pinned to what the manifest says it is.
import { AppError } from '../errors.ts'
import type { ReadableStore, Entry, OpenArtifact, ReadOptions } from '../store/store.ts'
import type { Manifest } from './manifest-columns.ts'
import type { ReadResources } from './archive-resources.ts'
import { rotatingBuffers, type SlabPool } from './rope-buffers.ts'
import type { AheadLimits } from './rope-lookahead.ts'
import type { Loaded } from './rope.ts'

/** Contents up to this size are held whole on their way; it also decides about the form of a zip entry, so it is part of the format. */
export const SMALL_BYTES = 256 * 1024
const REREAD_BYTES = 512 * 1024

export class MemberContents {
  readonly #store: ReadableStore
  readonly #manifest: Manifest
  readonly #resources: ReadResources

  constructor(store: ReadableStore, manifest: Manifest, resources: ReadResources) {
    this.#store = store
    this.#manifest = manifest
    this.#resources = resources
  }

  get ahead(): AheadLimits {
    return this.#resources.ahead
  }

  get slabs(): SlabPool {
    return this.#resources.slabs
  }

  /** The whole content of a small member. Fails like `stream`. */
  async load(index: number, signal: AbortSignal): Promise<Loaded> {
    const size = this.#manifest.size(index)
    if (size === 0) return { chunks: [] }
    const { loads, slabs } = this.#resources
    const leave = await loads.enter(this, signal)
    try {
      const slab = slabs.take(size)
      const chunks: Uint8Array[] = []
      let filled = 0
      const buffers = { take: () => slab.subarray(filled) }
      for await (const chunk of this.stream(index, 0, size, { signal, buffers })) {
        chunks.push(chunk)
        filled += chunk.length
      }
      return { chunks, release: () => slabs.give(slab) }
    } finally {
      leave()
    }
  }

  /** The content from `position` on, for a consumer that is done with each chunk when it asks for the next. Fails like `stream`. */
  async *rest(index: number, position: number, signal: AbortSignal): AsyncGenerator<Uint8Array, void> {
    const size = this.#manifest.size(index)
    const isSmall = size <= SMALL_BYTES
    const leave = await this.#resources[isSmall ? 'loads' : 'rereads'].enter(this, signal)
    try {
      const options = isSmall ? { signal } : { signal, buffers: rotatingBuffers(REREAD_BYTES) }
      yield* this.stream(index, position, size, options)
    } finally {
      leave()
    }
  }

  /**
   * The CRC-32 that the store keeps of a member, without reading the content; undefined where it keeps none. Fails with Changed, like `stream`, when the
   * artifact is not any more what the manifest says: the checksum of another content is worth nothing. Not `stillWanted` when its turn comes, it is not asked for.
   */
  async storedCrc32(
    index: number,
    signal: AbortSignal | undefined,
    stillWanted: () => boolean,
  ): Promise<number | undefined> {
    // No disk keeps any, and opening a file to hear so is work.
    if (this.#store.capabilities.latency === 'disk') return undefined
    const leave = await this.#resources.loads.enter(this, signal)
    try {
      if (!stillWanted()) return undefined
      const entry = this.#manifest.entry(index)
      const artifact = await this.#open(entry, signal)
      try {
        if (artifact.entry.etag !== entry.etag) throw changed(entry)
        return await artifact.storedCrc32?.(signal ? { signal } : {})
      } finally {
        await artifact.close()
      }
    } finally {
      leave()
    }
  }

  /**
   * The bytes [start, end) of a member. Fails with Changed when it is not any more what the manifest says, or comes short, or long: an archive whose bytes
   * were promised must break rather than hold a mixture. The artifact is closed however the reading ends, and as soon as the signal is aborted.
   */
  async *stream(
    index: number,
    start: number,
    end: number,
    options: ReadOptions,
  ): AsyncGenerator<Uint8Array, void> {
    const entry = this.#manifest.entry(index)
    const { signal } = options
    const artifact = await this.#open(entry, signal)
    const close = (): void => void artifact.close()
    // A consumer that has gone away never asks again, so this generator may never reach its end.
    signal?.addEventListener('abort', close, { once: true })
    try {
      let left = end - start
      for await (const chunk of artifact.read(start, end, options)) {
        left -= chunk.length
        if (left < 0) throw changed(entry)
        yield chunk
      }
      if (left > 0) throw changed(entry)
    } finally {
      signal?.removeEventListener('abort', close)
      await artifact.close()
    }
  }

  /** Listed before and gone now is a change: NotFound would say that the archive is not there. */
  async #open(entry: Entry, signal: AbortSignal | undefined): Promise<OpenArtifact> {
    try {
      return await this.#store.open(entry.path, { pin: entry, ...(signal && { signal }) })
    } catch (error) {
      if (error instanceof AppError && (error.kind === 'NotFound' || error.kind === 'IsDirectory'))
        throw changed(entry, error)
      throw error
    }
  }
}

function changed(entry: Entry, cause?: unknown): AppError {
  return new AppError('Changed', `'${entry.path}' changed while the archive was made: request it again.`, {
    op: 'read',
    path: entry.path,
    cause,
  })
}
