// Zips that no program writes, that programs write only on bad days, and all forms that streamed ones have.
import { crc32, deflateRawSync } from 'node:zlib'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { failureOf, filesOf, inChunks, unpackFrom, zipMember, zipOf, type ZipParts } from './unpacking.ts'

const A: ZipParts = { name: 'a', content: 'first' }
const FOLDER: ZipParts = { name: 'd/', mode: 0o040755, method: 0 }

function extra(id: number, content: Buffer): Buffer {
  const head = Buffer.alloc(4)
  head.writeUInt16LE(id, 0)
  head.writeUInt16LE(content.length, 2)
  return Buffer.concat([head, content])
}

/** The archive with the bytes that `change` makes. */
function changed(archive: Buffer, change: (bytes: Buffer) => void): Buffer {
  const copy = Buffer.from(archive)
  change(copy)
  return copy
}

describe('names', () => {
  it.each([
    ['a leading ./', './a', 'a'],
    ['a name that begins with dots', '..x', '..x'],
    ['UTF-8', 'é/日', 'é/日'],
    ['macOS attributes', '__MACOSX/._a', '__MACOSX/._a'],
  ])('takes %s', async (_title, name, path) => {
    expect(await filesOf(zipOf([{ name, content: 'x' }]), 'zip')).toEqual({ [path]: 'x' })
  })

  it.each([
    ['an absolute one', '/etc/passwd'],
    ['one that climbs', 'a/../../b'],
    ['backslashes that climb', '..\\..\\b'],
    ['a drive of Windows', 'C:\\b'],
    ['backslashes in place of slashes', 'a\\b'],
    ['an empty segment', 'a//b'],
    ['none', ''],
    ['only ./', './.'],
  ])('refuses %s, naming the member', async (_title, name) => {
    const failure = await failureOf(zipOf([A, { name, content: 'x' }]), 'zip')
    expect(failure.kind).toMatch(/^Invalid(Path|Argument)$/)
    expect(failure.message).toContain(`The member '${name}' of the archive is refused`)
    expect(failure.written).toEqual({ files: 1, bytes: 5, paths: ['a'] })
  })

  it('refuses a NUL, which is shown', async () => {
    expect((await failureOf(zipOf([{ name: 'a\0b' }]), 'zip')).message).toContain("'a\\u{0}b'")
  })

  it('reads UTF-8 without its flag, and refuses code pages', async () => {
    expect(await filesOf(zipOf([{ name: 'é', flags: 0 }]), 'zip')).toEqual({ é: '' })
    const failure = await failureOf(zipOf([{ name: Buffer.from([0x82]), flags: 0 }]), 'zip')
    expect(failure.message).toContain('is not UTF-8')
  })

  it("takes the name from Info-ZIP's extra field, as long as it belongs to the name", async () => {
    const name = Buffer.from([0x82])
    const field = (crc: number): Buffer => {
      const content = Buffer.from('\x01\0\0\0\0é')
      content.writeUInt32LE(crc, 1)
      return extra(0x7075, content)
    }
    const archive = zipOf([{ name, flags: 0, extra: field(crc32(name)) }])
    expect(await filesOf(archive, 'zip')).toEqual({ é: '' })
    await failureOf(zipOf([{ name, flags: 0, extra: field(1) }]), 'zip')
  })

  it('makes no folders, and refuses one with a content', async () => {
    const deflated = { ...FOLDER, method: 8, sizes: 'signed' } as const
    expect(
      await filesOf(zipOf([FOLDER, { ...deflated, name: 'e/' }, { ...FOLDER, name: './' }]), 'zip'),
    ).toEqual({})
    expect((await failureOf(zipOf([{ ...FOLDER, content: 'x' }]), 'zip')).message).toContain('folder')
    expect((await failureOf(zipOf([{ ...FOLDER, name: '../' }]), 'zip')).kind).toBe('InvalidPath')
  })

  it('lets the last of several members of one name stay', async () => {
    const members = Array.from({ length: 20 }, (_, i) => ({ name: 'a', content: `${i}` }))
    expect(await filesOf(zipOf(members), 'zip')).toEqual({ a: '19' })
  })
})

