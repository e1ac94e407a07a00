import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { formatHttpDate, parseHttpDate } from '../../src/http/http-date.ts'

const NOW_MS = Date.UTC(2026, 9, 15)
const NOV_1994 = 784111777

const CASES: readonly (readonly [title: string, text: string, seconds: number | undefined])[] = [
  ['IMF-fixdate', 'Sun, 06 Nov 1994 08:49:37 GMT', NOV_1994],
  ['rfc850-date', 'Sunday, 06-Nov-94 08:49:37 GMT', NOV_1994],
  ['asctime-date', 'Sun Nov  6 08:49:37 1994', NOV_1994],
  ['asctime-date with two digits of day', 'Wed Nov 16 08:49:37 1994', NOV_1994 + 864000],
  ['leap day', 'Thu, 29 Feb 2024 00:00:00 GMT', Date.UTC(2024, 1, 29) / 1000],
  ['leap second', 'Sat, 31 Dec 2016 23:59:60 GMT', Date.UTC(2017, 0, 1) / 1000],
  ['before 1970', 'Wed, 31 Dec 1969 23:59:59 GMT', -1],
  [
    'a year below 100 in four digits',
    'Fri, 01 Jan 0094 00:00:00 GMT',
    Date.parse('0094-01-01T00:00:00Z') / 1000,
  ],
  ['a day name that does not belong to the date', 'Mon, 06 Nov 1994 08:49:37 GMT', NOV_1994],
  ['two-digit year of this year', 'Thursday, 15-Oct-26 00:00:00 GMT', NOW_MS / 1000],
  ['two-digit year within 50 years', 'Thursday, 15-Oct-76 00:00:00 GMT', Date.UTC(2076, 9, 15) / 1000],
  [
    'two-digit year a second over 50 years',
    'Friday, 15-Oct-76 00:00:01 GMT',
    Date.UTC(1976, 9, 15) / 1000 + 1,
  ],
  ['two-digit year of the last century', 'Saturday, 01-Jan-77 00:00:00 GMT', Date.UTC(1977, 0, 1) / 1000],

  ['no date', 'yesterday', undefined],
  ['empty', '', undefined],
  ['a number', '784111777', undefined],
  ['ISO 8601', '1994-11-06T08:49:37Z', undefined],
  ['zone other than GMT', 'Sun, 06 Nov 1994 08:49:37 UTC', undefined],
  ['offset', 'Sun, 06 Nov 1994 08:49:37 +0000', undefined],
  ['lower case', 'sun, 06 nov 1994 08:49:37 gmt', undefined],
  ['one digit of day', 'Sun, 6 Nov 1994 08:49:37 GMT', undefined],
  ['unknown month', 'Sun, 06 Foo 1994 08:49:37 GMT', undefined],
  ['31 February', 'Sun, 31 Feb 1994 08:49:37 GMT', undefined],
  ['29 February of a common year', 'Wed, 29 Feb 2023 08:49:37 GMT', undefined],
  ['day 0', 'Sun, 00 Nov 1994 08:49:37 GMT', undefined],
  ['hour 24', 'Sun, 06 Nov 1994 24:00:00 GMT', undefined],
  ['minute 60', 'Sun, 06 Nov 1994 08:60:00 GMT', undefined],
  ['second 61', 'Sun, 06 Nov 1994 08:49:61 GMT', undefined],
  ['text after the date', 'Sun, 06 Nov 1994 08:49:37 GMT; length=3', undefined],
  ['two dates', 'Sun, 06 Nov 1994 08:49:37 GMT, Sun, 06 Nov 1994 08:49:37 GMT', undefined],
]

describe('HTTP-date (RFC 9110 5.6.7)', () => {
  test.each(CASES)('%s: %s', (_title, text, seconds) => {
    expect(parseHttpDate(text, NOW_MS)).toBe(seconds)
  })

  test('is sent as IMF-fixdate', () => {
    expect(formatHttpDate(NOV_1994)).toBe('Sun, 06 Nov 1994 08:49:37 GMT')
  })

  test('reads back any instant that it formats', () => {
    const years0To9999 = fc.integer({ min: -62167219200, max: 253402300799 })
    fc.assert(
      fc.property(years0To9999, seconds => {
        expect(parseHttpDate(formatHttpDate(seconds), NOW_MS)).toBe(seconds)
      }),
    )
  })
})
