// Compressed tars: made while the tar rope is read. Their length is not known before they are made, so they have neither ranges nor validators.
import { constants, createZstdCompress } from 'node:zlib'
import type { Transform } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import type { ReadOptions } from '../store/store.ts'
import { aborted } from './archive-abort.ts'
import { counting, RunningCrc } from './crc.ts'
import { deflated, type BlockMemory } from './deflate-blocks.ts'
import { rotatingBuffers } from './rope-buffers.ts'
import { Gather } from './rope-gather.ts'
import { readRope, ropeSize, type Rope } from './rope.ts'

const ZSTD_LEVEL = 3
/** What zstd gives at a time. */
const ZSTD_OUTPUT_BYTES = 128 * 1024
const READ_BYTES = 128 * 1024
/** RFC 1952 2.3: deflate, no flags, no time, compressed for speed, on no system in particular: equal trees give equal files. */
const GZIP_HEADER = Buffer.from([0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 4, 255])

/** One member, so that every reader finds its end. */
export async function* gzippedRope(
  rope: Rope,
  memory: BlockMemory,
  options: ReadOptions & { readonly signal: AbortSignal },
): AsyncGenerator<Uint8Array, void> {
  const size = ropeSize(rope)
  const out = new Gather(Number.POSITIVE_INFINITY, options.buffers)
  const running = new RunningCrc({ upTo: 0, crc: 0 }, 0)
  const read = (signal: AbortSignal): AsyncIterable<Uint8Array> =>
    counting(readRope(rope, 0, size, { signal, buffers: rotatingBuffers(READ_BYTES) }), running)
  yield* out.append(GZIP_HEADER)
  yield* deflated(read, memory, out, options.signal)
  const trailer = Buffer.alloc(8)
  trailer.writeUInt32LE(running.prefix.crc, 0)
  trailer.writeUInt32LE(size % 2 ** 32, 4)
  yield* out.append(trailer)
  yield* out.flush()
}

export function zstdRope(
  rope: Rope,
  { signal }: { readonly signal: AbortSignal },
): AsyncIterable<Uint8Array> {
  const params = {
    [constants.ZSTD_c_compressionLevel]: ZSTD_LEVEL,
    [constants.ZSTD_c_checksumFlag]: 1,
  }
  // In fresh memory: a compressor may still work on a chunk when the next one is asked for.
  const tar = readRope(rope, 0, ropeSize(rope), { signal })
  return through(tar, createZstdCompress({ params, chunkSize: ZSTD_OUTPUT_BYTES }), signal)
}

/**
 * What `transform` makes of `source`, whose chunks must be fresh memory. A failing source fails it; it ends well only when the source did. Whatever ends
 * it, the source has been told to stop and the transform is destroyed.
 */
async function* through(
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
