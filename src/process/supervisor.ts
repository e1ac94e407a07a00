// The process that starts the workers, starts new ones for those that die, and stops them all.
import cluster, { type Worker } from 'node:cluster'
import { once } from 'node:events'
import { setTimeout as delay } from 'node:timers/promises'
import type { Logger } from 'pino'
import { endProcess, EXIT_FAILURE } from './end.ts'
import { DRAIN, FAILING, isListening } from './worker.ts'

const FIRST_RESTART_MS = 100
const MAX_RESTART_MS = 10_000
/** A worker that lived so long did not die of starting, and its successor starts without much delay. */
const STEADY_MS = 60_000
/** What a worker gets beyond the drain timeout to end by itself. */
const END_GRACE_MS = 3_000

export interface Supervisor {
  readonly origin: string
  /** Resolves when every worker has ended: by itself, or by SIGKILL some seconds after `timeoutMs`. */
  drain(timeoutMs: number): Promise<void>
}

/** Resolves when `count` workers listen. Where the first one cannot start, it has said why, and this process ends too. */
export async function superviseWorkers(count: number, logger: Logger): Promise<Supervisor> {
  // Alone, so that an address that cannot be had is reported once.
  const origin = await startedWorker()
  if (origin === undefined) return endProcess(EXIT_FAILURE)
  const workers = new Workers(logger)
  await Promise.all(Array.from({ length: count - 1 }, () => startedWorker()))
  return { origin, drain: timeoutMs => workers.drain(timeoutMs) }
}

/** The origin at which a new worker listens; undefined when it ended instead. */
async function startedWorker(): Promise<string | undefined> {
  const worker = cluster.fork()
  const ended = new AbortController()
  worker.once('exit', () => ended.abort())
  try {
    for (;;) {
      const [message] = (await once(worker, 'message', { signal: ended.signal })) as [unknown]
      if (isListening(message)) return message.origin
    }
  } catch {
    return undefined
  }
}

/** Keeps as many workers alive as there are. */
class Workers {
  readonly #logger: Logger
  readonly #draining = new AbortController()
  readonly #startedAt = new WeakMap<Worker, number>()
  /** Those that have their successors before they end. */
  readonly #failing = new WeakSet<Worker>()
  #restartMs = FIRST_RESTART_MS
  #drained: Promise<void> | undefined

  constructor(logger: Logger) {
    this.#logger = logger
    const startedAt = performance.now()
    const replace = (worker: Worker, how: object, message: string): void => {
      if (performance.now() - (this.#startedAt.get(worker) ?? startedAt) > STEADY_MS)
        this.#restartMs = FIRST_RESTART_MS
      logger.error({ worker: worker.process.pid, ...how, restartMs: this.#restartMs }, message)
      void this.#restart()
    }
    cluster.on('exit', (worker, code, signal) => {
      if (this.#draining.signal.aborted) return
      if (this.#failing.has(worker)) {
        logger.info({ worker: worker.process.pid, code, signal }, 'failing worker ended')
        return
      }
      replace(worker, { code, signal }, 'worker died')
    })
    cluster.on('message', (worker, message: unknown) => {
      if (message !== FAILING || this.#draining.signal.aborted || this.#failing.has(worker)) return
      this.#failing.add(worker)
      replace(worker, {}, 'worker failed, and ends when its transfers have')
    })
    cluster.on('fork', worker => this.#startedAt.set(worker, performance.now()))
  }

  async #restart(): Promise<void> {
    const waitMs = this.#restartMs
    this.#restartMs = Math.min(waitMs * 2, MAX_RESTART_MS)
    try {
      await delay(waitMs, undefined, { signal: this.#draining.signal })
    } catch {
      return
    }
    const worker = cluster.fork()
    this.#logger.info({ worker: worker.process.pid }, 'worker started')
  }

  drain(timeoutMs: number): Promise<void> {
    return (this.#drained ??= this.#drain(timeoutMs))
  }

  async #drain(timeoutMs: number): Promise<void> {
    this.#draining.abort()
    const workers = Object.values(cluster.workers ?? {}).filter(worker => worker !== undefined)
    const ends = workers.map(worker => once(worker, 'exit'))
    for (const worker of workers) {
      tell(worker)
      // One that is still starting does not listen yet, and says so when it does.
      worker.on('message', message => {
        if (isListening(message)) tell(worker)
      })
    }
    const kill = setTimeout(
      () => workers.forEach(worker => worker.process.kill('SIGKILL')),
      timeoutMs + END_GRACE_MS,
    )
    await Promise.all(ends)
    clearTimeout(kill)
  }
}

/** A worker that is gone already needs to be told nothing. */
function tell(worker: Worker): void {
  worker.send(DRAIN, () => undefined)
}
