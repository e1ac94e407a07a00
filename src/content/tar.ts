// The tar: a rope that needs nothing of any content, so every range can be read without reading what comes before it.
import { SMALL_BYTES, type MemberContents } from './archive-members.ts'
import type { Manifest } from './manifest-columns.ts'
import type { AheadLimits } from './rope-lookahead.ts'
import type { Gather } from './rope-gather.ts'
import { bytesPart, type Piece, type Rope } from './rope.ts'
import * as format from './tar-format.ts'
import type { ReadOptions } from '../store/store.ts'

function member(manifest: Manifest, index: number): format.TarMember {
  return {
    name: manifest.name(index),
    isFolder: manifest.isFolder(index),
    size: manifest.size(index),
    modifiedSeconds: manifest.modifiedSeconds(index),
    mode: manifest.mode(index),
  }
}

/** Where each member begins, where the end blocks do, and the end. */
function layOut(manifest: Manifest): Float64Array {
  const { count } = manifest
  const offsets = new Float64Array(count + 2)
  for (let i = 0; i < count; i++) {
    const size = manifest.size(i)
    offsets[i + 1] = offsets[i]! + format.headerSize(member(manifest, i)) + size + format.paddingSize(size)
  }
  offsets[count + 1] = offsets[count]! + format.END.length
  return offsets
}

export class TarRope implements Rope {
  readonly offsets: Float64Array
  readonly #manifest: Manifest
  readonly #contents: MemberContents

  constructor(manifest: Manifest, contents: MemberContents) {
    this.offsets = layOut(manifest)
    this.#manifest = manifest
    this.#contents = contents
  }

  get ahead(): AheadLimits {
    return this.#contents.ahead
  }

  piece(index: number): Piece {
    if (index === this.#manifest.count)
      return { size: format.END.length, load: () => Promise.resolve({ chunks: [format.END] }) }
    const pieceSize = this.offsets[index + 1]! - this.offsets[index]!
    const header = (): Buffer => format.header(member(this.#manifest, index))
    const size = this.#manifest.size(index)
    const padding = format.END.subarray(0, format.paddingSize(size))
    if (size <= SMALL_BYTES)
      return {
        size: pieceSize,
        load: async signal => {
          const loaded = await this.#contents.load(index, signal)
          return { ...loaded, chunks: [header(), ...loaded.chunks, padding] }
        },
      }
    const content = {
      size,
      read: (start: number, end: number, out: Gather, options: ReadOptions) =>
        out.pass(this.#contents.stream(index, start, end, options)),
    }
    return { size: pieceSize, parts: [bytesPart(header()), content, bytesPart(padding)] }
  }
}
