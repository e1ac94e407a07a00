// The formats, byte by byte. Whoever changes a golden value must raise FORMAT_VERSION in archive.ts, or clients join halves of two archives.
import { createHash } from 'node:crypto'
import { gunzipSync, inflateRawSync, zstdDecompressSync } from 'node:zlib'
import { afterEach, describe, expect, it } from 'vitest'
import { dosTime } from '../../src/content/zip-format.ts'
import { openArchive, readAll } from './archives.ts'
import { pattern, SyntheticStore, TIME_MS, zeros } from './synthetic-store.ts'

const TIME_ZONE = process.env['TZ']

function tinyTree(): SyntheticStore {
  return new SyntheticStore().file('a.txt', 'hello', { mode: 0o600 }).folder('e', { mode: 0o700 })
}

const hex = (...lines: string[]): string => lines.join('').replaceAll(' ', '')

describe('a zip', () => {
  it('has exactly the records that the format asks for', async () => {
    const bytes = await readAll(await openArchive(tinyTree(), 'zip'))
    const timeExtra = '5554 0500 01 01f15365'
    expect(bytes.toString('hex')).toBe(
      hex(
        // Local header: needs 2.0, UTF-8, stored, 22:13:20 on 2023-11-14, CRC, 5 and 5 bytes, a name of 5, an extra field of 9.
        `504b0304 1400 0008 0000 aab1 6e57 86a61036 05000000 05000000 0500 0900 612e747874 ${timeExtra}`,
        '68656c6c6f',
        `504b0304 1400 0008 0000 aab1 6e57 00000000 00000000 00000000 0200 0900 652f ${timeExtra}`,
        // Central headers: made by Unix with 4.5; the mode in the upper half of the external attributes; the offset of the local header.
        '504b0102 2d03 1400 0008 0000 aab1 6e57 86a61036 05000000 05000000 0500 0900 0000 0000 0000 00008081 00000000',
        `612e747874 ${timeExtra}`,
        '504b0102 2d03 1400 0008 0000 aab1 6e57 00000000 00000000 00000000 0200 0900 0000 0000 0000 1000c041 31000000',
        `652f ${timeExtra}`,
        // End record: 2 members, a directory of 117 bytes at 90.
        '504b0506 0000 0000 0200 0200 75000000 5a000000 0000',
      ),
    )
  })

  it('holds a member above 256 KiB as stored deflate blocks with a descriptor', async () => {
    const size = 300_000
    const store = new SyntheticStore().synthetic('b', size, pattern(5))
    const bytes = await readAll(await openArchive(store, 'zip'))
    expect(bytes.readUInt16LE(6)).toBe(0x0808)
    expect(bytes.readUInt16LE(8)).toBe(8)
    expect(bytes.subarray(14, 26).equals(Buffer.alloc(12))).toBe(true)
    const framed = bytes.subarray(40, 40 + size + 5 * 5)
    const expected = Buffer.alloc(size)
    pattern(5)(expected, 0)
    expect(inflateRawSync(framed).equals(expected)).toBe(true)
    expect(framed.subarray(0, 5).toString('hex')).toBe('00ffff0000')
    const descriptor = bytes.subarray(40 + framed.length, 40 + framed.length + 16)
    const central = 40 + framed.length + 16
    expect(descriptor.readUInt32LE(0)).toBe(0x08074b50)
    expect(descriptor.readUInt32LE(4)).toBe(bytes.readUInt32LE(central + 16))
    expect([descriptor.readUInt32LE(8), descriptor.readUInt32LE(12)]).toEqual([framed.length, size])
  })

  it.each([
    [262_144, 0],
    [262_145, 8],
  ])('of a member of %i bytes uses method %i', async (size, method) => {
    const bytes = await readAll(await openArchive(new SyntheticStore().synthetic('b', size, zeros), 'zip'))
    expect(bytes.readUInt16LE(8)).toBe(method)
  })

  it('of an empty folder is the end record alone', async () => {
    const archive = await openArchive(new SyntheticStore(), 'zip')
    expect(archive.size).toBe(22)
    expect((await readAll(archive)).toString('hex')).toBe(`504b0506${'00'.repeat(18)}`)
  })

  it.each([
    ['before 1980', -86_400, 0x0021_0000],
    ['unknown', undefined, 0x0021_0000],
    ['after 2107', 2 ** 33, 0xff9f_bf7d],
    ['in the last representable second', Date.UTC(2107, 11, 31, 23, 59, 59) / 1000, 0xff9f_bf7d],
  ])('keeps a time %s within what MS-DOS knows', (_when, seconds, expected) => {
    expect(dosTime(seconds)).toBe(expected)
  })

  it.each([undefined, -(2 ** 40), 2 ** 41])(
    'has no extended timestamp for the time %s',
    async lastModifiedMs => {
      const bytes = await readAll(
        await openArchive(new SyntheticStore().file('a', 'b', { lastModifiedMs }), 'zip'),
      )
      const outside = lastModifiedMs === undefined || Math.abs(lastModifiedMs) > 2 ** 40
      expect(bytes.readUInt16LE(28)).toBe(outside ? 0 : 9)
    },
  )
})

