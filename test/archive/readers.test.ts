// The programs that people unpack with read what we write. Those that are not installed are skipped by name; REQUIRE_TOOLS=1 makes them fail.
import { spawn } from 'node:child_process'
import {
  closeSync,
  createReadStream,
  ftruncateSync,
  mkdtempSync,
  openSync,
  rmSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { buffer, text } from 'node:stream/consumers'
import { pipeline } from 'node:stream/promises'
import { crc32 } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Representation } from '../../src/content/representation.ts'
import { rotatingBuffers } from '../../src/content/rope-buffers.ts'
import { describeClient, findProgram } from '../client/programs.ts'
import { openArchive, readAll } from './archives.ts'
import { noise, pattern, SyntheticStore, zeros } from './synthetic-store.ts'

const here = (name: string): string => join(import.meta.dirname, name)
const GiB = 2 ** 30

interface Tree {
  readonly title: string
  readonly store: SyntheticStore
  /** `hex(name) size crc` of each member, in order. */
  readonly lines: readonly string[]
}

function line(name: string, size: number, crc: number): string {
  return `${Buffer.from(name).toString('hex')} ${size} ${crc}`
}

class TreeBuilder {
  readonly store = new SyntheticStore()
  readonly #lines = new Map<string, string>()

  file(path: string, content: Buffer, name = path): this {
    this.store.file(path, content)
    this.#lines.set(name, line(name, content.length, crc32(content)))
    return this
  }

  folder(path: string): this {
    this.store.folder(path)
    this.#lines.set(`${path}/`, line(`${path}/`, 0, 0))
    return this
  }

  as(title: string): Tree {
    const names = [...this.#lines.keys()].sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)))
    return { title, store: this.store, lines: names.map(name => this.#lines.get(name)!) }
  }
}

function filled(size: number, seed: number): Buffer {
  const content = Buffer.alloc(size)
  pattern(seed)(content, 0)
  return content
}

function incompressible(size: number): Buffer {
  const content = Buffer.alloc(size)
  noise(content, 0)
  return content
}

const MANY = '70,000 members'

const HOSTILE = [
  ' leading and trailing ',
  '#%&+;=?@!$~',
  '%41',
  'quotes \' " `',
  '<script>alert(1)<%2Fscript>',
  '-rf',
  '..x',
  '.hidden',
  'emoji 😀',
  'e\u0301 and é',
  'new\nline and \ttab',
  'escape \u001b[31m',
  '*?[x]{y}|',
  'n'.repeat(255),
  '日'.repeat(85),
  `${'d'.repeat(250)}/${'e'.repeat(250)}/${'f'.repeat(250)}`,
  'con',
  'nul.txt',
  '$(touch x)',
]

function trees(): Tree[] {
  const sizes = [0, 1, 511, 512, 513, 65_535, 262_144, 262_145, 65_535 * 5, 1_000_003]
  const ordinary = new TreeBuilder().folder('empty').folder('deep/er/empty')
  sizes.forEach((size, i) => ordinary.file(`files/${i}.bin`, filled(size, i)))
  const mixed = new TreeBuilder()
  for (let i = 0; i < 6; i++)
    mixed
      .file(`${i}/model.bin`, incompressible(300_000 * (i + 1)))
      .file(`${i}/log.txt`, filled(700_000, i))
      .file(`${i}/plot.png`, incompressible(70_000))
  const hostile = new TreeBuilder()
  HOSTILE.forEach((name, i) => hostile.file(name, filled(10 + i, i)))
  hostile.file('back\\slash', Buffer.from('b'), 'back%5Cslash')
  const many = new TreeBuilder()
  for (let i = 0; i < 70_000; i++) many.file(`m/${i}`, Buffer.from(`${i}`))
  return [
    ordinary.as('members of many sizes'),
    mixed.as('members that shrink and others'),
    hostile.as('hostile names'),
    new TreeBuilder().folder('only/an/empty/folder').as('an empty folder'),
    many.as(MANY),
  ]
}

interface Run {
  readonly code: number | null
  readonly stdout: Buffer
  readonly stderr: string
}

/** Runs a program, on what `input` gives where there is some. A program that stops reading before the end is not a failure of the writing. */
async function run(
  program: string,
  args: readonly string[],
  input?: AsyncIterable<Uint8Array>,
): Promise<Run> {
  const child = spawn(program, args, { env: { ...process.env, LC_ALL: 'C.UTF-8' } })
  const ended = new Promise<number | null>((resolve, reject) => {
    child.once('error', reject)
    child.once('close', resolve)
  })
  const writing =
    input === undefined ? child.stdin.end() : pipeline(input, child.stdin).catch(() => undefined)
  const [code, stdout, stderr] = await Promise.all([ended, buffer(child.stdout), text(child.stderr), writing])
  return { code, stdout, stderr }
}

async function lines(
  program: string,
  args: readonly string[],
  input?: AsyncIterable<Uint8Array>,
): Promise<string[]> {
  const { code, stdout, stderr } = await run(program, args, input)
  expect(code, stderr).toBe(0)
  return stdout.toString().trim().split('\n').filter(Boolean)
}

async function* once(bytes: Buffer): AsyncGenerator<Buffer> {
  await Promise.resolve()
  yield bytes
}

let folder = ''
const FORMS = ['zip', 'deflated.zip', 'tar', 'tar.gz', 'tar.zst'] as const
const all = trees()
/** A tar has no numbers that could overflow, so many members are shown to the readers of zips only. */
const FORMS_OF_MANY: readonly string[] = ['zip']
const casesOf = (forms: readonly string[]): (readonly [string, string, Tree])[] =>
  all.flatMap(tree =>
    forms
      .filter(form => tree.title !== MANY || FORMS_OF_MANY.includes(form))
      .map(form => [form, tree.title, tree] as const),
  )
const written = new Map<string, Buffer>()
const fileOf = (tree: Tree, form: string): string => join(folder, `${all.indexOf(tree)}.${form}`)
const bytesOf = (tree: Tree, form: string): Buffer => written.get(fileOf(tree, form))!

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'archives-'))
  for (const tree of all)
    for (const form of FORMS) {
      const archive = await (form === 'deflated.zip'
        ? openArchive(tree.store, 'zip', { compress: true })
        : openArchive(tree.store, form))
      const bytes = await readAll(archive)
      written.set(fileOf(tree, form), bytes)
      writeFileSync(fileOf(tree, form), bytes)
    }
})

