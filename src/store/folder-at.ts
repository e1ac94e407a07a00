// Folders, where a file may lie beside one with its name.
import { isAppError } from '../errors.ts'
import { storeError } from './failure.ts'
import { folderEntry } from './object-entry.ts'
import { ROOT, type ArtifactPath } from './path.ts'
import type { ReadableStore, Entry } from './store.ts'

/** Whether objects `a` and `a/b` can be side by side: only where folders do not exist by themselves. `stat` then gives the file `a`, `list` the folder. */
export function mayHoldBoth(store: ReadableStore): boolean {
  return !store.capabilities.emptyDirectories
}

/** The folder at `path`, whatever lies beside it; NotFound where there is none. Costs an object store one request, or two when it is not there. */
export async function folderAt(
  store: ReadableStore,
  path: ArtifactPath,
  options: { readonly signal?: AbortSignal } = {},
): Promise<Entry> {
  if (path === ROOT || !mayHoldBoth(store)) {
    const entry = await store.stat(path, options)
    if (entry.type === 'directory') return entry
    throw storeError('NotFound', 'stat', path)
  }
  try {
    for await (const entries of store.list(path, { ...options, limit: 1 })) if (entries.length > 0) break
  } catch (error) {
    throw isAppError(error, 'NotDirectory') ? storeError('NotFound', 'stat', path, error) : error
  }
  return folderEntry(path)
}
