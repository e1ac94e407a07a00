// The listing as a page: no script, plain relative links that browsers, wget, rclone, lftp and fsspec can walk.
import type { ListingPage } from '../content/listing.ts'
import type { Entry } from '../store/store.ts'
import { entryHref, queryString, relativePath } from './listing-view.ts'
import type { ListedFolder } from './listing-view.ts'

/** Nothing but this page's own style may be used by it. */
export const LISTING_POLICY =
  "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

const STYLE = `:root{color-scheme:light dark}body{font:16px/1.5 system-ui,sans-serif;margin:1.5rem auto;max-width:72rem;padding:0 1rem}
h1{font-size:1.15rem;overflow-wrap:anywhere}table{border-collapse:collapse;width:100%}th,td{text-align:left;padding:.3rem .75rem .3rem 0;border-bottom:1px solid #8884}
td:first-child{overflow-wrap:anywhere}.n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
a:focus-visible{outline:3px solid;outline-offset:2px}nav ul{list-style:none;padding:0;display:flex;flex-wrap:wrap;gap:.25rem 1.25rem}
.skip{position:absolute;left:-999px}.skip:focus{left:1rem}`

const ESCAPES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
}

/** Text for HTML content and quoted attributes; control characters, which names may hold, are shown as a replacement. */
export function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, character => ESCAPES[character]!).replace(/[\0-\x1f\x7f]/g, '\u{fffd}')
}

export interface HtmlOptions {
  /**
   * For people: the way up, other orders, archives, the next page. Programs that follow every link get the entries and nothing else,
   * or they would download each folder in every order.
   */
  readonly navigation: boolean
  readonly sort: string
  readonly order: string
  readonly nextHref?: string | undefined
  readonly totals?: ListingPage['totals']
}

/** The page in pieces, one for each batch, with everything that the batches hold. */
export async function* renderHtml(
  folder: ListedFolder,
  batches: AsyncIterable<readonly Entry[]>,
  options: HtmlOptions,
): AsyncGenerator<string> {
  yield head(folder, options)
  let rows = 0
  for await (const batch of batches) {
    rows += batch.length
    yield batch.map(entry => row(folder, entry)).join('')
  }
  yield tail(rows, options)
}

function head(folder: ListedFolder, options: HtmlOptions): string {
  const title = `/${escapeHtml(folder.title)}${folder.title === '' ? '' : '/'}`
  return `<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Outputs: ${title}</title><style>${STYLE}</style></head>
<body>${options.navigation ? '<a class="skip" href="#entries">Skip to the entries</a>' : ''}
<main><h1>Outputs of <code>${title}</code></h1>
${options.navigation ? navigation(folder) : ''}<table id="entries"><caption hidden>Files and folders</caption>
<thead><tr>${columns(folder, options)}</tr></thead>
<tbody>
`
}

function columns(folder: ListedFolder, options: HtmlOptions): string {
  return [
    heading(folder, 'name', 'Name', options),
    heading(folder, 'size', 'Size', options, ' class="n"'),
    heading(folder, 'lastModified', 'Last modified (UTC)', options),
  ].join('')
}

function heading(
  folder: ListedFolder,
  key: string,
  label: string,
  options: HtmlOptions,
  attributes = '',
): string {
  if (!options.navigation) return `<th scope="col"${attributes}>${label}</th>`
  const current = options.sort === key
  const order = current && options.order === 'asc' ? 'desc' : 'asc'
  const sorted = current ? ` aria-sort="${options.order === 'asc' ? 'ascending' : 'descending'}"` : ''
  const href = escapeHtml(queryString(folder, { format: 'html', sort: key, order }))
  return `<th scope="col"${attributes}${sorted}><a href="./${href}">${label}</a></th>`
}

function navigation(folder: ListedFolder): string {
  const depth = folder.title === '' ? [] : folder.title.split('/')
  const crumbs = depth.slice(0, -1).map((name, i) => ({ name, up: depth.length - 1 - i }))
  const links = [
    ...(folder.title === '' ? [] : [{ href: '../'.repeat(depth.length), label: 'outputs' }]),
    ...crumbs.map(({ name, up }) => ({ href: '../'.repeat(up), label: name })),
  ].map(
    ({ href, label }) =>
      `<li><a href="${href}${escapeHtml(queryString(folder))}">${escapeHtml(label)}/</a></li>`,
  )
  const archives = folder.inRun
    ? ['zip', 'tar', 'tar.gz'].map(
        format =>
          `<li><a href="./${escapeHtml(queryString(folder, { archive: format }))}">Download as ${format}</a></li>`,
      )
    : []
  if (links.length + archives.length === 0) return ''
  return `<nav aria-label="Folders above and downloads"><ul>${[...links, ...archives].join('')}</ul></nav>\n`
}

function row(folder: ListedFolder, entry: Entry): string {
  const directory = entry.type === 'directory'
  const label = escapeHtml(relativePath(folder, entry)) + (directory ? '/' : '')
  const name =
    entry.unreadable === undefined
      ? `<a href="${escapeHtml(entryHref(folder, entry))}">${label}</a>`
      : `${label} (cannot be read)`
  const size = directory ? '' : `<span title="${entry.size} bytes">${humanSize(entry.size)}</span>`
  const time = entry.lastModifiedMs === undefined ? '' : new Date(entry.lastModifiedMs).toISOString()
  return `<tr><td>${name}</td><td class="n">${size}</td><td>${time && `<time datetime="${time}">${time.slice(0, 19).replace('T', ' ')}</time>`}</td></tr>\n`
}

function tail(rows: number, { nextHref, totals }: HtmlOptions): string {
  const more =
    nextHref === undefined ? '' : `<p><a href="${escapeHtml(nextHref)}" rel="next">Next page</a></p>\n`
  const sum = totals
    ? `<p>${totals.complete ? '' : 'At least '}${totals.files} files, ${totals.directories} folders, ${humanSize(totals.size)} in all.</p>\n`
    : ''
  return `</tbody></table>\n${rows === 0 ? '<p>This folder is empty.</p>\n' : ''}${sum}${more}</main></body></html>\n`
}

/** Binary units, as du -h and ls -h use them. */
export function humanSize(bytes: number): string {
  if (bytes < 1024) return `${bytes} B`
  const power = Math.min(Math.floor(Math.log2(bytes) / 10), 6)
  const value = bytes / 1024 ** power
  return `${value < 10 ? value.toFixed(1) : Math.round(value)} ${'KMGTPE'[power - 1]}iB`
}
