// Errors of ours that nothing has caught, rejections that nobody awaits among them: after one nobody knows what state the process is in.
import type { Logger } from 'pino'
import { requestContext } from '../request-context.ts'
import { endProcess, EXIT_FAILURE } from './end.ts'

/** Further ones are counted, but say nothing new. */
const LOGGED = 20
/** A process that fails so often does nobody's transfer any good. */
const ENOUGH = 1000

export interface Emergency {
  /** Begins to end: takes no more requests, and resolves when every running transfer has ended or was cut. */
  readonly drain: () => Promise<void>
  readonly onError?: () => void
}

/**
 * The request that an uncaught error belongs to is answered 500, or broken off where its answer had begun; the other transfers go on to their end, and then the process ends with a failure code, so that
 * whoever supervises it starts a fresh one. Errors that follow change nothing about that.
 */
export class Uncaught {
  readonly #logger: Logger
  #emergency: Emergency | undefined
  #count = 0
  #isEnding = false

  constructor(logger: Logger) {
    this.#logger = logger
    process.on('uncaughtException', (error, origin) => this.#take(error, origin))
  }

  /** What to do before the end, once there is something to be done. */
  prepare(emergency: Emergency): void {
    this.#emergency = emergency
  }

  #take(error: unknown, origin: NodeJS.UncaughtExceptionOrigin): void {
    const request = requestContext.getStore()
    // Node leaves it in place after an uncaught error, for whatever comes next.
    requestContext.enterWith(undefined)
    this.#count++
    try {
      this.#emergency?.onError?.()
      if (this.#count <= LOGGED)
        this.#logger.fatal({ requestId: request?.requestId, origin, err: error }, 'unexpected failure')
      request?.fail(error)
    } catch {
      // Whatever that was, ending is all that is left to do.
    }
    if (this.#count >= ENOUGH) process.exit(EXIT_FAILURE)
    if (this.#isEnding) return
    this.#isEnding = true
    void this.#end()
  }

  async #end(): Promise<never> {
    try {
      await this.#emergency?.drain()
    } catch (error) {
      this.#logger.fatal({ err: error }, 'draining failed')
    }
    return endProcess(EXIT_FAILURE)
  }
}
