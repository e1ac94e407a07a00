// Entries of an object store.
import type { ListedObject } from './object-client.ts'
import type { ArtifactPath } from './path.ts'
import type { Entry } from './store.ts'

export function fileEntry(path: ArtifactPath, { size, lastModifiedMs, etag }: ListedObject): Entry {
  return { path, type: 'file', size, lastModifiedMs, etag, mode: undefined }
}

/** A folder has no time of its own: it is what its artifacts' keys have in common. */
export function folderEntry(path: ArtifactPath): Entry {
  return { path, type: 'directory', size: 0, lastModifiedMs: undefined, etag: '', mode: undefined }
}