describe('contents', () => {
  const members: ZipParts[] = [
    { name: 'stored', content: 's'.repeat(700), method: 0 },
    { name: 'deflated', content: 'd'.repeat(700) },
    { name: 'empty', method: 0 },
    ...(['signed', 'unsigned', 'signed64', 'unsigned64'] as const).map(sizes => ({
      name: `${sizes}, stored nothing`,
      method: 0,
      sizes,
    })),
    { name: 'stored, sizes in front and behind', content: 'x', method: 0, sizes: 'both' },
    ...(['signed', 'unsigned', 'signed64', 'unsigned64'] as const).flatMap(sizes => [
      { name: `${sizes} descriptor`, content: `${sizes} `.repeat(500), sizes },
      { name: `${sizes} descriptor of nothing`, sizes },
    ]),
    {
      name: 'a content like a descriptor',
      content: Buffer.from('PK\x07\x08PK\x03\x04PK\x01\x02'),
      method: 0,
    },
  ]
  const expected = Object.fromEntries(members.map(({ name, content = '' }) => [name, String(content)]))
  const archive = zipOf(members)

  it('are read in every form that writers have, in chunks of any sizes', async () => {
    expect(await filesOf(archive, 'zip')).toEqual(expected)
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.integer({ min: 1, max: 300 }), { minLength: 1, maxLength: 9 }),
        async sizes => {
          expect(await unpackFrom(inChunks(archive, sizes), 'zip')).toMatchObject({
            files: members.length,
          })
        },
      ),
      { numRuns: 60 },
    )
  })

  it.each<[string, ZipParts, string]>([
    ['a checksum that is wrong', { ...A, crc: 1 }, 'does not agree'],
    ['a checksum in a descriptor that is wrong', { ...A, crc: 1, sizes: 'signed' }, 'does not agree'],
    ['a descriptor that is missing', { ...A, sizes: 'none' }, 'does not agree'],
    ['a stored size that is wrong', { ...A, method: 0, body: Buffer.from('firs') }, 'does not agree'],
    ['more than its size', { ...A, body: deflateRawSync('first and more') }, 'does not agree'],
    ['less than its size', { ...A, body: deflateRawSync('firs') }, 'does not agree'],
    [
      'bytes after what is compressed',
      { ...A, body: Buffer.concat([deflateRawSync('first'), Buffer.from('x')]) },
      'does not agree',
    ],
    ['no Deflate', { ...A, body: Buffer.from('\xff\xff\xff\xff', 'latin1') }, 'cannot be decompressed'],
    ['an unknown end', { ...A, method: 0, sizes: 'signed' }, 'its end cannot be found in a stream'],
    ['encryption', { ...A, flags: 0x0801 }, 'it is encrypted'],
    ['strong encryption', { ...A, flags: 0x0841 }, 'it is encrypted'],
    ['a masked header', { ...A, flags: 0x2800 }, 'it is encrypted'],
    ['a patch', { ...A, flags: 0x0820 }, 'it is a patch'],
    ['Zstandard', { ...A, method: 93 }, 'it is compressed by Zstandard'],
    ['AES', { ...A, method: 99 }, 'it is compressed by method 99'],
  ])('are refused with %s', async (_title, member, words) => {
    const failure = await failureOf(zipOf([{ name: 'before', content: 'b' }, member]), 'zip')
    expect(failure.kind).toBe('InvalidArgument')
    expect(failure.message).toContain(words)
    expect(failure.written.paths).toEqual(['before'])
  })

  it('may be announced as larger than 4 GiB by a zip64 field', async () => {
    const sizes = Buffer.alloc(16)
    sizes.writeBigUInt64LE(5n, 0)
    sizes.writeBigUInt64LE(5n, 8)
    const wide = (archive: Buffer): Buffer => changed(archive, bytes => bytes.fill(0xff, 18, 26))
    expect(await filesOf(wide(zipOf([{ ...A, method: 0, extra: extra(1, sizes) }])), 'zip')).toEqual({
      a: 'first',
    })
    sizes.writeBigUInt64LE(2n ** 33n, 0)
    sizes.writeBigUInt64LE(2n ** 33n, 8)
    const huge = wide(zipOf([{ ...A, method: 0, extra: extra(1, sizes) }]))
    expect((await failureOf(huge, 'zip')).message).toContain('truncated')
    sizes.writeBigUInt64LE(2n ** 60n, 0)
    const endless = wide(zipOf([{ ...A, method: 0, extra: extra(1, sizes) }]))
    expect((await failureOf(endless, 'zip')).message).toContain('larger than any file')
  })
})

