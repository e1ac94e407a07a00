// What the fields of a column mean. A table says no types, so they follow from all fields of the column, in the way of pandas with pyarrow, and values come in the JSON of orjson.
import type { LineCell } from './event-rows.ts'
import { TimeFacts } from './event-times.ts'

/** Gives the JSON of the values of one column, once it has seen all of them. */
export interface Column<Cell> {
  add(cell: Cell): void
  /** JSON text of `cell`, which was added. */
  json(cell: Cell): string
}

/** Fields that stand for nothing, as pandas has them. */
const NULLS = new Set(
  ',#N/A,#N/A N/A,#NA,-1.#IND,-1.#QNAN,-NaN,-nan,1.#IND,1.#QNAN,<NA>,N/A,NA,NULL,NaN,None,n/a,nan,null'.split(
    ',',
  ),
)
const TRUE = new Set(['1', 'true', 'True', 'TRUE'])
const FALSE = new Set(['0', 'false', 'False', 'FALSE'])
const INTEGER = /^\s*-?\d{1,19}\s*$/
const FLOAT = /^\s*[+-]?(?:(?:\d+(?:\.\d*)?|\.\d+)(?:e[+-]?\d+)?|inf(?:inity)?|nan)\s*$/i
const NUMBER_BEGINS = /^[+-]?(?:[\d.]*(?:e[+-]?)?|in?|na?)$/i
const MIN_INT64 = -(2n ** 63n)
const MAX_INT64 = 2n ** 63n - 1n

/** Of the types that fit all fields, the first of these. */
type FieldType = 'nothing' | 'integer' | 'boolean' | 'float' | 'text'

/** A column of a separated table. */
export class FieldColumn implements Column<string> {
  #isEmpty = true
  #hasNulls = false
  #isInteger = true
  #isBoolean = true
  #isFloat = true

  add(field: string): void {
    if (NULLS.has(field)) {
      this.#hasNulls = true
      return
    }
    this.#isEmpty = false
    // A column that is something is not asked whether it is something else.
    if (this.#isBoolean && !TRUE.has(field) && !FALSE.has(field)) this.#isBoolean = false
    if (this.#isInteger && !isInteger(field)) this.#isInteger = false
    if (this.#isFloat && !this.#isInteger && !FLOAT.test(field)) this.#isFloat = false
  }

  get type(): FieldType {
    if (this.#isEmpty) return 'nothing'
    if (this.#isInteger) return this.#hasNulls ? 'float' : 'integer'
    if (this.#isBoolean) return 'boolean'
    return this.#isFloat ? 'float' : 'text'
  }

  /** Whether the fields are numbers and `field` is only the beginning of one. */
  isCutOffBy(field: string): boolean {
    const { type } = this
    return (type === 'integer' || type === 'float') && !FLOAT.test(field) && NUMBER_BEGINS.test(field)
  }

  json(field: string): string {
    if (NULLS.has(field)) return 'null'
    switch (this.type) {
      case 'integer':
        return field.length < 16 ? String(Number(field)) : BigInt(field).toString()
      case 'boolean':
        return TRUE.has(field) ? 'true' : 'false'
      case 'float':
        return floatJson(parseFloatField(field))
      default:
        return JSON.stringify(field)
    }
  }
}

/** The column of timestamps, whose values are text whatever they are. */
export class TimeColumn implements Column<string> {
  readonly #fields = new FieldColumn()
  readonly #times = new TimeFacts()

  add(field: string): void {
    this.#fields.add(field)
    if (!NULLS.has(field)) this.#times.add(field)
  }

  json(field: string): string {
    const { type } = this.#fields
    const { form } = this.#times
    if (type !== 'text')
      return NULLS.has(field) ? '"nan"' : JSON.stringify(this.#fields.json(field).replace('null', 'nan'))
    if (NULLS.has(field)) return form === 'aware' || form === 'naive' ? '"NaT"' : '"None"'
    return JSON.stringify(this.#times.textOf(field))
  }
}

/** A column of JSON lines: values have the types that they say, except that whole numbers are so only where all are. */
export class LineColumn implements Column<LineCell | undefined> {
  readonly #times: TimeFacts | undefined
  #isNumeric = true
  #isInteger = true

  /** `skipped` is the number of rows before the first one that has the column. */
  constructor(name: string, skipped: number) {
    this.#times = name === 'timestamp' ? new TimeFacts() : undefined
    this.#isInteger = skipped === 0
  }

  add(cell: LineCell | undefined): void {
    if (!Number.isInteger(cell)) this.#isInteger = false
    if (typeof cell !== 'number' && cell !== null && cell !== undefined) this.#isNumeric = false
    if (typeof cell === 'string') this.#times?.add(cell)
  }

  json(cell: LineCell | undefined): string {
    if (cell === undefined || cell === null) return 'null'
    if (typeof cell === 'object') return cell.json
    if (typeof cell === 'number' && this.#isNumeric && !this.#isInteger) return floatJson(cell)
    if (typeof cell === 'string' && this.#times !== undefined) return JSON.stringify(this.#times.textOf(cell))
    return JSON.stringify(cell)
  }
}

function isInteger(field: string): boolean {
  if (!INTEGER.test(field)) return false
  if (field.length <= 18) return true
  const value = BigInt(field)
  return value >= MIN_INT64 && value <= MAX_INT64
}

function parseFloatField(field: string): number {
  // "inf" and "nan" have no JSON.
  return /[in]/i.test(field) ? NaN : Number(field)
}

/** As orjson writes it: never as an integer, and null where JSON has no number. */
export function floatJson(value: number): string {
  if (!Number.isFinite(value)) return 'null'
  const size = Math.abs(value)
  if (size >= 1e16 || (size > 0 && size < 1e-5)) return value.toExponential()
  if (Object.is(value, -0)) return '-0.0'
  return Number.isInteger(value) ? `${value}.0` : String(value)
}
