// A PNG image of indexed colours (ISO/IEC 15948), as small as an encoder can be.
import { constants, crc32, deflateSync } from 'node:zlib'

/** Red, green, blue, 0 to 255. */
export type Colour = readonly [red: number, green: number, blue: number]

const SIGNATURE = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a])
const BIT_DEPTH = 8
const COLOUR_TYPE_INDEXED = 3

/** `pixels` holds one index into `palette` for each pixel, row by row. */
export function encodePng(width: number, palette: readonly Colour[], pixels: Uint8Array): Buffer {
  const height = pixels.length / width
  const head = Buffer.alloc(13)
  head.writeUInt32BE(width, 0)
  head.writeUInt32BE(height, 4)
  head.set([BIT_DEPTH, COLOUR_TYPE_INDEXED], 8)

  // Each row begins with its filter; 0 is none.
  const rows = Buffer.alloc((width + 1) * height)
  for (let y = 0; y < height; y++) rows.set(pixels.subarray(y * width, (y + 1) * width), y * (width + 1) + 1)
  // Run lengths only: searching for matches differs between builds of zlib, and the sample is the same bytes everywhere.
  const compressed = deflateSync(rows, { level: 9, strategy: constants.Z_RLE })
  return Buffer.concat([
    SIGNATURE,
    chunk('IHDR', head),
    chunk('PLTE', Buffer.from(palette.flat())),
    chunk('IDAT', compressed),
    chunk('IEND', Buffer.alloc(0)),
  ])
}

/** Length of the data, type, data, CRC of type and data. */
function chunk(type: string, data: Buffer): Buffer {
  const framed = Buffer.alloc(data.length + 12)
  framed.writeUInt32BE(data.length, 0)
  framed.write(type, 4, 'latin1')
  data.copy(framed, 8)
  framed.writeUInt32BE(crc32(framed.subarray(4, data.length + 8)), data.length + 8)
  return framed
}
