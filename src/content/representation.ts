// What the HTTP layer can send: a file, a tar and a zip are all Representations, so ranges, conditions and HEAD are written once.
import type { ReadOptions } from '../store/store.ts'

export interface Representation {
  /** Bytes; undefined for what is made while it is sent (compressed archives), which then has no ranges. */
  readonly size: number | undefined
  /** Strong validator without quotes; undefined where bytes may differ between two requests. */
  readonly etag: string | undefined
  /** Milliseconds since 1970. Undefined for archives: removing a member would not change it. */
  readonly lastModifiedMs: number | undefined
  readonly mediaType: string
  /** The name a client saves it under, as raw Unicode; the HTTP layer escapes it. */
  readonly filename: string
  /** The content coding of the bytes (RFC 9110 8.4), of which size and ranges are too; undefined for none. */
  readonly contentEncoding?: string | undefined
  /** Artifacts that it ought to hold and does not, because they have keys that no path can name. Whoever sends it says so. */
  readonly omitted?: number
  /**
   * The bytes [start, end), with the obligations of `OpenArtifact.read`. Where `size` is undefined, start is 0 and end is Infinity:
   * everything, and ending without an error means that it is whole.
   */
  read(start: number, end: number, options?: ReadOptions): AsyncIterable<Uint8Array>
  /** Releases what the representation holds. Never fails; a second call does nothing. */
  close(): Promise<void>
}
