// The listing as a page: no script, plain relative links that browsers, wget, rclone, lftp and fsspec can walk.
import { escaped } from '../content/markup.ts'
import type { ListingPage } from '../content/listing.ts'
import type { Entry } from '../store/store.ts'
import { entryHref, queryString, relativePath } from './listing-view.ts'
import type { ListedFolder } from './listing-view.ts'

/** Nothing but this page's own style may be used by it. */
export const LISTING_POLICY =
  "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

const STYLE = `:root{color-scheme:light dark;background:Canvas;color:CanvasText}
body{font:16px/1.5 system-ui,sans-serif;margin:1.5rem auto;max-width:72rem;padding:0 1rem}
h1{font-size:1.15rem;overflow-wrap:anywhere}
nav ol,nav ul{list-style:none;padding:0;margin:.25rem 0;display:flex;flex-wrap:wrap}
nav ul{gap:.25rem 1.25rem}nav ol li+li::before{content:'/';padding:0 .35rem}
table{border-collapse:collapse;width:100%;margin-top:1rem}
th,td{text-align:left;vertical-align:top;padding:.3rem 0;border-bottom:1px solid #8884}
th+th,td+td{padding-left:1.25rem}th{white-space:nowrap}
td:first-child{min-width:8rem;overflow-wrap:anywhere}td:first-child a{white-space:pre-wrap}
.n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
th[aria-sort=ascending] a::after{content:' \\2191'/''}th[aria-sort=descending] a::after{content:' \\2193'/''}
a:focus-visible{outline:3px solid;outline-offset:2px}
.skip{position:absolute;left:-999px}.skip:focus{left:1rem;top:.5rem;z-index:1;padding:.25rem .5rem;background:Canvas}
@media(min-width:40rem){th:first-child{width:100%}time{white-space:nowrap}}
@media(max-width:40rem){table{font-size:.875rem}th{white-space:normal}th+th,td+td{padding-left:.5rem}}`

/** Text for HTML content and quoted attributes; control characters, which names may hold, are shown as a replacement. */
function escapeHtml(text: string): string {
  return escaped(text).replace(/[\0-\x1f\x7f]/g, '\u{fffd}')
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
  /** Artifacts that the store has left out; asked for at the end. */
  readonly omitted: () => number
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
    yield batch.map(entry => row(folder, entry, options)).join('')
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
  const names = ['outputs', ...(folder.title === '' ? [] : folder.title.split('/'))]
  const crumbs = names.map((name, depth) => {
    const up = names.length - 1 - depth
    const label = `<bdi>${escapeHtml(name)}</bdi>`
    if (up === 0) return `<li aria-current="page">${label}</li>`
    return `<li><a href="${'../'.repeat(up)}${escapeHtml(queryString(folder))}">${label}</a></li>`
  })
  const way = `<nav aria-label="Folders above"><ol>${crumbs.join('')}</ol></nav>\n`
  if (!folder.inRun) return way
  const archives = ['zip', 'tar', 'tar.gz'].map(
    format =>
      `<li><a href="./${escapeHtml(queryString(folder, { archive: format }))}">Download as ${format}</a></li>`,
  )
  return `${way}<nav aria-label="Downloads"><ul>${archives.join('')}</ul></nav>\n`
}

function row(folder: ListedFolder, entry: Entry, { navigation }: HtmlOptions): string {
  const directory = entry.type === 'directory'
  const label = `<bdi>${escapeHtml(relativePath(folder, entry))}</bdi>${directory ? '/' : ''}`
  // fsspec takes every link that begins with these letters for an absolute URL, and drops it.
  const href = navigation ? entryHref(folder, entry) : entryHref(folder, entry).replace(/^h(?=ttp)/, '%68')
  const name =
    entry.unreadable === undefined
      ? `<a href="${escapeHtml(href)}">${label}</a>`
      : `${label} (cannot be read)`
  const size = directory ? '' : `<span title="${entry.size} bytes">${humanSize(entry.size)}</span>`
  const time = entry.lastModifiedMs === undefined ? '' : new Date(entry.lastModifiedMs).toISOString()
  return `<tr><td>${name}</td><td class="n">${size}</td><td>${time && `<time datetime="${time}">${time.slice(0, 19).replace('T', ' ')}</time>`}</td></tr>\n`
}

function tail(rows: number, { nextHref, totals, omitted }: HtmlOptions): string {
  const more =
    nextHref === undefined ? '' : `<p><a href="${escapeHtml(nextHref)}" rel="next">Next page</a></p>\n`
  const sum = totals
    ? `<p>${totals.complete ? '' : 'At least '}${totals.files} files, ${totals.directories} folders, ${humanSize(totals.size)} in all.</p>\n`
    : ''
  const left = omitted()
  const unnamed =
    left === 0
      ? ''
      : `<p>Left out: ${left} ${left === 1 ? 'object' : 'objects'} with a key that no URL can name.</p>\n`
  const empty = rows === 0 && left === 0 ? '<p>This folder is empty.</p>\n' : ''
  return `</tbody></table>\n${empty}${sum}${unnamed}${more}</main></body></html>\n`
}

/** Binary units, as du -h and ls -h use them. */
function humanSize(bytes: number): string {
  if (bytes < 1024) return `${bytes} B`
  const power = Math.min(Math.floor(Math.log2(bytes) / 10), 6)
  const value = bytes / 1024 ** power
  return `${value < 10 ? value.toFixed(1) : Math.round(value)} ${'KMGTPE'[power - 1]}iB`
}
