// The bytes of a resumable upload: a chain of artifacts, each named by its offset, of which the last one tells how far the upload has come.
import { AppError, isAppError } from '../errors.ts'
import { storeError } from '../store/failure.ts'
import { parsePath, type ArtifactPath } from '../store/path.ts'
import type { ArtifactStore, Entry, PendingArtifact } from '../store/store.ts'

/** What a process that is killed loses at most, and small enough for an object store to take in one request or a few. */
export const PIECE_BYTES = 64 * 1024 ** 2
/** The same where the client is slow. */
const PIECE_MS = 30_000

/** The greatest number that JSON and JavaScript keep exactly has so many digits, and names of one length are in the order of their numbers. */
const DIGITS = 16
/** Before all other names of an upload, so that a list can begin in the middle of the pieces and still give the rest. */
const FOLDER = 'bytes'
const KEY = new RegExp(`^${FOLDER}/(\\d{${DIGITS}})$`)

export interface Piece {
  readonly start: number
  readonly end: number
  /** As the store of the upload gave it. */
  readonly entry: Entry
}

/** The key of a piece among what is listed of its upload. */
export function pieceKey(start: number): string {
  return `${FOLDER}/${String(start).padStart(DIGITS, '0')}`
}

/** Where the pieces of the upload `id` are. */
export function piecesFolder(id: string): ArtifactPath {
  return parsePath(`${id}/${FOLDER}`)
}

/** The piece that an entry with the key `key` is; undefined for anything else. */
export function pieceOf(key: string, entry: Entry): Piece | undefined {
  const digits = KEY.exec(key)?.[1]
  if (digits === undefined) return undefined
  const start = Number(digits)
  return { start, end: start + entry.size, entry }
}

/**
 * The bytes of `pieces`, in order; fails with Changed where a piece is not what was listed. Nobody writes a piece twice, so its size tells, and not its tag, which a list of
 * a network file system may have wrong.
 */
export async function* readPieces(
  store: ArtifactStore,
  pieces: readonly Piece[],
  signal: AbortSignal,
): AsyncGenerator<Uint8Array> {
  for (const { entry } of pieces) {
    const artifact = await store.open(entry.path, { signal })
    try {
      if (artifact.entry.size !== entry.size) throw storeError('Changed', 'read', entry.path)
      yield* artifact.read(0, entry.size, { signal })
    } finally {
      await artifact.close()
    }
  }
}

export interface PieceWriterOptions {
  readonly store: ArtifactStore
  readonly id: string
  /** Where the first new piece begins: the end of the last one that is there. */
  readonly offset: number
  /** Bytes that may be added. */
  readonly limit: number
  /** Whether all of it becomes one piece, of any size, so that nothing counts before all has come. */
  readonly inOne: boolean
  readonly pieceBytes: number
}

/**
 * Adds pieces to an upload. Everybody who adds to it, at other replicas too, makes the next piece under the same name and only where it is not there yet, so of several
 * one goes on and the others fail with OffsetMismatch; and because the one after it is begun only then, the pieces are always a chain without holes.
 *
 * One step at a time. Whoever made it must call `keep` or `drop`; after a failed step, either does nothing but clean up.
 */
export class PieceWriter {
  readonly #options: PieceWriterOptions
  #offset: number
  #left: number
  #piece: PendingArtifact | undefined
  #inPiece = 0
  #begunMs = 0

  constructor(options: PieceWriterOptions) {
    this.#options = options
    this.#offset = options.offset
    this.#left = options.limit
  }

  /** The end of what is kept for good. */
  get offset(): number {
    return this.#offset
  }

  /** Fails with TooLarge, and takes nothing of `chunk`, where it is more than may come. */
  async write(chunk: Uint8Array): Promise<void> {
    this.#left -= chunk.length
    if (this.#left < 0)
      throw new AppError('TooLarge', 'More bytes came than the upload has.', { op: 'receive' })
    const { inOne, pieceBytes } = this.#options
    for (let rest = chunk; rest.length > 0;) {
      const part = inOne ? rest : rest.subarray(0, pieceBytes - this.#inPiece)
      await this.#write(part)
      rest = rest.subarray(part.length)
      if (!inOne && (this.#inPiece === pieceBytes || this.#isOld)) await this.keep()
    }
  }

  /** Makes what was written since the last piece a piece. */
  async keep(): Promise<void> {
    const piece = this.#piece
    if (piece === undefined) return
    await this.#step(() => piece.complete())
    this.#piece = undefined
    this.#offset += this.#inPiece
    this.#inPiece = 0
  }

  /** Leaves nothing of what was written since the last piece. Never fails. */
  async drop(): Promise<void> {
    const piece = this.#piece
    this.#piece = undefined
    this.#inPiece = 0
    await piece?.abort()
  }

  get #isOld(): boolean {
    return performance.now() - this.#begunMs > PIECE_MS
  }

  async #write(part: Uint8Array): Promise<void> {
    const { store, id } = this.#options
    if (this.#piece === undefined) this.#begunMs = performance.now()
    await this.#step(async () => {
      this.#piece ??= await store.create(parsePath(`${id}/${pieceKey(this.#offset)}`), {
        precondition: { type: 'absent' },
      })
      await this.#piece.write(part)
    })
    this.#inPiece += part.length
  }

  async #step(work: () => Promise<unknown>): Promise<void> {
    try {
      await work()
    } catch (error) {
      await this.drop()
      if (!isAppError(error, 'Changed')) throw error
      throw new AppError(
        'OffsetMismatch',
        'Somebody else has added to this upload meanwhile: ask for its offset, and go on there.',
        { op: 'receive', cause: error },
      )
    }
  }
}
