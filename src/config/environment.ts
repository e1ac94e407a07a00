// Settings from environment variables. Unknown variables are none of our business; the only faults here are of those that hold JSON.
import type { Fault } from './fault.ts'
import { jsonMistake } from './json-mistake.ts'
import { SETTING_KEYS, settingOf } from './settings.ts'
import type { Source } from './source.ts'
import { SECTION_VARIABLES, type StoreSection, type StoreSections } from './store-sections.ts'
import { inVariable, parseText } from './written.ts'

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
  return { found, ...readSections(env) }
}

function readSections(env: Environment): { sections: StoreSections; faults: Fault[] } {
  const sections: StoreSections = {}
  const faults: Fault[] = []
  for (const [section, variable] of Object.entries(SECTION_VARIABLES) as [StoreSection, string][]) {
    const text = env[variable] ?? ''
    if (text.trim() === '') continue
    const whole = parseText(text, inVariable(variable), 'JSON')
    if (Array.isArray(whole)) faults.push(...whole)
    else if (isQuotedTwice(whole.value))
      faults.push({ where: variable, problem: 'holds a text that is JSON again: is it quoted twice?' })
    else sections[section] = whole
  }
  return { sections, faults }
}

/** Whether the value of a JSON text is again the text of a JSON map or list. */
function isQuotedTwice(value: unknown): boolean {
  return typeof value === 'string' && /^\s*[{[]/.test(value) && jsonMistake(value) === undefined
}
