// The listing of a folder, in the form that the client asks for.
import type { Response } from 'express'
import { listPage, matching } from '../../content/listing.ts'
import type { ListingPage, ListSource } from '../../content/listing.ts'
import type { Entry } from '../../store/store.ts'
import { describe } from '../exchange.ts'
import { chooseFormat, MEDIA_TYPES, renderJson, renderNdjson, renderText } from '../listing-formats.ts'
import type { Choice } from '../listing-formats.ts'
import { LISTING_POLICY, renderHtml } from '../listing-html.ts'
import type { ListedFolder } from '../listing-view.ts'
import { OMITTED, omittedField } from '../omitted.ts'
import { listingRequest } from '../query.ts'
import type { ListingRequest } from '../query.ts'
import { sendText } from '../send.ts'
import type { Asked } from './outputs.ts'

/** A listing about to be sent. */
interface Opened {
  readonly batches: AsyncIterable<readonly Entry[]>
  /** Undefined when the batches are all there is. */
  readonly page: ListingPage | undefined
  readonly nextHref: string | undefined
  /** Artifacts that the store has left out so far. */
  readonly omitted: () => number
}

/** Fails as the source does before anything is sent; later failures break the connection, or end NDJSON with an error line. */
export async function answerListing(asked: Asked, folder: ListedFolder, source: ListSource): Promise<void> {
  const { request, response, method, signal, dependencies } = asked
  describe(response, { answer: 'listing' })
  dependencies.limits.listings.take(request, response)
  const choice = chooseFormat(asked.query.format, request.headers.accept)
  const query = listingRequest(asked.query)
  const counted = countedIn(response, source)
  const opened = givenWhole(choice, query)
    ? await openStream(asked, query, counted)
    : await openPage(asked, query, counted)
  await sendText(response, render(asked, folder, choice, query, opened), {
    method,
    signal,
    head: () => setHead(asked, choice, opened),
    ...(choice.format === 'text' && { trailers: () => omittedField(opened.omitted()) }),
  })
}

/** The same source, of whose entries it is noted how many were looked at. */
function countedIn(response: Response, source: ListSource): ListSource {
  let entries = 0
  return {
    folder: source.folder,
    async *list(options) {
      for await (const batch of source.list(options)) {
        describe(response, { entries: (entries += batch.length) })
        yield batch
      }
    },
  }
}

/**
 * Whether everything is streamed instead of a page: NDJSON and text always can be, and a page for programs must be, for a client that
 * only follows entries (rclone, fsspec) would take the first page for all there is.
 */
function givenWhole(choice: Choice, query: ListingRequest): boolean {
  if (query.paged || choice.format === 'json') return false
  return choice.format !== 'html' || !choice.named
}

async function openStream(asked: Asked, query: ListingRequest, source: ListSource): Promise<Opened> {
  let omitted = 0
  const onOmitted = (artifacts: number): void => void (omitted += artifacts)
  const entries = matching(source, query, { onOmitted, signal: asked.signal })
  const batches = await begun(entries, asked.method)
  return { batches, page: undefined, nextHref: undefined, omitted: () => omitted }
}

async function openPage(asked: Asked, query: ListingRequest, source: ListSource): Promise<Opened> {
  const page = await listPage(source, query, asked.signal)
  const nextHref = page.next === undefined ? undefined : hrefWith(asked.request.url, page.next)
  return { batches: once(page.entries), page, nextHref, omitted: () => page.omitted }
}

function render(
  { response, dependencies }: Asked,
  folder: ListedFolder,
  { format, named }: Choice,
  query: ListingRequest,
  { batches, page, nextHref, omitted }: Opened,
): AsyncIterable<string> {
  switch (format) {
    case 'json':
      return renderJson(folder, page!, nextHref)
    case 'text':
      return renderText(folder, batches)
    case 'html':
      return renderHtml(folder, batches, {
        navigation: named,
        sort: query.sort,
        order: query.order,
        nextHref,
        totals: page?.totals,
        omitted,
      })
    case 'ndjson': {
      const next = page?.next === undefined ? undefined : { cursor: page.next, href: nextHref! }
      const end = { complete: query.cursor === undefined && next === undefined, next, omitted }
      return renderNdjson(folder, batches, end, error => dependencies.problemFor(error, response))
    }
  }
}

function setHead({ request, response, method }: Asked, { format }: Choice, { nextHref }: Opened): void {
  response.statusCode = 200
  response.setHeader('Content-Type', MEDIA_TYPES[format])
  response.setHeader('Cache-Control', 'private, no-cache')
  response.setHeader('Content-Security-Policy', LISTING_POLICY)
  response.setHeader('X-Content-Type-Options', 'nosniff')
  response.appendHeader('Vary', 'Accept')
  if (nextHref !== undefined) response.setHeader('Link', `<${nextHref}>; rel="next"`)
  // Every line of text is a name, so the count of what was left out comes behind them, in chunked messages.
  if (format === 'text' && method === 'GET' && request.httpVersion === '1.1')
    response.setHeader('Trailer', OMITTED)
}

/** The same query with another cursor. */
function hrefWith(url: string, cursor: string): string {
  const mark = url.indexOf('?')
  const next = new URLSearchParams(mark < 0 ? '' : url.slice(mark + 1))
  next.set('cursor', cursor)
  return `./?${next.toString()}`
}

async function* once<T>(value: T): AsyncGenerator<T> {
  yield value
}

/**
 * The same stream with its first value already fetched, so that a folder that is not there fails before anything is sent.
 *
 * For HEAD, which reads no further, the stream is ended.
 */
export async function begun<T>(stream: AsyncGenerator<T>, method: string): Promise<AsyncIterable<T>> {
  const first = await stream.next()
  if (method === 'HEAD') await stream.return(undefined)
  return (async function* () {
    try {
      if (first.done) return
      yield first.value
      yield* stream
    } finally {
      await stream.return(undefined)
    }
  })()
}
