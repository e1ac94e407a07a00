// How much may be under way at once: all in all, and for one caller, so that nobody can take everything.
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Config } from '../config/config.ts'
import { AppError } from '../errors.ts'
import { callerKey } from './caller.ts'
import { UploadPace } from './upload-pace.ts'

/** Something of which each request takes one until it is answered. */
export interface Limit {
  /** Fails with RateLimited where all are taken, with CallerLimited where the caller has as many as one may have; else gives it back when `response` is sent or its connection gone. */
  take(request: IncomingMessage, response: ServerResponse): void
}

interface Bounds {
  /** Under way, in words: "listings". */
  readonly what: string
  /** The setting, and how many there may be; without one, somebody else counts those of all callers. */
  readonly all?: readonly [setting: string, most: number]
  readonly ofCaller: readonly [setting: string, most: number]
}

export interface Limits {
  readonly requests: Limit
  readonly archives: Limit
  readonly listings: Limit
  readonly logs: Limit
  readonly uploads: Limit
  readonly uploadPace: UploadPace
}

export function createLimits({ limits }: Pick<Config, 'limits'>): Limits {
  return {
    requests: new Taken({
      what: 'requests',
      all: ['limits.requests', limits.requests],
      ofCaller: ['limits.requestsPerCaller', limits.requestsPerCaller],
    }),
    // Those of all callers count where their memory is.
    archives: new Taken({
      what: 'archives',
      ofCaller: ['limits.archivesPerCaller', limits.archivesPerCaller],
    }),
    listings: new Taken({
      what: 'listings',
      all: ['limits.listings', limits.listings],
      ofCaller: ['limits.listingsPerCaller', limits.listingsPerCaller],
    }),
    logs: new Taken({
      what: 'logs and events',
      all: ['limits.logs', limits.logs],
      ofCaller: ['limits.logsPerCaller', limits.logsPerCaller],
    }),
    uploads: new Taken({
      what: 'uploads',
      all: ['limits.uploads', limits.uploads],
      ofCaller: ['limits.uploadsPerCaller', limits.uploadsPerCaller],
    }),
    uploadPace: new UploadPace(limits.uploadRatePerCaller),
  }
}

class Taken implements Limit {
  readonly #bounds: Bounds
  readonly #ofCallers = new Map<string, number>()
  #count = 0

  constructor(bounds: Bounds) {
    this.#bounds = bounds
  }

  take(request: IncomingMessage, response: ServerResponse): void {
    const { what, all, ofCaller } = this.#bounds
    if (all !== undefined && this.#count >= all[1])
      throw new AppError(
        'RateLimited',
        `${all[1]} ${what} are under way, which is as many as there may be (setting ${all[0]}). Try again shortly.`,
        { op: 'admit', limit: all[0] },
      )
    const caller = callerKey(request)
    const taken = this.#ofCallers.get(caller) ?? 0
    if (taken >= ofCaller[1])
      throw new AppError(
        'CallerLimited',
        `You have ${taken} ${what} under way, which is as many as one caller may have (setting ${ofCaller[0]}). Try again when one has ended.`,
        { op: 'admit', limit: ofCaller[0] },
      )
    // The connection is gone already, and with it the event that would give it back.
    if (response.destroyed) return
    this.#count++
    this.#ofCallers.set(caller, taken + 1)
    response.once('close', () => this.#giveBack(caller))
  }

  #giveBack(caller: string): void {
    this.#count--
    const left = this.#ofCallers.get(caller)! - 1
    if (left === 0) this.#ofCallers.delete(caller)
    else this.#ofCallers.set(caller, left)
  }
}
