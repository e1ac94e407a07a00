// Where configuration finds the access keys of a store, and what it says when it does not.
import { generateKeyPairSync } from 'node:crypto'
import { mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { loadConfig } from '../../src/config/load.ts'
import { readSecret, secretValue, type SecretReference, type SecretValues } from '../../src/store/secret.ts'

let root: string
let cwd: string
beforeAll(() => {
  root = realpathSync(mkdtempSync(join(tmpdir(), 'secret-reference-')))
})
afterAll(() => rmSync(root, { recursive: true }))
beforeEach(() => {
  cwd = mkdtempSync(join(root, 'cwd-'))
})

function write(path: string, content: string): string {
  mkdirSync(dirname(join(cwd, path)), { recursive: true })
  writeFileSync(join(cwd, path), content)
  return join(cwd, path)
}

interface Asked {
  readonly reference: SecretReference | undefined
  readonly faults: readonly string[]
  readonly warnings: readonly string[]
}

async function ask(section: Readonly<Record<string, unknown>>, env: Record<string, string>): Promise<Asked> {
  const variable = 'schema' in section ? 'POLYAXON_AGENT_ARTIFACTS_STORE' : 'POLYAXON_PERSISTENCE_OUTPUTS'
  const json = JSON.stringify('schema' in section ? section : { data: section })
  const loaded = await loadConfig({ argv: [], env: { ...env, [variable]: json }, cwd })
  if (loaded.outcome === 'faults')
    return {
      reference: undefined,
      faults: loaded.faults.map(({ where, problem }) => `${where}: ${problem}`),
      warnings: [],
    }
  if (loaded.outcome !== 'config') throw new Error(loaded.outcome)
  const [store] = loaded.config.connections
  if (store === undefined || store.kind === 'local') throw new Error('expected a bucket')
  return { reference: store.secret, faults: [], warnings: loaded.warnings }
}

const S3 = { store: 's3', bucket: 's3://b-1', secret: 'keys', secretKey: 's3-key' }
const connection = (more: object) => ({ name: 'data', kind: 's3', schema: { bucket: 's3://b-1' }, ...more })
const KEYS = '{"AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "key"}'

const PEM = generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' })

async function valuesOf({ reference }: Asked): Promise<SecretValues> {
  if (reference === undefined) throw new Error('expected a reference')
  return readSecret(reference)
}

describe('secret and secretKey of 0.x', () => {
  it('are a file below SECRETS_PATH, which is read when it is needed', async () => {
    const path = write('secrets/keys/s3-key', KEYS.replace('"id"', '"old"'))
    const asked = await ask(S3, { SECRETS_PATH: 'secrets' })
    expect(asked.reference).toEqual({
      label: "the secret 'keys'",
      values: {},
      files: [{ key: 's3-key', path }],
      named: true,
    })
    write('secrets/keys/s3-key', KEYS)
    expect(secretValue(await valuesOf(asked), 'AWS_ACCESS_KEY_ID')).toBe('id')
  })

  it('are one secret for several stores, each with a key of its own', async () => {
    write('secrets/keys/s3-key', '{"access_key_id": "s3", "secret_access_key": "k"}')
    write('secrets/keys/gcs-key.json', JSON.stringify({ client_email: 'gcs', private_key: PEM }))
    const env = { SECRETS_PATH: 'secrets' }
    const gcs = await ask({ store: 'gcs', bucket: 'b-1', secret: 'keys', secretKey: 'gcs-key.json' }, env)
    expect(secretValue(await valuesOf(gcs), 'client_email')).toBe('gcs')
    expect(secretValue(await valuesOf(gcs), 'access_key_id')).toBeUndefined()
    expect(secretValue(await valuesOf(await ask(S3, env)), 'access_key_id')).toBe('s3')
  })

  it("are the variable of the key's name, with which Polyaxon's chart hands it over", async () => {
    const asked = await ask(S3, { 's3-key': KEYS })
    expect(asked.warnings).toEqual([])
    expect(secretValue(await valuesOf(asked), 'AWS_SECRET_ACCESS_KEY')).toBe('key')
  })

  it('are the file rather than the variable, because files can rotate', async () => {
    write('secrets/keys/s3-key', '{"access_key_id": "file", "secret_access_key": "k"}')
    const asked = await ask(S3, {
      SECRETS_PATH: 'secrets',
      's3-key': '{"access_key_id": "variable", "secret_access_key": "k"}',
    })
    expect(secretValue(await valuesOf(asked), 'access_key_id')).toBe('file')
  })

  it('keep the keys around out, and win over the settings around', async () => {
    write('secrets/keys/s3-key', '{"access_key_id": "id", "secret_access_key": "key", "region": "secret"}')
    const env = {
      AWS_ACCESS_KEY_ID: 'a',
      AWS_SECRET_ACCESS_KEY: 'b',
      AWS_SESSION_TOKEN: 'c',
      AWS_REGION: 'd',
      AWS_ENDPOINT_URL: 'http://e',
    }
    const places: Record<string, string>[] = [
      { SECRETS_PATH: 'secrets' },
      { 's3-key': '{"access_key_id": "id", "secret_access_key": "key", "region": "secret"}' },
    ]
    for (const place of places) {
      const values = await valuesOf(await ask(S3, { ...env, ...place }))
      expect(secretValue(values, 'AWS_ACCESS_KEY_ID')).toBe('id')
      expect(secretValue(values, 'AWS_SESSION_TOKEN')).toBeUndefined()
      expect(secretValue(values, 'AWS_REGION')).toBe('secret')
      expect(secretValue(values, 'AWS_ENDPOINT_URL')).toBe('http://e')
    }
  })

  it("take the server of the environment from AWS's own name for that of S3 alone, if it is there, and of the secret before", async () => {
    const env = { AWS_ENDPOINT_URL: 'http://any', AWS_ENDPOINT_URL_S3: 'http://s3', SECRETS_PATH: 'secrets' }
    const endpoint = async (): Promise<string | undefined> =>
      secretValue(await valuesOf(await ask(S3, env)), 'AWS_ENDPOINT_URL')
    write('secrets/keys/s3-key', '{"access_key_id": "id", "secret_access_key": "key"}')
    expect(await endpoint()).toBe('http://s3')
    write(
      'secrets/keys/s3-key',
      '{"access_key_id": "id", "secret_access_key": "key", "endpoint_url": "http://own"}',
    )
    expect(await endpoint()).toBe('http://own')
  })

  it('that are found nowhere give way to access keys around, with a warning', async () => {
    const asked = await ask(S3, { AWS_ACCESS_KEY_ID: 'id', AWS_SECRET_ACCESS_KEY: 'key' })
    expect(asked.reference?.label).toBe('the environment of the service')
    expect(secretValue(await valuesOf(asked), 'AWS_ACCESS_KEY_ID')).toBe('id')
    expect(asked.warnings).toEqual([
      "POLYAXON_PERSISTENCE_OUTPUTS: data.secretKey: the secret 'keys' is not there: looked in no folder (SECRETS_PATH is not set), for the variable 's3-key'; used instead: AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY",
    ])
  })
})

describe('a secret that is found nowhere', () => {
  const WHERE = 'POLYAXON_PERSISTENCE_OUTPUTS: data.secretKey: '
  const AROUND = 'for variables that give access (AWS_ACCESS_KEY_ID with AWS_SECRET_ACCESS_KEY, AWS_ROLE_ARN)'

  it('is a fault that says where was looked', async () => {
    expect((await ask(S3, {})).faults).toEqual([
      `${WHERE}the secret 'keys' is not there: looked in no folder (SECRETS_PATH is not set), for the variable 's3-key', and ${AROUND}`,
    ])
    expect((await ask(S3, { SECRETS_PATH: 'secrets' })).faults).toEqual([
      `${WHERE}the secret 'keys' is not there: looked in ${cwd}/secrets/keys (no such folder), for the variable 's3-key', and ${AROUND}`,
    ])
  })

  it('says which keys there are, when it is the key that is missing', async () => {
    write('secrets/keys/s3-secret.json', KEYS)
    write('secrets/keys/..data', '')
    expect((await ask(S3, { SECRETS_PATH: 'secrets' })).faults).toEqual([
      `${WHERE}the secret 'keys' has no key 's3-key', it has s3-secret.json; looked in ${cwd}/secrets/keys, for the variable 's3-key', and ${AROUND}`,
    ])
    write('secrets/keys/s3key', KEYS)
    expect((await ask(S3, { SECRETS_PATH: 'secrets' })).faults[0]).toContain(
      'it has s3-secret.json, s3key; did you mean s3key?; looked',
    )
  })

  it('says that it is empty, or that there is a file for the folder', async () => {
    mkdirSync(join(cwd, 'secrets/keys'), { recursive: true })
    expect((await ask(S3, { SECRETS_PATH: 'secrets' })).faults[0]).toContain(
      "the secret 'keys' is empty: looked in",
    )
    rmSync(join(cwd, 'secrets/keys'), { recursive: true })
    write('secrets/keys', '')
    expect((await ask(S3, { SECRETS_PATH: 'secrets' })).faults[0]).toContain(
      'secrets/keys (not a folder), for',
    )
  })

  it('is not half a pair of keys around', async () => {
    expect((await ask(S3, { AWS_ACCESS_KEY_ID: 'id' })).faults).toHaveLength(1)
  })
})

describe('the secret of a connection of 2.x', () => {
  it('is its folder below SECRETS_PATH, else the one where it is mounted', async () => {
    write('mounted/s3-key', KEYS.replace('"id"', '"mounted"'))
    const section = connection({ secret: { name: 'keys', mountPath: join(cwd, 'mounted') } })
    const mounted = await ask(section, { SECRETS_PATH: 'secrets' })
    expect(mounted.reference).toEqual({
      label: "the secret 'keys'",
      values: {},
      files: [],
      folder: join(cwd, 'mounted'),
      named: true,
    })
    expect(await valuesOf(mounted)).toMatchObject({ AWS_ACCESS_KEY_ID: 'mounted' })
    write('secrets/keys/s3-key', KEYS.replace('"id"', '"below"'))
    expect(await valuesOf(await ask(section, { SECRETS_PATH: 'secrets' }))).toMatchObject({
      AWS_ACCESS_KEY_ID: 'below',
    })
  })

  it('is no more than its items', async () => {
    for (const key of ['access_key_id', 'other', 'secret_access_key']) write(`mounted/${key}`, key)
    const secret = {
      name: 'keys',
      mountPath: join(cwd, 'mounted'),
      items: ['secret_access_key', 'access_key_id'],
    }
    expect(await valuesOf(await ask(connection({ secret }), {}))).toEqual({
      access_key_id: 'access_key_id',
      secret_access_key: 'secret_access_key',
    })
    const missing = await ask(connection({ secret: { ...secret, items: ['other', 'gone'] } }), {})
    expect(missing.faults[0]).toMatch(
      /^POLYAXON_AGENT_ARTIFACTS_STORE: secret: the secret 'keys' has no key 'gone', it has access_key_id, other, secret_access_key/,
    )
  })

  it('without a mountPath comes as variables, for which nobody is warned', async () => {
    const env = { AWS_ACCESS_KEY_ID: 'id', AWS_SECRET_ACCESS_KEY: 'key' }
    const asked = await ask(connection({ secret: { name: 'keys' } }), env)
    expect([await valuesOf(asked), asked.warnings]).toEqual([env, []])
    expect((await ask(connection({ secret: { name: 'keys' } }), {})).faults[0]).toContain(
      "the secret 'keys' is not there",
    )
  })

  it('with a mountPath where it is not mounted gives way with a warning', async () => {
    const secret = { name: 'keys', mountPath: '/not/there' }
    const asked = await ask(connection({ secret }), { AWS_ROLE_ARN: 'arn:aws:iam::1:role/a' })
    expect(asked.warnings[0]).toMatch(
      /secret: the secret 'keys' is not there: looked in \/not\/there \(no such folder\); used instead: AWS_ROLE_ARN$/,
    )
  })

  it.each([
    [
      'a list of names and values',
      [
        { name: 'AWS_REGION', value: 'own' },
        { name: 'AWS_VERIFY_SSL', value: false },
      ],
    ],
    [
      'a list of pairs',
      [
        ['AWS_REGION', 'own'],
        ['AWS_VERIFY_SSL', 'false'],
      ],
    ],
    ['a map', { AWS_REGION: 'own', AWS_VERIFY_SSL: false }],
  ])('is completed by variables of its own: %s', async (_, env) => {
    const role = { AWS_ROLE_ARN: 'arn:aws:iam::1:role/a', AWS_ENDPOINT_URL: 'http://minio' }
    for (const [key, text] of Object.entries(role)) write(`mounted/${key}`, text)
    const secret = { name: 'keys', mountPath: join(cwd, 'mounted') }
    const values = await valuesOf(await ask(connection({ secret, env }), { AWS_REGION: 'around' }))
    expect(values).toEqual({ AWS_REGION: 'own', AWS_VERIFY_SSL: 'false', ...role })
  })

  it('takes a variable that Kubernetes fills from the environment', async () => {
    const env = [
      { name: 'MY_REGION', value: 'x' },
      { name: 'AWS_REGION', valueFrom: { secretKeyRef: {} } },
      { name: 'GONE', valueFrom: {} },
    ]
    const values = await valuesOf(await ask(connection({ env }), { AWS_REGION: 'around' }))
    expect(values).toEqual({ MY_REGION: 'x', AWS_REGION: 'around' })
  })

  it('is above its config map, of which only the items count', async () => {
    write('config/AWS_REGION', 'config')
    write('config/AWS_ACCESS_KEY_ID', 'config')
    write('config/other', 'config')
    write('mounted/AWS_ACCESS_KEY_ID', 'secret')
    write('mounted/AWS_SECRET_ACCESS_KEY', 'secret')
    const secret = { name: 'keys', mountPath: join(cwd, 'mounted') }
    const configMap = {
      name: 'config',
      mountPath: join(cwd, 'config'),
      items: ['AWS_REGION', 'AWS_ACCESS_KEY_ID'],
    }
    const values = await valuesOf(await ask(connection({ secret, configMap }), {}))
    expect(values).toEqual({
      AWS_REGION: 'config',
      AWS_ACCESS_KEY_ID: 'secret',
      AWS_SECRET_ACCESS_KEY: 'secret',
    })
  })
})

describe('without a secret', () => {
  const bare = (store: string) => ({
    store,
    bucket: store === 'azure' ? 'wasbs://c-1@account1.blob.core.windows.net' : 'b-1',
  })

  it('nothing is referred to, so that the SDK looks by itself', async () => {
    for (const store of ['s3', 'gcs', 'azure']) expect((await ask(bare(store), {})).reference).toBeUndefined()
  })

  it.each([
    [
      's3',
      { AWS_ACCESS_KEY_ID: 'a', AWS_SECRET_ACCESS_KEY: 'b', AWS_SECURITY_TOKEN: 'c', AWS_LEGACY_API: 'true' },
    ],
    [
      's3',
      { AWS_ENDPOINT_URL: 'http://minio', AWS_USE_SSL: 'false', AWS_VERIFY_SSL: 'false', AWS_REGION: 'r' },
    ],
    ['s3', { AWS_ROLE_ARN: 'arn:aws:iam::1:role/a' }],
    ['gcs', { GC_PROJECT: 'p', GC_SCOPES: 's', GC_KEY_PATH: 'CWD/gcs.json' }],
    ['gcs', { GOOGLE_PROJECT_ID: 'p', GOOGLE_KEY_PATH: 'CWD/gcs.json' }],
    ['azure', { AZURE_ACCOUNT_NAME: 'account1', AZURE_ACCOUNT_KEY: 'a2V5' }],
    ['azure', { AZURE_CONNECTION_STRING: 'AccountName=account1;AccountKey=a2V5' }],
    ['azure', { AZURE_STORAGE_SAS_TOKEN: 'sig=t' }],
  ])('%s takes what the environment says: %j', async (store, given) => {
    write('gcs.json', JSON.stringify({ client_email: 'gcs', private_key: PEM }))
    const env = Object.fromEntries(
      Object.entries(given).map(([name, value]) => [name, value.replace('CWD', cwd)]),
    )
    expect(await valuesOf(await ask(bare(store), { ...env, PATH: '/bin' }))).toEqual(env)
  })

  it('names may begin with POLYAXON_', async () => {
    expect(await valuesOf(await ask(bare('azure'), { POLYAXON_AZURE_SAS_TOKEN: 'sig=t' }))).toEqual({
      AZURE_SAS_TOKEN: 'sig=t',
    })
  })

  it.each<[string, Record<string, string>]>([
    ['s3', { AWS_ROLE_ARN: 'arn:aws:iam::1:role/a', AWS_WEB_IDENTITY_TOKEN_FILE: '/token' }],
    ['gcs', { GOOGLE_APPLICATION_CREDENTIALS: '/a/gcs.json' }],
    ['azure', { AZURE_TENANT_ID: 't', AZURE_CLIENT_ID: 'c', AZURE_FEDERATED_TOKEN_FILE: '/token' }],
  ])('%s leaves to the SDK what only that can use: %j', async (store, env) => {
    expect((await ask(bare(store), env)).reference).toBeUndefined()
    const withSecret = { ...bare(store), secret: 'keys', secretKey: 'k' }
    const asked = await ask(withSecret, env)
    expect([asked.reference, asked.faults, asked.warnings.length]).toEqual([undefined, [], 1])
  })
})
