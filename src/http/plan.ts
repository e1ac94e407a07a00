// From a request and a representation to the answer: status, headers and the slices to send (RFC 9110 13 to 15). Nothing is read and
// nothing is written here. Headers that depend on neither conditions nor ranges (Cache-Control, Content-Disposition …) are the caller's.
import { randomUUID } from 'node:crypto'
import type { IncomingHttpHeaders } from 'node:http'
import type { Representation } from '../content/representation.ts'
import { evaluate, validatorsOf, type Validators } from './conditions.ts'
import { formatEntityTag } from './entity-tag.ts'
import { formatHttpDate } from './http-date.ts'
import { parseRange, type ByteRange } from './range.ts'

export interface PlanRequest {
  readonly method: string
  readonly headers: IncomingHttpHeaders
}

export type PlannedRepresentation = Pick<
  Representation,
  'size' | 'etag' | 'lastModifiedMs' | 'mediaType' | 'contentEncoding'
>

export interface PlanOptions {
  /** The time of the answer, in milliseconds since 1970: its Date is not to be earlier. */
  readonly nowMs: number
  /** Makes the boundary of a multipart answer: at most 70 characters of token, and not to be guessed by who wrote the content. */
  readonly boundary?: () => string
}

/** A piece of a body: bytes of the answer's own, or the bytes [start, end) of the representation. */
export type BodyPart =
  | { readonly kind: 'bytes'; readonly bytes: Uint8Array }
  | { readonly kind: 'slice'; readonly start: number; readonly end: number }

export interface Plan {
  readonly status: 200 | 206 | 304 | 412 | 416
  readonly headers: Record<string, string>
  /**
   * The body of 200 and 206, in order; a representation without a size is one slice up to Infinity. Also there for HEAD,
   * where they are not to be sent. Empty for the others: 304 has no body, and that of 412 and 416 is a problem document.
   */
  readonly parts: readonly BodyPart[]
  /** Bytes of all parts together, which Content-Length says too; undefined where the representation has no size. */
  readonly length: number | undefined
}

/**
 * Decides the answer to a request for a representation that exists and that the client may have.
 *
 * HEAD gets the status and headers of a GET without Range (RFC 9110 9.3.2 and 14.2).
 */
export function plan(
  request: PlanRequest,
  representation: PlannedRepresentation,
  options: PlanOptions,
): Plan {
  const current = validatorsOf(representation, options.nowMs)
  const decision = evaluate(request, current, options.nowMs)
  if (decision === 'precondition failed') return bodiless(412, {})
  if (decision === 'not modified') return bodiless(304, notModifiedHeaders(current))

  const { size } = representation
  const { range } = request.headers
  if (size === undefined || request.method !== 'GET' || range === undefined || decision === 'ignore range')
    return whole(request, representation, current)
  const selection = parseRange(range, size)
  if (selection === 'ignored') return whole(request, representation, current)
  if (selection === 'unsatisfiable')
    return bodiless(416, { 'Accept-Ranges': 'bytes', 'Content-Range': `bytes */${size}` })
  // Content-Encoding would be about the multipart body, and a part has no place for it (14.6).
  if (selection.length > 1 && representation.contentEncoding !== undefined)
    return whole(request, representation, current)
  return partial(selection, size, representation, current, options)
}

function bodiless(status: 304 | 412 | 416, headers: Record<string, string>): Plan {
  return { status, headers, parts: [], length: 0 }
}

/** RFC 9110 15.4.5: the tag, or where there is none, the date; what else describes the content is in the client's cache. */
function notModifiedHeaders(current: Validators): Record<string, string> {
  return validatorHeaders(
    current.etag === undefined ? current : { ...current, lastModifiedSeconds: undefined },
  )
}

function validatorHeaders({ etag, lastModifiedSeconds }: Validators): Record<string, string> {
  const headers: Record<string, string> = {}
  if (etag !== undefined) headers['ETag'] = formatEntityTag(etag)
  if (lastModifiedSeconds !== undefined) headers['Last-Modified'] = formatHttpDate(lastModifiedSeconds)
  return headers
}

/** tchar (RFC 9110 5.6.2) and what separates codings: whoever stored an object chose the text. */
const CODINGS = /^[!#$%&'*+.^_`|~\w\-, ]+$/

function contentHeaders({ mediaType, contentEncoding }: PlannedRepresentation): Record<string, string> {
  const headers: Record<string, string> = { 'Content-Type': mediaType }
  if (contentEncoding !== undefined && CODINGS.test(contentEncoding))
    headers['Content-Encoding'] = contentEncoding
  return headers
}

function whole({ method }: PlanRequest, representation: PlannedRepresentation, current: Validators): Plan {
  const { size } = representation
  // What a POST selects has no URL that a Range could be asked of.
  const ranges = size !== undefined && (method === 'GET' || method === 'HEAD')
  const headers = { ...validatorHeaders(current), ...contentHeaders(representation) }
  headers['Accept-Ranges'] = ranges ? 'bytes' : 'none'
  if (size !== undefined) headers['Content-Length'] = String(size)
  return { status: 200, headers, parts: size === 0 ? [] : [slice(0, size ?? Infinity)], length: size }
}

/**
 * All fields of a 200 are sent after If-Range too, where 15.3.7 would rather save them: a resumed download is often
 * another process that does not have them.
 */
function partial(
  ranges: readonly ByteRange[],
  size: number,
  representation: PlannedRepresentation,
  current: Validators,
  options: PlanOptions,
): Plan {
  const headers = { ...validatorHeaders(current), ...contentHeaders(representation) }
  headers['Accept-Ranges'] = 'bytes'
  const only = ranges.length === 1 ? ranges[0] : undefined
  if (only === undefined) return multipart(ranges, size, representation.mediaType, headers, options)
  const length = only.end - only.start
  headers['Content-Range'] = contentRange(only, size)
  headers['Content-Length'] = String(length)
  return { status: 206, headers, parts: [slice(only.start, only.end)], length }
}

/** multipart/byteranges (RFC 9110 14.6, RFC 2046 5.1.1). Content-Range stands in the parts only (15.3.7.2, a MUST). */
function multipart(
  ranges: readonly ByteRange[],
  size: number,
  mediaType: string,
  headers: Record<string, string>,
  { boundary: makeBoundary = randomUUID }: PlanOptions,
): Plan {
  const boundary = makeBoundary()
  const parts: BodyPart[] = []
  let delimiter = `--${boundary}`
  for (const range of ranges) {
    const fields = `Content-Type: ${mediaType}\r\nContent-Range: ${contentRange(range, size)}`
    parts.push(text(`${delimiter}\r\n${fields}\r\n\r\n`), slice(range.start, range.end))
    delimiter = `\r\n--${boundary}`
  }
  parts.push(text(`${delimiter}--\r\n`))
  const length = parts.reduce((sum, part) => sum + lengthOf(part), 0)
  headers['Content-Type'] = `multipart/byteranges; boundary=${boundary}`
  headers['Content-Length'] = String(length)
  return { status: 206, headers, parts, length }
}

function contentRange({ start, end }: ByteRange, size: number): string {
  return `bytes ${start}-${end - 1}/${size}`
}

function slice(start: number, end: number): BodyPart {
  return { kind: 'slice', start, end }
}

function text(value: string): BodyPart {
  return { kind: 'bytes', bytes: Buffer.from(value, 'latin1') }
}

function lengthOf(part: BodyPart): number {
  return part.kind === 'bytes' ? part.bytes.byteLength : part.end - part.start
}
