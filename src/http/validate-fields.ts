// Form-encoded text (a query, or the body of a form) as named values that schemas describe.
import { AppError } from '../errors.ts'
import { resolve } from './description.ts'
import type { Description, Schema } from './description.ts'

/** How much of a refused value is repeated to the client. */
const SHOWN_LENGTH = 64

type FieldValue = string | number | boolean

/** A query parameter or a field of a form, ready to be read. */
export interface Field {
  readonly name: string
  readonly required: boolean
  readonly repeatable: boolean
  /** The value that `text` stands for; undefined when it is none of the schema's. */
  readonly read: (text: string) => FieldValue | undefined
  /** Completes "it must be …". */
  readonly expected: string
}

/** `compile` makes the check of one value against a schema. */
export function compileField(
  name: string,
  schema: Schema,
  required: boolean,
  description: Description,
  compile: (schema: Schema) => (value: unknown) => unknown,
): Field {
  const { type, items } = resolve(description, schema)
  const repeatable = type === 'array' && items !== undefined
  const one = repeatable ? items : schema
  const form = resolve(description, one)
  const validate = compile(one)
  const read = (text: string): FieldValue | undefined => {
    // Decimal digits only: Number() would also take ' 5', '0x5' and '5e0'.
    if (form.type === 'integer' && !/^\d{1,15}$/.test(text)) return undefined
    const value = form.type === 'integer' ? Number(text) : text
    if (validate(value) !== true) return undefined
    return form['x-flag'] === true ? value !== 'false' && value !== '0' : value
  }
  return { name, required, repeatable, read, expected: expectedOf(form) }
}

function expectedOf(schema: Schema): string {
  if (schema['x-flag'] === true) return 'true or false'
  if (schema.enum !== undefined) return `one of ${schema.enum.join(', ')}`
  if (schema.type === 'integer')
    return `an integer from ${schema.minimum ?? 0} to ${schema.maximum ?? Infinity}`
  const { minLength = 0, maxLength } = schema
  return maxLength === undefined
    ? `text of at least ${minLength} character`
    : `text of ${minLength} to ${maxLength} characters`
}

/**
 * The values of the fields of `text` (`a=b&c=d`) by name, of those that may be repeated as lists.
 *
 * InvalidArgument for a field that is not known, not of its form, repeated or missing; `what` is what the message calls it.
 */
export function readFields(what: string, fields: readonly Field[], text: string): Record<string, unknown> {
  const values: Record<string, FieldValue | FieldValue[]> = {}
  for (const [name, value] of parseForm(what, text)) {
    const field = fields.find(candidate => candidate.name === name)
    if (field === undefined) throw invalid(`There is no ${what} ${quote(name)} here. ${knownNames(fields)}`)
    const read = field.read(value)
    if (read === undefined)
      throw invalid(`The ${what} '${name}' is ${quote(value)}; it must be ${field.expected}.`)
    const before = Object.hasOwn(values, name) ? values[name] : undefined
    if (!field.repeatable && before !== undefined)
      throw invalid(`The ${what} '${name}' comes more than once; give it once.`)
    if (Array.isArray(before)) before.push(read)
    else values[name] = field.repeatable ? [read] : read
  }
  const missing = fields.find(field => field.required && !Object.hasOwn(values, field.name))
  if (missing !== undefined)
    throw invalid(`The ${what} '${missing.name}' is missing; it must be ${missing.expected}.`)
  return values
}

function knownNames(fields: readonly Field[]): string {
  if (fields.length === 0) return 'It takes none.'
  return `Known are ${fields.map(field => field.name).join(', ')}.`
}

/** Unlike URLSearchParams, refuses escapes that are no UTF-8 rather than replacing characters. */
function* parseForm(what: string, text: string): Generator<[name: string, value: string]> {
  for (const pair of text.split('&')) {
    if (pair === '') continue
    const equals = pair.indexOf('=')
    try {
      yield equals < 0
        ? [decodeField(pair), '']
        : [decodeField(pair.slice(0, equals)), decodeField(pair.slice(equals + 1))]
    } catch (error) {
      if (!(error instanceof URIError)) throw error
      throw invalid(
        `The ${what} ${quote(pair)} has a percent sign that begins no valid UTF-8 escape: encode it as %25.`,
      )
    }
  }
}

function decodeField(text: string): string {
  return decodeURIComponent(text.replaceAll('+', ' '))
}

/** Text of a client's in a message to it. */
export function quote(text: string): string {
  return text.length > SHOWN_LENGTH ? `'${text.slice(0, SHOWN_LENGTH)}…'` : `'${text}'`
}

export function invalid(message: string, cause?: unknown): AppError {
  return new AppError('InvalidArgument', message, { op: 'validate', cause })
}
