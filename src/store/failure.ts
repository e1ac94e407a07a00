// The failures of the store contract in words for clients, so that every store says the same thing in the same case.
import { AppError, type ErrorKind, type StoreTrouble } from '../errors.ts'
import type { ArtifactPath } from './path.ts'

export type StoreOperation = 'stat' | 'list' | 'open' | 'read' | 'write' | 'remove'

export type StoreErrorKind = Extract<
  ErrorKind,
  | 'NotFound'
  | 'IsDirectory'
  | 'NotDirectory'
  | 'InvalidPath'
  | 'RangeNotSatisfiable'
  | 'InvalidArgument'
  | 'PermissionDenied'
  | 'Changed'
  | 'Locked'
  | 'TooLarge'
  | 'NoSpace'
  | 'Unavailable'
  | 'Aborted'
  | 'Internal'
>

const MESSAGES: Readonly<Record<StoreErrorKind, (subject: string) => string>> = {
  NotFound: subject => `${subject} does not exist.`,
  IsDirectory: subject => `${subject} is a folder: list it, or download it as an archive.`,
  NotDirectory: subject => `${subject} is a file, not a folder.`,
  InvalidPath: subject => `${subject} is too long a path for the outputs store.`,
  InvalidArgument: subject => `This cannot be done to ${subject}.`,
  RangeNotSatisfiable: subject => `The range lies outside of ${subject}.`,
  PermissionDenied: subject =>
    `The service has no permission to read ${subject}: change the mode or the owner.`,
  Changed: subject => `${subject} changed while it was being read: ask for it again.`,
  Locked: subject => `Something is being written to ${subject}: try again when that has ended.`,
  TooLarge: subject => `${subject} is larger than the outputs store can hold.`,
  NoSpace: subject => `The outputs store has no space for ${subject}: it is full, or a quota is used up.`,
  Unavailable: () => 'The outputs store cannot be reached: try again later.',
  Aborted: subject => `The work on ${subject} was aborted.`,
  Internal: subject => `The outputs store failed in an unforeseen way at ${subject}.`,
}

/** What reads otherwise when something was to be changed. */
const OF_CHANGES: Readonly<Partial<Record<StoreErrorKind, (subject: string) => string>>> = {
  IsDirectory: subject => `${subject} is a folder: name a file in it, or treat it as a folder.`,
  NotDirectory: subject => `${subject} cannot be in a folder, for a folder above it is a file.`,
  InvalidArgument: subject => `${subject} cannot be changed as a whole: name a run, or what is in one.`,
  PermissionDenied: subject =>
    `The service has no permission to change ${subject}: change the mode or the owner of its folder.`,
  Changed: subject =>
    `${subject} is not what the request's precondition says: something else, or nothing, is there.`,
}

function isChange(operation: StoreOperation): boolean {
  return operation === 'write' || operation === 'remove'
}

/** The failure of `operation` at `path`, which is relative to the store that reports it. */
export function storeError(
  kind: StoreErrorKind,
  operation: StoreOperation,
  path: ArtifactPath,
  cause?: unknown,
): AppError {
  const subject = path === '' ? 'the outputs folder' : `'${path}'`
  const message = ((isChange(operation) ? OF_CHANGES[kind] : undefined) ?? MESSAGES[kind])(subject)
  return new AppError(kind, message.charAt(0).toUpperCase() + message.slice(1), {
    op: operation,
    path,
    cause,
  })
}

/** A path that no artifact of this store can have, however short it is. */
export function nameError(operation: StoreOperation, path: ArtifactPath, cause?: unknown): AppError {
  const message = `The outputs store cannot hold an artifact named '${path}': take out special characters.`
  return new AppError('InvalidPath', message, { op: operation, path, cause })
}

/** Nobody may change anything by this connection. */
export function readOnlyConnection(operation: StoreOperation, path: ArtifactPath): AppError {
  return new AppError(
    'PermissionDenied',
    'These outputs can only be read: the operator configured their connection as read-only.',
    { op: operation, path },
  )
}

const TROUBLES: Readonly<Record<StoreTrouble, string>> = {
  unreachable: 'cannot be reached: try again later',
  timeout: 'did not answer in time: try again later',
  throttled: 'asks to be left alone for a while: try again later',
  interrupted: 'broke off its answers: try again later',
  credentials:
    "refuses the service's access keys as missing, wrong or expired: the operator must renew its secret",
  denied: 'does not permit this to the service: the operator must grant its access keys the right',
  missing: 'has no such bucket: the operator must correct the bucket or create it',
  region: 'is in another region than configured: the operator must correct the region',
  clock: "refuses the service's clock as wrong: the operator must set it",
  misconfigured: 'cannot be used the way it is configured: the operator must look at the log',
}

const PASSING: ReadonlySet<StoreTrouble> = new Set(['unreachable', 'timeout', 'throttled', 'interrupted'])

/** The store called `connection` is in trouble. `advice` is a further sentence that is safe for clients. */
export function troubleError(
  connection: string,
  trouble: StoreTrouble,
  operation: StoreOperation,
  path: ArtifactPath,
  { cause, advice }: { readonly cause?: unknown; readonly advice?: string | undefined } = {},
): AppError {
  const message = `The outputs store '${connection}' ${TROUBLES[trouble]}.${advice === undefined ? '' : ` ${advice}`}`
  return new AppError('Unavailable', message, {
    op: operation,
    path,
    trouble,
    temporary: PASSING.has(trouble),
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
    ...(error.trouble !== undefined && { trouble: error.trouble }),
    ...(error.limit !== undefined && { limit: error.limit }),
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
