// The one error type of the service, and the closed list of its kinds. Status codes are not known here: `http/problem.ts` maps them.

export const ERROR_KINDS = [
  'NotFound',
  'IsDirectory',
  'NotDirectory',
  'AlreadyExists',
  'InvalidPath',
  'InvalidArgument',
  'Unauthenticated',
  'PermissionDenied',
  'Changed',
  'RangeNotSatisfiable',
  'TooLarge',
  'NoSpace',
  'Unsupported',
  'RateLimited',
  'Unavailable',
  'Aborted',
  'Internal',
] as const

export type ErrorKind = (typeof ERROR_KINDS)[number]

export interface ErrorContext {
  /** What was being done, in the words of the store contract: 'stat', 'list', 'open', 'read' … */
  readonly op?: string
  /** The artifact path as the client knows it, never a path of the disk. */
  readonly path?: string
  /** Whether the same request may succeed later without anybody changing anything. */
  readonly temporary?: boolean
  /** Kept for the log only. */
  readonly cause?: unknown
}

/**
 * A failure that the service understands.
 *
 * `message` is shown to clients: it says what was wrong, with what, and what to do, and names no disk path, endpoint,
 * credential or stack. Everything else about the failure belongs into `cause`, which only the log sees.
 */
export class AppError extends Error {
  override readonly name = 'AppError'
  readonly kind: ErrorKind
  readonly op: string | undefined
  readonly path: string | undefined
  readonly temporary: boolean

  constructor(kind: ErrorKind, message: string, context: ErrorContext = {}) {
    super(message, context.cause === undefined ? undefined : { cause: context.cause })
    this.kind = kind
    this.op = context.op
    this.path = context.path
    this.temporary = context.temporary ?? (kind === 'Unavailable' || kind === 'RateLimited')
  }
}

/** Whether `error` is an AppError, of one of `kinds` when any are given. */
export function isAppError(error: unknown, ...kinds: ErrorKind[]): error is AppError {
  return error instanceof AppError && (kinds.length === 0 || kinds.includes(error.kind))
}
