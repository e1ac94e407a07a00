// An upload in parts: some in flight at once, each in memory until the store has it.
import { createHash, type Hash } from 'node:crypto'
import type { ByteBudget } from './object-budget.ts'
import type { ObjectBucket } from './object-bucket.ts'
import {
  ObjectFailure,
  type PartRequest,
  type PartRules,
  type Upload,
  type WriteRequest,
  type Written,
} from './object-client.ts'
import { COMPLETING_MS, sendingMs } from './object-deadline.ts'
import { following, type FollowingSignal } from './object-signal.ts'
import type { ObjectWrite } from './object-write.ts'

export interface UploadSettings {
  /** Memory for parts, shared by all uploads of a process; beyond it each upload has one part, so that all get on. */
  readonly budget: ByteBudget
  readonly partBytes: number
  /** Parts in memory, the one that is being filled included. */
  readonly maxParts: number
  /** A store that takes longer for a part is given one at a time: several would only share what there is. */
  readonly slowPartMs: number
}

const MIB = 1024 ** 2

/** S3 takes no part below 5 MiB but the last. */
export const UPLOAD: Omit<UploadSettings, 'budget'> = { partBytes: 8 * MIB, maxParts: 5, slowPartMs: 5000 }

/** For signals that nobody gave. */
const NEVER = new AbortController().signal

/** Of an upload of unknown length, so many parts have one size, and the next so many twice that. */
const PARTS_OF_ONE_SIZE = 1000

/** How large part `number`, from 1 on, must be for an object of `size` bytes, or of any size, to have few enough. */
export function partSize(
  number: number,
  { maxParts }: PartRules,
  { partBytes }: Pick<UploadSettings, 'partBytes'>,
  size?: number,
): number {
  if (maxParts === Infinity) return partBytes
  if (size !== undefined && number <= maxParts)
    return size <= partBytes * maxParts ? partBytes : Math.ceil(size / maxParts / MIB) * MIB
  return partBytes * 2 ** Math.floor((number - 1) / PARTS_OF_ONE_SIZE)
}

/** Where the parts go. */
export interface UploadTarget {
  readonly bucket: ObjectBucket
  readonly key: string
  readonly write: ObjectWrite
  readonly rules: PartRules
  readonly size: number | undefined
  readonly signal: AbortSignal
}

interface Begun {
  readonly upload: Upload
  readonly request: WriteRequest
}

/**
 * Parts of one object, in their order. The first that fails ends the others, and is what everything fails with from then on; `abandon` must be called then, and whenever `finish` is not.
 */
export class PartUpload {
  readonly #target: UploadTarget
  readonly #settings: UploadSettings
  readonly #ending: FollowingSignal
  readonly #begun: Promise<Begun>
  readonly #receipts: string[] = []
  readonly #inFlight = new Set<Promise<void>>()
  /** Memory that was filled and sent. */
  readonly #free: Buffer[] = []
  /** Buffers in `#free`, in flight or being filled. */
  #buffers = 1
  #fromBudget = 0
  #number = 0
  #start = 0
  #isQuick = false
  /** Of everything, where each part is not checked by itself. */
  readonly #md5: Hash | undefined
  #failure: { readonly error: unknown } | undefined
  #isOver = false

  /** The caller fills one buffer already. */
  constructor(target: UploadTarget, settings: UploadSettings) {
    this.#target = target
    this.#settings = settings
    this.#ending = following(target.signal)
    this.#md5 = target.rules.inOrder ? createHash('md5') : undefined
    this.#begun = this.#begin()
    this.#begun.catch(() => undefined)
  }

  /** Sends a full buffer, and gives one to fill next, when there is one. */
  async add(content: Buffer): Promise<Buffer> {
    await this.#begun
    await this.#landed(this.#target.rules.inOrder ? 0 : Infinity)
    this.#send(content)
    return this.#nextBuffer()
  }

