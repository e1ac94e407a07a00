// The records of a zip file (PKWARE APPNOTE 6.3), as bytes. What goes into them is decided elsewhere.

/** A field of 32 bits that holds this value, or of 16 bits that holds 0xffff, is continued in a zip64 record (APPNOTE 4.4.1.4). */
const MAX_32 = 0xffffffff
const MAX_16 = 0xffff

export const STORED = 0
export const DEFLATED = 8

/** Bit 11: names are UTF-8 (APPNOTE appendix D). */
const UTF8 = 0x0800
/** Bit 3: checksum and sizes follow the content in a data descriptor. */
const DESCRIPTOR = 0x0008
/** Made by Unix (upper byte 3), format version 4.5. */
const MADE_BY = (3 << 8) | 45
const VERSION_DEFAULT = 20
const VERSION_ZIP64 = 45
const MSDOS_DIRECTORY = 0x10
const S_IFREG = 0o100000
const S_IFDIR = 0o040000

const LOCAL_HEADER = 30
const CENTRAL_HEADER = 46
const TIME_EXTRA = 9
const ZIP64_LOCAL_EXTRA = 20

/** What a member says about itself before its content is known. */
export interface ZipMember {
  /** UTF-8, with a slash at the end for a folder. */
  readonly name: Uint8Array
  readonly isFolder: boolean
  /** Seconds since 1970; undefined when unknown. */
  readonly modifiedSeconds: number | undefined
  readonly mode: number
  readonly method: typeof STORED | typeof DEFLATED
  /** Whether checksum and sizes follow in a descriptor. */
  readonly streamed: boolean
  /** Whether the sizes in the descriptor have eight bytes each. Only for a streamed member. */
  readonly zip64: boolean
}

/** What is known about a member when its content is. */
export interface ZipContent {
  readonly crc: number
  readonly compressedSize: number
  readonly size: number
}

export function needsZip64(size: number): boolean {
  return size >= MAX_32
}

export function localHeaderSize(
  nameLength: number,
  modifiedSeconds: number | undefined,
  zip64: boolean,
): number {
  return LOCAL_HEADER + nameLength + timeExtraSize(modifiedSeconds) + (zip64 ? ZIP64_LOCAL_EXTRA : 0)
}

/** APPNOTE 4.3.7. A streamed member's checksum and sizes are zero here, as 4.4.4 asks for with bit 3. */
export function localHeader(member: ZipMember, content: ZipContent | undefined): Buffer {
  const { name, modifiedSeconds, zip64 } = member
  const bytes = Buffer.alloc(localHeaderSize(name.length, modifiedSeconds, zip64))
  bytes.writeUInt32LE(0x04034b50, 0)
  bytes.writeUInt16LE(zip64 ? VERSION_ZIP64 : VERSION_DEFAULT, 4)
  bytes.writeUInt16LE(flags(member), 6)
  bytes.writeUInt16LE(member.method, 8)
  bytes.writeUInt32LE(dosTime(modifiedSeconds), 10)
  bytes.writeUInt32LE(content?.crc ?? 0, 14)
  bytes.writeUInt32LE(content?.compressedSize ?? 0, 18)
  bytes.writeUInt32LE(content?.size ?? 0, 22)
  bytes.writeUInt16LE(name.length, 26)
  bytes.writeUInt16LE(bytes.length - LOCAL_HEADER - name.length, 28)
  bytes.set(name, LOCAL_HEADER)
  const extra = writeTimeExtra(bytes, LOCAL_HEADER + name.length, modifiedSeconds)
  if (zip64) {
    // Its presence tells a streaming reader that the descriptor has fields of eight bytes (APPNOTE 4.3.9.2).
    bytes.writeUInt16LE(0x0001, extra)
    bytes.writeUInt16LE(16, extra + 2)
  }
  return bytes
}

export function descriptorSize(zip64: boolean): number {
  return zip64 ? 24 : 16
}

/** APPNOTE 4.3.9, with the signature that 4.3.9.3 recommends and that macOS needs. */
export function descriptor(content: ZipContent, zip64: boolean): Buffer {
  const bytes = Buffer.alloc(descriptorSize(zip64))
  bytes.writeUInt32LE(0x08074b50, 0)
  bytes.writeUInt32LE(content.crc, 4)
  if (zip64) {
    writeUInt64(bytes, content.compressedSize, 8)
    writeUInt64(bytes, content.size, 16)
  } else {
    bytes.writeUInt32LE(content.compressedSize, 8)
    bytes.writeUInt32LE(content.size, 12)
  }
  return bytes
}

export function centralHeaderSize(
  nameLength: number,
  modifiedSeconds: number | undefined,
  content: Omit<ZipContent, 'crc'>,
  offset: number,
): number {
  return (
    CENTRAL_HEADER +
    nameLength +
    timeExtraSize(modifiedSeconds) +
    zip64ExtraSize(overflowing(content, offset))
  )
}

