// What is measured: each workload first proves that a variant sends the right bytes, then measures without looking at them.
import type { ClientPool } from '../client/pool.ts'
import type { Data } from '../data.ts'
import type { RunningVariant, Variant } from '../variants.ts'

export interface Workload {
  /** For `--only`. */
  readonly name: string
  /** Heading of its table: what is transferred, and over how many connections. */
  title(setting: Setting): string
  /** What the rate counts. */
  readonly unit: 'bytes' | 'requests'
  runs(variant: Variant): boolean
  /**
   * Compares every byte with the data, and gives the measurement to repeat. Fails with WrongBytes. The remark belongs to the row of the variant.
   */
  verify(target: RunningVariant, setting: Setting): Promise<Verified>
}

export interface Setting {
  readonly data: Data
  readonly clients: ClientPool
  /** An empty folder for the whole of the run. */
  readonly scratch: string
  /** How long one round of small requests lasts. */
  readonly loadMs: number
}

export interface Verified {
  readonly remark?: string
  measure(): Promise<Transfer>
}

export interface Transfer {
  readonly seconds: number
  readonly bytes: number
  readonly requests: number
  readonly firstByteMs?: number
  readonly latencies?: readonly number[]
}

export class WrongBytes extends Error {
  override readonly name = 'WrongBytes'

  constructor(target: RunningVariant, what: string) {
    super(`${target.variant.name}: ${what}`)
  }
}

/** From the first start to the last end of transfers that ran side by side. */
export function spanSeconds(transfers: readonly { startNs: number; endNs: number }[]): number {
  const start = Math.min(...transfers.map(transfer => transfer.startNs))
  const end = Math.max(...transfers.map(transfer => transfer.endNs))
  return (end - start) / 1e9
}
