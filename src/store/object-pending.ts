// An artifact that is being written: one put where it fits into a part, an upload in parts beyond.
import { throwIfAborted } from './failure.ts'
import { ObjectFailure, type PartRules, type Written } from './object-client.ts'
import { sendingMs } from './object-deadline.ts'
import { fileEntry } from './object-entry.ts'
import { contractError } from './object-retry.ts'
import { following, type FollowingSignal } from './object-signal.ts'
import { PartUpload, partSize, type UploadSettings } from './object-upload.ts'
import { ObjectWrite, type ObjectTarget } from './object-write.ts'
import type { ArtifactPath } from './path.ts'
import type { Entry, PendingArtifact } from './store.ts'

export interface PendingOptions {
  readonly path: ArtifactPath
  readonly target: ObjectTarget
  readonly connection: string
  readonly rules: PartRules
  readonly settings: UploadSettings
  /** Bytes that will be written, where that is known. */
  readonly size: number | undefined
  readonly signal: AbortSignal
}

export class PendingObject implements PendingArtifact {
  readonly #options: PendingOptions
  readonly #write: ObjectWrite
  readonly #ending: FollowingSignal
  /** What was written and not sent; full only until the next byte comes, so that the last part is never empty. */
  #filling: Buffer | undefined
  #filled = 0
  #written = 0
  /** Undefined as long as everything fits into one part. */
  #upload: PartUpload | undefined
  #isOver = false

  constructor(options: PendingOptions) {
    this.#options = options
    this.#write = new ObjectWrite(options.target)
    this.#ending = following(options.signal)
  }

  write(chunk: Uint8Array): Promise<void> {
    return this.#inWords(async () => {
      if (this.#written + chunk.length > this.#options.rules.maxBytes) throw new ObjectFailure('too-large')
      this.#written += chunk.length
      for (let taken = 0; taken < chunk.length;) {
        const filling = await this.#room()
        const bytes = Math.min(chunk.length - taken, filling.length - this.#filled)
        filling.set(chunk.subarray(taken, taken + bytes), this.#filled)
        this.#filled += bytes
        taken += bytes
      }
    })
  }

  complete(): Promise<Entry> {
    return this.#inWords(async () => {
      const { path } = this.#options
      const content = (this.#filling ?? Buffer.alloc(0)).subarray(0, this.#filled)
      const written = await (this.#upload === undefined ? this.#put(content) : this.#upload.finish(content))
      const entry = await this.#entry(path, written)
      this.#end()
      return entry
    })
  }

  async abort(): Promise<void> {
    if (this.#isOver) return
    this.#ending.abort()
    this.#end()
    await this.#upload?.abandon()
  }

  #end(): void {
    this.#isOver = true
    this.#filling = undefined
    this.#ending.detach()
  }

  /** A buffer with room for a byte. */
  async #room(): Promise<Buffer> {
    const { rules, settings, size } = this.#options
    const partBytes = partSize(1, rules, settings, size)
    this.#filling ??= Buffer.allocUnsafeSlow(Math.min(partBytes, Math.max(1, size ?? partBytes)))
    if (this.#filled < this.#filling.length) return this.#filling
    if (this.#upload === undefined && this.#filling.length < partBytes) {
      // There is more than was announced.
      const larger = Buffer.allocUnsafeSlow(partBytes)
      larger.set(this.#filling)
      this.#filling = larger
      return larger
    }
    this.#upload ??= this.#begin()
    this.#filling = await this.#upload.add(this.#filling)
    this.#filled = 0
    return this.#filling
  }

  #begin(): PartUpload {
    const { target, rules, settings, size } = this.#options
    const { bucket, key } = target
    return new PartUpload(
      { bucket, key, write: this.#write, rules, size, signal: this.#ending.signal },
      settings,
    )
  }

  #put(content: Buffer): Promise<Written> {
    const { bucket, key } = this.#options.target
    return this.#write.settle(
      (client, request, ending) => client.put(key, content, request, ending),
      this.#ending.signal,
      () => bucket.bodyPatience(sendingMs(content.length)),
    )
  }

  async #entry(path: ArtifactPath, { etag, lastModifiedMs }: Written): Promise<Entry> {
    const { target } = this.#options
    return {
      ...fileEntry(path, { key: target.key, size: this.#written, etag, lastModifiedMs: 0 }),
      lastModifiedMs: lastModifiedMs ?? (await timeOf(target, etag)),
    }
  }

  async #inWords<T>(work: () => Promise<T>): Promise<T> {
    const { path, connection, signal } = this.#options
    throwIfAborted(signal, 'write', path)
    try {
      return await work()
    } catch (error) {
      throw contractError(error, { connection, operation: 'write', path })
    }
  }
}

/** For signals that nobody gave. */
const NEVER = new AbortController().signal

/** When the content `etag` was written. What is done is done: where it cannot be asked, or another content has come, there is no time. */
export async function timeOf({ bucket, key }: ObjectTarget, etag: string): Promise<number | undefined> {
  const head = await bucket.head(key, NEVER).catch(() => undefined)
  return head?.etag === etag ? head.lastModifiedMs : undefined
}
