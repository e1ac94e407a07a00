// What each error of the Blob service and of Microsoft Entra stands for.
import { describe, expect, it } from 'vitest'
import { azureFailure } from '../../src/store/azure-failure.ts'
import { ObjectFailure } from '../../src/store/object-client.ts'

interface Answer {
  readonly headers?: Readonly<Record<string, string>>
  readonly detail?: string
  /** More of the body. */
  readonly more?: string
}

/** The SDK's error for an answer; the body is what a GET would have. */
function refusal(
  status: number,
  code: string | undefined,
  { headers = {}, detail, more = '' }: Answer = {},
): Error {
  const all: Record<string, string> = {
    date: new Date().toUTCString(),
    ...(code !== undefined && { 'x-ms-error-code': code }),
    ...headers,
  }
  return Object.assign(new Error('refused'), {
    name: 'RestError',
    statusCode: status,
    code,
    request: {
      url: 'https://mine.blob.core.windows.net/c/b?sv=1&sig=SECRET',
      headers: { authorization: 'SECRET' },
    },
    response: {
      headers: { get: (name: string) => all[name] },
      bodyAsText:
        detail === undefined
          ? more
          : `<Error><AuthenticationErrorDetail>${detail}</AuthenticationErrorDetail></Error>`,
    },
  })
}

const socketError = (code: string): Error => Object.assign(new Error(code), { code })

describe('an answer of the Blob service', () => {
  it.each([
    [404, 'BlobNotFound', 'missing-object', undefined],
    [404, 'ContainerNotFound', 'missing', undefined],
    [409, 'ContainerBeingDeleted', 'missing', /being deleted/],
    [412, 'ConditionNotMet', 'changed', undefined],
    [416, 'InvalidRange', 'range', undefined],
    [403, 'AuthorizationFailure', 'denied', /network rules/],
    [403, 'AuthorizationPermissionMismatch', 'denied', /Storage Blob Data Reader/],
    [403, 'AuthorizationSourceIPMismatch', 'denied', /IP/],
    [403, 'AuthorizationProtocolMismatch', 'denied', /https/],
    [403, 'KeyBasedAuthenticationNotPermitted', 'denied', /account keys/],
    [403, 'InsufficientAccountPermissions', 'denied', undefined],
    [409, 'PublicAccessNotPermitted', 'credentials', /without keys/],
    [401, 'NoAuthenticationInformation', 'credentials', /without keys/],
    [401, 'InvalidAuthenticationInfo', 'credentials', /token/],
    [400, 'InvalidAuthenticationInfo', 'credentials', /token/],
    [403, 'AccountIsDisabled', 'misconfigured', /disabled/],
    [409, 'BlobArchived', 'misconfigured', /rehydrate/],
    [409, 'BlobBeingRehydrated', 'misconfigured', /hours/],
    [400, 'InvalidHeaderValue', 'misconfigured', undefined],
    [412, 'LeaseIdMissing', 'denied', /leased/],
    [503, 'ServerBusy', 'throttled', undefined],
    [429, 'TooManyRequests', 'throttled', undefined],
    [500, 'OperationTimedOut', 'timeout', undefined],
    [500, 'InternalError', 'unreachable', undefined],
    [504, undefined, 'timeout', undefined],
    [404, undefined, 'misconfigured', /not the Blob service/],
    [302, undefined, 'misconfigured', /not the Blob service/],
    [400, 'InvalidResourceName', 'misconfigured', undefined],
  ] as const)('%i %s is %s', (status, code, reason, advice) => {
    const failure = azureFailure(refusal(status, code))
    expect(failure.reason).toBe(reason)
    if (advice === undefined) expect(failure.advice).toBeUndefined()
    else expect(failure.advice).toMatch(advice)
  })

  it.each([
    ['the service', '<HeaderName>x-ms-version</HeaderName><HeaderValue>2026-10-06</HeaderValue>', /version/],
    [
      'Azurite',
      '<Message>The API version 2026-10-06 is not supported by Azurite. Please upgrade</Message>',
      /version/,
    ],
    [
      'the service of another header',
      '<HeaderName>x-ms-range</HeaderName><HeaderValue>x-ms-version</HeaderValue>',
      undefined,
    ],
  ])('400 InvalidHeaderValue is about the version where %s says so', (_, elements, advice) => {
    const { reason, advice: given } = azureFailure(
      refusal(400, 'InvalidHeaderValue', {
        more: `<Error><Code>InvalidHeaderValue</Code>${elements}</Error>`,
      }),
    )
    expect(reason).toBe('misconfigured')
    if (advice === undefined) expect(given).toBeUndefined()
    else expect(given).toMatch(advice)
  })

  it.each([
    ['InvalidResourceName', {}],
    ['InvalidUri', {}],
    ['OutOfRangeInput', {}],
    [undefined, { server: 'Microsoft-HTTPAPI/2.0' }],
  ])('400 %s says of an object that there is none, and of a container that it is wrong', (code, headers) => {
    expect(azureFailure(refusal(400, code, { headers }), 'object').reason).toBe('missing-object')
    expect(azureFailure(refusal(400, code, { headers })).reason).toBe('misconfigured')
  })

  it('400 of another web server is no missing object', () => {
    const headers = { server: 'nginx' }
    expect(azureFailure(refusal(400, undefined, { headers }), 'object').reason).toBe('misconfigured')
  })

  const frame = (start: string, expiry: string): string =>
    `Signature not valid in the specified time frame: Start [${start}] - Expiry [${expiry}] - Current [Tue, 24 Nov 2026 12:00:00 GMT]`

  it.each([
    [
      'a wrong key',
      "The MAC signature found in the HTTP request 'x' is not the same as any computed",
      'credentials',
      /wrong/,
    ],
    ['a wrong SAS token', 'Signature did not match. String to sign used was r', 'credentials', /wrong/],
    [
      'an expired SAS token',
      frame('Mon, 23 Nov 2026 12:00:00 GMT', 'Tue, 24 Nov 2026 11:00:00 GMT'),
      'credentials',
      /expired/,
    ],
    [
      'a SAS token for later',
      frame('Tue, 24 Nov 2026 13:00:00 GMT', 'Tue, 24 Nov 2026 14:00:00 GMT'),
      'credentials',
      /not valid yet/,
    ],
    ['a wrong clock', "Request date header too old: 'Fri, 04 Oct 2019 18:02:12 GMT'", 'clock', undefined],
    ['a token for others', 'Issuer validation failed. Issuer did not match.', 'credentials', /token/],
  ] as const)('403 AuthenticationFailed tells %s by its detail', (_, detail, reason, advice) => {
    const failure = azureFailure(refusal(403, 'AuthenticationFailed', { detail }))
    expect(failure.reason).toBe(reason)
    if (advice !== undefined) expect(failure.advice).toMatch(advice)
  })

  it.each([
    'tenant/audience.txt',
    'lifetime validation failed',
    'Request date header too old',
    'Expiry [Mon, 23 Nov 2026 12:00:00 GMT] - Current [Tue, 24 Nov 2026 12:00:00 GMT]',
  ])('403 AuthenticationFailed is not told by the words of a name that was signed: %s', name => {
    const details = [
      `Signature did not match. String to sign used was r /blob/mine/c/${name}`,
      `The MAC signature found in the HTTP request 'x' is not the same as any computed signature. Server used following string to sign: 'GET /mine/c/${name}'.`,
    ]
    for (const detail of details)
      expect(azureFailure(refusal(403, 'AuthenticationFailed', { detail }))).toMatchObject({
        reason: 'credentials',
        advice: expect.stringMatching(/wrong/) as string,
      })
  })

  it.each([
    ['a wrong clock by the date of the answer', 3600_000, 'clock'],
    ['a wrong key where the clocks agree', 60_000, 'credentials'],
  ])('403 AuthenticationFailed to HEAD, which has no detail, tells %s', (_, skewMs, reason) => {
    const headers = { date: new Date(Date.now() - skewMs).toUTCString() }
    expect(azureFailure(refusal(403, 'AuthenticationFailed', { headers })).reason).toBe(reason)
  })

  it.each([
    [{ 'retry-after': '3' }, 3000],
    [{ 'x-ms-retry-after-ms': '250', 'retry-after': '1' }, 250],
    [{}, undefined],
  ])('with %j asks to be left alone for %s ms', (headers, retryAfterMs) => {
    expect(azureFailure(refusal(503, 'ServerBusy', { headers })).retryAfterMs).toBe(retryAfterMs)
  })
})

