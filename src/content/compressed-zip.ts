// The deflated zip: made while it is sent. The records are those of the stored zip; only what goes between them is compressed.
import { promisify } from 'node:util'
import { crc32, deflateRaw } from 'node:zlib'
import type { ReadOptions } from '../store/store.ts'
import { SMALL_BYTES, type MemberContents } from './archive-members.ts'
import { counting, RunningCrc } from './crc.ts'
import { DEFLATE_LEVEL, deflated } from './deflate-blocks.ts'
import type { Manifest } from './manifest-columns.ts'
import { rotatingBuffers } from './rope-buffers.ts'
import { Gather } from './rope-gather.ts'
import { Lookahead, type Load } from './rope-lookahead.ts'
import type { Loaded } from './rope.ts'
import * as format from './zip-format.ts'

const deflateWhole = promisify(deflateRaw)
const READ_BYTES = 128 * 1024

interface SmallEntry extends Loaded {
  readonly content: format.ZipContent
  readonly method: typeof format.STORED | typeof format.DEFLATED
}

/** Everything from the first header to the end record. A member that fails ends it with the failure, never tidily. */
export async function* deflatedZip(
  manifest: Manifest,
  contents: MemberContents,
  options: ReadOptions & { readonly signal: AbortSignal },
): AsyncGenerator<Uint8Array, void> {
  const out = new Gather(Number.POSITIVE_INFINITY, options.buffers)
  const entries = new WrittenEntries(manifest)
  const ahead = new Lookahead(index => smallEntry(manifest, contents, index), options.signal, contents.ahead)
  try {
    for (let index = 0; index < manifest.count; index++) {
      const offset = out.written
      if (manifest.size(index) > SMALL_BYTES) {
        const content = yield* writeLarge(manifest, contents, index, out, options.signal)
        entries.add(index, offset, content, format.DEFLATED)
      } else {
        const entry = await ahead.take(index)
        const { content, method } = entry
        yield* out.append(format.localHeader(entries.member(index, method), content))
        for (const chunk of entry.chunks) yield* out.append(chunk)
        entry.release?.()
        entries.add(index, offset, content, method)
      }
    }
    const start = out.written
    for (let index = 0; index < manifest.count; index++) yield* out.append(entries.centralHeader(index))
    yield* out.append(
      format.endRecords({ members: manifest.count, offset: start, size: out.written - start }),
    )
    yield* out.flush()
  } finally {
    await ahead.cancel()
  }
}

/** Small members are compressed whole and side by side: zlib's work is done by the threads of the pool. */
function smallEntry(
  manifest: Manifest,
  contents: MemberContents,
  index: number,
): Load<SmallEntry> | undefined {
  if (index >= manifest.count || manifest.size(index) > SMALL_BYTES) return undefined
  const size = manifest.size(index)
  return {
    size,
    load: async signal => {
      const loaded = await contents.load(index, signal)
      const { chunks } = loaded
      const crc = chunks.reduce((sum, chunk) => crc32(chunk, sum), 0)
      const stored: SmallEntry = {
        ...loaded,
        content: { crc, size, compressedSize: size },
        method: format.STORED,
      }
      const [whole = new Uint8Array(), ...more] = chunks
      if (size === 0) return stored
      const compressed = await deflateWhole(more.length === 0 ? whole : Buffer.concat(chunks), {
        level: DEFLATE_LEVEL,
      })
      if (compressed.length >= size) return stored
      loaded.release?.()
      const content = { crc, size, compressedSize: compressed.length }
      return { content, method: format.DEFLATED, chunks: [compressed] }
    },
  }
}

async function* writeLarge(
  manifest: Manifest,
  contents: MemberContents,
  index: number,
  out: Gather,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array, format.ZipContent> {
  const member = zipMember(manifest, index, format.DEFLATED)
  yield* out.append(format.localHeader(member, undefined))
  const begin = out.written
  const size = manifest.size(index)
  const running = new RunningCrc({ upTo: 0, crc: 0 }, 0)
  const read = (reading: AbortSignal): AsyncIterable<Uint8Array> =>
    counting(
      contents.stream(index, 0, size, { signal: reading, buffers: rotatingBuffers(READ_BYTES) }),
      running,
    )
  yield* deflated(read, contents, out, signal)
  const content = { crc: running.prefix.crc, size, compressedSize: out.written - begin }
  yield* out.append(format.descriptor(content, member.zip64))
  return content
}

function zipMember(manifest: Manifest, index: number, method: format.ZipMember['method']): format.ZipMember {
  const size = manifest.size(index)
  const streamed = size > SMALL_BYTES
  return {
    name: manifest.name(index),
    isFolder: manifest.isFolder(index),
    modifiedSeconds: manifest.modifiedSeconds(index),
    mode: manifest.mode(index),
    method,
    streamed,
    // Decided before the compressed size is known: deflate adds less than a thousandth to what it cannot compress.
    zip64: streamed && format.needsZip64(Math.ceil(size * 1.001) + 64),
  }
}

/** What the central directory has to say about the entries written so far. */
class WrittenEntries {
  readonly #manifest: Manifest
  readonly #offsets: Float64Array
  readonly #compressedSizes: Float64Array
  readonly #crcs: Uint32Array
  readonly #methods: Uint8Array

  constructor(manifest: Manifest) {
    this.#manifest = manifest
    this.#offsets = new Float64Array(manifest.count)
    this.#compressedSizes = new Float64Array(manifest.count)
    this.#crcs = new Uint32Array(manifest.count)
    this.#methods = new Uint8Array(manifest.count)
  }

  member(index: number, method: format.ZipMember['method']): format.ZipMember {
    return zipMember(this.#manifest, index, method)
  }

  add(index: number, offset: number, content: format.ZipContent, method: format.ZipMember['method']): void {
    this.#offsets[index] = offset
    this.#compressedSizes[index] = content.compressedSize
    this.#crcs[index] = content.crc
    this.#methods[index] = method
  }

  centralHeader(index: number): Buffer {
    const method = this.#methods[index] === format.STORED ? format.STORED : format.DEFLATED
    const content = {
      crc: this.#crcs[index]!,
      compressedSize: this.#compressedSizes[index]!,
      size: this.#manifest.size(index),
    }
    return format.centralHeader(this.member(index, method), content, this.#offsets[index]!)
  }
}
