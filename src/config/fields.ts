// The fields of one map of the configuration, read one by one: Polyaxon's maps, whose keys come in camelCase and in snake_case.
import { didYouMean, harmless, harmlessUrl, type Fault } from './fault.ts'
import type { ValueType } from './value.ts'
import type { Written } from './written.ts'

export class Fields {
  readonly #map: Written
  readonly #members = new Map<string, Written>()
  readonly #faults: Fault[]

  /**
   * Faults go to `faults`: `map` is no map, it has a key that is not among `known`, or one in both spellings. Fields without a value (null) count as not given, as
   * they do for Polyaxon. `called` says what the map is, for faults: "a store".
   */
  constructor(map: Written, called: string, known: readonly string[], faults: Fault[]) {
    this.#map = map
    this.#faults = faults
    if (map.members === undefined)
      this.fault('', `expected a map that describes ${called}, found ${kindOf(map)}`)
    for (const [key, member] of map.members ?? []) {
      const name = camelCase(key)
      if (!known.includes(name))
        faults.push({
          where: member.where,
          problem: `is not a known field of ${called}${didYouMean(key, known)}`,
        })
      else if (this.#members.has(name))
        faults.push({ where: member.where, problem: `is given twice, in both spellings of ${name}` })
      else if (!member.isNothing) this.#members.set(name, member)
    }
  }

  get isMap(): boolean {
    return this.#map.members !== undefined
  }

  has(name: string): boolean {
    return this.#members.has(name)
  }

  /** Takes fields for not given. */
  leaveOut(...names: readonly string[]): void {
    for (const name of names) this.#members.delete(name)
  }

  /** What is written for a field. */
  written(name: string): Written | undefined {
    return this.#members.get(name)
  }

  /** The place of a field, given or not, or with '' that of the map. */
  where(name: string): string {
    if (name === '') return this.#map.where
    return this.#members.get(name)?.where ?? this.#map.whereOf(name)
  }

  fault(name: string, problem: string): void {
    this.#faults.push({ where: this.where(name), problem })
  }

  /** The value of a field; undefined where it is not given, or has a fault, which is then noted. */
  value<T>(name: string, type: ValueType<T>): T | undefined {
    const written = this.#members.get(name)
    if (written === undefined) return undefined
    const parsed = type.parse(written.scalar)
    if (parsed === undefined) this.fault(name, `expected ${type.expected}, found ${foundText(written, type)}`)
    return parsed
  }

  /** The same for a field that must be given. */
  required<T>(name: string, type: ValueType<T>): T | undefined {
    if (!this.has(name)) this.fault(name, `expected ${type.expected}, found nothing`)
    return this.value(name, type)
  }
}

function foundText(written: Written, type: ValueType<unknown>): string {
  const { scalar: value } = written
  if (typeof value === 'boolean') return String(value)
  if (typeof value !== 'string' || type.isConfidential === true) return kindOf(written)
  const text = value.includes('://') ? harmlessUrl(value) : harmless(value)
  return text === undefined ? kindOf(written) : `'${text}'`
}

/** What something is, where its content may be confidential. */
export function kindOf(written: Written): string {
  if (written.isNothing) return 'nothing'
  if (written.members !== undefined) return 'a map'
  if (written.elements !== undefined) return 'a list'
  return 'another value'
}

/** The one spelling of both. */
export function camelCase(key: string): string {
  return key.replaceAll(/(?<=[a-z])_([a-z])/g, (_, letter: string) => letter.toUpperCase())
}
