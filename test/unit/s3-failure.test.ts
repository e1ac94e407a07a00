// Every failure that S3 and the SDK are known for, and what it is to the store.
import { describe, expect, it } from 'vitest'
import { ObjectFailure } from '../../src/store/object-client.ts'
import { KeysUnavailable, s3Failure } from '../../src/store/s3-failure.ts'

interface Answer {
  readonly status: number
  readonly code?: string
  readonly message?: string
  readonly more?: Readonly<Record<string, string>>
  readonly headers?: Readonly<Record<string, string>>
}

/** What the SDK throws for an answer. */
function answered({ status, code, message = '', more = {}, headers = {} }: Answer): Error {
  return Object.assign(new Error(message), {
    name: code ?? 'UnknownError',
    $metadata: { httpStatusCode: status },
    $response: { headers },
    ...(code !== undefined && { Code: code }),
    ...more,
  })
}

function coded(code: string, message = ''): Error {
  return Object.assign(new Error(message), { code })
}

const WEST = { 'x-amz-bucket-region': 'eu-west-1' }

describe('answers with a code', () => {
  it.each([
    [404, 'NoSuchKey', 'missing-object'],
    [404, 'NoSuchVersion', 'missing-object'],
    [404, 'NoSuchBucket', 'missing'],
    [412, 'PreconditionFailed', 'changed'],
    [416, 'InvalidRange', 'range'],
    [403, 'AccessDenied', 'denied'],
    [403, 'AllAccessDisabled', 'denied'],
    [403, 'AccountProblem', 'denied'],
    [403, 'InvalidAccessKeyId', 'credentials'],
    [403, 'SignatureDoesNotMatch', 'credentials'],
    [400, 'ExpiredToken', 'credentials'],
    [400, 'InvalidToken', 'credentials'],
    [403, 'InvalidTokenId', 'credentials'],
    [400, 'TokenRefreshRequired', 'credentials'],
    [400, 'AuthorizationHeaderMalformed', 'credentials'],
    [403, 'RequestTimeTooSkewed', 'clock'],
    [403, 'RequestExpired', 'clock'],
    [503, 'SlowDown', 'throttled'],
    [503, 'ServiceUnavailable', 'throttled'],
    [400, 'ThrottlingException', 'throttled'],
    [503, 'SlowDownRead', 'throttled'],
    [503, 'XMinioServerNotInitialized', 'unreachable'],
    [400, 'RequestTimeout', 'timeout'],
    [500, 'InternalError', 'interrupted'],
    [409, 'OperationAborted', 'interrupted'],
    [307, 'TemporaryRedirect', 'interrupted'],
    [403, 'InvalidObjectState', 'misconfigured'],
    [400, 'InvalidBucketName', 'misconfigured'],
    [501, 'NotImplemented', 'misconfigured'],
    [507, 'XMinioStorageFull', 'full'],
    [400, 'KMS.DisabledException', 'misconfigured'],
    [400, 'KMS.ThrottlingException', 'throttled'],
    [500, 'KMS.KMSInternalException', 'interrupted'],
    [400, 'NobodyKnowsThis', 'misconfigured'],
    [403, 'NobodyKnowsThis', 'denied'],
    [500, 'NobodyKnowsThis', 'interrupted'],
    [503, 'NobodyKnowsThis', 'throttled'],
  ])('%i %s is %s', (status, code, reason) => {
    expect(s3Failure(answered({ status, code }))).toMatchObject({ reason })
  })

  it.each([
    ['AccessDenied', /s3:ListBucket/],
    ['InvalidObjectState', /Glacier/],
    ['InvalidAccessKeyId', /unknown/],
    ['ExpiredToken', /expired/],
  ])('%s comes with what to do', (code, advice) => {
    expect(s3Failure(answered({ status: 403, code })).advice).toMatch(advice)
  })

  it('an InvalidRequest speaks of encryption only where its message does', () => {
    const advice = (message: string) =>
      s3Failure(answered({ status: 400, code: 'InvalidRequest', message })).advice
    expect(advice('The object was stored using a form of Server Side Encryption. The correct …')).toContain(
      'SSE-C',
    )
    expect(advice('The authorization mechanism you have provided is not supported.')).toBeUndefined()
  })

  it('an AccessDenied by KMS names the right that is missing', () => {
    const message = 'User: arn:aws:iam::1:user/x is not authorized to perform: kms:Decrypt on the resource'
    const failure = s3Failure(answered({ status: 403, code: 'AccessDenied', message }))
    expect(failure.reason).toBe('denied')
    expect(failure.advice).toContain('kms:Decrypt')
    expect(failure.advice).not.toContain('arn:')
  })
})