/** APPNOTE 4.3.12; `offset` is where the member's local header begins. */
export function centralHeader(member: ZipMember, content: ZipContent, offset: number): Buffer {
  const { name, modifiedSeconds } = member
  const overflow = overflowing(content, offset)
  const bytes = Buffer.alloc(centralHeaderSize(name.length, modifiedSeconds, content, offset))
  bytes.writeUInt32LE(0x02014b50, 0)
  bytes.writeUInt16LE(MADE_BY, 4)
  bytes.writeUInt16LE(member.zip64 || overflow.length > 0 ? VERSION_ZIP64 : VERSION_DEFAULT, 6)
  bytes.writeUInt16LE(flags(member), 8)
  bytes.writeUInt16LE(member.method, 10)
  bytes.writeUInt32LE(dosTime(modifiedSeconds), 12)
  bytes.writeUInt32LE(content.crc, 16)
  bytes.writeUInt32LE(Math.min(content.compressedSize, MAX_32), 20)
  bytes.writeUInt32LE(Math.min(content.size, MAX_32), 24)
  bytes.writeUInt16LE(name.length, 28)
  bytes.writeUInt16LE(bytes.length - CENTRAL_HEADER - name.length, 30)
  const type = member.isFolder ? S_IFDIR : S_IFREG
  bytes.writeUInt32LE(((type | member.mode) * 0x10000 + (member.isFolder ? MSDOS_DIRECTORY : 0)) >>> 0, 38)
  bytes.writeUInt32LE(Math.min(offset, MAX_32), 42)
  bytes.set(name, CENTRAL_HEADER)
  const extra = writeTimeExtra(bytes, CENTRAL_HEADER + name.length, modifiedSeconds)
  if (overflow.length > 0) {
    bytes.writeUInt16LE(0x0001, extra)
    bytes.writeUInt16LE(8 * overflow.length, extra + 2)
    overflow.forEach((value, i) => writeUInt64(bytes, value, extra + 4 + 8 * i))
  }
  return bytes
}

/** The fields that do not fit into 32 bits, in the order of APPNOTE 4.5.3. */
function overflowing(content: Omit<ZipContent, 'crc'>, offset: number): number[] {
  return [content.size, content.compressedSize, offset].filter(needsZip64)
}

function zip64ExtraSize(overflow: readonly number[]): number {
  return overflow.length === 0 ? 0 : 4 + 8 * overflow.length
}

/** Where the central directory is and what is in it. */
export interface ZipDirectory {
  readonly members: number
  readonly offset: number
  readonly size: number
}

export function endSize(directory: ZipDirectory): number {
  return endNeedsZip64(directory) ? 56 + 20 + 22 : 22
}

/** The end of central directory record, after its zip64 form and that one's locator where needed (APPNOTE 4.3.14 to 4.3.16). */
export function endRecords(directory: ZipDirectory): Buffer {
  const { members, offset, size } = directory
  const bytes = Buffer.alloc(endSize(directory))
  if (endNeedsZip64(directory)) {
    bytes.writeUInt32LE(0x06064b50, 0)
    writeUInt64(bytes, 56 - 12, 4)
    bytes.writeUInt16LE(MADE_BY, 12)
    bytes.writeUInt16LE(VERSION_ZIP64, 14)
    writeUInt64(bytes, members, 24)
    writeUInt64(bytes, members, 32)
    writeUInt64(bytes, size, 40)
    writeUInt64(bytes, offset, 48)
    bytes.writeUInt32LE(0x07064b50, 56)
    writeUInt64(bytes, offset + size, 64)
    bytes.writeUInt32LE(1, 72)
  }
  const end = bytes.length - 22
  bytes.writeUInt32LE(0x06054b50, end)
  bytes.writeUInt16LE(Math.min(members, MAX_16), end + 8)
  bytes.writeUInt16LE(Math.min(members, MAX_16), end + 10)
  bytes.writeUInt32LE(Math.min(size, MAX_32), end + 12)
  bytes.writeUInt32LE(Math.min(offset, MAX_32), end + 16)
  return bytes
}

function endNeedsZip64({ members, offset, size }: ZipDirectory): boolean {
  return members >= MAX_16 || needsZip64(offset) || needsZip64(size)
}

function flags(member: ZipMember): number {
  return UTF8 | (member.streamed ? DESCRIPTOR : 0)
}

/**
 * Date (upper half) and time (lower half) as MS-DOS has them: from 1980 to 2107 in steps of two seconds.
 *
 * In UTC, although readers without the time extra take it for local time: the same tree must give the same bytes wherever the service runs.
 */
export function dosTime(seconds: number | undefined): number {
  const earliest = Date.UTC(1980, 0, 1)
  const latest = Date.UTC(2107, 11, 31, 23, 59, 58)
  const time = new Date(
    seconds === undefined ? earliest : Math.min(Math.max(seconds * 1000, earliest), latest),
  )
  const date = ((time.getUTCFullYear() - 1980) << 9) | ((time.getUTCMonth() + 1) << 5) | time.getUTCDate()
  const clock = (time.getUTCHours() << 11) | (time.getUTCMinutes() << 5) | (time.getUTCSeconds() >> 1)
  return date * 0x10000 + clock
}

/** The extended timestamp holds a signed number of 32 bits; times outside have the DOS time only. */
function timeExtraSize(seconds: number | undefined): number {
  return seconds !== undefined && seconds === (seconds | 0) ? TIME_EXTRA : 0
}

/** Info-ZIP's extended timestamp (0x5455) with the modification time alone. Returns where the next extra field begins. */
function writeTimeExtra(bytes: Buffer, at: number, seconds: number | undefined): number {
  if (seconds === undefined || timeExtraSize(seconds) === 0) return at
  bytes.writeUInt16LE(0x5455, at)
  bytes.writeUInt16LE(5, at + 2)
  bytes.writeUInt8(1, at + 4)
  bytes.writeInt32LE(seconds, at + 5)
  return at + TIME_EXTRA
}

function writeUInt64(bytes: Buffer, value: number, at: number): void {
  bytes.writeUInt32LE(value % 0x100000000, at)
  bytes.writeUInt32LE(Math.floor(value / 0x100000000), at + 4)
}
