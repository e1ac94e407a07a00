// What is sent to S3: the headers that definitions ask for, and whose keys sign.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { S3Definition } from '../../src/store/definition.ts'
import { s3Objects } from '../../src/store/s3.ts'
import { KEYS, ScriptedS3, type Script, type SeenRequest } from '../support/scripted-s3.ts'
import { s3Server } from '../support/store-s3.ts'

const NONE = new AbortController().signal
const SIGN = { disposition: 'inline', mediaType: 'text/plain', expiresInSeconds: 60 }

let s3: ScriptedS3

beforeEach(async () => {
  s3 = await ScriptedS3.start()
})
afterEach(() => s3.close())

/** What every call of the driver sends, and the signed URL. */
async function everything(changes: Partial<S3Definition>): Promise<{ requests: SeenRequest[]; signed: URL }> {
  const pin = s3.put('a', 'a')
  const client = await s3.connect(changes)
  await client.list({ prefix: '', delimiter: '/', maxKeys: 10 }, NONE)
  await client.head('a', NONE)
  const body = await client.get('a', { start: 0, end: 1, pin }, NONE)
  await body[Symbol.asyncIterator]().return?.()
  const accepted: Script = (_, response) => void response.writeHead(200, { etag: '"b"' }).end()
  s3.next(accepted, accepted)
  await client.put('b', Buffer.from('b'), {}, NONE)
  await client.remove('b', NONE)
  const signed = new URL((await client.signedUrl('a', SIGN, NONE))!)
  client.close()
  expect(s3.methods()).toEqual(['GET', 'HEAD', 'GET', 'PUT', 'DELETE'])
  return { requests: s3.requests, signed }
}

describe('every request', () => {
  it('names the owner that the bucket must have, and who pays, where that is configured', async () => {
    const { requests, signed } = await everything({
      expectedBucketOwner: '123456789012',
      requesterPays: true,
    })
    for (const { headers } of requests) {
      expect(headers['x-amz-expected-bucket-owner']).toBe('123456789012')
      expect(headers['x-amz-request-payer']).toBe('requester')
    }
    expect(signed.searchParams.get('x-amz-expected-bucket-owner')).toBe('123456789012')
    expect(signed.searchParams.get('x-amz-request-payer')).toBe('requester')
  })

  it('says nothing of them otherwise, and nothing of checksums and encryption that nobody asked for', async () => {
    const { requests, signed } = await everything({})
    for (const { headers } of requests) {
      expect(headers).not.toHaveProperty('x-amz-expected-bucket-owner')
      expect(headers).not.toHaveProperty('x-amz-request-payer')
      expect(headers).not.toHaveProperty('x-amz-server-side-encryption')
      expect(headers['x-amz-checksum-mode']).toBe(headers === requests[1]!.headers ? 'ENABLED' : undefined)
      // Of what is written; a zip takes the checksum over.
      const checksums = Object.keys(headers).filter(name => /^x-amz-(sdk-)?checksum-(?!mode)/.test(name))
      expect(checksums).toEqual(headers === requests[3]!.headers ? ['x-amz-checksum-crc32'] : [])
    }
    expect([...signed.searchParams.keys()].filter(name => /owner|payer|checksum/i.test(name))).toEqual([])
  })

  it('encrypts what is written with the key that is configured', async () => {
    const { requests } = await everything({ kmsKeyId: 'key-1' })
    const encrypted = requests.filter(({ headers }) => headers['x-amz-server-side-encryption'] !== undefined)
    expect(encrypted.map(({ method }) => method)).toEqual(['PUT'])
    expect(encrypted[0]!.headers).toMatchObject({
      'x-amz-server-side-encryption': 'aws:kms',
      'x-amz-server-side-encryption-aws-kms-key-id': 'key-1',
    })
  })
})

describe('a write with the etag that must be there', () => {
  it('fails with changed where the object is gone, which AWS says by 404', async () => {
    const client = await s3.connect({})
    const gone: Script = (_, response) =>
      void response
        .writeHead(404, { 'content-type': 'application/xml', 'x-amz-request-id': '1' })
        .end('<?xml version="1.0"?><Error><Code>NoSuchKey</Code><Message>gone</Message></Error>')
    s3.next(gone, gone)
    const request = { condition: { type: 'etag', etag: 'old' } } as const
    const changed = { reason: 'changed' }
    await expect(client.put('a', Buffer.from('a'), request, NONE)).rejects.toMatchObject(changed)
    const receipt = JSON.stringify({ ETag: '"part"' })
    const upload = { key: 'a', id: 'upload' }
    await expect(client.complete(upload, [receipt], request, NONE)).rejects.toMatchObject(changed)
    client.close()
  })
})

