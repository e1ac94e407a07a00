// Opens archives of a store as the HTTP layer does, and reads them as a socket does.
import {
  Archives,
  type ArchiveFormat,
  type ArchiveLimits,
  type ArchiveRequest,
} from '../../src/content/archive.ts'
import type { Representation } from '../../src/content/representation.ts'
import { rotatingBuffers } from '../../src/content/rope-buffers.ts'
import { ROOT } from '../../src/store/path.ts'
import type { ReadableStore } from '../../src/store/store.ts'

export const GENEROUS: ArchiveLimits = { maxEntries: 1_000_000, maxBytes: 2 ** 45, maxInProgress: 4 }

export function newArchives(limits: Partial<ArchiveLimits> = {}): Archives {
  return new Archives({ ...GENEROUS, ...limits })
}

export function openArchive(
  store: ReadableStore,
  format: ArchiveFormat,
  options: Partial<ArchiveRequest> & { readonly archives?: Archives } = {},
): Promise<Representation> {
  const { archives = newArchives(), ...request } = options
  return archives.open(store, {
    folder: ROOT,
    format,
    selection: {},
    filename: `outputs.${format}`,
    connection: 'test',
    scopeKey: 'test',
    signal: new AbortController().signal,
    ...request,
  })
}

export async function collect(chunks: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const copies: Buffer[] = []
  for await (const chunk of chunks) copies.push(Buffer.from(chunk))
  return Buffer.concat(copies)
}

/** Takes each chunk one step late, as a socket that still writes one while the next is read: shows a buffer that is used again too early. */
export async function collectLate(
  archive: Representation,
  start: number,
  end: number,
  bufferBytes: number,
): Promise<Buffer> {
  const copies: Buffer[] = []
  let underWay: Uint8Array | undefined
  for await (const chunk of archive.read(start, end, { buffers: rotatingBuffers(bufferBytes) })) {
    if (underWay !== undefined) copies.push(Buffer.from(underWay))
    underWay = chunk
  }
  if (underWay !== undefined) copies.push(Buffer.from(underWay))
  return Buffer.concat(copies)
}

export async function readAll(archive: Representation): Promise<Buffer> {
  try {
    return await collect(archive.read(0, archive.size ?? Number.POSITIVE_INFINITY))
  } finally {
    await archive.close()
  }
}
