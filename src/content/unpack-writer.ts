// Members as artifacts of a store. Each becomes visible as a whole or not at all; what was written can be told and taken back.
import { AppError, isAppError } from '../errors.ts'
import { joinPath, type ArtifactPath } from '../store/path.ts'
import type { ArtifactStore, Capabilities, Precondition, Removal } from '../store/store.ts'
import { copyFile } from '../store/transfer.ts'
import { removeUnchanged } from './remove-unchanged.ts'
import type { Member } from './unpack-member.ts'
import { quoted, unwanted } from './unpack-refusal.ts'

/** Members up to this size are gathered first, and several of them are then written at a time, which hides what each costs in waiting. */
const SMALL_BYTES = 256 * 1024
const SMALL_AT_ONCE_ON_DISK = 4
const SMALL_AT_ONCE_ON_NETWORK = 16
/** Of the calls that a store takes at once. */
const SHARE_OF_STORE = 1 / 4
const REPORTED_PATHS = 100

export interface Written {
  /** Members that became files. One that comes twice counts twice. */
  readonly files: number
  readonly bytes: number
  /** The first ones, as the store has them. */
  readonly paths: readonly ArtifactPath[]
}

export interface WriterOptions {
  readonly signal: AbortSignal | undefined
  /** Whether files that are there already stay as they are. */
  readonly keepsExisting?: boolean | undefined
  /** Whether `remove` may be called. */
  readonly remembers: boolean
}

export class UnpackWriter {
  readonly #store: ArtifactStore
  readonly #folder: ArtifactPath
  readonly #signal: AbortSignal | undefined
  readonly #keepsExisting: boolean
  readonly #atOnce: number
  readonly #underWay = new Map<ArtifactPath, Promise<void>>()
  /** The etag that each path got, so that only what was written here is removed. */
  readonly #etags: Map<ArtifactPath, string> | undefined
  readonly #paths: ArtifactPath[] = []
  #files = 0
  #bytes = 0
  #failure: { readonly error: unknown } | undefined

  constructor(store: ArtifactStore, folder: ArtifactPath, options: WriterOptions) {
    this.#store = store
    this.#folder = folder
    this.#signal = options.signal
    this.#keepsExisting = options.keepsExisting ?? false
    this.#atOnce = smallAtOnce(store.capabilities)
    this.#etags = options.remembers ? new Map() : undefined
  }

