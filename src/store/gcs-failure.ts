// Why a request to Cloud Storage failed: the one place that knows its status codes, its reasons and the texts of its libraries.
import { ObjectFailure, type FailureReason } from './object-client.ts'
import { networkVerdict } from './object-network.ts'
import { failureOf, parseRetryAfter, type Verdict } from './object-verdict.ts'

/** What a request names: an object, one that is to be written, an upload of one, or only the bucket. */
export type GcsSubject = 'object' | 'new-object' | 'upload' | 'bucket'

/** What went wrong, by the stage at which it did. */
export type GcsFault =
  /** An answer that is no success. With what the request named, 404 tells a missing object from a missing bucket. */
  | {
      readonly stage: 'answer'
      readonly subject: GcsSubject
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
  /** Reasons of a JSON error, whole but in lower case: the documentation and the service do not agree on theirs. */
  readonly reasons?: readonly string[]
  /**
   * How a message begins. Content is refused in text without reasons, so texts are matched too, but only ever their beginnings: names that users chose come later, and those of accounts
   * that come first are cut off.
   */
  readonly begins?: RegExp
}

/** What an answer says: reasons and message of a JSON error; any other body is a message. */
interface Statement {
  readonly reasons: readonly string[]
  readonly message: string
}

type Answer = Extract<GcsFault, { stage: 'answer' }>

function answerFailure(answer: Answer): ObjectFailure {
  const statement = statementOf(answer.body)
  const text = [...statement.reasons, statement.message].join(' ')
  const error = new Error(`Cloud Storage answered ${answer.status}: ${text}`)
  return failureOf(verdictOf(answer, statement), error, parseRetryAfter(answer.retryAfter))
}

