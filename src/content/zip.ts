// The stored zip: a rope whose layout follows from names, sizes, times and modes alone, never from what happens to be known about contents.
//
// Up to SMALL_BYTES an entry is stored, with its checksum in front; above, its checksum follows in a descriptor and its content is a deflate stream
// of stored blocks. That is the only form of the four possible that needs no content beforehand and that all streaming readers accept.
import type { Buffers, ReadOptions } from '../store/store.ts'
import { SMALL_BYTES, type MemberContents } from './archive-members.ts'
import { counted, RunningCrc } from './crc.ts'
import type { Manifest } from './manifest-columns.ts'
import { rotatingBuffers } from './rope-buffers.ts'
import type { AheadLimits } from './rope-lookahead.ts'
import type { Gather } from './rope-gather.ts'
import { bytesPart, type Loaded, type Part, type Piece, type Rope, type WholePiece } from './rope.ts'
import { contentBefore, frame, framedSize } from './zip-blocks.ts'
import type { ZipChecksums } from './zip-checksums.ts'
import * as format from './zip-format.ts'

/** Central headers in one piece: a range that ends inside the directory computes no more checksums than those of a piece before it. */
const GROUP = 64
const SOURCE_BYTES = 256 * 1024

/** Where everything is. Shared by all who download the same archive. */
export class ZipLayout {
  readonly manifest: Manifest
  /** Of the members, the groups of central headers, the end records, and the end. */
  readonly offsets: Float64Array
  readonly directory: format.ZipDirectory

  constructor(manifest: Manifest) {
    const { count } = manifest
    const groups = Math.ceil(count / GROUP)
    const offsets = new Float64Array(count + groups + 2)
    for (let i = 0; i < count; i++) offsets[i + 1] = offsets[i]! + entrySize(manifest, i)
    for (let group = 0; group < groups; group++) {
      let end = offsets[count + group]!
      for (let i = group * GROUP; i < Math.min(count, (group + 1) * GROUP); i++)
        end += format.centralHeaderSize(
          manifest.nameLength(i),
          manifest.modifiedSeconds(i),
          sizes(manifest, i),
          offsets[i]!,
        )
      offsets[count + group + 1] = end
    }
    const start = offsets[count]!
    const end = offsets[count + groups]!
    this.directory = { members: count, offset: start, size: end - start }
    offsets[count + groups + 1] = end + format.endSize(this.directory)
    this.manifest = manifest
    this.offsets = offsets
  }

  get memoryBytes(): number {
    return this.manifest.memoryBytes + this.offsets.byteLength
  }
}

function isLarge(manifest: Manifest, index: number): boolean {
  return manifest.size(index) > SMALL_BYTES
}

function sizes(
  manifest: Manifest,
  index: number,
): { readonly size: number; readonly compressedSize: number } {
  const size = manifest.size(index)
  return { size, compressedSize: isLarge(manifest, index) ? framedSize(size) : size }
}

function isZip64(manifest: Manifest, index: number): boolean {
  return isLarge(manifest, index) && format.needsZip64(sizes(manifest, index).compressedSize)
}

/** Local header, content and descriptor. */
function entrySize(manifest: Manifest, index: number): number {
  const zip64 = isZip64(manifest, index)
  const header = format.localHeaderSize(manifest.nameLength(index), manifest.modifiedSeconds(index), zip64)
  const after = isLarge(manifest, index) ? format.descriptorSize(zip64) : 0
  return header + sizes(manifest, index).compressedSize + after
}

export class ZipRope implements Rope {
  readonly offsets: Float64Array
  readonly #layout: ZipLayout
  readonly #contents: MemberContents
  readonly #checksums: ZipChecksums
  /** Memory that no read uses just now. */
  readonly #sources: Buffers[] = []

  constructor(layout: ZipLayout, contents: MemberContents, checksums: ZipChecksums) {
    this.offsets = layout.offsets
    this.#layout = layout
    this.#contents = contents
    this.#checksums = checksums
  }

