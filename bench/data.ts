// The run that is served: real bytes that do not compress and do not repeat, so that a part sent twice or in the wrong place shows.
import { createCipheriv, createHash } from 'node:crypto'
import { closeSync, mkdirSync, openSync, writeFileSync, writeSync } from 'node:fs'
import { dirname, join } from 'node:path'

export interface DataFile {
  /** Relative to the run. */
  readonly path: string
  readonly size: number
  readonly sha256: string
}

export interface Folder {
  /** Relative to the run, with a trailing slash. */
  readonly path: string
  readonly files: readonly DataFile[]
  readonly size: number
}

export interface Data {
  /** The folder that a service is pointed at; the run lies in `RUN` below it. */
  readonly root: string
  readonly big: DataFile
  /** A quarter of `big`, for eight connections at once. */
  readonly quarter: DataFile
  /** The large object of the object store. */
  readonly object: DataFile
  readonly small: Folder
  readonly many: Folder
  readonly mixed: Folder
  /** In the run of Polyaxon 2.x, which lies in `POLYAXON_RUN` below the root. */
  readonly model: Folder
}

export interface Scale {
  readonly bigBytes: number
  readonly objectBytes: number
  readonly smallFiles: number
  readonly manyFiles: number
  readonly checkpointBytes: number
  readonly modelBytes: number
}

export const FULL: Scale = {
  bigBytes: 2 ** 31,
  objectBytes: 2 ** 30,
  smallFiles: 10_000,
  manyFiles: 10_000,
  checkpointBytes: 700 * 2 ** 20,
  modelBytes: 2 ** 29,
}
export const QUICK: Scale = {
  bigBytes: 2 ** 28,
  objectBytes: 2 ** 28,
  smallFiles: 2_000,
  manyFiles: 2_000,
  checkpointBytes: 100 * 2 ** 20,
  modelBytes: 2 ** 26,
}

/** Path of the run: on disk below the root, in URLs below `/outputs/`, and of its keys in a bucket. */
export const RUN = 'bench/data/experiments/1'

/** Where haupt looks for runs, relative to the root. */
export const POLYAXON_RUNS = 'polyaxon/runs'
export const POLYAXON_RUN = 'a1b2c3d4e5f647089a0b1c2d3e4f5a6b'

export const RANGE_BYTES = 64 * 1024
const SMALL_BYTES = 4096
const CHUNK_BYTES = 2 ** 20

/** Writes the run below `root`, which must be empty. The bytes are the same every time. */
export function makeData(root: string, scale: Scale): Data {
  const write = fileWriter(join(root, RUN))
  const writePolyaxon = fileWriter(join(root, POLYAXON_RUNS, POLYAXON_RUN))
  const weights = writePolyaxon('outputs/model/weights.bin', scale.modelBytes)
  const folder = (path: string, sizes: readonly number[]): Folder => {
    const files = sizes.map((size, i) =>
      write(`${path}part-${String(i % 50).padStart(2, '0')}/${i}.bin`, size),
    )
    return { path, files, size: sizes.reduce((sum, size) => sum + size, 0) }
  }
  return {
    root,
    big: write('model.bin', scale.bigBytes),
    quarter: write('checkpoint.bin', scale.bigBytes / 4),
    object: write('object.bin', scale.objectBytes),
    small: folder(
      'small/',
      Array.from({ length: scale.smallFiles }, () => SMALL_BYTES),
    ),
    // 34 KB on average, as in a run with many plots and metric files.
    many: folder(
      'many/',
      Array.from({ length: scale.manyFiles }, (_, i) => 1024 + ((i * 7919) % 65_536)),
    ),
    mixed: folder('mixed/', [
      ...Array.from({ length: scale.manyFiles / 5 }, (_, i) => 512 + ((i * 104_729) % 200_000)),
      scale.checkpointBytes,
      scale.checkpointBytes,
    ]),
    model: { path: 'outputs/model', files: [weights], size: weights.size },
  }
}

function fileWriter(base: string): (path: string, size: number) => DataFile {
  // AES in counter mode over zeros: a fast stream of pseudo-random bytes.
  const keystream = createCipheriv('aes-128-ctr', Buffer.alloc(16), Buffer.alloc(16))
  const zeros = Buffer.alloc(CHUNK_BYTES)
  return (path, size) => {
    mkdirSync(dirname(join(base, path)), { recursive: true })
    const hash = createHash('sha256')
    const file = openSync(join(base, path), 'wx')
    for (let written = 0; written < size; written += CHUNK_BYTES) {
      const bytes = keystream.update(zeros.subarray(0, Math.min(CHUNK_BYTES, size - written)))
      hash.update(bytes)
      writeSync(file, bytes)
    }
    closeSync(file)
    return { path, size, sha256: hash.digest('hex') }
  }
}

/** A file without meaning that tells whether a server serves the data; its path relative to the run. */
export function writeReadyFile(root: string): string {
  mkdirSync(join(root, RUN), { recursive: true })
  writeFileSync(join(root, RUN, 'ready.txt'), 'ready\n')
  return 'ready.txt'
}
