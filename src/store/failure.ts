// The failures of the store contract in words for clients, so that every store says the same thing in the same case.
import { AppError, type ErrorKind } from '../errors.ts'
import type { ArtifactPath } from './path.ts'

export type StoreOperation = 'stat' | 'list' | 'open' | 'read'

export type StoreErrorKind = Extract<
  ErrorKind,
  | 'NotFound'
  | 'IsDirectory'
  | 'NotDirectory'
  | 'InvalidPath'
  | 'RangeNotSatisfiable'
  | 'PermissionDenied'
  | 'Changed'
  | 'Unavailable'
  | 'Aborted'
  | 'Internal'
>

const MESSAGES: Readonly<Record<StoreErrorKind, (subject: string) => string>> = {
  NotFound: subject => `${subject} does not exist.`,
  IsDirectory: subject => `${subject} is a folder: list it, or download it as an archive.`,
  NotDirectory: subject => `${subject} is a file, not a folder.`,
  InvalidPath: subject => `${subject} is too long a path for the outputs store.`,
  RangeNotSatisfiable: subject => `The range lies outside of ${subject}.`,
  PermissionDenied: subject =>
    `The service has no permission to read ${subject}: change the mode or the owner.`,
  Changed: subject => `${subject} changed while it was being read: ask for it again.`,
  Unavailable: () => 'The outputs store cannot be reached: try again later.',
  Aborted: subject => `The work on ${subject} was aborted.`,
  Internal: subject => `The outputs store failed in an unforeseen way at ${subject}.`,
}

/** The failure of `operation` at `path`, which is relative to the store that reports it. */
export function storeError(
  kind: StoreErrorKind,
  operation: StoreOperation,
  path: ArtifactPath,
  cause?: unknown,
): AppError {
  const subject = path === '' ? 'the outputs folder' : `'${path}'`
  const message = MESSAGES[kind](subject)
  return new AppError(kind, message.charAt(0).toUpperCase() + message.slice(1), {
    op: operation,
    path,
    cause,
  })
}

/** `error` as it reads when its artifact is called `path`; for stores that show another store's artifacts under other paths. */
export function renamed(error: AppError, path: ArtifactPath): AppError {
  if (error.path === undefined || !(error.kind in MESSAGES)) return error
  const subject = path === '' ? 'the outputs folder' : `'${path}'`
  const message = error.message.replace(`'${error.path}'`, () => subject)
  return new AppError(error.kind, message.charAt(0).toUpperCase() + message.slice(1), {
    ...(error.op === undefined ? {} : { op: error.op }),
    path,
    temporary: error.temporary,
    cause: error,
  })
}

/** Fails with Aborted once `signal` is aborted. */
export function throwIfAborted(
  signal: AbortSignal | undefined,
  operation: StoreOperation,
  path: ArtifactPath,
): void {
  if (signal?.aborted === true) throw storeError('Aborted', operation, path, signal.reason)
}

/** Fails with RangeNotSatisfiable unless 0 <= start <= end <= size, all of them whole numbers. */
export function checkRange(path: ArtifactPath, start: number, end: number, size: number): void {
  const valid =
    Number.isSafeInteger(start) && Number.isSafeInteger(end) && start >= 0 && start <= end && end <= size
  if (!valid) throw storeError('RangeNotSatisfiable', 'read', path)
}
