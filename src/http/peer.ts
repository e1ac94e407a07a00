// Who is at the other end of a request, and which host it is for: what the connection says, or, where that comes from a proxy that is trusted, what the proxy does.
import type { IncomingMessage } from 'node:http'
import { isIP } from 'node:net'
import proxyAddr from 'proxy-addr'

export interface Peer {
  /** Its IP address; '' where the connection is gone already. */
  readonly address: string
  /** As in `Host`; undefined where nothing says it, as in HTTP/1.0. */
  readonly host: string | undefined
  /** Known only where a proxy says it. */
  readonly protocol: 'http' | 'https' | undefined
}

type Trust = (address: string, hops: number) => boolean

const NOBODY: Trust = () => false
const PEER = Symbol('peer')

type Known = IncomingMessage & { [PEER]?: Peer }

/** Gives what is to be called with each request when it comes in, while its connection still has an address. `trusted` are addresses, networks (CIDR), and names of such by proxy-addr. */
export function rememberPeers(trusted: readonly string[]): (request: IncomingMessage) => void {
  const trust = trusted.length === 0 ? undefined : proxyAddr.compile([...trusted])
  return request => {
    const isProxied = trust?.(request.socket.remoteAddress ?? '', 0) === true
    ;(request as Known)[PEER] = isProxied ? saidByProxy(request, trust) : saidByConnection(request)
  }
}

export function peerOf(request: IncomingMessage): Peer {
  return (request as Known)[PEER] ?? saidByConnection(request)
}

/** The address of the client, not of the proxies that are trusted: for the log and for limits. */
export function clientAddress(request: IncomingMessage): string {
  return peerOf(request).address
}

function saidByConnection({ headers: { host }, socket: { remoteAddress } }: IncomingMessage): Peer {
  return { address: plain(remoteAddress ?? ''), host, protocol: undefined }
}

/** X-Forwarded-For names the client and every proxy but the last one; the address before those that are trusted is the client's, whatever it has written in front of it. */
function saidByProxy(request: IncomingMessage, trust: Trust = NOBODY): Peer {
  const { headers } = request
  const connection = saidByConnection(request)
  const address = plain(proxyAddr(request, trust))
  const protocol = lastOf(headers['x-forwarded-proto'])?.toLowerCase()
  return {
    address: isIP(address) === 0 ? connection.address : address,
    host: lastOf(headers['x-forwarded-host']) ?? connection.host,
    protocol: protocol === 'http' || protocol === 'https' ? protocol : undefined,
  }
}

/** What the nearest proxy says; a client may have written what comes before it. */
function lastOf(value: string | string[] | undefined): string | undefined {
  const [last] = String(value ?? '')
    .split(',')
    .slice(-1)
  return last?.trim() || undefined
}

/** Without the port that some gateways add, and IPv4 as such. */
function plain(address: string): string {
  const [, v6, v4] = /^(?:\[([0-9a-f:.]+)\](?::\d+)?|(\d+\.\d+\.\d+\.\d+):\d+)$/i.exec(address) ?? []
  return (v6 ?? v4 ?? address).replace(/^::ffff:(?=\d+\.\d+\.\d+\.\d+$)/i, '')
}
