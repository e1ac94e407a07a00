// The stores of the app: opened as configured, and observed.
import { allStores, type Config } from './config/config.ts'
import type { Metrics, StoreLoad } from './metrics/metrics.ts'
import type { GuardedStore } from './store/guarded.ts'
import { measured } from './store/measured.ts'
import { openStores } from './store/open.ts'
import type { ArtifactStore } from './store/store.ts'

export interface Stores {
  /** By connection. */
  readonly outputs: ReadonlyMap<string, ArtifactStore>
  readonly logs?: ArtifactStore
}

export interface ServedStores extends Stores {
  /** By connection, of those that count it. */
  loads(): Iterable<readonly [connection: string, load: StoreLoad]>
}

/** Those that the configuration names, unless others are given. */
export async function servedStores(config: Config, metrics: Metrics, given?: Stores): Promise<ServedStores> {
  const { outputs, logs } = given ?? (await openAll(config, metrics))
  const logsName = config.logs?.name ?? 'logs'
  const all = new Map([...outputs, ...(logs ? [[logsName, logs] as const] : [])])
  const observed = (name: string, store: ArtifactStore) => measured(store, metrics.storeObserver(name))
  return {
    outputs: new Map([...outputs].map(([name, store]) => [name, observed(name, store)])),
    ...(logs && { logs: observed(logsName, logs) }),
    *loads() {
      for (const [name, store] of all) if (isGuarded(store)) yield [name, store.operations] as const
    },
  }
}

/** All of them at once, for volumes share what operations they may have under way. */
async function openAll(config: Config, metrics: Metrics): Promise<Stores> {
  const observerOf = (connection: string) => metrics.storeObserver(connection)
  const outputs = new Map<string, ArtifactStore>(
    await openStores(allStores(config), config.store, observerOf),
  )
  const logs = config.logs && outputs.get(config.logs.name)
  if (logs === undefined) return { outputs }
  outputs.delete(config.logs!.name)
  return { outputs, logs }
}

function isGuarded(store: ArtifactStore): store is GuardedStore {
  return 'operations' in store
}
