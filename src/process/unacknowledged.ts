// What the system still holds of the bytes that were written to connections. Its buffers are megabytes, and it takes more only when much of them is free: to the process a slow client looks for minutes like
// one that has stopped.
import { readFile } from 'node:fs/promises'
import { isIPv4, type Socket } from 'node:net'
import { endianness } from 'node:os'
import type { Unacknowledged } from '../http/watchdog.ts'

/** The tables of Linux, for IPv4 and IPv6 (proc_net_tcp.txt of its documentation). */
const TABLES = ['/proc/self/net/tcp', '/proc/self/net/tcp6']

/** `sl local_address rem_address st tx_queue:rx_queue …`, all in hexadecimal. */
const LINE = /^\s*\d+: [0-9A-F]+:([0-9A-F]{4}) ([0-9A-F]+:[0-9A-F]{4}) [0-9A-F]{2} ([0-9A-F]{8}):/gm

/** As it is now. Knows nothing where the system does not say. */
export async function readUnacknowledged(): Promise<Unacknowledged> {
  const tables = await Promise.all(TABLES.map(path => readFile(path, 'latin1').catch(() => '')))
  const left = new Map<string, number>()
  for (const table of tables)
    for (const [, port, remote, bytes] of table.matchAll(LINE))
      left.set(`${port} ${remote}`, Number.parseInt(bytes!, 16))
  return socket => left.get(keyOf(socket))
}

function keyOf({ localPort = 0, remotePort = 0, remoteAddress = '' }: Socket): string {
  return `${hexOf(localPort, 4)} ${addressOf(remoteAddress)}:${hexOf(remotePort, 4)}`
}

/** The bytes of an address in the order of the processor, word by word. */
function addressOf(address: string): string {
  const words = wordsOf(address)
  if (endianness() === 'BE') return words.join('')
  return words.map(word => word.match(/../g)!.reverse().join('')).join('')
}

function wordsOf(address: string): string[] {
  if (isIPv4(address)) return [wordOf(address)]
  const [, before = address, v4] = /^(.*:)(\d+\.\d+\.\d+\.\d+)$/.exec(address) ?? []
  const text = (v4 === undefined ? before : before + wordOf(v4).replace(/(?=.{4}$)/, ':')).split('%', 1)[0]!
  const [head = '', tail] = text.split('::')
  const groups = (part: string): string[] =>
    part === '' ? [] : part.split(':').map(each => each.padStart(4, '0'))
  const [first, last] = [groups(head), groups(tail ?? '')]
  const all = [...first, ...Array<string>(8 - first.length - last.length).fill('0000'), ...last]
  return all.join('').toUpperCase().match(/.{8}/g)!
}

function wordOf(address: string): string {
  return address
    .split('.')
    .map(byte => hexOf(Number(byte), 2))
    .join('')
}

function hexOf(value: number, digits: number): string {
  return value.toString(16).toUpperCase().padStart(digits, '0')
}
