// One of several processes that answer requests: it does what the supervisor says, and does not outlive it.
import type { Logger } from 'pino'
import { endProcess } from './end.ts'
import type { Service } from './service.ts'

/** From the supervisor: finish what runs, then end. */
export const DRAIN = 'drain'

/** To the supervisor: this worker takes no more requests and ends when those that run have ended. */
export const FAILING = 'failing'

export function sayFailing(): void {
  process.send?.(FAILING, undefined, undefined, () => undefined)
}

interface Listening {
  readonly origin: string
}

export function isListening(message: unknown): message is Listening {
  return typeof message === 'object' && message !== null && 'origin' in message
}

export function becomeWorker(service: Service, drainTimeoutMs: number, logger: Logger): void {
  // Terminals and systemd send signals to every process of the group; here only the supervisor's word counts.
  process.on('SIGINT', () => undefined)
  process.on('SIGTERM', () => undefined)
  process.on('message', message => {
    if (message !== DRAIN) return
    logger.debug('draining')
    void service.drain(drainTimeoutMs).then(() => endProcess(0))
  })
  // Before cluster's own listener, whose exit waits for file operations that may hang.
  process.prependListener('disconnect', () => process.kill(process.pid, 'SIGKILL'))
  const listening: Listening = { origin: service.origin }
  // When the supervisor is gone, 'disconnect' ends this process.
  process.send!(listening, undefined, undefined, () => undefined)
}
