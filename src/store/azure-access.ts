// Which storage account a connection means, where it answers and with what it is entered: from the bucket's URL, the settings and the secret together.
import { isIP } from 'node:net'
import type { AzureDefinition } from './definition.ts'
import { ObjectFailure } from './object-client.ts'
import { checkedKey, refuseWithoutKeys } from './secret-keys.ts'
import { secretValue, type SecretValues } from './secret.ts'

export type AzureCredential =
  | { readonly kind: 'account-key'; readonly account: string; readonly key: string }
  /** A shared access signature, without its question mark. */
  | { readonly kind: 'sas'; readonly token: string }
  | {
      readonly kind: 'service-principal'
      readonly tenantId: string
      readonly clientId: string
      readonly clientSecret: string
      /** Where Microsoft Entra answers, `https://host`, in clouds of their own. */
      readonly authorityHost: string | undefined
    }
  /** Workload identity, managed identity or whatever else the SDK finds; ids choose among several. */
  | {
      readonly kind: 'surroundings'
      readonly tenantId: string | undefined
      readonly clientId: string | undefined
    }

export interface AzureAccess {
  /** URL of the account's Blob service, without a slash at its end; emulators have the account as its path. */
  readonly endpoint: string
  /** The same for clients, where theirs is another. */
  readonly publicEndpoint: string
  /** Unknown only where the endpoint is a domain of the operator's own and nothing else names the account. */
  readonly account: string | undefined
  readonly credential: AzureCredential
}

/** What gives access to Azure Blob Storage, in the names by which it is known best. */
const ACCESS_NAMES = [
  'AZURE_CONNECTION_STRING',
  'AZURE_ACCOUNT_KEY',
  'AZURE_SAS_TOKEN',
  'AZURE_CLIENT_ID',
] as const

/**
 * What `definition` and the `values` of its secret say together. A connection string goes before single values, a key before a shared access signature, and that before an
 * identity.
 *
 * Throws ObjectFailure: `misconfigured` where they contradict each other or leave the account open, `credentials` where a key or token cannot be one, and where a secret that was
 * named has nothing to enter with.
 */
export function azureAccess(definition: AzureDefinition, values: SecretValues): AzureAccess {
  const connection = connectionString(
    secretValue(
      values,
      'AZURE_CONNECTION_STRING',
      'AZURE_STORAGE_CONNECTION_STRING',
      'connection_string',
      'storage_connection_string',
    ),
  )
  const offers = offersOf(withoutGoogleId(values), connection)
  const { key, token, clientId, clientSecret } = offers
  // An id alone chooses among the identities of the surroundings, which is what the operator asked for.
  if ((key ?? token ?? clientId ?? clientSecret) === undefined)
    refuseWithoutKeys(definition.secret, values, ACCESS_NAMES)
  const configured = definition.endpoint ?? connection.get('blobendpoint')
  const account = accountName(
    definition.account,
    secretValue(
      values,
      'AZURE_ACCOUNT_NAME',
      'AZURE_STORAGE_ACCOUNT_NAME',
      'AZURE_STORAGE_ACCOUNT',
      'account_name',
    ),
    connection.get('accountname'),
    configured === undefined ? undefined : accountOfCloudHost(configured),
  )
  const endpoint = endpointOf(configured, account, connection)
  const { publicEndpoint } = definition
  return {
    endpoint,
    publicEndpoint:
      publicEndpoint === undefined ? endpoint : endpointWithAccount(parsed(publicEndpoint), account),
    account,
    credential: credentialOf(offers, account),
  }
}

function misconfigured(advice: string, detail?: string): ObjectFailure {
  return new ObjectFailure('misconfigured', {
    advice,
    ...(detail !== undefined && { cause: new Error(detail) }),
  })
}

/** The development account of the emulator, which `UseDevelopmentStorage=true` stands for; its key is published. */
const DEVELOPMENT = {
  accountname: 'devstoreaccount1',
  accountkey: 'Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==',
  blobendpoint: 'http://127.0.0.1:10000/devstoreaccount1',
} as const

/** The settings of a connection string, `Name=value;Name=value`, by names in lower case. Values may hold `=`. */
function connectionString(text: string | undefined): ReadonlyMap<string, string> {
  if (text === undefined) return new Map()
  const settings = text
    .split(';')
    .map(setting => setting.trim())
    .filter(setting => setting !== '')
    .map(setting => {
      const equals = setting.indexOf('=')
      if (equals < 1)
        throw misconfigured('The connection string is not of the form Name=value;Name=value: copy it whole.')
      return [setting.slice(0, equals).toLowerCase(), setting.slice(equals + 1)] as const
    })
  const named = new Map<string, string>(settings.filter(([, value]) => value !== ''))
  return named.get('usedevelopmentstorage')?.toLowerCase() === 'true'
    ? new Map(Object.entries(DEVELOPMENT))
    : named
}

/** The one account that all of them name; undefined where none does. */
function accountName(...named: readonly (string | undefined)[]): string | undefined {
  const names = [...new Set(named.filter(name => name !== undefined))]
  if (names.length > 1)
    throw misconfigured(
      "The bucket's URL, the endpoint and the secret name different storage accounts: make them agree.",
      `storage accounts named: ${names.join(', ')}`,
    )
  return names[0]
}

