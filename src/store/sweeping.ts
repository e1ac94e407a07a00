// What unfinished uploads of ended processes left in the stores goes, at the start and then every hour.
import type { ArtifactStore } from './store.ts'

/** Nothing that is still being sent stands still for so long (`http/receive.ts`). */
const LEFT_MS = 24 * 60 * 60_000
const EVERY_MS = 60 * 60_000

export interface SweepingReports {
  readonly onRemoved: (connection: string, leftovers: number) => void
  /** The store is away, or takes no changes: next time, then. */
  readonly onFailed: (connection: string, error: unknown) => void
}

/** Begins at once, waits for nobody and ends with `signal`. */
export function keepSwept(
  stores: ReadonlyMap<string, ArtifactStore>,
  { onRemoved, onFailed }: SweepingReports,
  signal: AbortSignal,
): void {
  const sweep = async (connection: string, store: ArtifactStore): Promise<void> => {
    try {
      const removed = await store.sweep?.(LEFT_MS, { signal })
      if (removed !== undefined && removed > 0) onRemoved(connection, removed)
    } catch (error) {
      if (!signal.aborted) onFailed(connection, error)
    }
  }
  const sweepAll = (): void => {
    for (const [connection, store] of stores) void sweep(connection, store)
  }
  const timer = setInterval(sweepAll, EVERY_MS).unref()
  signal.addEventListener('abort', () => clearInterval(timer), { once: true })
  sweepAll()
}
