// Settings from environment variables. Unknown variables are none of our business, so there are no faults here.
import { SETTING_KEYS, settingOf } from './settings.ts'
import type { Source } from './source.ts'

export type Environment = Readonly<Record<string, string | undefined>>

/** An empty variable counts as not set: compose files and charts pass them on that way. */
export function readEnvironment(env: Environment): Source {
  const found = SETTING_KEYS.flatMap(key => {
    const variable = settingOf(key).env
    const value = variable === undefined ? undefined : env[variable]
    return variable === undefined || value === undefined || value === ''
      ? []
      : [{ key, where: variable, value }]
  })
  return { found, faults: [] }
}
