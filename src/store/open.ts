// Which store a configuration asks for. Drivers are loaded when they are needed, so that no other one costs start-up time or memory.
import { guarded, type GuardLimits, type GuardedStore } from './guarded.ts'

export interface OutputsLocation {
  /** Absolute path of the folder that holds the outputs. */
  readonly path: string
}

/** Opens the outputs store under a deadline; fails with Unavailable when it cannot be reached. */
export async function openStore(outputs: OutputsLocation, limits: GuardLimits): Promise<GuardedStore> {
  const { openLocalStore } = await import('./local.ts')
  return guarded(await openLocalStore({ root: outputs.path }), limits)
}
