// A log that is kept, line by line, as the service would write it.
import { pino, type Logger } from 'pino'
import { errorForLog } from '../../src/process/log.ts'
import { printableJson } from '../../src/process/printable.ts'

export type Line = Readonly<Record<string, unknown>>

export interface KeptLog {
  readonly logger: Logger
  /** Everything, as it was written. */
  text(): string
  lines(): Line[]
  /** The lines of requests. */
  requests(): Line[]
}

export function keptLog(level = 'info'): KeptLog {
  let text = ''
  const logger = pino(
    { level, serializers: { err: errorForLog }, hooks: { streamWrite: printableJson } },
    { write: (line: string) => void (text += line) },
  )
  const lines = (): Line[] =>
    text
      .split('\n')
      .filter(line => line !== '')
      .map(line => JSON.parse(line) as Line)
  return {
    logger,
    text: () => text,
    lines,
    requests: () => lines().filter(line => 'durationMs' in line),
  }
}
