// Content as a deflate stream that is made block by block: several at a time, and those that would not shrink are stored as they are, at a fifteenth of
// the cost.
import { promisify } from 'node:util'
import { constants, deflateRaw, deflateRawSync } from 'node:zlib'
import { aborted } from './archive-abort.ts'
import type { ReadResources } from './archive-resources.ts'
import type { SlabPool } from './rope-buffers.ts'
import { Gather } from './rope-gather.ts'
import { Lookahead } from './rope-lookahead.ts'
import { storedBlocks } from './zip-blocks.ts'

const deflateWhole = promisify(deflateRaw)

/** Level 6 costs five times the time of level 1 for a tenth of the size: text shrinks at any level. */
export const DEFLATE_LEVEL = 1
/** Each block is compressed without looking at those before it: at this size that costs text a few thousandths. */
const BLOCK_BYTES = 512 * 1024
/** Blocks under way or waiting to be taken. */
const BLOCKS_AHEAD = 4
/** What one run of the compressor may give: more than most blocks need. */
const OUTPUT_BYTES = 256 * 1024
const SPOTS = 32
const SPOT_BYTES = 256
/** So many bytes of a spot have 160 different values where all are equally likely, and 64 in base64. */
const PLAIN_BYTES = 96
const SAMPLES = 4
const SAMPLE_BYTES = 2 * 1024
/** A block whose sample keeps more than this is stored: the weights of a model keep 93 % in 32 bits, and no text keeps as much. */
const WORTHWHILE = 0.9
/** An empty block of fixed codes, the last one of its stream (RFC 1951 3.2.6). */
const LAST_BLOCK = Buffer.from([3, 0])

/** What the blocks under way are held in, and the bounds for those ahead of their turn. */
export type BlockMemory = Pick<ReadResources, 'ahead' | 'slabs'>

type Block = { readonly stored: Buffer } | { readonly deflated: Uint8Array }

/**
 * Gives the deflate stream of what `read` gives to `out`, and yields every chunk that `out` yields.
 *
 * What becomes of a byte depends on the content alone, not on how it is cut into chunks. Each chunk of `read` is used up before the next is asked for; its
 * failure is thrown after everything before it, and is Aborted when `signal` is. Whatever ends the stream, the signal that `read` got is aborted and
 * nothing is under way any more.
 */
export async function* deflated(
  read: (signal: AbortSignal) => AsyncIterable<Uint8Array>,
  { ahead: limits, slabs }: BlockMemory,
  out: Gather,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array, void> {
  let blocks: AsyncGenerator<Uint8Array, void> | undefined
  const load = async (reading: AbortSignal): Promise<Block | undefined> => {
    // Loads begin in order, and a generator answers in the order in which it is asked.
    blocks ??= blocksOf(read(reading), slabs)
    const { value } = await blocks.next()
    return value === undefined ? undefined : deflateBlock(value as Buffer, slabs)
  }
  const ahead = new Lookahead(() => ({ size: BLOCK_BYTES, load }), signal, {
    ...limits,
    pieces: BLOCKS_AHEAD,
  })
  try {
    for (let index = 0; ; index++) {
      const block = await ahead.take(index)
      if (block === undefined) break
      if ('stored' in block) {
        yield* storedBlocks(block.stored, out)
        giveBack(block.stored, slabs)
      } else {
        yield* out.append(block.deflated)
        // Not kept until the chunk is full: where the source is slow and shrinks well, that would take long.
        yield* out.flush()
      }
    }
    yield* out.append(LAST_BLOCK)
  } catch (error) {
    throw signal.aborted ? aborted() : error
  } finally {
    await ahead.cancel()
    await blocks?.return()
  }
}

async function* blocksOf(
  chunks: AsyncIterable<Uint8Array>,
  slabs: SlabPool,
): AsyncGenerator<Uint8Array, void> {
  const gather = new Gather(Number.POSITIVE_INFINITY, { take: () => slabs.take(BLOCK_BYTES) })
  for await (const chunk of chunks) yield* gather.append(chunk)
  yield* gather.flush()
}

async function deflateBlock(content: Buffer, slabs: SlabPool): Promise<Block> {
  if (!shrinks(content)) return { stored: content }
  const deflated = await deflateWhole(content, {
    level: DEFLATE_LEVEL,
    chunkSize: OUTPUT_BYTES,
    // Ends at a whole byte, and not as the last block of the stream.
    finishFlush: constants.Z_SYNC_FLUSH,
  })
  giveBack(content, slabs)
  return { deflated }
}

function giveBack(content: Buffer, slabs: SlabPool): void {
  // The last block may be a part of its slab.
  if (content.length === BLOCK_BYTES) slabs.give(content)
}

/** Whether deflating would save about a tenth; judged by samples, on this thread, in less time than handing them to another takes. */
function shrinks(content: Buffer): boolean {
  return plainShare(content) > 1 - WORTHWHILE || sampleShrinks(content)
}

/** The share of the block that has few different bytes, as text and zeros have: finds those between incompressible members. */
function plainShare(content: Buffer): number {
  const seen = new Uint8Array(256)
  let plain = 0
  for (let spot = 1; spot <= SPOTS; spot++) {
    const begin = Math.floor(((spot - 1) * content.length) / SPOTS)
    const end = Math.min(begin + SPOT_BYTES, content.length)
    let different = 0
    for (let at = begin; at < end; at++) {
      const byte = content[at]!
      if (seen[byte] !== spot) different++
      seen[byte] = spot
    }
    if (different < PLAIN_BYTES) plain++
  }
  return plain / SPOTS
}

/** Finds what repeats although it has all bytes, such as numbers out of a small set. */
function sampleShrinks(content: Buffer): boolean {
  const step = Math.floor(content.length / SAMPLES)
  const samples = Array.from({ length: SAMPLES }, (_, i) =>
    content.subarray(i * step, i * step + SAMPLE_BYTES),
  )
  const sample = Buffer.concat(samples)
  // A window of all samples together; more would only be more memory to make.
  const deflated = deflateRawSync(sample, { level: DEFLATE_LEVEL, windowBits: 13, memLevel: 7 })
  return deflated.length < sample.length * WORTHWHILE
}
