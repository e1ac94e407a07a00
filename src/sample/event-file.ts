// A TensorBoard event file: Event protobufs (tensorflow/core/util/event.proto) in TFRecord framing.
import type { Step } from './training.ts'

/** One scalar of every step under each tag, after the version record that TensorBoard requires first. */
export function eventFile(steps: readonly Step[], startedMs: number): Buffer {
  const first = message(double(1, startedMs / 1000), text(3, 'brain.Event:2'))
  const scalars = steps.flatMap(({ step, timeMs, trainLoss, validLoss, accuracy }) =>
    Object.entries({ 'loss/train': trainLoss, 'loss/valid': validLoss, accuracy }).map(([tag, value]) =>
      message(double(1, timeMs / 1000), varintField(2, step), bytes(5, summary(tag, value))),
    ),
  )
  return Buffer.concat([first, ...scalars].map(record))
}

/** Summary{value: [{tag: 1, simple_value: 2}]} */
function summary(tag: string, value: number): Buffer {
  return message(bytes(1, message(text(1, tag), float(2, value))))
}

/** uint64 length, masked CRC of the length, the data, masked CRC of the data; all little-endian. */
function record(data: Buffer): Buffer {
  const framed = Buffer.alloc(data.length + 16)
  framed.writeBigUInt64LE(BigInt(data.length), 0)
  framed.writeUInt32LE(maskedCrc(framed.subarray(0, 8)), 8)
  data.copy(framed, 12)
  framed.writeUInt32LE(maskedCrc(data), 12 + data.length)
  return framed
}

/** The reversed polynomial of CRC-32C (Castagnoli, RFC 3720 B.4): zlib's CRC-32 is another one. */
const CASTAGNOLI = 0x82f63b78

const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let crc = byte
  for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ CASTAGNOLI : crc >>> 1
  return crc
})

/** Rotated and offset, because a CRC over data that holds its own CRC would be constant (tsl/lib/hash/crc32c.h). */
function maskedCrc(data: Buffer): number {
  let crc = 0xffffffff
  for (const byte of data) crc = CRC_TABLE[(crc ^ byte) & 0xff]! ^ (crc >>> 8)
  crc = ~crc
  return (((crc >>> 15) | (crc << 17)) + 0xa282ead8) >>> 0
}

function message(...fields: Buffer[]): Buffer {
  return Buffer.concat(fields)
}

const WIRE_VARINT = 0
const WIRE_64_BIT = 1
const WIRE_LENGTH = 2
const WIRE_32_BIT = 5

function key(field: number, wireType: number): number {
  return (field << 3) | wireType
}

function varintField(field: number, value: number): Buffer {
  return Buffer.from([key(field, WIRE_VARINT), ...varint(value)])
}

function double(field: number, value: number): Buffer {
  const encoded = Buffer.alloc(9)
  encoded[0] = key(field, WIRE_64_BIT)
  encoded.writeDoubleLE(value, 1)
  return encoded
}

function float(field: number, value: number): Buffer {
  const encoded = Buffer.alloc(5)
  encoded[0] = key(field, WIRE_32_BIT)
  encoded.writeFloatLE(value, 1)
  return encoded
}

function bytes(field: number, value: Buffer): Buffer {
  return Buffer.concat([Buffer.from([key(field, WIRE_LENGTH), ...varint(value.length)]), value])
}

function text(field: number, value: string): Buffer {
  return bytes(field, Buffer.from(value))
}

/** Base 128, the low bits first; `value` is not negative and below 2^31. */
function varint(value: number): number[] {
  const encoded: number[] = []
  let rest = value
  for (; rest > 0x7f; rest >>>= 7) encoded.push((rest & 0x7f) | 0x80)
  encoded.push(rest)
  return encoded
}
