// What a definition and its secret say together, in all the names that operators use.
import { describe, expect, it } from 'vitest'
import type { S3Definition } from '../../src/store/definition.ts'
import { s3Settings } from '../../src/store/s3-settings.ts'

const DEFINITION: S3Definition = {
  kind: 's3',
  name: 'data',
  readOnly: false,
  delivery: 'proxy',
  bucket: 'b',
  prefix: '',
  maxConnections: 8,
  signedUrlSeconds: 60,
  requesterPays: false,
}

const settings = (values: Record<string, string>, changes: Partial<S3Definition> = {}) =>
  s3Settings({ ...DEFINITION, ...changes }, values)

describe('keys', () => {
  it.each([
    ['AWS_ACCESS_KEY_ID', 'AWS_SECRET_ACCESS_KEY', 'AWS_SESSION_TOKEN'],
    ['AWS_ACCESS_KEY_ID', 'AWS_SECRET_ACCESS_KEY', 'AWS_SECURITY_TOKEN'],
    ['aws_access_key_id', 'aws_secret_access_key', 'aws_session_token'],
    ['access_key_id', 'secret_access_key', 'session_token'],
    ['access_key_id', 'secret_access_key', 'security_token'],
  ])('are found as %s, %s and %s', (id, secret, token) => {
    const keys = { accessKeyId: 'i', secretAccessKey: 's' }
    expect(settings({ [id]: ' i\n', [secret]: 's' }).keys).toEqual(keys)
    expect(settings({ [id]: 'i', [secret]: 's', [token]: 't' }).keys).toEqual({ ...keys, sessionToken: 't' })
  })

  it("are the SDK's business where there are none", () => {
    expect(settings({ AWS_REGION: 'eu-west-1', AWS_SESSION_TOKEN: 't' }).keys).toBeUndefined()
  })

  const named = { secret: { label: "the secret 'keys'", values: {}, files: [], named: true } }

  it.each<[string, Record<string, string>, string]>([
    ['is empty', {}, ''],
    ['has blank keys', { AWS_ACCESS_KEY_ID: ' ', AWS_SECRET_ACCESS_KEY: '' }, ''],
    ['has only settings', { AWS_REGION: 'eu-west-1', AWS_SESSION_TOKEN: 't' }, ''],
    ['has a switch in the place of a role', { AWS_ASSUME_ROLE: 'true' }, ''],
    ['is cut off', { 's3.json': '{ "AWS_ACCESS_KEY_ID": "AKIA1", ' }, " ('s3.json' is no valid JSON)"],
    [
      'has a comma too many',
      { AWS_REGION: 'a', 's3.json': '\ufeff{ "AWS_ACCESS_KEY_ID": "AKIA1", }' },
      " ('s3.json' is no valid JSON)",
    ],
    ['is that of another store', { client_email: 'a@b', private_key: 'pem' }, ''],
  ])("are never the SDK's business where a secret was named that %s", (_, values, detail) => {
    const refusal = {
      reason: 'credentials',
      advice: `The secret 'keys' holds none of AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_ROLE_ARN${detail}.`,
    }
    expect(() => settings(values, named)).toThrow(expect.objectContaining(refusal))
  })

  it("are the SDK's business where the secret that was named has a role to assume", () => {
    const { keys, role } = settings({ AWS_ROLE_ARN: 'arn:aws:iam::1:role/r' }, named)
    expect([keys, role?.arn]).toEqual([undefined, 'arn:aws:iam::1:role/r'])
  })

  it.each(['AWS_ACCESS_KEY_ID', 'AWS_SECRET_ACCESS_KEY', 'AWS_SESSION_TOKEN'])(
    'are refused where %s holds a character that nobody sees, without a word of it',
    name => {
      const keys = { AWS_ACCESS_KEY_ID: 'AKIA1', AWS_SECRET_ACCESS_KEY: 's', AWS_SESSION_TOKEN: 't' }
      for (const value of ['test\nadmin', 'test\u0000admin', 'test\u200badmin'])
        expect(() => settings({ ...keys, [name]: value })).toThrow(
          expect.objectContaining({
            reason: 'credentials',
            advice: `${name} holds a line break or another invisible character: copy it anew.`,
          }),
        )
    },
  )

  it.each([
    [{ AWS_ACCESS_KEY_ID: 'AKIA1' }, 'AWS_SECRET_ACCESS_KEY'],
    [{ secret_access_key: 's3cr3t', AWS_ACCESS_KEY_ID: '' }, 'AWS_ACCESS_KEY_ID'],
  ])('of which half is missing are refused: %o', (values, missing) => {
    const refusal = { reason: 'credentials', advice: expect.stringContaining(`no ${missing}`) as string }
    expect(() => settings(values)).toThrow(expect.objectContaining(refusal))
  })
})

