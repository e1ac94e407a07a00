// The way of a request into the service, before anybody looks at what it is about.
import type { Express } from 'express'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import type { Config } from '../config/config.ts'
import { requestContext } from '../request-context.ts'
import { boundUnread } from './body.ts'
import type { ConnectionLimit } from './connection-limit.ts'
import type { Exchanges } from './exchanges.ts'
import { rememberPeers } from './peer.ts'
import { refuseUnparsed } from './problem.ts'
import type { Watchdog } from './watchdog.ts'

export interface Entry {
  /** Connections at which the server is to accept no more. */
  readonly maxConnections: number
  /** To be called with each connection. Gives whether it is one too many, so that idle ones should make room. */
  readonly connected: (socket: Socket) => boolean
  readonly handler: (request: IncomingMessage, response: ServerResponse) => void
  /** For the server's `clientError`: what is no request, or did not come in time. */
  readonly clientError: (error: Error, socket: Duplex) => void
}

/**
 * Lets requests in: one at a time for each connection, with a path for a target, and with what is known of who sends them.
 *
 * Node gives out all requests that a client has pipelined at once; each would open its file and fill a buffer before the answer in front of it
 * is read. A request line may hold a whole URL (RFC 9112 3.2.2); the host in it is the one that is asked, whatever Host says.
 */
export function entry(
  app: Express,
  { trustedProxies }: Pick<Config['server'], 'trustedProxies'>,
  {
    exchanges,
    connections,
    watchdog,
  }: {
    readonly exchanges: Exchanges
    readonly connections: ConnectionLimit
    readonly watchdog: Watchdog
  },
): Entry {
  const rememberPeer = rememberPeers(trustedProxies)
  const last = new WeakMap<Duplex, ServerResponse>()
  return {
    maxConnections: connections.hardLimit,
    connected: socket => connections.add(socket),
    handler: (request, response) => {
      last.set(request.socket, response)
      boundUnread(request, response)
      watchdog.watch(response)
      takeWholeUrl(request)
      rememberPeer(request)
      const begin = (): void => {
        requestContext.run(exchanges.begin(request, response), () => {
          app(request, response)
        })
      }
      if (response.socket === null) response.once('socket', begin)
      else begin()
    },
    clientError: (error, socket) => {
      const told = refuseUnparsed(error, socket, last.get(socket))
      if (told !== undefined) exchanges.refused(told, socket)
    },
  }
}

function takeWholeUrl(request: IncomingMessage): void {
  const { url = '/' } = request
  if (url.startsWith('/')) return
  const [whole = '', host] = /^(?:[a-z][a-z0-9+.-]*:\/\/([^/?#]*))?\/?/i.exec(url) ?? []
  request.url = `/${url.slice(whole.length)}`
  if (host !== undefined) request.headers.host = host
}
