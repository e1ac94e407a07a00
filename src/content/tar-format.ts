// The records of a tar file in the pax interchange format (POSIX.1-2017, pax), as bytes.

const BLOCK = 512
/** What the size field holds: eleven octal digits. */
const MAX_SIZE = 0o77777777777
const NAME_BYTES = 100

export interface TarMember {
  /** UTF-8, with a slash at the end for a folder. */
  readonly name: Buffer
  readonly isFolder: boolean
  readonly size: number
  /** Seconds since 1970; undefined when unknown. */
  readonly modifiedSeconds: number | undefined
  readonly mode: number
}

/** Bytes up to the next block. */
export function paddingSize(size: number): number {
  return (BLOCK - (size % BLOCK)) % BLOCK
}

/** Two blocks of zeros end the archive. */
export const END = Buffer.alloc(2 * BLOCK)

/** All that comes before the content: the header, after an extended one where the name or the size does not fit it. */
export function header(member: TarMember): Buffer {
  const extended = extendedRecords(member)
  if (extended.length === 0) return ustarHeader(member, member.isFolder ? '5' : '0')
  const records = Buffer.alloc(extended.length + paddingSize(extended.length))
  extended.copy(records)
  const own = ustarHeader(
    { ...member, name: Buffer.from('PaxHeader'), size: extended.length, mode: 0o644 },
    'x',
  )
  // Readers take the size from the extended header; zero here, as Python and GNU tar write it.
  const main = ustarHeader(
    { ...member, size: member.size > MAX_SIZE ? 0 : member.size },
    member.isFolder ? '5' : '0',
  )
  return Buffer.concat([own, records, main])
}

/** The size of `header(member)` without making it, but for the few members that need more than one block. */
export function headerSize(member: TarMember): number {
  const extended = extendedRecords(member).length
  return extended === 0 ? BLOCK : 2 * BLOCK + extended + paddingSize(extended)
}

function extendedRecords(member: TarMember): Buffer {
  const path = needsExtendedName(member.name) ? record('path', member.name) : NOTHING
  const size = member.size > MAX_SIZE ? record('size', Buffer.from(String(member.size))) : NOTHING
  return path.length + size.length === 0 ? NOTHING : Buffer.concat([path, size])
}

const NOTHING = Buffer.alloc(0)

/** Only an extended header says that a name is UTF-8. */
function needsExtendedName(name: Buffer): boolean {
  return name.length > NAME_BYTES || name.some(byte => byte > 0x7e || byte < 0x20)
}

/** `length keyword=value\n`, where the length counts itself. */
function record(keyword: string, value: Buffer): Buffer {
  const rest = keyword.length + value.length + 3
  let length = rest + String(rest).length
  length = rest + String(length).length
  return Buffer.concat([Buffer.from(`${length} ${keyword}=`), value, Buffer.from('\n')])
}

/** Owner and group are 0 and without names: whoever unpacks owns the files, and the service's accounts are nobody's business. */
function ustarHeader(member: TarMember, type: string): Buffer {
  const bytes = Buffer.alloc(BLOCK)
  member.name.copy(bytes, 0, 0, NAME_BYTES)
  writeOctal(bytes, member.mode, 100, 8)
  writeOctal(bytes, 0, 108, 8)
  writeOctal(bytes, 0, 116, 8)
  writeOctal(bytes, member.size, 124, 12)
  // Times before 1970 and after 2242 become the nearest that the field can hold.
  writeOctal(bytes, Math.min(Math.max(member.modifiedSeconds ?? 0, 0), MAX_SIZE), 136, 12)
  bytes.write(type, 156, 'latin1')
  bytes.write('ustar\0' + '00', 257, 'latin1')
  writeOctal(bytes, 0, 329, 8)
  writeOctal(bytes, 0, 337, 8)
  // The checksum counts its own field as spaces.
  bytes.write(' '.repeat(8), 148, 'latin1')
  const sum = bytes.reduce((total, byte) => total + byte, 0)
  bytes.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1')
  return bytes
}

/** Octal digits with leading zeros, and a NUL in the last of `width` bytes. */
function writeOctal(bytes: Buffer, value: number, at: number, width: number): void {
  bytes.write(value.toString(8).padStart(width - 1, '0'), at, 'latin1')
}
