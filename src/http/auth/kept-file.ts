// What a file says on which it depends who is let in, as it changes.
import type { Logger } from 'pino'
import type { Fault } from '../../config/fault.ts'
import { watchFile } from '../../config/watched-file.ts'

export interface FileRead<T> {
  /** Of use only where there are no faults. */
  readonly content: T
  readonly faults: readonly Fault[]
  readonly warnings?: readonly string[]
}

export interface FileReader<T> {
  readonly read: () => Promise<FileRead<T>>
  /** What was wrong with a file that `read` rejects for. */
  readonly unreadable: (error: unknown) => string
  /** For the log: what has been read again, and how much of it. */
  readonly describe: (content: T) => readonly [fields: object, message: string]
  readonly unusable: string
}

export interface KeptFile<T> {
  /** Undefined where the file was never of use. */
  current(): T | undefined
  close(): void
}

/**
 * Reads the file at `path` again whenever it changes. One that cannot be used changes nothing, and is logged once. Resolves when it was read for the first time, of which only failure is
 * logged: its warnings are with the others of the configuration.
 */
export async function keepFile<T>(
  path: string,
  { read, unreadable, describe, unusable }: FileReader<T>,
  logger: Logger,
): Promise<KeptFile<T>> {
  let kept: { readonly content: T } | undefined
  const take = async (): Promise<void> => {
    const isFirst = kept === undefined
    const { content, problems, warnings } = await read().then(
      ({ content, faults, warnings = [] }) => ({
        content,
        problems: faults.map(({ where, problem }) => `${where}: ${problem}`),
        warnings,
      }),
      (error: unknown) => ({ content: undefined, problems: [unreadable(error)], warnings: [] }),
    )
    if (content === undefined || problems.length > 0) {
      logger.error({ faults: problems }, unusable)
      return
    }
    kept = { content }
    if (isFirst) return
    const [fields, message] = describe(content)
    logger.info(fields, message)
    for (const warning of warnings) logger.warn(warning)
  }
  const close = await watchFile(path, take)
  return { current: () => kept?.content, close }
}
