// The part of archiver 8 that the peer uses; the package has no types of its own.
declare module 'archiver' {
  import type { Transform } from 'node:stream'

  interface Archive extends Transform {
    /** Adds a folder's content under `destination`; false: at the root of the archive. */
    directory(path: string, destination: string | false): this
    finalize(): Promise<void>
  }

  export const ZipArchive: new (options: { readonly store: boolean }) => Archive
  export const TarArchive: new () => Archive
}
