// One change of one object: its condition from the contract's precondition, and what became of it when its answer was lost.
import { randomUUID } from 'node:crypto'
import type { ObjectBucket } from './object-bucket.ts'
import {
  ObjectFailure,
  type Condition,
  type FailureReason,
  type ObjectClient,
  type ObjectHead,
  type WriteRequest,
  type Written,
} from './object-client.ts'
import { abortedBy } from './object-deadline.ts'
import { isPassing, type Patience } from './object-retry.ts'
import { holds, type Precondition } from './store.ts'

/** How often a change is tried again because another content came in between that the precondition allows just as well. */
const MAX_ROUNDS = 5

export interface ObjectTarget {
  readonly bucket: ObjectBucket
  readonly key: string
  readonly precondition: Precondition | undefined
}

/** One attempt to write; `request` is what the driver must be told. */
export type WriteAttempt = (
  client: ObjectClient,
  request: WriteRequest,
  signal: AbortSignal,
) => Promise<Written>

/** Writes of one artifact. All of them are the same write: what one of them has left is taken for the result of the next. */
export class ObjectWrite {
  readonly #target: ObjectTarget
  readonly #like: string | undefined
  readonly #id = randomUUID()

  constructor(target: ObjectTarget, like?: string) {
    this.#target = target
    this.#like = like
  }

  /** What the driver is told of the write as things stand. Rejects with `changed` where the precondition does not hold. */
  async request(signal: AbortSignal): Promise<WriteRequest> {
    return {
      condition: await conditionNow(this.#target, signal),
      writeId: this.#id,
      ...(this.#like !== undefined && { like: this.#like }),
    }
  }

  /** What `attempt` comes to, as often as the condition that it is told must be another one. `patience` is asked for each time. */
  settle(attempt: WriteAttempt, signal: AbortSignal, patience: () => Patience): Promise<Written> {
    return whileHolding(this.#target.precondition, async () =>
      this.once(attempt, await this.request(signal), signal, patience()),
    )
  }

  /** What `attempt` comes to with `request`. An attempt that failed may have been the one that wrote: then the next one's condition fails because of it, or its upload is gone. */
  async once(
    attempt: WriteAttempt,
    request: WriteRequest,
    signal: AbortSignal,
    patience: Patience,
  ): Promise<Written> {
    let attempts = 0
    try {
      return await this.#target.bucket.request(
        (client, ending) => {
          attempts += 1
          return attempt(client, request, ending)
        },
        signal,
        patience,
      )
    } catch (error) {
      const mayBeDone = attempts > 1 ? isDoubtful(error) : attempts === 1 && isPassing(error)
      const own = mayBeDone ? await this.#ownContent(error, signal) : undefined
      if (own === undefined) throw error
      return own
    }
  }

  /** What is at the key, if this write has put it there. Where that cannot be seen the failure at hand says more, unless it says that somebody else has written. */
  async #ownContent(failure: unknown, signal: AbortSignal): Promise<ObjectHead | undefined> {
    const { bucket, key } = this.#target
    const head = await bucket.head(key, signal).catch((error: unknown) => {
      if (isReason(failure, 'changed')) throw error
      return undefined
    })
    return head?.writeId === this.#id ? head : undefined
  }
}

/** The condition by which the server keeps the precondition. Rejects with `changed` where it does not hold already. */
export async function conditionNow(
  { bucket, key, precondition }: ObjectTarget,
  signal: AbortSignal,
): Promise<Condition | undefined> {
  if (signal.aborted) throw abortedBy(signal)
  if (precondition === undefined) return undefined
  if (precondition.type === 'absent') return { type: 'absent' }
  // The etag that is sent is the server's own, never the text of a client.
  const etag = contentEtag(await bucket.head(key, signal))
  if (etag === undefined || !holds(precondition, etag)) throw new ObjectFailure('changed')
  return { type: 'etag', etag }
}

/** Undefined where there is no artifact: nothing, or a folder. */
export function contentEtag(head: ObjectHead | undefined): string | undefined {
  return head === undefined || head.isFolder === true ? undefined : head.etag
}

export function isReason(error: unknown, ...reasons: readonly FailureReason[]): error is ObjectFailure {
  return error instanceof ObjectFailure && reasons.includes(error.reason)
}

/** What `change` comes to: once more where it failed with `changed` although `precondition` may hold for the content that came in place of the one that was seen. */
export async function whileHolding<T>(
  precondition: Precondition | undefined,
  change: () => Promise<T>,
): Promise<T> {
  const mayHoldStill =
    precondition?.type === 'present' || (precondition?.type === 'etag' && precondition.etags.length > 1)
  for (let round = 1; ; round++) {
    try {
      return await change()
    } catch (error) {
      if (!mayHoldStill || !isReason(error, 'changed') || round === MAX_ROUNDS) throw error
    }
  }
}

/** Whether a write that failed so may have been done nevertheless, by an attempt whose answer was lost. */
function isDoubtful(error: unknown): boolean {
  return isReason(
    error,
    'changed',
    'missing-upload',
    'missing-object',
    ...(['unreachable', 'timeout', 'throttled', 'interrupted'] as const),
  )
}
