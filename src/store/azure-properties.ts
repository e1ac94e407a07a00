// Properties of blobs, which lists and headers give in different forms, in the one form of the object client.
import { ObjectFailure } from './object-client.ts'

/** The metadata by which a write is known; names are those of C#, and come back in any case. */
export const WRITE_ID = 'polyaxon_outputs_write'

export function writeIdOf(metadata: Readonly<Record<string, string>> | undefined): string | undefined {
  return Object.entries(metadata ?? {}).find(([name]) => name.toLowerCase() === WRITE_ID)?.[1]
}

/** Quoted in headers, bare in lists. */
export function bareEtag(etag: string | undefined): string {
  if (etag === undefined || etag === '')
    throw new ObjectFailure('interrupted', { cause: new Error('no ETag') })
  return etag.replace(/^"|"$/g, '')
}

export function wholeSeconds(date: Date | undefined): number {
  return Math.floor((date?.getTime() ?? 0) / 1000) * 1000
}

/**
 * Hierarchical namespaces show their directories to the Blob API as empty blobs with this metadata, and drivers that imitate directories in flat ones write the same (Hadoop's
 * wasb, AzCopy).
 */
export function isFolder(metadata: Readonly<Record<string, string>> | undefined): boolean {
  return Object.entries(metadata ?? {}).some(
    ([name, value]) => name.toLowerCase() === 'hdi_isfolder' && value.toLowerCase() === 'true',
  )
}

export function codingOf(contentEncoding: string | undefined): string | undefined {
  return contentEncoding === '' || contentEncoding?.toLowerCase() === 'identity' ? undefined : contentEncoding
}
