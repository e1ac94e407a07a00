// Why a request to Cloud Storage failed: the one place that knows its status codes, its reasons and the texts of its libraries.
import { ObjectFailure } from './object-client.ts'
import { networkVerdict } from './object-network.ts'
import { failureOf, parseRetryAfter, type Verdict } from './object-verdict.ts'

/** What went wrong, by the stage at which it did. */
export type GcsFault =
  /** An answer that is no success. `subject` is what the request named: with it, 404 tells a missing object from a missing bucket. */
  | {
      readonly stage: 'answer'
      readonly subject: 'object' | 'bucket'
      readonly status: number
      readonly retryAfter: string | undefined
      readonly body: string
    }
  /** No answer, or one that broke off: what node:http and node:tls report. */
  | { readonly stage: 'transport'; readonly error: unknown }
  /** No access token: what google-auth-library reports. */
  | { readonly stage: 'token'; readonly error: unknown }

/** The failure as a reason; one that is an ObjectFailure already stays what it is. */
export function gcsFailure(fault: GcsFault): ObjectFailure {
  if (fault.stage === 'answer') return answerFailure(fault)
  if (fault.error instanceof ObjectFailure) return fault.error
  return fault.stage === 'token'
    ? tokenFailure(fault.error)
    : failureOf(networkVerdict(fault.error) ?? { reason: 'interrupted' }, fault.error)
}

/** A success whose headers or content are not what the API promises. */
export function senselessAnswer(what: string): ObjectFailure {
  return new ObjectFailure('interrupted', { cause: new Error(`Cloud Storage answered ${what}`) })
}

interface Rule extends Verdict {
  /** Matches the reasons and the message of the answer, or its text. */
  readonly when: RegExp
}

type Answer = Extract<GcsFault, { stage: 'answer' }>

function answerFailure(answer: Answer): ObjectFailure {
  const text = describe(answer.body)
  const error = new Error(`Cloud Storage answered ${answer.status}: ${text}`)
  return failureOf(verdictOf(answer, text), error, parseRetryAfter(answer.retryAfter))
}

const NO_BUCKET = /bucket does not exist|NoSuchBucket/i

/** https://cloud.google.com/storage/docs/json_api/v1/status-codes */
function verdictOf({ status, subject }: Answer, text: string): Verdict {
  switch (status) {
    case 404:
      return { reason: subject === 'bucket' || NO_BUCKET.test(text) ? 'missing' : 'missing-object' }
    case 412:
      return { reason: 'changed' }
    case 416:
      return { reason: 'range' }
    case 401:
      return firstOf(UNAUTHENTICATED, text) ?? { reason: 'credentials' }
    case 400:
    case 403:
      return firstOf(REFUSED, text) ?? (status === 403 ? denied(text) : { reason: 'misconfigured' })
    case 408:
    case 504:
      return { reason: 'timeout' }
    case 429:
      return { reason: 'throttled' }
    case 409:
      return { reason: 'interrupted' }
  }
  if (status >= 500) return { reason: 'unreachable' }
  // We ask for nothing that may be answered so: 304 and redirects come from something in between.
  if (status < 400) return { reason: 'interrupted' }
  return { reason: 'misconfigured' }
}

const UNAUTHENTICATED: readonly Rule[] = [
  {
    when: /anonymous caller|login required/i,
    reason: 'credentials',
    advice: 'It was asked without keys, and the bucket is not public.',
  },
]

/** 400 and 403 for reasons that other means than a role of the account mend. Answers with content give them as text only, so texts are matched too. */
const REFUSED: readonly Rule[] = [
  {
    when: /rateLimitExceeded|userRateLimitExceeded|quotaExceeded|dailyLimitExceeded|RATE_LIMIT_EXCEEDED|rate limit exceeded/i,
    reason: 'throttled',
  },
  {
    when: /requester pays bucket but no user project|UserProjectMissing/i,
    reason: 'misconfigured',
    advice: 'The bucket is one whose requester pays: configure the project that does.',
  },
  {
    when: /serviceusage\.services\.use|UserProjectAccessDenied|USER_PROJECT_DENIED/i,
    reason: 'denied',
    advice: 'The account needs serviceusage.services.use on the project that pays.',
  },
  {
    when: /accessNotConfigured|SERVICE_DISABLED|has not been used in project/i,
    reason: 'misconfigured',
    advice: 'The Cloud Storage API is not enabled in the project of the keys.',
  },
  {
    when: /billing|accountDisabled|UserProjectAccountProblem|AccountProblem/i,
    reason: 'misconfigured',
    advice: 'The project that pays has no active billing account.',
  },
  {
    when: /insufficientPermissions|insufficient authentication scopes|ACCESS_TOKEN_SCOPE_INSUFFICIENT/i,
    reason: 'denied',
    advice: 'The access token lacks the scope: widen the access scopes of the machine or of the secret.',
  },
  {
    when: /vpcServiceControls|VPC_SERVICE_CONTROLS|SECURITY_POLICY_VIOLATED/i,
    reason: 'denied',
    advice: 'A VPC service perimeter is in the way.',
  },
  {
    when: /customerEncryptionKey|ResourceIsEncryptedWithCustomerEncryptionKey|encrypted with a customer/i,
    reason: 'misconfigured',
    advice: 'The object is encrypted with a key of the customer, which the service cannot have.',
  },
]

