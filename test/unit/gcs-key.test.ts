// Which key the values of a secret hold, in all the forms that Polyaxon's operators keep them.
import { generateKeyPairSync } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { findKey } from '../../src/store/gcs-key.ts'

const PEM = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey.export({
  type: 'pkcs8',
  format: 'pem',
})
const SERVICE_ACCOUNT = {
  type: 'service_account',
  project_id: 'models',
  private_key_id: '1',
  private_key: PEM as string,
  client_email: 'reader@models.iam.gserviceaccount.com',
}

describe('the key in a secret', () => {
  it('is found in the flattened members of a service account’s JSON', async () => {
    expect(await findKey({ 'gcs-key.json': JSON.stringify(SERVICE_ACCOUNT), ...SERVICE_ACCOUNT })).toEqual(
      SERVICE_ACCOUNT,
    )
  })

  it('may have its line breaks written as \\n', async () => {
    const escaped = { ...SERVICE_ACCOUNT, private_key: SERVICE_ACCOUNT.private_key.replaceAll('\n', '\\n') }
    expect(await findKey(escaped)).toMatchObject({ private_key: PEM })
  })

  it.each(['GC_KEYFILE_DICT', 'GOOGLE_KEYFILE_DICT', 'gc_keyfile_dict'])('is found in %s', async name => {
    expect(await findKey({ [name]: JSON.stringify(SERVICE_ACCOUNT) })).toEqual(SERVICE_ACCOUNT)
  })

  it.each(['GC_KEY_PATH', 'GOOGLE_KEY_PATH', 'GOOGLE_APPLICATION_CREDENTIALS'])(
    'is read from the file that %s names',
    async name => {
      const folder = mkdtempSync(join(tmpdir(), 'gcs-key-'))
      onTestFinished(() => rmSync(folder, { recursive: true }))
      const path = join(folder, 'key.json')
      writeFileSync(path, JSON.stringify(SERVICE_ACCOUNT))
      expect(await findKey({ [name]: path })).toEqual(SERVICE_ACCOUNT)
    },
  )

  it('may be a user’s or a federated one', async () => {
    const user = { type: 'authorized_user', client_id: 'i', client_secret: 's', refresh_token: 'r' }
    expect(await findKey(user)).toEqual(user)
    const federated = {
      type: 'external_account',
      audience: '//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/providers/k',
      subject_token_type: 'urn:ietf:params:oauth:token-type:jwt',
      token_url: 'https://sts.googleapis.com/v1/token',
    }
    const credential_source = { file: '/var/run/token', format: { type: 'text' } }
    expect(await findKey({ ...federated, credential_source: JSON.stringify(credential_source) })).toEqual({
      ...federated,
      credential_source,
    })
  })

  it('is none where the values are those of another store', async () => {
    expect(await findKey({})).toBeUndefined()
    expect(await findKey({ AWS_ACCESS_KEY_ID: 'a', AWS_SECRET_ACCESS_KEY: 'b', type: 's3' })).toBeUndefined()
  })

  it.each<[string, Record<string, string>, string]>([
    ['empty', {}, ''],
    [
      'cut off',
      { 'gcs.json': '{"type": "service_account", "private_key": "-----BEG' },
      " ('gcs.json' is no valid JSON)",
    ],
    ['that of another store', { AWS_ACCESS_KEY_ID: 'a', AWS_SECRET_ACCESS_KEY: 'b' }, ''],
    ['only settings', { GC_PROJECT: 'p', GC_SCOPES: 's' }, ''],
    ['half a key', { type: 'service_account', client_email: 'a@b' }, ''],
  ])('is missed where a secret was named that is %s', async (_, values, detail) => {
    const secret = { label: "the secret 'keys'", values: {}, files: [], named: true }
    await expect(findKey(values, secret)).rejects.toMatchObject({
      reason: 'credentials',
      advice: `The secret 'keys' holds none of GC_KEYFILE_DICT, GC_KEY_PATH, private_key with client_email${detail}.`,
    })
    expect(await findKey(values, { ...secret, named: false })).toBeUndefined()
  })

  it.each(['client_email', 'private_key_id', 'quota_project_id'])(
    'is refused where its %s holds a line break',
    async name => {
      await expect(findKey({ ...SERVICE_ACCOUNT, [name]: 'test\nadmin' })).rejects.toMatchObject({
        reason: 'credentials',
        advice: `${name} holds a line break or another invisible character: copy it anew.`,
      })
    },
  )

  it.each<[string, Record<string, string>, string, RegExp]>([
    [
      'a private key that is none',
      { ...SERVICE_ACCOUNT, private_key: 'secret-text' },
      'credentials',
      /not a PEM key/,
    ],
    ['text that is no JSON', { GC_KEYFILE_DICT: '{"type": ' }, 'credentials', /not JSON/],
    [
      'JSON of something else',
      { GC_KEYFILE_DICT: '{"type":"service_account"}' },
      'credentials',
      /service account/,
    ],
    [
      'a file that is not there',
      { GC_KEY_PATH: '/nowhere/secret-text.json' },
      'misconfigured',
      /cannot be read/,
    ],
  ])('is refused as %s, in words without any of it', async (_, values, reason, advice) => {
    const failure: unknown = await findKey(values).catch((error: unknown) => error)
    expect(failure).toMatchObject({ reason, advice: expect.stringMatching(advice) as string })
    expect((failure as { advice: string }).advice).not.toContain('secret-text')
  })
})
