// Archives of every store that exists, as their readers see them; and of the local one, where entries have real times, modes and links.
import fc from 'fast-check'
import { chmod, mkdir, mkdtemp, rm, symlink, utimes, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { crc32 } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { isAppError } from '../../src/errors.ts'
import { openLocalStore } from '../../src/store/local.ts'
import { parsePath } from '../../src/store/path.ts'
import type { ArtifactStore } from '../../src/store/store.ts'
import { describeClient, findProgram } from '../client/programs.ts'
import { run } from '../client/run.ts'
import { writeAll, type Harness } from '../contract/harness.ts'
import { asServed, describeEach, STORES } from '../support/stores.ts'
import { collect, collectLate, openArchive, readAll } from './archives.ts'
import { pattern } from './synthetic-store.ts'

const CONTENTS: readonly (readonly [path: string, content: Buffer])[] = (
  [
    ['a.txt', 5],
    ['checkpoints/model.bin', 2_000_000],
    ['checkpoints/optimizer.bin', 9_000_001],
    ['empty.txt', 0],
    ['logs/a b.txt', 70_000],
    ['logs/limit.bin', 262_144],
    ['logs/limit+1.bin', 262_145],
    ['logs/ü%20&.txt', 1000],
    ...Array.from({ length: 60 }, (_, i): [string, number] => [`plots/${i}.png`, 4000 + i]),
  ] as const
).map(([path, size], seed) => {
  const content = Buffer.alloc(size)
  pattern(seed)(content, 0)
  return [path, content]
})

/** What `read_archive.py` prints of an archive of CONTENTS. */
const LINES = CONTENTS.map(([path, content]) => [path, content.length, crc32(content)] as const)
  .sort(([a], [b]) => Buffer.compare(Buffer.from(a), Buffer.from(b)))
  .map(([path, size, crc]) => `${Buffer.from(path).toString('hex')} ${size} ${crc}`)

const MODEL = CONTENTS.find(([path]) => path === 'checkpoints/model.bin')![1]

const FORMS = ['zip', 'tar', 'tar.gz', 'tar.zst'] as const

describeEach(STORES, kind => {
  let harness: Harness
  let store: ArtifactStore
  let folder: string
  const files = new Map<string, string>()
  const wholes = new Map<string, Buffer>()

  beforeAll(async () => {
    harness = await kind.make()
    folder = await mkdtemp(join(tmpdir(), 'archive-of-store-'))
    await writeAll(
      harness,
      CONTENTS.map(([path, content]) => [`run/${path}`, content]),
    )
    await harness.write('run10/other', Buffer.from('of another run'))
    store = asServed(harness.store.scoped(parsePath('run')))
    for (const form of FORMS) {
      const bytes = await readAll(await openArchive(store, form))
      const file = join(folder, `run.${form}`)
      wholes.set(form, bytes)
      files.set(form, file)
      await writeFile(file, bytes)
    }
  }, 60_000)
  afterAll(async () => {
    await harness.close()
    await rm(folder, { recursive: true, force: true })
  })

  it.each(['zip', 'tar'] as const)('gives as %s the length and the bytes that were promised', async form => {
    const archive = await openArchive(store, form)
    expect(archive.size).toBe(wholes.get(form)!.length)
    const late = await collectLate(archive, 0, archive.size!, 65_000)
    expect(late.equals(wholes.get(form)!)).toBe(true)
    await archive.close()
  })

  it.each(['zip', 'tar'] as const)(
    'gives as %s any range, asked of a process that knows nothing of it',
    async form => {
      const whole = wholes.get(form)!
      const point = fc.oneof(
        fc.nat(whole.length),
        fc.integer({ min: whole.length - 20_000, max: whole.length }),
      )
      await fc.assert(
        fc.asyncProperty(point, point, async (a, b) => {
          const [start, end] = [Math.min(a, b), Math.max(a, b)]
          const archive = await openArchive(store, form)
          const bytes = await collect(archive.read(start, end))
          await archive.close()
          expect(bytes.equals(whole.subarray(start, end))).toBe(true)
        }),
        { numRuns: kind.capabilities.latency === 'network' ? 20 : 60 },
      )
    },
  )

  it.each(['zip', 'tar'] as const)(
    'ends its %s with Changed when a member is replaced before its turn',
    async form => {
      const path = 'checkpoints/optimizer.bin'
      const archive = await openArchive(store, form)
      await harness.write(`run/${path}`, Buffer.from('short'))
      await expect(collect(archive.read(0, archive.size!))).rejects.toSatisfy(error =>
        isAppError(error, 'Changed'),
      )
      await archive.close()
      await harness.write(`run/${path}`, CONTENTS.find(([name]) => name === path)![1])
    },
  )

  describeClient('unzip', findProgram('unzip'), unzip => {
    it('finds nothing wrong with its zip', async () => {
      const { code, stdout } = await run(unzip, ['-tqq', files.get('zip')!])
      expect(code, stdout.toString()).toBe(0)
    })
  })

  describeClient('bsdtar', findProgram('bsdtar'), bsdtar => {
    it.each(FORMS)('reads every byte of its %s', async form => {
      const { code, stdout, stderr } = await run(bsdtar, ['-xOf', files.get(form)!])
      expect(code, stderr).toBe(0)
      expect(stdout.length).toBe(CONTENTS.reduce((sum, [, content]) => sum + content.length, 0))
    })
  })

  describeClient('Python', findProgram('python3'), python => {
    it.each(['zip', 'tar'] as const)('finds every member of its %s, with its bytes', async form => {
      const script = join(import.meta.dirname, 'read_archive.py')
      const { code, stdout, stderr } = await run(python, [script, form, files.get(form)!])
      expect(code, stderr).toBe(0)
      expect(stdout.toString().trim().split('\n')).toEqual(LINES)
    })
  })
})

describe('an archive of the local store', () => {
  let folder = ''

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'archive-store-'))
    for (const path of ['a.txt', 'checkpoints/model.bin', 'logs/b.txt']) {
      const file = join(folder, 'run', path)
      await mkdir(dirname(file), { recursive: true })
      await writeFile(file, MODEL.subarray(0, path.startsWith('checkpoints') ? undefined : 5))
      await utimes(file, 1_700_000_000, 1_700_000_001)
    }
    await mkdir(join(folder, 'run/nothing'))
    await mkdir(join(folder, 'secrets'))
    await writeFile(join(folder, 'secrets/key'), 'secret')
    await chmod(join(folder, 'run/a.txt'), 0o754)
    await symlink('logs', join(folder, 'run/link-inside'))
    await symlink('../secrets', join(folder, 'run/link-to-another-run'))
    await symlink('/etc/passwd', join(folder, 'run/link-outside'))
    await symlink('.', join(folder, 'run/link-to-itself'))
  })
  afterAll(() => rm(folder, { recursive: true, force: true }))

  async function localRun(): Promise<ArtifactStore> {
    return openLocalStore({ root: folder }).scoped(parsePath('run'))
  }

  const namesIn = (tar: Buffer): string[] => {
    const names: string[] = []
    for (let at = 0; at < tar.length && tar[at] !== 0;) {
      const size = Number.parseInt(tar.toString('latin1', at + 124, at + 135), 8)
      if (tar[at + 156] !== 'x'.charCodeAt(0)) names.push(tar.toString('utf8', at, tar.indexOf(0, at)))
      at += 512 + Math.ceil(size / 512) * 512
    }
    return names
  }

  it('holds what links inside the run lead to, as files, and nothing that links lead out to', async () => {
    const names = namesIn(await readAll(await openArchive(await localRun(), 'tar')))
    expect(names).toEqual(['a.txt', 'checkpoints/model.bin', 'link-inside/b.txt', 'logs/b.txt', 'nothing/'])
  })

  it('keeps modes and times', async () => {
    const tar = await readAll(await openArchive(await localRun(), 'tar'))
    expect(tar.toString('latin1', 100, 107)).toBe('0000754')
    expect(Number.parseInt(tar.toString('latin1', 136, 147), 8)).toBe(1_700_000_001)
  })

  it('fails with Changed when a member is truncated before its turn, or while it is read', async () => {
    const store = await localRun()
    const file = join(folder, 'run/checkpoints/model.bin')
    for (const format of ['zip', 'tar', 'tar.gz'] as const) {
      const archive = await openArchive(store, format)
      const reading = (async () => {
        let first = true
        for await (const chunk of archive.read(0, archive.size ?? Number.POSITIVE_INFINITY)) {
          expect(chunk.length).toBeGreaterThan(0)
          if (first) await writeFile(file, 'short')
          first = false
        }
      })()
      await expect(reading).rejects.toSatisfy(error => isAppError(error, 'Changed'))
      await writeFile(file, MODEL)
    }
  })
})