describe('the directory', () => {
  it('shows links and devices, which only it tells apart from files', async () => {
    for (const [mode, words] of [
      [0o120777, 'symbolic link'],
      [0o020644, 'a device or a pipe'],
      [0o010644, 'a device or a pipe'],
    ] as const) {
      const failure = await failureOf(zipOf([{ ...A, name: 'evil', mode }]), 'zip', { onFailure: 'remove' })
      expect(failure.message).toContain(`The member 'evil' of the archive is refused: it is a`)
      expect(failure.message).toContain(words)
      expect(failure.removal).toEqual({ removed: 1, failures: [] })
    }
  })

  it('may have no modes', async () => {
    expect(await filesOf(zipOf([{ ...A, mode: 0 }]), 'zip')).toEqual({ a: 'first' })
  })

  it.each<[string, Buffer]>([
    ['misses a member', zipOf([A, { ...A, name: 'b' }], { unlisted: [0] })],
    ['misses all members', zipOf([A], { unlisted: [0] })],
    ['counts more than it lists', zipOf([A], { count: 2 })],
    ['lists another name', changed(zipOf([A]), bytes => bytes.write('z', bytes.lastIndexOf('a')))],
    [
      'lists another checksum',
      changed(zipOf([A]), bytes => bytes.writeUInt8(1, bytes.indexOf('PK\x01\x02') + 16)),
    ],
    [
      'lists another place',
      changed(zipOf([A]), bytes => bytes.writeUInt8(1, bytes.indexOf('PK\x01\x02') + 42)),
    ],
    ['is elsewhere', changed(zipOf([A]), bytes => bytes.writeUInt8(1, bytes.length - 6))],
    [
      'lists a member twice',
      (() => {
        const { local, central } = zipMember(A)
        const end = zipOf([A, A]).subarray(-22)
        return Buffer.concat([local, central(0), central(0), end])
      })(),
    ],
    ['is followed by something', Buffer.concat([zipOf([A]), Buffer.from('x')])],
    ['is followed by another archive', Buffer.concat([zipOf([A]), zipOf([A])])],
    ['is not there', zipMember(A).local],
    [
      'has another record in its place',
      Buffer.concat([zipMember(A).local, Buffer.from('PK\x09\x09'), Buffer.alloc(99)]),
    ],
    ['comes after other bytes', Buffer.concat([zipMember(A).local, Buffer.from('1234'), zipOf([])])],
    ['is not one', Buffer.from('no zip at all')],
    ['is missing altogether', Buffer.alloc(0)],
    ['is of a tar', Buffer.alloc(10_240)],
  ])('is damaged where it %s', async (_title, archive) => {
    const failure = await failureOf(archive, 'zip')
    expect(failure.kind).toBe('InvalidArgument')
    expect(failure.message).toMatch(/^The archive is (damaged|truncated)/)
  })

  it('may have a comment, nothing to list, and zeros behind it', async () => {
    const filled = Buffer.concat([zipOf([A]), Buffer.alloc(10_240)])
    expect(await filesOf(filled, 'zip')).toEqual({ a: 'first' })
    expect(await filesOf(zipOf([], { comment: 'PK\x05\x06' }), 'zip')).toEqual({})
    expect((await failureOf(zipOf([A], { comment: 'four' }).subarray(0, -1), 'zip')).message).toContain(
      'truncated',
    )
  })

  it('is not whole in any archive that was cut', async () => {
    const members = [
      A,
      FOLDER,
      { ...A, name: 'b', sizes: 'unsigned' },
      { ...A, name: 'c', sizes: 'signed64' },
    ] as const
    const archive = zipOf(members)
    for (let length = 0; length < archive.length; length++)
      expect((await failureOf(archive.subarray(0, length), 'zip')).message).toContain('truncated')
  })

  it('makes every change of a byte a failure, but for what nobody needs', async () => {
    const archive = zipOf([A, FOLDER, { ...A, name: 'b', sizes: 'signed' }])
    const expected = await filesOf(archive, 'zip')
    await fc.assert(
      fc.asyncProperty(fc.nat(archive.length - 1), fc.integer({ min: 1, max: 255 }), async (at, bits) => {
        const broken = changed(archive, bytes => (bytes[at]! ^= bits))
        const outcome = await filesOf(broken, 'zip').catch((error: unknown) => error)
        if (outcome instanceof Error)
          expect(outcome).toMatchObject({ kind: expect.stringMatching(/^Invalid/) })
        else expect(outcome).toEqual(expected)
      }),
      { numRuns: 1000 },
    )
  })
})