describe('a tar', () => {
  it('has exactly the blocks that the format asks for', async () => {
    const bytes = await readAll(await openArchive(tinyTree(), 'tar'))
    expect(bytes.length).toBe(512 * 5)
    const fields = (at: number): string[] =>
      [
        [0, 100],
        [100, 8],
        [108, 8],
        [116, 8],
        [124, 12],
        [136, 12],
        [156, 1],
        [257, 6],
        [263, 2],
      ].map(([from, length]) =>
        bytes.toString('latin1', at + from!, at + from! + length!).replaceAll('\0', ''),
      )
    const time = '14524770401'
    expect(fields(0)).toEqual([
      'a.txt',
      '0000600',
      '0000000',
      '0000000',
      '00000000005',
      time,
      '0',
      'ustar',
      '00',
    ])
    expect(fields(1024)).toEqual([
      'e/',
      '0000700',
      '0000000',
      '0000000',
      '00000000000',
      time,
      '5',
      'ustar',
      '00',
    ])
    expect(bytes.toString('latin1', 512, 517)).toBe('hello')
    expect(bytes.subarray(517, 1024).every(byte => byte === 0)).toBe(true)
    expect(bytes.subarray(1536).every(byte => byte === 0)).toBe(true)
    expect(createHash('sha256').update(bytes).digest('hex')).toBe(
      'd18a70a89b7980d4d4c2b6f837bb4ef91846d4bfdfded97db0e86efe8e3fc943',
    )
  })

  it.each([
    ['a name of more than 100 bytes', 'n'.repeat(101), `111 path=${'n'.repeat(101)}\n`],
    ['a name that is not ASCII', 'ü', '11 path=ü\n'],
    [
      'a name whose record is just long enough to need a digit more',
      `${'ü'.repeat(45)}n`,
      `101 path=${'ü'.repeat(45)}n\n`,
    ],
  ])('puts %s into an extended header', async (_what, name, record) => {
    const bytes = await readAll(await openArchive(new SyntheticStore().file(name, 'x'), 'tar'))
    expect(bytes.toString('latin1', 156, 157)).toBe('x')
    expect(bytes.toString('utf8', 512, 512 + Buffer.byteLength(record))).toBe(record)
    expect(Number.parseInt(record, 10)).toBe(Buffer.byteLength(record))
    expect(bytes.length).toBe(512 * 6)
  })

  it('of an empty folder is two blocks of zeros', async () => {
    expect((await readAll(await openArchive(new SyntheticStore(), 'tar'))).equals(Buffer.alloc(1024))).toBe(
      true,
    )
  })
})

