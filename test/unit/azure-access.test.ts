// Which account, endpoint and credential a connection comes to, from the bucket's URL, the settings and the secret.
import { describe, expect, it } from 'vitest'
import { azureAccess } from '../../src/store/azure-access.ts'
import type { AzureDefinition } from '../../src/store/definition.ts'
import { ObjectFailure } from '../../src/store/object-client.ts'

const KEY = 'a2V5'

function access(values: Record<string, string>, settings: Partial<AzureDefinition> = {}) {
  const definition: AzureDefinition = {
    ...{ kind: 'azure', name: 'models', readOnly: false, delivery: 'proxy', bucket: 'outputs', prefix: '' },
    maxConnections: 4,
    signedUrlSeconds: 60,
    ...settings,
  }
  return azureAccess(definition, values)
}

function refused(values: Record<string, string>, settings: Partial<AzureDefinition> = {}): ObjectFailure {
  try {
    access(values, settings)
  } catch (error) {
    if (error instanceof ObjectFailure) return error
  }
  throw new Error('it was accepted')
}

describe('the endpoint and the account', () => {
  it.each([
    ['the account in the bucket URL', {}, { account: 'mine' }, 'https://mine.blob.core.windows.net'],
    ['the account in the secret', { AZURE_ACCOUNT_NAME: 'mine' }, {}, 'https://mine.blob.core.windows.net'],
    ['names without regard to case', { account_name: 'mine' }, {}, 'https://mine.blob.core.windows.net'],
    [
      'a sovereign cloud by the suffix of a connection string',
      { AZURE_CONNECTION_STRING: `AccountName=mine;AccountKey=${KEY};EndpointSuffix=core.chinacloudapi.cn` },
      {},
      'https://mine.blob.core.chinacloudapi.cn',
    ],
    [
      'the Blob endpoint of a connection string',
      {
        AZURE_STORAGE_CONNECTION_STRING:
          'BlobEndpoint=https://mine.z3.blob.storage.azure.net/;SharedAccessSignature=sv=1&sig=x',
      },
      {},
      'https://mine.z3.blob.storage.azure.net',
    ],
    [
      'the endpoint of the settings rather than that of the secret',
      { AZURE_CONNECTION_STRING: 'AccountName=mine;BlobEndpoint=https://mine.blob.core.windows.net' },
      { endpoint: 'https://mine.blob.core.usgovcloudapi.net' },
      'https://mine.blob.core.usgovcloudapi.net',
    ],
  ] as const)('come from %s', (_, values, settings, endpoint) => {
    expect(access(values, settings)).toMatchObject({ endpoint, account: 'mine' })
  })

  it.each([
    ['http://127.0.0.1:10000', 'http://127.0.0.1:10000/mine'],
    ['http://[::1]:10000', 'http://[::1]:10000/mine'],
    ['http://azurite:10000', 'http://azurite:10000/mine'],
    ['http://azurite:10000/mine/', 'http://azurite:10000/mine'],
    ['https://blobs.example.com', 'https://blobs.example.com'],
    ['https://mine.blob.core.windows.net/', 'https://mine.blob.core.windows.net'],
  ])('%s has the account in its path only where it is an emulator: %s', (endpoint, expected) => {
    expect(access({}, { endpoint, account: 'mine' }).endpoint).toBe(expected)
    expect(access({}, { publicEndpoint: endpoint, account: 'mine' }).publicEndpoint).toBe(expected)
  })

  it('are the same for clients unless they have an endpoint of their own', () => {
    const { endpoint, publicEndpoint } = access({}, { endpoint: 'http://azurite:10000', account: 'mine' })
    expect(publicEndpoint).toBe(endpoint)
  })

  it.each([
    ['the bucket URL and the secret', { AZURE_ACCOUNT_NAME: 'other' }, {}],
    ['the bucket URL and the connection string', { AZURE_CONNECTION_STRING: 'AccountName=other' }, {}],
    ['the bucket URL and the endpoint', {}, { endpoint: 'https://other.blob.core.windows.net' }],
  ])(
    'are refused where %s contradict each other, without telling clients the names',
    (_, values, settings) => {
      const failure = refused(values, { account: 'mine', ...settings })
      expect(failure).toMatchObject({
        reason: 'misconfigured',
        advice: expect.stringMatching(/agree/) as string,
      })
      expect(failure.advice).not.toMatch(/mine|other/)
      expect((failure.cause as Error).message).toMatch(/mine, other/)
    },
  )

  it('is refused where nothing names the account', () => {
    expect(refused({ AZURE_ACCOUNT_KEY: KEY })).toMatchObject({
      reason: 'misconfigured',
      advice: expect.stringContaining('AZURE_ACCOUNT_NAME') as string,
    })
  })

  it.each(['ftp://mine.example.com', 'mine.blob.core.windows.net'])('is refused where it is %s', endpoint => {
    expect(refused({}, { endpoint, account: 'mine' }).reason).toBe('misconfigured')
  })
})

