// Every failure of S3 and of its SDK as a reason. The only place that knows their names.
import { ObjectFailure } from './object-client.ts'
import { abortedBy } from './object-deadline.ts'
import { networkVerdict } from './object-network.ts'
import {
  failureDetails,
  failureOf,
  parseRetryAfter,
  type FailureDetails,
  type Verdict,
} from './object-verdict.ts'

/** An error answer of the server, as far as it said anything. */
export interface ErrorAnswer {
  readonly status: number
  /** `<Code>` of its body; undefined where the answer had no body of S3's (every answer to HEAD). */
  readonly code: string | undefined
  /** `<Region>` or what stands for it. */
  readonly region: string | undefined
  /** Whether it carries an id of S3's: a proxy that has lost its server answers errors too. */
  readonly hasRequestId: boolean
}

/** The failure that an error answer is. */
export class S3Refusal extends ObjectFailure {
  readonly answer: ErrorAnswer

  constructor(verdict: Verdict, details: FailureDetails, answer: ErrorAnswer) {
    super(verdict.reason, details)
    this.answer = answer
  }
}

/** What the SDK's errors carry: its ServiceException, with the fields of the XML. */
interface RawError {
  readonly message?: string
  readonly Code?: unknown
  readonly Region?: unknown
  readonly Endpoint?: unknown
  readonly $metadata?: { readonly httpStatusCode?: number }
  readonly $response?: { readonly headers?: Headers }
}

type Headers = Readonly<Record<string, string | undefined>>

/** The keys could not be had: thrown around whatever the SDK's providers throw, so that a role's AccessDenied is not taken for the bucket's. */
export class KeysUnavailable extends Error {
  override readonly name = 'KeysUnavailable'
  readonly advice: string

  constructor(advice: string, cause: unknown) {
    super('No access keys', { cause })
    this.advice = advice
  }
}

/** `error` as the failure of one request that `signal` belongs to. */
export function s3Failure(error: unknown, signal?: AbortSignal): ObjectFailure {
  if (signal?.aborted === true) return abortedBy(signal)
  if (error instanceof ObjectFailure) return error
  if (error instanceof KeysUnavailable) return failureOf(keysVerdict(error), error)
  const raw = (error ?? {}) as RawError
  const status = raw.$metadata?.httpStatusCode
  // A success whose body broke off, or was no document of S3, has a status too.
  if (status === undefined || status < 300)
    return failureOf(networkVerdict(error) ?? { reason: 'interrupted' }, error)
  const headers = raw.$response?.headers ?? {}
  const answer: ErrorAnswer = {
    status,
    code: typeof raw.Code === 'string' && raw.Code !== '' ? raw.Code : undefined,
    region: regionOf(raw, headers),
    hasRequestId: headers['x-amz-request-id'] !== undefined,
  }
  const verdict = answerVerdict(answer, raw.message ?? '')
  return new S3Refusal(
    verdict,
    failureDetails(verdict, error, parseRetryAfter(headers['retry-after'])),
    answer,
  )
}

function keysVerdict({ advice, cause }: KeysUnavailable): Verdict {
  const network = networkVerdict(cause)
  if (network === undefined) return { reason: 'credentials', advice }
  const { reason, advice: why } = network
  return reason === 'misconfigured' && why !== undefined
    ? { reason, advice: `What gives out its access keys (STS) cannot be used. ${why}` }
    : { reason, advice: 'What gives out its access keys (STS or the instance) did not answer.' }
}

/** What servers say of a key that no object can have there: it is too long, or has characters that they do not take. */
const IMPOSSIBLE_KEY: ReadonlySet<string | undefined> = new Set([
  'KeyTooLongError',
  'InvalidURI',
  'XMinioInvalidObjectName',
  'XMinioInvalidResourceName',
])

/** Whether the answer is that no object can have the key, or none a key with the prefix, that the request was about. */
export function isImpossibleKey(failure: ObjectFailure): boolean {
  return failure instanceof S3Refusal && IMPOSSIBLE_KEY.has(failure.answer.code)
}

/** The failure of a request for one object, `error`, as `s3Failure`: an object that cannot be is missing. */
export function s3ObjectFailure(error: unknown, signal: AbortSignal): ObjectFailure {
  const failure = s3Failure(error, signal)
  return isImpossibleKey(failure) ? new ObjectFailure('missing-object', { cause: failure.cause }) : failure
}

const WRITE_DENIED =
  'The access keys may not write there: they need s3:PutObject, s3:DeleteObject and s3:AbortMultipartUpload.'

