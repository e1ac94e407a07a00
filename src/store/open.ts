// Which store a definition asks for. Drivers are loaded when they are needed, so that no other one costs start-up time or memory.
import type { LocalDefinition, ObjectStoreDefinition, StoreDefinition } from './definition.ts'
import type { GuardLimits } from './guard.ts'
import { guarded, type GuardedStore } from './guarded.ts'
import type { StoreObserver } from './measured.ts'
import type { ConnectObjects } from './object-client.ts'
import type { ArtifactStore } from './store.ts'

/**
 * Operations on an object store wait for one of its connections by themselves (`object-slots.ts`). The guard's places only bound how many do: were there as few as connections,
 * those that wait for one would keep the transfers that have one from reading on.
 */
const OPERATIONS_PER_CONNECTION = 32

/**
 * Requests to an object store end by their own timeouts and retries (`object-retry.ts`), which know more than a deadline does. This one lies beyond what a whole
 * batch of a list may take with them: only an operation that nothing ends gets there.
 */
const OBJECT_DEADLINE_MS = 10 * 60_000

/**
 * Opens the stores of all `definitions`, by their names and in their order. Waits for none of them: a store that cannot be reached says so when it is used. What retries there are is told to its observer; see
 * `measured.ts` for everything else.
 *
 * Volumes share the places of `limits`, for each takes a thread of the one pool: one that hangs must leave threads to the others.
 */
export async function openStores(
  definitions: readonly StoreDefinition[],
  limits: GuardLimits,
  observerOf?: (connection: string) => StoreObserver,
): Promise<Map<string, GuardedStore>> {
  const volumes = definitions.filter(({ kind }) => kind === 'local').length
  const share = { ...limits, maxOperations: Math.ceil(limits.maxOperations / Math.max(1, volumes)) }
  const opened = definitions.map(
    async definition =>
      [definition.name, await openStore(definition, share, observerOf?.(definition.name))] as const,
  )
  return new Map(await Promise.all(opened))
}

/** `limits` are those of a volume. */
async function openStore(
  definition: StoreDefinition,
  limits: GuardLimits,
  observer: StoreObserver | undefined,
): Promise<GuardedStore> {
  const { name } = definition
  if (definition.kind === 'local') return guarded(await openVolume(definition), limits, name)
  const maxOperations = OPERATIONS_PER_CONNECTION * definition.maxConnections
  return guarded(
    await openObjects(definition, observer),
    { maxOperations, deadlineMs: OBJECT_DEADLINE_MS },
    name,
  )
}

async function openVolume({ path, ...options }: LocalDefinition): Promise<ArtifactStore> {
  const { openLocalStore } = await import('./local.ts')
  return openLocalStore({ root: path, ...options })
}

async function openObjects(
  definition: ObjectStoreDefinition,
  observer: StoreObserver | undefined,
): Promise<ArtifactStore> {
  const { openObjectStore } = await import('./object-store.ts')
  return openObjectStore(
    definition,
    await driverOf(definition),
    observer && { onRetry: reason => observer.retry(reason) },
  )
}

async function driverOf(definition: ObjectStoreDefinition): Promise<ConnectObjects> {
  switch (definition.kind) {
    case 's3':
      return (await import('./s3.ts')).s3Objects(definition)
    case 'gcs':
      return (await import('./gcs.ts')).gcsObjects(definition)
    case 'azure':
      return (await import('./azure.ts')).azureObjects(definition)
  }
}
