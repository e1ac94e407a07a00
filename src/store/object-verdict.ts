// From what a driver knows of a failure to the failure itself, with nothing secret left in it.
import { ObjectFailure, type FailureReason } from './object-client.ts'

export interface Verdict {
  readonly reason: FailureReason
  /** As ObjectFailure's. */
  readonly advice?: string
}

export interface FailureDetails {
  readonly cause: Error
  readonly advice?: string
  readonly retryAfterMs?: number
}

/** The failure that `error` is. All errors that come from below a driver go through here: see `withoutSecrets`. */
export function failureOf(verdict: Verdict, error: unknown, retryAfterMs?: number): ObjectFailure {
  return new ObjectFailure(verdict.reason, failureDetails(verdict, error, retryAfterMs))
}

/** The same for failures of a class of their own. */
export function failureDetails({ advice }: Verdict, error: unknown, retryAfterMs?: number): FailureDetails {
  return {
    cause: withoutSecrets(error),
    ...(advice !== undefined && { advice }),
    ...(retryAfterMs !== undefined && { retryAfterMs }),
  }
}

/** Milliseconds of Retry-After (RFC 9110 10.2.3), which is in seconds or a date; 0 for a date that has passed. */
export function parseRetryAfter(value: string | undefined): number | undefined {
  if (value === undefined) return undefined
  const ms = /^\d+$/.test(value) ? Number(value) * 1000 : Date.parse(value) - Date.now()
  return Number.isFinite(ms) ? Math.max(0, ms) : undefined
}

const MAX_CAUSES = 5
const MAX_TEXT = 500
/** Messages may hold whole answers, of which no more is searched. */
const MAX_SEARCHED = 8 * MAX_TEXT

/**
 * What may be kept of an error for the log: name, code, message, stack, and the same of its causes.
 *
 * Never the error itself: the SDKs' hold the request and its answer, with keys, tokens and signatures in headers, URLs and bodies. What servers and SDKs write may repeat
 * those, so everything in the text that looks like one is masked too.
 */
export function withoutSecrets(error: unknown, causes = MAX_CAUSES): Error {
  if (!(error instanceof Error)) return new Error(masked(String(error)))
  const { code, cause } = error as NodeJS.ErrnoException
  const message = masked(error.message)
  const kept = new Error(message, {
    ...(cause !== undefined && causes > 0 && { cause: withoutSecrets(cause, causes - 1) }),
  })
  kept.name = error.name
  // The head of the stack repeats the message as it was.
  const frames = error.stack?.match(/^ {4}at .*:\d+:\d+\)?$/gm) ?? []
  kept.stack = [`${error.name}: ${message}`, ...frames].join('\n')
  return typeof code === 'string' ? Object.assign(kept, { code: masked(code) }) : kept
}

const SECRETS: readonly (readonly [pattern: RegExp, mask: string])[] = [
  [/-----BEGIN [^-]*PRIVATE KEY-----[^-]*(-----END [^-]*-----)?/g, '***'],
  // Signed URLs, and the user of a proxy.
  [/(\bhttps?:\/\/[^\s'"<>?#]*)\?[^\s'"<>]*/gi, '$1?***'],
  [/(\bhttps?:\/\/)[^\s'"/?#@]*@/gi, '$1***@'],
  [/\b(Bearer|Basic|SharedKey(?:Lite)?) [^\s"'<>,]+/gi, '$1 ***'],
  // A header as it was sent; `sig=`, `X-Amz-Signature=`, `"access_token": "` …
  [/\b(authorization|[\w-]+-(?:token|signature|secret|key))(["']?\s*:\s*["']?)[^\r\n"'<>]+/gi, '$1$2***'],
  [
    /((?:sig|signature|token|secret|password|assertion|credential|key)(?:=|["']\s*[:=]\s*["']?))[^\s"'&,;<>]+/gi,
    '$1***',
  ],
  [/\beyJ[\w-]+\.[\w.-]+/g, '***'],
  // Base64 and hexadecimal: hashes have 40 characters and more, S3's secret keys 40; the ids of requests, by which support finds them, 36.
  [/[\w+/=-]{40,}/g, '***'],
]

function masked(text: string): string {
  const searched = text.slice(0, MAX_SEARCHED)
  return SECRETS.reduce((rest, [pattern, mask]) => rest.replace(pattern, mask), searched).slice(0, MAX_TEXT)
}
