// The one place that reads errors of the Azure SDKs: what the Blob service or Microsoft Entra said, as a reason and advice.
import { ObjectFailure } from './object-client.ts'
import { networkVerdict } from './object-network.ts'
import { failureOf, parseRetryAfter, type Verdict } from './object-verdict.ts'

/** What an answer of the Blob service says about itself. Answers to HEAD have no body, so the code comes from the head. */
interface Refusal {
  readonly status: number
  /** `x-ms-error-code`; every error of the Blob service has one. */
  readonly code: string | undefined
  /** AuthenticationErrorDetail of the body. It may hold names that users chose, within the string that was signed: only its beginning tells anything. */
  readonly detail: string
  /** Whether the body says that it is the version that is wrong. */
  readonly isOfVersion: boolean
  readonly header: (name: string) => string | undefined
}

/** What the request named: a blob, one that is to be written, or only the container. */
export type Subject = 'object' | 'new-object' | 'container'

/** The failure that `error` of an SDK or a socket stands for; an ObjectFailure is itself. Of an `object`, a name that none can have is that of a missing one. */
export function azureFailure(error: unknown, subject: Subject = 'container'): ObjectFailure {
  if (error instanceof ObjectFailure) return error
  const refusal = refusalOf(error)
  return refusal === undefined
    ? failureOf(verdictOnError(error), error)
    : failureOf(verdictOnRefusal(refusal, subject), error, retryAfter(refusal))
}

/** The members of RestError (@azure/core-rest-pipeline) and of the errors of @azure/identity that are looked at. */
interface SdkError extends Error {
  readonly code?: unknown
  readonly statusCode?: unknown
  readonly response?: {
    readonly headers?: { get(name: string): string | undefined }
    readonly bodyAsText?: string | null
  }
  readonly errors?: unknown
  readonly errorResponse?: { readonly error?: unknown; readonly errorCodes?: unknown }
}

function refusalOf(error: unknown): Refusal | undefined {
  if (!(error instanceof Error)) return undefined
  const { statusCode, response } = error as SdkError
  // An answer that is no refusal but could not be read is an error, too.
  if (typeof statusCode !== 'number' || statusCode < 300 || response === undefined) return undefined
  const header = (name: string) => response.headers?.get(name)
  const body = response.bodyAsText ?? ''
  return {
    status: statusCode,
    code: header('x-ms-error-code') ?? /<Error>\s*<Code>(\w+)<\/Code>/.exec(body)?.[1],
    detail: /<AuthenticationErrorDetail>\s*([^<]*)/i.exec(body)?.[1] ?? '',
    // The service names the header; Azurite only writes a message.
    isOfVersion: /<HeaderName>x-ms-version<|<Message>The API version /i.test(body),
    header,
  }
}

