// Tars that no program writes, or that programs write only on bad days.
import { gzipSync } from 'node:zlib'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  failureOf,
  filesOf,
  inChunks,
  paxOf,
  summed,
  tarMember,
  tarOf,
  TAR_END,
  unpackFrom,
  type TarParts,
} from './unpacking.ts'

const A: TarParts = { name: 'a', content: 'first' }

function base256(size: bigint): Buffer {
  const bytes = Buffer.alloc(12)
  bytes[0] = 0x80
  bytes.writeBigUInt64BE(size, 4)
  return bytes
}

describe('names', () => {
  it.each([
    ['a leading ./', './a', 'a'],
    ['several of them', '././a/b', 'a/b'],
    ['a name that begins with dots', '..x/...', '..x/...'],
    ['a backslash that climbs nowhere', 'a\\b', 'a\\b'],
    ['macOS attributes', '._a', '._a'],
    ['percent signs and blanks', ' %2e%2e ', ' %2e%2e '],
    ['what is no path of objects', '__proto__', '__proto__'],
  ])('takes %s', async (_title, name, path) => {
    expect(Object.keys(await filesOf(tarOf({ name, content: 'x' }), 'tar'))).toEqual([path])
  })

  it.each([
    ['an absolute one', '/etc/passwd', "'/etc/passwd'"],
    ['one that climbs', 'a/../../b', "'a/../../b'"],
    ['one that climbs at once', '../b', "'../b'"],
    ['two dots', '..', "'..'"],
    ['a dot', '.', "'.'"],
    ['only ./', './', "'./'"],
    ['backslashes that climb', 'a\\..\\..\\b', "'a\\..\\..\\b'"],
    ['an empty segment', 'a//b', "'a//b'"],
    ['an absolute one behind a dot', './/etc/passwd', "'.//etc/passwd'"],
    ['a dot in between', 'a/./b', "'a/./b'"],
    ['none', '', "''"],
    ['an escape sequence', '/\u001b[31m', "'/\\u{1b}[31m'"],
    ['a turned direction', '/\u202etxt', "'/\\u{202e}txt'"],
  ])('refuses %s, naming the member', async (_title, name, shown) => {
    const archive = tarOf(A, paxOf({ path: name }), { name: name.slice(0, 90), content: 'x' })
    const failure = await failureOf(archive, 'tar')
    // A folder without a content would be no harm; one with a content is refused as such.
    expect(failure.kind).toMatch(/^Invalid(Path|Argument)$/)
    expect(failure.message).toContain(`The member ${shown} of the archive is refused`)
    expect(failure.written).toEqual({ files: 1, bytes: 5, paths: ['a'] })
  })

  it('refuses a NUL in an extended header and in a long name', async () => {
    expect((await failureOf(tarOf(paxOf({ path: 'a\0b' }), A), 'tar')).message).toContain('NUL')
    const long = { name: '././@LongLink', type: 'L', content: 'a\0b\0' }
    expect((await failureOf(tarOf(long, A), 'tar')).message).toContain("'a\\u{0}b'")
  })

  it('refuses what is not UTF-8 instead of mixing such names up', async () => {
    const failure = await failureOf(tarOf({ name: Buffer.from('caf\xe9', 'latin1'), content: 'x' }), 'tar')
    expect(failure.message).toBe("The member 'café' of the archive is refused: its name is not UTF-8.")
  })

  it('shows only the beginning of a long one', async () => {
    const failure = await failureOf(tarOf(paxOf({ path: `/${'x'.repeat(100_000)}` }), A), 'tar')
    expect(failure.message.length).toBeLessThan(400)
  })

  it('makes no folders, and takes its own as a member', async () => {
    const folders = ['./', '.', 'empty/', 'a/b/'].map(name => ({ name, type: '5' }))
    expect(await filesOf(tarOf(...folders, { name: 'old/', magic: '\0' }), 'tar')).toEqual({})
    expect((await failureOf(tarOf({ name: '../', type: '5' }), 'tar')).kind).toBe('InvalidPath')
    expect((await failureOf(tarOf({ name: 'd', type: '5', size: 512 }), 'tar')).message).toContain('folder')
  })

  it('lets the last of several members of one name stay', async () => {
    const members = Array.from({ length: 20 }, (_, i) => ({ name: i % 2 ? './a' : 'a', content: `${i}` }))
    expect(await filesOf(tarOf(...members), 'tar')).toEqual({ a: '19' })
  })

  it.each([
    ['a file in a file', 'a', 'a/b', 'NotDirectory'],
    ['a file in place of a folder', 'a/b', 'a', 'IsDirectory'],
  ])('names the member that would be %s', async (_title, first, second, kind) => {
    const archive = tarOf({ name: first, content: '1' }, { name: second, content: '2' })
    const failure = await failureOf(archive, 'tar')
    expect(failure.kind).toBe(kind)
    expect(failure.message).toMatch(`The member '${second}' of the archive cannot be written. `)
    expect(failure.written.files).toBe(1)
  })
})

