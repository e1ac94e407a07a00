// One listing for every surface: filter, order, page and count what a store (or a level above the runs) lists.
import { AppError } from '../errors.ts'
import { compareUtf8 } from '../store/path.ts'
import type { ArtifactPath } from '../store/path.ts'
import { listKey } from '../store/store.ts'
import type { Entry, ListOptions } from '../store/store.ts'
import { compileGlob } from './glob.ts'
import { Slices } from './slices.ts'

/** What is listed: anything that keeps the obligations of `ReadableStore.list`. */
export interface ListSource {
  /** The folder that paths are given relative to. */
  readonly folder: ArtifactPath
  list(options: ListOptions): AsyncIterable<readonly Entry[]>
}

export type SortKey = 'name' | 'size' | 'lastModified'

export interface ListingQuery {
  readonly recursive: boolean
  /** A pattern on the path relative to the folder. */
  readonly glob: string | undefined
  readonly sort: SortKey
  readonly order: 'asc' | 'desc'
  /** Entries of one page. */
  readonly limit: number
  /** As given by an earlier page of the same query. */
  readonly cursor: string | undefined
}

export interface Totals {
  readonly files: number
  readonly directories: number
  /** Bytes of all files. */
  readonly size: number
  /** False when counting ended at `MAX_COUNTED`: the numbers are then lower bounds. */
  readonly complete: boolean
}

export interface ListingPage {
  readonly entries: readonly Entry[]
  /** The cursor of the page after this one; undefined on the last. */
  readonly next: string | undefined
  /** Of everything that the query matches: with `recursive`, on the first page. */
  readonly totals: Totals | undefined
  /** Artifacts without a name that a path can have, as far as the store was walked for this page. */
  readonly omitted: number
}

/** A first recursive page counts on so far before it says "at least". */
const MAX_COUNTED = 200_000

/**
 * One page. A cursor names a place in the order, not an entry, so it stays valid while files come and go.
 *
 * Fails with InvalidArgument for a cursor of another query; otherwise as the source does, before anything is given.
 */
export async function listPage(
  source: ListSource,
  query: ListingQuery,
  signal?: AbortSignal,
): Promise<ListingPage> {
  const cursor = query.cursor === undefined ? undefined : decodeCursor(query.cursor, query)
  const counting = query.recursive && cursor === undefined
  const ordered = inSourceOrder(query)
  let omitted = 0
  const matches = matching(source, query, {
    onOmitted: artifacts => (omitted += artifacts),
    ...(signal && { signal }),
    ...(ordered && cursor !== undefined && { after: cursor.key }),
    ...(ordered && query.glob === undefined && !counting && { limit: query.limit + 1 }),
  })
  const page = ordered
    ? await firstOf(matches, query.limit + 1, counting)
    : await bestOf(matches, query, source.folder, cursor, counting)
  const entries = page.entries.slice(0, query.limit)
  const last = entries.at(-1)
  const more = page.entries.length > query.limit && last !== undefined
  return {
    entries,
    next: more ? encodeCursor(positionOf(last, query, source.folder), query) : undefined,
    totals: counting ? page.totals : undefined,
    omitted,
  }
}

/** Everything that matches, in the source's order, as it comes. */
export async function* matching(
  source: ListSource,
  query: Pick<ListingQuery, 'recursive' | 'glob'>,
  options: Omit<ListOptions, 'recursive'> = {},
): AsyncGenerator<readonly Entry[]> {
  const matches = query.glob === undefined ? undefined : compileGlob(query.glob)
  const base = source.folder === '' ? 0 : source.folder.length + 1
  const slices = new Slices()
  for await (const batch of source.list({ ...options, recursive: query.recursive })) {
    if (matches === undefined) {
      yield batch
      continue
    }
    const found: Entry[] = []
    for (const entry of batch) {
      if (matches(entry.path.slice(base))) found.push(entry)
      if (slices.due) await slices.rest()
    }
    yield found
  }
}

/** Counts entries as they go by. */
export class Tally {
  files = 0
  directories = 0
  size = 0

  add(entry: Entry): void {
    if (entry.type === 'directory') this.directories++
    else this.files++
    this.size += entry.size
  }

  totals(complete: boolean): Totals {
    return { files: this.files, directories: this.directories, size: this.size, complete }
  }

  get entries(): number {
    return this.files + this.directories
  }
}

interface Selected {
  entries: Entry[]
  totals: Totals
}

const inSourceOrder = (query: ListingQuery): boolean => query.sort === 'name' && query.order === 'asc'

/** The first `count` of the stream; counts on to the end (or the bound) when asked to. */
async function firstOf(
  matches: AsyncIterable<readonly Entry[]>,
  count: number,
  counting: boolean,
): Promise<Selected> {
  const entries: Entry[] = []
  const tally = new Tally()
  for await (const batch of matches) {
    for (const entry of batch) {
      if (entries.length < count) entries.push(entry)
      tally.add(entry)
    }
    if (entries.length >= count && !counting) break
    if (tally.entries >= MAX_COUNTED) return { entries, totals: tally.totals(false) }
  }
  return { entries, totals: tally.totals(true) }
}

/** The best `limit + 1` after the cursor in an order that the source does not have: memory in proportion to the page. */
async function bestOf(
  matches: AsyncIterable<readonly Entry[]>,
  query: ListingQuery,
  folder: ArtifactPath,
  cursor: Position | undefined,
  counting: boolean,
): Promise<Selected> {
  const keep = query.limit + 1
  const ranked: { position: Position; entry: Entry }[] = []
  const tally = new Tally()
  const sign = query.order === 'asc' ? 1 : -1
  const cut = (): void => {
    ranked.sort((a, b) => sign * comparePositions(a.position, b.position))
    ranked.length = Math.min(ranked.length, keep)
  }
  for await (const batch of matches) {
    for (const entry of batch) {
      tally.add(entry)
      const position = positionOf(entry, query, folder)
      if (cursor !== undefined && sign * comparePositions(position, cursor) <= 0) continue
      ranked.push({ position, entry })
    }
    if (ranked.length > 4 * keep) cut()
  }
  cut()
  return { entries: ranked.map(({ entry }) => entry), totals: tally.totals(counting) }
}

/** Where an entry stands in an order: by value, then by key. */
interface Position {
  readonly value: number
  readonly key: string
}

function positionOf(entry: Entry, query: ListingQuery, folder: ArtifactPath): Position {
  const value =
    query.sort === 'size' ? entry.size : query.sort === 'lastModified' ? (entry.lastModifiedMs ?? 0) : 0
  return { value, key: listKey(folder, entry) }
}

const comparePositions = (a: Position, b: Position): number => a.value - b.value || compareUtf8(a.key, b.key)

function encodeCursor({ value, key }: Position, query: ListingQuery): string {
  return Buffer.from(JSON.stringify([query.sort, query.order, value, key])).toString('base64url')
}

function decodeCursor(text: string, query: ListingQuery): Position {
  let parsed: unknown
  try {
    parsed = JSON.parse(Buffer.from(text, 'base64url').toString())
  } catch {
    parsed = undefined
  }
  const [sort, order, value, key] = Array.isArray(parsed) ? (parsed as unknown[]) : []
  if (sort !== query.sort || order !== query.order || typeof value !== 'number' || typeof key !== 'string')
    throw new AppError(
      'InvalidArgument',
      `The cursor does not belong to a listing sorted by ${query.sort}, ${query.order}: take it from the page before, with the same query.`,
      { op: 'list' },
    )
  return { value, key }
}