/** Codes that say more than their status. https://learn.microsoft.com/rest/api/storageservices/blob-service-error-codes and …/common-rest-api-error-codes */
const CODES: Readonly<Record<string, Verdict>> = {
  BlobNotFound: { reason: 'missing-object' },
  PathNotFound: { reason: 'missing-object' },
  ResourceNotFound: { reason: 'missing-object' },
  // Hierarchical namespaces: a file where the path has a directory.
  ResourceTypeMismatch: { reason: 'missing-object' },
  ContainerNotFound: { reason: 'missing' },
  FilesystemNotFound: { reason: 'missing' },
  ContainerBeingDeleted: { reason: 'missing', advice: 'The container is being deleted.' },
  ContainerDisabled: { reason: 'missing', advice: 'The container is disabled.' },
  InvalidRange: { reason: 'range' },
  ConditionNotMet: { reason: 'changed' },
  SourceConditionNotMet: { reason: 'changed' },
  TargetConditionNotMet: { reason: 'changed' },
  BlobAlreadyExists: { reason: 'changed' },
  // Whoever writes the blob meanwhile removes the blocks that were staged for it.
  InvalidBlockList: {
    reason: 'missing-upload',
    advice: 'Somebody else has written the same artifact during the upload, which must be sent again.',
  },
  RequestBodyTooLarge: { reason: 'too-large' },
  BlockCountExceedsLimit: { reason: 'too-large' },
  Md5Mismatch: { reason: 'interrupted' },

  NoAuthenticationInformation: {
    reason: 'credentials',
    advice: 'Access without keys is not allowed: give the connection a secret or an identity.',
  },
  PublicAccessNotPermitted: {
    reason: 'credentials',
    advice: 'Access without keys is not allowed: give the connection a secret or an identity.',
  },
  InvalidAuthenticationInfo: { reason: 'credentials', advice: 'The token is not accepted by this account.' },
  KeyBasedAuthenticationNotPermitted: {
    reason: 'denied',
    advice: 'The storage account does not accept account keys: use an identity, or allow shared key access.',
  },
  AuthorizationFailure: {
    reason: 'denied',
    advice: "The storage account's network rules, or the rights of the SAS token, do not allow it.",
  },
  AuthorizationPermissionMismatch: {
    reason: 'denied',
    advice:
      "The identity needs a role such as 'Storage Blob Data Reader', to write 'Storage Blob Data Contributor', or the SAS token more permissions.",
  },
  AuthorizationProtocolMismatch: { reason: 'denied', advice: 'The SAS token is for https only.' },
  AuthorizationSourceIPMismatch: { reason: 'denied', advice: 'The SAS token is for other IP addresses.' },
  AuthorizationServiceMismatch: { reason: 'denied', advice: 'The SAS token is not for the Blob service.' },
  AuthorizationResourceTypeMismatch: {
    reason: 'denied',
    advice: 'The SAS token must be for containers and objects.',
  },
  AccountIsDisabled: { reason: 'misconfigured', advice: 'The storage account is disabled.' },
  AccountRequiresHttps: { reason: 'misconfigured', advice: 'The storage account wants https.' },
  BlobArchived: {
    reason: 'misconfigured',
    advice: 'The blob is in the archive tier: rehydrate it to read it.',
  },
  BlobBeingRehydrated: {
    reason: 'misconfigured',
    advice: 'The blob is being brought back from the archive tier, which takes hours.',
  },
  BlobUsesCustomerSpecifiedEncryption: {
    reason: 'misconfigured',
    advice: 'The blob is encrypted with a key that the service does not have.',
  },
  BlobImmutableDueToPolicy: { reason: 'denied', advice: 'A retention policy keeps the blob as it is.' },
  LeaseIdMissing: { reason: 'denied', advice: 'The blob is leased to somebody else.' },

  ServerBusy: { reason: 'throttled' },
  OperationTimedOut: { reason: 'timeout' },
}

function verdictOnRefusal(refusal: Refusal, subject: Subject): Verdict {
  if (subject !== 'container' && isOfName(refusal))
    return { reason: subject === 'object' ? 'missing-object' : 'impossible-name' }
  if (refusal.code === 'AuthenticationFailed') return verdictOnAuthentication(refusal)
  if (refusal.code === 'InvalidHeaderValue' && refusal.isOfVersion) return UNKNOWN_VERSION
  const known = refusal.code === undefined ? undefined : CODES[refusal.code]
  return known ?? verdictOnStatus(refusal)
}

const NAME_CODES: ReadonlySet<string> = new Set(['InvalidResourceName', 'InvalidUri', 'OutOfRangeInput'])

/** Some characters already the web server before the Blob service refuses, in HTML (https://github.com/Azure/azure-storage-node/issues/385). */
function isOfName({ status, code, header }: Refusal): boolean {
  if (status !== 400) return false
  return code === undefined
    ? header('server')?.startsWith('Microsoft-HTTPAPI/') === true
    : NAME_CODES.has(code)
}

const UNKNOWN_VERSION: Verdict = {
  reason: 'misconfigured',
  advice:
    'The server does not know the version of the Blob service that is asked for: update it (Azurite: --skipApiVersionCheck).',
}

