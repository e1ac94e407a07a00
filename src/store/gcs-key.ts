// The key in the values of a secret, in the forms that Polyaxon's operators keep it.
import { createPrivateKey } from 'node:crypto'
import type { GoogleAuth } from 'google-auth-library'
import { ObjectFailure } from './object-client.ts'
import { failureOf } from './object-verdict.ts'
import { readNamedFile } from './secret-file.ts'
import { checkedKey, refuseWithoutKeys } from './secret-keys.ts'
import { secretValue, type SecretReference, type SecretValues } from './secret.ts'

/** As JSON of one of the kinds that Google gives out: `service_account`, `authorized_user`, `external_account` … */
export type GcsKey = NonNullable<GoogleAuth['jsonContent']>

const DICT_NAMES = ['GC_KEYFILE_DICT', 'GOOGLE_KEYFILE_DICT'] as const
const PATH_NAMES = ['GC_KEY_PATH', 'GOOGLE_KEY_PATH', 'GOOGLE_APPLICATION_CREDENTIALS'] as const

/** The members of key files whose values are no strings. */
const STRUCTURED = new Set([
  'credential_source',
  'source_credentials',
  'service_account_impersonation',
  'delegates',
])

/** All members that a key file of any kind may have. */
const MEMBERS = [
  ...['type', 'project_id', 'quota_project_id', 'universe_domain'],
  ...['client_email', 'private_key', 'private_key_id'],
  ...['client_id', 'client_secret', 'refresh_token'],
  ...['audience', 'subject_token_type', 'token_url', 'token_info_url', 'workforce_pool_user_project'],
  ...['service_account_impersonation_url', ...STRUCTURED],
]

/** What gives access to Cloud Storage, in the names by which it is known best. */
const ACCESS_NAMES = ['GC_KEYFILE_DICT', 'GC_KEY_PATH', 'private_key with client_email'] as const

/**
 * The key that the values hold or name; undefined where they have none and `secret`, from which they come, was not named.
 *
 * Rejects with ObjectFailure: `credentials` for a key that cannot be one, or is missing from a secret that was named; `misconfigured` where the file that is named cannot be read.
 */
export async function findKey(values: SecretValues, secret?: SecretReference): Promise<GcsKey | undefined> {
  const flattened = keyOf(Object.fromEntries(MEMBERS.map(name => [name, secretValue(values, name)])))
  if (flattened !== undefined) return flattened
  const dict = secretValue(values, ...DICT_NAMES)
  if (dict !== undefined) return parseKey(dict, 'The key in the secret')
  const path = secretValue(values, ...PATH_NAMES)
  if (path === undefined) {
    refuseWithoutKeys(secret, values, ACCESS_NAMES)
    return undefined
  }
  const what = 'The key file that the secret names'
  return parseKey(await readNamedFile(path, what), what)
}

function parseKey(text: string, what: string): GcsKey {
  let members: unknown
  try {
    members = JSON.parse(text.trim())
  } catch {
    // Without its cause: V8 quotes what is no JSON, which here is the key.
    throw new ObjectFailure('credentials', { advice: `${what} is not JSON.` })
  }
  const key = typeof members === 'object' && members !== null ? keyOf(members) : undefined
  if (key === undefined)
    throw new ObjectFailure('credentials', { advice: `${what} is not one of a service account or user.` })
  return key
}

/** The members as a key; undefined where too few are there to be one. */
function keyOf(members: object): GcsKey | undefined {
  const present = Object.entries(members as Readonly<Record<string, unknown>>).filter(
    ([, value]) => value !== undefined,
  )
  const key = Object.fromEntries(present.map(([name, value]) => [name, parsedMember(name, value)]))
  const { client_email, private_key, type } = key
  if (typeof client_email === 'string' && typeof private_key === 'string')
    return { ...checkedMembers(key), private_key: readablePrivateKey(private_key) }
  const isKey =
    typeof type === 'string' &&
    (key['refresh_token'] ?? key['credential_source'] ?? key['source_credentials']) !== undefined
  return isKey ? checkedMembers(key) : undefined
}

/** `key` without a change. A private key has line breaks by its nature. */
function checkedMembers<Key extends object>(key: Key): Key {
  for (const [name, value] of Object.entries(key))
    if (typeof value === 'string' && name !== 'private_key') checkedKey(name, value)
  return key
}

function parsedMember(name: string, value: unknown): unknown {
  if (!STRUCTURED.has(name) || typeof value !== 'string') return value
  try {
    return JSON.parse(value) as unknown
  } catch {
    throw new ObjectFailure('credentials', { advice: `The ${name} of the key is not JSON.` })
  }
}

/** Line breaks are often written as \n in variables. A key that OpenSSL cannot read would fail at the first request, in words that help nobody. */
function readablePrivateKey(written: string): string {
  const pem = written.replaceAll('\\n', '\n')
  try {
    createPrivateKey(pem)
  } catch (error) {
    const advice = 'The private_key of the secret is not a PEM key: take the JSON file as it was downloaded.'
    throw failureOf({ reason: 'credentials', advice }, error)
  }
  return pem
}
