// What a start says about the content of a secret: names and places, never values.
import { generateKeyPairSync } from 'node:crypto'
import { chmodSync, mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { loadConfig } from '../../src/config/load.ts'

let root: string
let cwd: string
beforeAll(() => {
  root = realpathSync(mkdtempSync(join(tmpdir(), 'secret-shape-')))
})
afterAll(() => rmSync(root, { recursive: true }))
beforeEach(() => {
  cwd = mkdtempSync(join(root, 'cwd-'))
  mkdirSync(join(cwd, 'secrets/keys'), { recursive: true })
})

type Kind = 's3' | 'gcs' | 'azure'
const BUCKETS = { s3: 's3://b-1', gcs: 'gs://b-1', azure: 'wasbs://c-1@account1.blob.core.windows.net' }

interface Said {
  readonly faults: readonly string[]
  readonly warnings: readonly string[]
}

async function start(section: object, env: Record<string, string> = {}): Promise<Said> {
  const variable = 'schema' in section ? 'POLYAXON_AGENT_ARTIFACTS_STORE' : 'POLYAXON_PERSISTENCE_OUTPUTS'
  const json = JSON.stringify('schema' in section ? section : { data: section })
  const loaded = await loadConfig({
    argv: [],
    env: { SECRETS_PATH: 'secrets', ...env, [variable]: json },
    cwd,
  })
  if (loaded.outcome === 'faults')
    return { faults: loaded.faults.map(({ where, problem }) => `${where}: ${problem}`), warnings: [] }
  return { faults: [], warnings: loaded.outcome === 'config' ? loaded.warnings : [] }
}

/** With a secret whose one key holds `text`. */
function startWith(kind: Kind, text: string, key = 'k.json'): Promise<Said> {
  writeFileSync(join(cwd, 'secrets/keys', key), text)
  return start({ store: kind, bucket: BUCKETS[kind], secret: 'keys', secretKey: key })
}

/** With a whole secret that has `keys`. */
function startWithFolder(kind: 's3' | 'gcs' | 'wasb', keys: Record<string, string>): Promise<Said> {
  for (const [name, text] of Object.entries(keys)) writeFileSync(join(cwd, 'secrets/keys', name), text)
  const bucket = BUCKETS[kind === 'wasb' ? 'azure' : kind]
  return start({ name: 'data', kind, schema: { bucket }, secret: { name: 'keys' } })
}

const WHERE = 'POLYAXON_PERSISTENCE_OUTPUTS: data.secretKey: '
const PEM = generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' })
const ACCOUNT = { type: 'service_account', client_email: 'a@b', private_key: PEM, project_id: 'p' }

describe('a secret that can be used', () => {
  it.each<[Kind, string, string?]>([
    ['s3', '{"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}'],
    ['s3', '\u{feff}{"aws_access_key_id": "a", "aws_secret_access_key": "b"}\n'],
    ['s3', '{"accessKeyId": "a", "secretAccessKey": "b", "whatever": 1}'],
    ['s3', '{"AWS_ROLE_ARN": "arn:aws:iam::1:role/a"}'],
    ['gcs', JSON.stringify(ACCOUNT)],
    [
      'gcs',
      JSON.stringify({ type: 'authorized_user', client_id: 'i', client_secret: 's', refresh_token: 't' }),
    ],
    ['gcs', JSON.stringify({ GC_KEYFILE_DICT: ACCOUNT })],
    ['azure', '{"AZURE_ACCOUNT_NAME": "account1", "AZURE_ACCOUNT_KEY": "a2V5"}'],
    ['azure', 'AccountName=account1;AccountKey=a2V5', 'AZURE_CONNECTION_STRING'],
    ['azure', '{"AZURE_STORAGE_KEY": "a2V5"}'],
    ['azure', '{"AZURE_CLIENT_ID": "c"}'],
  ])('is no fault: %s %s', async (kind, text, key) => {
    expect(await startWith(kind, text, key)).toEqual({ faults: [], warnings: [] })
  })

  it('may name the file that has the key', async () => {
    writeFileSync(join(cwd, 'account.json'), JSON.stringify(ACCOUNT))
    const said = await startWith('gcs', JSON.stringify({ GC_KEY_PATH: join(cwd, 'account.json') }))
    expect(said).toEqual({ faults: [], warnings: [] })
  })

  it('may hold the keys of several clouds', async () => {
    const keys = { AWS_ACCESS_KEY_ID: 'a', AWS_SECRET_ACCESS_KEY: 'b', 'gcs.json': JSON.stringify(ACCOUNT) }
    for (const kind of ['s3', 'gcs'] as const)
      expect(await startWithFolder(kind, keys)).toEqual({ faults: [], warnings: [] })
  })

  it('may have half of a pair whose other half the connection sets itself', async () => {
    writeFileSync(join(cwd, 'secrets/keys/AWS_SECRET_ACCESS_KEY'), 'b')
    const section = { name: 'data', kind: 's3', schema: { bucket: 's3://b-1' }, secret: { name: 'keys' } }
    expect(await start({ ...section, env: { AWS_ACCESS_KEY_ID: 'a' } })).toEqual({ faults: [], warnings: [] })
    expect((await start(section)).faults).toHaveLength(1)
  })
})

describe('a secret that cannot be used is a fault at start', () => {
  it.each<[string, Kind, string, string]>([
    [
      'one value in the place of JSON',
      's3',
      'wJalrCANARY',
      "the secret 'keys', key 'k.json' is not the JSON that holds the keys: line 1, column 1: expected a value",
    ],
    [
      'a comma too many',
      's3',
      '{\n  "AWS_ACCESS_KEY_ID": "CANARY",\n}',
      "the secret 'keys', key 'k.json' is not the JSON that holds the keys: line 3, column 1: expected a name in double quotes",
    ],
    [
      'JSON that was cut off',
      'gcs',
      '{"private_key": "CANARY',
      "the secret 'keys', key 'k.json' is not the JSON that holds the keys: line 1, column 24: expected a closing double quote",
    ],
    [
      'JSON in quotes once more',
      's3',
      JSON.stringify('{"AWS_ACCESS_KEY_ID": "CANARY"}'),
      "the secret 'keys', key 'k.json' holds JSON that is quoted twice: expected a map of names and values",
    ],
    [
      'a list',
      's3',
      '["CANARY"]',
      "the secret 'keys', key 'k.json' holds JSON that is no map: expected a map of names and values",
    ],
    [
      'other names',
      's3',
      '{"user": "CANARY", "pass": "CANARY"}',
      "the secret 'keys', key 'k.json' holds none of AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_ROLE_ARN; found names: user, pass",
    ],
    [
      'no names',
      'azure',
      '{}',
      "the secret 'keys', key 'k.json' holds none of AZURE_CONNECTION_STRING, AZURE_ACCOUNT_KEY, AZURE_SAS_TOKEN, AZURE_CLIENT_ID; it is empty",
    ],
    [
      'half a pair',
      's3',
      '{"AWS_ACCESS_KEY_ID": "CANARY"}',
      "the secret 'keys', key 'k.json' has AWS_ACCESS_KEY_ID but no AWS_SECRET_ACCESS_KEY",
    ],
    [
      'the other half',
      's3',
      '{"secret_access_key": "CANARY", "AWS_ACCESS_KEY_ID": ""}',
      "the secret 'keys', key 'k.json' has AWS_SECRET_ACCESS_KEY but no AWS_ACCESS_KEY_ID",
    ],
    [
      'a key file without its key',
      'gcs',
      '{"type": "service_account", "client_email": "CANARY"}',
      "the secret 'keys', key 'k.json' has client_email but no private_key: take the key file as Google gives it",
    ],
    [
      'a key file with neither',
      'gcs',
      '{"type": "service_account", "project_id": "CANARY"}',
      "the secret 'keys', key 'k.json' has neither private_key nor client_email: take the key file as Google gives it",
    ],
    [
      'keys of S3 for GCS',
      'gcs',
      '{"AWS_ACCESS_KEY_ID": "CANARY", "AWS_SECRET_ACCESS_KEY": "CANARY"}',
      "the secret 'keys', key 'k.json' holds access keys of s3, but the store is of gcs",
    ],
    [
      'a key file for Azure',
      'azure',
      JSON.stringify({ ...ACCOUNT, client_id: 'CANARY' }),
      "the secret 'keys', key 'k.json' holds access keys of gcs, but the store is of azure",
    ],
  ])('%s', async (_, kind, text, problem) => {
    const { faults } = await startWith(kind, text)
    expect(faults).toEqual([WHERE + problem])
    expect(faults.join()).not.toContain('CANARY')
  })

  it.each<[string, Kind, object, string, object?]>([
    [
      'no keys, but where to use them',
      's3',
      { AWS_REGION: 'CANARY' },
      "The secret 'keys' holds none of AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_ROLE_ARN",
    ],
    [
      'a server that is none',
      's3',
      { access_key_id: 'CANARY', secret_access_key: 'CANARY', endpoint_url: 'ftp://CANARY' },
      'AWS_ENDPOINT_URL is not the URL of a server (https://host[:port])',
    ],
    [
      'a word that is neither true nor false',
      's3',
      { access_key_id: 'CANARY', secret_access_key: 'CANARY', verify_ssl: 'CANARY' },
      'AWS_VERIFY_SSL is neither true nor false',
    ],
    ['a role that is none', 's3', { AWS_ROLE_ARN: 'CANARY' }, 'AWS_ROLE_ARN is not the ARN of a role'],
    [
      'a key with a line break',
      's3',
      { access_key_id: 'CANARY', secret_access_key: 'CAN\nARY' },
      'AWS_SECRET_ACCESS_KEY holds a line break or another invisible character: copy it anew',
    ],
    [
      'a private key that is no PEM',
      'gcs',
      { ...ACCOUNT, private_key: 'CANARY' },
      'The private_key of the secret is not a PEM key: take the JSON file as it was downloaded',
    ],
    [
      'the name of a file that is not there',
      'gcs',
      { GC_KEY_PATH: '/not/there/CANARY' },
      'The key file that the secret names cannot be read',
    ],
    [
      'a connection string that is none',
      'azure',
      { AZURE_CONNECTION_STRING: 'CANARY' },
      'The connection string is not of the form Name=value;Name=value: copy it whole',
    ],
    [
      'a token without its signature',
      'azure',
      { AZURE_SAS_TOKEN: 'sv=CANARY' },
      'The SAS token has no signature (sig=): copy it whole',
    ],
    [
      'the key of another account',
      'azure',
      { AZURE_ACCOUNT_NAME: 'canary', AZURE_ACCOUNT_KEY: 'a2V5' },
      "The bucket's URL, the endpoint and the secret name different storage accounts: make them agree",
    ],
    [
      'no account where the bucket has none',
      'azure',
      { AZURE_ACCOUNT_KEY: 'a2V5' },
      'Neither the bucket (wasbs://CONTAINER@ACCOUNT.blob.core.windows.net/) nor the secret (AZURE_ACCOUNT_NAME) names the storage account: add it to one of them',
      { bucket: 'c-1' },
    ],
  ])('values that its driver would refuse at each request: %s', async (_, kind, values, advice, more) => {
    writeFileSync(join(cwd, 'secrets/keys/k.json'), JSON.stringify(values))
    const store = { store: kind, bucket: BUCKETS[kind], secret: 'keys', secretKey: 'k.json', ...more }
    const { faults } = await start(store)
    expect(faults).toEqual([`${WHERE}the secret 'keys' cannot be used: ${advice}`])
    expect(faults.join()).not.toMatch(/canary/i)
  })

  it('and so are variables around in its place', async () => {
    const store = { store: 's3', bucket: 's3://b-1' }
    expect((await start(store, { AWS_ENDPOINT_URL: 'http://user:CANARY@host' })).faults).toEqual([
      'POLYAXON_PERSISTENCE_OUTPUTS: data: the environment of the service cannot be used: AWS_ENDPOINT_URL is not the URL of a server (https://host[:port])',
    ])
    expect((await start({ store: 'azure', bucket: 'c-1' })).faults).toEqual([
      expect.stringMatching(/^POLYAXON_PERSISTENCE_OUTPUTS: data.bucket: Neither the bucket /),
    ])
  })

  it('does not repeat a key that stands where a name belongs', async () => {
    const { faults } = await startWith('s3', '{"wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY": "x"}')
    expect(faults[0]).toContain('holds none of')
    expect(faults[0]).not.toContain('wJalr')
  })

  it('also where a whole secret is meant', async () => {
    expect((await startWithFolder('s3', { user: 'CANARY' })).faults).toEqual([
      "POLYAXON_AGENT_ARTIFACTS_STORE: secret: the secret 'keys' holds none of AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_ROLE_ARN; found names: user",
    ])
  })

  describe('a whole secret that has two of what a store needs', () => {
    const s3 = (id: string, more = {}) =>
      JSON.stringify({ access_key_id: id, secret_access_key: 'CANARY', ...more })

    it('says which keys they are, and how one of them is named', async () => {
      const keys = { 'a-key': s3('CANARY1', { session_token: 'CANARY' }), 'b-key': s3('CANARY2') }
      const { faults } = await startWithFolder('s3', keys)
      expect(faults).toEqual([
        "POLYAXON_AGENT_ARTIFACTS_STORE: secret: the secret 'keys' holds several AWS_ACCESS_KEY_ID, in its keys 'a-key' and 'b-key': name the one that is meant in items",
      ])
      expect(faults.join()).not.toContain('CANARY')
      const section = { name: 'data', kind: 's3', schema: { bucket: BUCKETS.s3 } }
      const secret = { name: 'keys', items: ['a-key', 'b-key'] }
      expect((await start({ ...section, secret })).faults).toEqual(faults)
      expect((await start({ ...section, secret: { ...secret, items: ['b-key'] } })).faults).toEqual([])
    })

    it('also where they differ only in where they are for', async () => {
      const keys = { a: s3('id', { region: 'eu-west-1' }), b: s3('id', { region: 'us-east-1' }) }
      expect((await startWithFolder('s3', keys)).faults).toEqual([
        expect.stringContaining("holds several AWS_REGION, in its keys 'a' and 'b'"),
      ])
    })

    it('is none where they are the same, or for different clouds', async () => {
      const keys = {
        a: s3('id'),
        b: s3('id'),
        'gcs.json': JSON.stringify(ACCOUNT),
        'where.json': '{"region": "r"}',
      }
      for (const kind of ['s3', 'gcs'] as const)
        expect(await startWithFolder(kind, keys)).toEqual({ faults: [], warnings: [] })
    })
  })

  it.skipIf(process.getuid?.() === 0)(
    'one that may not be read (needs a user that is not root)',
    async () => {
      writeFileSync(join(cwd, 'secrets/keys/k.json'), '{}')
      chmodSync(join(cwd, 'secrets/keys/k.json'), 0)
      const store = { store: 's3', bucket: 's3://b-1', secret: 'keys', secretKey: 'k.json' }
      expect((await start(store)).faults).toEqual([
        `${WHERE}The outputs store has no access keys, because the secret 'keys' may not be read by this user: the operator must mend it`,
      ])
    },
  )
})

describe('verification that something around turns off', () => {
  const KEYS = '{"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}'
  const bare = { store: 's3', bucket: 's3://b-1' }
  const own = { ...bare, endpoint: 'https://minio.example' }
  const DANGER =
    "certificates of the store 'data' are not verified, so anybody on the way can read and change what is transferred: use caFile instead"

  it('is warned about when a variable of the service does it, for a server of our own', async () => {
    expect((await start(own, { AWS_VERIFY_SSL: 'false' })).warnings).toEqual([`AWS_VERIFY_SSL: ${DANGER}`])
    const around = { AWS_VERIFY_SSL: 'no', AWS_ENDPOINT_URL: 'https://minio.example' }
    expect((await start(bare, around)).warnings).toEqual([`AWS_VERIFY_SSL: ${DANGER}`])
    expect((await start(own, { AWS_VERIFY_SSL: 'true' })).warnings).toEqual([])
  })

  it('is not taken from a variable of the service for AWS itself', async () => {
    writeFileSync(join(cwd, 'secrets/keys/k.json'), KEYS)
    const withSecret = { ...bare, secret: 'keys', secretKey: 'k.json' }
    for (const store of [bare, withSecret]) {
      const json = JSON.stringify({ data: store })
      const env = { SECRETS_PATH: 'secrets', AWS_VERIFY_SSL: 'false', POLYAXON_PERSISTENCE_OUTPUTS: json }
      const loaded = await loadConfig({ argv: [], env, cwd })
      if (loaded.outcome !== 'config') throw new Error(JSON.stringify(loaded))
      expect(loaded.warnings).toEqual([])
      expect(JSON.stringify(loaded.config.connections)).not.toContain('VERIFY_SSL')
    }
  })

  it('is warned about when a secret does it, unless the store itself says otherwise', async () => {
    const text = KEYS.replace('}', ', "verify_ssl": false}')
    writeFileSync(join(cwd, 'secrets/keys/k.json'), text)
    const store = { ...bare, secret: 'keys', secretKey: 'k.json' }
    expect((await start(store)).warnings).toEqual([`${WHERE}${DANGER}`])
    expect((await start({ ...store, verify: true })).warnings).toEqual([])
    expect((await start({ ...store, verify: false })).warnings).toHaveLength(1)
  })
})
