// Where the access keys of a store are: what an operator names, found on the disk and in the environment.
import { readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { ObjectStoreDefinition } from '../store/definition.ts'
import { isAppError } from '../errors.ts'
import {
  layeredValues,
  readSecret,
  secretValue,
  type SecretReference,
  type SecretValues,
} from '../store/secret.ts'
import type { AccessRequest, KubernetesResource } from './access.ts'
import { accessVariables, ambientAccess, type Ambient } from './ambient.ts'
import type { Environment } from './environment.ts'
import { didYouMean } from './fault.ts'
import { ambiguityProblem, keyTextProblem, valuesProblem } from './secret-content.ts'

export interface SecretPlaces {
  readonly env: Environment
  /** Folder with a folder for each secret; undefined where none is set. Absolute. */
  readonly secretsPath: string | undefined
}

export interface Referred {
  /** Undefined where nothing gives access, so that the SDK looks by itself. */
  readonly reference?: SecretReference
  /** The secret is found nowhere, or holds what cannot be its keys: names and places, never values. */
  readonly problem?: string
  readonly warning?: string
  /** What turns the verification of certificates off; undefined where nothing in the reference does. */
  readonly unverifiedBy?: 'secret' | 'variable'
}

/**
 * Finds what gives access to a store, and looks whether it can. Nothing is kept of what the files contain: `readSecret` reads them when they are needed.
 *
 * `hasEndpoint` says whether the store itself names its server. Verification that a variable of the service turns off is for servers of one's own, never for AWS.
 */
export async function referTo(
  access: AccessRequest | undefined,
  kind: ObjectKind,
  hasEndpoint: boolean,
  places: SecretPlaces,
): Promise<Referred> {
  const { secret } = access ?? {}
  const found = secret && (await findSecret(secret, places))
  const variables = ownVariables(access, places.env)
  const configFiles = await configMapFiles(access?.configMap)
  const ambient = ambientAccess(kind, places.env)
  if (found?.outcome === 'found') {
    const reference = {
      label: `the secret '${found.name}'`,
      values: layeredValues(variables, found.values),
      files: [...configFiles, ...found.files],
      ...found.whole,
      named: true,
    }
    const read = await readChecked(reference, kind, found)
    // Of the variables around us only settings hold beside a secret: keys of two identities are never mixed.
    return 'problem' in read ? read : withSettings(reference, read.values, ambient, hasEndpoint)
  }
  const reference = {
    label: 'the environment of the service',
    values: layeredValues(ambient.keys, variables),
    files: configFiles,
  }
  const values = await readSecret(reference).catch(() => reference.values)
  const referred = withSettings(reference, values, ambient, hasEndpoint)
  if (found === undefined) return referred
  const instead = [...ambient.access, ...Object.keys(variables), ...configFiles.map(({ key }) => key)]
  if (instead.length === 0)
    return { problem: `${found.problem}, and for variables that give access (${accessVariables(kind)})` }
  // Without a key and a mountPath the secret is one that Polyaxon 1.x and 2.x hand out as variables.
  const isExpected = secret?.key === undefined && secret?.mountPath === undefined
  return isExpected
    ? referred
    : { ...referred, warning: `${found.problem}; used instead: ${instead.join(', ')}` }
}

type ObjectKind = ObjectStoreDefinition['kind']

/** The reference with the settings around below its own values; `values` are those that it has now. */
function withSettings(
  reference: SecretReference,
  values: SecretValues,
  ambient: Ambient,
  hasEndpoint: boolean,
): Referred {
  const settings = Object.fromEntries(
    Object.entries(ambient.settings).filter(
      ([name]) =>
        name !== VERIFY ||
        hasEndpoint ||
        secretValue(layeredValues(ambient.settings, values), 'AWS_ENDPOINT_URL') !== undefined,
    ),
  )
  const all = layeredValues(settings, reference.values)
  if (Object.keys(all).length + reference.files.length === 0 && reference.folder === undefined) return {}
  const isVerified = !FALSE.has(
    (secretValue(layeredValues(settings, values), VERIFY) ?? '').trim().toLowerCase(),
  )
  const unverifiedBy = secretValue(values, VERIFY) === undefined ? 'variable' : 'secret'
  return { reference: { ...reference, values: all }, ...(!isVerified && { unverifiedBy }) }
}

const VERIFY = 'AWS_VERIFY_SSL'
/** The words for false of Polyaxon's libraries. */
const FALSE = new Set(['false', '0', 'no', 'off', 'n', 'f'])

/** What `reference` holds now, or what is wrong with the secret that was found. */
async function readChecked(
  reference: SecretReference,
  kind: ObjectKind,
  { name, key, ...found }: Found,
): Promise<{ readonly values: SecretValues } | { readonly problem: string }> {
  const called = key === undefined ? `the secret '${name}'` : `the secret '${name}', key '${key}'`
  try {
    const own = await readSecret({
      label: reference.label,
      values: found.values,
      files: found.files,
      ...found.whole,
    })
    const values = await readSecret(reference)
    const names = Object.keys(own).filter(one => one !== key)
    const texts = Object.fromEntries(found.keys.map(one => [one, own[one] ?? '']))
    const problem =
      (key === undefined ? ambiguityProblem(kind, texts) : keyTextProblem(kind, key, own[key] ?? '')) ??
      valuesProblem(kind, values, names)
    return problem === undefined ? { values } : { problem: `${called} ${problem}` }
  } catch (error) {
    if (!isAppError(error)) throw error
    return { problem: error.message.replace(/\.$/, '') }
  }
}

interface Found {
  readonly name: string
  /** The single key that is meant. */
  readonly key?: string
  /** All that are meant. */
  readonly keys: readonly string[]
  readonly files: SecretReference['files']
  readonly whole: Pick<SecretReference, 'folder'>
  readonly values: SecretReference['values']
}

type SearchResult =
  (Found & { readonly outcome: 'found' }) | { readonly outcome: 'missing'; readonly problem: string }

async function findSecret(
  secret: KubernetesResource,
  { env, secretsPath }: SecretPlaces,
): Promise<SearchResult> {
  const { name, key, items, mountPath } = secret
  const wanted = key === undefined ? items : [key]
  const result: SearchResult = {
    outcome: 'found',
    name,
    ...(key !== undefined && { key }),
    keys: wanted ?? [],
    files: [],
    whole: {},
    values: {},
  }
  const looked: Looked[] = []
  for (const folder of [secretsPath && join(secretsPath, name), mountPath]) {
    if (folder === undefined) continue
    const here = await lookInto(folder)
    looked.push(here)
    if (wanted === undefined && here.keys.length > 0) return { ...result, keys: here.keys, whole: { folder } }
    if (wanted?.every(one => here.keys.includes(one)) === true)
      return { ...result, files: wanted.map(one => ({ key: one, path: join(folder, one) })) }
  }
  const values = wanted?.map(one => [one, env[one] ?? ''] as const)
  if (values?.every(([, text]) => text !== '') === true)
    return { ...result, values: Object.fromEntries(values) }
  return { outcome: 'missing', problem: missingText(name, wanted, looked) }
}

interface Looked {
  readonly folder: string
  readonly keys: readonly string[]
  /** Why there are none; undefined for a folder that can be read. */
  readonly trouble?: string
}

/** What was wanted, where it was looked for, and what there is instead. */
function missingText(name: string, wanted: readonly string[] | undefined, looked: readonly Looked[]): string {
  const inFolders = looked.map(
    ({ folder, trouble }) => `in ${folder}${trouble === undefined ? '' : ` (${trouble})`}`,
  )
  const places = [
    ...(looked.length > 0 ? inFolders : ['in no folder (SECRETS_PATH is not set)']),
    ...(wanted?.map(key => `for the variable '${key}'`) ?? []),
  ]
  const lookedText = `looked ${places.join(', ')}`
  const existing = looked.find(({ trouble }) => trouble === undefined)
  if (existing === undefined) return `the secret '${name}' is not there: ${lookedText}`
  const { keys } = existing
  if (wanted === undefined || keys.length === 0) return `the secret '${name}' is empty: ${lookedText}`
  const missing = wanted.filter(key => !keys.includes(key))
  return `the secret '${name}' has no key '${missing.join("', '")}', it has ${keys.join(', ')}${didYouMean(missing[0]!, keys)}; ${lookedText}`
}

/** The keys of a mounted secret or config map: its files, without the hidden ones with which Kubernetes swaps versions. */
async function lookInto(folder: string): Promise<Looked> {
  try {
    const names = (await readdir(folder)).filter(name => !name.startsWith('.')).sort()
    const isFile = await Promise.all(
      names.map(name =>
        stat(join(folder, name)).then(
          status => status.isFile(),
          () => false,
        ),
      ),
    )
    return { folder, keys: names.filter((_, index) => isFile[index]) }
  } catch (error) {
    return {
      folder,
      keys: [],
      trouble: TROUBLES[(error as NodeJS.ErrnoException).code ?? ''] ?? 'cannot be read',
    }
  }
}

const TROUBLES: Readonly<Record<string, string>> = {
  ENOENT: 'no such folder',
  ENOTDIR: 'not a folder',
  EACCES: 'may not be read by this user',
}

/** A config map that is mounted; one that is not comes as variables. */
async function configMapFiles(
  configMap: KubernetesResource | undefined,
): Promise<{ key: string; path: string }[]> {
  const { mountPath } = configMap ?? {}
  if (mountPath === undefined) return []
  const { keys } = await lookInto(mountPath)
  return keys
    .filter(key => configMap?.items?.includes(key) ?? true)
    .map(key => ({ key, path: join(mountPath, key) }))
}

function ownVariables(access: AccessRequest | undefined, env: Environment): Record<string, string> {
  const variables = Object.entries(access?.variables ?? {}).map(([name, text]) => [
    name,
    text ?? env[name] ?? '',
  ])
  return Object.fromEntries(variables.filter(([, text]) => text !== '')) as Record<string, string>
}