describe('what is no file', () => {
  it.each([
    ['1', 'a hard link'],
    ['2', 'a symbolic link'],
    ['3', 'a device'],
    ['4', 'a device'],
    ['6', 'a pipe'],
    ['D', 'an incremental backup'],
    ['M', 'another volume'],
    ['S', 'a sparse file'],
    ['Z', "of the unknown type 'Z'"],
    ['\n', "of the unknown type '\\u{a}'"],
  ])('is refused: type %j', async (type, words) => {
    const failure = await failureOf(tarOf(A, { name: 'evil', type }), 'tar')
    expect(failure.kind).toBe('InvalidArgument')
    expect(failure.message).toContain("The member 'evil' of the archive is refused")
    expect(failure.message).toContain(words)
    expect(failure.written.paths).toEqual(['a'])
  })

  it('is refused where only an extended header says so', async () => {
    for (const keyword of ['GNU.sparse.major', 'GNU.sparse.map', 'SCHILY.realsize', 'GNU.volume.offset']) {
      const failure = await failureOf(tarOf(paxOf({ [keyword]: '1' }), { name: 'evil', content: 'x' }), 'tar')
      expect(failure.message).toContain("'evil'")
    }
  })

  it('passes over the label of a volume and the comment of git archive', async () => {
    const archive = tarOf({ name: 'label', type: 'V' }, paxOf({ comment: 'f'.repeat(40) }, 'g'), A)
    expect(await filesOf(archive, 'tar')).toEqual({ a: 'first' })
  })
})

