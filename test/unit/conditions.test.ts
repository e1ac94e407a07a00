import type { IncomingHttpHeaders } from 'node:http'
import { describe, expect, test } from 'vitest'
import {
  evaluate,
  ifMatch,
  ifModifiedSince,
  ifNoneMatch,
  ifRange,
  ifUnmodifiedSince,
  type Condition,
  type Decision,
  type Validators,
} from '../../src/http/conditions.ts'

const MODIFIED_SECONDS = 784111777
const MODIFIED = 'Sun, 06 Nov 1994 08:49:37 GMT'
const SECOND_BEFORE = 'Sun, 06 Nov 1994 08:49:36 GMT'
const SECOND_AFTER = 'Sun, 06 Nov 1994 08:49:38 GMT'
const NOW_MS = Date.UTC(2026, 9, 15)

const CURRENT: Validators = { etag: { weak: false, opaque: 'v1' }, lastModifiedSeconds: MODIFIED_SECONDS }
const WEAK: Validators = { ...CURRENT, etag: { weak: true, opaque: 'v1' } }
const UNTAGGED: Validators = { ...CURRENT, etag: undefined }
const UNDATED: Validators = { ...CURRENT, lastModifiedSeconds: undefined }

describe('If-Match (RFC 9110 13.1.1)', () => {
  test.each<[string, string | undefined, Validators, Condition]>([
    ['no header', undefined, CURRENT, 'absent'],
    ['the tag', '"v1"', CURRENT, 'true'],
    ['another tag', '"v2"', CURRENT, 'false'],
    ['one of several tags', '"v0", "v1", "v2"', CURRENT, 'true'],
    ['a star', '*', CURRENT, 'true'],
    ['a star for content without a tag', '*', UNTAGGED, 'true'],
    ['a tag for content without a tag', '"v1"', UNTAGGED, 'false'],
    ['the tag marked weak, which strong comparison refuses', 'W/"v1"', CURRENT, 'false'],
    ['the tag where the current one is weak', '"v1"', WEAK, 'false'],
    ['the tag without quotes', 'v1', CURRENT, 'false'],
    ['the tag in a malformed list', '"v1", v2', CURRENT, 'false'],
    ['an empty list', '', CURRENT, 'false'],
    ['the tag within a longer tag', '"xv1x"', CURRENT, 'false'],
  ])('%s', (_title, header, current, expected) => {
    expect(ifMatch(header, current)).toBe(expected)
  })
})

describe('If-Unmodified-Since (RFC 9110 13.1.4)', () => {
  test.each<[string, string | undefined, Validators, Condition]>([
    ['no header', undefined, CURRENT, 'absent'],
    ['the same second', MODIFIED, CURRENT, 'true'],
    ['a second before', SECOND_BEFORE, CURRENT, 'false'],
    ['a second after', SECOND_AFTER, CURRENT, 'true'],
    ['no valid date', 'tomorrow', CURRENT, 'absent'],
    ['content without a date', SECOND_BEFORE, UNDATED, 'absent'],
  ])('%s', (_title, header, current, expected) => {
    expect(ifUnmodifiedSince(header, current, NOW_MS)).toBe(expected)
  })
})

describe('If-None-Match (RFC 9110 13.1.2)', () => {
  test.each<[string, string | undefined, Validators, Condition]>([
    ['no header', undefined, CURRENT, 'absent'],
    ['the tag', '"v1"', CURRENT, 'false'],
    ['the tag marked weak, which weak comparison accepts', 'W/"v1"', CURRENT, 'false'],
    ['the tag where the current one is weak', '"v1"', WEAK, 'false'],
    ['another tag', '"v2"', CURRENT, 'true'],
    ['one of several header lines', '"v0", W/"v1"', CURRENT, 'false'],
    ['a tag with a comma that holds the tag', '"x,v1"', CURRENT, 'true'],
    ['a star', '*', CURRENT, 'false'],
    ['a star for content without a tag', '*', UNTAGGED, 'false'],
    ['a tag for content without a tag', '"v1"', UNTAGGED, 'true'],
    ['an empty list', '', CURRENT, 'true'],
  ])('%s', (_title, header, current, expected) => {
    expect(ifNoneMatch(header, current, true)).toBe(expected)
  })

  test.each(['v1', '"v1', '"v1" "v2"', '"v1", *'])(
    'takes malformed %s for news to a reader, for a refusal to a writer',
    header => {
      expect(ifNoneMatch(header, CURRENT, true)).toBe('true')
      expect(ifNoneMatch(header, CURRENT, false)).toBe('false')
    },
  )
})

