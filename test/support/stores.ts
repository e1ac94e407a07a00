// Every kind of store there is, for suites that run on all of them: a store that is not available is skipped by name.
import { describe } from 'vitest'
import { guarded } from '../../src/store/guarded.ts'
import { MemoryStore } from '../../src/store/memory.ts'
import { joinPath, parsePath, ROOT } from '../../src/store/path.ts'
import type { ArtifactStore } from '../../src/store/store.ts'
import { at, bytes } from '../contract/harness.ts'
import type { StoreUnderTest } from './servers.ts'
import { azurite } from './store-azure.ts'
import { fakeGcs } from './store-gcs.ts'
import { localStore, nfsStore } from './store-local.ts'
import { minio, moto } from './store-s3.ts'

const memory: StoreUnderTest = {
  title: 'memory',
  available: true,
  capabilities: new MemoryStore().capabilities,
  make({ prefix = '' } = {}) {
    const store = new MemoryStore()
    const root = parsePath(prefix.replace(/\/$/, ''))
    const inside = (path: string) => joinPath(root, at(path))
    store.makeDirectory(root)
    if (root !== ROOT) store.write(parsePath(`${root}0/decoy`), bytes('decoy'))
    return Promise.resolve({
      store: root === ROOT ? store : store.scoped(root),
      keepsTimes: true,
      write: (path, content, options) => store.write(inside(path), content, options),
      append: (path, content) => store.append(inside(path), content),
      makeDirectory: path => store.makeDirectory(inside(path)),
      remove: path => store.forget(inside(path)),
      close: () => store.close(),
    })
  },
}

/** In the order in which they should be looked at when several fail. */
export const STORES: readonly StoreUnderTest[] = [memory, localStore, nfsStore, minio, moto, fakeGcs, azurite]

/** `store` as the service has it, with a deadline on every operation. */
export function asServed(store: ArtifactStore): ArtifactStore {
  return guarded(store, { maxOperations: 64, deadlineMs: 30_000 }, 'outputs')
}

/** A suite for each of `stores`. */
export function describeEach(
  stores: readonly StoreUnderTest[],
  suite: (store: StoreUnderTest) => void,
): void {
  for (const store of stores) describe.skipIf(!store.available)(store.title, () => suite(store))
}