/** The failure of a request that writes or removes an object, `error`, as `s3Failure`. */
export function s3WriteFailure(error: unknown, signal: AbortSignal): ObjectFailure {
  const failure = s3Failure(error, signal)
  if (!(failure instanceof S3Refusal)) return failure
  const { cause } = failure
  if (isImpossibleKey(failure)) return new ObjectFailure('impossible-name', { cause })
  return failure.advice === DENIED.advice
    ? failureOf({ reason: 'denied', advice: WRITE_DENIED }, cause)
    : failure
}

/** The failure of one key of many, of which a server tells code and message only. */
export function s3KeyFailure(code: string | undefined, message = ''): ObjectFailure {
  if (IMPOSSIBLE_KEY.has(code)) return new ObjectFailure('impossible-name')
  const answer = { status: 500, code, region: undefined, hasRequestId: true }
  const verdict = answerVerdict(answer, message)
  const advice = verdict.advice === DENIED.advice ? WRITE_DENIED : verdict.advice
  const error = new Error(`${code}: ${message}`)
  return failureOf({ reason: verdict.reason, ...(advice !== undefined && { advice }) }, error)
}

/** The bucket's region, from the header that AWS sends with redirects and refusals, from `<Region>`, or from the host that `<Endpoint>` names. */
function regionOf(raw: RawError, headers: Headers): string | undefined {
  const host = typeof raw.Endpoint === 'string' ? raw.Endpoint : ''
  const fromHost = /(?:^|\.)s3[.-]([a-z]{2}(?:-[a-z]+)+-\d)\.amazonaws\.com/.exec(host)?.[1]
  const candidates = [headers['x-amz-bucket-region'], raw.Region, fromHost]
  // It goes into a message, a host name and a signature.
  return candidates.find(
    (region): region is string => typeof region === 'string' && /^[a-z0-9-]{1,40}$/.test(region),
  )
}

function answerVerdict(answer: ErrorAnswer, message: string): Verdict {
  const { code, region, status } = answer
  if (code === undefined) return bareVerdict(answer)
  if (code === 'AuthorizationHeaderMalformed')
    return region === undefined ? CODES['InvalidAccessKeyId']! : elsewhere(region)
  if (ELSEWHERE.has(code)) return elsewhere(region)
  if (code === 'AccessDenied' && /\bkms:/i.test(message)) return KMS_DENIED
  if (code === 'InvalidRequest' && /server[- ]side encryption|SSE-C/i.test(message)) return SSE_C
  if (CODES[code] !== undefined) return CODES[code]
  return code.startsWith('KMS.') && status < 500 ? KMS_UNUSABLE : statusVerdict(status)
}

/** For an answer without a code. Not every server in front of S3 speaks S3. */
function bareVerdict({ status, region }: ErrorAnswer): Verdict {
  if (region !== undefined && (REDIRECTS.has(status) || status === 400)) return elsewhere(region)
  if (REDIRECTS.has(status))
    return {
      reason: 'misconfigured',
      advice: 'The server redirects to another address: correct the endpoint.',
    }
  if (status === 404) return NOT_S3
  return statusVerdict(status)
}

function statusVerdict(status: number): Verdict {
  return STATUSES[status] ?? { reason: status >= 500 ? 'interrupted' : 'misconfigured' }
}

function elsewhere(region: string | undefined): Verdict {
  return region === undefined
    ? { reason: 'region' }
    : { reason: 'region', advice: `The bucket is in ${region}.` }
}

const REDIRECTS: ReadonlySet<number> = new Set([301, 302, 303, 307, 308])

const ELSEWHERE: ReadonlySet<string> = new Set([
  'PermanentRedirect',
  'IllegalLocationConstraintException',
  'IncorrectEndpoint',
])

const NOT_S3: Verdict = {
  reason: 'misconfigured',
  advice: 'What answers at its endpoint does not speak S3: correct the endpoint.',
}
const KMS_DENIED: Verdict = {
  reason: 'denied',
  advice:
    'The object is encrypted with a KMS key: its access keys need kms:Decrypt on that, and kms:GenerateDataKey to write.',
}
const KMS_UNUSABLE: Verdict = {
  reason: 'misconfigured',
  advice: 'The KMS key of the object is disabled, being deleted or in another region.',
}
const SSE_C: Verdict = {
  reason: 'misconfigured',
  advice: 'Objects that are encrypted with keys of the customer (SSE-C) cannot be read.',
}
const DENIED: Verdict = {
  reason: 'denied',
  advice: 'S3 says the same of objects that do not exist, as long as the access keys lack s3:ListBucket.',
}
const EXPIRED: Verdict = { reason: 'credentials', advice: 'The access keys have expired.' }
const WRONG_TOKEN: Verdict = {
  reason: 'credentials',
  advice: 'The session token is not valid, or does not belong to the access key.',
}
const SKEWED: Verdict = { reason: 'clock' }
const THROTTLED: Verdict = { reason: 'throttled' }
const BROKEN: Verdict = { reason: 'interrupted' }
const FULL: Verdict = { reason: 'full' }

