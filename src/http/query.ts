// What listings and archives read from a query that the API description has already checked (`validate.ts`).
import type { ListingQuery } from '../content/listing.ts'
import type { Selection } from '../content/selection.ts'
import { parsePath } from '../store/path.ts'
import type { Query } from './validate.ts'

const DEFAULT_LIMIT = 1000

export interface ListingRequest extends ListingQuery {
  /** Whether the client asked for a page: by size, by cursor, or by an order that needs one. */
  readonly paged: boolean
}

export function listingRequest({
  glob,
  recursive,
  sort = 'name',
  order = 'asc',
  limit,
  cursor,
}: Query): ListingRequest {
  return {
    // A pattern that speaks of deeper levels is about them.
    recursive: recursive ?? glob?.includes('/') ?? false,
    glob,
    sort,
    order,
    limit: limit ?? DEFAULT_LIMIT,
    cursor,
    paged: limit !== undefined || cursor !== undefined || sort !== 'name' || order !== 'asc',
  }
}

/** A selection as a query, a form or a JSON body gives it; a path that ends in a slash, as listings show folders, is that of a folder. */
export function selectionOf(given: {
  paths: readonly string[]
  glob?: string | undefined
  exclude?: string | undefined
}): Selection {
  const folders = given.paths.filter(path => path.endsWith('/'))
  return {
    paths: given.paths.filter(path => !path.endsWith('/')).map(parsePath),
    folders: folders.map(path => parsePath(path.slice(0, -1))),
    ...(given.glob !== undefined && { glob: given.glob }),
    ...(given.exclude !== undefined && { exclude: [given.exclude] }),
  }
}
