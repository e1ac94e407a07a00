// Names in a store that are nobody's artifacts: files that exist only because somebody has them open, or had, and those of the service itself.
import { createHash } from 'node:crypto'
import { AppError } from '../errors.ts'
import { nameOf, type ArtifactPath } from './path.ts'

const OWN = '.polyaxon-outputs-'
/** What `probe` writes into the root; one that a crash left behind. */
export const CHECK_FILE_PREFIX = `${OWN}check-`
/** What is being written, in the folder that it will be in (`local-write.ts`). */
export const PENDING_FILE_PREFIX = `${OWN}write-`
/** Held while what a name stands for is changed (`local-lock.ts`). */
const LOCK_PREFIX = `${OWN}lock-`
/** In the root: what is being written anywhere in the store (`local-journal.ts`). */
export const JOURNAL_FOLDER = `${OWN}pending` as ArtifactPath

const OWN_NAME =
  /^\.polyaxon-outputs-(?:(?:check|write)-[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|lock-[0-9a-f]{32}|pending)$/
/**
 * Where a client of a network file system keeps a file that was removed while it is open: `.nfs` with file id and counter in Linux's client (fs/nfs/unlink.c),
 * `.fuse_hidden` with node id and counter in libfuse's.
 */
const REMOVED_FILE = /^(\.nfs[0-9a-f]{16,}|\.fuse_hidden[0-9a-f]{16,})$/
const DOT = 46

/** Whether the last name of a path on a network file system is one that a removed file is kept by. */
export function isRemovedName(path: string): boolean {
  return REMOVED_FILE.test(path.slice(path.lastIndexOf('/') + 1))
}

/** Whether the last name of a path is one of these. On a local disk, where nobody keeps removed files, `.nfs…` is a name like any other. */
export function isTransientName(path: string, isLocal: boolean): boolean {
  const start = path.lastIndexOf('/') + 1
  if (path.charCodeAt(start) !== DOT) return false
  const name = path.slice(start)
  return OWN_NAME.test(name) || (!isLocal && REMOVED_FILE.test(name))
}

/** Whether it is what a file that is being written is called. */
export function isPendingName(name: string): boolean {
  return name.startsWith(PENDING_FILE_PREFIX) && OWN_NAME.test(name)
}

/** Fails with InvalidPath for a path that would never be seen again. */
export function refuseOwnName(path: ArtifactPath, op: string): void {
  if (!isTransientName(path, false)) return
  const message = `'${nameOf(path)}' is the kind of name that stands for unfinished files: choose another.`
  throw new AppError('InvalidPath', message, { op, path })
}

/** The lock of the file `name` in its folder; of a fixed length, whatever the name's. */
export function lockName(name: string): string {
  return `${LOCK_PREFIX}${createHash('sha256').update(name).digest('hex').slice(0, 32)}`
}
