// Every failure that Cloud Storage and the libraries below are known for, as a reason.
import { describe, expect, it } from 'vitest'
import { gcsFailure, type GcsFault } from '../../src/store/gcs-failure.ts'
import { ObjectFailure, type FailureReason } from '../../src/store/object-client.ts'

type Answer = Extract<GcsFault, { stage: 'answer' }>

function answered(status: number, body: unknown, changes: Partial<Answer> = {}): ObjectFailure {
  const text = typeof body === 'string' ? body : JSON.stringify(body)
  return gcsFailure({
    stage: 'answer',
    subject: 'object',
    status,
    retryAfter: undefined,
    body: text,
    ...changes,
  })
}

const jsonError = (code: number, reason: string, message: string) => ({
  error: { code, message, errors: [{ domain: 'global', reason, message }] },
})

const withCode = (code: string) => Object.assign(new Error('socket text 10.0.0.7'), { code })

describe('an answer', () => {
  it.each<[status: number, body: unknown, reason: FailureReason, advice?: RegExp]>([
    [404, jsonError(404, 'notFound', 'No such object: b/k'), 'missing-object'],
    [404, 'No such object: b/k', 'missing-object'],
    [404, '', 'missing-object'],
    [404, jsonError(404, 'notFound', 'The specified bucket does not exist.'), 'missing'],
    [404, 'The specified bucket does not exist.', 'missing'],
    [404, '<Error><Code>NoSuchBucket</Code></Error>', 'missing'],
    [412, jsonError(412, 'conditionNotMet', 'At least one …'), 'changed'],
    [416, 'Request range not satisfiable', 'range'],
    [304, '', 'interrupted'],
    [302, '<a href="http://portal/login">', 'interrupted'],
    [401, jsonError(401, 'authError', 'Invalid Credentials'), 'credentials'],
    [
      401,
      jsonError(401, 'required', 'Anonymous caller does not have storage.objects.get access'),
      'credentials',
      /without keys/,
    ],
    [
      401,
      'Anonymous caller does not have storage.objects.get access to the Google Cloud Storage object.',
      'credentials',
      /without keys/,
    ],
    [
      403,
      jsonError(
        403,
        'forbidden',
        'sa@p.iam.gserviceaccount.com does not have storage.objects.list access to the bucket.',
      ),
      'denied',
      /^The account lacks storage\.objects\.list\.$/,
    ],
    [
      403,
      'sa@p.iam.gserviceaccount.com does not have storage.objects.get access',
      'denied',
      /lacks storage\.objects\.get\.$/,
    ],
    [403, jsonError(403, 'forbidden', 'Forbidden'), 'denied'],
    [403, jsonError(403, 'accessNotConfigured', 'Access Not Configured.'), 'misconfigured', /not enabled/],
    [
      403,
      {
        error: {
          message: 'Cloud Storage JSON API has not been used in project 12 before or it is disabled.',
          details: [{ reason: 'SERVICE_DISABLED' }],
        },
      },
      'misconfigured',
      /not enabled/,
    ],
    [
      403,
      jsonError(
        403,
        'accountDisabled',
        'The billing account for the owning project is disabled in state absent',
      ),
      'misconfigured',
      /billing/,
    ],
    [
      403,
      'The project to be billed is associated with a closed billing account.',
      'misconfigured',
      /billing/,
    ],
    [
      403,
      'sa@p does not have serviceusage.services.use access to the Google Cloud project.',
      'denied',
      /serviceusage\.services\.use/,
    ],
    [403, jsonError(403, 'insufficientPermissions', 'Insufficient Permission'), 'denied', /scope/],
    [
      403,
      jsonError(403, 'vpcServiceControls', 'Request is prohibited by organization’s policy.'),
      'denied',
      /perimeter/,
    ],
    [403, jsonError(403, 'rateLimitExceeded', 'Rate Limit Exceeded'), 'throttled'],
    [403, jsonError(403, 'userRateLimitExceeded', 'User Rate Limit Exceeded'), 'throttled'],
    [403, jsonError(403, 'quotaExceeded', 'Quota exceeded'), 'throttled'],
    [
      400,
      jsonError(400, 'required', 'Bucket is a requester pays bucket but no user project provided.'),
      'misconfigured',
      /requester pays/,
    ],
    [
      400,
      jsonError(400, 'required', 'Bucket is requester pays bucket but no user project provided.'),
      'misconfigured',
      /requester pays/,
    ],
    [400, jsonError(400, 'invalid', 'Invalid bucket name: B_'), 'misconfigured'],
    [
      400,
      jsonError(
        400,
        'resourceIsEncryptedWithCustomerEncryptionKey',
        'The target object is encrypted by a customer-supplied encryption key.',
      ),
      'misconfigured',
      /encrypted/,
    ],
    [
      400,
      jsonError(400, 'invalid', "Disallowed unicode characters present in object name 'a'"),
      'missing-object',
    ],
    [
      400,
      'The maximum object length is 1024 characters, but got a name with 1100 characters.',
      'missing-object',
    ],
    [405, '', 'misconfigured'],
    [408, '', 'timeout'],
    [409, '', 'interrupted'],
    [429, jsonError(429, 'rateLimitExceeded', 'The object exceeded the rate limit'), 'throttled'],
    [500, jsonError(500, 'internalError', 'We encountered an internal error'), 'unreachable'],
    [502, '<html>Bad Gateway</html>', 'unreachable'],
    [503, jsonError(503, 'backendError', 'Backend Error'), 'unreachable'],
    [504, '', 'timeout'],
  ])('%i %j is %s', (status, body, reason, advice) => {
    const failure = answered(status, body)
    expect(failure.reason).toBe(reason)
    if (advice === undefined) expect(failure.advice).toBeUndefined()
    else expect(failure.advice).toMatch(advice)
  })

  /** Names of accounts, buckets and objects in which the words of other refusals occur. */
  const named = (name: string): readonly [status: number, body: unknown, expected: object][] => [
    [404, `No such object: ${name}/${name}`, { reason: 'missing-object', advice: undefined }],
    [
      404,
      jsonError(404, 'notFound', `No such object: ${name}/${name}`),
      { reason: 'missing-object', advice: undefined },
    ],
    [
      403,
      jsonError(
        403,
        'forbidden',
        `${name.replaceAll(' ', '-')}@p.iam.gserviceaccount.com does not have storage.objects.get access to ${name}/${name}. Permission 'storage.objects.get' denied on resource (or it may not exist).`,
      ),
      { reason: 'denied', advice: 'The account lacks storage.objects.get.' },
    ],
    [
      403,
      `${name.replaceAll(' ', '-')}@p.iam.gserviceaccount.com does not have storage.objects.get access to ${name}.`,
      { reason: 'denied', advice: 'The account lacks storage.objects.get.' },
    ],
    [403, `Access to ${name} is denied.`, { reason: 'denied', advice: undefined }],
    [400, `Bad value: ${name}`, { reason: 'misconfigured', advice: undefined }],
  ]

  it.each([
    'The specified bucket does not exist.',
    'NoSuchBucket',
    'billing-prod',
    'rateLimitExceeded',
    'requester pays bucket but no user project',
    'x does not have serviceusage.services.use access',
    'SERVICE_DISABLED',
    'insufficientPermissions',
    'vpcServiceControls',
    'customerEncryptionKey',
    'Disallowed unicode characters present in object name',
    '<Error><Code>NoSuchBucket</Code></Error>',
    '{"error":{"errors":[{"reason":"accountDisabled"}]}}',
  ])('is not told by the words of a name: %s', name => {
    for (const [status, body, expected] of named(name)) expect(answered(status, body)).toMatchObject(expected)
  })

  it('is told by whole reasons only', () => {
    for (const reason of ['notaccountDisabled', 'accountDisabledLater'])
      expect(answered(403, jsonError(403, reason, ''))).toMatchObject({ reason: 'denied', advice: undefined })
  })

  it('that a name cannot be one of an object concerns objects only', () => {
    const body = jsonError(400, 'invalid', 'Disallowed unicode characters present in object name')
    expect(answered(400, body, { subject: 'bucket' }).reason).toBe('misconfigured')
  })

  it('404 for a request that names only the bucket is a missing bucket, whatever its text', () => {
    expect(answered(404, jsonError(404, 'notFound', 'Not Found'), { subject: 'bucket' }).reason).toBe(
      'missing',
    )
  })

  it('says how long the service asks to be left alone', () => {
    expect(answered(503, '', { retryAfter: '7' }).retryAfterMs).toBe(7000)
  })

  it('gives clients none of its text', () => {
    const { advice } = answered(403, 'sa@secret-project.iam does not have storage.objects.get access to b/k')
    expect(advice).not.toMatch(/secret-project|b\/k/)
  })
})

