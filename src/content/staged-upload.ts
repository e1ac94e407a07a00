// A file whose place is said only after its bytes have come: they wait in the store, where nobody sees them.
import { randomUUID } from 'node:crypto'
import { isAppError } from '../errors.ts'
import { renamed } from '../store/failure.ts'
import { UPLOADS_FOLDER } from '../store/own-folder.ts'
import { joinPath, parsePath, ROOT, type ArtifactPath } from '../store/path.ts'
import type { ArtifactStore, ChangeOptions, Entry, PendingArtifact } from '../store/store.ts'
import { placeFile, type Place } from '../store/transfer.ts'

const PREFIX = 'staged-'

/** Whether `name` is that of a folder among the uploads which holds such a file. No client can ask for it: it is no id of an upload (`http/routes/resumable.ts`). */
export function isStaged(name: string): boolean {
  return name.startsWith(PREFIX)
}

/** One step at a time. Whoever began it must call `remove`. */
export class StagedUpload {
  readonly #store: ArtifactStore
  readonly #pending: PendingArtifact
  readonly #path: ArtifactPath
  #entry: Entry | undefined

  private constructor(store: ArtifactStore, path: ArtifactPath, pending: PendingArtifact) {
    this.#store = store
    this.#path = path
    this.#pending = pending
  }

  /** `store` is that of a whole connection. */
  static async begin(store: ArtifactStore, signal: AbortSignal): Promise<StagedUpload> {
    const path = joinPath(UPLOADS_FOLDER, parsePath(`${PREFIX}${randomUUID()}/file`))
    return new StagedUpload(store, path, await unnamed(store.create(path, { signal })))
  }

  /** As of a pending artifact. */
  write(chunk: Uint8Array): Promise<void> {
    return unnamed(this.#pending.write(chunk))
  }

  /** All bytes have come. */
  async complete(): Promise<void> {
    this.#entry = await unnamed(this.#pending.complete())
  }

  /** All bytes, or the first `count`; as often as they are wanted after `complete`. */
  async *read(signal?: AbortSignal, count = Infinity): AsyncGenerator<Uint8Array, void, undefined> {
    const options = signal === undefined ? {} : { signal }
    const artifact = await unnamed(this.#store.open(this.#path, { pin: this.#whole, ...options }))
    try {
      yield* artifact.read(0, Math.min(this.#whole.size, count), options)
    } catch (error) {
      throw withoutPlace(error)
    } finally {
      await artifact.close()
    }
  }

  /** Makes the bytes the artifact at `to`, in one step. After it they may be there no more. */
  async moveTo(to: Place, options: ChangeOptions): Promise<void> {
    // Where they stay they are for `remove`, whose failure is nobody's.
    await unnamed(placeFile(this.#store, this.#whole, to, options))
  }

  /** Leaves nothing of it, wherever it has got to. Never fails: what the store does not remove now, it is swept of later. */
  async remove(): Promise<void> {
    await this.#pending.abort()
    if (this.#entry !== undefined) await this.#store.remove(this.#path).catch(() => undefined)
  }

  get #whole(): Entry {
    if (this.#entry === undefined) throw new Error('Not all bytes have come.')
    return this.#entry
  }
}

/** The place of the bytes is nothing that a client knows. */
async function unnamed<T>(step: Promise<T>): Promise<T> {
  try {
    return await step
  } catch (error) {
    throw withoutPlace(error)
  }
}

function withoutPlace(error: unknown): unknown {
  return isAppError(error) && error.path?.startsWith(UPLOADS_FOLDER) === true ? renamed(error, ROOT) : error
}
