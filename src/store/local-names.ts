// Names in a store that are nobody's artifacts: files that exist only because somebody has them open, or had.

/** What `probe` writes into the root; one that a crash left behind. */
export const CHECK_FILE_PREFIX = '.polyaxon-outputs-check-'
const CHECK_FILE = /^\.polyaxon-outputs-check-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/
/**
 * Where a client of a network file system keeps a file that was removed while it is open: `.nfs` with file id and counter in Linux's client (fs/nfs/unlink.c),
 * `.fuse_hidden` with node id and counter in libfuse's.
 */
const REMOVED_FILE = /^(\.nfs[0-9a-f]{16,}|\.fuse_hidden[0-9a-f]{16,})$/
const DOT = 46

/** Whether the last name of a path is one of these. On a local disk, where nobody keeps removed files, `.nfs…` is a name like any other. */
export function isTransientName(path: string, isLocal: boolean): boolean {
  const start = path.lastIndexOf('/') + 1
  if (path.charCodeAt(start) !== DOT) return false
  const name = path.slice(start)
  return CHECK_FILE.test(name) || (!isLocal && REMOVED_FILE.test(name))
}
