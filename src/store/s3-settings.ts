// How a bucket is reached: what the definition says, completed by its secret and by variables that count as one. Pure: nothing is read and nobody is asked.
import type { S3Definition } from './definition.ts'
import { ObjectFailure } from './object-client.ts'
import { checkedKey, refuseWithoutKeys } from './secret-keys.ts'
import { secretValue, type SecretValues } from './secret.ts'

export interface S3Keys {
  readonly accessKeyId: string
  readonly secretAccessKey: string
  readonly sessionToken?: string
}

export interface S3Settings {
  /** Undefined for AWS itself. */
  readonly endpoint: string | undefined
  /** Where signed URLs lead. */
  readonly publicEndpoint: string | undefined
  /** Undefined where nobody configured one for this bucket. */
  readonly region: string | undefined
  readonly pathStyle: boolean
  readonly publicPathStyle: boolean
  readonly verifyTls: boolean
  /** Whether the server knows only the first version of ListObjects. */
  readonly legacyList: boolean
  /** Undefined: whatever the SDK finds in its surroundings. */
  readonly keys: S3Keys | undefined
  /** A role to assume with the keys. */
  readonly role: S3Role | undefined
}

export interface S3Role {
  readonly arn: string
  readonly sessionName: string
  readonly durationSeconds: number | undefined
}

/** A name of polystores, with and without `aws_`; the look-up itself is without regard to case. */
function named(values: SecretValues, ...names: readonly string[]): string | undefined {
  return secretValue(values, ...names.map(name => `AWS_${name}`), ...names)?.trim()
}

/** What gives access to S3, in the names by which it is known best. */
const ACCESS_NAMES = ['AWS_ACCESS_KEY_ID', 'AWS_SECRET_ACCESS_KEY', 'AWS_ROLE_ARN'] as const

/**
 * Throws ObjectFailure: `credentials` for keys that are half a pair or cannot be any, and where a secret that was named has neither keys nor a role; `misconfigured` for values
 * that cannot be understood.
 */
export function s3Settings(definition: S3Definition, values: SecretValues): S3Settings {
  const keys = keysOf(values)
  const role = roleOf(values)
  // A role alone is enough: whatever the surroundings give may be allowed to assume it.
  if (keys === undefined && role === undefined) refuseWithoutKeys(definition.secret, values, ACCESS_NAMES)
  // AWS itself is spoken to by https whatever the secret says.
  const endpoint =
    definition.endpoint ?? endpointOf(named(values, 'ENDPOINT_URL'), flag(values, 'USE_SSL') ?? true)
  const publicEndpoint = definition.publicEndpoint ?? endpoint
  return {
    endpoint,
    publicEndpoint,
    region: regionOf(definition.region ?? named(values, 'REGION', 'DEFAULT_REGION')),
    pathStyle: definition.pathStyle ?? endpoint !== undefined,
    publicPathStyle: definition.pathStyle ?? publicEndpoint !== undefined,
    verifyTls: definition.verifyTls ?? flag(values, 'VERIFY_SSL') ?? true,
    legacyList: flag(values, 'LEGACY_API') ?? false,
    keys,
    role,
  }
}

function keysOf(values: SecretValues): S3Keys | undefined {
  const key = (name: string, ...names: readonly string[]): string | undefined => {
    const value = named(values, name, ...names)
    return value && checkedKey(`AWS_${name}`, value)
  }
  const accessKeyId = key('ACCESS_KEY_ID')
  const secretAccessKey = key('SECRET_ACCESS_KEY')
  const sessionToken = key('SESSION_TOKEN', 'SECURITY_TOKEN')
  if (accessKeyId !== undefined && secretAccessKey !== undefined)
    return { accessKeyId, secretAccessKey, ...(sessionToken !== undefined && { sessionToken }) }
  if (accessKeyId === undefined && secretAccessKey === undefined) return undefined
  const [found, missing] =
    accessKeyId === undefined
      ? ['AWS_SECRET_ACCESS_KEY', 'AWS_ACCESS_KEY_ID']
      : ['AWS_ACCESS_KEY_ID', 'AWS_SECRET_ACCESS_KEY']
  throw new ObjectFailure('credentials', { advice: `There is ${found} but no ${missing}.` })
}

function roleOf(values: SecretValues): S3Role | undefined {
  const arn = named(values, 'ROLE_ARN', 'ASSUME_ROLE')
  if (arn === undefined || isFlag(arn)) return undefined
  if (!arn.startsWith('arn:'))
    throw new ObjectFailure('misconfigured', { advice: 'AWS_ROLE_ARN is not the ARN of a role.' })
  const seconds = named(values, 'SESSION_DURATION')
  if (seconds !== undefined && !/^[1-9]\d{2,4}$/.test(seconds))
    throw new ObjectFailure('misconfigured', { advice: 'AWS_SESSION_DURATION is not a number of seconds.' })
  return {
    arn,
    sessionName: named(values, 'SESSION_NAME') ?? 'polyaxon-outputs',
    durationSeconds: seconds === undefined ? undefined : Number(seconds),
  }
}

/** A region is part of host names and signatures; the SDK would fail at each request, in an error like those of the network. */
function regionOf(text: string | undefined): string | undefined {
  if (text !== undefined && !/^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/i.test(text))
    throw new ObjectFailure('misconfigured', {
      advice: 'AWS_REGION, or the region of the connection, is not the name of a region.',
    })
  return text
}

function endpointOf(text: string | undefined, tls: boolean): string | undefined {
  if (text === undefined) return undefined
  // boto3, for which these secrets were made, takes the scheme from use_ssl where the endpoint has none.
  const absolute = /^[a-z][a-z0-9+.-]*:\/\//i.test(text) ? text : `${tls ? 'https' : 'http'}://${text}`
  const url = URL.canParse(absolute) ? new URL(absolute) : undefined
  if (url === undefined || !['http:', 'https:'].includes(url.protocol) || url.username !== '')
    throw new ObjectFailure('misconfigured', {
      advice: 'AWS_ENDPOINT_URL is not the URL of a server (https://host[:port]).',
    })
  return absolute
}

const TRUE = new Set(['true', '1', 'yes', 'on', 'y', 't'])
const FALSE = new Set(['false', '0', 'no', 'off', 'n', 'f'])

function isFlag(text: string): boolean {
  return TRUE.has(text.toLowerCase()) || FALSE.has(text.toLowerCase())
}

function flag(values: SecretValues, name: string): boolean | undefined {
  const text = named(values, name)
  if (text === undefined) return undefined
  if (!isFlag(text))
    throw new ObjectFailure('misconfigured', {
      advice: `AWS_${name} is neither true nor false.`,
    })
  return TRUE.has(text.toLowerCase())
}
