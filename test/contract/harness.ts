// What a store must bring along to be held to the contract: itself, and a way to change its content behind its back.
import { parsePath } from '../../src/store/path.ts'
import { WEIRD_NAMES } from './weird-names.ts'
import type { ArtifactStore, Entry, ListOptions, OpenArtifact, ReadOptions } from '../../src/store/store.ts'

export interface Harness {
  readonly store: ArtifactStore
  /** Names that the server under the store cannot hold, with what it does instead; their cases leave them out. */
  readonly unsupportedNames?: ReadonlyMap<string, string>
  /** Whether `lastModifiedMs` of `write` is kept; object stores set the time themselves. */
  readonly keepsTimes: boolean
  /** Creates a file, or replaces the content of an existing one: in place, or as a whole where that is all that the store can. */
  write(
    path: string,
    content: Uint8Array,
    options?: { readonly lastModifiedMs?: number },
  ): Promise<void> | void
  /** With the capability `changesInPlace`. */
  append?(path: string, content: Uint8Array): Promise<void> | void
  /** With the capability `emptyDirectories`. */
  makeDirectory?(path: string): Promise<void> | void
  /** Removes the file or the folder with everything in it; neither need be there. */
  remove(path: string): Promise<void> | void
  /** With the capability `links`: makes `path` a link to `target`, which is relative to the folder that holds `path`. */
  link?(path: string, target: string): Promise<void> | void
  close(): Promise<void>
}

/** A fresh and empty store for each case. */
export type MakeHarness = () => Promise<Harness>

export const at = parsePath

export function bytes(text: string): Uint8Array {
  return Buffer.from(text)
}

/** Content in which every position can be told from its neighbours. */
export function pattern(size: number, seed = 0): Buffer {
  const content = Buffer.allocUnsafe(size)
  for (let i = 0; i < size; i++) content[i] = (i * 31 + (i >> 8) * 17 + (i >> 16) * 7 + seed) & 0xff
  return content
}

/** The weird names that the server under the store can hold. */
export function supportedNames({ unsupportedNames }: Harness): readonly string[] {
  return WEIRD_NAMES.filter(name => unsupportedNames?.has(name) !== true)
}

/** Writes many small files, several at a time. */
export async function writeAll(
  harness: Harness,
  files: Iterable<readonly [path: string, content: Uint8Array]>,
): Promise<void> {
  const queue = files[Symbol.iterator]()
  const worker = async (): Promise<void> => {
    for (let next = queue.next(); next.done !== true; next = queue.next()) await harness.write(...next.value)
  }
  await Promise.all(Array.from({ length: 16 }, worker))
}

export async function listAll(store: ArtifactStore, folder: string, options?: ListOptions): Promise<Entry[]> {
  const entries: Entry[] = []
  for await (const batch of store.list(at(folder), options)) entries.push(...batch)
  return entries
}

export async function readAll(
  artifact: OpenArtifact,
  start = 0,
  end = artifact.entry.size,
  options?: ReadOptions,
): Promise<Buffer> {
  const chunks: Buffer[] = []
  for await (const chunk of artifact.read(start, end, options)) chunks.push(Buffer.from(chunk))
  return Buffer.concat(chunks)
}

/** What `work` makes of the opened artifact, which is closed in any case. */
export async function withOpen<T>(
  store: ArtifactStore,
  path: string,
  work: (artifact: OpenArtifact) => Promise<T>,
  pin?: Entry,
): Promise<T> {
  const artifact = await store.open(at(path), pin === undefined ? {} : { pin })
  try {
    return await work(artifact)
  } finally {
    await artifact.close()
  }
}
