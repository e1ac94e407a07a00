// What the programs that people pack with write is unpacked, as far as it can be read from a stream. Those that are not installed are skipped by name; REQUIRE_TOOLS=1 makes them fail.
import { execFileSync } from 'node:child_process'
import {
  linkSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { rotatingBuffers } from '../../src/content/rope-buffers.ts'
import type { UnpackFormat } from '../../src/content/unpack.ts'
import { MemoryStore } from '../../src/store/memory.ts'
import { describeClient, findProgram } from '../client/programs.ts'
import { openArchive, readAll } from './archives.ts'
import { pattern, SyntheticStore } from './synthetic-store.ts'
import { contentsOf, failureOf, filesOf, unpackFrom } from './unpacking.ts'

const LONG = `${'d'.repeat(120)}/${'e'.repeat(120)}/${'f'.repeat(120)}`

function filled(size: number, seed: number): Buffer {
  const content = Buffer.alloc(size)
  pattern(seed)(content, 0)
  return content
}

/** Names that every file system and every program here can hold. */
const FILES: Readonly<Record<string, Buffer>> = {
  empty: Buffer.alloc(0),
  'one byte': Buffer.from('1'),
  'dir/512': filled(512, 1),
  'dir/deeper/513': filled(513, 2),
  'dir/large': filled(1_000_003, 3),
  'dir/zeros': Buffer.alloc(300_000),
  'é 日 😀': filled(10, 4),
  '..x': filled(11, 5),
  '._apple': filled(12, 6),
  '-rf': filled(13, 7),
}
const WITH_LONG = { ...FILES, [LONG]: filled(14, 8) }

function latin1(files: Readonly<Record<string, Buffer>>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(files).map(([path, content]) => [path, content.toString('latin1')]),
  )
}

let base = ''
const at = (...names: string[]): string => join(base, ...names)

function makeTree(name: string, files: Readonly<Record<string, Buffer>>): void {
  mkdirSync(at(name, 'an empty folder'), { recursive: true })
  for (const [path, content] of Object.entries(files)) {
    mkdirSync(dirname(at(name, path)), { recursive: true })
    writeFileSync(at(name, path), content)
  }
}

/** What a program writes to its standard output, a pipe, in the folder `cwd` of the tree. */
function piped(cwd: string, program: string, args: readonly string[]): Buffer {
  return execFileSync(program, args, {
    cwd: at(cwd),
    env: { ...process.env, LC_ALL: 'C.UTF-8' },
    maxBuffer: 2 ** 30,
    stdio: ['ignore', 'pipe', 'ignore'],
  })
}

/** What a program writes into the file that is the argument `FILE`. */
function filedAs(extension: string, cwd: string, program: string, args: readonly string[]): Buffer {
  const file = at(`written.${extension}`)
  rmSync(file, { force: true })
  piped(
    cwd,
    program,
    args.map(each => (each === 'FILE' ? file : each)),
  )
  return readFileSync(file)
}

const everywhere = (archive: Buffer, format: UnpackFormat): Promise<Record<string, string>> =>
  filesOf(archive, format, { limits: { maxEntries: 1000, maxBytes: 2 ** 30, maxRatio: 1100 } })

beforeAll(() => {
  base = mkdtempSync(join(tmpdir(), 'unpack-'))
  makeTree('short', FILES)
  makeTree('long', WITH_LONG)
  for (const name of ['soft', 'hard', 'sparse']) makeTree(name, { target: Buffer.from('t') })
  symlinkSync('target', at('soft', 'soft link'))
  linkSync(at('hard', 'target'), at('hard', 'hard link'))
  truncateSync(at('sparse', 'target'), 4 * 2 ** 20)
})

afterAll(() => rmSync(base, { recursive: true, force: true }))

