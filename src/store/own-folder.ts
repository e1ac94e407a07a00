// The folder in the root of a store that is the service's own: what is in it belongs to no run, whatever a layout says.
import { parsePath, type ArtifactPath } from './path.ts'

/** Resumable uploads that are under way, for all replicas that share the store (`content/resumable-uploads.ts`). */
export const UPLOADS_FOLDER = parsePath('.polyaxon-outputs-uploads')

const FOLDED = UPLOADS_FOLDER.toUpperCase()

/** Whether `path` is this folder or leads into it: of this store, or of another whose root lies in this one. Some file systems do not tell cases apart. */
export function isOwnFolder(path: ArtifactPath): boolean {
  return path.toUpperCase().split('/').includes(FOLDED)
}
