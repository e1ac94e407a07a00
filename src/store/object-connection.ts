// The client that is in use: made from the access keys and certificates as they are now, and replaced when they change.
import type { ObjectStoreDefinition } from './definition.ts'
import type { ConnectObjects, ObjectClient, ObjectTimeouts } from './object-client.ts'
import { withinTime } from './object-deadline.ts'
import { readCertificates } from './secret-file.ts'
import { readSecret, type SecretValues } from './secret.ts'

export interface ConnectionTimes {
  /** The secret and the certificates are looked at again no more often than that, when the store is used. */
  readonly lookMs: number
  /** After a refusal of the keys it is read at once, but no more often than that. */
  readonly lookAfterRefusalMs: number
  /**
   * How old a client must be before a refusal makes a new one of the same keys, or without a secret: the SDK keeps the tokens that it was given for them or by its surroundings, also
   * those that were revoked.
   */
  readonly renewMs: number
}

const TIMES: ConnectionTimes = { lookMs: 10_000, lookAfterRefusalMs: 1000, renewMs: 30_000 }

/** A client with one set of keys and certificates, and how many requests and bodies are on it. */
interface Generation {
  readonly client: ObjectClient
  readonly values: SecretValues
  readonly certificates: string | undefined
  readonly madeAtMs: number
  users: number
}

/** A client for one request and its body. */
export interface Lease {
  readonly client: ObjectClient
  /** A second call does nothing. */
  release(): void
}

export class ObjectConnection {
  readonly #definition: ObjectStoreDefinition
  readonly #connect: ConnectObjects
  readonly #timeouts: ObjectTimeouts
  readonly #times: ConnectionTimes
  readonly #generationOf = new WeakMap<Lease, Generation>()
  #current: Generation | undefined
  #lookedAtMs = -Infinity
  #lookedAfterRefusalAtMs = -Infinity
  /** The look that is under way: however many requests ask for one, it is one. */
  #looking: Promise<void> | undefined
  #closed = false

  constructor(
    definition: ObjectStoreDefinition,
    connect: ConnectObjects,
    timeouts: ObjectTimeouts,
    times: Partial<ConnectionTimes> = {},
  ) {
    this.#definition = definition
    this.#connect = connect
    this.#timeouts = timeouts
    this.#times = { ...TIMES, ...times }
  }

  /**
   * The client to use now. Waits only where there is none yet, at most `timeoutMs`, and rejects with `timeout`, `aborted` and as `readSecret` and the driver do. What is looked
   * at again is used when it is there: keys that are still good need not wait for a secret that is slow to read, or cannot be read while it is replaced.
   */
  async lease(signal: AbortSignal, timeoutMs: number): Promise<Lease> {
    const { secret, caFile } = this.#definition
    const isDue =
      (secret ?? caFile) !== undefined && performance.now() - this.#lookedAtMs >= this.#times.lookMs
    if (this.#current === undefined) await withinTime(() => this.#look(), { signal, timeoutMs })
    else if (isDue) void this.#look().catch(() => undefined)
    const generation = this.#current!
    generation.users += 1
    const lease: Lease = {
      client: generation.client,
      release: () => {
        if (!this.#generationOf.delete(lease)) return
        generation.users -= 1
        this.#closeIfIdle(generation)
      },
    }
    this.#generationOf.set(lease, generation)
    return lease
  }

  /** Whether there is another client, within `timeoutMs`, than that of `refused`, whose keys the store refused. Must be asked before `refused` is released. */
  async renewed(refused: Lease, signal: AbortSignal, timeoutMs: number): Promise<boolean> {
    const generation = this.#generationOf.get(refused)
    if (this.#current !== generation) return true
    const nowMs = performance.now()
    if (this.#looking === undefined) {
      // There is nothing to read that could have changed.
      if (this.#definition.secret === undefined && this.#isYoung(generation!)) return false
      if (nowMs - this.#lookedAfterRefusalAtMs < this.#times.lookAfterRefusalMs) return false
      this.#lookedAfterRefusalAtMs = nowMs
    }
    await withinTime(() => this.#look(true), { signal, timeoutMs }).catch(() => undefined)
    return this.#current !== generation
  }

  close(): void {
    this.#closed = true
    if (this.#current !== undefined) this.#closeIfIdle(this.#current)
  }

  #look(isRefused = false): Promise<void> {
    this.#looking ??= this.#update(isRefused).finally(() => (this.#looking = undefined))
    return this.#looking
  }

  /** Makes a client where there is none, the keys or certificates are others, or those of the present one are refused and it is no longer young. */
  async #update(isRefused: boolean): Promise<void> {
    const { secret, caFile } = this.#definition
    this.#lookedAtMs = performance.now()
    const values = secret === undefined ? {} : await readSecret(secret)
    const certificates = await readCertificates(caFile)
    const former = this.#current
    const mayBeStale = isRefused && former !== undefined && !this.#isYoung(former)
    const isUnchanged =
      former !== undefined && isSame(former.values, values) && former.certificates === certificates
    if (isUnchanged && !mayBeStale) return
    const client = await this.#connect({ values, timeouts: this.#timeouts })
    this.#current = { client, values, certificates, madeAtMs: performance.now(), users: 0 }
    // Also the new one, where the store was closed meanwhile.
    for (const generation of [former, this.#current]) if (generation) this.#closeIfIdle(generation)
  }

  #isYoung({ madeAtMs }: Generation): boolean {
    return performance.now() - madeAtMs < this.#times.renewMs
  }

  #closeIfIdle(generation: Generation): void {
    if (generation.users === 0 && (this.#closed || generation !== this.#current)) generation.client.close()
  }
}

function isSame(a: SecretValues, b: SecretValues): boolean {
  const names = Object.keys(a)
  return names.length === Object.keys(b).length && names.every(name => a[name] === b[name])
}
