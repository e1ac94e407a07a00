// Settings that change nothing, because the one that switches on what they are about is not set.
import type { Fault } from './fault.ts'
import { settingOf, type SettingKey, type Values } from './settings.ts'
import type { Found } from './source.ts'

/** Faults of those of `keys` that are not at their defaults while `needed` has no value: whoever sets them and forgets that one believes that they are in force. */
export function unusedFaults(
  keys: readonly SettingKey[],
  needed: SettingKey,
  values: Values,
  chosen: ReadonlyMap<SettingKey, Found>,
): Fault[] {
  // One that is wrong is a fault of its own.
  if ((chosen.get(needed)?.value ?? '') !== '') return []
  return keys
    .filter(key => {
      const { type, default: byDefault } = settingOf(key)
      return type.format(values[key]) !== type.format(byDefault)
    })
    .map(key => ({ where: chosen.get(key)?.where ?? key, problem: `has no effect without ${needed}` }))
}