describe('headers', () => {
  it.each<[string, readonly TarParts[], string]>([
    ['a pax path', [paxOf({ path: 'é/'.repeat(100) + 'x' }), A], 'é/'.repeat(100) + 'x'],
    ['an empty pax path', [paxOf({ path: '' }), A], 'a'],
    ['a prefix', [{ ...A, prefix: 'p/q' }], 'p/q/a'],
    ['GNU times in place of a prefix', [{ ...A, magic: 'ustar  \0', prefix: '1234567' }], 'a'],
    ['a long name of GNU', [{ name: 'L', type: 'L', content: `${'n'.repeat(120)}\0` }, A], 'n'.repeat(120)],
    ['no magic at all', [{ ...A, magic: '\0' }], 'a'],
    ['a type of NUL', [{ ...A, type: '\0' }], 'a'],
    ['a contiguous file', [{ ...A, type: '7' }], 'a'],
    ['a name of a hundred bytes', [{ ...A, name: 'm'.repeat(100) }], 'm'.repeat(100)],
  ])('understands %s', async (_title, members, path) => {
    expect(await filesOf(tarOf(...members), 'tar')).toEqual({ [path]: 'first' })
  })

  it('takes the size from an extended header and from a binary field', async () => {
    expect(await filesOf(tarOf(paxOf({ size: '5' }), { ...A, size: 0 }, A), 'tar')).toEqual({ a: 'first' })
    expect(await filesOf(tarOf({ ...A, size: base256(5n) }), 'tar')).toEqual({ a: 'first' })
  })

  it('counts sizes beyond 8 GiB, in both ways that they are written', async () => {
    for (const archive of [
      tarOf({ ...A, size: base256(2n ** 34n) }),
      tarOf(paxOf({ size: String(2 ** 34) }), A),
    ]) {
      const limits = { maxEntries: 9, maxBytes: 2 ** 34 - 1, maxRatio: 9 }
      expect((await failureOf(archive, 'tar', { limits })).kind).toBe('TooLarge')
      expect((await failureOf(archive, 'tar')).message).toContain('truncated')
    }
  })

  it('accepts a checksum of signed bytes', async () => {
    const header = tarMember({ name: 'é' })
    const signed = header.reduce((sum, byte, at) => sum + (at >= 148 && at < 156 ? 0x20 : byte), 0) - 2 * 256
    header.write(`${signed.toString(8).padStart(6, '0')}\0 `, 148, 'latin1')
    expect(await filesOf(Buffer.concat([header, TAR_END]), 'tar')).toEqual({ é: '' })
  })

  const negative = Buffer.alloc(12, 0xff)
  it.each<[string, Buffer]>([
    ['no checksum that fits', Buffer.concat([tarMember(A).fill('9', 148, 154), TAR_END])],
    ['letters for a size', tarOf({ ...A, size: Buffer.from('0000000000x\0') })],
    ['an eight among octal digits', tarOf({ ...A, size: Buffer.from('00000000008\0') })],
    ['a negative size', tarOf({ ...A, size: negative })],
    ['a size beyond all numbers', tarOf({ ...A, size: base256(2n ** 60n) })],
    ['a pax size of no number', tarOf(paxOf({ size: '5x' }), A)],
    ['a pax size below zero', tarOf(paxOf({ size: '-5' }), A)],
    ['a pax size beyond all numbers', tarOf(paxOf({ size: '9'.repeat(20) }), A)],
    ['a pax record without a length', tarOf({ name: 'x', type: 'x', content: 'path=b\n' }, A)],
    ['a pax record that is too long', tarOf({ name: 'x', type: 'x', content: '99 path=b\n' }, A)],
    ['a pax record that is too short', tarOf({ name: 'x', type: 'x', content: '9 path=bcd\n' }, A)],
    ['a pax record of length 0', tarOf({ name: 'x', type: 'x', content: '0 path=b\n' }, A)],
    ['a pax record without a sign of equality', tarOf({ name: 'x', type: 'x', content: '9 pathbc\n' }, A)],
    ['a path for all members', tarOf(paxOf({ path: 'b' }, 'g'), A)],
    ['an extended header of 2 MiB', tarOf({ name: 'x', type: 'x', content: Buffer.alloc(2 ** 21) }, A)],
    ['ten extended headers', tarOf(...Array.from({ length: 10 }, () => paxOf({ path: 'b' })), A)],
    ['text', Buffer.from('<html>'.repeat(1000))],
    ['a gzip', gzipSync(Buffer.concat([tarOf(A), Buffer.from('x'.repeat(600))]))],
  ])('refuses %s', async (_title, archive) => {
    const failure = await failureOf(archive, 'tar')
    expect(failure.kind).toBe('InvalidArgument')
    expect(failure.message).toMatch(/^The archive is (damaged|truncated)/)
  })
})

describe('the end', () => {
  it('may be one block of zeros, or many', async () => {
    for (const zeros of [512, 700, 1024, 10_240])
      expect(await filesOf(Buffer.concat([tarMember(A), Buffer.alloc(zeros)]), 'tar')).toEqual({ a: 'first' })
  })

  it('must be there: between two members nothing else shows that the rest is missing', async () => {
    for (const archive of [tarMember(A), Buffer.concat([tarMember(A), Buffer.alloc(511)]), Buffer.alloc(0)])
      expect((await failureOf(archive, 'tar')).message).toContain('The archive is truncated')
  })

  it('is not inside of a member', async () => {
    const cut = Buffer.concat([tarMember(A), tarMember(paxOf({ path: 'b' })), TAR_END])
    expect((await failureOf(cut, 'tar')).message).toContain('between an extended header and its member')
  })

  it('may not be followed by another archive, which would be lost', async () => {
    const failure = await failureOf(Buffer.concat([tarOf(A), tarOf({ name: 'b' })]), 'tar')
    expect(failure.message).toContain('something follows its end')
  })

  it('is not reached in any archive that was cut', async () => {
    const archive = tarOf(A, paxOf({ path: 'long/name' }), { name: 'b', content: 'x'.repeat(3000) }, A)
    const lastMember = archive.length - TAR_END.length
    for (let length = 0; length < lastMember + 512; length += 37)
      expect((await failureOf(archive.subarray(0, length), 'tar')).kind).toBe('InvalidArgument')
    const gz = gzipSync(archive)
    for (let length = 0; length < gz.length; length++)
      expect((await failureOf(gz.subarray(0, length), 'tar.gz')).message).toContain('truncated')
  })
})

