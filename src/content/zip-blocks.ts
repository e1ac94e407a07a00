// Content as a deflate stream of stored blocks (RFC 1951 3.2.4): not compressed, of known size, and readable from any position, while every
// streaming reader finds its end, which with a stored entry and a data descriptor several do not.
import type { Gather } from './rope-gather.ts'

const MAX_BLOCK = 65_535
const BLOCK_HEADER = 5
const FRAMED_BLOCK = BLOCK_HEADER + MAX_BLOCK

/** Bytes of the stream for a content of `size` bytes, which must not be empty. */
export function framedSize(size: number): number {
  return size + BLOCK_HEADER * Math.ceil(size / MAX_BLOCK)
}

/** How much content comes before `position` of the stream. */
export function contentBefore(position: number, size: number): number {
  const inBlock = Math.max((position % FRAMED_BLOCK) - BLOCK_HEADER, 0)
  return Math.min(Math.floor(position / FRAMED_BLOCK) * MAX_BLOCK + inBlock, size)
}

/**
 * The bytes [start, end) of the stream for a content of `size` bytes; `chunks` gives the content from `contentBefore(start)` to
 * `contentBefore(end)`, and each chunk is used up before the next is asked for.
 */
export async function* frame(
  chunks: AsyncIterable<Uint8Array>,
  size: number,
  start: number,
  end: number,
  out: Gather,
): AsyncGenerator<Uint8Array, void> {
  let position = start
  for await (const chunk of chunks) {
    for (let taken = 0; taken < chunk.length;) {
      const header = headerAt(position, size, end)
      yield* out.append(header)
      position += header.length
      const count = Math.min(FRAMED_BLOCK - (position % FRAMED_BLOCK), chunk.length - taken)
      yield* out.append(chunk.subarray(taken, taken + count))
      position += count
      taken += count
    }
  }
  // The range may end within a header.
  yield* out.append(headerAt(position, size, end))
}

/** Gives `bytes` to `out` as blocks none of which is the last of its stream. */
export function* storedBlocks(bytes: Uint8Array, out: Gather): Generator<Uint8Array, void> {
  for (let at = 0; at < bytes.length; at += MAX_BLOCK) {
    const content = bytes.subarray(at, at + MAX_BLOCK)
    yield* out.append(blockHeader(content.length, false))
    yield* out.append(content)
  }
}

const NO_HEADER = Buffer.alloc(0)

/** What the stream has at `position` of a block's header, up to `end`; nothing inside a block. */
function headerAt(position: number, size: number, end: number): Uint8Array {
  const inBlock = position % FRAMED_BLOCK
  if (inBlock >= BLOCK_HEADER || position >= end) return NO_HEADER
  const left = size - Math.floor(position / FRAMED_BLOCK) * MAX_BLOCK
  const header = blockHeader(Math.min(left, MAX_BLOCK), left <= MAX_BLOCK)
  return header.subarray(inBlock, inBlock + (end - position))
}

function blockHeader(length: number, isLast: boolean): Buffer {
  const header = Buffer.alloc(BLOCK_HEADER)
  header.writeUInt8(isLast ? 1 : 0, 0)
  header.writeUInt16LE(length, 1)
  header.writeUInt16LE(length ^ 0xffff, 3)
  return header
}
