// The file of keys that sign links.
import type { Fault } from './fault.ts'
import { Fields } from './fields.ts'
import { boolean, type ValueType } from './value.ts'
import { inFile, parseText, type Written } from './written.ts'

export interface LinkKey {
  readonly id: string
  readonly secret: Buffer
  /** Signs nothing any more; what it has signed is good until it expires. */
  readonly isRetired: boolean
}

export interface LinkKeysRead {
  /** In the order of the file. Of use only where there are no faults. */
  readonly keys: readonly LinkKey[]
  readonly faults: readonly Fault[]
}

/** As long as what HMAC-SHA-256 makes of it (RFC 2104 3). */
const LEAST_BYTES = 32

/** `file` is how the operator calls it. No fault repeats anything that may be a secret. */
export function parseLinkKeys(text: string, file: string): LinkKeysRead {
  const whole = parseText(text, inFile(file), 'YAML')
  if (Array.isArray(whole)) return { keys: [], faults: whole }
  const faults: Fault[] = []
  const fields = new Fields(whole, 'a file of keys', ['keys'], faults)
  const elements = fields.written('keys')?.elements
  if (fields.isMap && elements === undefined) fields.fault('keys', 'expected a list of keys')
  const keys = (elements ?? []).flatMap(element => readKey(element, faults) ?? [])
  const repeated = keys.find(({ id }, i) => keys.findIndex(other => other.id === id) < i)
  if (repeated !== undefined) fields.fault('keys', `has two keys with the id '${repeated.id}'`)
  if (faults.length === 0 && keys.every(({ isRetired }) => isRetired))
    fields.fault('keys', 'expected at least one key that is not retired, for the next links')
  return { keys, faults }
}

function readKey(written: Written, faults: Fault[]): LinkKey | undefined {
  const fields = new Fields(written, 'a key', ['id', 'secret', 'retired'], faults)
  if (!fields.isMap) return undefined
  const id = fields.required('id', keyId)
  const bytes = fields.required('secret', secret)
  const isRetired = fields.value('retired', boolean) ?? false
  return id === undefined || bytes === undefined ? undefined : { id, secret: bytes, isRetired }
}

/** It stands in URLs, between dots. */
const keyId: ValueType<string> = {
  name: 'id',
  expected: "1 to 32 letters, digits, '_' and '-'",
  isConfidential: true,
  parse: found => (typeof found === 'string' && /^[A-Za-z0-9_-]{1,32}$/.test(found) ? found : undefined),
  format: String,
}

const secret: ValueType<Buffer> = {
  name: 'secret',
  expected: `${LEAST_BYTES} bytes or more in base64, as by openssl rand -base64 ${LEAST_BYTES}`,
  isConfidential: true,
  parse: found => {
    if (typeof found !== 'string' || !/^[A-Za-z0-9+/_-]+={0,2}$/.test(found)) return undefined
    const bytes = Buffer.from(found, 'base64')
    return bytes.length >= LEAST_BYTES ? bytes : undefined
  },
  format: () => '***',
}
