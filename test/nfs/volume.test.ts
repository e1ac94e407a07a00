// What only a mounted NFS volume does: removed files that stay, handles that go stale, attributes that are out of date, users that are mapped.
import { closeSync, openSync, readdirSync, statSync, unlinkSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { isAppError } from '../../src/errors.ts'
import { openLocalStore } from '../../src/store/local.ts'
import type { ArtifactStore } from '../../src/store/store.ts'
import { at, listAll, pattern, readAll, withOpen } from '../contract/harness.ts'
import { Tree } from '../support/tree.ts'
import { nfs, RemoteTree } from './mount.ts'

const hasMount = nfs?.['mount'] !== undefined
const hasExport = hasMount && nfs?.['export'] !== undefined
const isRoot = process.geteuid?.() === 0

const namesIn = async (store: ArtifactStore, folder = '', recursive = false): Promise<string[]> =>
  (await listAll(store, folder, { recursive })).map(entry => entry.path)

const contentOf = async (store: ArtifactStore, path: string): Promise<string> =>
  String(await withOpen(store, path, artifact => readAll(artifact)))

describe.skipIf(!hasMount)('on NFS (needs TEST_NFS)', () => {
  let tree: Tree
  let store: ArtifactStore
  beforeEach(() => {
    tree = new Tree(nfs!['mount'])
    store = openLocalStore({ root: tree.root })
  })
  afterEach(() => tree.removeWhenClosed())

  it('a file that was removed while it is open is neither listed nor served under the name it is kept by', async () => {
    tree.write('run/kept', 'k')
    tree.write('run/removed', 'r')
    const fd = openSync(tree.at('run/removed'), 'r')
    try {
      unlinkSync(tree.at('run/removed'))
      const silly = readdirSync(tree.at('run')).find(name => name.startsWith('.nfs'))!
      expect(silly).toBeDefined()
      tree.link('run/link', silly)
      expect(await namesIn(store, 'run')).toEqual(['run/kept'])
      expect(await namesIn(store, '', true)).toEqual(['run', 'run/kept'])
      for (const path of [`run/${silly}`, 'run/link']) {
        await expect(store.stat(at(path))).rejects.toMatchObject({ kind: 'NotFound', path })
        await expect(store.open(at(path))).rejects.toMatchObject({ kind: 'NotFound', path })
      }
    } finally {
      closeSync(fd)
    }
  })

  it('lets the service list, read and write, and keeps nothing of what was tried', async () => {
    tree.write('run/file', 'f')
    expect(await store.probe!()).toMatchObject({
      list: { result: 'ok' },
      read: { result: 'ok', detail: "1 bytes of 'run/file'" },
      write: { result: 'ok' },
    })
    expect(readdirSync(tree.root)).toEqual(['run'])
  })
})

describe.skipIf(!hasExport)('what another machine changes on NFS (needs TEST_NFS with export)', () => {
  let tree: RemoteTree
  let store: ArtifactStore
  beforeEach(() => {
    tree = new RemoteTree()
    store = openLocalStore({ root: tree.seenAt })
  })
  afterEach(() => tree.remove())

  it('shows in stat and open at once, though this machine remembers other attributes', async () => {
    tree.write('file', 'old')
    const before = await store.stat(at('file'))
    tree.write('file', 'newer')
    expect(statSync(join(tree.seenAt, 'file')).size).toBe(3)
    const after = await store.stat(at('file'))
    expect(after.size).toBe(5)
    expect(after.etag).not.toBe(before.etag)
    expect(await contentOf(store, 'file')).toBe('newer')
    await expect(store.open(at('file'), { pin: before })).rejects.toMatchObject({ kind: 'Changed' })
  })

  it('is found at once where this machine remembers that nothing was there', async () => {
    await expect(store.stat(at('new/run/file'))).rejects.toMatchObject({ kind: 'NotFound' })
    await expect(listAll(store, 'new/run')).rejects.toMatchObject({ kind: 'NotFound' })
    tree.write('new/run/file', 'f')
    expect(() => statSync(join(tree.seenAt, 'new/run/file'))).toThrow('ENOENT')
    expect(await store.scoped(at('new/run')).stat(at('file'))).toMatchObject({ size: 1 })
    expect(await namesIn(store, 'new/run')).toEqual(['new/run/file'])
  })

  it('is seen anew when it is a folder that was removed and made again, by stat, list and open', async () => {
    for (const [index, look] of [
      () => store.stat(at('run/file')).then(entry => entry.size),
      () => namesIn(store, 'run').then(names => names.length),
      () => contentOf(store, 'run/file').then(content => content.length),
      () => namesIn(store, '', true).then(names => names.length - 1),
    ].entries()) {
      tree.write('run/file', 'f')
      expect(await look(), `look ${index}`).toBe(1)
      tree.removePath('run')
      tree.write('run/file', 'f')
      expect(await look(), `look ${index}`).toBe(1)
    }
  })

  it('breaks a read under way when it is the file that is replaced, or lets it end with the old content', async () => {
    const old = pattern(2_000_000)
    tree.write('file', old)
    const read = await withOpen(store, 'file', async artifact => {
      tree.removePath('file')
      tree.write('file', pattern(2_000_000, 1))
      return readAll(artifact)
    }).catch((error: unknown) => error)
    if (Buffer.isBuffer(read)) expect(read.equals(old)).toBe(true)
    else expect(isAppError(read, 'Changed')).toBe(true)
    expect((await withOpen(store, 'file', artifact => readAll(artifact))).equals(pattern(2_000_000, 1))).toBe(
      true,
    )
  })

  it('never mixes two contents while it is rewritten in place, whatever of the first this machine has cached', async () => {
    const size = 600_000
    for (let round = 0; round < 10; round++) {
      tree.write('file', Buffer.alloc(size, round))
      const { entry, bytes } = await withOpen(store, 'file', async artifact => {
        const first = await readAll(artifact, 0, 1)
        tree.write('file', Buffer.alloc(size, round + 100))
        const rest = await readAll(artifact, 1, size).catch((error: unknown) => {
          expect(isAppError(error, 'Changed')).toBe(true)
        })
        return { entry: artifact.entry, bytes: rest && Buffer.concat([first, rest]) }
      })
      if (bytes !== undefined) expect(new Set(bytes)).toEqual(new Set([round]))
      expect((await store.stat(at('file'))).etag).not.toBe(entry.etag)
    }
  })

  it('makes the store Unavailable when it is the root that is gone, and available when it is back', async () => {
    tree.write('root/file', 'f')
    const rooted = openLocalStore({ root: join(tree.seenAt, 'root') })
    expect(await rooted.stat(at('file'))).toMatchObject({ size: 1 })
    tree.removePath('root')
    await expect
      .poll(() => rooted.stat(at('')).catch((error: unknown) => error))
      .toMatchObject({
        kind: 'Unavailable',
      })
    await expect(rooted.stat(at('file'))).rejects.toMatchObject({ kind: 'Unavailable', temporary: true })
    tree.write('root/file', 'ff')
    await expect
      .poll(() => rooted.stat(at('file')).catch((error: unknown) => error))
      .toMatchObject({ size: 2 })
  })
})

describe.skipIf(!hasExport || nfs?.['squashed'] === undefined || !isRoot)(
  'with root_squash (needs TEST_NFS with squashed, and root)',
  () => {
    let tree: RemoteTree
    beforeEach(() => {
      tree = new RemoteTree(nfs!['squashed'])
    })
    afterEach(() => tree.remove())

    it('what only root may read is marked unreadable, although the service is root', async () => {
      tree.write('open', 'o', { mode: 0o644 })
      tree.write('secret', 's', { mode: 0o600 })
      tree.write('locked/file', 'f')
      tree.chmod('locked', 0o700)
      const store = openLocalStore({ root: tree.seenAt })
      const unreadable = (await listAll(store, '')).map(entry => [entry.path, entry.unreadable])
      expect(unreadable).toEqual([
        ['locked', 'permission'],
        ['open', undefined],
        ['secret', 'permission'],
      ])
      expect(await store.stat(at('secret'))).toMatchObject({ size: 1, unreadable: 'permission' })
      await expect(store.open(at('secret'))).rejects.toMatchObject({ kind: 'PermissionDenied' })
      await expect(store.stat(at('locked/file'))).rejects.toMatchObject({ kind: 'PermissionDenied' })
      expect(await contentOf(store, 'open')).toBe('o')
      expect(await namesIn(store, '', true)).toEqual(['locked', 'open', 'secret'])
      const { write } = await store.probe!()
      expect(write).toMatchObject({ result: 'failed', error: { kind: 'PermissionDenied' } })
      expect((write as { error: Error }).error.message).toContain('no permission to write')
    })
  },
)

describe.skipIf(!hasExport || nfs?.['readonly'] === undefined)(
  'with an export that is read-only (needs TEST_NFS with readonly)',
  () => {
    let tree: RemoteTree
    beforeEach(() => {
      tree = new RemoteTree(nfs!['readonly'])
      tree.write('run/file', 'f')
    })
    afterEach(() => tree.remove())

    it('serves, and says why it cannot be written to', async () => {
      const store = openLocalStore({ root: tree.seenAt })
      const probe = await store.probe!()
      expect(probe).toMatchObject({
        list: { result: 'ok' },
        read: { result: 'ok' },
        write: { result: 'failed', error: { kind: 'PermissionDenied', temporary: false } },
      })
      expect((probe.write as { error: Error }).error.message).toContain('mounted read-only')
      expect(await contentOf(store, 'run/file')).toBe('f')
    })

    it('is not tried to be written to when the operator says that it is read-only', async () => {
      const store = openLocalStore({ root: tree.seenAt, readOnly: true })
      expect((await store.probe!()).write).toMatchObject({ result: 'skipped' })
    })
  },
)
