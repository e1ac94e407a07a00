// Compressed tars: the tar rope through node:zlib. Their length is not known before they are made, so they have neither ranges nor validators.
import { constants, createGzip, createZstdCompress } from 'node:zlib'
import type { Transform } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { aborted } from './archive-abort.ts'
import { readRope, ropeSize, type Rope } from './rope.ts'

/** Level 6 costs five times the time of level 1 for a tenth of the size: model files hardly shrink, and text shrinks at any level. */
export const DEFLATE_LEVEL = 1
const ZSTD_LEVEL = 3
/** What a compressor gives at a time. */
export const OUTPUT_BYTES = 128 * 1024

export function gzippedRope(rope: Rope, signal: AbortSignal): AsyncIterable<Uint8Array> {
  // node:zlib writes no time and no name into the header, so equal trees give equal files.
  return compressedRope(rope, createGzip({ level: DEFLATE_LEVEL, chunkSize: OUTPUT_BYTES }), signal)
}

export function zstdRope(rope: Rope, signal: AbortSignal): AsyncIterable<Uint8Array> {
  const params = {
    [constants.ZSTD_c_compressionLevel]: ZSTD_LEVEL,
    [constants.ZSTD_c_checksumFlag]: 1,
  }
  return compressedRope(rope, createZstdCompress({ params, chunkSize: OUTPUT_BYTES }), signal)
}

function compressedRope(rope: Rope, compressor: Transform, signal: AbortSignal): AsyncIterable<Uint8Array> {
  // In fresh memory: a compressor may still work on a chunk when the next one is asked for.
  return through(readRope(rope, 0, ropeSize(rope), { signal }), compressor, signal)
}

/**
 * What `transform` makes of `source`, whose chunks must be fresh memory. A failing source fails it; it ends well only when the source did. Whatever ends
 * it, the source has been told to stop and the transform is destroyed.
 */
export async function* through(
  source: AsyncIterable<Uint8Array>,
  transform: Transform,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array, void> {
  const running = pipeline(source, transform, { signal })
  // The failure is seen when `running` is awaited below; until then it must not count as unhandled.
  running.catch(() => undefined)
  try {
    for await (const chunk of transform) yield chunk as Uint8Array
    await running
  } catch (error) {
    throw signal.aborted ? aborted() : error
  } finally {
    transform.destroy()
    await running.catch(() => undefined)
  }
}
