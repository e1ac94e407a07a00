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
  'Misdirected',
  'Changed',
  'OffsetMismatch',
  'ChecksumMismatch',
  'Locked',
  'RangeNotSatisfiable',
  'TooLarge',
  'UrlTooLong',
  'HeaderTooLarge',
  'UnsupportedMediaType',
  'TimedOut',
  'NoSpace',
  'Unsupported',
  'RateLimited',
  'CallerLimited',
  'Unavailable',
  'Aborted',
  'Internal',
] as const

export type ErrorKind = (typeof ERROR_KINDS)[number]

/**
 * Why a store is Unavailable, as far as it is known: what an operator looks at first, and what tells a status code from another.
 *
 * `unreachable`, `timeout`, `throttled` and `interrupted` (a stream that broke, an answer that made no sense) pass by themselves; `credentials` (missing, wrong or expired
 * keys), `denied` (keys without the right), `missing` (no such bucket), `region` (the bucket is elsewhere), `clock` (ours is wrong) and `misconfigured` do not.
 */
export const STORE_TROUBLES = [
  'unreachable',
  'timeout',
  'throttled',
  'interrupted',
  'credentials',
  'denied',
  'missing',
  'region',
  'clock',
  'misconfigured',
] as const

export type StoreTrouble = (typeof STORE_TROUBLES)[number]

export interface ErrorContext {
  /** What was being done, in the words of the store contract: 'stat', 'list', 'open', 'read' … */
  readonly op?: string
  /** The artifact path as the client knows it, never a path of the disk. */
  readonly path?: string
  /** Whether the same request may succeed later without anybody changing anything. */
  readonly temporary?: boolean
  /** For Unavailable: what ails the store. */
  readonly trouble?: StoreTrouble
  /** Where as much was under way as may be: the setting that says so, or what is bounded where there is none. For the log and metrics. */
  readonly limit?: string
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
  readonly trouble: StoreTrouble | undefined
  readonly limit: string | undefined

  constructor(kind: ErrorKind, message: string, context: ErrorContext = {}) {
    super(message, context.cause === undefined ? undefined : { cause: context.cause })
    this.kind = kind
    this.op = context.op
    this.path = context.path
    this.trouble = context.trouble
    this.limit = context.limit
    this.temporary = context.temporary ?? PASSING.has(kind)
  }
}

/** Kinds that pass by themselves unless it is said otherwise. */
const PASSING: ReadonlySet<ErrorKind> = new Set(['Unavailable', 'RateLimited', 'CallerLimited', 'Locked'])

/** Whether `error` is an AppError, of one of `kinds` when any are given. */
export function isAppError(error: unknown, ...kinds: ErrorKind[]): error is AppError {
  return error instanceof AppError && (kinds.length === 0 || kinds.includes(error.kind))
}
