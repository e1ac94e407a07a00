// The metrics of all workers as one: the supervisor asks each of them, and tells whoever is asked for the sum.
import cluster, { type Worker } from 'node:cluster'
import { randomUUID } from 'node:crypto'
import type { Metrics, Snapshot } from '../metrics/metrics.ts'
import { lastingOf, textOfAll } from '../metrics/sum.ts'

/** A worker that is busy for longer is left out this time, with what it last said. */
const PATIENCE_MS = 2_000

type Message =
  | { readonly metrics: 'snapshot?'; readonly id: string }
  | { readonly metrics: 'snapshot'; readonly id: string; readonly snapshot: Snapshot }
  | { readonly metrics: 'sum?'; readonly id: string }
  | { readonly metrics: 'sum'; readonly id: string; readonly text: string | undefined }

function isMessage(message: unknown): message is Message {
  return typeof message === 'object' && message !== null && 'metrics' in message
}

/** Questions to other processes, each of which is answered once, or not in time. */
class Questions<T> {
  readonly #waiting = new Map<string, (answer: T | undefined) => void>()

  /** Undefined without an answer. `send` is given the id of the question, and what to call where it cannot be asked. */
  async ask(send: (id: string, onUnsent: () => void) => void, patienceMs: number): Promise<T | undefined> {
    const id = randomUUID()
    const { promise, resolve } = Promise.withResolvers<T | undefined>()
    const timer = setTimeout(() => resolve(undefined), patienceMs)
    this.#waiting.set(id, resolve)
    send(id, () => resolve(undefined))
    const answer = await promise
    clearTimeout(timer)
    this.#waiting.delete(id)
    return answer
  }

  /** Nothing where nobody waits for it any more. */
  answer(id: string, answer: T | undefined): void {
    this.#waiting.get(id)?.(answer)
  }
}

/** For the supervisor, before the first worker starts. */
export class WorkerMetrics {
  readonly #own: Metrics
  readonly #questions = new Questions<Snapshot>()
  /** What each worker said when it was last asked. */
  readonly #last = new Map<number, Snapshot>()
  #ofEnded: Snapshot = []
  #adding: Promise<void> = Promise.resolve()

  /** `own` are those of the supervisor itself. */
  constructor(own: Metrics) {
    this.#own = own
    cluster.on('message', (worker, message: unknown) => {
      if (!isMessage(message)) return
      if (message.metrics === 'snapshot') this.#questions.answer(message.id, message.snapshot)
      else if (message.metrics === 'sum?') void this.#tell(worker, message.id)
    })
    cluster.on('exit', worker => {
      const last = this.#last.get(worker.id)
      this.#last.delete(worker.id)
      if (last === undefined) return
      this.#adding = this.#adding.then(async () => {
        this.#ofEnded = await lastingOf(this.#ofEnded, last)
      })
    })
  }

  /** The sum of all workers, those that have ended included. */
  async text(): Promise<string> {
    const workers = Object.values(cluster.workers ?? {}).filter(worker => worker !== undefined)
    await Promise.all(workers.map(worker => this.#ask(worker)))
    await this.#adding
    return textOfAll([...this.#last.values(), this.#ofEnded, await this.#own.snapshot()])
  }

  async #tell(worker: Worker, id: string): Promise<void> {
    const text = await this.text().catch(() => undefined)
    worker.send({ metrics: 'sum', id, text } satisfies Message, () => undefined)
  }

  async #ask(worker: Worker): Promise<void> {
    const snapshot = await this.#questions.ask(
      (id, onUnsent) =>
        worker.send({ metrics: 'snapshot?', id } satisfies Message, error => {
          if (error !== null) onUnsent()
        }),
      PATIENCE_MS,
    )
    if (snapshot !== undefined && !worker.isDead()) this.#last.set(worker.id, snapshot)
  }
}

/** In a worker: tells the supervisor its metrics, and gives the sum of all. */
export function sumOverSupervisor(metrics: Metrics): () => Promise<string> {
  const questions = new Questions<string>()
  process.on('message', (message: unknown) => {
    if (!isMessage(message)) return
    if (message.metrics === 'sum') questions.answer(message.id, message.text)
    else if (message.metrics === 'snapshot?') {
      const { id } = message
      void metrics
        .snapshot()
        .then(snapshot => process.send!({ metrics: 'snapshot', id, snapshot } satisfies Message))
    }
  })
  return async () => {
    const text = await questions.ask(
      id => process.send!({ metrics: 'sum?', id } satisfies Message),
      2 * PATIENCE_MS,
    )
    if (text === undefined) throw new Error('The process that knows all workers did not answer.')
    return text
  }
}
