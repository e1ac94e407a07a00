// What is measured: each lane of a workload first proves that it gives the right bytes, then is measured without looking at them.
import type { ClientPool } from '../client/pool.ts'
import { RUN } from '../data.ts'
import type { Data } from '../data.ts'
import type { Usage } from '../process-tree.ts'
import type { Tool } from '../store/tools.ts'
import type { RunningVariant } from '../variants.ts'

export interface Workload {
  /** For `--only`. */
  readonly name: string
  /** Heading of its table: what is transferred, and over how many connections. */
  title(setting: Setting): string
  /** What the rate counts. */
  readonly unit: 'bytes' | 'requests'
  /** In the order of its table. */
  lanes(contestants: Contestants): Lane[]
}

export interface Contestants {
  readonly servers: readonly RunningVariant[]
  readonly tools: readonly Tool[]
}

/** One row of the table. */
export interface Lane {
  readonly name: string
  /** Process whose cost, with that of its descendants, is that of the work; undefined where `Transfer.usage` tells it, or nothing. */
  readonly pid: number | undefined
  /** Compares every byte with the data, and gives the measurement to repeat. Fails with WrongBytes. */
  verify(setting: Setting): Promise<Verified>
}

export interface Setting {
  readonly data: Data
  readonly clients: ClientPool
  /** An empty folder for the whole of the run. */
  readonly scratch: string
  /** How long one round of small requests lasts. */
  readonly loadMs: number
  /** Ends commands that are under way. */
  readonly signal: AbortSignal
}

export interface Verified {
  /** Belongs to the row. */
  readonly remark?: string
  measure(): Promise<Transfer>
}

export interface Transfer {
  readonly seconds: number
  readonly bytes: number
  readonly requests: number
  readonly firstByteMs?: number | undefined
  readonly latencies?: readonly number[]
  /** Where the processes that did the work ended with it. */
  readonly usage?: Usage
}

export class WrongBytes extends Error {
  override readonly name = 'WrongBytes'

  constructor(lane: string, what: string) {
    super(`${lane}: ${what}`)
  }
}

export function serverLane(
  server: RunningVariant,
  verify: (setting: Setting) => Promise<Verified>,
  name = server.variant.name,
): Lane {
  return { name, pid: server.pid, verify }
}

/** URL path of something in the run. */
export function urlPath({ mount }: RunningVariant, path: string): string {
  return `${mount}/${RUN}/${path}`
}

/** From the first start to the last end of transfers that ran side by side. */
export function spanSeconds(transfers: readonly { startNs: number; endNs: number }[]): number {
  const start = Math.min(...transfers.map(transfer => transfer.startNs))
  const end = Math.max(...transfers.map(transfer => transfer.endNs))
  return (end - start) / 1e9
}
