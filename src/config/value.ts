// The types a setting can have: how each is read from text (environment, command line) or from YAML, and how it is written.
import { isIP } from 'node:net'

/**
 * One type of value. `parse` gets a string, or whatever a YAML file can hold, and gives undefined for what it does not
 * accept; `expected` completes the sentence "expected …".
 */
export interface ValueType<T> {
  /** One word for tables and `--help`: 'duration', 'size' … */
  readonly name: string
  readonly expected: string
  /** Whether a value in this place may be a key put there by mistake, so that no message may repeat it. */
  readonly isConfidential?: true
  parse(found: unknown): T | undefined
  /** The value as one would write it in YAML. */
  format(value: T): string
}

export function integer(least: number, most: number): ValueType<number> {
  return {
    name: 'integer',
    expected: `a whole number from ${least} to ${most}`,
    parse: found => {
      const text = scalarText(found)
      if (text === undefined || !/^[0-9]{1,15}$/.test(text)) return undefined
      const value = Number(text)
      return value >= least && value <= most ? value : undefined
    },
    format: String,
  }
}

/** A whole number, or `word`. */
export function integerOr<Word extends string>(
  least: number,
  most: number,
  word: Word,
): ValueType<number | Word> {
  const numbers = integer(least, most)
  return {
    name: `integer or ${word}`,
    expected: `${numbers.expected}, or '${word}'`,
    parse: found => (found === word ? word : numbers.parse(found)),
    format: String,
  }
}

export const boolean: ValueType<boolean> = {
  name: 'boolean',
  expected: 'true or false',
  parse: found => {
    const text = scalarText(found)
    return text === 'true' ? true : text === 'false' ? false : undefined
  },
  format: String,
}

export function oneOf<Word extends string>(words: readonly Word[]): ValueType<Word> {
  return {
    name: 'word',
    expected: `one of ${words.join(', ')}`,
    parse: found => words.find(word => word === found),
    format: String,
  }
}

const UNIT_MS: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 }

/** Milliseconds. The unit is part of the value, so that no reader has to know which one a bare number would mean. */
export function duration(leastMs: number, mostMs: number): ValueType<number> {
  return {
    name: 'duration',
    expected: `a duration with its unit (ms, s, m or h) from ${formatDuration(leastMs)} to ${formatDuration(mostMs)}, such as 30s`,
    parse: found => {
      const match = /^([0-9]{1,9}(?:\.[0-9]{1,3})?) ?(ms|s|m|h)$/.exec(scalarText(found) ?? '')
      if (match === null) return undefined
      const ms = Math.round(Number(match[1]) * UNIT_MS[match[2]!]!)
      return ms >= leastMs && ms <= mostMs ? ms : undefined
    },
    format: formatDuration,
  }
}

function formatDuration(ms: number): string {
  const unit = ['h', 'm', 's'].find(candidate => ms !== 0 && ms % UNIT_MS[candidate]! === 0) ?? 'ms'
  return `${ms / UNIT_MS[unit]!}${unit}`
}

const BINARY_UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB'] as const
const UNIT_BYTES: Readonly<Record<string, number>> = {
  ...Object.fromEntries(BINARY_UNITS.map((unit, power) => [unit.toLowerCase(), 1024 ** power])),
  // Kubernetes quantities leave out the B.
  ...Object.fromEntries(['ki', 'mi', 'gi', 'ti'].map((unit, power) => [unit, 1024 ** (power + 1)])),
  ...Object.fromEntries(['kb', 'mb', 'gb', 'tb'].map((unit, power) => [unit, 1000 ** (power + 1)])),
  '': 1,
}

