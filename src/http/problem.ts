// The one table from error kinds to status codes, and errors as application/problem+json (RFC 9457).
import { randomUUID } from 'node:crypto'
import { STATUS_CODES, type IncomingMessage, type ServerResponse } from 'node:http'
import type { Duplex } from 'node:stream'
import { AppError } from '../errors.ts'
import type { ErrorKind, StoreTrouble } from '../errors.ts'
import { UnpackError } from '../content/unpack.ts'
import type { Removal } from '../store/store.ts'
import { PartlyReceived } from './partly-received.ts'
import type { ReceivedFile } from './partly-received.ts'
import { PartlyRemoved } from './partly-removed.ts'
import { endAnswer, isLingering, refuseBody } from './body.ts'
import { requestIdOf } from './exchange.ts'

const STATUS: Readonly<Record<ErrorKind, readonly [status: number, title: string]>> = {
  NotFound: [404, 'Not found'],
  IsDirectory: [400, 'A folder, not a file'],
  NotDirectory: [404, 'A file, not a folder'],
  AlreadyExists: [409, 'It exists already'],
  InvalidPath: [400, 'The path is not valid'],
  InvalidArgument: [400, 'The request is not valid'],
  Unauthenticated: [401, 'Authentication is needed'],
  PermissionDenied: [403, 'Not permitted'],
  Misdirected: [421, 'Not a host of this service'],
  Changed: [412, 'A precondition failed'],
  OffsetMismatch: [409, 'Another offset'],
  // By the checksum extension of tus 1.0.
  ChecksumMismatch: [460, 'The checksum does not match'],
  Locked: [423, 'Not now'],
  RangeNotSatisfiable: [416, 'The range lies outside'],
  TooLarge: [413, 'Too large'],
  UrlTooLong: [414, 'The URL is too long'],
  HeaderTooLarge: [431, 'The header is too large'],
  UnsupportedMediaType: [415, 'The body is of a kind that is not taken'],
  TimedOut: [408, 'The body did not come in time'],
  NoSpace: [507, 'The store is full'],
  Unsupported: [405, 'The method is not allowed'],
  RateLimited: [503, 'Busy'],
  CallerLimited: [429, 'Too much at once'],
  Unavailable: [503, 'The store is unavailable'],
  Aborted: [503, 'The request was broken off'],
  Internal: [500, 'An error of the service'],
}

/**
 * What Unavailable is when it is known why (RFC 9110 15.6): 503 for what will pass while nobody has done anything, 504 for a server behind us that took our request and
 * did not answer in time, 502 for one whose answer is of no use.
 */
const TROUBLE_STATUS: Readonly<Record<StoreTrouble, number>> = {
  unreachable: 503,
  throttled: 503,
  timeout: 504,
  interrupted: 502,
  credentials: 502,
  denied: 502,
  missing: 502,
  region: 502,
  clock: 502,
  misconfigured: 502,
}

/** Seconds after which a temporary failure is worth another try. */
const RETRY_AFTER_S = 5

export interface Problem {
  readonly type: string
  readonly title: string
  readonly status: number
  readonly detail: string
  readonly path?: string
  /** What ails the store, where that is known. */
  readonly trouble?: StoreTrouble
  readonly temporary?: true
  /** Of a removal that was not complete: how many files are gone, and what is not. */
  readonly removed?: number
  readonly failures?: readonly { readonly path: string; readonly detail: string }[]
  /** Of an archive that was not unpacked to its end: what it brought before. */
  readonly written?: { readonly files: number; readonly bytes: number; readonly paths: readonly string[] }
  /** Of a form of which not every file is stored: what came of each. */
  readonly files?: readonly (
    Exclude<ReceivedFile, { error: AppError }> | { readonly path: string; readonly problem: Problem }
  )[]
  readonly requestId: string
}