/** https://cloud.google.com/storage/docs/json_api/v1/status-codes */
function verdictOf({ status, subject }: Answer, statement: Statement): Verdict {
  switch (status) {
    case 404:
      return { reason: applies(NO_BUCKET, statement) ? 'missing' : MISSING[subject] }
    case 410:
      return { reason: subject === 'upload' ? 'missing-upload' : 'interrupted' }
    case 412:
      return { reason: 'changed' }
    case 413:
      return { reason: 'too-large' }
    case 416:
      return { reason: 'range' }
    case 401:
      return applies(ANONYMOUS, statement) ? ANONYMOUS : { reason: 'credentials' }
    case 400:
      if (subject === 'object' && applies(NO_NAME, statement)) return NO_NAME
      if (subject === 'new-object' && applies(NO_NAME, statement)) return { reason: 'impossible-name' }
      if (applies(DAMAGED, statement)) return DAMAGED
      return REFUSED.find(rule => applies(rule, statement)) ?? { reason: 'misconfigured' }
    case 403:
      return REFUSED.find(rule => applies(rule, statement)) ?? denied(statement)
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

function applies({ reasons = [], begins }: Rule, statement: Statement): boolean {
  return (
    statement.reasons.some(reason => reasons.includes(reason.toLowerCase())) ||
    begins?.test(statement.message) === true
  )
}

const NO_BUCKET: Rule = {
  begins: /^The specified bucket does not exist|^(<\?xml[^>]*>\s*)?<Error><Code>NoSuchBucket</i,
  reason: 'missing',
}

/** https://cloud.google.com/storage/docs/objects#naming: there can be no object of that name. */
const NO_NAME: Rule = {
  begins:
    /^(Disallowed unicode characters present in object name|The maximum object length is \d+ characters)/i,
  reason: 'missing-object',
}

/** The content is not what its checksum says: it was damaged on its way. */
const DAMAGED: Rule = {
  begins: /^Provided (CRC32C|MD5 hash) /i,
  reason: 'interrupted',
}

/** What 404 means. */
const MISSING: Readonly<Record<GcsSubject, FailureReason>> = {
  object: 'missing-object',
  'new-object': 'missing',
  upload: 'missing-upload',
  bucket: 'missing',
}

const ANONYMOUS: Rule = {
  reasons: ['required'],
  begins: /^(Anonymous caller does not have |Login required)/i,
  reason: 'credentials',
  advice: 'It was asked without keys, and the bucket is not public.',
}

/** 400 and 403 for reasons that other means than a role of the account mend. */
const REFUSED: readonly Rule[] = [
  {
    reasons: [
      'ratelimitexceeded',
      'userratelimitexceeded',
      'quotaexceeded',
      'dailylimitexceeded',
      'rate_limit_exceeded',
    ],
    begins: /^(User )?Rate limit exceeded/i,
    reason: 'throttled',
  },
  {
    reasons: ['userprojectmissing'],
    begins: /^(The )?Bucket is (a )?requester pays bucket but no user project/i,
    reason: 'misconfigured',
    advice: 'The bucket is one whose requester pays: configure the project that does.',
  },
  {
    reasons: ['userprojectaccessdenied', 'user_project_denied'],
    begins:
      /^(ACCOUNT does not have serviceusage\.services\.use access|Caller does not have required permission to use project)/i,
    reason: 'denied',
    advice: 'The account needs serviceusage.services.use on the project that pays.',
  },
  {
    reasons: ['accessnotconfigured', 'service_disabled'],
    begins: /^(Access Not Configured|(Google )?Cloud Storage( JSON)? API has not been used in project)/i,
    reason: 'misconfigured',
    advice: 'The Cloud Storage API is not enabled in the project of the keys.',
  },
  {
    reasons: ['accountdisabled', 'accountproblem', 'userprojectaccountproblem', 'billing_disabled'],
    begins: /^(The billing account for the owning project is|The project to be billed is associated with)/i,
    reason: 'misconfigured',
    advice: 'The project that pays has no active billing account.',
  },
  {
    reasons: ['insufficientpermissions', 'access_token_scope_insufficient'],
    begins: /^(Insufficient Permission|Request had insufficient authentication scopes)/i,
    reason: 'denied',
    advice: 'The access token lacks the scope: widen the access scopes of the machine or of the secret.',
  },
  {
    reasons: ['vpcservicecontrols', 'vpc_service_controls', 'security_policy_violated'],
    begins: /^Request is prohibited by organization.s policy/i,
    reason: 'denied',
    advice: 'A VPC service perimeter is in the way.',
  },
  {
    reasons: ['resourceisencryptedwithcustomerencryptionkey'],
    begins: /^The target object is encrypted by a customer-supplied encryption key/i,
    reason: 'misconfigured',
    advice: 'The object is encrypted with a key of the customer, which the service cannot have.',
  },
]

function denied({ message }: Statement): Verdict {
  const [, permission] =
    /^(?:ACCOUNT does not have |Permission ')(storage\.(?:objects|buckets)\.[a-z]+)\b/i.exec(message) ?? []
  if (permission === undefined) return { reason: 'denied' }
  return { reason: 'denied', advice: `The account lacks ${permission}.` }
}

function statementOf(body: string): Statement {
  try {
    const { error } = JSON.parse(body) as { error?: JsonError }
    if (typeof error !== 'object') return { reasons: [], message: withoutAccount(body) }
    const reasons = [...(error.errors ?? []), ...(error.details ?? [])].map(each => each.reason)
    return {
      reasons: reasons.filter(reason => typeof reason === 'string'),
      message: typeof error.message === 'string' ? withoutAccount(error.message) : '',
    }
  } catch {
    return { reasons: [], message: withoutAccount(body) }
  }
}

/** `message` with ACCOUNT for the address or principal that it may begin with, neither of which has a space. */
function withoutAccount(message: string): string {
  return message.trimStart().replace(/^(\S+|(The )?caller) does not have /i, 'ACCOUNT does not have ')
}

interface JsonError {
  readonly message?: unknown
  readonly errors?: readonly { readonly reason?: unknown }[]
  readonly details?: readonly { readonly reason?: unknown }[]
}

/** How token endpoints (RFC 6749 5.2) and google-auth-library say what ails the keys. */
const TOKEN: readonly (Verdict & { readonly when: RegExp })[] = [
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
  return TOKEN.find(rule => rule.when.test(text)) ?? { reason: 'credentials' }
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
