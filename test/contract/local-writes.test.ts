// What only a real disk does to what is written: it fills up, is read-only, belongs to others, and is shared by processes that are killed.
import { execFileSync, spawn, spawnSync, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import {
  closeSync,
  existsSync,
  linkSync,
  mkdirSync,
  openSync,
  readdirSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { withLock } from '../../src/store/local-lock.ts'
import { lockName } from '../../src/store/local-names.ts'
import { giveName } from '../../src/store/local-write.ts'
import { openLocalStore } from '../../src/store/local.ts'
import type { ArtifactStore } from '../../src/store/store.ts'
import { moveFile } from '../../src/store/transfer.ts'
import { Tree } from '../support/tree.ts'
import { at, bytes, listAll } from './harness.ts'
import { contentOf, put } from './write-cases.ts'

const isRoot = process.geteuid?.() === 0
const isLinux = process.platform === 'linux'
const NOBODY = 65_534
const DAY_MS = 24 * 60 * 60_000
const WRITER = fileURLToPath(new URL('./writer.ts', import.meta.url))

let tree: Tree
let store: ArtifactStore
const children: ChildProcess[] = []
const mounts: string[] = []
beforeEach(() => {
  tree = new Tree()
  store = openLocalStore({ root: tree.root })
})
afterEach(() => {
  vi.restoreAllMocks()
  for (const child of children.splice(0)) child.kill('SIGKILL')
  for (const mount of mounts.splice(0)) execFileSync('umount', [mount])
  tree.remove()
})

/** Everything on the disk, hidden files and folders too, but for the journal's own folder while it is empty. */
function onDisk(folder = tree.root): string[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter(name => name !== '.polyaxon-outputs-pending')
    .sort()
}

/** Mounts at a new folder of the tree; undefined where this machine does not let us. */
function mount(name: string, ...options: string[]): string | undefined {
  const target = tree.at(name)
  mkdirSync(target)
  if (!isLinux || !isRoot || spawnSync('mount', [...options, target]).status !== 0) return undefined
  mounts.push(target)
  return target
}

function write(...args: string[]): ChildProcess {
  const child = spawn(process.execPath, [WRITER, ...args], { stdio: ['ignore', 'pipe', 'inherit'] })
  children.push(child)
  return child
}

describe('what is written to a local path', () => {
  it('leaves nothing hidden behind: no temporary file, no lock, no note', async () => {
    await put(store, 'a/b/file', bytes('one'))
    await put(store, 'a/b/file', bytes('two'))
    await expect(
      put(store, 'a/c/file', bytes('x'), { precondition: { type: 'present' } }),
    ).rejects.toMatchObject({ kind: 'Changed' })
    await store.move!(at('a/b/file'), at('d/file'))
    expect(onDisk()).toEqual(['d', 'd/file'])
    await store.remove(at('d/file'))
    expect(onDisk()).toEqual([])
  })

  it('is moved also onto another hard link of the same file, which rename(2) leaves as it is', async () => {
    tree.write('a/file', 'content')
    linkSync(tree.at('a/file'), tree.at('a/other'))
    const { etag } = await store.move!(at('a/file'), at('a/other'))
    expect(onDisk()).toEqual(['a', 'a/other'])
    expect(await contentOf(store, 'a/other')).toBe('content')
    expect((await store.stat(at('a/other'))).etag).toBe(etag)
  })

  it('cannot be moved to where it is, which a link may hide', async () => {
    tree.write('a/file', 'content')
    linkSync(tree.at('a/file'), tree.at('other'))
    symlinkSync('a', tree.at('link'))
    for (const [from, to] of [
      ['a/file', 'link/file'],
      ['link/file', 'a/file'],
    ] as const)
      await expect(store.move!(at(from), at(to))).rejects.toMatchObject({ kind: 'InvalidArgument', path: to })
    expect(await contentOf(store, 'a/file')).toBe('content')
  })

  it('is on the disk, and its name too, before it is complete', context => {
    const args = ['-f', '-e', 'trace=fsync,fdatasync,rename,renameat,renameat2', process.execPath, WRITER]
    const traced = spawnSync('strace', [...args, tree.root, 'try', 'run/file'], { encoding: 'utf8' })
    if (traced.error !== undefined || !traced.stderr.includes('fsync')) {
      context.skip('strace cannot be used here')
      return
    }
    const calls = traced.stderr
      .split('\n')
      .map(line => /\b(fsync|fdatasync|rename(?:at2?)?)\(/.exec(line)?.[1])
      .filter(call => call !== undefined)
      .map(call => call.replace(/at2?$/, ''))
    const renamed = calls.lastIndexOf('rename')
    expect(renamed).toBeGreaterThan(0)
    expect(calls[renamed - 1]).toBe('fsync')
    expect(calls.slice(renamed + 1)).toContain('fsync')
  })

  it('cannot have the names of unfinished files', async () => {
    const own = '.polyaxon-outputs-write-3f0c9d2e-0000-4000-8000-000000000000'
    for (const name of [own, '.polyaxon-outputs-pending', lockName('x')]) {
      await expect(put(store, `run/${name}`, bytes('x'))).rejects.toMatchObject({ kind: 'InvalidPath' })
      await expect(store.move!(at('run/x'), at(name))).rejects.toMatchObject({ kind: 'InvalidPath' })
    }
    expect(onDisk()).toEqual([])
    tree.write(`run/${own}`, 'unfinished')
    await expect(store.stat(at(`run/${own}`))).rejects.toMatchObject({ kind: 'NotFound' })
    await expect(store.remove(at(`run/${own}`))).rejects.toMatchObject({ kind: 'NotFound' })
    expect(await listAll(store, 'run')).toEqual([])
    expect(await store.removeAll(at('run'))).toMatchObject({ failures: [] })
    expect(onDisk()).toEqual([])
  })

  it('says NoSpace on a full disk, and leaves nothing', async context => {
    const small = mount('small', '-t', 'tmpfs', '-o', 'size=2m', 'tmpfs')
    if (small === undefined) {
      context.skip('no file system can be mounted here')
      return
    }
    const onSmall = openLocalStore({ root: small })
    await put(onSmall, 'run/kept', bytes('kept'))
    await expect(put(onSmall, 'run/a/large', Buffer.alloc(4 * 1024 ** 2))).rejects.toMatchObject({
      kind: 'NoSpace',
      path: 'run/a/large',
    })
    expect(onDisk(small)).toEqual(['run', 'run/kept'])
    await expect(put(onSmall, 'run/kept', Buffer.alloc(4 * 1024 ** 2))).rejects.toMatchObject({
      kind: 'NoSpace',
    })
    expect(await contentOf(onSmall, 'run/kept')).toBe('kept')
    await put(onSmall, 'run/fits', Buffer.alloc(1024 ** 2))
  })

  it('leaves no note of itself on a disk that is too full for one', async context => {
    const target = mount('full', '-t', 'tmpfs', '-o', 'size=1m', 'tmpfs')
    if (target === undefined) return context.skip()
    const full = openLocalStore({ root: target })
    await put(full, 'before', bytes('x'))
    await expect(put(full, 'filler', Buffer.alloc(2 * 1024 ** 2))).rejects.toMatchObject({ kind: 'NoSpace' })
    const filler = openSync(`${target}/filler`, 'w')
    expect(() => {
      for (;;) writeSync(filler, Buffer.alloc(4096))
    }).toThrow('ENOSPC')
    closeSync(filler)
    await expect(put(full, 'file', bytes('x'))).rejects.toMatchObject({ kind: 'NoSpace' })
    expect(readdirSync(`${target}/.polyaxon-outputs-pending`)).toEqual([])
    expect(onDisk(target)).toEqual(['before', 'filler'])
  })

  it('is made room for by a removal, also where not even a lock fits', async context => {
    const small = mount('small', '-t', 'tmpfs', '-o', 'nr_inodes=8', 'tmpfs')
    if (small === undefined) {
      context.skip('no file system can be mounted here')
      return
    }
    const onSmall = openLocalStore({ root: small })
    await put(onSmall, 'run/file', bytes('file'))
    for (let i = 0; i < 8; i++)
      try {
        writeFileSync(`${small}/run/${i}`, '')
      } catch {
        break
      }
    await expect(put(onSmall, 'run/new', bytes('new'))).rejects.toMatchObject({ kind: 'NoSpace' })
    await onSmall.remove(at('run/file'))
    await put(onSmall, 'run/0', bytes('new')).catch(() => undefined)
    expect(onDisk(small)).not.toContain('run/file')
  })

  it('is moved by a copy where another file system is mounted', async context => {
    const other = mount('other', '-t', 'tmpfs', 'tmpfs')
    if (other === undefined) {
      context.skip('no file system can be mounted here')
      return
    }
    tree.write('a/file', 'file')
    const place = { store, folder: at('other'), path: at('b/file') }
    await expect(store.move!(at('a/file'), place.path, { into: place.folder })).rejects.toMatchObject({
      kind: 'Unsupported',
    })
    const absent = { precondition: { type: 'absent' } } as const
    await moveFile(store, await store.stat(at('a/file')), place, absent)
    expect(onDisk()).toEqual(['other', 'other/b', 'other/b/file'])
    expect(await contentOf(store, 'other/b/file')).toBe('file')
    tree.write('a/file', 'again')
    const again = moveFile(store, await store.stat(at('a/file')), place, absent)
    await expect(again).rejects.toMatchObject({ kind: 'Changed' })
    expect(await contentOf(store, 'a/file')).toBe('again')
  })

  it('gets its folder again where a removal takes it away as empty', async () => {
    for (let round = 0; round < 40; round++) {
      await put(store, 'run/a/old', bytes('old'))
      const removing = store.remove(at('run/a/old'))
      await new Promise(resolve => setTimeout(resolve, Math.random() * 3))
      const way = round % 2 === 0 ? 'written' : 'moved'
      if (way === 'moved') tree.write('run/b/file', 'new')
      const coming =
        way === 'moved'
          ? store.move!(at('run/b/file'), at('run/a/new'))
          : put(store, 'run/a/new', bytes('new'))
      await Promise.all([removing, coming])
      expect(await contentOf(store, 'run/a/new')).toBe('new')
      await store.remove(at('run/a/new'))
    }
    expect(onDisk()).toEqual([])
  })

  it('is refused with the reason where the operator or the mount says read-only', async context => {
    tree.write('run/file', 'file')
    const configured = openLocalStore({ root: tree.root, readOnly: true })
    const refused = { kind: 'PermissionDenied', message: expect.stringContaining('read-only') as string }
    await expect(configured.checkWritable()).rejects.toMatchObject(refused)
    await expect(configured.create(at('run/new'))).rejects.toMatchObject(refused)
    await expect(configured.remove(at('run/file'))).rejects.toMatchObject(refused)
    await expect(configured.removeAll(at('run'))).rejects.toMatchObject(refused)
    await expect(configured.move!(at('run/file'), at('run/new'))).rejects.toMatchObject(refused)

    const target = mount('claim', '-t', 'tmpfs', '-o', 'ro', 'tmpfs')
    if (target === undefined) {
      context.skip('no file system can be mounted here')
      return
    }
    const mounted = openLocalStore({ root: target })
    await expect(mounted.checkWritable()).rejects.toMatchObject(refused)
    await expect(mounted.create(at('run/new'))).rejects.toMatchObject(refused)
  })

  it.skipIf(!isRoot)('is refused where the folder belongs to another user (needs root)', () => {
    tree.chmod('', 0o755)
    tree.makeDirectory('run')
    const child = spawnSync(process.execPath, [WRITER, tree.root, 'try', 'run/file'], {
      encoding: 'utf8',
      uid: NOBODY,
      gid: NOBODY,
    })
    expect(child.stderr).toBe('')
    expect(JSON.parse(child.stdout)).toMatchObject({
      kind: 'PermissionDenied',
      message: expect.stringContaining("permission to change 'run/file'") as string,
    })
    expect(onDisk()).toEqual(['run'])
  })

  it('reaches names that are no text by their folder', async () => {
    tree.makeDirectory('run/a')
    const odd = Buffer.concat([Buffer.from(`${tree.at('run/a')}/`), Buffer.from([0xff, 0xfe, 0x41])])
    try {
      writeFileSync(odd, 'odd')
    } catch {
      // APFS takes valid UTF-8 only.
      return
    }
    expect(await store.removeAll(at('run'))).toEqual({ removed: 1, failures: [] })
    expect(onDisk()).toEqual([])
  })
})

describe('a folder that is removed while others write into it', () => {
  it('goes with what came meanwhile', async () => {
    tree.write('run/folder/file', 'file')
    // Between the look that finds it empty, the second one, and its removal.
    let looks = 0
    const onProgress = (): void => {
      const isEmpty = existsSync(tree.at('run/folder')) && onDisk(tree.at('run/folder')).length === 0
      if (isEmpty && ++looks % 2 === 0 && looks <= 4) tree.write('run/folder/late', 'late')
    }
    expect(await store.removeAll(at('run'), { onProgress })).toEqual({ removed: 3, failures: [] })
    expect(onDisk()).toEqual([])
  })

  it('stays where that does not end, which may be better later', async () => {
    tree.write('run/folder/file', 'file')
    tree.write('run/other', 'other')
    const onProgress = (): void => tree.write('run/folder/late', 'late')
    const { failures } = await store.removeAll(at('run'), { onProgress })
    expect(failures).toMatchObject([
      {
        path: 'run/folder',
        error: {
          kind: 'Locked',
          temporary: true,
          path: 'run/folder',
          message: expect.stringContaining("'run/folder'") as string,
        },
      },
    ])
    expect(onDisk()).toEqual(['run', 'run/folder', 'run/folder/late'])
  })

  it('takes what is unfinished in it along, but counts files only', async () => {
    tree.write('run/file', 'file')
    tree.write('run/.polyaxon-outputs-write-3f0c9d2e-0000-4000-8000-000000000000', 'unfinished')
    tree.write(`run/deep/${lockName('file')}`, '')
    tree.write('run/.hidden', 'hidden')
    expect(await store.removeAll(at('run'))).toEqual({ removed: 2, failures: [] })
    expect(onDisk()).toEqual([])
  })

  it('takes along what is moved into it, or leaves it where it is', async () => {
    let isOver = false
    const removeAgain = async (): Promise<void> => {
      while (!isOver) await store.removeAll(at('run/dir')).catch(() => undefined)
    }
    const removing = removeAgain()
    for (let i = 0; i < 30; i++) {
      const from = at(`own/${i}/file`)
      await put(store, from, bytes('content'))
      await store.move!(from, at('dir/file'), { into: at('run') }).catch((error: unknown) => {
        expect(error).toMatchObject({ kind: 'NotFound', path: 'dir/file' })
      })
      await store.remove(from).catch(() => undefined)
      expect(onDisk().filter(name => name.startsWith('own'))).toEqual([])
    }
    isOver = true
    await removing
  })
})

describe('processes that share a local path', () => {
  it('count together without losing one, by If-Match alone', async () => {
    tree.write('counter', '0')
    const counters = [1, 2, 3].map(() => write(tree.root, 'count', '15'))
    const codes = await Promise.all(counters.map(async child => (await once(child, 'exit'))[0] as number))
    expect(codes).toEqual([0, 0, 0])
    expect(await contentOf(store, 'counter')).toBe('45')
  })

  it('wait for a lock that is held, and take one whose holder is gone', async () => {
    const held = tree.at(`run/${lockName('file')}`)
    tree.write(`run/${lockName('file')}`, '')
    const waiting = put(store, 'run/file', bytes('late'))
    await new Promise(resolve => setTimeout(resolve, 150))
    await expect(store.stat(at('run/file'))).rejects.toMatchObject({ kind: 'NotFound' })
    const longAgo = new Date(Date.now() - 120_000)
    utimesSync(held, longAgo, longAgo)
    await waiting
    expect(await contentOf(store, 'run/file')).toBe('late')
    expect(onDisk()).toEqual(['run', 'run/file'])
  })
  it.each([
    ['ahead of', 1],
    ['behind', -1],
  ])('tell the age of a lock where the clock of their machine is %s that of the volume', async (_, sign) => {
    const lock = `run/${lockName('file')}`
    const now = Date.now.bind(Date)
    vi.spyOn(Date, 'now').mockImplementation(() => now() + sign * 300_000)
    tree.write(lock, '')
    const waiting = put(store, 'run/file', bytes('late'))
    await new Promise(resolve => setTimeout(resolve, 150))
    await expect(store.stat(at('run/file'))).rejects.toMatchObject({ kind: 'NotFound' })
    const longAgo = new Date(now() - 120_000)
    utimesSync(tree.at(lock), longAgo, longAgo)
    await waiting
    expect(await contentOf(store, 'run/file')).toBe('late')
    expect(onDisk()).toEqual(['run', 'run/file'])
  })

  it('do not change what was given up while they waited', async () => {
    tree.write('run/file', 'kept')
    tree.write(`run/${lockName('file')}`, '')
    const ending = new AbortController()
    const { signal } = ending
    const waiting = Promise.allSettled([
      store.remove(at('run/file'), { signal }),
      store.move!(at('run/file'), at('run/new'), { signal }),
    ])
    await new Promise(resolve => setTimeout(resolve, 50))
    ending.abort()
    tree.removePath(`run/${lockName('file')}`)
    const aborted = { status: 'rejected', reason: { kind: 'Aborted' } }
    expect(await waiting).toMatchObject([aborted, aborted])
    expect(onDisk()).toEqual(['run', 'run/file'])
  })

  it('leave a lock alone that another has taken over from them', async () => {
    const folder = tree.root
    const lock = `${folder}/${lockName('file')}`
    const inTurn: string[] = []
    const held = Promise.withResolvers<undefined>()
    const takenOver = Promise.withResolvers<undefined>()
    const end = Promise.withResolvers<undefined>()
    const first = withLock(folder, 'file', at('file'), async () => {
      held.resolve(undefined)
      await takenOver.promise
    })
    await held.promise
    const now = performance.now.bind(performance)
    vi.spyOn(performance, 'now').mockImplementation(() => now() + 61_000)
    const longAgo = new Date(Date.now() - 120_000)
    utimesSync(lock, longAgo, longAgo)
    const second = withLock(folder, 'file', at('file'), async () => {
      takenOver.resolve(undefined)
      await end.promise
      inTurn.push('second')
    })
    await first
    const third = withLock(folder, 'file', at('file'), () => Promise.resolve(inTurn.push('third')))
    await new Promise(resolve => setTimeout(resolve, 50))
    end.resolve(undefined)
    await Promise.all([second, third])
    expect(inTurn).toEqual(['second', 'third'])
  })

  it('take a link whose answer was lost for their own', async () => {
    const give = (from: string): Promise<void> =>
      giveName(tree.at(from), tree.at('file'), at('file'), { type: 'absent' }, path => store.stat(path))
    const hidden = '.polyaxon-outputs-write-3f0c9d2e-0000-4000-8000-000000000000'
    tree.write(hidden, 'content')
    linkSync(tree.at(hidden), tree.at('file'))
    await give(hidden)
    expect(onDisk()).toEqual(['file'])
    linkSync(tree.at('file'), tree.at('of-somebody-else'))
    await expect(give('of-somebody-else')).rejects.toMatchObject({ kind: 'Changed' })
    expect(onDisk()).toEqual(['file', 'of-somebody-else'])
  })
})

describe('sweep', () => {
  it.skipIf(!isLinux)('removes at once what a killed process of this machine left (Linux only)', async () => {
    const child = write(tree.root, 'write', 'run/deep/file')
    await once(child.stdout!, 'data')
    expect(await store.sweep!(DAY_MS)).toBe(0)
    child.kill('SIGKILL')
    await once(child, 'exit')
    expect(await listAll(store, '', { recursive: true })).toMatchObject([
      { path: 'run' },
      { path: 'run/deep' },
    ])
    expect(onDisk().some(name => name.includes('write-'))).toBe(true)
    expect(await store.sweep!(DAY_MS)).toBe(1)
    expect(onDisk()).toEqual(['run', 'run/deep'])
    expect(await store.sweep!(DAY_MS)).toBe(0)
  })

  it('leaves what another machine may still be writing, until nobody has for long', async () => {
    const name = 'run/.polyaxon-outputs-write-3f0c9d2e-0000-4000-8000-000000000000'
    tree.write(name, 'unfinished')
    const note = '.polyaxon-outputs-pending/other.json'
    tree.write(note, JSON.stringify({ machine: 'another', pid: 1, instance: 'x', path: name }))
    tree.write('.polyaxon-outputs-pending/broken.json', '{"path": "../')
    expect(await store.sweep!(DAY_MS)).toBe(0)
    expect(existsSync(tree.at(name))).toBe(true)
    const longAgo = new Date(Date.now() - 2 * DAY_MS)
    utimesSync(tree.at(note), longAgo, longAgo)
    // Still being written to.
    expect(await store.sweep!(DAY_MS)).toBe(0)
    utimesSync(tree.at(name), longAgo, longAgo)
    expect(await store.sweep!(DAY_MS)).toBe(1)
    expect(existsSync(tree.at(name))).toBe(false)
  })

  it('never removes what a note names that is no unfinished file', async () => {
    tree.write('run/precious', 'precious')
    tree.write(
      '.polyaxon-outputs-pending/forged.json',
      JSON.stringify({ pid: 1, instance: 'x', path: 'run/precious' }),
    )
    const longAgo = new Date(Date.now() - 2 * DAY_MS)
    for (const path of ['run/precious', '.polyaxon-outputs-pending/forged.json'])
      utimesSync(tree.at(path), longAgo, longAgo)
    await store.sweep!(DAY_MS)
    expect(await contentOf(store, 'run/precious')).toBe('precious')
  })
})
