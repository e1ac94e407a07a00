// Whose requests count together where one caller may have only so much.
import type { IncomingMessage } from 'node:http'
import { clientAddress } from './peer.ts'

const NAME = Symbol('name of the caller')

type Named = IncomingMessage & { [NAME]?: string }

/** From when on it is known who sends `request`. */
export function nameCaller(request: IncomingMessage, name: string): void {
  ;(request as Named)[NAME] = name
}

/** The name for the log; `anonymous` where nobody was recognised. */
export function callerNameOf(request: IncomingMessage): string {
  return (request as Named)[NAME] ?? 'anonymous'
}

/** The caller that was recognised, wherever it is; else the network of its client. */
export function callerKey(request: IncomingMessage): string {
  const name = (request as Named)[NAME]
  return name === undefined ? networkOf(clientAddress(request)) : `caller ${name}`
}

/** An IPv4 address, or the /64 of an IPv6 one: of that every client has all the addresses. */
export function networkOf(address: string): string {
  if (!address.includes(':')) return address
  const [head = '', tail] = address.split('%', 1)[0]!.toLowerCase().split('::')
  const groups = head === '' ? [] : head.split(':')
  const after = tail === undefined || tail === '' ? [] : tail.split(':')
  const zeros = tail === undefined ? 0 : Math.max(0, 8 - groups.length - after.length)
  const all = [...groups, ...Array<string>(zeros).fill('0'), ...after]
  return `${all
    .slice(0, 4)
    .map(group => group.replace(/^0+(?=.)/, ''))
    .join(':')}::/64`
}
