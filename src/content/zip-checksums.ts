// The checksums of one zip: what was counted of the contents themselves, in the archive's memory or the process's; else what the store keeps; else the content, read
// for it.
import { crc32 } from 'node:zlib'
import { AppError } from '../errors.ts'
import { SMALL_BYTES } from './archive-members.ts'
import type { MemberContents } from './archive-members.ts'
import type { CrcCache, CrcPrefix } from './crc.ts'
import type { Manifest } from './manifest-columns.ts'

const UNKNOWN = 0
const STORED = 1
const COUNTED = 2

/**
 * Five bytes for each member: one long pass over an archive needs no luck with a cache that others use too. Shared with the layout.
 *
 * What was counted wins over what a store keeps, which was counted by whoever uploaded the artifact, and by that one alone.
 */
export class KnownChecksums {
  readonly #values: Uint32Array
  readonly #origins: Uint8Array

  constructor(count: number) {
    this.#values = new Uint32Array(count)
    this.#origins = new Uint8Array(count)
  }

  get(index: number): number | undefined {
    return this.#origins[index] === UNKNOWN ? undefined : this.#values[index]
  }

  counted(index: number): number | undefined {
    return this.#origins[index] === COUNTED ? this.#values[index] : undefined
  }

  setCounted(index: number, crc: number): void {
    this.#values[index] = crc
    this.#origins[index] = COUNTED
  }

  setStored(index: number, crc: number): void {
    if (this.#origins[index] === COUNTED) return
    this.#values[index] = crc
    this.#origins[index] = STORED
  }

  get memoryBytes(): number {
    return this.#values.byteLength + this.#origins.byteLength
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
  /** False once the store kept none for a small member: those of one run were uploaded alike, and to ask costs as much as to read. */
  #askForSmall = true

  constructor(options: ZipChecksumsOptions) {
    this.#options = options
  }

  /** The checksum of a member whose whole content is at hand. Fails like `record`. */
  ofWhole(index: number, chunks: readonly Uint8Array[]): number {
    const { manifest, known } = this.#options
    const size = manifest.size(index)
    const before = known.counted(index)
    if (before !== undefined || size === 0) return before ?? 0
    const crc = chunks.reduce((sum, chunk) => crc32(chunk, sum), 0)
    this.record(index, { upTo: size, crc })
    return crc
  }

  /** How far the checksum of a large member was counted. */
  prefix(index: number): CrcPrefix {
    const { manifest, known, cache } = this.#options
    const crc = known.counted(index)
    return crc === undefined ? cache.prefix(this.#key(index)) : { upTo: manifest.size(index), crc }
  }

  /**
   * Keeps what was counted. Fails with Unavailable when the whole content has another checksum than the store keeps, which others may have been sent: one of the two was
   * damaged, and the archive must break rather than hold either.
   */
  record(index: number, prefix: CrcPrefix): void {
    const { manifest, known, cache } = this.#options
    if (prefix.upTo === manifest.size(index)) {
      if ((known.get(index) ?? prefix.crc) !== prefix.crc) throw damaged(manifest, index)
      known.setCounted(index, prefix.crc)
    }
    cache.record(this.#key(index), prefix)
  }

  /**
   * The checksum of a member; where it was neither counted nor is kept by the store its content is read, or what is missing of it. Fails like
   * `MemberContents.stream`.
   */
  async of(index: number, signal: AbortSignal | undefined): Promise<number> {
    const { manifest, contents, known, cache } = this.#options
    const size = manifest.size(index)
    if (size === 0) return 0
    const counted = this.prefix(index)
    if (counted.upTo === size) {
      this.record(index, counted)
      return counted.crc
    }
    const stored = known.get(index) ?? (await this.#stored(index, signal))
    if (stored !== undefined) return stored
    const crc = await cache.complete(
      this.#key(index),
      size,
      (position, shared) => contents.rest(index, position, shared),
      signal,
    )
    this.record(index, { upTo: size, crc })
    return crc
  }

  async #stored(index: number, signal: AbortSignal | undefined): Promise<number | undefined> {
    const { manifest, contents, known } = this.#options
    const small = manifest.size(index) <= SMALL_BYTES
    const wanted = (): boolean => !small || this.#askForSmall
    const crc = wanted() ? await contents.storedCrc32(index, signal, wanted) : undefined
    if (crc !== undefined) known.setStored(index, crc)
    else if (small) this.#askForSmall = false
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

function damaged(manifest: Manifest, index: number): AppError {
  const { path } = manifest.entry(index)
  return new AppError(
    'Unavailable',
    `'${path}' does not have the checksum that the outputs store keeps of it: request it again, and if that does not help, upload it again.`,
    { op: 'read', path, trouble: 'interrupted' },
  )
}
