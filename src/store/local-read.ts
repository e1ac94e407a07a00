// An opened file of a local store: bytes by position, and the proof that they were still the same at the end.
import fs from 'node:fs'
import { checkRange, storeError, throwIfAborted } from './failure.ts'
import type { AppError } from '../errors.ts'
import { isStale, localError } from './local-errors.ts'
import type { OpenDescriptor } from './local-locate.ts'
import { etagOf } from './local-entry.ts'
import { Samples } from './local-samples.ts'
import type { Entry, OpenArtifact, ReadOptions } from './store.ts'

/** Up to here one read fetches a whole range; longer ranges come in chunks of this size when the caller brings no buffers. */
const CHUNK_BYTES = 256 * 1024
/**
 * From a local disk so much is read on the event loop: it takes some microseconds where the way through the thread pool takes tens. A cold read
 * blocks for one access of the disk.
 */
const AT_ONCE_BYTES = 64 * 1024

/** Owns the descriptor. A read that is still inside the kernel keeps it open, since its number could be another file's by then. */
export class LocalArtifact implements OpenArtifact {
  readonly entry: Entry
  readonly #file: OpenDescriptor
  /** Attributes when it was opened, come to rest. */
  readonly #stats: fs.Stats
  readonly #pinned: boolean
  #callsUnderWay = 0
  #closing: Promise<void> | undefined
  #lastCallEnded: (() => void) | undefined

  constructor(entry: Entry, file: OpenDescriptor, stats: fs.Stats, pinned: boolean) {
    this.entry = entry
    this.#file = file
    this.#stats = stats
    this.#pinned = pinned
  }

  async *read(
    start: number,
    end: number,
    options: ReadOptions = {},
  ): AsyncGenerator<Uint8Array, void, undefined> {
    const { path } = this.entry
    const { signal, buffers } = options
    checkRange(path, start, end, this.entry.size)
    this.#checkOngoing(signal)
    // Appending changes a pinned file too, so there is nothing to tell apart.
    const samples = this.#pinned ? undefined : new Samples()
    for (let position = start; position < end;) {
      const wanted = end - position
      const buffer = buffers?.take() ?? Buffer.allocUnsafe(Math.min(wanted, CHUNK_BYTES))
      const length = await this.#readAt(buffer, Math.min(buffer.length, wanted), position)
      this.#checkOngoing(signal)
      if (length === 0) throw storeError('Changed', 'read', path)
      samples?.add(buffer, length, position)
      position += length
      // Before the last bytes are handed out: a client that has them all takes the download for whole.
      if (position === end) await this.#checkUnchanged(samples)
      yield length === buffer.length ? buffer : buffer.subarray(0, length)
    }
  }

  /** Waits for calls inside the kernel and the closing itself only; a read that comes back for more afterwards fails with Aborted. */
  close(): Promise<void> {
    this.#closing ??= this.#release()
    return this.#closing
  }

  async #release(): Promise<void> {
    if (this.#callsUnderWay > 0) await new Promise<void>(resolve => (this.#lastCallEnded = resolve))
    await this.#file.close()
  }

  #checkOngoing(signal: AbortSignal | undefined): void {
    throwIfAborted(signal, 'read', this.entry.path)
    if (this.#closing !== undefined) throw storeError('Aborted', 'read', this.entry.path)
  }

  #readAt(buffer: Buffer, length: number, position: number): Promise<number> | number {
    if (this.#file.isPrompt && length <= AT_ONCE_BYTES) return this.#readNow(buffer, length, position)
    this.#callsUnderWay += 1
    return new Promise((resolve, reject) => {
      fs.read(this.#file.fd, buffer, 0, length, position, (error, bytesRead) => {
        this.#callEnded()
        if (error === null) resolve(bytesRead)
        else reject(this.#failure(error))
      })
    })
  }

  #readNow(buffer: Buffer, length: number, position: number): number {
    try {
      return fs.readSync(this.#file.fd, buffer, 0, length, position)
    } catch (error) {
      throw this.#failure(error)
    }
  }

  /**
   * A writer updates the times before the bytes, so bytes of another content show in the attributes that are asked for after them.
   * Only a mapping that stays dirty across both looks escapes.
   */
  async #checkUnchanged(samples: Samples | undefined): Promise<void> {
    const before = this.#stats
    const now = await this.#statNow()
    let same = samples === undefined ? etagOf(now) === etagOf(before) : now.mtimeMs === before.mtimeMs
    // Appended to, or truncated and written anew with more: attributes do not tell, so what was given out is compared.
    if (samples !== undefined && now.size > before.size)
      same = await samples.hold((buffer, position) => this.#readAt(buffer, buffer.length, position))
    if (!same || now.size < before.size) throw storeError('Changed', 'read', this.entry.path)
  }

  async #statNow(): Promise<fs.Stats> {
    this.#callsUnderWay += 1
    try {
      return await this.#file.look()
    } catch (error) {
      throw this.#failure(error)
    } finally {
      this.#callEnded()
    }
  }

  /** A stale descriptor means that another machine removed or replaced the file. What is at its path now is another content, which must not be read on. */
  #failure(error: unknown): AppError {
    if (isStale(error)) return storeError('Changed', 'read', this.entry.path, error)
    return localError(error, 'read', this.entry.path)
  }

  #callEnded(): void {
    this.#callsUnderWay -= 1
    if (this.#callsUnderWay === 0) this.#lastCallEnded?.()
  }
}