describe('no answer', () => {
  it('is what the network below says, and interrupted where that says nothing', () => {
    const of = (error: unknown) => gcsFailure({ stage: 'transport', error })
    expect(of(withCode('ECONNREFUSED'))).toMatchObject({
      reason: 'unreachable',
      cause: { code: 'ECONNREFUSED' },
    })
    expect(of(new Error('x'))).toMatchObject({ reason: 'interrupted' })
  })

  it('because of an abort or a timeout of ours stays that', () => {
    for (const reason of ['aborted', 'timeout'] as const)
      expect(gcsFailure({ stage: 'transport', error: new ObjectFailure(reason) }).reason).toBe(reason)
  })
})

/** As gaxios reports the answer of a token endpoint. */
function refused(status: number, error: string, description: string): Error {
  const data = { error, error_description: description }
  return Object.assign(new Error(`${error}: ${description}`), {
    status,
    code: String(status),
    response: { status, data },
  })
}

describe('no access token', () => {
  it.each<[error: Error, reason: FailureReason, advice?: RegExp]>([
    [
      refused(
        400,
        'invalid_grant',
        'Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe. Check your iat and exp values in the JWT claim.',
      ),
      'clock',
    ],
    [refused(400, 'invalid_grant', 'Invalid JWT Signature.'), 'credentials', /deleted or replaced/],
    [refused(400, 'invalid_grant', 'Invalid grant: account not found'), 'credentials', /account/],
    [
      refused(400, 'invalid_grant', 'Token has been expired or revoked.'),
      'credentials',
      /expired or was revoked/,
    ],
    [
      refused(400, 'invalid_grant', 'reauth related error (invalid_rapt)'),
      'credentials',
      /expired or was revoked/,
    ],
    [refused(400, 'invalid_grant', 'Bad Request'), 'credentials'],
    [refused(401, 'invalid_client', 'The OAuth client was not found.'), 'credentials'],
    [refused(401, 'deleted_client', 'The OAuth client was deleted.'), 'credentials', /deleted or disabled/],
    [
      refused(400, 'invalid_scope', 'Invalid OAuth scope or ID token audience provided.'),
      'misconfigured',
      /scopes/,
    ],
    [refused(429, 'rate_limited', ''), 'throttled'],
    [refused(503, 'unavailable', ''), 'unreachable'],
    [
      new Error('Could not load the default credentials. Browse to https://… for more information.'),
      'credentials',
      /no secret/,
    ],
    [
      Object.assign(new Error('Could not refresh access token: Not Found'), {
        response: { status: 404, data: '' },
      }),
      'credentials',
      /metadata server/,
    ],
    [withCode('ENOTFOUND'), 'unreachable', /access tokens/],
    [withCode('ECONNRESET'), 'unreachable', /access tokens/],
    [
      Object.assign(new Error('request failed'), { cause: withCode('ECONNREFUSED') }),
      'unreachable',
      /access tokens/,
    ],
    [Object.assign(new Error('signal timed out'), { name: 'TimeoutError' }), 'timeout', /access tokens/],
    [new Error('Cannot sign data without `client_email`.'), 'credentials'],
  ])('because of %s is %s', (error, reason, advice) => {
    const failure = gcsFailure({ stage: 'token', error })
    expect(failure.reason).toBe(reason)
    if (advice === undefined) expect(failure.advice).toBeUndefined()
    else expect(failure.advice).toMatch(advice)
  })
})