/** `ACCOUNT.blob.SUFFIX`, where SUFFIX is the cloud's: core.windows.net, core.usgovcloudapi.net, core.chinacloudapi.cn, ZONE.storage.azure.net … */
function accountOfCloudHost(endpoint: string): string | undefined {
  return /^([a-z0-9]{3,24})(?:-secondary)?\.(?:z\d+\.)?blob\./.exec(parsed(endpoint).hostname)?.[1]
}

function parsed(endpoint: string): URL {
  const url = URL.canParse(endpoint) ? new URL(endpoint) : undefined
  if (url === undefined || !/^https?:$/.test(url.protocol))
    throw misconfigured('The endpoint of the Blob service is no http or https URL: correct it.')
  return url
}

function endpointOf(
  configured: string | undefined,
  account: string | undefined,
  connection: ReadonlyMap<string, string>,
): string {
  if (configured !== undefined) return endpointWithAccount(parsed(configured), account)
  if (account === undefined)
    throw misconfigured(
      'Neither the bucket (wasbs://CONTAINER@ACCOUNT.blob.core.windows.net/) nor the secret (AZURE_ACCOUNT_NAME) names the storage account: add it to one of them.',
    )
  const protocol = connection.get('defaultendpointsprotocol') ?? 'https'
  return parsed(`${protocol}://${account}.blob.${connection.get('endpointsuffix') ?? 'core.windows.net'}`)
    .origin
}

/**
 * Emulators take the account from the path, the cloud and domains of one's own from the host. So the account is added where the path is empty and the host cannot be a domain:
 * an IP address or a single label (`localhost`, the name of a container).
 */
function endpointWithAccount(url: URL, account: string | undefined): string {
  const path = url.pathname.replace(/\/+$/, '')
  const host = url.hostname.replace(/^\[|\]$/g, '')
  const emulated = path === '' && (isIP(host) !== 0 || !host.includes('.'))
  return url.origin + (emulated && account !== undefined ? `/${account}` : path)
}

/** What there is to enter with, as it was written; `credentialOf` takes the first that will do. */
interface Offers {
  readonly key: string | undefined
  readonly token: string | undefined
  readonly tenantId: string | undefined
  readonly clientId: string | undefined
  readonly clientSecret: string | undefined
  readonly authorityHost: string | undefined
}

/** A secret for several clouds may hold the key file of a Google service account, whose `client_id` is nobody here. */
function withoutGoogleId(values: SecretValues): SecretValues {
  if (secretValue(values, 'client_email') === undefined) return values
  return Object.fromEntries(Object.entries(values).filter(([name]) => name !== 'client_id'))
}

function offersOf(values: SecretValues, connection: ReadonlyMap<string, string>): Offers {
  const checked = (name: string, text: string | undefined): string | undefined =>
    text === undefined ? undefined : checkedKey(name, text.trim())
  const single = (name: string, ...others: readonly string[]): string | undefined =>
    checked(name, secretValue(values, name, ...others))
  const signature = checked('AZURE_CONNECTION_STRING', connection.get('sharedaccesssignature'))
  const singleKey = (): string | undefined =>
    single('AZURE_ACCOUNT_KEY', 'AZURE_STORAGE_ACCOUNT_KEY', 'AZURE_STORAGE_KEY', 'account_key')
  return {
    key: connection.get('accountkey')?.trim() ?? (signature === undefined ? singleKey() : undefined),
    token: signature ?? single('AZURE_SAS_TOKEN', 'AZURE_STORAGE_SAS_TOKEN', 'sas_token'),
    tenantId: single('AZURE_TENANT_ID', 'tenant_id'),
    clientId: single('AZURE_CLIENT_ID', 'client_id'),
    clientSecret: single('AZURE_CLIENT_SECRET', 'client_secret'),
    authorityHost: single('AZURE_AUTHORITY_HOST', 'authority_host'),
  }
}

function credentialOf(offers: Offers, account: string | undefined): AzureCredential {
  const { key, token } = offers
  if (key !== undefined) return accountKey(key, account)
  return token === undefined ? identity(offers) : sharedAccessSignature(token)
}

function accountKey(key: string, account: string | undefined): AzureCredential {
  if (account === undefined)
    throw misconfigured('The secret has an account key but names no storage account: add AZURE_ACCOUNT_NAME.')
  if (key.length % 4 !== 0 || !/^[A-Za-z0-9+/]+={0,2}$/.test(key))
    throw new ObjectFailure('credentials', { advice: 'The account key is not Base64: copy it whole.' })
  return { kind: 'account-key', account, key }
}

function sharedAccessSignature(text: string): AzureCredential {
  const token = text.replace(/^\?/, '')
  if (!new URLSearchParams(token).has('sig'))
    throw new ObjectFailure('credentials', {
      advice: 'The SAS token has no signature (sig=): copy it whole.',
    })
  return { kind: 'sas', token }
}

function identity({ tenantId, clientId, clientSecret, authorityHost }: Offers): AzureCredential {
  // As @azure/identity, whose error would look like one of the network.
  if (tenantId !== undefined && !/^[0-9A-Za-z.-]+$/.test(tenantId))
    throw new ObjectFailure('credentials', {
      advice: 'AZURE_TENANT_ID is not the id or domain of a tenant: copy it whole.',
    })
  if (clientSecret === undefined) return { kind: 'surroundings', tenantId, clientId }
  if (tenantId === undefined || clientId === undefined)
    throw misconfigured(
      'A service principal needs AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_CLIENT_SECRET: add what is missing to the secret.',
    )
  return { kind: 'service-principal', tenantId, clientId, clientSecret, authorityHost }
}