  get ahead(): AheadLimits {
    return this.#contents.ahead
  }

  piece(index: number): Piece {
    const { manifest } = this.#layout
    if (index < manifest.count) return isLarge(manifest, index) ? this.#large(index) : this.#small(index)
    const size = this.offsets[index + 1]! - this.offsets[index]!
    const group = index - manifest.count
    if (group * GROUP < manifest.count)
      return { size, late: true, load: signal => this.#centralHeaders(group, signal) }
    return { size, load: () => Promise.resolve({ chunks: [format.endRecords(this.#layout.directory)] }) }
  }

  #member(index: number): format.ZipMember {
    const { manifest } = this.#layout
    const large = isLarge(manifest, index)
    return {
      name: manifest.name(index),
      isFolder: manifest.isFolder(index),
      modifiedSeconds: manifest.modifiedSeconds(index),
      mode: manifest.mode(index),
      method: large ? format.DEFLATED : format.STORED,
      streamed: large,
      zip64: isZip64(manifest, index),
    }
  }

  #small(index: number): WholePiece {
    return {
      size: this.offsets[index + 1]! - this.offsets[index]!,
      load: async signal => {
        const loaded = await this.#contents.load(index, signal)
        const content = {
          crc: this.#checksums.ofWhole(index, loaded.chunks),
          ...sizes(this.#layout.manifest, index),
        }
        return { ...loaded, chunks: [format.localHeader(this.#member(index), content), ...loaded.chunks] }
      },
    }
  }

  #large(index: number): Piece {
    const member = this.#member(index)
    const parts = [
      bytesPart(format.localHeader(member, undefined)),
      this.#framedContent(index),
      this.#descriptor(index, member.zip64),
    ]
    return { size: this.offsets[index + 1]! - this.offsets[index]!, parts }
  }

  #framedContent(index: number): Part {
    const { size, compressedSize } = sizes(this.#layout.manifest, index)
    const read = async function* (
      this: ZipRope,
      start: number,
      end: number,
      out: Gather,
      { signal }: ReadOptions,
    ): AsyncGenerator<Uint8Array, void> {
      const from = contentBefore(start, size)
      const to = contentBefore(end, size)
      // Copied into the consumer's buffers with the block headers between, so it is read into memory of its own.
      const buffers = this.#sources.pop() ?? rotatingBuffers(SOURCE_BYTES)
      const chunks =
        from === to
          ? nothing()
          : this.#contents.stream(index, from, to, { buffers, ...(signal && { signal }) })
      const running = new RunningCrc(this.#checksums.prefix(index), from)
      const passing = counted(chunks, running, prefix => this.#checksums.record(index, prefix))
      yield* frame(passing, size, start, end, out)
      // Only after a whole read: one that was cut short may still be written to by the store.
      this.#sources.push(buffers)
    }
    return { size: compressedSize, read: read.bind(this) }
  }

  #descriptor(index: number, zip64: boolean): Part {
    const checksums = this.#checksums
    const { size, compressedSize } = sizes(this.#layout.manifest, index)
    return {
      size: format.descriptorSize(zip64),
      async *read(start: number, end: number, out: Gather, { signal }: ReadOptions) {
        const crc = await checksums.of(index, signal)
        yield* out.append(format.descriptor({ crc, size, compressedSize }, zip64).subarray(start, end))
      },
    }
  }

  async #centralHeaders(group: number, signal: AbortSignal): Promise<Loaded> {
    const { manifest } = this.#layout
    const first = group * GROUP
    const indices = Array.from({ length: Math.min(GROUP, manifest.count - first) }, (_, i) => first + i)
    const crcs = await this.#checksums.ofAll(indices, signal)
    const chunks = indices.map((index, i) =>
      format.centralHeader(
        this.#member(index),
        { crc: crcs[i]!, ...sizes(manifest, index) },
        this.offsets[index]!,
      ),
    )
    return { chunks }
  }
}

async function* nothing(): AsyncGenerator<Uint8Array, void> {
  // A range within a block's header holds no content.
}
