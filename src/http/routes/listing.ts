// The listing of a folder, in the form that the client asks for.
import { listPage, matching } from '../../content/listing.ts'
import type { ListSource } from '../../content/listing.ts'
import type { Entry } from '../../store/store.ts'
import { chooseFormat, MEDIA_TYPES, renderJson, renderNdjson, renderText } from '../listing-formats.ts'
import type { Choice } from '../listing-formats.ts'
import { LISTING_POLICY, renderHtml } from '../listing-html.ts'
import type { HtmlOptions } from '../listing-html.ts'
import type { ListedFolder } from '../listing-view.ts'
import { listingRequest } from '../query.ts'
import type { ListingRequest } from '../query.ts'
import { sendText } from '../send.ts'
import type { Asked } from './outputs.ts'

/** Fails as the source does before anything is sent; later failures break the connection, or end NDJSON with an error line. */
export async function answerListing(asked: Asked, folder: ListedFolder, source: ListSource): Promise<void> {
  const { request, response, method, signal, dependencies } = asked
  const choice = chooseFormat(asked.query.format, request.headers.accept)
  const query = listingRequest(asked.query)
  const { text, nextHref } = givenWhole(choice, query)
    ? {
        text: render(choice, query, folder, await begun(matching(source, query, { signal })), error =>
          dependencies.problemFor(error, request, response),
        ),
        nextHref: undefined,
      }
    : await renderPage(asked, choice, query, folder, source)
  await sendText(response, text, {
    method,
    signal,
    head: () => {
      response.statusCode = 200
      response.setHeader('Content-Type', MEDIA_TYPES[choice.format])
      response.setHeader('Cache-Control', 'private, no-cache')
      response.setHeader('Content-Security-Policy', LISTING_POLICY)
      response.setHeader('X-Content-Type-Options', 'nosniff')
      response.setHeader('Vary', 'Accept')
      if (nextHref !== undefined) response.setHeader('Link', `<${nextHref}>; rel="next"`)
    },
  })
}

/**
 * Whether everything is streamed instead of a page: NDJSON and text always can be, and a page for programs must be, for a client that
 * only follows entries (rclone, fsspec) would take the first page for all there is.
 */
function givenWhole(choice: Choice, query: ListingRequest): boolean {
  if (query.paged || choice.format === 'json') return false
  return choice.format !== 'html' || !choice.named
}

async function renderPage(
  asked: Asked,
  choice: Choice,
  query: ListingRequest,
  folder: ListedFolder,
  source: ListSource,
): Promise<{ text: AsyncIterable<string>; nextHref: string | undefined }> {
  const { request, response, signal, dependencies } = asked
  const page = await listPage(source, query, signal)
  const nextHref = page.next === undefined ? undefined : hrefWith(request.url, page.next)
  if (choice.format === 'json') return { text: renderJson(folder, page, nextHref), nextHref }
  const problemFor = (error: unknown): ReturnType<typeof dependencies.problemFor> =>
    dependencies.problemFor(error, request, response)
  const options = { nextHref, totals: page.totals }
  return { text: render(choice, query, folder, once(page.entries), problemFor, options), nextHref }
}

function render(
  choice: Choice,
  query: ListingRequest,
  folder: ListedFolder,
  batches: AsyncIterable<readonly Entry[]>,
  problemFor: Parameters<typeof renderNdjson>[2],
  options: Pick<HtmlOptions, 'nextHref' | 'totals'> = {},
): AsyncIterable<string> {
  if (choice.format === 'ndjson') return renderNdjson(folder, batches, problemFor)
  if (choice.format === 'text') return renderText(folder, batches)
  return renderHtml(folder, batches, {
    ...options,
    navigation: choice.named,
    sort: query.sort,
    order: query.order,
  })
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

/** The same stream with its first value already fetched, so that a folder that is not there fails before anything is sent. */
async function begun<T>(stream: AsyncGenerator<T>): Promise<AsyncIterable<T>> {
  const first = await stream.next()
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
