// What an errno means in the words of the store contract: the only place that knows error codes.
import { constants } from 'node:os'
import { AppError } from '../errors.ts'
import { storeError, type StoreErrorKind, type StoreOperation } from './failure.ts'
import type { ArtifactPath } from './path.ts'

const KINDS: Readonly<Record<string, StoreErrorKind>> = {
  ENOENT: 'NotFound',
  ENOTDIR: 'NotFound',
  ELOOP: 'NotFound',
  // A socket or a device without a driver: never an artifact.
  ENXIO: 'NotFound',
  ENODEV: 'NotFound',
  ENAMETOOLONG: 'InvalidPath',
  EISDIR: 'IsDirectory',
  // Of a folder that was just emptied.
  ENOTEMPTY: 'Locked',
  EACCES: 'PermissionDenied',
  EPERM: 'PermissionDenied',
  EROFS: 'PermissionDenied',
  ENOSPC: 'NoSpace',
  EDQUOT: 'NoSpace',
  // A limit on the size of files, of the file system or of the process.
  EFBIG: 'NoSpace',
  EMFILE: 'Unavailable',
  ENFILE: 'Unavailable',
  ENOMEM: 'Unavailable',
  EAGAIN: 'Unavailable',
  EBUSY: 'Unavailable',
  EIO: 'Unavailable',
  ESTALE: 'Unavailable',
  ETIMEDOUT: 'Unavailable',
  EHOSTDOWN: 'Unavailable',
  EHOSTUNREACH: 'Unavailable',
  ENETDOWN: 'Unavailable',
  ENETUNREACH: 'Unavailable',
  ECONNREFUSED: 'Unavailable',
  ECONNRESET: 'Unavailable',
  ECONNABORTED: 'Unavailable',
  // What FUSE (GlusterFS, rclone, s3fs …) answers when its daemon is gone.
  ENOTCONN: 'Unavailable',
  EREMOTEIO: 'Unavailable',
  ESHUTDOWN: 'Unavailable',
}

/** For codes that libuv has no name for, ESTALE and EDQUOT among them: Node calls them 'Unknown system error -116'. */
const NAMES: ReadonlyMap<number, string> = new Map(
  Object.entries(constants.errno).map(([name, number]) => [-number, name]),
)

/** The errno of a failed system call; undefined for any other error. */
export function errnoOf(error: unknown): string | undefined {
  if (!(error instanceof Error)) return undefined
  const { code, errno } = error as NodeJS.ErrnoException
  if (typeof code !== 'string' || code in KINDS) return code
  return NAMES.get(errno ?? 0) ?? code
}

/**
 * Whether a network file system says that its server does not know the file or folder behind a descriptor any more (ESTALE): it was removed or replaced by another
 * machine, or the server exports anew. Looked up again by its path it may be there.
 */
export function isStale(error: unknown): boolean {
  return errnoOf(error instanceof AppError ? error.cause : error) === 'ESTALE'
}

/** Whether the path that the call was given leads nowhere (any more). */
export function isMissing(error: unknown): boolean {
  return KINDS[errnoOf(error) ?? ''] === 'NotFound'
}

/** Whether the service has no permission for what the call was to do. */
export function isDenied(error: unknown): boolean {
  return KINDS[errnoOf(error) ?? ''] === 'PermissionDenied'
}

/** Whether the disk, or somebody's quota, has no room for what the call was to make. */
export function isFull(error: unknown): boolean {
  return KINDS[errnoOf(error) ?? ''] === 'NoSpace'
}

export function readOnlyMount(cause: unknown): AppError {
  return new AppError(
    'PermissionDenied',
    'These outputs can only be read: their volume is mounted read-only, which the operator can change.',
    { op: 'write', cause },
  )
}

/** The failure of a system call as an AppError; an AppError is returned as it is. */
export function localError(error: unknown, operation: StoreOperation, path: ArtifactPath): AppError {
  if (error instanceof AppError) return error
  if (errnoOf(error) === 'EROFS') return readOnlyMount(error)
  return storeError(KINDS[errnoOf(error) ?? ''] ?? 'Internal', operation, path, error)
}
