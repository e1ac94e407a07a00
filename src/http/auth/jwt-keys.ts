// The public keys of an issuer of web tokens, as they are at the moment.
import { createRemoteJWKSet, customFetch, errors, type JWTVerifyGetKey } from 'jose'
import type { Logger } from 'pino'
import type { JwtDefinition } from '../../config/config.ts'
import { AppError } from '../../errors.ts'

/** Milliseconds. */
export interface KeyTimes {
  /** How long keys are used before new ones are asked for in the background: how long one that was taken back may still be good. */
  readonly fresh: number
  /** How long they are used while the issuer does not answer. */
  readonly kept: number
  /** Between two questions for a key that is not known, for anybody can make up its name. */
  readonly between: number
  /** After a failure, until the issuer is asked again. */
  readonly afterFailure: number
  /** For all that one question takes. */
  readonly patience: number
}

const TIMES: KeyTimes = {
  fresh: 300_000,
  kept: 3_600_000,
  between: 10_000,
  afterFailure: 3_000,
  patience: 5_000,
}

const MAX_BYTES = 1024 ** 2

/**
 * Finds the key of a token. Rejects with Unavailable where the issuer does not say what its keys are, and with errors of jose for a token that none of them is for.
 *
 * Whoever sends tokens decides nothing about where keys come from: what headers such as `jku` and `jwk` say is not looked at.
 */
export function issuerKeys(
  definition: Pick<JwtDefinition, 'issuer' | 'jwksUrl'>,
  logger: Logger,
  times: KeyTimes = TIMES,
): JWTVerifyGetKey {
  const source = new KeySource(definition, logger, times.afterFailure)
  const remote = createRemoteJWKSet(new URL(definition.jwksUrl ?? definition.issuer), {
    [customFetch]: (_url, { signal }) => source.fetch(signal),
    timeoutDuration: times.patience,
    cooldownDuration: times.between,
    cacheMaxAge: times.kept,
  })
  return async (header, token) => {
    const isOld = Date.now() - source.succeededMs > times.fresh
    if (isOld && remote.fresh && !remote.reloading) remote.reload().catch(() => undefined)
    try {
      return await remote(header, token)
    } catch (error) {
      if (TOKEN_ERRORS.some(kind => error instanceof kind)) throw error
      throw new AppError(
        'Unavailable',
        'Web tokens cannot be checked, because their issuer does not say what its keys are: try again later.',
        {
          op: 'admit',
          cause: error,
        },
      )
    }
  }
}

/** What is wrong with a token when the keys are there. */
const TOKEN_ERRORS = [errors.JWKSNoMatchingKey, errors.JWKSMultipleMatchingKeys, errors.JOSENotSupported]

/** Asks the issuer, not too often when it fails; its coming and going is logged once each. */
class KeySource {
  succeededMs = -Infinity
  readonly #definition: Pick<JwtDefinition, 'issuer' | 'jwksUrl'>
  readonly #logger: Logger
  readonly #pauseMs: number
  #failure: { readonly error: unknown; readonly atMs: number } | undefined

  constructor(definition: Pick<JwtDefinition, 'issuer' | 'jwksUrl'>, logger: Logger, pauseMs: number) {
    this.#definition = definition
    this.#logger = logger
    this.#pauseMs = pauseMs
  }

  async fetch(signal: AbortSignal): Promise<Response> {
    const { issuer } = this.#definition
    if (this.#failure !== undefined && Date.now() - this.#failure.atMs < this.#pauseMs)
      throw this.#failure.error
    try {
      const keys = await this.#keys(signal)
      if (this.#failure !== undefined) this.#logger.info({ issuer }, 'the issuer of web tokens answers again')
      this.#failure = undefined
      this.succeededMs = Date.now()
      return Response.json(keys)
    } catch (error) {
      if (this.#failure === undefined)
        this.#logger.error({ issuer, err: error }, 'the keys of the issuer of web tokens cannot be had')
      this.#failure = { error, atMs: Date.now() }
      throw error
    }
  }

  async #keys(signal: AbortSignal): Promise<unknown> {
    const url = this.#definition.jwksUrl ?? (await this.#discovered(signal))
    const found = await getJson(url, signal)
    const keys = memberOf(found, 'keys')
    if (!Array.isArray(keys) || !keys.every(key => typeof key === 'object' && key !== null))
      throw new Error(`${url} is no set of keys (RFC 7517 5)`)
    return found
  }

  /** OpenID Connect Discovery 1.0, 4: what another issuer says of itself is not for this one. */
  async #discovered(signal: AbortSignal): Promise<string> {
    const { issuer } = this.#definition
    const url = `${issuer.replace(/\/$/, '')}/.well-known/openid-configuration`
    const found = await getJson(url, signal)
    if (memberOf(found, 'issuer') !== issuer) throw new Error(`${url} is about another issuer`)
    const place = memberOf(found, 'jwks_uri')
    const protocols = issuer.startsWith('https:') ? ['https:'] : ['https:', 'http:']
    if (typeof place !== 'string' || !protocols.includes(URL.parse(place)?.protocol ?? ''))
      throw new Error(`${url} has no jwks_uri that may be asked`)
    return place
  }
}

function memberOf(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>)[name] : undefined
}

/** By the proxies of the process, and nowhere else than to `url`. */
async function getJson(url: string, signal: AbortSignal): Promise<unknown> {
  const answer = await fetch(url, { signal, redirect: 'error', headers: { accept: 'application/json' } })
  const chunks: Uint8Array[] = []
  let size = 0
  for await (const chunk of (answer.body ?? []) as AsyncIterable<Uint8Array>) {
    size += chunk.length
    if (size > MAX_BYTES) throw new Error(`${url} is larger than ${MAX_BYTES} bytes`)
    chunks.push(chunk)
  }
  if (answer.status !== 200) throw new Error(`${url} was answered ${answer.status}`)
  return JSON.parse(Buffer.concat(chunks).toString()) as unknown
}
