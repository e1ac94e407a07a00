// Whether requests are welcome here: the process accepts them, and at least one store answers.
import type { RequestHandler } from 'express'
import { setTimeout as delay } from 'node:timers/promises'
import type { components } from '../../generated/api.d.ts'
import { AppError, isAppError } from '../../errors.ts'
import { ROOT } from '../../store/path.ts'
import type { ArtifactStore } from '../../store/store.ts'
import { sendJson } from './operations.ts'

type Readiness = components['schemas']['Readiness']
type StoreStatus = NonNullable<Readiness['stores']>[number]

/** How long a verdict on a store is good, so that many probes ask it once. */
const FRESH_MS = 1_000
/** How long an answer waits for verdicts: Kubernetes gives a probe one second unless told otherwise. */
const PATIENCE_MS = 500
/** After so long without an answer a store counts as unavailable. */
const CHECK_MS = 5_000
const RETRY_AFTER_S = 5

export interface ReadinessDependencies {
  readonly stores: ReadonlyMap<string, ArtifactStore>
  /** Whether new requests are welcome: false while it drains. */
  readonly accepting: () => boolean
  /** Whether everybody may know which stores there are. */
  readonly namesStores: boolean
  /** Called when a store that answered has ceased to, or is found not to at first; with what made it unavailable. */
  readonly onUnavailable: (connection: string, error: AppError) => void
  /** Called when a store that did not answer does again. */
  readonly onAvailable: (connection: string) => void
}

/**
 * Ready while any store answers. With several of them, one that is down concerns the requests to it: if it made the service unready, every replica would leave the
 * balancer at once, and the other stores with them.
 */
export function readiness(dependencies: ReadinessDependencies): RequestHandler {
  const checks = [...dependencies.stores].map(([name, store]) => new StoreCheck(name, store, dependencies))
  return async (_request, response) => {
    const stores = await Promise.all(checks.map(check => check.status()))
    const accepting = dependencies.accepting()
    const ready = accepting && stores.some(({ status }) => status === 'ok')
    if (!ready) response.setHeader('Retry-After', RETRY_AFTER_S)
    const body: Readiness = {
      status: accepting ? (ready ? 'ready' : 'unavailable') : 'draining',
      ...(dependencies.namesStores && { stores }),
    }
    sendJson(response, ready ? 200 : 503, body)
  }
}

/** What is known of one store. It is asked when somebody wants to know, and never twice at once. */
class StoreCheck {
  readonly #name: string
  readonly #store: ArtifactStore
  readonly #dependencies: ReadinessDependencies
  #failure: AppError | undefined
  #checkedAtMs = -Infinity
  #underWay: Promise<void> | undefined
  /** Whether the check under way has been given up on, so that there is nothing to wait for. */
  #isLate = false

  constructor(name: string, store: ArtifactStore, dependencies: ReadinessDependencies) {
    this.#name = name
    this.#store = store
    this.#dependencies = dependencies
    this.#failure = new AppError('Unavailable', `The outputs store '${name}' has not answered yet.`)
  }

  /** The last verdict, where a new one is not to be had in time: a store that merely hesitates keeps a good one. */
  async status(): Promise<StoreStatus> {
    if (performance.now() - this.#checkedAtMs >= FRESH_MS) {
      this.#underWay ??= this.#check().finally(() => (this.#underWay = undefined))
      if (!this.#isLate) await withinPatience(this.#underWay)
    }
    const failure = this.#failure
    if (failure === undefined) return { name: this.#name, status: 'ok' }
    return {
      name: this.#name,
      status: 'unavailable',
      detail: failure.message,
      ...(failure.trouble !== undefined && { trouble: failure.trouble }),
    }
  }

  /** Settles when the store has, which may be long after it counts as unavailable: a store that hangs is not asked again meanwhile. */
  async #check(): Promise<void> {
    const stop = new AbortController()
    const late = setTimeout(() => {
      this.#isLate = true
      this.#conclude(this.#noAnswer())
      stop.abort()
    }, CHECK_MS)
    try {
      await this.#store.stat(ROOT, { signal: stop.signal })
      this.#conclude(undefined)
    } catch (error) {
      // A store whose places are all taken answers those who have them.
      if (!this.#isLate)
        this.#conclude(isAppError(error, 'RateLimited') ? undefined : asAppError(error, this.#name))
    } finally {
      clearTimeout(late)
      this.#isLate = false
    }
  }

  #conclude(failure: AppError | undefined): void {
    const before = this.#checkedAtMs === -Infinity ? undefined : this.#failure
    if (failure !== undefined && before === undefined) this.#dependencies.onUnavailable(this.#name, failure)
    if (failure === undefined && before !== undefined) this.#dependencies.onAvailable(this.#name)
    this.#failure = failure
    this.#checkedAtMs = performance.now()
  }

  #noAnswer(): AppError {
    return new AppError(
      'Unavailable',
      `The outputs store '${this.#name}' did not answer within ${CHECK_MS / 1000} s.`,
      { op: 'stat', trouble: 'timeout' },
    )
  }
}

async function withinPatience(work: Promise<void>): Promise<void> {
  const enough = new AbortController()
  await Promise.race([work, delay(PATIENCE_MS, undefined, { signal: enough.signal }).catch(() => undefined)])
  enough.abort()
}

function asAppError(error: unknown, name: string): AppError {
  if (isAppError(error)) return error
  return new AppError('Internal', `The check of the outputs store '${name}' failed.`, { cause: error })
}
