// The writing half of a store, for test stores that change only how they are read.
import type { ArtifactStore } from '../../src/store/store.ts'

type Changes = Pick<ArtifactStore, 'create' | 'checkWritable' | 'remove' | 'removeAll'>

/** What `store` does to change it, as methods of another store. */
export function changesOf(store: ArtifactStore): Changes {
  return {
    create: (path, options) => store.create(path, options),
    checkWritable: options => store.checkWritable(options),
    remove: (path, options) => store.remove(path, options),
    removeAll: (path, options) => store.removeAll(path, options),
  }
}
