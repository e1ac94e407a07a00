// What an errno means in the words of the store contract: the only place that knows error codes.
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
  EACCES: 'PermissionDenied',
  EPERM: 'PermissionDenied',
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

/** The errno of a failed system call; undefined for any other error. */
function errnoOf(error: unknown): string | undefined {
  const code = error instanceof Error ? (error as NodeJS.ErrnoException).code : undefined
  return typeof code === 'string' ? code : undefined
}

/** Whether the path that the call was given leads nowhere (any more). */
export function isMissing(error: unknown): boolean {
  return KINDS[errnoOf(error) ?? ''] === 'NotFound'
}

/** The failure of a system call as an AppError; an AppError is returned as it is. */
export function localError(error: unknown, operation: StoreOperation, path: ArtifactPath): AppError {
  if (error instanceof AppError) return error
  return storeError(KINDS[errnoOf(error) ?? ''] ?? 'Internal', operation, path, error)
}
