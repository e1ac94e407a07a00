// What nobody goes on with in the stores goes, at the start and then every hour.

/** How old it is before it counts as left by its writer: nothing that is still being sent stands still for so long (`http/receive.ts`). */
export const LEFT_MS = 24 * 60 * 60_000
const EVERY_MS = 60 * 60_000

export interface SweepingReports {
  readonly onRemoved: (connection: string, leftovers: number) => void
  /** The store is away, or takes no changes: next time, then. */
  readonly onFailed: (connection: string, error: unknown) => void
}

/** Removes what is left, and gives the number; undefined where nothing ever is. */
export type Sweep = (signal: AbortSignal) => Promise<number> | undefined

/** By connection. Begins at once, waits for nobody and ends with `signal`. */
export function keepSwept(
  sweeps: ReadonlyMap<string, Sweep>,
  { onRemoved, onFailed }: SweepingReports,
  signal: AbortSignal,
): void {
  const sweep = async (connection: string, begin: Sweep): Promise<void> => {
    try {
      const removed = await begin(signal)
      if (removed !== undefined && removed > 0) onRemoved(connection, removed)
    } catch (error) {
      if (!signal.aborted) onFailed(connection, error)
    }
  }
  const sweepAll = (): void => {
    for (const [connection, begin] of sweeps) void sweep(connection, begin)
  }
  const timer = setInterval(sweepAll, EVERY_MS).unref()
  signal.addEventListener('abort', () => clearInterval(timer), { once: true })
  sweepAll()
}