describe('equal trees give equal archives', () => {
  afterEach(() => {
    if (TIME_ZONE === undefined) delete process.env['TZ']
    else process.env['TZ'] = TIME_ZONE
  })

  const tree = (): SyntheticStore => tinyTree().synthetic('large', 400_000, pattern(1)).file('z/ü', 'x')

  it.each(['zip', 'tar', 'tar.gz', 'tar.zst'] as const)(
    'as %s, in any time zone and with any page size',
    async format => {
      const reference = await readAll(await openArchive(tree(), format))
      for (const [zone, page] of [
        ['Pacific/Apia', 1],
        ['America/St_Johns', 2],
        ['Asia/Kathmandu', 3],
      ] as const) {
        process.env['TZ'] = zone
        expect(new Date(TIME_MS).getTimezoneOffset()).not.toBe(0)
        const store = tree()
        store.batchEntries = page
        expect((await readAll(await openArchive(store, format))).equals(reference), zone).toBe(true)
      }
    },
  )

  it('and one etag, which differs from every other tree and format', async () => {
    const etag = async (store: SyntheticStore, format: 'zip' | 'tar' = 'zip'): Promise<string | undefined> =>
      (await openArchive(store, format)).etag
    expect(await etag(tree())).toBe(await etag(tree()))
    expect(await etag(tree())).toMatch(/^[\w-]{27}$/)
    const others = [
      await etag(tree(), 'tar'),
      await etag(tree().file('new', '')),
      await etag(tree().folder('new')),
      await etag(tree().delete('e')),
      // The content changed within the same size, time and mode: only the member's own etag tells.
      await etag(tree().file('a.txt', 'jello', { mode: 0o600 })),
      await etag(new SyntheticStore().file('ab', 'c')),
      await etag(new SyntheticStore().file('a', 'bc')),
      await etag(new SyntheticStore().file('ab', 'c', { mode: 0o755 })),
      await etag(new SyntheticStore().file('ab', 'c', { lastModifiedMs: TIME_MS + 0.25 })),
    ]
    expect(new Set([await etag(tree()), ...others]).size).toBe(others.length + 1)
  })

  it('although a folder has another time because something was written into it', async () => {
    const etags = await Promise.all(
      [1, 2].map(
        async time =>
          (
            await openArchive(
              new SyntheticStore().folder('f', { lastModifiedMs: time }).file('f/a', 'x'),
              'zip',
            )
          ).etag,
      ),
    )
    expect(etags[0]).toBe(etags[1])
  })
})

describe('a compressed archive', () => {
  const store = (): SyntheticStore =>
    tinyTree().synthetic('large', 3_000_000, pattern(1)).file('text', 'all work and no play '.repeat(5000))

  it.each([
    ['tar.gz', gunzipSync],
    ['tar.zst', zstdDecompressSync],
  ] as const)('as %s holds the tar, without a size or validator', async (format, decompress) => {
    const archive = await openArchive(store(), format)
    expect([archive.size, archive.etag]).toEqual([undefined, undefined])
    const tar = await readAll(await openArchive(store(), 'tar'))
    const compressed = await readAll(archive)
    expect(compressed.length).toBeLessThan(tar.length / 10)
    expect(decompress(compressed).equals(tar)).toBe(true)
  })

  it('as a gzip has no time in its header', async () => {
    const bytes = await readAll(await openArchive(store(), 'tar.gz'))
    expect(bytes.subarray(0, 8).toString('hex')).toBe('1f8b080000000000')
  })

  it('as a zip stores what does not become smaller', async () => {
    const bytes = await readAll(
      await openArchive(new SyntheticStore().file('a', 'xyz'), 'zip', { compress: true }),
    )
    expect(bytes.readUInt16LE(8)).toBe(0)
    const text = await readAll(
      await openArchive(new SyntheticStore().file('a', 'x'.repeat(1000)), 'zip', { compress: true }),
    )
    expect(text.readUInt16LE(8)).toBe(8)
  })
})
