// The listing's other three forms, and which one a client asks for.
import Negotiator from 'negotiator'
import { Tally } from '../content/listing.ts'
import type { ListingPage } from '../content/listing.ts'
import type { Entry } from '../store/store.ts'
import { entryView, listingView, relativePath } from './listing-view.ts'
import type { ListedFolder } from './listing-view.ts'
import type { Problem } from './problem.ts'

export type ListingFormat = 'json' | 'ndjson' | 'html' | 'text'

export const MEDIA_TYPES: Readonly<Record<ListingFormat, string>> = {
  html: 'text/html; charset=utf-8',
  json: 'application/json',
  ndjson: 'application/x-ndjson',
  text: 'text/plain; charset=utf-8',
}

const OFFERED = new Map<string, ListingFormat>([
  ['text/html', 'html'],
  ['application/json', 'json'],
  ['application/x-ndjson', 'ndjson'],
  ['application/ndjson', 'ndjson'],
  ['text/plain', 'text'],
])

const NEEDS_QUOTES = /^"|[\0-\x1f\x7f]/

/** Text is gathered to about this many characters before it is written. */
const PIECE = 64 * 1024

export interface Choice {
  readonly format: ListingFormat
  /** Whether the client named the form; one that takes anything (wget, rclone, curl) gets a page meant for programs. */
  readonly named: boolean
}

/** By `format`, else by Accept (RFC 9110 12.5.1); HTML when it names nothing that is offered. */
export function chooseFormat(format: ListingFormat | undefined, accept: string | undefined): Choice {
  if (format !== undefined) return { format, named: true }
  const named = /text\/|application\//i.test(accept ?? '')
  const best = new Negotiator({ headers: { accept } }).mediaType([...OFFERED.keys()])
  return { format: OFFERED.get(best ?? 'text/html') ?? 'html', named: named && best !== undefined }
}

export async function* renderJson(
  folder: ListedFolder,
  page: ListingPage,
  nextHref: string | undefined,
): AsyncGenerator<string> {
  const { path, ...rest } = listingView(folder, page, nextHref)
  yield `{"path":${JSON.stringify(path)},"entries":[`
  let separator = ''
  for (const piece of pieces(page.entries, entry => {
    const text = `${separator}\n${JSON.stringify(entryView(folder, entry))}`
    separator = ','
    return text
  }))
    yield piece
  yield `\n],${JSON.stringify(rest).slice(1)}\n`
}

/**
 * Names relative to the folder, folders with a slash, one on each line. A name with control characters, which could end the line or drive a terminal, is
 * written as a JSON string, and so is one that would look like that.
 */
export async function* renderText(
  folder: ListedFolder,
  batches: AsyncIterable<readonly Entry[]>,
): AsyncGenerator<string> {
  for await (const batch of batches)
    yield* pieces(batch, entry => {
      const name = relativePath(folder, entry) + (entry.type === 'directory' ? '/' : '')
      return `${NEEDS_QUOTES.test(name) ? JSON.stringify(name) : name}\n`
    })
}

/** How a stream of entries ends when nothing fails. */
export interface NdjsonEnd {
  /** Whether the stream holds everything that the query matches, not a page of it. */
  readonly complete: boolean
  readonly next?: { readonly cursor: string; readonly href: string } | undefined
  /** Artifacts that the store has left out; asked for at the end. */
  readonly omitted: () => number
}

/** One entry a line, then a line with a summary, or with the error that ended the listing: only a complete summary proves that it is whole. */
export async function* renderNdjson(
  folder: ListedFolder,
  batches: AsyncIterable<readonly Entry[]>,
  end: NdjsonEnd,
  problemFor: (error: unknown) => Problem,
): AsyncGenerator<string> {
  const tally = new Tally()
  try {
    for await (const batch of batches)
      yield* pieces(batch, entry => {
        tally.add(entry)
        return `${JSON.stringify(entryView(folder, entry))}\n`
      })
  } catch (error) {
    yield `${JSON.stringify({ error: problemFor(error) })}\n`
    return
  }
  const omitted = end.omitted()
  const summary = tally.totals(end.complete)
  yield `${JSON.stringify({ summary, ...(omitted > 0 && { omitted }), next: end.next })}\n`
}

function* pieces(entries: readonly Entry[], render: (entry: Entry) => string): Generator<string> {
  let text = ''
  for (const entry of entries) {
    text += render(entry)
    if (text.length >= PIECE) {
      yield text
      text = ''
    }
  }
  if (text !== '') yield text
}