/** Bytes: `10GiB` (1024³), `10GB` (1000³), or a bare number of bytes. */
export const size: ValueType<number> = {
  name: 'size',
  expected: 'a size such as 64MiB, 10GiB, 10GB or a number of bytes',
  parse: found => {
    const match = /^([0-9]{1,16}(?:\.[0-9]{1,3})?) ?([a-z]*)$/i.exec(scalarText(found) ?? '')
    const unit = match === null ? undefined : UNIT_BYTES[match[2]!.toLowerCase()]
    if (match === null || unit === undefined) return undefined
    const bytes = Number(match[1]) * unit
    return Number.isSafeInteger(bytes) ? bytes : undefined
  },
  format: bytes => {
    const power = BINARY_UNITS.findLastIndex((_, exponent) => bytes % 1024 ** exponent === 0)
    return bytes === 0 ? '0' : `${bytes / 1024 ** power}${BINARY_UNITS[power]!}`
  },
}

/** An address to listen on: an IP address, without brackets, or a host name. */
export const host: ValueType<string> = {
  name: 'host',
  expected: 'an IP address (IPv6 without brackets) or a host name',
  parse: found => {
    if (typeof found !== 'string' || found.length > 253) return undefined
    const isName = /^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$/i.test(found)
    // 1.2.3 or 999.1.1.1 would pass as a name, and reach a resolver.
    return isIP(found) !== 0 || (isName && !/(^|\.)[0-9]+$/.test(found)) ? found : undefined
  },
  format: String,
}

export const hostOrNone: ValueType<string> = {
  ...host,
  parse: found => (found === '' ? '' : host.parse(found)),
  format: address => (address === '' ? "''" : address),
}

/** Text that names a file or folder, as the system takes it. */
export const filePath: ValueType<string> = {
  name: 'path',
  expected: 'the path of a folder',
  parse: found => (typeof found === 'string' && found !== '' && !found.includes('\0') ? found : undefined),
  format: String,
}

/** The same, where there may be none: ''. */
export const folderOrNone: ValueType<string> = {
  ...filePath,
  parse: found => (found === '' ? '' : filePath.parse(found)),
  format: path => (path === '' ? "''" : path),
}

/** The path of a file, or '' for none. */
export const fileOrNone: ValueType<string> = { ...folderOrNone, expected: 'the path of a file' }

/** Any text of one line; '' for none. */
export const textOrNone: ValueType<string> = {
  name: 'text',
  expected: 'a text of one line, of at most 1000 characters',
  parse: found =>
    typeof found === 'string' && found.length <= 1000 && !/\p{Cc}/u.test(found) ? found : undefined,
  format: text => (text === '' ? "''" : text),
}

/** One or more of `words`, as a list, or as text with commas between them. */
export function severalOf<Word extends string>(words: readonly Word[]): ValueType<readonly Word[]> {
  return {
    name: 'words',
    expected: `some of ${words.join(', ')}, with commas between them`,
    parse: found => {
      const listed: unknown = typeof found === 'string' ? found.split(',').map(each => each.trim()) : found
      if (!Array.isArray(listed) || listed.length === 0) return undefined
      const known = listed.map(each => words.find(word => word === each))
      return known.every(each => each !== undefined) ? known : undefined
    },
    format: list => `[${list.join(', ')}]`,
  }
}

/** '' or `/prefix` of unreserved URL characters (RFC 3986 2.3), so that it is the same encoded and decoded. */
export const basePath: ValueType<string> = {
  name: 'URL path',
  expected: "a path such as /outputs-service: a leading slash, then letters, digits and '.', '_', '~', '-'",
  parse: found => {
    if (found === '' || found === '/') return ''
    if (typeof found !== 'string' || !/^(\/[A-Za-z0-9._~-]+)+\/?$/.test(found)) return undefined
    if (found.split('/').some(segment => segment === '.' || segment === '..')) return undefined
    return found.replace(/\/$/, '')
  },
  format: value => (value === '' ? "''" : value),
}

