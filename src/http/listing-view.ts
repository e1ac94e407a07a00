// How entries look to clients: names, types and relative links, the same in every format of a listing.
import { mediaTypeOf } from '../content/media-type.ts'
import type { ListingPage } from '../content/listing.ts'
import type { components } from '../generated/api.d.ts'
import { nameOf } from '../store/path.ts'
import type { ArtifactPath } from '../store/path.ts'
import type { Entry } from '../store/store.ts'

export type EntryView = components['schemas']['Entry']
export type ListingView = components['schemas']['Listing']

/** What a listing is of, in the words of its URL. */
export interface ListedFolder {
  /** Where entries' paths are relative to. */
  readonly path: ArtifactPath
  /** How the folder is named to people: `demo/quick-start/experiments/1/plots`; '' for the top. */
  readonly title: string
  /** Whether the folder lies in a run, so that it can be had as an archive. */
  readonly inRun: boolean
  /** Query to keep on links to other folders and pages: the connection, if one was named. */
  readonly connection: string | undefined
}

/** A path as a relative URL reference: every reserved character escaped, also `:` (it would look like a scheme) and `'` (it ends attributes). */
export function hrefOf(path: string): string {
  return path.split('/').map(encodeSegment).join('/')
}

function encodeSegment(name: string): string {
  return encodeURIComponent(name.toWellFormed()).replace(
    /['()*!]/g,
    character => `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
  )
}

/** `?a=b` with the connection kept; '' when there is nothing to say. */
export function queryString(folder: ListedFolder, parameters: Readonly<Record<string, string>> = {}): string {
  const query = new URLSearchParams(
    folder.connection === undefined ? parameters : { connection: folder.connection, ...parameters },
  )
  return query.size === 0 ? '' : `?${query.toString()}`
}

export function relativePath(folder: ListedFolder, entry: Entry): string {
  return folder.path === '' ? entry.path : entry.path.slice(folder.path.length + 1)
}

/** The link from the folder's URL to the entry. */
export function entryHref(folder: ListedFolder, entry: Entry): string {
  return hrefOf(relativePath(folder, entry)) + (entry.type === 'directory' ? '/' : '') + queryString(folder)
}

export function entryView(folder: ListedFolder, entry: Entry): EntryView {
  const self = entryHref(folder, entry)
  const path = relativePath(folder, entry)
  const lastModified =
    entry.lastModifiedMs === undefined ? null : new Date(entry.lastModifiedMs).toISOString()
  if (entry.type === 'directory')
    return {
      name: nameOf(entry.path),
      path,
      type: 'directory',
      size: null,
      lastModified,
      etag: null,
      mediaType: null,
      ...(entry.unreadable !== undefined && { unreadable: entry.unreadable }),
      links: folder.inRun
        ? { self, archive: `${hrefOf(path)}/${queryString(folder, { archive: 'zip' })}` }
        : { self },
    }
  return {
    name: nameOf(entry.path),
    path,
    type: 'file',
    size: entry.size,
    lastModified,
    etag: entry.etag === '' ? null : `"${entry.etag}"`,
    mediaType: mediaTypeOf(entry.path),
    ...(entry.unreadable !== undefined && { unreadable: entry.unreadable }),
    links: { self },
  }
}

/** The listing object around one page, without its entries, which are written one by one. */
export function listingView(
  folder: ListedFolder,
  page: ListingPage,
  nextHref: string | undefined,
): Omit<ListingView, 'entries'> {
  return {
    path: folder.title,
    ...(page.totals && { totals: page.totals }),
    ...(page.omitted > 0 && { omitted: page.omitted }),
    ...(page.next !== undefined && nextHref !== undefined && { next: { cursor: page.next, href: nextHref } }),
    links: {
      self: `./${queryString(folder)}`,
      ...(folder.title !== '' && { parent: `../${queryString(folder)}` }),
      ...(folder.inRun && {
        archives: {
          zip: queryString(folder, { archive: 'zip' }),
          tar: queryString(folder, { archive: 'tar' }),
          'tar.gz': queryString(folder, { archive: 'tar.gz' }),
          'tar.zst': queryString(folder, { archive: 'tar.zst' }),
        },
      }),
    },
  }
}