function verdictOnStatus({ status, code }: Refusal): Verdict {
  if (status === 429 || status === 503) return { reason: 'throttled' }
  if (status === 408 || status === 504) return { reason: 'timeout' }
  if (status >= 500) return { reason: 'unreachable' }
  if (status === 412) return { reason: 'changed' }
  if (status === 416) return { reason: 'range' }
  if (status === 401) return { reason: 'credentials' }
  if (status === 403) return { reason: 'denied' }
  if (code === undefined)
    return {
      reason: 'misconfigured',
      advice: 'What answers at the endpoint is not the Blob service: correct the endpoint.',
    }
  return { reason: 'misconfigured' }
}

const TIME_FRAME =
  /^Signature not valid in [^[\]]*\[[^\]]*\][^[\]]*Expiry \[([^\]]+)\] - Current \[([^\]]+)\]/i

/** What the service allows between the date of a request and its own clock. */
const MAX_SKEW_MS = 15 * 60_000

/**
 * AuthenticationFailed stands for a wrong key, a wrong or expired SAS token, and a wrong clock. The detail tells which; where it is missing, as in answers to HEAD, the
 * clocks do: the service's is in the Date of every answer.
 */
function verdictOnAuthentication({ detail, header }: Refusal): Verdict {
  const frame = TIME_FRAME.exec(detail)
  if (frame !== null)
    return Date.parse(frame[1]!) <= Date.parse(frame[2]!)
      ? { reason: 'credentials', advice: 'The SAS token has expired.' }
      : { reason: 'credentials', advice: 'The SAS token is not valid yet.' }
  const theirs = Date.parse(header('date') ?? '')
  if (/^(The |Request )?date header/i.test(detail) || Math.abs(theirs - Date.now()) > MAX_SKEW_MS)
    return { reason: 'clock' }
  if (/^(\w+ validation failed|Issuer|Audience|Lifetime|Tenant)\b/i.test(detail))
    return { reason: 'credentials', advice: 'The token is not accepted by this account.' }
  return { reason: 'credentials', advice: 'The account key or SAS token is wrong, or has been replaced.' }
}

function retryAfter({ header }: Refusal): number | undefined {
  const precise = header('x-ms-retry-after-ms') ?? header('retry-after-ms')
  if (precise !== undefined && /^\d+$/.test(precise)) return Number(precise)
  return parseRetryAfter(header('retry-after'))
}

/** An identity that cannot be used often has an error of the network below, which says no more: there is no metadata service on a machine of one's own. */
function verdictOnError(error: unknown): Verdict {
  const identity = error instanceof Error ? verdictOnIdentity(error) : undefined
  return identity ?? networkVerdict(error) ?? { reason: 'interrupted' }
}

const NO_IDENTITY =
  'The connection has no secret, and its surroundings have no identity (workload identity, managed identity).'
const REFUSED_IDENTITY = 'Microsoft Entra refuses the identity: check tenant, client id and client secret.'

/** Errors of @azure/identity, by their names, so that it need not be loaded to know them. AADSTS7000222: an expired client secret. */
function verdictOnIdentity(error: SdkError): Verdict | undefined {
  switch (error.name) {
    case 'CredentialUnavailableError':
      return { reason: 'credentials', advice: NO_IDENTITY }
    case 'AggregateAuthenticationError': {
      const refused = (Array.isArray(error.errors) ? error.errors : []).find(
        (each): each is SdkError => each instanceof Error && each.name === 'AuthenticationError',
      )
      return refused === undefined
        ? { reason: 'credentials', advice: NO_IDENTITY }
        : verdictOnIdentity(refused)
    }
    case 'AuthenticationError': {
      if (typeof error.statusCode === 'number' && error.statusCode >= 500) return { reason: 'unreachable' }
      const codes: unknown = error.errorResponse?.errorCodes
      const expired = Array.isArray(codes) && codes.includes(7000222)
      return { reason: 'credentials', advice: expired ? 'The client secret has expired.' : REFUSED_IDENTITY }
    }
    case 'AuthenticationRequiredError':
      return { reason: 'credentials', advice: REFUSED_IDENTITY }
    default:
      return undefined
  }
}
