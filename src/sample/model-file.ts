// The model file of the sample: 64 MiB in the safetensors format (a length, a JSON index, and the tensors' bytes).
import { Random } from './random.ts'

const MODEL_BYTES = 64 * 1024 * 1024

/** The index begins after its own length, a little-endian uint64. */
export const MODEL_INDEX_START = 8

/** Length and index together; the index is padded with spaces, as the format allows, so that the tensors begin aligned. */
export const MODEL_HEADER_BYTES = 1024

const COLUMNS = 256
const FLOAT_BYTES = 4
const CHUNK_BYTES = 1024 * 1024

/** Rows of each matrix; together they fill the file to the byte. */
const MATRICES: readonly (readonly [name: string, rows: number])[] = [
  ['embedding.weight', 32_000],
  ...Array.from({ length: 6 }, (_, layer) => [`encoder.${layer}.weight`, 4096] as const),
  ['head.weight', 8959],
]

/** The file in chunks of at most 1 MiB; a chunk is overwritten by the next one. */
export function* modelFile(seed: number): Generator<Uint8Array> {
  yield header()
  const random = new Random(seed)
  const chunk = Buffer.alloc(CHUNK_BYTES)
  // A view of the machine's byte order would make another file on a big-endian machine.
  const view = new DataView(chunk.buffer, chunk.byteOffset, chunk.byteLength)
  for (let left = MODEL_BYTES - MODEL_HEADER_BYTES; left > 0; left -= CHUNK_BYTES) {
    const length = Math.min(left, CHUNK_BYTES)
    for (let offset = 0; offset < length; offset += FLOAT_BYTES)
      view.setInt32(offset, weightBits(random), true)
    yield chunk.subarray(0, length)
  }
}

/** A finite float32 between 2^-7 and 2^-6 of either sign: arbitrary bits would hold NaN and infinities, which no trained weight is. */
function weightBits(random: Random): number {
  return (random.nextInt32() & 0x807fffff) | 0x3c000000
}

function header(): Buffer {
  let end = 0
  const tensors = MATRICES.map(([name, rows]) => {
    const start = end
    end += rows * COLUMNS * FLOAT_BYTES
    return [name, { dtype: 'F32', shape: [rows, COLUMNS], data_offsets: [start, end] }]
  })
  const index = JSON.stringify({ __metadata__: { format: 'pt' }, ...Object.fromEntries(tensors) })
  const encoded = Buffer.alloc(MODEL_HEADER_BYTES, ' ')
  encoded.writeBigUInt64LE(BigInt(MODEL_HEADER_BYTES - MODEL_INDEX_START), 0)
  encoded.write(index, MODEL_INDEX_START)
  return encoded
}
