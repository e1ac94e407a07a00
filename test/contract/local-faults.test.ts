// What only a real disk does: permissions, pipes, names that are no text, roots that go away, descriptors that must come back.
import { spawnSync } from 'node:child_process'
import {
  mkdirSync,
  readdirSync,
  readlinkSync,
  renameSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { createServer } from 'node:net'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { settle } from '../../src/store/local-entry.ts'
import { openLocalStore } from '../../src/store/local.ts'
import type { ArtifactStore } from '../../src/store/store.ts'
import { Tree } from '../support/tree.ts'
import { at, listAll, pattern, readAll, withOpen } from './harness.ts'

const isRoot = process.geteuid?.() === 0
const hasProc = process.platform === 'linux'
const NOBODY = 65_534

let tree: Tree
let store: ArtifactStore
beforeEach(() => {
  tree = new Tree()
  store = openLocalStore({ root: tree.root })
})
afterEach(() => tree.remove())

describe('permissions', () => {
  /** What a user other than root finds in the tree. */
  function readAsOther(...paths: string[]): Record<string, unknown> {
    const script = fileURLToPath(new URL('./reader.ts', import.meta.url))
    const child = spawnSync(process.execPath, [script, tree.root, ...paths], {
      encoding: 'utf8',
      ...(isRoot && { uid: NOBODY, gid: NOBODY }),
    })
    expect(child.stderr).toBe('')
    return JSON.parse(child.stdout) as Record<string, unknown>
  }

  beforeEach(() => tree.chmod('', 0o755))

  it('mark a file that cannot be read, in lists and by stat, and fail its reading', () => {
    tree.write('open', 'o', { mode: 0o644 })
    tree.write('secret', 's', { mode: 0o000 })
    const found = readAsOther('secret', 'open')
    expect(found['list']).toMatchObject([
      { path: 'open' },
      { path: 'secret', unreadable: 'permission', mode: 0 },
    ])
    expect((found['list'] as object[])[0]).not.toHaveProperty('unreadable')
    expect(found['stat secret']).toMatchObject({ path: 'secret', size: 1, unreadable: 'permission' })
    expect(found['read secret']).toMatchObject({ kind: 'PermissionDenied', path: 'secret' })
    expect(found['read open']).toBe('o')
  })

  it('are in a recursive list, which does not enter a folder that cannot be opened', () => {
    tree.write('a/file', 'f')
    tree.write('b/secret/file', 'f')
    tree.chmod('b/secret', 0o000)
    const found = readAsOther('b', 'b/secret', 'b/secret/file')
    expect(found['recursive']).toEqual(
      expect.arrayContaining([expect.objectContaining({ path: 'b/secret', unreadable: 'permission' })]),
    )
    expect((found['list b/secret'] as Error).message).not.toContain(tree.root)
    expect(found['list b']).toMatchObject([{ path: 'b/secret', type: 'directory', unreadable: 'permission' }])
    expect(found['list b/secret']).toMatchObject({ kind: 'PermissionDenied', path: 'b/secret' })
    expect(found['stat b/secret/file']).toMatchObject({ kind: 'PermissionDenied' })
    expect(found['stat b/secret']).toMatchObject({ type: 'directory', unreadable: 'permission' })
  })

  it.each([
    [0o000, { kind: 'PermissionDenied', message: expect.stringContaining('the outputs folder') as string }],
    // Nobody may see which runs there are, but who names one gets it.
    [0o111, { type: 'directory', unreadable: 'permission' }],
  ])('on the root itself show when it is asked whether it works: %o', (mode, answer) => {
    tree.write('file', 'f')
    tree.chmod('', mode)
    try {
      expect(readAsOther('')['stat ']).toMatchObject(answer)
    } finally {
      tree.chmod('', 0o755)
    }
  })

  it.runIf(isRoot)('let root read everything (run as root)', async () => {
    tree.write('secret', 's', { mode: 0o000 })
    expect((await store.stat(at('secret'))).unreadable).toBeUndefined()
    expect(String(await withOpen(store, 'secret', artifact => readAll(artifact)))).toBe('s')
  })
})

describe('what is neither file nor folder', () => {
  it('is not found, at once, and not listed: a pipe, a socket, a link to a device', async () => {
    expect(spawnSync('mkfifo', [tree.at('pipe')]).status).toBe(0)
    tree.link('to-pipe', 'pipe')
    const server = createServer()
    await new Promise<void>(resolve => server.listen(tree.at('socket'), resolve))
    try {
      tree.write('file', 'f')
      expect((await listAll(store, '')).map(entry => entry.path)).toEqual(['file'])
      for (const path of ['pipe', 'to-pipe', 'socket']) {
        await expect(store.stat(at(path))).rejects.toMatchObject({ kind: 'NotFound', path })
        await expect(store.open(at(path))).rejects.toMatchObject({ kind: 'NotFound', path })
        await expect(listAll(store, path)).rejects.toMatchObject({ kind: 'NotFound' })
      }
    } finally {
      await new Promise(resolve => server.close(resolve))
    }
  })
})

describe.skipIf(!hasProc)('names that are not valid UTF-8 (needs Linux)', () => {
  function writeRaw(folder: string, ...names: number[][]): void {
    for (const name of names)
      writeFileSync(Buffer.concat([Buffer.from(`${tree.at(folder)}/`), Buffer.from(name)]), 'x')
  }

  it('are listed once, as unreadable, in their place', async () => {
    tree.write('d/a', 'a')
    tree.write('d/\uFFFDvalid', 'v')
    tree.write('d/z', 'z')
    writeRaw('d', [0x62, 0xff], [0x62, 0xfe])
    mkdirSync(Buffer.concat([Buffer.from(`${tree.at('d')}/c`), Buffer.from([0xff])]))
    const listed = await listAll(store, 'd')
    expect(listed.map(({ path, type, unreadable }) => [path, type, unreadable])).toEqual([
      ['d/a', 'file', undefined],
      ['d/b\uFFFD', 'file', 'name'],
      ['d/c\uFFFD', 'file', 'name'],
      ['d/z', 'file', undefined],
      ['d/\uFFFDvalid', 'file', undefined],
    ])
    expect(listed[1]!.etag).toBe('')
    expect(await listAll(store, 'd', { limit: 2 })).toEqual(listed.slice(0, 2))
    expect(await listAll(store, 'd', { limit: 2, after: 'b\uFFFD' })).toEqual(listed.slice(2, 4))
    await expect(store.stat(listed[1]!.path)).rejects.toMatchObject({ kind: 'NotFound' })
  })

  it('and names that climb with backslashes are listed as unreadable', async () => {
    tree.write('..\\..\\x', 'x')
    tree.write('good\\name', 'x')
    expect((await listAll(store, '')).map(({ path, unreadable }) => [path, unreadable])).toEqual([
      ['..\\..\\x', 'name'],
      ['good\\name', undefined],
    ])
  })
})

describe('paths that are too long for the disk', () => {
  it('fail with InvalidPath', async () => {
    const path = Array.from({ length: 15 }, () => 'x'.repeat(255)).join('/') + '/' + 'y'.repeat(250)
    await expect(store.stat(at(path))).rejects.toMatchObject({ kind: 'InvalidPath' })
  })
})

describe('etags', () => {
  it('are given out only when the clock of the file system has moved on', async () => {
    tree.write('a', 'abc')
    const entry = await store.stat(at('a'))
    expect(Date.now() - entry.lastModifiedMs!).toBeGreaterThanOrEqual(20)
    tree.write('b', 'abc')
    const [, listed] = await listAll(store, '')
    expect(Date.now() - listed!.lastModifiedMs!).toBeGreaterThanOrEqual(20)
    tree.write('c', 'abc')
    await withOpen(store, 'c', artifact => {
      expect(Date.now() - artifact.entry.lastModifiedMs!).toBeGreaterThanOrEqual(20)
      return Promise.resolve()
    })
  })

  it('wait for the next second where times have no fractions', async () => {
    const stats = statSync(tree.root)
    const looks = [
      Object.assign(stats, { ctimeMs: Math.floor(Date.now() / 1000) * 1000, isFile: () => true }),
    ]
    expect(await settle(looks, true, () => looks[0]!)).toEqual(new Set())
    expect(Date.now() - looks[0]!.ctimeMs).toBeGreaterThanOrEqual(1000)
  })

  it('of a file that does not come to rest serve once only', async () => {
    const writer = setInterval(() => tree.write('busy', String(Date.now())), 1)
    try {
      await expect.poll(() => store.stat(at('busy')).catch(() => undefined)).toBeDefined()
      const pin = await store.stat(at('busy'))
      await expect(store.open(at('busy'), { pin })).rejects.toMatchObject({ kind: 'Changed' })
    } finally {
      clearInterval(writer)
    }
  })

  it('change with a content of the same size whose time of modification was set back', async () => {
    tree.write('a', 'abc', { lastModifiedMs: 1_700_000_000_000 })
    const before = await store.stat(at('a'))
    tree.write('a', 'xyz', { lastModifiedMs: 1_700_000_000_000 })
    const after = await store.stat(at('a'))
    expect(after.lastModifiedMs).toBe(before.lastModifiedMs)
    expect(after.etag).not.toBe(before.etag)
  })

  it('change when another file takes the name', async () => {
    tree.write('a', 'abc')
    tree.write('b', 'xyz')
    utimesSync(tree.at('a'), 1_700_000_000, 1_700_000_000)
    utimesSync(tree.at('b'), 1_700_000_000, 1_700_000_000)
    const before = await store.stat(at('a'))
    renameSync(tree.at('b'), tree.at('a'))
    expect((await store.stat(at('a'))).etag).not.toBe(before.etag)
  })
})

describe('a root that goes away', () => {
  it('is Unavailable for everything, never NotFound, and works when it is back', async () => {
    tree.write('root/run/file', 'f')
    const rooted = openLocalStore({ root: tree.at('root') })
    const scoped = rooted.scoped(at('run'))
    renameSync(tree.at('root'), tree.at('away'))
    for (const [view, path] of [
      [rooted, 'run/file'],
      [rooted, ''],
      [scoped, 'file'],
      [scoped, ''],
    ] as const) {
      for (const work of [
        () => view.stat(at(path)),
        () => view.open(at(path)),
        () => listAll(view, path, { recursive: true }),
      ]) {
        const error: unknown = await work().catch((reason: unknown) => reason)
        expect(error).toMatchObject({ kind: 'Unavailable', temporary: true })
        expect((error as Error).message).not.toContain(tree.root)
      }
    }
    renameSync(tree.at('away'), tree.at('root'))
    expect(await scoped.stat(at('file'))).toMatchObject({ size: 1 })
  })

  it('may come back as another folder, also behind a link that was pointed elsewhere', async () => {
    tree.write('old/file', 'old')
    tree.write('new/file', 'newer')
    tree.link('root', 'old')
    const rooted = openLocalStore({ root: tree.at('root') })
    expect(await rooted.stat(at('file'))).toMatchObject({ size: 3 })
    tree.removePath('root')
    tree.link('root', 'new')
    expect(await rooted.stat(at('file'))).toMatchObject({ size: 5 })
    expect(await listAll(rooted, '')).toMatchObject([{ path: 'file', size: 5 }])
  })

  it('is Unavailable when a file takes its place, and at the start', async () => {
    tree.write('root/file', 'f')
    const rooted = openLocalStore({ root: tree.at('root') })
    tree.removePath('root')
    tree.write('root', 'no folder')
    await expect(rooted.stat(at('file'))).rejects.toMatchObject({ kind: 'Unavailable' })
    for (const path of ['root', 'none'])
      await expect(openLocalStore({ root: tree.at(path) }).stat(at(''))).rejects.toMatchObject({
        kind: 'Unavailable',
      })
  })

  it('is Unavailable when what was mounted there is not any more (needs the right to mount)', async context => {
    tree.makeDirectory('mounted')
    const mount = (): boolean => spawnSync('mount', ['-t', 'tmpfs', 'tmpfs', tree.at('mounted')]).status === 0
    if (!mount()) {
      context.skip('needs the right to mount')
      return
    }
    try {
      tree.write('mounted/file', 'f')
      const mounted = openLocalStore({ root: tree.at('mounted') })
      expect(await mounted.stat(at('file'))).toMatchObject({ size: 1 })
      expect(spawnSync('umount', [tree.at('mounted')]).status).toBe(0)
      // What the folder below holds, such as what a job wrote while the volume was away, is not what the store holds.
      tree.write('mounted/run/below', 'b')
      for (const work of [
        () => mounted.stat(at('')),
        () => listAll(mounted, ''),
        () => listAll(mounted, '', { recursive: true }),
        () => listAll(mounted.scoped(at('run')), ''),
        () => mounted.open(at('run/below')),
        () => mounted.stat(at('file')),
      ])
        await expect(work()).rejects.toMatchObject({ kind: 'Unavailable' })
      expect(mount()).toBe(true)
      expect(await listAll(mounted, '')).toEqual([])
      tree.write('mounted/file', 'ff')
      expect(await mounted.stat(at('file'))).toMatchObject({ size: 2 })
    } finally {
      spawnSync('umount', [tree.at('mounted')])
    }
  })
})

describe.skipIf(!hasProc)('descriptors (counted in /proc)', () => {
  function openInTree(): string[] {
    return readdirSync('/proc/self/fd').flatMap(fd => {
      try {
        const target = readlinkSync(`/proc/self/fd/${fd}`)
        return target.startsWith(tree.root) ? [target] : []
      } catch {
        return []
      }
    })
  }

  it('all come back after 1,000 aborted reads, failed opens and lists left early', async () => {
    tree.write('data', pattern(2_000_000))
    tree.link('out', '/etc/passwd')
    for (let i = 0; i < 1500; i++) tree.write(`many/${i}`, '')
    const abortInTheMiddle = async (steps: number): Promise<void> => {
      const artifact = await store.open(at('data'))
      const controller = new AbortController()
      try {
        let read = 0
        for await (const chunk of artifact.read(0, artifact.entry.size, { signal: controller.signal })) {
          read += chunk.length
          if (steps-- === 0) controller.abort()
        }
        expect.unreachable(`read ${read} bytes after the abort`)
      } catch (error) {
        expect(error).toMatchObject({ kind: 'Aborted' })
      } finally {
        await artifact.close()
      }
    }
    for (let i = 0; i < 1000; i += 50)
      await Promise.all(Array.from({ length: 50 }, (_, k) => abortInTheMiddle(k % 3)))
    for (let i = 0; i < 50; i++) {
      await expect(store.open(at('out'))).rejects.toMatchObject({ kind: 'NotFound' })
      for await (const batch of store.list(at('many'))) if (batch.length > 0) break
    }
    expect(openInTree()).toEqual([])
  })

  it('stay open as long as a read is inside the kernel, and no longer', async () => {
    tree.write('data', pattern(2_000_000))
    for (let i = 0; i < 100; i++) {
      const artifact = await store.open(at('data'))
      const step = artifact.read(0, 2_000_000)[Symbol.asyncIterator]().next()
      const closed = artifact.close()
      await Promise.allSettled([step, closed])
    }
    expect(openInTree()).toEqual([])
  })
})
