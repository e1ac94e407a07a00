// One header block of a tar file and the records of an extended header, as they were written by this century's and older tars.
import { damaged } from './unpack-refusal.ts'

export const BLOCK = 512

export interface TarHeader {
  readonly type: string
  readonly name: Buffer
  /** What a link leads to. */
  readonly linkName: Buffer
  readonly size: number
}

/** Undefined for a block of zeros, with which an archive ends. Fails where the block is no header. */
export function parseHeader(block: Buffer): TarHeader | undefined {
  if (block.every(byte => byte === 0)) return undefined
  checkSum(block)
  const name = untilNul(block.subarray(0, 100))
  // Only POSIX has a prefix there; GNU keeps times in its place.
  const prefix =
    block.toString('latin1', 257, 263) === 'ustar\0' ? untilNul(block.subarray(345, 500)) : undefined
  return {
    // A NUL is what a file had before POSIX.
    type: block[156] === 0 ? '0' : String.fromCharCode(block[156]!),
    name:
      prefix === undefined || prefix.length === 0 ? name : Buffer.concat([prefix, Buffer.from('/'), name]),
    linkName: untilNul(block.subarray(157, 257)),
    size: numberAt(block, 124, 12),
  }
}

/** Some old tars summed up signed bytes. */
function checkSum(block: Buffer): void {
  const said = numberAt(block, 148, 8)
  let sum = 0
  let signedSum = 0
  for (const [at, stored] of block.entries()) {
    const byte = at >= 148 && at < 156 ? 0x20 : stored
    sum += byte
    signedSum += byte > 0x7f ? byte - 0x100 : byte
  }
  if (said !== sum && said !== signedSum) throw damaged('there is no tar header where one must be')
}

/** Octal digits between blanks or NULs, or a binary number of GNU's after a byte 0x80. */
function numberAt(block: Buffer, start: number, length: number): number {
  const field = block.subarray(start, start + length)
  if (field[0]! >= 0x80) {
    if (field[0] !== 0x80) throw damaged('a number in a tar header is negative or too large')
    return checkedSize(field.subarray(1).reduce((value, byte) => value * 256 + byte, 0))
  }
  const digits = /^[\0 ]*([0-7]*)(?:[\0 ].*)?$/s.exec(field.toString('latin1'))?.[1]
  if (digits === undefined) throw damaged('a number in a tar header is not one')
  return digits === '' ? 0 : checkedSize(Number.parseInt(digits, 8))
}

function checkedSize(size: number): number {
  if (!Number.isSafeInteger(size)) throw damaged('a number in a tar header is negative or too large')
  return size
}

function untilNul(field: Buffer): Buffer {
  const end = field.indexOf(0)
  return end < 0 ? field : field.subarray(0, end)
}

/** The records of a pax extended header (POSIX.1-2017, pax): `length keyword=value\n`, where the length counts itself. The last one of a keyword counts. */
export function paxRecords(bytes: Buffer): Map<string, Buffer> {
  const records = new Map<string, Buffer>()
  for (let at = 0; at < bytes.length;) {
    const blank = bytes.indexOf(0x20, at)
    const digits = bytes.toString('latin1', at, Math.min(blank, at + 8))
    const end = at + Number(digits)
    const equals = bytes.indexOf(0x3d, blank)
    const isRecord =
      blank > at && /^[0-9]+$/.test(digits) && end <= bytes.length && equals > blank && equals < end
    if (!isRecord || bytes[end - 1] !== 0x0a) throw damaged('an extended header of a tar is malformed')
    records.set(bytes.toString('latin1', blank + 1, equals), bytes.subarray(equals + 1, end - 1))
    at = end
  }
  return records
}

/** The value of a pax `size`. */
export function paxSize(value: Buffer): number {
  const digits = value.toString('latin1')
  if (!/^[0-9]{1,20}$/.test(digits)) throw damaged('a size in an extended header of a tar is not a number')
  return checkedSize(Number(digits))
}
