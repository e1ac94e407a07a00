// One row of the table of settings.
import type { ValueType } from './value.ts'

export interface Setting<T> {
  readonly type: ValueType<T>
  readonly default: T
  /** Environment variable; an empty one counts as not set. */
  readonly env?: string
  /** Command-line flag without its dashes. */
  readonly flag?: string
  /** One or two sentences for an operator. */
  readonly meaning: string
}

/** Keeps the type of the value while the table is checked. */
export function setting<T>(row: Setting<T>): Setting<T> {
  return row
}