describeClient('GNU tar', gnuTar(), tar => {
  it.each(['gnu', 'pax', 'oldgnu', 'posix'])('writes tars of the format %s', async format => {
    expect(await everywhere(piped('long', tar, [`--format=${format}`, '-cf', '-', '.']), 'tar')).toEqual(
      latin1(WITH_LONG),
    )
  })

  it.each(['ustar', 'v7'])('writes tars of the format %s', async format => {
    expect(await everywhere(piped('short', tar, [`--format=${format}`, '-cf', '-', '.']), 'tar')).toEqual(
      latin1(FILES),
    )
  })

  it('writes compressed tars, and labels', async () => {
    const args = ['-V', 'a label', '-czf', '-', '.']
    expect(await everywhere(piped('long', tar, args), 'tar.gz')).toEqual(latin1(WITH_LONG))
  })

  it.each([
    ['soft', [], 'symbolic link'],
    ['hard', [], 'hard link'],
    ['sparse', ['--sparse'], 'sparse file'],
    ['sparse', ['--sparse', '--format=pax'], 'sparse file'],
    ['sparse', ['--incremental'], 'incremental'],
  ])('writes what is refused: %s %j', async (cwd, options, words) => {
    const failure = await failureOf(piped(cwd, tar, [...options, '-cf', '-', '.']), 'tar')
    expect(failure.message).toContain(words)
  })

  it('follows the advice that the refusal gives', async () => {
    const args = ['--dereference', '--hard-dereference', '-cf', '-', '.']
    expect(await everywhere(piped('soft', tar, args), 'tar')).toEqual({ target: 't', 'soft link': 't' })
    expect(await everywhere(piped('hard', tar, args), 'tar')).toEqual({ target: 't', 'hard link': 't' })
  })
})

describeClient('bsdtar', findProgram('bsdtar'), bsdtar => {
  it.each(['pax', 'gnutar'])('writes tars of the format %s', async format => {
    const args = ['--format', format, '-cf', '-', '.']
    expect(await everywhere(piped('long', bsdtar, args), 'tar')).toEqual(latin1(WITH_LONG))
  })

  it('writes ustar', async () => {
    const args = ['--format', 'ustar', '-czf', '-', '.']
    expect(await everywhere(piped('short', bsdtar, args), 'tar.gz')).toEqual(latin1(FILES))
  })

  it('writes zips to a pipe, and to a file', async () => {
    expect(await everywhere(piped('long', bsdtar, ['--format', 'zip', '-cf', '-', '.']), 'zip')).toEqual(
      latin1(WITH_LONG),
    )
    const filed = filedAs('zip', 'long', bsdtar, ['--format', 'zip', '-cf', 'FILE', '.'])
    expect(await everywhere(filed, 'zip')).toEqual(latin1(WITH_LONG))
  })

  it('writes sparse files, which are refused, and leaves them out of it when told so', async () => {
    const failed = await failureOf(
      piped('sparse', bsdtar, ['--format', 'pax', '-cf', '-', '.']),
      'tar',
    ).catch(() => undefined)
    // Older ones do not look for holes.
    if (failed !== undefined) expect(failed.message).toContain('--no-read-sparse')
  })
})

describeClient('Info-ZIP', findProgram('zip'), zip => {
  it.each([
    ['to a pipe', ['-q', '-r', '-', '.']],
    ['to a pipe, stored', ['-q', '-0', '-r', '-', '.']],
    ['to a pipe, with zip64', ['-q', '-fz', '-r', '-', '.']],
    ['to a pipe, with comments', ['-q', '-r', '-X', '-', '.']],
  ])('writes %s', async (_title, args) => {
    expect(await everywhere(piped('long', zip, args), 'zip')).toEqual(latin1(WITH_LONG))
  })

  it('writes to a file, which can be changed later', async () => {
    const file = at('changed.zip')
    piped('long', zip, ['-q', '-r', file, '.'])
    expect(await everywhere(readFileSync(file), 'zip')).toEqual(latin1(WITH_LONG))
    piped('long', zip, ['-q', '-d', file, 'one byte'])
    const { 'one byte': _removed, ...others } = latin1(WITH_LONG)
    expect(await everywhere(readFileSync(file), 'zip')).toEqual(others)
  })

  it('writes what is refused: links and encrypted files', async () => {
    expect(
      (await failureOf(filedAs('zip', 'soft', zip, ['-q', '-r', '-y', 'FILE', '.']), 'zip')).message,
    ).toContain('symbolic link')
    expect((await failureOf(piped('soft', zip, ['-q', '-r', '-P', 'x', '-', '.']), 'zip')).message).toContain(
      'encrypted',
    )
  })
})

