// Uploads that can be broken off and resumed, kept in the outputs store itself, so that any replica can go on with what another one began.
import { createHash } from 'node:crypto'
import { AppError, isAppError } from '../errors.ts'
import { fill } from '../store/fill.ts'
import { UPLOADS_FOLDER } from '../store/own-folder.ts'
import { parsePath, ROOT, type ArtifactPath } from '../store/path.ts'
import { LEFT_MS } from '../store/sweeping.ts'
import { listKey, type ArtifactStore, type Entry, type Precondition } from '../store/store.ts'
import { isStaged } from './staged-upload.ts'
import { readWhole } from './read-whole.ts'
import {
  PIECE_BYTES,
  pieceKey,
  pieceOf,
  piecesFolder,
  PieceWriter,
  readPieces,
  type Piece,
} from './upload-pieces.ts'

export interface UploadRecord {
  /** Bytes of the whole; undefined where they are said later. */
  readonly size: number | undefined
  /** What the client said of it, as it said it. */
  readonly metadata: string
}

export interface Upload extends UploadRecord {
  readonly id: string
  /** Bytes that are kept. */
  readonly offset: number
  /** Whether the file is where it is to be. */
  readonly isFinished: boolean
  /** When it is removed if nothing more comes. */
  readonly expiresMs: number
}

/** Where the bytes are to be in the end. */
export interface Destination {
  readonly store: ArtifactStore
  readonly path: ArtifactPath
  /** What must be true there in that moment; fails with Changed where it is not now. */
  readonly precondition: () => Promise<Precondition | undefined>
}

interface Found {
  readonly names: ReadonlySet<string>
  readonly pieces: readonly Piece[]
  readonly progressMs: number | undefined
}

/** The artifacts of an upload beside its bytes. Each is written once. */
const RECORD = 'record'
const SIZE = 'size'
const FINISHED = 'finished'

export class ResumableUploads {
  readonly #store: ArtifactStore
  readonly #expireAfterMs: number
  readonly #pieceBytes: number

  /** `store` is that of a whole connection. */
  constructor(store: ArtifactStore, expireAfterMs: number, pieceBytes = PIECE_BYTES) {
    this.#store = store.scoped(UPLOADS_FOLDER)
    this.#expireAfterMs = expireAfterMs
    this.#pieceBytes = pieceBytes
  }

