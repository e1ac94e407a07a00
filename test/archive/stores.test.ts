// Archives of the stores that exist, where entries have real times, modes and links.
import { chmod, mkdir, mkdtemp, rm, symlink, utimes, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { isAppError } from '../../src/errors.ts'
import { openLocalStore } from '../../src/store/local.ts'
import { MemoryStore } from '../../src/store/memory.ts'
import { parsePath } from '../../src/store/path.ts'
import type { ArtifactStore } from '../../src/store/store.ts'
import { collect, collectLate, openArchive, readAll } from './archives.ts'
import { pattern } from './synthetic-store.ts'

const CONTENTS: readonly (readonly [string, number])[] = [
  ['run/a.txt', 5],
  ['run/checkpoints/model.bin', 2_000_000],
  ['run/empty.txt', 0],
  ['run/logs/a b.txt', 70_000],
  ['run/logs/ü.txt', 262_144],
]

function content(index: number): Buffer {
  const bytes = Buffer.alloc(CONTENTS[index]![1])
  pattern(index)(bytes, 0)
  return bytes
}

let folder = ''

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'archive-store-'))
  for (const [index, [path]] of CONTENTS.entries()) {
    const file = join(folder, path)
    await mkdir(join(file, '..'), { recursive: true })
    await writeFile(file, content(index))
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
  return (await openLocalStore({ root: folder })).scoped(parsePath('run'))
}

function memoryRun(): ArtifactStore {
  const store = new MemoryStore()
  CONTENTS.forEach(([path], index) =>
    store.write(parsePath(path), content(index), { lastModifiedMs: 1_700_000_001_000 }),
  )
  store.makeDirectory(parsePath('run/nothing'))
  return store.scoped(parsePath('run'))
}

describe.each([
  ['local', localRun],
  ['memory', () => Promise.resolve(memoryRun())],
])('an archive of the %s store', (_name, open) => {
  it.each(['zip', 'tar'] as const)('as %s gives its ranges in any buffers', async format => {
    const store = await open()
    const whole = await readAll(await openArchive(store, format))
    const archive = await openArchive(store, format)
    expect(archive.size).toBe(whole.length)
    for (const [start, end] of [
      [0, 3],
      [100_000, 1_500_000],
      [1_999_000, whole.length],
      [whole.length - 700, whole.length],
    ] as const) {
      expect((await collectLate(archive, start, end, 65_000)).equals(whole.subarray(start, end))).toBe(true)
      expect((await collect(archive.read(start, end))).equals(whole.subarray(start, end))).toBe(true)
    }
  })
})

describe('an archive of the local store', () => {
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
    expect(names).toEqual([
      'a.txt',
      'checkpoints/model.bin',
      'empty.txt',
      'link-inside/a b.txt',
      'link-inside/ü.txt',
      'logs/a b.txt',
      'logs/ü.txt',
      'nothing/',
    ])
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
      await writeFile(file, content(1))
    }
  })
})
