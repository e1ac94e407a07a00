// HTTP-date (RFC 9110 5.6.7): the one form that is sent and the three that are understood. Instants are whole seconds since
// 1970, because that is all an HTTP-date can say.

const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec']
const MONTH = `(?<month>${MONTHS.join('|')})`
const DAY_NAME = '(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)'
const LONG_DAY_NAME = '(?:Monday|Tuesday|Wednesday|Thursday|Friday|Saturday|Sunday)'
// The grammar allows :60 for a leap second.
const TIME = '(?<hour>[01]\\d|2[0-3]):(?<minute>[0-5]\\d):(?<second>[0-5]\\d|60)'

const IMF_FIXDATE = new RegExp(`^${DAY_NAME}, (?<day>\\d\\d) ${MONTH} (?<year>\\d{4}) ${TIME} GMT$`)
const RFC850_DATE = new RegExp(`^${LONG_DAY_NAME}, (?<day>\\d\\d)-${MONTH}-(?<year>\\d\\d) ${TIME} GMT$`)
const ASCTIME_DATE = new RegExp(`^${DAY_NAME} ${MONTH} (?<day>\\d\\d| \\d) ${TIME} (?<year>\\d{4})$`)

/** The IMF-fixdate of an instant between the years 0 and 9999, in whole seconds since 1970. */
export function formatHttpDate(seconds: number): string {
  return new Date(seconds * 1000).toUTCString()
}

/**
 * The whole seconds since 1970 that `text` stands for; undefined when it is not an HTTP-date or names a day that does not exist.
 *
 * Months, days and `GMT` are case-sensitive, as the grammar is. The day name is not compared with the date.
 * `nowMs` decides the century of the two-digit years of rfc850-date.
 */
export function parseHttpDate(text: string, nowMs: number): number | undefined {
  const full = IMF_FIXDATE.exec(text) ?? ASCTIME_DATE.exec(text)
  if (full !== null) return instantOf(full.groups!, Number(full.groups!['year']))
  const short = RFC850_DATE.exec(text)
  return short === null ? undefined : instantOfShortYear(short.groups!, nowMs)
}

type DateFields = Readonly<Record<string, string>>

function instantOf(fields: DateFields, year: number): number | undefined {
  const day = Number(fields['day'])
  const midnight = new Date(0)
  // Not Date.UTC, which takes the years 0 to 99 for 1900 to 1999.
  midnight.setUTCFullYear(year, MONTHS.indexOf(fields['month']!), day)
  // Date rolls 31 Feb over into March.
  if (midnight.getUTCDate() !== day) return undefined
  const time = Number(fields['hour']) * 3600 + Number(fields['minute']) * 60 + Number(fields['second'])
  return midnight.getTime() / 1000 + time
}

/** What seems more than 50 years ahead is the latest past year with the same two digits (RFC 9110 5.6.7, a MUST). */
function instantOfShortYear(fields: DateFields, nowMs: number): number | undefined {
  const limit = new Date(nowMs)
  const thisYear = limit.getUTCFullYear()
  limit.setUTCFullYear(thisYear + 50)
  const year = thisYear - (thisYear % 100) + Number(fields['year'])
  const instant = instantOf(fields, year)
  return instant !== undefined && instant * 1000 > limit.getTime() ? instantOf(fields, year - 100) : instant
}