describe('an error of the network', () => {
  it('is what the network says, and interrupted where that says nothing', () => {
    expect(azureFailure(socketError('ECONNREFUSED')).reason).toBe('unreachable')
    expect(azureFailure(socketError('PARSE_ERROR')).reason).toBe('interrupted')
  })

  it('that is a failure already stays as it is', () => {
    const failure = new ObjectFailure('region')
    expect(azureFailure(failure)).toBe(failure)
  })
})

describe('an error of an identity', () => {
  const refusedBy = (status: number, codes: number[]): Error =>
    Object.assign(new Error('AADSTS'), {
      name: 'AuthenticationError',
      statusCode: status,
      errorResponse: { error: 'invalid_client', errorDescription: '', errorCodes: codes },
    })
  const aggregate = (...errors: Error[]): Error =>
    Object.assign(new Error('none'), { name: 'AggregateAuthenticationError', errors })
  const unavailable = Object.assign(new Error('no', { cause: socketError('ECONNREFUSED') }), {
    name: 'CredentialUnavailableError',
  })

  it.each([
    ['no identity around', unavailable, 'credentials', /no identity/],
    ['a chain without any', aggregate(unavailable, unavailable), 'credentials', /no identity/],
    [
      'a chain with a refused one',
      aggregate(unavailable, refusedBy(401, [700016])),
      'credentials',
      /refuses/,
    ],
    ['a wrong client secret', refusedBy(401, [7000215]), 'credentials', /refuses/],
    ['an expired client secret', refusedBy(401, [7000222]), 'credentials', /expired/],
    ['Entra in trouble', refusedBy(503, []), 'unreachable', undefined],
  ] as const)('for %s', (_, error, reason, advice) => {
    const failure = azureFailure(error)
    expect(failure.reason).toBe(reason)
    if (advice !== undefined) expect(failure.advice).toMatch(advice)
  })
})