describeClient('7z', findProgram('7z', '7zz'), sevenZip => {
  it.each([
    ['zip', 'zip', []],
    ['a stored zip', 'zip', ['-mx=0']],
    ['tar', 'tar', []],
  ] as const)('writes %s', async (_title, format, options) => {
    const archive = filedAs(format, 'long', sevenZip, ['a', '-bd', `-t${format}`, ...options, 'FILE', '.'])
    expect(await everywhere(archive, format)).toEqual(latin1(WITH_LONG))
  })

  it.each(['Deflate64', 'BZip2', 'LZMA'])('writes %s, which is refused', async method => {
    const archive = filedAs('zip', 'long', sevenZip, ['a', '-bd', '-tzip', `-mm=${method}`, 'FILE', '.'])
    expect((await failureOf(archive, 'zip')).message).toMatch(new RegExp(`is compressed by ${method}`, 'i'))
  })
})

describeClient('Python', findProgram('python3'), python => {
  const script = join(import.meta.dirname, 'write_archive.py')
  it.each([
    ['pax', 'tar'],
    ['pax.gz', 'tar.gz'],
    ['gnu', 'tar'],
    ['zip', 'zip'],
    ['zip64', 'zip'],
  ] as const)('writes %s to a pipe', async (form, format) => {
    expect(await everywhere(piped('long', python, [script, form, '.']), format)).toEqual(latin1(WITH_LONG))
  })

  it('writes stored zips to a pipe without saying where their members end, which is refused', async () => {
    const failure = await failureOf(piped('long', python, [script, 'zip-stored', '.']), 'zip')
    expect(failure.message).toContain('its end cannot be found in a stream')
  })
})

describeClient('Java', findProgram('java'), java => {
  it('writes zips with ZipOutputStream', async () => {
    const archive = piped('long', java, [join(import.meta.dirname, 'StreamZip.java'), '.'])
    expect(await everywhere(archive, 'zip')).toEqual(latin1(WITH_LONG))
  })
})

describe('the archives of the service itself', () => {
  const source = new SyntheticStore().folder('an empty folder')
  const sizes = [0, 1, 511, 512, 65_535, 262_144, 262_145, 1_000_003]
  sizes.forEach((size, i) => source.file(`files/${i}.bin`, filled(size, i)))
  const names = [
    ' ',
    '%41',
    '..x',
    'new\nline',
    'é 😀',
    '*?[x]',
    'n'.repeat(255),
    `${'d/'.repeat(200)}f`,
    'con',
  ]
  names.forEach((name, i) => source.file(`names/${name}`, filled(10, i)))

  it.each([
    ['zip', 'zip', false],
    ['deflated zip', 'zip', true],
    ['tar', 'tar', false],
    ['tar.gz', 'tar.gz', false],
  ] as const)('unpack to what they were made of: %s', async (_title, format, compress) => {
    const archive = await readAll(await openArchive(source, format, { compress }))
    expect(await everywhere(archive, format)).toEqual(await contentsOf(source))
  })

  it.each(['zip', 'tar'] as const)('unpack from a source that uses its memory again: %s', async format => {
    const archive = await openArchive(source, format)
    const store = new MemoryStore()
    await unpackFrom(archive.read(0, archive.size!, { buffers: rotatingBuffers(700) }), format, { store })
    await archive.close()
    expect(await contentsOf(store)).toEqual(await contentsOf(source))
  })

  it('unpack again where their members are too many for 16 bits', async () => {
    const many = new SyntheticStore()
    for (let i = 0; i < 70_000; i++) many.file(`m/${i}`, Buffer.from(`${i}`))
    const files = await filesOf(await readAll(await openArchive(many, 'zip')), 'zip')
    expect(Object.keys(files)).toHaveLength(70_000)
    expect(files['m/69999']).toBe('69999')
  }, 120_000)
})

/** What is called tar elsewhere is bsdtar. */
function gnuTar(): string | undefined {
  const found = findProgram('gtar', 'tar')
  return found !== undefined && execFileSync(found, ['--version']).includes('GNU tar') ? found : undefined
}
