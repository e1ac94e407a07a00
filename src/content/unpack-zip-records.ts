// The records of a zip file (PKWARE APPNOTE 6.3) as they come in: what a member says about itself before its content and after it.
import { crc32 } from 'node:zlib'
import type { ArchiveInput } from './unpack-input.ts'
import { decodeName } from './unpack-member.ts'
import { damaged, quoted, refused, truncated } from './unpack-refusal.ts'
import { DEFLATED, descriptor, needsZip64, STORED, type ZipContent } from './zip-format.ts'

/** APPNOTE 4.4.4. */
const FLAGS = {
  encrypted: 0x0001,
  streamed: 0x0008,
  patch: 0x0020,
  stronglyEncrypted: 0x0040,
  masked: 0x2000,
}
/** APPNOTE 4.4.5; the others have hardly been seen since 1990. */
const METHODS: Readonly<Record<number, string>> = {
  9: 'Deflate64',
  12: 'bzip2',
  14: 'LZMA',
  93: 'Zstandard',
  95: 'xz',
  98: 'PPMd',
}
const ZIP64_EXTRA = 0x0001
const UNICODE_PATH_EXTRA = 0x7075

export interface LocalHeader {
  readonly rawName: Buffer
  readonly name: string
  readonly isFolder: boolean
  readonly method: typeof STORED | typeof DEFLATED
  /** Whether checksum and sizes follow in a descriptor. */
  readonly streamed: boolean
  /** As the header says; of no use where they follow. */
  readonly content: ZipContent
}

/** APPNOTE 4.3.7, after the signature. Fails for a member that cannot be unpacked here. */
export async function readLocalHeader(input: ArchiveInput): Promise<LocalHeader> {
  const where = 'inside of a local header'
  const fixed = await input.exactly(26, where)
  const flags = fixed.readUInt16LE(2)
  const method = fixed.readUInt16LE(4)
  const rawName = await input.exactly(fixed.readUInt16LE(22), where)
  const extra = await input.exactly(fixed.readUInt16LE(24), where)
  const name = nameOf(rawName, extra)
  checkFlags(name, flags)
  if (method !== STORED && method !== DEFLATED)
    throw refused(
      name,
      `it is compressed by ${METHODS[method] ?? `method ${method}`}. Only Deflate and no compression can be unpacked`,
    )
  const sizes = widened(extra, fixed.readUInt32LE(18), fixed.readUInt32LE(14))
  return {
    rawName,
    name,
    isFolder: name.endsWith('/'),
    method,
    streamed: (flags & FLAGS.streamed) !== 0,
    content: { crc: fixed.readUInt32LE(10), ...sizes },
  }
}

function checkFlags(name: string, flags: number): void {
  if ((flags & (FLAGS.encrypted | FLAGS.stronglyEncrypted | FLAGS.masked)) !== 0)
    throw refused(name, 'it is encrypted')
  if ((flags & FLAGS.patch) !== 0) throw refused(name, 'it is a patch')
}

/**
 * Names are UTF-8 by a flag (APPNOTE appendix D), by Info-ZIP's extra field (APPNOTE 4.6.9), or because some programs never set the flag. What is none of them is in a code page that
 * nobody can know.
 */
function nameOf(raw: Buffer, extra: Buffer): string {
  const unicode = extraField(extra, UNICODE_PATH_EXTRA)
  const isCurrent =
    unicode !== undefined && unicode.length > 5 && unicode[0] === 1 && unicode.readUInt32LE(1) === crc32(raw)
  const name = decodeName(isCurrent ? unicode.subarray(5) : raw)
  if (name.includes('\\'))
    throw refused(name, 'it has a backslash in its name, where the zip format has forward slashes only')
  return name
}

/** The sizes, from the zip64 extra where their fields are full (APPNOTE 4.5.3). */
function widened(extra: Buffer, size: number, compressedSize: number): Omit<ZipContent, 'crc'> {
  const wide = new Zip64Fields(extra)
  return { size: wide.or(size), compressedSize: wide.or(compressedSize) }
}

/** Holds, in a fixed order, only what did not fit the fields of 32 bits. */
export class Zip64Fields {
  #left: Buffer

  constructor(extra: Buffer) {
    this.#left = extraField(extra, ZIP64_EXTRA) ?? Buffer.alloc(0)
  }

  /** `value`, or the next field of 64 bits where it is full; a writer without zip64 may mean the full value itself. */
  or(value: number): number {
    if (value !== 0xffffffff || this.#left.length < 8) return value
    const wide = readUInt64(this.#left, 0)
    this.#left = this.#left.subarray(8)
    return wide
  }
}

/** APPNOTE 4.5.1. Some programs leave a few bytes at the end that are no field. */
function extraField(extra: Buffer, id: number): Buffer | undefined {
  for (let at = 0; at + 4 <= extra.length;) {
    const end = at + 4 + extra.readUInt16LE(at + 2)
    if (extra.readUInt16LE(at) === id && end <= extra.length) return extra.subarray(at + 4, end)
    at = end
  }
  return undefined
}

export function readUInt64(bytes: Buffer, at: number): number {
  const value = Number(bytes.readBigUInt64LE(at))
  if (!Number.isSafeInteger(value)) throw damaged('a size in it is larger than any file')
  return value
}

const NO_CONTENT: ZipContent = { crc: 0, size: 0, compressedSize: 0 }
/** The longest form of a descriptor. Longer records follow in every whole archive. */
const DESCRIPTOR_BYTES = 24

/**
 * Reads the descriptor after a content (APPNOTE 4.3.9), which must say what was found.
 *
 * Writers leave out its signature, and have fields of eight bytes without saying so before; so it is looked for in all its forms.
 */
export async function readDescriptor(input: ArchiveInput, name: string, found: ZipContent): Promise<void> {
  const next = await input.peek(DESCRIPTOR_BYTES)
  if (next.length < DESCRIPTOR_BYTES) throw truncated('after a member, without a directory')
  const form = descriptorForms(found).find(each => each.equals(next.subarray(0, each.length)))
  if (form === undefined) throw mismatch(name)
  await input.exactly(form.length, '')
}

/** Whether the next bytes are the descriptor of a member without a content, with the next header behind it. */
export async function isEmptyHere(input: ArchiveInput): Promise<boolean> {
  const next = await input.peek(DESCRIPTOR_BYTES + 4)
  return descriptorForms(NO_CONTENT).some(form => {
    const behind = next.toString('latin1', form.length, form.length + 4)
    return form.equals(next.subarray(0, form.length)) && (behind === 'PK\x03\x04' || behind === 'PK\x01\x02')
  })
}

/** The longest one first: a shorter form matches the beginning of a longer one where the size is zero. */
function descriptorForms(content: ZipContent): Buffer[] {
  const isWide = needsZip64(content.size) || needsZip64(content.compressedSize)
  return (isWide ? [true] : [true, false]).flatMap(zip64 => {
    const signed = descriptor(content, zip64)
    return [signed, signed.subarray(4)]
  })
}

export function mismatch(name: string): Error {
  return damaged(`the content of ${quoted(name)} does not agree with the checksum or the sizes that it has`)
}
