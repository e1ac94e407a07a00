// Preconditions (RFC 9110 13): one function for each header, and `evaluate`, which asks them in the order of 13.2.2.
import type { IncomingHttpHeaders } from 'node:http'
import {
  matchesStrongly,
  matchesWeakly,
  parseEntityTag,
  parseEntityTagList,
  type EntityTag,
} from './entity-tag.ts'
import { parseHttpDate } from './http-date.ts'

/** The validators of the selected representation, as they would be sent with it. */
export interface Validators {
  readonly etag: EntityTag | undefined
  /** The Last-Modified field in whole seconds since 1970, never after now. */
  readonly lastModifiedSeconds: number | undefined
}

/** Of what has a time of change, if it is known, and a tag. */
export function validatorsOf(
  {
    etag,
    lastModifiedMs,
  }: { readonly etag: string | undefined; readonly lastModifiedMs: number | undefined },
  nowMs: number,
): Validators {
  return {
    etag: etag === undefined ? undefined : { weak: false, opaque: etag },
    // Never later than Date (RFC 9110 8.8.2.1, a MUST): clocks of other machines, and what unpacked archives say, run ahead.
    lastModifiedSeconds:
      lastModifiedMs === undefined ? undefined : Math.floor(Math.min(lastModifiedMs, nowMs) / 1000),
  }
}

/** `absent` when the header is missing or the RFC says to ignore it, which is then the same. */
export type Condition = 'absent' | 'true' | 'false'

/** What the preconditions decide: go on with the Range or without it, or answer 304 or 412. */
export type Decision = 'proceed' | 'ignore range' | 'not modified' | 'precondition failed'

/**
 * Evaluates the preconditions of a request whose answer without them would be a 200 (RFC 9110 13.2.1), for a resource that
 * has a current representation.
 */
export function evaluate(
  { method, headers }: { readonly method: string; readonly headers: IncomingHttpHeaders },
  current: Validators,
  nowMs: number,
): Decision {
  const guard =
    headers['if-match'] === undefined
      ? ifUnmodifiedSince(headers['if-unmodified-since'], current, nowMs)
      : ifMatch(headers['if-match'], current)
  if (guard === 'false') return 'precondition failed'

  const reads = method === 'GET' || method === 'HEAD'
  const freshness =
    headers['if-none-match'] === undefined && reads
      ? ifModifiedSince(headers['if-modified-since'], current, nowMs)
      : ifNoneMatch(headers['if-none-match'], current, reads)
  if (freshness === 'false') return reads ? 'not modified' : 'precondition failed'

  // Without a Range, If-Range means nothing (13.1.5); with another method, neither does Range (14.2).
  if (method !== 'GET' || headers.range === undefined) return 'proceed'
  // Only the types allow for an array: Node joins repeated lines, and two values are no validator.
  const rangeCondition = ifRange(headers['if-range']?.toString(), current, nowMs)
  return rangeCondition === 'false' ? 'ignore range' : 'proceed'
}

/**
 * RFC 9110 13.1.1, by strong comparison.
 *
 * The RFC leaves malformed lists open. Here the condition is false: the client wants to act on one known state only, and a
 * tag that cannot be read is not proof of it.
 */
export function ifMatch(header: string | undefined, current: Validators): Condition {
  if (header === undefined) return 'absent'
  const listed = parseEntityTagList(header)
  if (listed === '*') return 'true'
  const { etag } = current
  if (listed === undefined || etag === undefined) return 'false'
  return truth(listed.some(tag => matchesStrongly(tag, etag)))
}

/** RFC 9110 13.1.4: ignored with a date that is not valid, or where there is no modification date to compare. */
export function ifUnmodifiedSince(header: string | undefined, current: Validators, nowMs: number): Condition {
  const modified = modifiedSince(header, current, nowMs)
  return modified === undefined ? 'absent' : truth(!modified)
}

/**
 * RFC 9110 13.1.2, by weak comparison.
 *
 * The RFC leaves malformed lists open. When `reads`, the condition is then true, because the whole content is a correct
 * answer to any cache. For a method that changes things it is false: the client asked for a guard that cannot be read.
 */
export function ifNoneMatch(header: string | undefined, current: Validators, reads: boolean): Condition {
  if (header === undefined) return 'absent'
  const listed = parseEntityTagList(header)
  if (listed === undefined) return truth(reads)
  if (listed === '*') return 'false'
  const { etag } = current
  return truth(etag === undefined || !listed.some(tag => matchesWeakly(tag, etag)))
}

/** RFC 9110 13.1.3: ignored with a date that is not valid, or where there is no modification date to compare. */
export function ifModifiedSince(header: string | undefined, current: Validators, nowMs: number): Condition {
  const modified = modifiedSince(header, current, nowMs)
  return modified === undefined ? 'absent' : truth(modified)
}

/**
 * RFC 9110 13.1.5: exactly one entity tag, by strong comparison, or a date that is the Last-Modified itself.
 *
 * False for everything else, malformed values included: a wrong `true` would join parts of two contents into one file.
 */
export function ifRange(header: string | undefined, current: Validators, nowMs: number): Condition {
  if (header === undefined) return 'absent'
  const tag = parseEntityTag(header)
  if (tag !== undefined) return truth(current.etag !== undefined && matchesStrongly(tag, current.etag))
  const date = parseHttpDate(header, nowMs)
  // A second that is not over yet may still see another change under the same date, so it is no strong validator (8.8.2.2).
  if (date === undefined || date + 1 > nowMs / 1000) return 'false'
  return truth(date === current.lastModifiedSeconds)
}

function modifiedSince(header: string | undefined, current: Validators, nowMs: number): boolean | undefined {
  if (header === undefined || current.lastModifiedSeconds === undefined) return undefined
  const date = parseHttpDate(header, nowMs)
  return date === undefined ? undefined : current.lastModifiedSeconds > date
}

function truth(value: boolean): Condition {
  return value ? 'true' : 'false'
}
