// What is kept of an error, and how long a server asks to be left alone.
import { inspect } from 'node:util'
import { describe, expect, it } from 'vitest'
import { failureOf, parseRetryAfter, withoutSecrets } from '../../src/store/object-verdict.ts'

describe('Retry-After', () => {
  it.each([
    ['7', 7000],
    ['0', 0],
    ['soon', undefined],
    ['-1', 0],
    ['Wed, 21 Oct 2015 07:28:00 GMT', 0],
    [undefined, undefined],
  ])('%j is %s ms', (text, ms) => {
    expect(parseRetryAfter(text)).toBe(ms)
  })

  it('may be a date', () => {
    const ms = parseRetryAfter(new Date(Date.now() + 60_000).toUTCString())
    expect(ms).toBeGreaterThan(57_000)
    expect(ms).toBeLessThanOrEqual(60_000)
  })
})

describe('what is kept of an error', () => {
  it('is its name, code, message, stack and causes, and nothing else', () => {
    const error = Object.assign(new Error('refused', { cause: new Error('below') }), {
      name: 'RestError',
      code: 'AuthenticationFailed',
      request: { headers: { authorization: 'hidden' } },
      $response: { body: 'hidden' },
    })
    const kept = withoutSecrets(error)
    expect(kept).toMatchObject({
      name: 'RestError',
      code: 'AuthenticationFailed',
      message: 'refused',
      cause: { message: 'below' },
    })
    expect(kept.stack).toMatch(/^RestError: refused\n +at .*object-verdict\.test\.ts/)
    expect(inspect(kept, { depth: Infinity, showHidden: true })).not.toContain('hidden')
  })

  it.each([
    [
      'a signed URL',
      'GET https://h.example/c/b?sv=1&sig=SECRET%3D failed',
      'GET https://h.example/c/b?*** failed',
    ],
    ['the user of a proxy', 'by http://me:SECRET@proxy:3128', 'by http://***@proxy:3128'],
    ['a bearer token', 'sent Bearer SECRET, refused', 'sent Bearer ***, refused'],
    ['a shared key', 'sent SharedKey account:SECRET', 'sent SharedKey ***'],
    ['a parameter', 'a=1&X-Amz-Signature=SECRET&b=2', 'a=1&X-Amz-Signature=***&b=2'],
    ['a setting', 'AccountName=a;AccountKey=SECRET;B=c', 'AccountName=a;AccountKey=***;B=c'],
    ['a member of JSON', '{"access_token": "SECRET", "a": 1}', '{"access_token": "***", "a": 1}'],
    ['a header', 'x-amz-security-token: SECRET\r\nhost: h', 'x-amz-security-token: ***\r\nhost: h'],
    ['an authorization', 'authorization: AWS4 SECRET, x', 'authorization: ***'],
    ['a JSON web token', 'got eyJhbGciOi.SECRET-._', 'got ***'],
    [
      'a private key',
      'x -----BEGIN RSA PRIVATE KEY-----\nSECRET\n-----END RSA PRIVATE KEY----- y',
      'x *** y',
    ],
    ['half a private key', '"-----BEGIN PRIVATE KEY-----\nSECRET', '"***'],
    ['anything that looks like a key', `key ${'SECRET+/'.repeat(5)}= is wrong`, 'key *** is wrong'],
  ])('has no %s', (_, message, masked) => {
    const kept = withoutSecrets(new Error(message, { cause: new Error(message) }))
    expect(kept.message).toBe(masked)
    expect(inspect(kept, { depth: Infinity, showHidden: true })).not.toContain('SECRET')
    expect(withoutSecrets(message).message).toBe(masked)
  })

  it('has what support and operators look for', () => {
    const message =
      'connect ECONNREFUSED 10.0.0.7:9000; bucket.s3.eu-central-1.amazonaws.com; RequestId:3f2504e0-4f89-41d3-9a0c-0305e82c3301'
    expect(withoutSecrets(new Error(message)).message).toBe(message)
  })

  it('is short, and ends where causes go in a circle', () => {
    const error = new Error('word '.repeat(10_000))
    error.cause = error
    expect(inspect(withoutSecrets(error), { depth: Infinity }).length).toBeLessThan(20_000)
  })

  it.each(['a-', 'https://', 'token', '-----BEGIN ', 'eyJ', '="', '   at x\n'])(
    'takes no time where a whole answer of %j over and over is its message',
    text => {
      const begunAtMs = performance.now()
      withoutSecrets(new Error(text.repeat(500_000)))
      expect(performance.now() - begunAtMs).toBeLessThan(1000)
    },
  )

  it('is the cause of the failure', () => {
    const failure = failureOf({ reason: 'denied', advice: 'Ask.' }, new Error('Bearer SECRET'), 5)
    expect(failure).toMatchObject({
      reason: 'denied',
      advice: 'Ask.',
      retryAfterMs: 5,
      cause: { message: 'Bearer ***' },
    })
  })
})
