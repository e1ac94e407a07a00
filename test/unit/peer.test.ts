// Whose address counts as the client's.
import type { IncomingMessage } from 'node:http'
import { describe, expect, it } from 'vitest'
import { clientAddress, rememberPeers } from '../../src/http/peer.ts'

function addressFor(trusted: readonly string[], remoteAddress: string, forwarded?: string): string {
  const headers = { host: 'a', ...(forwarded !== undefined && { 'x-forwarded-for': forwarded }) }
  const request = { headers, socket: { remoteAddress }, connection: { remoteAddress } }
  rememberPeers(trusted)(request as unknown as IncomingMessage)
  return clientAddress(request as unknown as IncomingMessage)
}

describe('the address of a client', () => {
  it.each([
    ['that of the connection, where no proxy is trusted', [], '192.0.2.1', '198.51.100.1', '192.0.2.1'],
    ['that of a proxy that is not trusted', ['10.0.0.0/8'], '192.0.2.1', '198.51.100.1', '192.0.2.1'],
    ['what a trusted proxy says', ['10.0.0.0/8'], '10.1.1.1', '198.51.100.1', '198.51.100.1'],
    ['not what the client wrote', ['10.0.0.0/8'], '10.1.1.1', '1.1.1.1, 198.51.100.1', '198.51.100.1'],
    ['behind two proxies', ['10.0.0.0/8'], '10.1.1.1', '1.1.1.1, 198.51.100.1, 10.2.2.2', '198.51.100.1'],
    ['the proxy itself, where it names nobody', ['10.0.0.0/8'], '10.1.1.1', undefined, '10.1.1.1'],
    ['the proxy itself, where it names no address', ['10.0.0.0/8'], '10.1.1.1', 'unknown', '10.1.1.1'],
    ['without the port of some gateways', ['10.0.0.0/8'], '10.1.1.1', '198.51.100.1:4711', '198.51.100.1'],
    ['the same in IPv6', ['10.0.0.0/8'], '10.1.1.1', '[2001:db8::1]:4711', '2001:db8::1'],
    ['IPv4 as such', [], '::ffff:192.0.2.1', undefined, '192.0.2.1'],
    ['of a proxy by IPv4 in IPv6', ['10.0.0.1'], '::ffff:10.0.0.1', '198.51.100.1', '198.51.100.1'],
    ['of a proxy by IPv6', ['2001:db8::/32'], '2001:db8::7', '2001:db9::1', '2001:db9::1'],
  ] as const)('is %s', (_, trusted, remote, forwarded, expected) => {
    expect(addressFor(trusted, remote, forwarded)).toBe(expected)
  })
})