describe('the credential', () => {
  const principal = {
    AZURE_TENANT_ID: 'tenant',
    AZURE_CLIENT_ID: 'client',
    AZURE_CLIENT_SECRET: 'secret',
  }

  it.each([
    ['an account key', { AZURE_ACCOUNT_KEY: KEY }, { kind: 'account-key', account: 'mine', key: KEY }],
    [
      'a key under another name',
      { azure_storage_account_key: `${KEY}\n` },
      { kind: 'account-key', key: KEY },
    ],
    [
      'a SAS token with its question mark',
      { AZURE_SAS_TOKEN: '?sv=1&sig=x' },
      { kind: 'sas', token: 'sv=1&sig=x' },
    ],
    ['a SAS token without', { AZURE_STORAGE_SAS_TOKEN: 'sv=1&sig=x' }, { kind: 'sas', token: 'sv=1&sig=x' }],
    [
      'a connection string with a key that has equal signs',
      { connection_string: 'AccountName=mine;AccountKey=a2V5MQ==;' },
      { kind: 'account-key', key: 'a2V5MQ==' },
    ],
    [
      'a connection string with SAS, whatever other key there is',
      {
        AZURE_CONNECTION_STRING: 'AccountName=mine;SharedAccessSignature=sv=1&sig=x',
        AZURE_ACCOUNT_KEY: KEY,
      },
      { kind: 'sas', token: 'sv=1&sig=x' },
    ],
    [
      'a key rather than a SAS token',
      { AZURE_ACCOUNT_KEY: KEY, AZURE_SAS_TOKEN: 'sig=x' },
      { kind: 'account-key' },
    ],
    [
      'a service principal',
      principal,
      { kind: 'service-principal', tenantId: 'tenant', clientSecret: 'secret' },
    ],
    ['a client id alone', { AZURE_CLIENT_ID: 'client' }, { kind: 'surroundings', clientId: 'client' }],
    ['nothing', {}, { kind: 'surroundings' }],
  ])('is that of %s', (_, values, credential) => {
    expect(access(values, { account: 'mine' }).credential).toMatchObject(credential)
  })

  const secret = { label: "the secret 'keys'", values: {}, files: [], named: true }

  it.each<[string, Record<string, string>, string]>([
    ['is empty', {}, ''],
    ['names only the account', { AZURE_ACCOUNT_NAME: 'mine' }, ''],
    [
      'has a connection string without a key',
      { AZURE_CONNECTION_STRING: 'AccountName=mine;AccountKey=' },
      '',
    ],
    ['names only a tenant', { AZURE_TENANT_ID: 'tenant' }, ''],
    ['is a key file of Google', { type: 'service_account', client_id: '1', client_email: 'a@b' }, ''],
    ['is cut off', { 'azure.json': '{"AZURE_ACCOUNT_KEY": "a2' }, " ('azure.json' is no valid JSON)"],
  ])('is not looked for in the surroundings where a secret was named that %s', (_, values, detail) => {
    for (const settings of [{ account: 'mine' }, {}, { endpoint: 'http://127.0.0.1:10000/mine' }])
      expect(refused(values, { ...settings, secret })).toMatchObject({
        reason: 'credentials',
        advice: `The secret 'keys' holds none of AZURE_CONNECTION_STRING, AZURE_ACCOUNT_KEY, AZURE_SAS_TOKEN, AZURE_CLIENT_ID${detail}.`,
      })
  })

  it("has the client id of Azure, also where the secret holds Google's", () => {
    const values = { client_id: '1', client_email: 'a@b', AZURE_CLIENT_ID: 'client' }
    expect(access(values, { account: 'mine', secret }).credential).toMatchObject({ clientId: 'client' })
  })

  it('is that of the surroundings where the secret that was named chooses among several', () => {
    expect(access({ AZURE_CLIENT_ID: 'client' }, { account: 'mine', secret }).credential).toMatchObject({
      kind: 'surroundings',
      clientId: 'client',
    })
  })

  it.each<[string, Record<string, string>]>([
    ['AZURE_SAS_TOKEN', { AZURE_SAS_TOKEN: 'sv=1&\nsig=x' }],
    ['AZURE_TENANT_ID', { ...principal, AZURE_TENANT_ID: 'te\nnant' }],
    ['AZURE_CLIENT_ID', { ...principal, AZURE_CLIENT_ID: 'cli\u200bent' }],
    ['AZURE_CLIENT_SECRET', { ...principal, AZURE_CLIENT_SECRET: 'test\nadmin' }],
  ])('is refused where %s holds a character that nobody sees', (name, values) => {
    expect(refused(values, { account: 'mine' })).toMatchObject({
      reason: 'credentials',
      advice: `${name} holds a line break or another invisible character: copy it anew.`,
    })
  })

  it.each([
    ['a key that is no Base64', { AZURE_ACCOUNT_KEY: 'not a key' }, 'credentials', /Base64/],
    ['a SAS token without a signature', { AZURE_SAS_TOKEN: 'sv=1' }, 'credentials', /sig=/],
    [
      'a tenant that is none',
      { ...principal, AZURE_TENANT_ID: 'my tenant' },
      'credentials',
      /AZURE_TENANT_ID/,
    ],
    ['half a service principal', { ...principal, AZURE_TENANT_ID: '' }, 'misconfigured', /AZURE_TENANT_ID/],
    ['a connection string that is none', { AZURE_CONNECTION_STRING: KEY }, 'misconfigured', /Name=value/],
  ])('is refused where it is %s', (_, values, reason, advice) => {
    const failure = refused(values, { account: 'mine' })
    expect(failure).toMatchObject({ reason, advice: expect.stringMatching(advice) as string })
    expect(failure.advice).not.toContain('not a key')
  })

  it('of the development storage is the published one', () => {
    expect(access({ AZURE_CONNECTION_STRING: 'UseDevelopmentStorage=true' })).toMatchObject({
      endpoint: 'http://127.0.0.1:10000/devstoreaccount1',
      credential: { kind: 'account-key', account: 'devstoreaccount1' },
    })
  })
})
