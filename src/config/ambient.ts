// Environment variables by which Polyaxon's own libraries know a store: what gives access when no secret does.
import type { ObjectStoreDefinition } from '../store/definition.ts'
import type { Environment } from './environment.ts'

type ObjectKind = ObjectStoreDefinition['kind']

interface Names {
  /** Sets of variables each of which gives access. The SDKs find some of them by themselves. */
  readonly access: readonly (readonly string[])[]
  /** Access keys that are handed to the driver. */
  readonly keys: readonly string[]
  /** What says where and how, not who: it holds beside a secret too. */
  readonly settings: readonly string[]
}

const NAMES: Readonly<Record<ObjectKind, Names>> = {
  s3: {
    access: [['AWS_ACCESS_KEY_ID', 'AWS_SECRET_ACCESS_KEY'], ['AWS_ROLE_ARN']],
    keys: [
      'AWS_ACCESS_KEY_ID',
      'AWS_SECRET_ACCESS_KEY',
      'AWS_SESSION_TOKEN',
      'AWS_SECURITY_TOKEN',
      'AWS_ROLE_ARN',
      'AWS_ASSUME_ROLE',
      'AWS_SESSION_NAME',
      'AWS_SESSION_DURATION',
    ],
    settings: [
      'AWS_REGION',
      'AWS_DEFAULT_REGION',
      'AWS_ENDPOINT_URL',
      'AWS_USE_SSL',
      'AWS_VERIFY_SSL',
      'AWS_LEGACY_API',
    ],
  },
  gcs: {
    access: [
      ['GC_KEYFILE_DICT'],
      ['GOOGLE_KEYFILE_DICT'],
      ['GC_KEY_PATH'],
      ['GOOGLE_KEY_PATH'],
      ['GOOGLE_APPLICATION_CREDENTIALS'],
    ],
    keys: ['GC_KEYFILE_DICT', 'GOOGLE_KEYFILE_DICT', 'GC_KEY_PATH', 'GOOGLE_KEY_PATH'],
    settings: [
      'GC_PROJECT',
      'GOOGLE_PROJECT',
      'GC_PROJECT_ID',
      'GOOGLE_PROJECT_ID',
      'GC_SCOPES',
      'GOOGLE_SCOPES',
    ],
  },
  azure: {
    access: [
      ['AZURE_CONNECTION_STRING'],
      ['AZURE_ACCOUNT_KEY'],
      ['AZURE_SAS_TOKEN'],
      ['AZURE_STORAGE_SAS_TOKEN'],
      ['AZURE_TENANT_ID', 'AZURE_CLIENT_ID', 'AZURE_CLIENT_SECRET'],
      ['AZURE_TENANT_ID', 'AZURE_CLIENT_ID', 'AZURE_FEDERATED_TOKEN_FILE'],
    ],
    keys: ['AZURE_CONNECTION_STRING', 'AZURE_ACCOUNT_KEY', 'AZURE_SAS_TOKEN', 'AZURE_STORAGE_SAS_TOKEN'],
    settings: ['AZURE_ACCOUNT_NAME'],
  },
}

export interface Ambient {
  /** Variables that give access, for messages; empty where none do. */
  readonly access: readonly string[]
  readonly keys: Readonly<Record<string, string>>
  readonly settings: Readonly<Record<string, string>>
}

/** What the environment says about stores of one kind. As for Polyaxon, every name may also begin with POLYAXON_. */
export function ambientAccess(kind: ObjectKind, env: Environment): Ambient {
  const names = NAMES[kind]
  // Where a role comes with a web identity (IRSA) both are for the SDK, which exchanges the one for the other.
  const isForSdk = (name: string) =>
    name === 'AWS_ROLE_ARN' && valueOf(env, 'AWS_WEB_IDENTITY_TOKEN_FILE') !== undefined
  const given = (wanted: readonly string[]) =>
    wanted.flatMap(name => {
      const value = isForSdk(name) ? undefined : valueOf(env, name)
      return value === undefined ? [] : [[name, value] as const]
    })
  return {
    access: names.access.find(all => all.every(name => valueOf(env, name) !== undefined)) ?? [],
    keys: Object.fromEntries(given(names.keys)),
    settings: { ...Object.fromEntries(given(names.settings)), ...ownEndpoint(kind, env) },
  }
}

/** The variable of AWS's tools for the server of S3 alone, which wins over the one for all services, under the latter's name. */
function ownEndpoint(kind: ObjectKind, env: Environment): Readonly<Record<string, string>> {
  const endpoint = kind === 's3' ? valueOf(env, 'AWS_ENDPOINT_URL_S3') : undefined
  return endpoint === undefined ? {} : { AWS_ENDPOINT_URL: endpoint }
}

/** The sets of variables that would give access, for messages. */
export function accessVariables(kind: ObjectKind): string {
  return NAMES[kind].access.map(all => all.join(' with ')).join(', ')
}

function valueOf(env: Environment, name: string): string | undefined {
  return [env[name], env[`POLYAXON_${name}`]].find(value => value !== undefined && value !== '')
}