  get written(): Written {
    return { files: this.#files, bytes: this.#bytes, paths: this.#paths }
  }

  /** Takes the whole content. A small member may still be under way when this resolves, and then fails a later call. */
  async write(member: Member): Promise<void> {
    const path = joinPath(this.#folder, member.path)
    // Of two members of one name the later one stays.
    await this.#underWay.get(path)
    if (member.copyOf !== undefined)
      return this.#copy(member.name, joinPath(this.#folder, member.copyOf), path)
    const content = member.content[Symbol.asyncIterator]()
    try {
      const { chunks, size } = await this.#gather(content)
      if (size > SMALL_BYTES) await this.#save(member.name, path, chained(chunks, content), member.size)
      else await this.#begin(member.name, path, chunks, size)
    } finally {
      await content.return?.()
    }
  }

  /** Waits until nothing is under way any more. Never fails. */
  async settle(): Promise<void> {
    await Promise.all(this.#underWay.values())
  }

  /** Waits like `settle`, and fails where a member did. */
  async finish(): Promise<void> {
    await this.settle()
    this.#check()
  }

  /** Removes what was written where `isWanted`, as far as nobody has replaced it since. To be called when nothing is under way. */
  remove(isWanted: (path: ArtifactPath) => boolean): Promise<Removal> {
    const written = [...(this.#etags ?? [])].map(([path, etag]) => ({ path, etag }))
    return removeUnchanged(
      this.#store,
      written.filter(({ path }) => isWanted(path)),
    )
  }

  async #copy(name: string, from: ArtifactPath, path: ArtifactPath): Promise<void> {
    await this.#underWay.get(from)
    this.#check()
    const signal = this.#signal
    const options = { ...this.#condition, ...(signal && { signal }) }
    const to = { store: this.#store, path }
    await this.#unlessKept(async () => {
      const { etag, size } = await named(name, copyFile(this.#store, from, to, options))
      this.#record(path, size, etag)
    })
  }

  /** The whole content, or the beginning of one that is not small. Copied, so that a few bytes do not keep the chunk of the source that they came in. */
  async #gather(content: AsyncIterator<Uint8Array>): Promise<{ chunks: Buffer[]; size: number }> {
    const chunks: Buffer[] = []
    let size = 0
    for (let next; size <= SMALL_BYTES && (next = await content.next()).done !== true;) {
      this.#check()
      chunks.push(Buffer.from(next.value))
      size += next.value.length
    }
    return { chunks, size }
  }

  /** Writes a small member beside others, when there is a place for it. */
  async #begin(name: string, path: ArtifactPath, chunks: readonly Buffer[], size: number): Promise<void> {
    while (this.#underWay.size >= this.#atOnce) await Promise.race(this.#underWay.values())
    this.#check()
    const writing = this.#save(name, path, chunks, size)
      .catch((error: unknown) => {
        this.#failure ??= { error }
      })
      .finally(() => this.#underWay.delete(path))
    this.#underWay.set(path, writing)
  }

  async #save(
    name: string,
    path: ArtifactPath,
    content: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
    size: number | undefined,
  ): Promise<void> {
    const isWritten = await this.#unlessKept(async () => {
      const { etag, bytes } = await this.#put(name, path, content, size)
      this.#record(path, bytes, etag)
    })
    // Its content has to be read to its end all the same.
    if (!isWritten) for await (const _ of content) this.#check()
  }

  /** Whether `work` was done: not where something is there that stays. */
  async #unlessKept(work: () => Promise<void>): Promise<boolean> {
    try {
      await work()
      return true
    } catch (error) {
      if (!this.#keepsExisting || !isAppError(error, 'Changed')) throw error
      return false
    }
  }

  get #condition(): { readonly precondition?: Precondition } {
    return this.#keepsExisting ? { precondition: { type: 'absent' } } : {}
  }

  async #put(
    name: string,
    path: ArtifactPath,
    content: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
    size: number | undefined,
  ): Promise<{ readonly etag: string; readonly bytes: number }> {
    const signal = this.#signal
    const pending = await named(name, this.#store.create(path, { size, signal, ...this.#condition }))
    let bytes = 0
    try {
      for await (const chunk of content) {
        this.#check()
        await named(name, pending.write(chunk))
        bytes += chunk.length
      }
      const { etag } = await named(name, pending.complete())
      return { etag, bytes }
    } catch (error) {
      await pending.abort()
      throw error
    }
  }

  #record(path: ArtifactPath, bytes: number, etag: string): void {
    this.#files++
    this.#bytes += bytes
    this.#etags?.set(path, etag)
    if (this.#paths.length < REPORTED_PATHS) this.#paths.push(path)
  }

  #check(): void {
    if (this.#failure !== undefined) throw this.#failure.error
    if (this.#signal?.aborted === true) throw unwanted(this.#signal.reason)
  }
}

async function* chained(
  first: readonly Uint8Array[],
  rest: AsyncIterator<Uint8Array>,
): AsyncGenerator<Uint8Array, void> {
  yield* first
  for (let next; (next = await rest.next()).done !== true;) yield next.value
}

/** A failure of the store, with the member that met it. */
async function named<T>(name: string, step: Promise<T>): Promise<T> {
  try {
    return await step
  } catch (error) {
    if (!isAppError(error) || error.kind === 'Aborted') throw error
    const { kind, path, temporary, trouble } = error
    throw new AppError(
      kind,
      `The member ${quoted(name)} of the archive cannot be written. ${error.message}`,
      {
        op: 'unpack',
        path,
        temporary,
        trouble,
        cause: error,
      },
    )
  }
}

function smallAtOnce({ latency, concurrency = Number.POSITIVE_INFINITY }: Capabilities): number {
  const wanted = latency === 'network' ? SMALL_AT_ONCE_ON_NETWORK : SMALL_AT_ONCE_ON_DISK
  return Math.max(1, Math.min(wanted, Math.floor(concurrency * SHARE_OF_STORE)))
}
