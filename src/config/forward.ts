// The settings of the service that is asked who may do what.
import type { ForwardDefinition } from './config.ts'
import type { Fault } from './fault.ts'
import type { SettingKey, Values } from './settings.ts'
import type { Found } from './source.ts'
import { unusedFaults } from './unused.ts'

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

export function forwardFaults(values: Values, chosen: ReadonlyMap<SettingKey, Found>): Fault[] {
  return unusedFaults(OF_SERVICE, 'auth.forward.url', values, chosen)
}
