// Every failure below HTTP, as a reason, for all object stores alike.
import { describe, expect, it } from 'vitest'
import { networkVerdict } from '../../src/store/object-network.ts'

const coded = (code: string): Error => Object.assign(new Error('socket text 10.0.0.7'), { code })

describe('an error of the network', () => {
  it.each([
    ['ECONNREFUSED', 'unreachable', undefined],
    ['ENOTFOUND', 'unreachable', /name of its host/],
    ['EAI_AGAIN', 'unreachable', /name of its host/],
    ['EHOSTUNREACH', 'unreachable', undefined],
    ['ENETUNREACH', 'unreachable', undefined],
    ['EMFILE', 'unreachable', undefined],
    ['ERR_PROXY_TUNNEL', 'unreachable', /proxy/],
    ['ETIMEDOUT', 'timeout', undefined],
    ['ERR_SOCKET_CONNECTION_TIMEOUT', 'timeout', undefined],
    ['ECONNRESET', 'interrupted', undefined],
    ['EPIPE', 'interrupted', undefined],
    ['ERR_STREAM_PREMATURE_CLOSE', 'interrupted', undefined],
    ['HPE_INVALID_CHUNK_SIZE', 'interrupted', undefined],
    ['HPE_INVALID_CONSTANT', 'misconfigured', /HTTP/],
    ['UNABLE_TO_VERIFY_LEAF_SIGNATURE', 'misconfigured', /caFile/],
    ['UNABLE_TO_GET_ISSUER_CERT_LOCALLY', 'misconfigured', /caFile/],
    ['SELF_SIGNED_CERT_IN_CHAIN', 'misconfigured', /caFile/],
    ['DEPTH_ZERO_SELF_SIGNED_CERT', 'misconfigured', /caFile/],
    ['CERT_UNTRUSTED', 'misconfigured', /caFile/],
    ['CERT_HAS_EXPIRED', 'misconfigured', /expired/],
    ['CERT_NOT_YET_VALID', 'misconfigured', /clock/],
    ['CERT_REVOKED', 'misconfigured', /revoked/],
    ['ERR_TLS_CERT_ALTNAME_INVALID', 'misconfigured', /another host name/],
    ['ERR_INVALID_CHAR', 'misconfigured', /character/],
    ['EPROTO', 'misconfigured', /TLS/],
    ['ERR_SSL_WRONG_VERSION_NUMBER', 'misconfigured', /TLS/],
  ] as const)('%s is %s', (code, reason, advice) => {
    const verdict = networkVerdict(coded(code))
    expect(verdict?.reason).toBe(reason)
    if (advice === undefined) expect(verdict?.advice).toBeUndefined()
    else expect(verdict?.advice).toMatch(advice)
    expect(verdict?.advice ?? '').not.toContain('10.0.0.7')
  })

  it('is found below the errors that wrap it, and by the first address of several', () => {
    const wrapped = new Error('request failed', { cause: new Error('again', { cause: coded('ENOTFOUND') }) })
    expect(networkVerdict(wrapped)?.reason).toBe('unreachable')
    const tried = new AggregateError([coded('ECONNREFUSED'), coded('ECONNRESET')])
    expect(networkVerdict(tried)?.reason).toBe('unreachable')
  })

  it('is a timeout by its name where it has no code of Node.js, and else what its code says', () => {
    expect(networkVerdict(Object.assign(new Error('x'), { name: 'TimeoutError' }))?.reason).toBe('timeout')
    expect(networkVerdict(AbortSignal.abort(new DOMException('x', 'TimeoutError')).reason)?.reason).toBe(
      'timeout',
    )
    const renamed = Object.assign(coded('ECONNRESET'), { name: 'TimeoutError' })
    expect(networkVerdict(renamed)?.reason).toBe('interrupted')
  })

  it.each([undefined, null, 'ECONNREFUSED', new Error('x'), coded('400'), coded('ENOENT')])(
    'is not taken out of %s',
    error => {
      expect(networkVerdict(error)).toBeUndefined()
    },
  )

  it('ends where causes go in a circle', () => {
    const circle = new Error('x')
    circle.cause = circle
    expect(networkVerdict(circle)).toBeUndefined()
  })
})