describe('gzip', () => {
  const archive = tarOf(A, { name: 'b', content: 'second'.repeat(10_000) })
  const expected = { a: 'first', b: 'second'.repeat(10_000) }

  it('may have several members (RFC 1952, 2.2), cut anywhere', async () => {
    for (const at of [1, 511, 512, 20_000]) {
      const parts = [archive.subarray(0, at), Buffer.alloc(0), archive.subarray(at)].map(part =>
        gzipSync(part),
      )
      for (const sizes of [[1], [7, 64], [1 << 16]])
        expect(await unpackFrom(inChunks(Buffer.concat(parts), sizes), 'tar.gz')).toMatchObject({ files: 2 })
    }
  })

  it('may be filled up with zeros', async () => {
    for (const sizes of [[1], [1 << 16]]) {
      const filled = Buffer.concat([gzipSync(archive), Buffer.alloc(100_000)])
      expect(await unpackFrom(inChunks(filled, sizes), 'tar.gz')).toMatchObject({ files: 2 })
    }
    expect(await filesOf(gzipSync(archive), 'tar.gz')).toEqual(expected)
  })

  it.each([
    ['text', Buffer.from('garbage')],
    ['zeros and text', Buffer.from('\0\0\0garbage')],
    ['half a header', Buffer.from([0x1f, 0x8b, 8])],
    ['a member that is cut off', gzipSync('x').subarray(0, 15)],
  ])('may not be followed by %s', async (_title, rest) => {
    for (const sizes of [[1], [1 << 16]]) {
      const failure = await failureOf(inChunks(Buffer.concat([gzipSync(archive), rest]), sizes), 'tar.gz')
      expect(failure.message).toMatch(/^The archive is (damaged|truncated)/)
    }
  })

  it('fails where its checksum, its length or its bytes are wrong', async () => {
    const gz = gzipSync(archive)
    for (const at of [gz.length - 6, gz.length - 2, 0, 30]) {
      const broken = Buffer.from(gz)
      broken[at]! ^= 0x55
      expect((await failureOf(broken, 'tar.gz')).message).toContain('damaged')
    }
    expect((await failureOf(archive, 'tar.gz')).message).toContain('damaged')
  })
})

describe('chunks', () => {
  const members = [
    { name: 'dir/', type: '5' },
    paxOf({ path: 'ü'.repeat(60) }),
    { name: 'x', content: 'pax' },
    { name: 'e', content: '' },
    { name: 'f', content: 'y'.repeat(1500) },
  ]
  const expected = { ['ü'.repeat(60)]: 'pax', e: '', f: 'y'.repeat(1500) }
  const sizes = fc.array(fc.integer({ min: 1, max: 700 }), { minLength: 1, maxLength: 9 })

  it('may have any sizes', async () => {
    for (const [format, archive] of [
      ['tar', tarOf(...members)],
      ['tar.gz', gzipSync(tarOf(...members))],
    ] as const)
      await fc.assert(
        fc.asyncProperty(sizes, async each => {
          const whole = Buffer.from(archive)
          const { files } = await unpackFrom(inChunks(whole, each), format)
          expect(files).toBe(Object.keys(expected).length)
        }),
        { numRuns: 60 },
      )
    expect(await filesOf(tarOf(...members), 'tar')).toEqual(expected)
  })

  it('may hold any bytes: never anything but files or a failure that was foreseen', async () => {
    const valid = tarOf(...members)
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(fc.nat(valid.length - 1), fc.integer({ min: 0, max: 255 })), {
          minLength: 1,
          maxLength: 4,
        }),
        fc.boolean(),
        async (changes, sums) => {
          const archive = Buffer.from(valid)
          for (const [at, byte] of changes) archive[at] = byte
          // With a checksum that fits, the change is seen by what is behind it.
          if (sums)
            for (let at = 0; at < valid.length; at += 512)
              if (archive.toString('latin1', at + 257, at + 262) === 'ustar')
                summed(archive.subarray(at, at + 512))
          const outcome = await unpackFrom(inChunks(archive), 'tar').catch((error: unknown) => error)
          if (outcome instanceof Error) expect(outcome).not.toMatchObject({ kind: 'Internal' })
        },
      ),
      { numRuns: 300 },
    )
  })
})
