// The mode `jwt`: callers who show a web token (RFC 7519) that an issuer has signed.
import { decodeJwt, errors, jwtVerify, type JWTPayload, type JWTVerifyGetKey } from 'jose'
import { LRUCache } from 'lru-cache'
import type { Logger } from 'pino'
import type { Config, JwtDefinition } from '../../config/config.ts'
import { AppError, isAppError } from '../../errors.ts'
import type { Caller } from '../gate.ts'
import type { Mode } from './authority.ts'
import { rightsOf } from './grants.ts'
import { grantedBy } from './jwt-grants.ts'
import { issuerKeys, type KeyTimes } from './jwt-keys.ts'
import { presentedToken } from './presented.ts'

type Rights = Omit<Caller, 'name'>

/** Claims are the same in all tokens of a caller, and in those of many callers. */
const KNOWN_CLAIMS = 1000
const MAX_NAME = 200

/** Knows the tokens of one issuer, as they are; those of others are none of its business. */
export function jwtMode(
  definition: JwtDefinition,
  layouts: Config['layouts'],
  logger: Logger,
  times?: KeyTimes,
): Mode {
  const keys = issuerKeys(definition, logger, times)
  const known = new LRUCache<string, Rights>({ max: KNOWN_CLAIMS })
  const rights = (claim: unknown): Rights => {
    const key = claim === undefined ? '' : JSON.stringify(claim)
    const found = known.get(key)
    if (found !== undefined) return found
    const { grants, seesMetrics, unread } = grantedBy(claim)
    if (unread.length > 0) logger.warn({ unread }, 'a web token grants what is not understood')
    const made = { seesMetrics, ...rightsOf(grants, layouts) }
    known.set(key, made)
    return made
  }
  return {
    recognise: async (_request, identity) => {
      const token = presentedToken(identity)
      if (token === undefined || !isOf(definition.issuer, token)) return undefined
      const payload = await verified(token, definition, keys)
      return { name: `jwt:${payload.sub!.slice(0, MAX_NAME)}`, ...rights(claimOf(payload, definition.claim)) }
    },
  }
}

/** Whether it says that it is of `issuer`, whom nobody believes yet. */
function isOf(issuer: string, token: string): boolean {
  if (!/^[\w-]+\.[\w-]+\.[\w-]+$/.test(token)) return false
  try {
    return decodeJwt(token).iss === issuer
  } catch {
    return false
  }
}

async function verified(
  token: string,
  { issuer, audience, algorithms, clockToleranceMs }: JwtDefinition,
  keys: JWTVerifyGetKey,
): Promise<JWTPayload> {
  try {
    const { payload } = await jwtVerify(token, keys, {
      issuer,
      audience,
      algorithms: [...algorithms],
      clockTolerance: clockToleranceMs / 1000,
      // One that never expires could never be taken back.
      requiredClaims: ['exp', 'sub'],
    })
    if (typeof payload.sub !== 'string' || payload.sub === '') throw refusal("its claim 'sub' names nobody")
    return payload
  } catch (error) {
    if (error instanceof errors.JWTExpired)
      throw new AppError('Unauthenticated', 'This web token has expired: ask for a new one.', { op: 'admit' })
    if (error instanceof errors.JWTClaimValidationFailed)
      throw refusal(`its claim '${error.claim}' is missing, or not as it has to be`, error)
    if (isAppError(error)) throw error
    throw refusal('its signature is not that of the issuer, or of a kind that is not taken', error)
  }
}

function refusal(why: string, cause?: unknown): AppError {
  return new AppError('Unauthenticated', `This web token is not valid here: ${why}.`, { op: 'admit', cause })
}

/** By the whole name, which may have dots in it, as those that are URLs have; else through maps. */
function claimOf(payload: JWTPayload, name: string): unknown {
  if (Object.hasOwn(payload, name)) return payload[name]
  return name
    .split('.')
    .reduce<unknown>(
      (value, part) =>
        typeof value === 'object' && value !== null && Object.hasOwn(value, part)
          ? (value as Record<string, unknown>)[part]
          : undefined,
      payload,
    )
}
