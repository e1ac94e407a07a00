// The log of the process: JSON lines on standard error, with nothing secret in them.
import { pino, type Logger } from 'pino'
import type { Config } from '../config/config.ts'
import { withoutSecrets } from '../http/redaction.ts'
import type { StoreDefinition } from '../store/definition.ts'
import { printableJson } from './printable.ts'

/** Causes behind an error that are logged with it. */
const MAX_CAUSES = 6

export function createLogger(level: Config['logLevel']): Logger {
  return pino(
    {
      level,
      timestamp: pino.stdTimeFunctions.isoTime,
      serializers: { err: errorForLog },
      hooks: { streamWrite: printableJson },
    },
    pino.destination(2),
  )
}

/**
 * An error with its causes, by name, code, message and stack.
 *
 * Never by its other properties, as pino's own serializer would: there SDKs keep the whole request, with signatures and bearer tokens.
 */
export function errorForLog(error: unknown, causes = MAX_CAUSES): unknown {
  if (!(error instanceof Error)) return typeof error === 'string' ? withoutSecrets(error) : undefined
  const { name, message, stack, cause } = error
  const { code } = error as NodeJS.ErrnoException
  return {
    type: name,
    ...((typeof code === 'string' || typeof code === 'number') && { code }),
    message: withoutSecrets(message),
    ...(stack !== undefined && { stack: withoutSecrets(stack) }),
    ...(cause !== undefined && causes > 0 && { cause: errorForLog(cause, causes - 1) }),
  }
}

/** The configuration as it may be shown: of the access keys that came in variables only their names. */
export function configForLog(config: Config): unknown {
  return {
    ...config,
    connections: config.connections.map(storeForLog),
    ...(config.logs && { logs: storeForLog(config.logs) }),
  }
}

function storeForLog(store: StoreDefinition): StoreDefinition {
  if (store.kind === 'local' || store.secret === undefined) return store
  const names = Object.keys(store.secret.values)
  const values = Object.fromEntries(names.map(name => [name, '***']))
  return { ...store, secret: { ...store.secret, values } }
}
