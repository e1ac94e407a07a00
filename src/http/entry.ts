// The way of a request into the service, before anybody looks at what it is about.
import type { Express, RequestHandler } from 'express'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Duplex } from 'node:stream'
import type { Config } from '../config/config.ts'
import { AppError } from '../errors.ts'
import { boundUnread } from './body.ts'
import { requestIdOf } from './exchange.ts'
import { rememberPeers } from './peer.ts'
import { refuseUnparsed } from './problem.ts'

export interface Entry {
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
export function entry(app: Express, { trustedProxies }: Pick<Config['server'], 'trustedProxies'>): Entry {
  const rememberPeer = rememberPeers(trustedProxies)
  const last = new WeakMap<Duplex, ServerResponse>()
  return {
    handler: (request, response) => {
      last.set(request.socket, response)
      requestIdOf(request, response)
      boundUnread(request, response)
      takeWholeUrl(request)
      rememberPeer(request)
      const begin = (): void => {
        app(request, response)
      }
      if (response.socket === null) response.once('socket', begin)
      else begin()
    },
    clientError: (error, socket) => refuseUnparsed(error, socket, last.get(socket)),
  }
}

function takeWholeUrl(request: IncomingMessage): void {
  const { url = '/' } = request
  if (url.startsWith('/')) return
  const [whole = '', host] = /^(?:[a-z][a-z0-9+.-]*:\/\/([^/?#]*))?\/?/i.exec(url) ?? []
  request.url = `/${url.slice(whole.length)}`
  if (host !== undefined) request.headers.host = host
}

/**
 * What Node's parser lets through although a server must refuse it: several Host lines (RFC 9112 3.2), and a transfer coding besides chunked,
 * whose body has no knowable end (6.1, 6.3); and expectations that cannot be met (RFC 9110 10.1.1).
 */
export const checkMessage: RequestHandler = (request, response, next) => {
  const { rawHeaders, headers } = request
  let hosts = 0
  for (let i = 0; i < rawHeaders.length; i += 2)
    if (rawHeaders[i]!.length === 4 && rawHeaders[i]!.toLowerCase() === 'host') hosts++
  const coding = headers['transfer-encoding']
  const fault =
    hosts > 1
      ? 'The request has several Host lines.'
      : coding !== undefined && coding.toLowerCase() !== 'chunked'
        ? 'The body has a transfer coding other than chunked.'
        : undefined
  if (fault === undefined) {
    next()
    return
  }
  response.setHeader('Connection', 'close')
  next(new AppError('InvalidArgument', fault))
}