describe('the region of a bucket', () => {
  it.each([
    ['of a redirect, in its header', { status: 301, code: 'PermanentRedirect', headers: WEST }],
    ['of a redirect without a body', { status: 301, headers: WEST }],
    ['of a refusal without a body', { status: 400, headers: WEST }],
    [
      'of a header that names another',
      { status: 400, code: 'AuthorizationHeaderMalformed', more: { Region: 'eu-west-1' } },
    ],
    [
      'of a location that is illegal',
      { status: 400, code: 'IllegalLocationConstraintException', headers: WEST },
    ],
    [
      'of the host to use',
      { status: 301, code: 'PermanentRedirect', more: { Endpoint: 'b.s3-eu-west-1.amazonaws.com' } },
    ],
    [
      'of the host to use, as it is written today',
      { status: 301, code: 'PermanentRedirect', more: { Endpoint: 'b.s3.eu-west-1.amazonaws.com' } },
    ],
  ])('is taken out %s', (_, answer: Answer) => {
    expect(s3Failure(answered(answer))).toMatchObject({
      reason: 'region',
      advice: 'The bucket is in eu-west-1.',
      answer: { region: 'eu-west-1' },
    })
  })

  it('is not said where nobody knows it, and not repeated where it cannot be one', () => {
    const nowhere = s3Failure(answered({ status: 301, code: 'PermanentRedirect' }))
    expect(nowhere).toMatchObject({ reason: 'region', advice: undefined })
    const headers = { 'x-amz-bucket-region': '<script>' }
    expect(s3Failure(answered({ status: 301, code: 'PermanentRedirect', headers })).advice).toBeUndefined()
  })
})

describe('answers without a code', () => {
  it.each([
    [301, 'misconfigured'],
    [302, 'misconfigured'],
    [400, 'misconfigured'],
    [401, 'credentials'],
    [403, 'denied'],
    [404, 'misconfigured'],
    [407, 'misconfigured'],
    [408, 'timeout'],
    [412, 'changed'],
    [416, 'range'],
    [429, 'throttled'],
    [500, 'interrupted'],
    [502, 'unreachable'],
    [503, 'throttled'],
    [504, 'timeout'],
    [520, 'interrupted'],
  ])('%i is %s', (status, reason) => {
    expect(s3Failure(answered({ status }))).toMatchObject({ reason })
  })

  it('and successes that cannot be read are interrupted', () => {
    expect(s3Failure(answered({ status: 200 }))).toMatchObject({ reason: 'interrupted' })
    expect(s3Failure(new SyntaxError('anything'))).toMatchObject({ reason: 'interrupted' })
    expect(s3Failure(undefined)).toMatchObject({ reason: 'interrupted' })
  })
})

describe('no answer', () => {
  it('is what the network below says, also where the SDK renames it', () => {
    expect(s3Failure(coded('ECONNREFUSED'))).toMatchObject({ reason: 'unreachable' })
    const renamed = Object.assign(coded('ECONNREFUSED'), { name: 'TimeoutError' })
    expect(s3Failure(renamed)).toMatchObject({ reason: 'unreachable' })
  })
})

describe('the rest', () => {
  it('is aborted when the signal says so, whatever came of it', () => {
    const signal = AbortSignal.abort()
    for (const error of [
      new Error('x'),
      coded('ECONNRESET'),
      answered({ status: 503 }),
      new ObjectFailure('timeout'),
    ])
      expect(s3Failure(error, signal)).toMatchObject({ reason: 'aborted' })
  })

  it('stays what it is when it has been understood already', () => {
    const failure = new ObjectFailure('changed')
    expect(s3Failure(failure, new AbortController().signal)).toBe(failure)
  })

  it('of keys that cannot be had is told from the refusals of the bucket', () => {
    const denied = answered({ status: 403, code: 'AccessDenied' })
    expect(s3Failure(new KeysUnavailable('Why.', denied))).toMatchObject({
      reason: 'credentials',
      advice: 'Why.',
    })
    expect(s3Failure(new KeysUnavailable('Why.', coded('ECONNREFUSED')))).toMatchObject({
      reason: 'unreachable',
    })
  })

  it('waits as long as the answer asks', () => {
    const headers = { 'retry-after': '7' }
    expect(s3Failure(answered({ status: 503, code: 'SlowDown', headers })).retryAfterMs).toBe(7000)
  })
})