  /** `id` must be one that nobody can guess. */
  async create(id: string, { size, metadata }: UploadRecord): Promise<Upload> {
    const createdMs = Date.now()
    await this.#put(`${id}/${RECORD}`, JSON.stringify({ version: 1, size, metadata, createdMs }))
    return { id, size, metadata, offset: 0, isFinished: false, expiresMs: createdMs + this.#expireAfterMs }
  }

  /** The upload, which the caller believes to be at the offset `near`: it is cheap to find out that that is right. NotFound for none, and for one that has expired. */
  async find(id: string, near?: number): Promise<Upload> {
    const { names, pieces, progressMs } = await this.#lookNear(id, near ?? 0)
    if (!names.has(RECORD)) throw noSuchUpload()
    const record = JSON.parse(await this.#text(`${id}/${RECORD}`)) as UploadRecord & { createdMs: number }
    const size = names.has(SIZE) ? Number(await this.#text(`${id}/${SIZE}`)) : record.size
    const isFinished = names.has(FINISHED)
    const expiresMs = (progressMs ?? record.createdMs) + this.#expireAfterMs
    if (expiresMs < Date.now()) throw noSuchUpload()
    const offset = isFinished ? size! : (pieces.at(-1)?.end ?? 0)
    return { id, size, metadata: record.metadata, offset, isFinished, expiresMs }
  }

  /** Fails as the first byte would where the store takes none at all. */
  checkWritable(signal: AbortSignal): Promise<void> {
    return this.#store.checkWritable({ signal })
  }

  /** Says how many bytes an upload has that has not said so before. InvalidArgument where another number has been said meanwhile. */
  async declareSize(upload: Upload, size: number): Promise<Upload> {
    const path = `${upload.id}/${SIZE}`
    try {
      await this.#put(path, String(size), { type: 'absent' })
    } catch (error) {
      if (!isAppError(error, 'Changed')) throw error
      const declared = Number(await this.#text(path))
      if (declared !== size)
        throw new AppError('InvalidArgument', `The length of the upload is ${declared} bytes already.`, {
          op: 'receive',
        })
    }
    return { ...upload, size }
  }

  /** For up to `limit` more bytes; `inOne` where none may count before all of them have come. */
  append({ id, offset }: Upload, limit: number, inOne: boolean): PieceWriter {
    return new PieceWriter({ store: this.#store, id, offset, limit, inOne, pieceBytes: this.#pieceBytes })
  }

  /** The upload after `offset` bytes of it were kept just now. */
  progressed(upload: Upload, offset: number): Upload {
    return { ...upload, offset, expiresMs: Date.now() + this.#expireAfterMs }
  }

  /**
   * Makes all bytes of the upload the artifact at `destination`, in one step. Where that fails they stay, so that it can be tried again.
   *
   * It may have been done before, by a replica that could not say so any more; so what stands there with the same content is taken for it, and the precondition for kept.
   */
  async finish(upload: Upload, destination: Destination, signal: AbortSignal): Promise<Upload> {
    const found = await this.#look(upload.id)
    if (found.names.has(FINISHED)) return { ...upload, isFinished: true }
    const pieces = wholeOf(upload, found.pieces)
    try {
      await this.#copy(upload, pieces, destination, signal)
    } catch (error) {
      if (!isAppError(error, 'Changed', 'NotFound')) throw error
      if (!(await this.#isDone(upload, pieces, destination, signal))) throw error
    }
    // It is done, whatever becomes of this: without the mark, it is done once more when the client asks again.
    await this.#put(`${upload.id}/${FINISHED}`, '')
      .then(() => this.#store.removeAll(piecesFolder(upload.id)))
      .catch(() => undefined)
    return { ...upload, isFinished: true }
  }

  /** NotFound where there is none. */
  async remove(id: string): Promise<void> {
    const { failures } = await this.#store.removeAll(parsePath(id)).catch((error: unknown) => {
      throw isAppError(error, 'NotFound') ? noSuchUpload() : error
    })
    if (failures[0] !== undefined) throw failures[0].error
  }

  /** Removes what has expired, what a removal has left, and files of ended processes that wait for their place; gives the number of uploads. */
  async sweep(signal: AbortSignal): Promise<number> {
    let removed = 0
    for await (const folder of this.#folders(signal)) {
      const { progressMs = folder.lastModifiedMs } = await this.#look(folder.path).catch(missing)
      // Of a file that is still being received, nothing shows for as long as that takes.
      const keptMs = isStaged(folder.path) ? Math.max(LEFT_MS, this.#expireAfterMs) : this.#expireAfterMs
      if (progressMs === undefined || progressMs + keptMs >= Date.now()) continue
      await this.#store.removeAll(folder.path, { signal }).catch(missing)
      removed += 1
    }
    return removed
  }

  async *#folders(signal: AbortSignal): AsyncGenerator<Entry> {
    try {
      for await (const batch of this.#store.list(ROOT, { signal }))
        for (const entry of batch) if (entry.type === 'directory') yield entry
    } catch (error) {
      if (!isAppError(error, 'NotFound')) throw error
    }
  }

  /** With its last piece at least, and not all of them where that one ends at `offset`. */
  async #lookNear(id: string, offset: number): Promise<Found> {
    const first = offset - this.#pieceBytes
    if (first > 0) {
      const found = await this.#look(id, pieceKey(first - 1))
      if (found.pieces.at(-1)?.end === offset) return found
    }
    return this.#look(id)
  }

  async #look(id: string, after = ''): Promise<Found> {
    const folder = parsePath(id)
    const names = new Set<string>()
    const pieces: Piece[] = []
    const times: number[] = []
    try {
      for await (const batch of this.#store.list(folder, { recursive: true, after }))
        for (const entry of batch) {
          const key = listKey(folder, entry)
          const piece = pieceOf(key, entry)
          if (piece === undefined) names.add(key)
          else pieces.push(piece)
          if (entry.lastModifiedMs !== undefined) times.push(entry.lastModifiedMs)
        }
    } catch (error) {
      throw isAppError(error, 'NotFound') ? noSuchUpload() : error
    }
    const progressMs = times.reduce<number | undefined>((last, ms) => Math.max(last ?? ms, ms), undefined)
    return { names, pieces, progressMs }
  }

  async #copy(
    { size }: Upload,
    pieces: readonly Piece[],
    { store, path, precondition }: Destination,
    signal: AbortSignal,
  ): Promise<void> {
    const held = await precondition()
    const pending = await store.create(path, { size: size!, signal, ...(held && { precondition: held }) })
    await fill(pending, readPieces(this.#store, pieces, signal))
  }

  /** Whether the file is where it is to be, although we could not put it there. */
  async #isDone(
    upload: Upload,
    pieces: readonly Piece[],
    destination: Destination,
    signal: AbortSignal,
  ): Promise<boolean> {
    const isThere = await this.#isThere(upload, pieces, destination, signal).catch(() => false)
    // Who has put it there says so and then removes the pieces, perhaps while we were comparing.
    return isThere || (await this.#look(upload.id)).names.has(FINISHED)
  }

  async #isThere(
    { size }: Upload,
    pieces: readonly Piece[],
    { store, path }: Destination,
    signal: AbortSignal,
  ): Promise<boolean> {
    const artifact = await store.open(path, { signal })
    try {
      if (artifact.entry.size !== size) return false
      const there = await digestOf(artifact.read(0, size, { signal }))
      return there === (await digestOf(readPieces(this.#store, pieces, signal)))
    } finally {
      await artifact.close()
    }
  }

  async #put(path: string, text: string, precondition?: Precondition): Promise<void> {
    const bytes = Buffer.from(text)
    const options = { size: bytes.length, ...(precondition && { precondition }) }
    await fill(await this.#store.create(parsePath(path), options), [bytes])
  }

  async #text(path: string): Promise<string> {
    const artifact = await this.#store.open(parsePath(path))
    try {
      return (await readWhole(artifact)).toString()
    } finally {
      await artifact.close()
    }
  }
}

/** All pieces of an upload that has all of them. */
function wholeOf({ size }: Upload, pieces: readonly Piece[]): readonly Piece[] {
  let end = 0
  for (const piece of pieces) {
    if (piece.start !== end) break
    end = piece.end
  }
  if (end === size && (pieces.at(-1)?.end ?? 0) === size) return pieces
  throw new AppError('NotFound', 'The bytes of this upload are gone: begin it anew.', { op: 'read' })
}

async function digestOf(bytes: AsyncIterable<Uint8Array>): Promise<string> {
  const hash = createHash('sha256')
  for await (const chunk of bytes) hash.update(chunk)
  return hash.digest('hex')
}

function missing(error: unknown): { readonly progressMs?: undefined } {
  if (isAppError(error, 'NotFound')) return {}
  throw error
}

export function noSuchUpload(): AppError {
  return new AppError('NotFound', 'There is no such upload (any more): begin it anew.', { op: 'resolve' })
}
