// The directory at the end of a zip: what came before it must be what it lists, or something was lost or put in between.
import { createHash } from 'node:crypto'
import type { ArchiveInput } from './unpack-input.ts'
import { damaged, refused } from './unpack-refusal.ts'
import { readUInt64, Zip64Fields } from './unpack-zip-records.ts'
import type { ZipContent } from './zip-format.ts'

const CENTRAL = 0x02014b50
const SIGNATURE = 0x05054b50
const ZIP64_END = 0x06064b50
const ZIP64_LOCATOR = 0x07064b50
const END = 0x06054b50
const MAX_END_BYTES = 1024 * 1024
const MAX_16 = 0xffff
const MAX_32 = 0xffffffff

/** Systems whose upper half of the external attributes is a Unix mode (APPNOTE 4.4.2): Unix and macOS. */
const UNIX = [3, 19]
const S_IFMT = 0o170000
const S_IFREG = 0o100000
const S_IFDIR = 0o040000
const S_IFLNK = 0o120000

/** A member as the directory must list it. */
export interface ListedMember extends ZipContent {
  readonly rawName: Buffer
  readonly method: number
  /** Where its local header begins. */
  readonly offset: number
}

/**
 * A set of members in the memory of one number, so that an archive of a million names is compared as cheaply as a small one. The directory may list them in any order; it is
 * compared to find damage, which does not look for collisions.
 */
export class MemberSet {
  #count = 0
  #sum = 0n

  get count(): number {
    return this.#count
  }

  add(member: ListedMember): void {
    const { rawName, method, offset, crc, size, compressedSize } = member
    const hash = createHash('sha256')
      .update(`${offset} ${method} ${crc} ${size} ${compressedSize} `)
      .update(rawName)
    this.#sum = BigInt.asUintN(64, this.#sum + hash.digest().readBigUInt64LE())
    this.#count++
  }

  equals(other: MemberSet): boolean {
    return this.#count === other.#count && this.#sum === other.#sum
  }
}

/** Reads on from the first record behind the members, whose signature has been taken at `offset`, to the end of the archive. */
export async function readDirectory(
  input: ArchiveInput,
  members: MemberSet,
  first: number,
  offset: number,
): Promise<void> {
  const where = 'inside of its directory'
  const listed = new MemberSet()
  let record: FoundRecord = { signature: first, at: offset }
  for (; record.signature === CENTRAL; record = await nextRecord(input, where)) {
    if (listed.count === members.count) throw different()
    listed.add(await readCentralHeader(input, where))
  }
  if (!listed.equals(members)) throw different()
  // APPNOTE 4.3.13.
  if (record.signature === SIGNATURE) {
    await input.exactly((await input.exactly(2, where)).readUInt16LE(), where)
    record = await nextRecord(input, where)
  }
  const said: Directory = { count: listed.count, offset, size: record.at - offset }
  if (record.signature === ZIP64_END) {
    await checkZip64End(input, said, where)
    record = await nextRecord(input, where)
    // APPNOTE 4.3.15.
    if (record.signature !== ZIP64_LOCATOR) throw malformed()
    await input.exactly(16, where)
    record = await nextRecord(input, where)
  }
  if (record.signature !== END) throw malformed()
  await checkEnd(input, said, where)
  await input.finish()
}

interface FoundRecord {
  readonly signature: number
  readonly at: number
}

async function nextRecord(input: ArchiveInput, where: string): Promise<FoundRecord> {
  const at = input.position
  return { at, signature: (await input.exactly(4, where)).readUInt32LE() }
}

function malformed(): Error {
  return damaged('the end of its directory is malformed')
}

function different(): Error {
  return damaged('its directory does not list the members that are in it')
}

/** APPNOTE 4.3.12, after the signature. Only here it is said what is a link. */
async function readCentralHeader(input: ArchiveInput, where: string): Promise<ListedMember> {
  const fixed = await input.exactly(42, where)
  const rawName = await input.exactly(fixed.readUInt16LE(24), where)
  const extra = await input.exactly(fixed.readUInt16LE(26), where)
  await input.exactly(fixed.readUInt16LE(28), where)
  if (UNIX.includes(fixed[1]!)) checkMode(rawName.toString(), fixed.readUInt16LE(36))
  const wide = new Zip64Fields(extra)
  const size = wide.or(fixed.readUInt32LE(20))
  const compressedSize = wide.or(fixed.readUInt32LE(16))
  return {
    rawName,
    method: fixed.readUInt16LE(6),
    crc: fixed.readUInt32LE(12),
    size,
    compressedSize,
    offset: wide.or(fixed.readUInt32LE(38)),
  }
}

/** Writers that know of no modes leave the type of a file zero. */
function checkMode(name: string, mode: number): void {
  const type = mode & S_IFMT
  if (type === S_IFLNK) throw refused(name, 'it is a symbolic link. Make the archive without -y (--symlinks)')
  if (type !== 0 && type !== S_IFREG && type !== S_IFDIR) throw refused(name, 'it is a device or a pipe')
}

/** What the records at the end must say. */
interface Directory {
  readonly count: number
  readonly offset: number
  readonly size: number
}

/** APPNOTE 4.3.14, after the signature. */
async function checkZip64End(input: ArchiveInput, directory: Directory, where: string): Promise<void> {
  const size = readUInt64(await input.exactly(8, where), 0)
  if (size < 44 || size > MAX_END_BYTES) throw malformed()
  const record = await input.exactly(size, where)
  const agrees =
    readUInt64(record, 20) === directory.count &&
    readUInt64(record, 28) === directory.size &&
    readUInt64(record, 36) === directory.offset
  if (!agrees) throw contradiction()
}

/** APPNOTE 4.3.16, after the signature. A full field says nothing: its value is in the zip64 record, which Info-ZIP then forgets at times. */
async function checkEnd(
  input: ArchiveInput,
  { count, size, offset }: Directory,
  where: string,
): Promise<void> {
  const record = await input.exactly(18, where)
  await input.exactly(record.readUInt16LE(16), where)
  const agrees = (said: number, value: number, full: number): boolean => said === full || said === value
  if (
    !agrees(record.readUInt16LE(6), count, MAX_16) ||
    !agrees(record.readUInt32LE(8), size, MAX_32) ||
    !agrees(record.readUInt32LE(12), offset, MAX_32)
  )
    throw contradiction()
}

function contradiction(): Error {
  return damaged('the end of its directory says something else than the directory')
}
