// Whether what a secret holds can be access keys of a kind of store: judged by its names, without a word of its values.
import type { ObjectStoreDefinition } from '../store/definition.ts'
import { layeredValues, secretValue, type SecretValues } from '../store/secret.ts'
import { harmless } from './fault.ts'
import { jsonMistake } from './json-mistake.ts'

type ObjectKind = ObjectStoreDefinition['kind']

interface Names {
  /** What messages ask for. */
  readonly wanted: readonly string[]
  /** Any one of them shows whose keys they are. */
  readonly telling: readonly string[]
  /** What a secret of the kind may hold besides, also alone: the identity then comes from the surroundings. */
  readonly others: readonly string[]
}

const NAMES: Readonly<Record<ObjectKind, Names>> = {
  s3: {
    wanted: ['AWS_ACCESS_KEY_ID', 'AWS_SECRET_ACCESS_KEY', 'AWS_ROLE_ARN'],
    telling: ['AWS_ACCESS_KEY_ID', 'AWS_SECRET_ACCESS_KEY', 'AWS_ROLE_ARN', 'AWS_ASSUME_ROLE'],
    others: [
      ...['AWS_REGION', 'AWS_DEFAULT_REGION', 'AWS_ENDPOINT_URL'],
      ...['AWS_USE_SSL', 'AWS_VERIFY_SSL', 'AWS_LEGACY_API'],
    ],
  },
  gcs: {
    wanted: ['private_key', 'client_email', 'GC_KEYFILE_DICT', 'GC_KEY_PATH'],
    telling: [
      ...['private_key', 'client_email', 'refresh_token', 'credential_source', 'source_credentials'],
      ...['GC_KEYFILE_DICT', 'GC_KEY_PATH', 'GOOGLE_APPLICATION_CREDENTIALS'],
    ],
    others: ['type', 'GC_PROJECT', 'GC_PROJECT_ID', 'GC_SCOPES'],
  },
  azure: {
    wanted: ['AZURE_CONNECTION_STRING', 'AZURE_ACCOUNT_KEY', 'AZURE_SAS_TOKEN', 'AZURE_CLIENT_ID'],
    telling: [
      ...['AZURE_CONNECTION_STRING', 'storage_connection_string', 'AZURE_ACCOUNT_KEY', 'AZURE_SAS_TOKEN'],
    ],
    others: [
      ...['AZURE_ACCOUNT_NAME', 'AZURE_STORAGE_ACCOUNT', 'AZURE_TENANT_ID', 'AZURE_CLIENT_ID'],
      // Without its prefix the first is any `key`, and tells nothing.
      ...['AZURE_STORAGE_KEY', 'AZURE_CLIENT_SECRET', 'AZURE_AUTHORITY_HOST'],
    ],
  },
}
const KINDS = Object.keys(NAMES) as ObjectKind[]

/**
 * What is wrong with the text of the one key of a secret that an operator names, as the predicate of a sentence about it; undefined where it can hold the keys. A key that is
 * called like a value is that value; the text of any other is JSON.
 */
export function keyTextProblem(kind: ObjectKind, key: string, text: string): string | undefined {
  if (holdsAny({ [key]: 'any' }, [...NAMES[kind].telling, ...NAMES[kind].others])) return undefined
  const mistake = jsonMistake(text)
  if (mistake !== undefined) return `is not the JSON that holds the keys: ${mistake}`
  const value: unknown = JSON.parse(text)
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return undefined
  const isQuotedTwice = typeof value === 'string' && jsonMistake(value) === undefined
  return `holds JSON that is ${isQuotedTwice ? 'quoted twice' : 'no map'}: expected a map of names and values`
}

/**
 * The same for the texts of several keys, of which all that is JSON would be taken together: two identities would become a mixture of both. `texts` are by the names of the keys.
 */
export function ambiguityProblem(kind: ObjectKind, texts: SecretValues): string | undefined {
  const { telling, others } = NAMES[kind]
  const identities = Object.entries(texts)
    .map(([key, text]) => ({ key, values: layeredValues({ [key]: text }) }))
    .filter(
      ({ key, values }) => !holdsAny({ [key]: 'any' }, [...telling, ...others]) && holdsAny(values, telling),
    )
  for (const name of [...telling, ...others]) {
    const holding = identities.filter(({ values }) => holdsAny(values, [name]))
    if (new Set(holding.map(({ values }) => secretValue(values, name))).size > 1)
      return `holds several ${name}, in its keys '${holding.map(({ key }) => key).join("' and '")}': name the one that is meant in items`
  }
  return undefined
}

/** The same for all that gives access together. `names` are those that the secret itself has, for the message. */
export function valuesProblem(
  kind: ObjectKind,
  values: SecretValues,
  names: readonly string[],
): string | undefined {
  const { wanted, telling, others } = NAMES[kind]
  if (!holdsAny(values, telling)) {
    const kindFound = KINDS.find(other => other !== kind && holdsAny(values, NAMES[other].telling))
    if (kindFound !== undefined) return `holds access keys of ${kindFound}, but the store is of ${kind}`
    if (!holdsAny(values, others)) return `holds none of ${wanted.join(', ')}; ${foundText(names)}`
  }
  if (kind === 's3') return halfProblem(values, 'AWS_ACCESS_KEY_ID', 'AWS_SECRET_ACCESS_KEY')
  return kind === 'gcs' ? keyFileProblem(values) : undefined
}

function keyFileProblem(values: SecretValues): string | undefined {
  const isAccount = secretValue(values, 'type') === 'service_account'
  const problem =
    isAccount && !holdsAny(values, ['private_key', 'client_email'])
      ? 'has neither private_key nor client_email'
      : halfProblem(values, 'client_email', 'private_key')
  return problem && `${problem}: take the key file as Google gives it`
}

function halfProblem(values: SecretValues, one: string, other: string): string | undefined {
  const [hasOne, hasOther] = [holdsAny(values, [one]), holdsAny(values, [other])]
  if (hasOne === hasOther) return undefined
  return hasOne ? `has ${one} but no ${other}` : `has ${other} but no ${one}`
}

function holdsAny(values: SecretValues, names: readonly string[]): boolean {
  return secretValue(values, ...names) !== undefined
}

const MOST_NAMES = 20

function foundText(names: readonly string[]): string {
  if (names.length === 0) return 'it is empty'
  const shown = names.slice(0, MOST_NAMES).map(name => harmless(name) ?? '(one that looks like a key)')
  return `found names: ${shown.join(', ')}${names.length > MOST_NAMES ? ' …' : ''}`
}
