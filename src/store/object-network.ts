// Failures below HTTP as reasons: sockets, names, TLS, proxies, and bytes that are no HTTP. The only place that knows their codes.
import type { Verdict } from './object-verdict.ts'

const UNREACHABLE: Verdict = { reason: 'unreachable' }
const BROKEN: Verdict = { reason: 'interrupted' }
const TIMEOUT: Verdict = { reason: 'timeout' }
const UNTRUSTED: Verdict = {
  reason: 'misconfigured',
  advice: "The server's certificate is not trusted: give the one of its issuer as caFile.",
}
const NO_TLS: Verdict = {
  reason: 'misconfigured',
  advice: 'The server does not speak TLS there: correct http or https in the endpoint.',
}

/** Codes of Node.js, and of OpenSSL's X509_V_ERR_* as Node.js names them. */
const CODES: Readonly<Record<string, Verdict>> = {
  ECONNREFUSED: UNREACHABLE,
  ENOTFOUND: { reason: 'unreachable', advice: 'The name of its host is not known.' },
  EAI_AGAIN: { reason: 'unreachable', advice: 'The name of its host could not be looked up.' },
  EHOSTUNREACH: UNREACHABLE,
  EHOSTDOWN: UNREACHABLE,
  ENETUNREACH: UNREACHABLE,
  ENETDOWN: UNREACHABLE,
  EADDRNOTAVAIL: UNREACHABLE,
  EMFILE: UNREACHABLE,
  ERR_PROXY_TUNNEL: { reason: 'unreachable', advice: 'The proxy does not let the service through.' },

  ETIMEDOUT: TIMEOUT,
  ERR_SOCKET_CONNECTION_TIMEOUT: TIMEOUT,

  ECONNRESET: BROKEN,
  ECONNABORTED: BROKEN,
  EPIPE: BROKEN,
  ERR_STREAM_PREMATURE_CLOSE: BROKEN,

  INVALID_CA: UNTRUSTED,
  CERT_HAS_EXPIRED: { reason: 'misconfigured', advice: "The server's certificate has expired." },
  CERT_NOT_YET_VALID: {
    reason: 'misconfigured',
    advice: "The server's certificate is not valid yet: check the clock of the service.",
  },
  CERT_REVOKED: { reason: 'misconfigured', advice: "The server's certificate was revoked." },
  ERR_TLS_CERT_ALTNAME_INVALID: {
    reason: 'misconfigured',
    advice: "The server's certificate is for another host name than the configured one.",
  },
  // Thrown before anything is sent (RFC 9110 5.5), so that trying again is of no use.
  ERR_INVALID_CHAR: {
    reason: 'misconfigured',
    advice: 'Its access keys or settings hold a character that cannot be sent in a header.',
  },
  EPROTO: NO_TLS,
  HPE_INVALID_CONSTANT: {
    reason: 'misconfigured',
    advice: 'The server does not speak HTTP there: correct http or https, and the port, in the endpoint.',
  },
}

/** Codes that come in families. */
const FAMILIES: readonly (readonly [pattern: RegExp, verdict: Verdict])[] = [
  [/^(UNABLE_TO_|SELF_SIGNED_CERT|DEPTH_ZERO_SELF_SIGNED|CERT_)/, UNTRUSTED],
  [/^ERR_SSL_/, NO_TLS],
  // An answer that ends or turns to nonsense within.
  [/^HPE_/, BROKEN],
]

const MAX_DEPTH = 5

/** Undefined for what does not come from the network. The SDKs wrap, so causes are looked at too. */
export function networkVerdict(error: unknown): Verdict | undefined {
  for (let at = error, depth = 0; isObject(at) && depth < MAX_DEPTH; depth++) {
    const { code, name, cause, errors } = at
    const known = typeof code === 'string' ? verdictOf(code) : undefined
    if (known !== undefined) return known
    // Deadlines of fetch and of the SDKs have no code of Node's.
    if (name === 'TimeoutError' || code === 'TimeoutError') return TIMEOUT
    // Where a name has several addresses, there is one error for each of them that was tried.
    at = cause ?? (Array.isArray(errors) ? (errors as unknown[])[0] : undefined)
  }
  return undefined
}

function verdictOf(code: string): Verdict | undefined {
  return CODES[code] ?? FAMILIES.find(([pattern]) => pattern.test(code))?.[1]
}

interface RawError {
  readonly code?: unknown
  readonly name?: unknown
  readonly cause?: unknown
  readonly errors?: unknown
}

function isObject(value: unknown): value is RawError {
  return typeof value === 'object' && value !== null
}
