// The settings of the service that is asked who may do what.
import type { ForwardDefinition } from './config.ts'
import type { Fault } from './fault.ts'
import { settingOf, type SettingKey, type Values } from './settings.ts'
import type { Found } from './source.ts'

/** Undefined where none is asked. */
export function forwardOf(values: Values): ForwardDefinition | undefined {
  const url = values['auth.forward.url']
  if (url === '') return undefined
  return {
    url,
    preset: values['auth.forward.preset'],
    namespace: values['auth.forward.namespace'],
    timeoutMs: values['auth.forward.timeout'],
    yesMs: values['auth.forward.cacheAllowed'],
    noMs: values['auth.forward.cacheRefused'],
  }
}

const OF_SERVICE = [
  'auth.forward.preset',
  'auth.forward.namespace',
  'auth.forward.timeout',
  'auth.forward.cacheAllowed',
  'auth.forward.cacheRefused',
] as const satisfies SettingKey[]

/** Whoever sets the rest and forgets the URL believes that somebody is asked. */
export function forwardFaults(values: Values, chosen: ReadonlyMap<SettingKey, Found>): Fault[] {
  const url = chosen.get('auth.forward.url')
  // One that is wrong is a fault of its own.
  if (url !== undefined && url.value !== '') return []
  return OF_SERVICE.filter(key => {
    const { type, default: byDefault } = settingOf(key)
    return type.format(values[key]) !== type.format(byDefault)
  }).map(key => ({ where: chosen.get(key)?.where ?? key, problem: 'has no effect without auth.forward.url' }))
}