describe('If-Modified-Since (RFC 9110 13.1.3)', () => {
  test.each<[string, string | undefined, Validators, Condition]>([
    ['no header', undefined, CURRENT, 'absent'],
    ['the same second', MODIFIED, CURRENT, 'false'],
    ['the same second as rfc850-date', 'Sunday, 06-Nov-94 08:49:37 GMT', CURRENT, 'false'],
    ['the same second as asctime-date', 'Sun Nov  6 08:49:37 1994', CURRENT, 'false'],
    ['a second before', SECOND_BEFORE, CURRENT, 'true'],
    ['a second after', SECOND_AFTER, CURRENT, 'false'],
    ['no valid date', 'Sun, 06 Nov 1994 08:49:37 CET', CURRENT, 'absent'],
    ['content without a date', MODIFIED, UNDATED, 'absent'],
  ])('%s', (_title, header, current, expected) => {
    expect(ifModifiedSince(header, current, NOW_MS)).toBe(expected)
  })
})

describe('If-Range (RFC 9110 13.1.5)', () => {
  test.each<[string, string | undefined, Validators, Condition]>([
    ['no header', undefined, CURRENT, 'absent'],
    ['the tag', '"v1"', CURRENT, 'true'],
    ['another tag', '"v2"', CURRENT, 'false'],
    ['the tag marked weak', 'W/"v1"', CURRENT, 'false'],
    ['a weak tag that is the current one', 'W/"v1"', WEAK, 'false'],
    ['a tag that only contains the tag', '"junk v1 junk"', CURRENT, 'false'],
    ['the tag between junk', 'junk "v1" junk', CURRENT, 'false'],
    ['a list with the tag', '"v1", "v2"', CURRENT, 'false'],
    ['a star', '*', CURRENT, 'false'],
    ['the tag without quotes', 'v1', CURRENT, 'false'],
    ['empty', '', CURRENT, 'false'],
    ['a tag for content without a tag', '"v1"', UNTAGGED, 'false'],
    ['the date', MODIFIED, CURRENT, 'true'],
    ['the date as rfc850-date', 'Sunday, 06-Nov-94 08:49:37 GMT', CURRENT, 'true'],
    ['a later date, which is no exact match', SECOND_AFTER, CURRENT, 'false'],
    ['an earlier date', SECOND_BEFORE, CURRENT, 'false'],
    ['a date for content without a date', MODIFIED, UNDATED, 'false'],
    ['no valid date', 'Sun, 31 Feb 1994 08:49:37 GMT', CURRENT, 'false'],
  ])('%s', (_title, header, current, expected) => {
    expect(ifRange(header, current, NOW_MS)).toBe(expected)
  })

  test('8.8.2.2 trusts a date only once its second is over', () => {
    expect(ifRange(MODIFIED, CURRENT, MODIFIED_SECONDS * 1000 + 999)).toBe('false')
    expect(ifRange(MODIFIED, CURRENT, MODIFIED_SECONDS * 1000 + 1000)).toBe('true')
  })
})

const TAG = '"v1"'
const OTHER = '"v2"'
const range = 'bytes=0-0'