/**
 * https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html, and what MinIO and Ceph add.
 *
 * Of those that AWS answers 400 for, several pass by themselves: RequestTimeout is a stalled connection, a digest that does not match a damaged one.
 */
const CODES: Readonly<Record<string, Verdict>> = {
  NoSuchKey: { reason: 'missing-object' },
  NoSuchVersion: { reason: 'missing-object' },
  NoSuchBucket: { reason: 'missing' },
  PreconditionFailed: { reason: 'changed' },
  InvalidRange: { reason: 'range' },

  InvalidAccessKeyId: { reason: 'credentials', advice: 'The access key id is unknown there.' },
  SignatureDoesNotMatch: {
    reason: 'credentials',
    advice: 'The secret access key does not fit the access key id.',
  },
  ExpiredToken: EXPIRED,
  ExpiredTokenException: EXPIRED,
  TokenRefreshRequired: EXPIRED,
  InvalidToken: WRONG_TOKEN,
  InvalidTokenId: WRONG_TOKEN,
  InvalidSecurity: { reason: 'credentials' },
  CredentialsNotSupported: { reason: 'credentials' },
  MissingSecurityHeader: { reason: 'credentials' },
  AuthorizationQueryParametersError: { reason: 'credentials' },

  RequestTimeTooSkewed: SKEWED,
  RequestExpired: SKEWED,
  AccessDenied: DENIED,
  AllAccessDisabled: { reason: 'denied', advice: 'The bucket is disabled.' },
  AccountProblem: { reason: 'denied', advice: 'The account of the access keys is not in order.' },
  NotSignedUp: { reason: 'denied', advice: 'The account of the access keys has no S3.' },
  UnauthorizedAccess: { reason: 'denied' },

  SlowDown: THROTTLED,
  SlowDownRead: THROTTLED,
  SlowDownWrite: THROTTLED,
  ServiceUnavailable: THROTTLED,
  Throttling: THROTTLED,
  ThrottlingException: THROTTLED,
  'KMS.ThrottlingException': THROTTLED,
  RequestLimitExceeded: THROTTLED,
  BandwidthLimitExceeded: THROTTLED,
  TooManyRequests: THROTTLED,
  XMinioServerNotInitialized: { reason: 'unreachable' },
  RequestTimeout: { reason: 'timeout' },
  InternalError: BROKEN,
  IncompleteBody: BROKEN,
  BadDigest: BROKEN,
  XAmzContentSHA256Mismatch: BROKEN,
  OperationAborted: BROKEN,
  ConditionalRequestConflict: BROKEN,
  TemporaryRedirect: BROKEN,

  NoSuchUpload: { reason: 'missing-upload' },
  EntityTooLarge: { reason: 'too-large' },
  XMinioParentIsObject: { reason: 'not-directory' },
  XMinioObjectExistsAsDirectory: { reason: 'is-directory' },

  InvalidObjectState: {
    reason: 'misconfigured',
    advice: 'The object is archived (Glacier): it must be restored before it can be read.',
  },
  InvalidBucketName: { reason: 'misconfigured', advice: 'The name of the bucket is not allowed.' },
  MethodNotAllowed: { reason: 'misconfigured' },
  NotImplemented: { reason: 'misconfigured', advice: 'The server does not know what was asked of it.' },
  InvalidRequest: { reason: 'misconfigured' },
  XMinioStorageFull: FULL,
  QuotaExceeded: FULL,
}

/** For codes that nobody has told us of, and for answers without one. */
const STATUSES: Readonly<Record<number, Verdict>> = {
  401: { reason: 'credentials' },
  403: DENIED,
  404: NOT_S3,
  407: { reason: 'misconfigured', advice: 'The proxy wants a password.' },
  408: { reason: 'timeout' },
  409: BROKEN,
  412: { reason: 'changed' },
  416: { reason: 'range' },
  429: THROTTLED,
  501: { reason: 'misconfigured', advice: 'The server does not know what was asked of it.' },
  502: { reason: 'unreachable' },
  503: THROTTLED,
  504: { reason: 'timeout' },
  507: FULL,
}
