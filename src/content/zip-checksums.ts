// The checksums of one zip: first the archive's own memory, then the process's, then the content again.
import { crc32 } from 'node:zlib'
import type { MemberContents } from './archive-members.ts'
import type { CrcCache, CrcPrefix } from './crc.ts'
import type { Manifest } from './manifest-columns.ts'

/** Four bytes for each member: one long pass over an archive needs no luck with a cache that others use too. Shared with the layout. */
export class KnownChecksums {
  readonly #values: Uint32Array
  readonly #known: Uint8Array

  constructor(count: number) {
    this.#values = new Uint32Array(count)
    this.#known = new Uint8Array(count)
  }

  get(index: number): number | undefined {
    return this.#known[index] === 1 ? this.#values[index] : undefined
  }

  set(index: number, crc: number): void {
    this.#values[index] = crc
    this.#known[index] = 1
  }

  get memoryBytes(): number {
    return this.#values.byteLength + this.#known.byteLength
  }
}

export interface ZipChecksumsOptions {
  readonly manifest: Manifest
  readonly contents: MemberContents
  readonly known: KnownChecksums
  readonly cache: CrcCache
  /** Names the store and run, so that equal paths and etags of others are never mistaken for these. */
  readonly scopeKey: string
}

export class ZipChecksums {
  readonly #options: ZipChecksumsOptions

  constructor(options: ZipChecksumsOptions) {
    this.#options = options
  }

  /** The checksum of a member whose whole content is at hand. */
  ofWhole(index: number, chunks: readonly Uint8Array[]): number {
    const { manifest, known } = this.#options
    const size = manifest.size(index)
    const crc = known.get(index) ?? chunks.reduce((sum, chunk) => crc32(chunk, sum), 0)
    if (size > 0 && known.get(index) === undefined) this.record(index, { upTo: size, crc })
    return crc
  }

  /** How far the checksum of a large member is known. */
  prefix(index: number): CrcPrefix {
    const { manifest, known, cache } = this.#options
    const crc = known.get(index)
    return crc === undefined ? cache.prefix(this.#key(index)) : { upTo: manifest.size(index), crc }
  }

  record(index: number, prefix: CrcPrefix): void {
    const { manifest, known, cache } = this.#options
    cache.record(this.#key(index), prefix)
    if (prefix.upTo === manifest.size(index)) known.set(index, prefix.crc)
  }

  /** The checksum of a member; where it is not known its content is read, or what is missing of it. Fails like `MemberContents.stream`. */
  async of(index: number, signal: AbortSignal | undefined): Promise<number> {
    const { manifest, contents, known, cache } = this.#options
    const size = manifest.size(index)
    if (size === 0) return 0
    const crc =
      known.get(index) ??
      (await cache.complete(
        this.#key(index),
        size,
        (position, shared) => contents.rest(index, position, shared),
        signal,
      ))
    known.set(index, crc)
    return crc
  }

  /** In the order of `indices`. The first failure ends the others, and is thrown when they have ended. */
  async ofAll(indices: readonly number[], signal: AbortSignal): Promise<number[]> {
    const { known } = this.#options
    const failures: unknown[] = []
    const controller = new AbortController()
    const all = AbortSignal.any([signal, controller.signal])
    const count = (index: number): Promise<number> =>
      this.of(index, all).catch((error: unknown) => {
        failures.push(error)
        controller.abort()
        return 0
      })
    const crcs = await Promise.all(indices.map(index => Promise.resolve(known.get(index) ?? count(index))))
    if (failures.length > 0) throw failures[0]
    return crcs
  }

  #key(index: number): string {
    const { path, etag } = this.#options.manifest.entry(index)
    return `${this.#options.scopeKey}\0${path}\0${etag}`
  }
}
