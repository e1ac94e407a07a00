// The times of events, in the forms that pandas gives them: a form depends on all times of a column.

const TIME =
  /^(\d{4}-\d\d-\d\d)(?:[ T](\d\d)(?::(\d\d)(?::(\d\d)(?:\.(\d{1,9}))?)?)?(Z|[+-]\d\d(?::?\d\d)?)?)?$/

const UTC_TEXT = /^[\d-]{10} [\d:]{8}(?:\.(?!000000)\d{6})?\+00:00$/

/** A point in time as text says it. */
interface Time {
  readonly date: string
  /** `hh:mm:ss`; undefined where there is a date only. */
  readonly clock: string | undefined
  /** Nine digits. */
  readonly fraction: string
  /** Minutes east of UTC; undefined where no zone is said. */
  readonly offset: number | undefined
}

/** Undefined for anything else, times that do not exist among them. */
export function parseTime(text: string): Time | undefined {
  const match = TIME.exec(text)
  if (match === null) return undefined
  const [, date, hour, minute = '00', second = '00', fraction = '', zone] = match as unknown as [
    string,
    string,
    ...(string | undefined)[],
  ]
  const offset = zone === undefined ? undefined : offsetOf(zone)
  if (!isDate(date) || Number(minute) > 59 || Number(second) > 59 || Number.isNaN(offset)) return undefined
  if (hour === undefined) return { date, clock: undefined, fraction: NO_FRACTION, offset }
  if (Number(hour) > 23) return undefined
  return { date, clock: `${hour}:${minute}:${second}`, fraction: fraction.padEnd(9, '0'), offset }
}

const NO_FRACTION = '000000000'
const MIDNIGHT = '00:00:00'

function isDate(date: string): boolean {
  const month = Number(date.slice(5, 7))
  const day = Number(date.slice(8))
  if (month < 1 || month > 12 || day < 1) return false
  // Day 0 of the next month is the last one of this. In the years from 0 to 99, `Date.UTC` means others, as many centuries later as keep leap years.
  return day <= 28 || day <= new Date(Date.UTC(Number(date.slice(0, 4)) + 2000, month, 0)).getUTCDate()
}

function offsetOf(zone: string): number {
  if (zone === 'Z') return 0
  const hours = Number(zone.slice(1, 3))
  const minutes = zone.length > 3 ? Number(zone.slice(-2)) : 0
  if (hours > 23 || minutes > 59) return NaN
  return (zone.startsWith('-') ? -1 : 1) * (60 * hours + minutes)
}

/** `yyyy-mm-dd hh:mm:ss[.ffffff[fff]]+00:00`. */
export function utcText({ date, clock = MIDNIGHT, fraction, offset = 0 }: Time): string {
  const seconds = offset === 0 ? `${date} ${clock}` : shifted(date, clock, offset)
  if (fraction === NO_FRACTION) return `${seconds}+00:00`
  return `${seconds}.${fraction.endsWith('000') ? fraction.slice(0, 6) : fraction}+00:00`
}

function shifted(date: string, clock: string, offset: number): string {
  const text = new Date(Date.parse(`${date}T${clock}Z`) - offset * 60_000).toISOString()
  return text.slice(0, -5).replace('T', ' ')
}

/** What the times of a column have in common. */
export class TimeFacts {
  #dates = 0
  #naive = 0
  #aware = 0
  #others = 0
  /** Digits of fractions of seconds that some time needs: 0, 3, 6 or 9. */
  #digits = 0
  #allMidnight = true

  add(text: string): void {
    const time = parseTime(text)
    if (time === undefined) this.#others++
    else if (time.offset !== undefined) this.#aware++
    else if (time.clock === undefined) this.#dates++
    else this.#addNaive(time)
  }

  #addNaive({ clock, fraction }: Time): void {
    this.#naive++
    if (clock !== MIDNIGHT || fraction !== NO_FRACTION) this.#allMidnight = false
    while (this.#digits < 9 && Number(fraction.slice(this.#digits)) !== 0) this.#digits += 3
  }

  /** Undefined when some are no times, or some have a zone and others have none. */
  get form(): 'aware' | 'naive' | 'date' | undefined {
    if (this.#others > 0) return undefined
    if (this.#aware > 0) return this.#dates + this.#naive === 0 ? 'aware' : undefined
    return this.#naive > 0 ? 'naive' : 'date'
  }

  /** `text`, which was added, in the form that they all have. */
  textOf(text: string): string {
    const { form } = this
    // What Python writes has the form already.
    const isDone = form === undefined || form === 'date' || (form === 'aware' && UTC_TEXT.test(text))
    const time = isDone ? undefined : parseTime(text)
    if (time === undefined) return text
    if (form === 'aware') return utcText(time)
    if (this.#allMidnight) return time.date
    const { date, clock = MIDNIGHT, fraction } = time
    return `${date} ${clock}${this.#digits === 0 ? '' : `.${fraction.slice(0, this.#digits)}`}`
  }
}
