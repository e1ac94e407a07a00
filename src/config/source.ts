// What every source of settings gives: the values as they were written, unparsed, and the faults in the way they were written.
import type { Fault } from './fault.ts'
import type { SettingKey } from './settings.ts'
import type { StoreSections } from './store-sections.ts'

/** A value as it was written, and where: a fault in the value names that place. */
export interface Found {
  readonly key: SettingKey
  readonly where: string
  readonly value: unknown
}

export interface Source {
  readonly found: readonly Found[]
  readonly faults: readonly Fault[]
  readonly sections?: StoreSections
}