function denied(text: string): Verdict {
  const permission = /\bstorage\.(?:objects|buckets)\.[a-z]+/i.exec(text)?.[0]
  if (permission === undefined) return { reason: 'denied' }
  return { reason: 'denied', advice: `The account lacks ${permission}.` }
}

function firstOf(rules: readonly Rule[], text: string): Verdict | undefined {
  return rules.find(rule => rule.when.test(text))
}

/** The reasons and the message of a JSON error; any other body as it is. */
function describe(body: string): string {
  try {
    const { error } = JSON.parse(body) as { error?: JsonError }
    if (typeof error !== 'object') return body
    const reasons = [...(error.errors ?? []), ...(error.details ?? [])].map(each => each.reason)
    return [...reasons, error.message].filter(part => typeof part === 'string').join(' ')
  } catch {
    return body
  }
}

interface JsonError {
  readonly message?: unknown
  readonly errors?: readonly { readonly reason?: unknown }[]
  readonly details?: readonly { readonly reason?: unknown }[]
}

/** How token endpoints (RFC 6749 5.2) and google-auth-library say what ails the keys. */
const TOKEN: readonly Rule[] = [
  {
    when: /reasonable timeframe|short-lived token|issued in the future|used too early/i,
    reason: 'clock',
  },
  {
    when: /invalid jwt signature/i,
    reason: 'credentials',
    advice: 'The key was deleted or replaced.',
  },
  {
    when: /account not found|account_not_found|account has been deleted|deleted_client|disabled_client|account.{0,20}disabled/i,
    reason: 'credentials',
    advice: 'The account of the key was deleted or disabled.',
  },
  {
    when: /expired or revoked|invalid_rapt|reauth/i,
    reason: 'credentials',
    advice: 'The login that the secret holds has expired or was revoked.',
  },
  { when: /invalid_scope/i, reason: 'misconfigured', advice: 'The scopes of the secret are not valid.' },
  {
    when: /could not load the default credentials/i,
    reason: 'credentials',
    advice:
      'It has no secret, and the surroundings of the service (workload identity, instance) offer no account.',
  },
  {
    when: /could not refresh access token|A Forbidden error was returned|metadata/i,
    reason: 'credentials',
    advice: 'The metadata server offers no access token: is an account bound to this workload?',
  },
  { when: /invalid_grant|invalid_client|unauthorized_client|invalid_target/i, reason: 'credentials' },
]

function tokenFailure(error: unknown): ObjectFailure {
  return failureOf(tokenVerdict(error), error)
}

function tokenVerdict(error: unknown): Verdict {
  const { status, text } = describeTokenError(error)
  // An endpoint that is down, unlike one that refuses, says nothing about the keys.
  if (status === 429) return { reason: 'throttled' }
  if (status !== undefined) return status >= 500 ? { reason: 'unreachable' } : keysVerdict(text)
  const network = networkVerdict(error)
  if (network === undefined) return keysVerdict(text)
  const advice = 'The endpoint that issues its access tokens could not be used.'
  return { reason: network.reason === 'interrupted' ? 'unreachable' : network.reason, advice }
}

function keysVerdict(text: string): Verdict {
  return firstOf(TOKEN, text) ?? { reason: 'credentials' }
}

function describeTokenError(error: unknown): { status: number | undefined; text: string } {
  const { message, response } = (error ?? {}) as {
    message?: string
    response?: { status?: number; data?: unknown }
  }
  const data = response?.data
  const body = typeof data === 'string' ? data : data === undefined ? '' : JSON.stringify(data)
  return { status: response?.status, text: `${message ?? ''} ${body}` }
}