describe('a role', () => {
  const ARN = 'arn:aws:iam::1:role/r'

  it.each(['AWS_ROLE_ARN', 'AWS_ASSUME_ROLE', 'role_arn'])('is found as %s', name => {
    expect(settings({ [name]: ARN }).role).toEqual({
      arn: ARN,
      sessionName: 'polyaxon-outputs',
      durationSeconds: undefined,
    })
  })

  it('has the name and duration of its sessions', () => {
    const role = settings({ AWS_ROLE_ARN: ARN, AWS_SESSION_NAME: 'me', AWS_SESSION_DURATION: '900' }).role
    expect(role).toEqual({ arn: ARN, sessionName: 'me', durationSeconds: 900 })
  })

  it('is none where only a switch is set, and refused where it is no ARN', () => {
    expect(settings({ AWS_ASSUME_ROLE: 'false' }).role).toBeUndefined()
    expect(() => settings({ AWS_ROLE_ARN: 'reader' })).toThrow(
      expect.objectContaining({ reason: 'misconfigured' }),
    )
  })
})

describe('the server', () => {
  it.each([
    [{}, {}, undefined, false],
    [{ AWS_ENDPOINT_URL: 'http://minio:9000' }, {}, 'http://minio:9000', true],
    [{ endpoint_url: 'minio:9000' }, {}, 'https://minio:9000', true],
    [{ AWS_ENDPOINT_URL: 'minio:9000', AWS_USE_SSL: 'False' }, {}, 'http://minio:9000', true],
    [{ AWS_ENDPOINT_URL: 'http://minio' }, { endpoint: 'https://ceph' }, 'https://ceph', true],
    [{ AWS_ENDPOINT_URL: 'http://minio' }, { pathStyle: false }, 'http://minio', false],
    [{}, { pathStyle: true }, undefined, true],
  ])('of %o and %o is %s', (values: Record<string, string>, changes, endpoint, pathStyle) => {
    expect(settings(values, changes)).toMatchObject({ endpoint, pathStyle })
  })

  it.each(['http://', 'ftp://minio', 'https://user:word@minio'])('is refused as %s', text => {
    const refusal = { reason: 'misconfigured', advice: expect.not.stringContaining(text) as string }
    expect(() => settings({ AWS_ENDPOINT_URL: text })).toThrow(expect.objectContaining(refusal))
  })

  it('has a public endpoint for signed URLs, else the same', () => {
    const own = settings({ AWS_ENDPOINT_URL: 'http://minio' })
    expect([own.publicEndpoint, own.publicPathStyle]).toEqual(['http://minio', true])
    const other = settings({}, { publicEndpoint: 'https://files.example.org' })
    expect([other.endpoint, other.pathStyle]).toEqual([undefined, false])
    expect([other.publicEndpoint, other.publicPathStyle]).toEqual(['https://files.example.org', true])
  })

  it('is in the region of the definition, else of the secret, else nobody knows', () => {
    expect(settings({ AWS_REGION: 'a' }, { region: 'b' }).region).toBe('b')
    expect(settings({ AWS_DEFAULT_REGION: 'd', AWS_REGION: 'a' }).region).toBe('a')
    expect(settings({ AWS_DEFAULT_REGION: 'd' }).region).toBe('d')
    expect(settings({}).region).toBeUndefined()
  })

  it.each(['eu-west-1\nadmin', 'eu west', 'http://minio'])('is in no region called %j', region => {
    const refusal = { reason: 'misconfigured', advice: expect.stringContaining('AWS_REGION') as string }
    expect(() => settings({ AWS_REGION: region })).toThrow(expect.objectContaining(refusal))
    expect(() => settings({}, { region })).toThrow(expect.objectContaining({ reason: 'misconfigured' }))
  })

  it('has its certificate checked and knows new lists, unless it is said', () => {
    expect(settings({})).toMatchObject({ verifyTls: true, legacyList: false })
    expect(settings({ AWS_VERIFY_SSL: 'no', AWS_LEGACY_API: '1' })).toMatchObject({
      verifyTls: false,
      legacyList: true,
    })
    for (const [text, verifyTls] of [
      ['no', true],
      ['yes', false],
    ] as const)
      expect(settings({ AWS_VERIFY_SSL: text }, { verifyTls }).verifyTls).toBe(verifyTls)
    expect(() => settings({ AWS_VERIFY_SSL: 'perhaps' })).toThrow(
      expect.objectContaining({ reason: 'misconfigured' }),
    )
  })
})