describe('keys', () => {
  let folder: string
  let environment: NodeJS.ProcessEnv

  beforeEach(() => {
    environment = { ...process.env }
    folder = mkdtempSync(join(tmpdir(), 's3-chain-'))
    for (const name of Object.keys(process.env))
      if (name.startsWith('AWS_')) Reflect.deleteProperty(process.env, name)
    Object.assign(process.env, {
      HOME: folder,
      AWS_CONFIG_FILE: join(folder, 'config'),
      AWS_SHARED_CREDENTIALS_FILE: join(folder, 'credentials'),
      AWS_EC2_METADATA_DISABLED: 'true',
    })
  })
  afterEach(() => {
    process.env = environment
    rmSync(folder, { recursive: true })
  })

  const list = async (values: Readonly<Record<string, string>>): Promise<SeenRequest> => {
    const client = await s3.connect({}, values)
    try {
      await client.list({ prefix: '', delimiter: '/', maxKeys: 10 }, NONE)
    } finally {
      client.close()
    }
    return s3.requests.at(-1)!
  }

  it("of the surroundings are all that is taken from there: the server is the definition's", async () => {
    const elsewhere = { AWS_ENDPOINT_URL_S3: s3.endpoint, AWS_ENDPOINT_URL: s3.endpoint }
    Object.assign(process.env, elsewhere)
    const { endpoint: _, ...definition } = s3.definition({ region: 'eu-west-1' })
    const timeouts = { connectMs: 1000, headersMs: 1000, idleMs: 1000 }
    const client = await s3Objects(definition)({ values: KEYS, timeouts })
    const url = new URL((await client.signedUrl('a', SIGN, NONE))!)
    expect(url.host).toBe('scripted-bucket.s3.eu-west-1.amazonaws.com')
    client.close()
  })

  it('that are nowhere to be found are told so', async () => {
    await expect(list({})).rejects.toMatchObject({
      reason: 'credentials',
      advice: 'No access keys were found: name a secret, or give the service a role.',
    })
    expect(s3.requests).toEqual([])
  })

  it('are those of the surroundings where there is no secret, and of the secret where there is one', async () => {
    Object.assign(process.env, { AWS_ACCESS_KEY_ID: 'AKIAAROUND', AWS_SECRET_ACCESS_KEY: 'x' })
    expect((await list({})).headers.authorization).toContain('Credential=AKIAAROUND/')
    expect((await list(KEYS)).headers.authorization).toContain('Credential=AKIAGOOD/')
  })

  it('come with their session token', async () => {
    const { headers } = await list({ ...KEYS, AWS_SECURITY_TOKEN: 'session' })
    expect(headers['x-amz-security-token']).toBe('session')
  })

  const moto = s3Server('moto')
  it.skipIf(moto === undefined)(
    'are those of a role where one is to be assumed (needs TEST_MOTO)',
    async () => {
      process.env['AWS_ENDPOINT_URL_STS'] = moto!.endpoint
      const { headers } = await list({ ...KEYS, AWS_ROLE_ARN: 'arn:aws:iam::123456789012:role/reader' })
      expect(headers.authorization).toMatch(/Credential=ASIA\w+\//)
      expect(headers['x-amz-security-token']).toBeTruthy()
    },
  )

  it('of a role that cannot be assumed are told so, or that nobody answers', async () => {
    const role = { ...KEYS, AWS_ROLE_ARN: 'arn:aws:iam::123456789012:role/reader' }
    process.env['AWS_ENDPOINT_URL_STS'] = `http://127.0.0.1:${s3.port}`
    s3.next((_, response) => {
      response.writeHead(403, { 'content-type': 'text/xml' })
      response.end(
        '<ErrorResponse><Error><Type>Sender</Type><Code>AccessDenied</Code><Message>no</Message></Error></ErrorResponse>',
      )
    })
    await expect(list(role)).rejects.toMatchObject({
      reason: 'credentials',
      advice: expect.stringContaining('role cannot be assumed') as string,
    })
    process.env['AWS_ENDPOINT_URL_STS'] = 'http://127.0.0.1:1'
    await expect(list(role)).rejects.toMatchObject({ reason: 'unreachable' })
  })
})