const ORDER: readonly (readonly [title: string, method: string, headers: IncomingHttpHeaders, Decision])[] = [
  ['no conditions', 'GET', {}, 'proceed'],
  ['step 1, true', 'GET', { 'if-match': TAG }, 'proceed'],
  ['step 1, false', 'GET', { 'if-match': OTHER }, 'precondition failed'],
  ['step 1, false, on HEAD', 'HEAD', { 'if-match': OTHER }, 'precondition failed'],
  ['step 1 with a weak tag', 'GET', { 'if-match': `W/${TAG}` }, 'precondition failed'],
  ['step 1, true, hides step 2', 'GET', { 'if-match': TAG, 'if-unmodified-since': SECOND_BEFORE }, 'proceed'],
  [
    'step 1, false, hides step 2',
    'GET',
    { 'if-match': OTHER, 'if-unmodified-since': MODIFIED },
    'precondition failed',
  ],
  ['step 1, false, before step 3', 'GET', { 'if-match': OTHER, 'if-none-match': TAG }, 'precondition failed'],
  ['step 1, true, then step 3', 'GET', { 'if-match': TAG, 'if-none-match': TAG }, 'not modified'],
  ['step 2, false', 'GET', { 'if-unmodified-since': SECOND_BEFORE }, 'precondition failed'],
  [
    'step 2, false, before step 3',
    'GET',
    { 'if-unmodified-since': SECOND_BEFORE, 'if-none-match': TAG },
    'precondition failed',
  ],
  [
    'step 2, true, then step 4',
    'GET',
    { 'if-unmodified-since': MODIFIED, 'if-modified-since': MODIFIED },
    'not modified',
  ],
  ['step 2 with an invalid date', 'GET', { 'if-unmodified-since': 'never' }, 'proceed'],
  ['step 3, false, on GET', 'GET', { 'if-none-match': TAG }, 'not modified'],
  ['step 3, false, on HEAD', 'HEAD', { 'if-none-match': '*' }, 'not modified'],
  ['step 3, false, on PUT', 'PUT', { 'if-none-match': '*' }, 'precondition failed'],
  ['step 3, false, on POST', 'POST', { 'if-none-match': TAG }, 'precondition failed'],
  ['step 3, true, hides step 4', 'GET', { 'if-none-match': OTHER, 'if-modified-since': MODIFIED }, 'proceed'],
  [
    'step 3, false, hides step 4',
    'GET',
    { 'if-none-match': TAG, 'if-modified-since': SECOND_BEFORE },
    'not modified',
  ],
  [
    'step 3, malformed, hides step 4',
    'GET',
    { 'if-none-match': 'v1', 'if-modified-since': MODIFIED },
    'proceed',
  ],
  ['step 4, false', 'GET', { 'if-modified-since': MODIFIED }, 'not modified'],
  ['step 4, false, on HEAD', 'HEAD', { 'if-modified-since': SECOND_AFTER }, 'not modified'],
  ['step 4, true', 'GET', { 'if-modified-since': SECOND_BEFORE }, 'proceed'],
  ['step 4 counts for GET and HEAD only', 'PUT', { 'if-modified-since': MODIFIED }, 'proceed'],
  ['step 5, true', 'GET', { range, 'if-range': TAG }, 'proceed'],
  ['step 5, false', 'GET', { range, 'if-range': OTHER }, 'ignore range'],
  ['step 5 without Range', 'GET', { 'if-range': OTHER }, 'proceed'],
  ['step 5 counts for GET only', 'HEAD', { range, 'if-range': OTHER }, 'proceed'],
  ['step 5 with two header lines', 'GET', { range, 'if-range': [TAG, TAG] }, 'ignore range'],
  ['step 3, false, before step 5', 'GET', { range, 'if-range': TAG, 'if-none-match': TAG }, 'not modified'],
  [
    'step 1, false, before step 5',
    'GET',
    { range, 'if-range': TAG, 'if-match': OTHER },
    'precondition failed',
  ],
]

describe('precedence (RFC 9110 13.2.2)', () => {
  test.each(ORDER)('%s', (_title, method, headers, expected) => {
    expect(evaluate({ method, headers }, CURRENT, NOW_MS)).toBe(expected)
  })
})
