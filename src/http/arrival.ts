// What every request has to pass, and gets, before anybody looks at what it is about.
import type { RequestHandler } from 'express'
import type { IncomingMessage } from 'node:http'
import { isLoopback } from '../config/address.ts'
import type { Config } from '../config/config.ts'
import { AppError } from '../errors.ts'
import type { ConnectionLimit } from './connection-limit.ts'
import { cors } from './cors.ts'
import { checkHost } from './hosts.ts'
import { keepToItself } from './isolation.ts'
import type { Limit } from './limits.ts'

export interface ArrivalOptions {
  readonly config: Pick<Config, 'server' | 'limits'>
  /** Whether nobody has to say who they are. */
  readonly isOpen: boolean
  readonly connections: ConnectionLimit
  /** Requests under way; those of probes do not count. */
  readonly requests: Limit
}

export function arrival({ config, isOpen, connections, requests }: ArrivalOptions): RequestHandler[] {
  const { server, limits } = config
  const origins = new Set(server.corsOrigins)
  const isProbe = ({ url = '' }: IncomingMessage): boolean =>
    PROBES.has(url.slice(server.basePath.length).split('?', 1)[0]!)
  return [
    keepToItself(origins),
    checkMessage(limits),
    connections.refuse(isProbe),
    checkHost({
      allowed: server.allowedHosts,
      // Being on this machine is then what lets somebody in, and pages of others must not be.
      isForThisMachine: isOpen && isLoopback(server.host),
      isProbe,
    }),
    ...(origins.size > 0 ? [cors(origins)] : []),
    (request, response, next) => {
      if (!isProbe(request)) requests.take(request, response)
      next()
    },
  ]
}

/** What orchestrators ask, and must be told however busy the service is. */
const PROBES: ReadonlySet<string> = new Set(['/healthz', '/readyz'])

/** Refuses what Node's parser lets through although a server must not take it, or wants to have an end. */
function checkMessage(limits: Config['limits']): RequestHandler {
  return (request, response, next) => {
    const fault = frameFault(request) ?? sizeFault(request, limits)
    if (fault !== undefined) response.setHeader('Connection', 'close')
    next(fault)
  }
}

/**
 * A request of HTTP/0.9, whose answer could have no head (RFC 9112 2.3); several Host lines (3.2); a transfer coding besides chunked, whose body has no knowable end, or one beside a length, or in HTTP/1.0, where somebody in front may have seen another end (6.1, 6.3).
 */
function frameFault({
  rawHeaders,
  headers,
  httpVersion,
  httpVersionMajor,
}: IncomingMessage): AppError | undefined {
  if (httpVersionMajor < 1)
    return new AppError('InvalidArgument', 'The request has no version of HTTP, or one before 1.0.')
  let hosts = 0
  for (let i = 0; i < rawHeaders.length; i += 2)
    if (rawHeaders[i]!.length === 4 && rawHeaders[i]!.toLowerCase() === 'host') hosts++
  if (hosts > 1) return new AppError('InvalidArgument', 'The request has several Host lines.')
  const coding = headers['transfer-encoding']
  if (coding === undefined) return undefined
  if (coding.toLowerCase() !== 'chunked')
    return new AppError('InvalidArgument', 'The body has a transfer coding other than chunked.')
  if (headers['content-length'] !== undefined || httpVersion === '1.0')
    return new AppError('InvalidArgument', 'The body has a transfer coding, which its message cannot have.')
  return undefined
}

function sizeFault(
  { url = '', rawHeaders }: IncomingMessage,
  { urlBytes, headerFields }: Config['limits'],
): AppError | undefined {
  if (url.length > urlBytes)
    return new AppError(
      'UrlTooLong',
      `The URL is longer than ${urlBytes} bytes: send lists of paths in the body of a POST, and ask for many runs in several requests.`,
      { limit: 'limits.urlBytes' },
    )
  if (rawHeaders.length / 2 > headerFields)
    return new AppError('HeaderTooLarge', `The request has more than ${headerFields} header fields.`, {
      limit: 'limits.headerFields',
    })
  return undefined
}
