// For which hosts requests are taken. A page can make its own name lead to any address (DNS rebinding), and is then, to the browser, the same site as the service there; only the Host tells.
import type { IncomingMessage } from 'node:http'
import type { RequestHandler } from 'express'
import { isIP } from 'node:net'
import { isLoopback } from '../config/address.ts'
import { AppError } from '../errors.ts'
import { peerOf } from './peer.ts'

export interface HostRules {
  /** Names, with a port where only that one is meant; `*.` stands for any names in front. */
  readonly allowed: readonly string[]
  /** Whether, where no names are given, only those of this machine are taken. */
  readonly isForThisMachine: boolean
  /** Whether a request is how an orchestrator asks for the health of the service: by the address of the one instance that it means. */
  readonly isProbe: (request: IncomingMessage) => boolean
}

/** Middleware that refuses (Misdirected) what is for another host. Names of this machine lead nobody else here, and are always taken; so is HTTP/1.0 without a Host, which no browser speaks. */
export function checkHost({ allowed, isForThisMachine, isProbe }: HostRules): RequestHandler {
  const takesAny = allowed.length === 0 && !isForThisMachine
  const patterns = allowed.map(patternOf)
  const isTaken = (request: IncomingMessage): boolean => {
    const { host } = peerOf(request)
    if (host === undefined) return true
    const authority = parsed(host)
    if (authority === undefined) return false
    const { name, port } = authority
    if (isOfThisMachine(name) || patterns.some(matches => matches(name, port))) return true
    // An address is nobody's to point elsewhere.
    return isIP(name) !== 0 && allowed.length > 0 && isProbe(request)
  }
  return (request, _response, next) => {
    next(takesAny || isTaken(request) ? undefined : misdirected())
  }
}

function misdirected(): AppError {
  return new AppError(
    'Misdirected',
    'The request is for another host than this service answers for. An operator can name the hosts that it has by server.allowedHosts (ALLOWED_HOSTS), and has a proxy in front pass on the Host that it was asked for.',
    { op: 'admit' },
  )
}

interface Authority {
  readonly name: string
  /** Undefined for that of the scheme. */
  readonly port: string | undefined
}

/** The name in lower case, without the brackets of IPv6 and the dot of the root. */
function parsed(host: string): Authority | undefined {
  const [, v6, name, port] = /^(?:\[([0-9a-f:.]+)\]|([^\s:/?#@[\]]+))(?::(\d{1,5}))?$/i.exec(host) ?? []
  const found = (v6 ?? name)?.toLowerCase().replace(/\.$/, '')
  return found === undefined || found === '' ? undefined : { name: found, port }
}

/** RFC 6761 6.3: `localhost` and all names below it. */
function isOfThisMachine(name: string): boolean {
  return isLoopback(name) || name.endsWith('.localhost')
}

function patternOf(text: string): (name: string, port: string | undefined) => boolean {
  const isWildcard = text.startsWith('*.')
  const { name: wanted = '', port: ofPattern } = parsed(isWildcard ? text.slice(2) : text) ?? {}
  return (name, port) =>
    (isWildcard ? name.endsWith(`.${wanted}`) : name === wanted) &&
    // Browsers leave out the port that the scheme implies.
    (ofPattern === undefined || ofPattern === (port ?? (ofPattern === '443' ? '443' : '80')))
}
