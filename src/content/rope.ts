// Ropes: contents made of pieces whose sizes are known before any of them is read, so that any range of an archive can be read by itself.
import { AppError } from '../errors.ts'
import type { ReadOptions } from '../store/store.ts'
import { Gather } from './rope-gather.ts'
import { Lookahead, type AheadLimits } from './rope-lookahead.ts'

/** The bytes of a piece, in order, until they are released. */
export interface Loaded {
  readonly chunks: readonly Uint8Array[]
  /** Called once when they have been used; not at all when the read ends before. Their memory may then be used again. */
  release?(): void
}

/** A piece that is small enough to be held: it is loaded whole, ahead of its turn, and cut afterwards. */
export interface WholePiece {
  readonly size: number
  /** A piece that is `late` is loaded only when everything before it has been, because it needs what those found (a checksum). */
  readonly late?: boolean
  /** Gives `size` bytes, or fails. */
  load(signal: AbortSignal): Promise<Loaded>
}

/** A piece of any size, read in its turn. */
export interface StreamedPiece {
  readonly size: number
  readonly parts: readonly Part[]
}

export interface Part {
  readonly size: number
  /** Gives its bytes [start, end) to `out` and yields every chunk that `out` yields; exactly `end - start` bytes, or fails. */
  read(
    start: number,
    end: number,
    out: Gather,
    options: ReadOptions,
  ): AsyncIterable<Uint8Array> | Iterable<Uint8Array>
}

export type Piece = WholePiece | StreamedPiece

/** Pieces are made when they are needed: an archive of a million members keeps a million numbers, not a million objects. */
export interface Rope {
  /** Where each piece begins, ascending, and where the last one ends. */
  readonly offsets: Float64Array
  /** Bounds what is loaded ahead. */
  readonly ahead?: AheadLimits
  piece(index: number): Piece
}

export function ropeSize(rope: Rope): number {
  return rope.offsets[rope.offsets.length - 1]!
}

/** A part that is known already, such as a header or padding. */
export function bytesPart(bytes: Uint8Array): Part {
  return { size: bytes.length, read: (start, end, out) => out.append(bytes.subarray(start, end)) }
}

/**
 * The bytes [start, end) of a rope, with the obligations of `OpenArtifact.read`.
 *
 * Small pieces are loaded ahead and gathered into chunks of the buffers' size; the rest is streamed. Whatever ends the read, an error, an abort or the
 * consumer's return, all loading has stopped when it has ended.
 */
export async function* readRope(
  rope: Rope,
  start: number,
  end: number,
  options: ReadOptions = {},
): AsyncGenerator<Uint8Array, void> {
  checkRange(rope, start, end)
  if (start === end) return
  const out = new Gather(end - start, options.buffers)
  const first = pieceAt(rope.offsets, start)
  const ahead = new Lookahead(index => loadAhead(rope, index, end), options.signal, rope.ahead)
  try {
    for (let index = first; index < rope.offsets.length - 1 && rope.offsets[index]! < end; index++) {
      const offset = rope.offsets[index]!
      const from = Math.max(start - offset, 0)
      const to = Math.min(end, rope.offsets[index + 1]!) - offset
      const piece = rope.piece(index)
      const expected = out.written + (to - from)
      if ('load' in piece) {
        const loaded = await wholePiece(ahead, index, piece.size)
        yield* appendSlice(out, loaded.chunks, from, to)
        loaded.release?.()
      } else yield* readParts(piece.parts, from, to, out, options)
      if (out.written !== expected) throw misfit(index)
    }
    yield* out.flush()
  } finally {
    await ahead.cancel()
  }
}

function checkRange(rope: Rope, start: number, end: number): void {
  if (start < 0 || start > end || end > ropeSize(rope))
    throw new AppError('Internal', 'A range outside of the archive was read.', { op: 'read' })
}

/** What the lookahead may load for a read that ends at `end`. */
function loadAhead(rope: Rope, index: number, end: number): WholePiece | undefined {
  if (index >= rope.offsets.length - 1 || rope.offsets[index]! >= end) return undefined
  const piece = rope.piece(index)
  return 'load' in piece ? piece : undefined
}

/** The last piece that begins at or before `offset`. */
function pieceAt(offsets: Float64Array, offset: number): number {
  let low = 0
  let high = offsets.length - 1
  while (high - low > 1) {
    const middle = (low + high) >>> 1
    if (offsets[middle]! <= offset) low = middle
    else high = middle
  }
  return low
}

/** Checks the size even where the range needs only a part: a piece of another size is another content. */
async function wholePiece(ahead: Lookahead<Loaded>, index: number, size: number): Promise<Loaded> {
  const loaded = await ahead.take(index)
  if (loaded.chunks.reduce((sum, chunk) => sum + chunk.length, 0) !== size) throw misfit(index)
  return loaded
}

function* appendSlice(
  out: Gather,
  chunks: readonly Uint8Array[],
  from: number,
  to: number,
): Generator<Uint8Array, void> {
  let position = 0
  for (const chunk of chunks) {
    const begin = Math.max(from - position, 0)
    const end = Math.min(to - position, chunk.length)
    if (begin < end) yield* out.append(chunk.subarray(begin, end))
    position += chunk.length
  }
}

async function* readParts(
  parts: readonly Part[],
  from: number,
  to: number,
  out: Gather,
  options: ReadOptions,
): AsyncGenerator<Uint8Array, void> {
  let position = 0
  for (const part of parts) {
    const begin = Math.max(from - position, 0)
    const end = Math.min(to - position, part.size)
    if (begin < end) yield* part.read(begin, end, out, options)
    position += part.size
  }
}

function misfit(index: number): AppError {
  return new AppError('Internal', `Piece ${index} of the archive does not have the size that was promised.`, {
    op: 'read',
  })
}
