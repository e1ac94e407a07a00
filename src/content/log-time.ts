// Times of log lines: as their writers put them down, ordered by microseconds, which is what Polyaxon's clients keep of them.

/** A moment, and the text that it is given as: ISO 8601 in the offset that it came with, six digits of a second or none. */
export interface LogTime {
  /** Microseconds since 1970, exact in the years 1685 to 2255. */
  readonly micros: number
  readonly text: string
}

const TIME =
  /^(\d{4})-(\d\d)-(\d\d)(?:[T ](\d\d):(\d\d)(?::(\d\d)(?:[.,](\d{1,9}))?)?)?(?:([Zz])|([+\- ])([01]\d|2[0-3]):?([0-5]\d))?$/
/** As Polyaxon writes it: given as it stands, and read by its digits, for most of the work on a long log is to read its times. */
const USUAL = /^\d{4}-\d\d-\d\dT(?:[01]\d|2[0-3])(?::[0-5]\d){2}(?:\.\d{6})?[+-](?:[01]\d|2[0-3]):[0-5]\d$/
/** Above it a number counts milliseconds, below it seconds, as in the models of Polyaxon's services. */
const MAX_SECONDS = 2e10
const MINUTE_MICROS = 60e6
/** The years 1 to 9999 in any offset: Python, in which clients read times, has no others, and one of them would make it refuse the whole answer. */
const MIN_MICROS = Date.parse('0001-01-02T00:00:00Z') * 1000
const MAX_MICROS = Date.parse('9999-12-31T00:00:00Z') * 1000

/** Undefined for what names no moment. Without an offset it is UTC; digits after the sixth are cut. A space before the offset is a `+` that somebody forgot to escape. */
export function parseLogTime(value: unknown): LogTime | undefined {
  if (typeof value === 'number') return ofNumber(value)
  if (typeof value !== 'string') return undefined
  if (USUAL.test(value) && !value.includes('.000000')) return ofUsual(value)
  const found = TIME.exec(value)
  if (found === null) return undefined
  const [, year, month, day, hour = '00', minute = '00', second = '00', fraction = '', , sign] = found
  const midnight = dayMs(`${year}-${month}-${day}`)
  if (Number.isNaN(midnight) || +hour > 23 || +minute > 59 || +second > 59) return undefined
  const wall = midnight + (+hour * 3600 + +minute * 60 + +second) * 1000
  const offset = sign === undefined ? 0 : +found[10]! * 60 + +found[11]!
  const digits = fraction.slice(0, 6).padEnd(6, '0')
  const micros = wall * 1000 + +digits - (sign === '-' ? -offset : offset) * MINUTE_MICROS
  const zone = sign === undefined ? '+00:00' : `${sign === '-' ? '-' : '+'}${found[10]}:${found[11]}`
  const tail = digits === '000000' ? '' : `.${digits}`
  return inRange({ micros, text: `${year}-${month}-${day}T${hour}:${minute}:${second}${tail}${zone}` })
}

function ofUsual(text: string): LogTime | undefined {
  const midnight = dayMs(text.slice(0, 10))
  if (Number.isNaN(midnight)) return undefined
  const seconds = twoDigits(text, 11) * 3600 + twoDigits(text, 14) * 60 + twoDigits(text, 17)
  const at = text.length - 6
  const fraction =
    at === 19 ? 0 : twoDigits(text, 20) * 10_000 + twoDigits(text, 22) * 100 + twoDigits(text, 24)
  const offset = (twoDigits(text, at + 1) * 60 + twoDigits(text, at + 4)) * MINUTE_MICROS
  const micros = midnight * 1000 + seconds * 1e6 + fraction - (text[at] === '-' ? -offset : offset)
  return inRange({ micros, text })
}

function inRange(time: LogTime): LogTime | undefined {
  return isInRange(time.micros) ? time : undefined
}

function isInRange(micros: number): boolean {
  return micros >= MIN_MICROS && micros < MAX_MICROS
}

function twoDigits(text: string, at: number): number {
  return (text.charCodeAt(at) - 48) * 10 + text.charCodeAt(at + 1) - 48
}

/** Neighbouring lines are of one day. */
let lastDay = ''
let lastDayMs = NaN

/** Of `YYYY-MM-DD`; NaN for a day that no month has. */
function dayMs(day: string): number {
  if (day !== lastDay) {
    const ms = Date.parse(`${day}T00:00:00Z`)
    lastDayMs = Number.isNaN(ms) || new Date(ms).toISOString().slice(0, 10) !== day ? NaN : ms
    lastDay = day
  }
  return lastDayMs
}

function ofNumber(value: number): LogTime | undefined {
  const ms = Math.abs(value) > MAX_SECONDS ? value : value * 1000
  const micros = Math.round(ms * 1000)
  return isInRange(micros) ? { micros, text: formatMicros(micros) } : undefined
}

/** In UTC. */
export function formatMicros(micros: number): string {
  const text = new Date(Math.floor(micros / 1000)).toISOString()
  const fraction = `${text.slice(20, 23)}${String(((micros % 1000) + 1000) % 1000).padStart(3, '0')}`
  return `${text.slice(0, 19)}${fraction === '000000' ? '' : `.${fraction}`}+00:00`
}