/** Stable names for programs: `urn:polyaxon-outputs:problem:not-found`. */
function problemType(kind: ErrorKind): string {
  return `urn:polyaxon-outputs:problem:${kind.replace(/(?<=.)[A-Z]/g, '-$&').toLowerCase()}`
}

export function statusOf({ kind, trouble }: Pick<AppError, 'kind' | 'trouble'>): number {
  return kind === 'Unavailable' && trouble !== undefined ? TROUBLE_STATUS[trouble] : STATUS[kind][0]
}

/**
 * Any thrown value as an AppError.
 *
 * What Express and its parsers throw for bad requests carries a 4xx `status`; everything else that is not an AppError is Internal, its text kept for the log.
 */
export function toAppError(thrown: unknown): AppError {
  if (thrown instanceof AppError) return thrown
  if (thrown instanceof URIError)
    return new AppError(
      'InvalidPath',
      'The URL has a percent sign that begins no valid UTF-8 escape: encode it as %25.',
      { cause: thrown },
    )
  const status = (thrown as { status?: unknown } | undefined)?.status
  if (status === 413)
    return new AppError('TooLarge', 'The body of the request is too large.', { cause: thrown })
  if (typeof status === 'number' && status >= 400 && status < 500)
    return new AppError('InvalidArgument', 'The body of the request could not be read.', { cause: thrown })
  return new AppError('Internal', 'The service failed. The request id finds the reason in its log.', {
    cause: thrown,
  })
}

/** Where it is not the store that is unavailable, but whoever says what a caller may do. */
function titleOf({ kind, op }: AppError): string {
  return kind === 'Unavailable' && op === 'admit' ? 'It is not known who may do this' : STATUS[kind][1]
}

export function problemOf(error: AppError, requestId: string): Problem {
  return {
    type: problemType(error.kind),
    title: titleOf(error),
    status: statusOf(error),
    detail: error.message,
    ...(error.path !== undefined && error.path !== '' && { path: error.path }),
    ...(error.trouble !== undefined && { trouble: error.trouble }),
    ...(error.temporary && { temporary: true }),
    ...(error instanceof PartlyRemoved && removalOf(error.removal)),
    ...(error instanceof UnpackError && {
      written: error.written,
      ...(error.removal !== undefined && removalOf(error.removal)),
    }),
    ...(error instanceof PartlyReceived && { files: filesOf(error, requestId) }),
    requestId,
  }
}

function removalOf({ removed, failures }: Removal): Pick<Problem, 'removed' | 'failures'> {
  return { removed, failures: failures.map(({ path, error }) => ({ path, detail: error.message })) }
}

function filesOf({ files }: PartlyReceived, requestId: string): Problem['files'] {
  return files.map(file =>
    'error' in file ? { path: file.path, problem: problemOf(file.error, requestId) } : file,
  )
}

/** The JSON of a failure, in which no text of the request can look like markup, to whatever reads it. */
export function failureJson(value: unknown): string {
  return JSON.stringify(value).replaceAll('<', '\\u003c')
}

/** What was said of a content that now does not come. */
const OF_CONTENT = [
  'content-disposition',
  'content-encoding',
  'accept-ranges',
  'etag',
  'last-modified',
  'repr-digest',
  'link',
  'trailer',
]

/** Answers with a problem; nothing of the answer may have been sent. Headers set before stay (Allow, Content-Range). */
export function sendProblem(request: IncomingMessage, response: ServerResponse, problem: Problem): void {
  sendFailure(request, response, problem, 'application/problem+json', `${failureJson(problem)}\n`)
}

/**
 * RFC 9110 11.6.1. Programs such as wget send a name and a password only when they were asked for them, and browsers ask people; but not in the middle of a page that has a login of its own.
 */
function challengesFor({ headers }: IncomingMessage): string[] {
  const mode = headers['sec-fetch-mode']
  const bearer = 'Bearer realm="polyaxon-outputs"'
  return mode === undefined || mode === 'navigate'
    ? [bearer, 'Basic realm="polyaxon-outputs", charset="UTF-8"']
    : [bearer]
}

