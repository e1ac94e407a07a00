// SIGTERM and SIGINT: the first one drains, a second one ends at once.
import type { Logger } from 'pino'
import { EXIT_FAILURE } from './end.ts'

/** A terminal sends Ctrl-C to npm and to us, and npm passes it on: one wish, two signals. */
const ONE_WISH_MS = 500

/** `drain` resolves when the last transfer has ended or was cut; then, or at a second signal, `end` is called. */
export function onStop(
  logger: Logger,
  drain: () => Promise<void>,
  end: (code: number) => Promise<never>,
): void {
  let drainingSince: number | undefined
  const stop = (signal: NodeJS.Signals): void => {
    const now = performance.now()
    if (drainingSince === undefined) {
      drainingSince = now
      logger.info({ signal }, 'draining')
      void drain().then(() => end(0))
    } else if (now - drainingSince > ONE_WISH_MS) {
      logger.warn({ signal }, 'ending at once')
      void end(EXIT_FAILURE)
    }
  }
  process.on('SIGTERM', stop)
  process.on('SIGINT', stop)
}