afterAll(() => rmSync(folder, { recursive: true, force: true }))

const ZIPS = ['zip', 'deflated.zip'] as const

describeClient('unzip', findProgram('unzip'), unzip => {
  it.each(casesOf(ZIPS))('tests a %s of %s', async (form, _title, tree) => {
    const { code, stdout } = await run(unzip, ['-tqq', fileOf(tree, form)])
    expect(code, stdout.toString()).toBe(0)
  })
})

describeClient('7z', findProgram('7z', '7zz'), sevenZip => {
  it.each(casesOf(['zip', 'deflated.zip', 'tar', 'tar.gz']))(
    'tests a %s of %s',
    async (form, _title, tree) => {
      const { code, stdout } = await run(sevenZip, ['t', '-bd', fileOf(tree, form)])
      expect(code, stdout.toString()).toBe(0)
      expect(stdout.toString()).toContain('Everything is Ok')
      expect(stdout.toString()).not.toMatch(/warning/i)
    },
  )
})

describeClient('bsdtar', findProgram('bsdtar'), bsdtar => {
  it.each(casesOf(FORMS))('reads a %s of %s from a file and from a pipe', async (form, _title, tree) => {
    const contents = await run(bsdtar, ['-xOf', fileOf(tree, form)])
    expect(contents.code, contents.stderr).toBe(0)
    const piped = await run(bsdtar, ['-xOf', '-'], once(bytesOf(tree, form)))
    expect(piped.code, piped.stderr).toBe(0)
    const total = tree.lines.reduce((sum, each) => sum + Number(each.split(' ')[1]), 0)
    expect(contents.stdout.length).toBe(total)
    expect(piped.stdout.equals(contents.stdout)).toBe(true)
  })
})

describeClient('tar', findProgram('tar'), tar => {
  it.each(casesOf(['tar', 'tar.gz']))('reads a %s of %s from a pipe', async (form, _title, tree) => {
    const { code, stdout, stderr } = await run(
      tar,
      [form === 'tar.gz' ? '-xzOf' : '-xOf', '-'],
      once(bytesOf(tree, form)),
    )
    expect(code, stderr).toBe(0)
    expect(stdout.length).toBe(tree.lines.reduce((sum, each) => sum + Number(each.split(' ')[1]), 0))
  })
})

it.each(casesOf(['tar.gz']))(
  'the DecompressionStream of browsers reads a %s of %s',
  async (_form, _title, tree) => {
    const stream = new Blob([new Uint8Array(bytesOf(tree, 'tar.gz'))])
      .stream()
      .pipeThrough(new DecompressionStream('gzip'))
    const tar = Buffer.from(await new Response(stream).arrayBuffer())
    expect(tar.equals(bytesOf(tree, 'tar'))).toBe(true)
  },
)

describeClient('Python', findProgram('python3'), python => {
  const script = here('read_archive.py')
  it.each(casesOf(ZIPS))('reads a %s of %s with zipfile', async (form, _title, tree) => {
    expect(await lines(python, [script, 'zip', fileOf(tree, form)])).toEqual(tree.lines)
  })

  it.each(casesOf(['tar', 'tar.gz']))('reads a %s of %s with tarfile', async (form, _title, tree) => {
    expect(await lines(python, [script, 'tar', fileOf(tree, form)])).toEqual(tree.lines)
  })

  it.each(casesOf(['tar', 'tar.gz']))(
    'reads a %s of %s with tarfile from a pipe',
    async (form, _title, tree) => {
      expect(await lines(python, [script, 'tar-stream', '-'], once(bytesOf(tree, form)))).toEqual(tree.lines)
    },
  )
})