/** The URL of something that is asked by HTTP, as written; '' for none. Passwords in URLs end up in logs. */
export const urlOrNone: ValueType<string> = {
  name: 'URL',
  expected:
    'a URL such as https://login.example.com/realms/polyaxon, without a user, a password or a fragment',
  isConfidential: true,
  parse: found => {
    if (found === '') return ''
    if (typeof found !== 'string' || !/^https?:\/\/[^\s]+$/.test(found)) return undefined
    const url = URL.parse(found)
    return url !== null && url.username + url.password + url.hash === '' ? found : undefined
  },
  format: text => (text === '' ? "''" : text),
}

/** One segment of a URL's path that is the same encoded and decoded (RFC 3986 2.3). */
export const pathSegment: ValueType<string> = {
  name: 'name',
  expected: "letters, digits and '.', '_', '~', '-'",
  parse: found =>
    typeof found === 'string' && /^[A-Za-z0-9._~-]+$/.test(found) && !/^\.+$/.test(found) ? found : undefined,
  format: String,
}

/** Origins (RFC 6454 6.2) as browsers write them: a scheme and a host, in lower case, and a port where it is not the scheme's own. As a list, or as text with commas between them. */
export const origins: ValueType<readonly string[]> = {
  name: 'origins',
  expected:
    'origins as browsers write them, such as https://polyaxon.example.com: in lower case, without a path or the port of the scheme, with commas between them',
  ...listOf(text => (isOrigin(text) ? text : undefined)),
}

/** No browser has an asterisk in one: who writes it means many, which this does not do. */
function isOrigin(text: string): boolean {
  return /^https?:[^*]+$/.test(text) && URL.parse(text)?.origin === text
}

/** Names, with or without a port, for which requests may come: in lower case, IPv6 in brackets. `*.` in front stands for every name below one. */
export const hosts: ValueType<readonly string[]> = {
  name: 'hosts',
  expected:
    'names of hosts such as outputs.example.com, *.example.com, 192.0.2.7 or [2001:db8::7], with or without a port, with commas between them',
  ...listOf(text => {
    const [, v6, name] = /^(?:\[([0-9a-f:.]+)\]|(?:\*\.)?([^*:[\]]+))(?::[1-9][0-9]{0,4})?$/i.exec(text) ?? []
    const isHost = v6 === undefined ? host.parse(name) !== undefined : isIP(v6) === 6
    return isHost ? text.toLowerCase() : undefined
  }),
}

/** Words for networks that need no numbers. */
const NETWORKS = ['loopback', 'linklocal', 'uniquelocal']

export const addresses: ValueType<readonly string[]> = {
  name: 'addresses',
  expected: `IP addresses, networks such as 10.0.0.0/8, or ${NETWORKS.join(', ')}, with commas between them`,
  ...listOf(text => {
    const [address = '', bits, ...more] = text.split('/')
    const family = isIP(address)
    const isNetwork =
      family !== 0 &&
      (bits === undefined || (/^[0-9]{1,3}$/.test(bits) && Number(bits) <= (family === 4 ? 32 : 128)))
    return NETWORKS.includes(text) || (isNetwork && more.length === 0) ? text : undefined
  }),
}

/** A list, or text with commas between its items, of what `item` does not refuse. */
function listOf(
  item: (text: string) => string | undefined,
): Pick<ValueType<readonly string[]>, 'parse' | 'format'> {
  return {
    parse: found => {
      const listed: unknown = typeof found === 'string' ? found.split(',').map(each => each.trim()) : found
      if (listed === undefined || !Array.isArray(listed)) return undefined
      const named = listed.filter(each => each !== '') as unknown[]
      const items = named.flatMap(each => (typeof each === 'string' ? (item(each) ?? []) : []))
      return items.length === named.length ? items : undefined
    },
    format: list => `[${list.map(each => `'${each}'`).join(', ')}]`,
  }
}

function scalarText(found: unknown): string | undefined {
  if (typeof found === 'string') return found.trim()
  return typeof found === 'number' || typeof found === 'boolean' ? String(found) : undefined
}