  /** Sends the last part and makes all of them the object. */
  async finish(content: Buffer): Promise<Written> {
    const part = { number: ++this.#number, start: this.#start, isLast: true }
    const written = await (this.#target.rules.inOrder
      ? this.#finishInOrder(content, part)
      : this.#finishAtOnce(content, part))
    this.#end()
    return written
  }

  /** Removes what the store has, once nothing is under way any more. Never fails; after `finish`, and a second time, it does nothing. */
  async abandon(): Promise<void> {
    if (this.#isOver) return
    this.#ending.abort()
    this.#end()
    await Promise.all(this.#inFlight)
    try {
      const { upload } = await this.#begun
      await this.#target.bucket.request((client, ending) => client.cancel(upload, ending), NEVER)
    } catch {
      // What a store that cannot be reached keeps, `sweep` or the store's own time removes.
    }
  }

  /** The last part completes the object, by the condition that the upload was begun with. So its answer decides. */
  async #finishInOrder(content: Buffer, part: PartRequest): Promise<Written> {
    const { upload, request } = await this.#begun
    await this.#landed(0)
    const { bucket, write } = this.#target
    const last = { ...part, md5: this.#md5!.update(content).digest('base64') }
    return write.once(
      async (client, _, ending) => {
        const receipt = await client.part(upload, content, last, ending)
        return client.complete(upload, [...this.#receipts, receipt], request, ending)
      },
      request,
      this.#ending.signal,
      bucket.bodyPatience(sendingMs(content.length)),
    )
  }

  async #finishAtOnce(content: Buffer, part: PartRequest): Promise<Written> {
    const { upload } = await this.#begun
    this.#track(this.#put(content, part))
    await this.#landed(0)
    const { bucket, write } = this.#target
    return write.settle(
      (client, request, ending) => client.complete(upload, this.#receipts, request, ending),
      this.#ending.signal,
      () => bucket.bodyPatience(COMPLETING_MS),
    )
  }

  #end(): void {
    this.#isOver = true
    this.#settings.budget.give(this.#fromBudget)
    this.#fromBudget = 0
    this.#ending.detach()
  }

  /** Not ended with the rest: an upload whose id is not known could not be cancelled. */
  async #begin(): Promise<Begun> {
    const { bucket, key, write, signal } = this.#target
    const request = await write.request(signal)
    const upload = await bucket.request(
      (client, ending) => client.begin(key, request, ending),
      NEVER,
      bucket.bodyPatience(),
    )
    return { upload, request }
  }

  #send(content: Buffer): void {
    const part = { number: ++this.#number, start: this.#start, isLast: false }
    this.#start += content.length
    this.#md5?.update(content)
    this.#track(this.#put(content, part).then(() => void this.#free.push(content)))
  }

  async #put(content: Buffer, part: PartRequest): Promise<void> {
    const { upload } = await this.#begun
    const { bucket } = this.#target
    const startedAtMs = performance.now()
    this.#receipts[part.number - 1] = await bucket.request(
      (client, ending) => client.part(upload, content, part, ending),
      this.#ending.signal,
      bucket.bodyPatience(sendingMs(content.length)),
    )
    this.#isQuick = performance.now() - startedAtMs < this.#settings.slowPartMs
  }

  #track(sending: Promise<void>): void {
    const tracked = sending
      .catch((error: unknown) => {
        this.#failure ??= { error }
        this.#ending.abort()
      })
      .finally(() => this.#inFlight.delete(tracked))
    this.#inFlight.add(tracked)
  }

  /** Until no more than `count` parts are in flight. After `abandon` it rejects: nobody would give back what is taken from the budget then. */
  async #landed(count: number): Promise<void> {
    while (this.#failure === undefined && this.#inFlight.size > count) await Promise.race(this.#inFlight)
    if (this.#failure !== undefined) throw this.#failure.error
    if (this.#isOver) throw new ObjectFailure('aborted')
  }

  async #nextBuffer(): Promise<Buffer> {
    const { rules, size } = this.#target
    const bytes = partSize(this.#number + 1, rules, this.#settings, size)
    if (this.#number >= rules.maxParts || this.#start > rules.maxBytes) throw new ObjectFailure('too-large')
    while (this.#free.length === 0 && !this.#mayAllocate(bytes)) await this.#landed(this.#inFlight.size - 1)
    if (this.#failure !== undefined) throw this.#failure.error
    const free = this.#free.pop()
    if (free !== undefined && free.length >= bytes) return free
    // Parts that grow take the place of smaller ones; to get on they take more than is left, too.
    if (free !== undefined && this.#settings.budget.take(bytes - free.length))
      this.#fromBudget += bytes - free.length
    return Buffer.allocUnsafeSlow(bytes)
  }

  /** Counts a buffer of `bytes` in where there may be one more. */
  #mayAllocate(bytes: number): boolean {
    const { budget, maxParts } = this.#settings
    const isSeveral = this.#isQuick && !this.#target.rules.inOrder
    if (this.#buffers >= (isSeveral ? maxParts : 2) || !budget.take(bytes)) return false
    this.#buffers += 1
    this.#fromBudget += bytes
    return true
  }
}