describeClient('Java', findProgram('java'), java => {
  it.each(casesOf(ZIPS))('reads a %s of %s with ZipInputStream', async (form, _title, tree) => {
    expect(await lines(java, [here('ReadZip.java')], once(bytesOf(tree, form)))).toEqual(tree.lines)
  })
})

describe('members too large for 32 bits', () => {
  const SIZE = 4 * GiB + 1
  const WIDE = { highWaterMark: 1024 * 1024 }
  let crcOfZeros = 0
  let zipFile = ''

  const expected = (): string[] => [
    line('a', 6, crc32('before')),
    line('big', SIZE, crcOfZeros),
    line('z', 5, crc32('after')),
  ]

  beforeAll(async () => {
    zipFile = join(folder, 'big.zip')
    const store = new SyntheticStore().file('a', 'before').synthetic('big', SIZE, zeros).file('z', 'after')
    await writeSparse(zipFile, await openArchive(store, 'zip'))
    const zero = Buffer.alloc(2 ** 20)
    for (let i = 0; i < SIZE - 1; i += zero.length) crcOfZeros = crc32(zero, crcOfZeros)
    crcOfZeros = crc32(Buffer.alloc(1), crcOfZeros)
  })

  describeClient('Python', findProgram('python3'), python => {
    it('reads a zip with a member of 4 GiB, and the one after it', async () => {
      expect(await lines(python, [here('read_archive.py'), 'zip', zipFile])).toEqual(expected())
    }, 300_000)

    it('finds a member of more than 8 GiB, and the one after it, in a tar', async () => {
      const size = 8 * GiB + 1
      const store = new SyntheticStore().file('a', 'before').synthetic('big', size, zeros).file('z', 'after')
      const archive = await openArchive(store, 'tar')
      // Only its ends are read from us; between them the file is a hole, as the content is.
      const file = join(folder, 'big.tar')
      const fd = openSync(file, 'w')
      const ends = [
        [0, 1024 * 1024],
        [archive.size! - 1024 * 1024, archive.size!],
      ] as const
      for (const [from, to] of ends) {
        let at = from
        for await (const chunk of archive.read(from, to)) at += writeSync(fd, chunk, 0, chunk.length, at)
      }
      closeSync(fd)
      const names = 'import sys,tarfile\nfor m in tarfile.open(sys.argv[1]): print(m.name, m.size)'
      expect(await lines(python, ['-c', names, file])).toEqual(['a 6', `big ${size}`, 'z 5'])
    })
  })

  describeClient('gzip', findProgram('gzip'), gzip => {
    it('tests a tar.gz of more than 4 GiB, whose size is written modulo 4 GiB', async () => {
      const archive = await openArchive(new SyntheticStore().synthetic('big', SIZE, zeros), 'tar.gz')
      const { code, stderr } = await run(gzip, ['-t'], archive.read(0, Number.POSITIVE_INFINITY))
      expect(code, stderr).toBe(0)
    }, 300_000)
  })

  describeClient('unzip', findProgram('unzip'), unzip => {
    it('tests a zip with a member of 4 GiB', async () => {
      const { code, stdout } = await run(unzip, ['-tqq', zipFile])
      expect(code, stdout.toString()).toBe(0)
    }, 300_000)
  })

  describeClient('Java', findProgram('java'), java => {
    it('reads a zip with a member of 4 GiB as a stream', async () => {
      expect(await lines(java, [here('ReadZip.java')], createReadStream(zipFile, WIDE))).toEqual(expected())
    })
  })

  describeClient('bsdtar', findProgram('bsdtar'), bsdtar => {
    it('reads a zip with a member of 4 GiB from a pipe', async () => {
      expect(await lines(bsdtar, ['-tf', '-'], createReadStream(zipFile, WIDE))).toEqual(['a', 'big', 'z'])
    })
  })

  describeClient('7z', findProgram('7z', '7zz'), sevenZip => {
    it('tests a zip with a member of 4 GiB', async () => {
      const { code, stdout } = await run(sevenZip, ['t', '-bd', zipFile])
      expect(code, stdout.toString()).toBe(0)
    })
  })
})

/** Leaves holes where there are only zeros, so that 4 GiB take little of the disk. */
async function writeSparse(file: string, archive: Representation): Promise<void> {
  const fd = openSync(file, 'w')
  const zero = Buffer.alloc(4096)
  let position = 0
  for await (const chunk of archive.read(0, archive.size!, { buffers: rotatingBuffers(512 * 1024) })) {
    for (let i = 0; i < chunk.length; i += zero.length) {
      const page = chunk.subarray(i, i + zero.length)
      if (!zero.subarray(0, page.length).equals(page)) writeSync(fd, page, 0, page.length, position + i)
    }
    position += chunk.length
  }
  ftruncateSync(fd, position)
  closeSync(fd)
}