/** The same, where a client expects failures in a form of its own. */
export function sendFailure(
  request: IncomingMessage,
  response: ServerResponse,
  problem: Problem,
  mediaType: string,
  text: string,
): void {
  const body = Buffer.from(text)
  for (const name of OF_CONTENT) response.removeHeader(name)
  response.statusCode = problem.status
  response.setHeader('Content-Type', mediaType)
  response.setHeader('Content-Length', body.length)
  response.setHeader('Cache-Control', 'no-store')
  response.setHeader('X-Content-Type-Options', 'nosniff')
  if (problem.status === 401) response.setHeader('WWW-Authenticate', challengesFor(request))
  if (problem.temporary === true) response.setHeader('Retry-After', RETRY_AFTER_S)
  endAnswer(request, response, request.method === 'HEAD' ? undefined : body)
}

/** What Node's parser says of a message that it does not take, by the error's code; everything else is a bad request. */
const UNPARSED: Readonly<Record<string, readonly [kind: ErrorKind, detail: string]>> = {
  HPE_HEADER_OVERFLOW: ['HeaderTooLarge', 'The header of the request is too large.'],
  ERR_HTTP_REQUEST_TIMEOUT: ['TimedOut', 'The request did not come to its end in time.'],
}
const UNKNOWN = ['InvalidArgument', 'This is not a valid HTTP/1.1 request.'] as const

/** What a client was told that sent no request. */
export interface Unparsed {
  readonly status: number
  readonly requestId: string
  /** The exchange whose answer this was; undefined where nothing is known but the connection. */
  readonly of: ServerResponse | undefined
}

/** How long a client may take to read what it did wrong. */
const READING_MS = 2_000

/**
 * Answers what is no request, or not in time, and closes the connection: nothing that follows on it can be understood.
 *
 * `before` is the last response on the connection. When it is under way, nothing can be said without getting into its body; when nothing of it was sent and the fault is in the body
 * of its request, this is its answer, unless the request has begun a change that needs no body: of that nobody knows yet what comes. Where it has its answer, there is nothing to add.
 * Undefined where nothing was said.
 */
export function refuseUnparsed(
  error: NodeJS.ErrnoException,
  socket: Duplex,
  before?: ServerResponse,
): Unparsed | undefined {
  if (!socket.writable || error.code === 'ECONNRESET') {
    socket.destroy()
    return undefined
  }
  if (before !== undefined && isLingering(before)) {
    before.end()
    return undefined
  }
  const isItsAnswer = before !== undefined && refuseBody(before)
  if (before?.writableEnded === false && !isItsAnswer) {
    socket.destroy()
    return undefined
  }
  const isAnswered = before !== undefined && !(before.writableFinished && before.req.complete)
  if (isAnswered && !isItsAnswer) {
    socket.end()
    return undefined
  }
  const [kind, detail] = UNPARSED[error.code ?? ''] ?? UNKNOWN
  const requestId = (isItsAnswer && requestIdOf(before)) || randomUUID()
  socket.end(unparsedText(kind, detail, requestId))
  const timer = setTimeout(() => socket.destroy(), READING_MS)
  socket.once('close', () => clearTimeout(timer))
  return { status: STATUS[kind][0], requestId, of: isItsAnswer ? before : undefined }
}

function unparsedText(kind: ErrorKind, detail: string, requestId: string): string {
  const problem = problemOf(new AppError(kind, detail), requestId)
  const body = failureJson(problem)
  return (
    `HTTP/1.1 ${problem.status} ${STATUS_CODES[problem.status]}\r\nContent-Type: application/problem+json\r\nContent-Length: ${Buffer.byteLength(body)}\r\n` +
    `X-Content-Type-Options: nosniff\r\nCross-Origin-Resource-Policy: same-origin\r\nX-Request-Id: ${requestId}\r\nConnection: close\r\n\r\n${body}`
  )
}
