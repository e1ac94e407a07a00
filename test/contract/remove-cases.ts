// Cases of `remove`, `removeAll`, `copy` and `move`.
import { describe, expect, it } from 'vitest'
import type { ArtifactStore, Capabilities } from '../../src/store/store.ts'
import { eachCase } from './each-case.ts'
import { at, bytes, listAll, supportedNames, writeAll, type MakeHarness } from './harness.ts'
import { contentOf, put } from './write-cases.ts'

async function pathsIn(store: ArtifactStore, folder = ''): Promise<string[]> {
  return (await listAll(store, folder, { recursive: true })).map(({ path }) => path)
}

export function removeCases(capabilities: Capabilities, make: MakeHarness): void {
  const harness = eachCase(make)

  describe('remove', () => {
    it('removes a file and nothing beside it', async () => {
      for (const path of ['a/file', 'a/file.txt', 'a/file/below'].slice(
        0,
        capabilities.emptyDirectories ? 2 : 3,
      ))
        await harness().write(path, bytes(path))
      const { store } = harness()
      await store.remove(at('a/file'))
      expect(await contentOf(store, 'a/file.txt')).toBe('a/file.txt')
      await expect(store.open(at('a/file'))).rejects.toMatchObject({
        kind: capabilities.emptyDirectories ? 'NotFound' : 'IsDirectory',
      })
    })

    it('removes every weird name', async () => {
      const { store } = harness()
      const names = supportedNames(harness()).map(name => `names/${name}`)
      await writeAll(
        harness(),
        names.map(name => [name, bytes(name)]),
      )
      for (const name of names) await store.remove(at(name))
      expect(await pathsIn(store)).toEqual([])
    })

    it('says NotFound for nothing and IsDirectory for a folder, and removes neither', async () => {
      await harness().write('folder/file', bytes('f'))
      const { store } = harness()
      for (const path of ['missing', 'folder/missing', 'missing/below', 'folde'])
        await expect(store.remove(at(path))).rejects.toMatchObject({ kind: 'NotFound', path })
      for (const path of ['folder', ''])
        await expect(store.remove(at(path))).rejects.toMatchObject({ kind: 'IsDirectory', path })
      expect(await contentOf(store, 'folder/file')).toBe('f')
    })

    it('holds to its precondition', async () => {
      await harness().write('file', bytes('first'))
      const { store } = harness()
      const { etag } = await store.stat(at('file'))
      await harness().write('file', bytes('second'))
      await expect(
        store.remove(at('file'), { precondition: { type: 'etag', etags: [etag] } }),
      ).rejects.toMatchObject({ kind: 'Changed', path: 'file' })
      expect(await contentOf(store, 'file')).toBe('second')
      const current = await store.stat(at('file'))
      await store.remove(at('file'), { precondition: { type: 'etag', etags: ['other', current.etag] } })
      await expect(store.stat(at('file'))).rejects.toMatchObject({ kind: 'NotFound' })
    })

    it('removes the folders that are empty then, but not the root of its view', async () => {
      await harness().write('run/a/b/c/file', bytes('f'))
      await harness().write('run/a/other', bytes('o'))
      const { store } = harness()
      await store.remove(at('run/a/b/c/file'))
      expect(await pathsIn(store)).toEqual(['run', 'run/a', 'run/a/other'])
      await store.scoped(at('run')).remove(at('a/other'))
      const left = await pathsIn(store)
      if (capabilities.emptyDirectories) expect(left).toEqual(['run'])
      // A hierarchical namespace of Azure has folders too.
      else expect([[], ['run']]).toContainEqual(left)
    })

    it('fails with Aborted when the signal is aborted already', async () => {
      await harness().write('file', bytes('f'))
      const signal = AbortSignal.abort()
      const { store } = harness()
      await expect(store.remove(at('file'), { signal })).rejects.toMatchObject({ kind: 'Aborted' })
      await expect(store.removeAll(at('file'), { signal })).rejects.toMatchObject({ kind: 'Aborted' })
      expect(await contentOf(store, 'file')).toBe('f')
    })
  })

  describe('removeAll', () => {
    it('removes a folder with everything in it and nothing beside it', async () => {
      const { store } = harness()
      const inside = Array.from({ length: 60 }, (_, i) => `run/model/${i % 7}/${i}.bin`)
      const beside = ['run/model.txt', 'run/model0/x', 'run/models']
      await writeAll(
        harness(),
        [...inside, ...beside].map(path => [path, bytes(path)]),
      )
      expect(await store.removeAll(at('run/model'))).toEqual({ removed: 60, failures: [] })
      expect((await pathsIn(store)).filter(path => beside.includes(path))).toEqual(beside)
      await expect(store.stat(at('run/model'))).rejects.toMatchObject({ kind: 'NotFound' })
    })

    it('removes names of every kind', async () => {
      const { store } = harness()
      const names = supportedNames(harness())
      await writeAll(
        harness(),
        names.map(name => [`run/${name}`, bytes(name)]),
      )
      expect(await store.removeAll(at('run'))).toEqual({ removed: names.length, failures: [] })
      await expect(store.stat(at('run'))).rejects.toMatchObject({ kind: 'NotFound' })
    })

    it('reports its progress and more files than one request can name', async () => {
      const { store } = harness()
      await writeAll(
        harness(),
        Array.from({ length: 1100 }, (_, i) => [`run/${i}`, bytes('')] as const),
      )
      let calls = 0
      const removal = await store.removeAll(at('run'), { onProgress: () => calls++ })
      expect(removal).toEqual({ removed: 1100, failures: [] })
      expect(calls).toBeGreaterThan(0)
      expect(await pathsIn(store)).toEqual([])
    })

    it('says NotFound for nothing and NotDirectory for a file, and keeps the root of a store', async () => {
      await harness().write('folder/file', bytes('f'))
      const { store } = harness()
      for (const path of ['missing', 'folde', 'folder/missing'])
        await expect(store.removeAll(at(path))).rejects.toMatchObject({ kind: 'NotFound', path })
      await expect(store.removeAll(at('folder/file'))).rejects.toMatchObject({ kind: 'NotDirectory' })
      expect(await contentOf(store, 'folder/file')).toBe('f')
    })

    it('removes the folder of a scoped view, and not one beside it', async () => {
      await harness().write('owner/run1/a/b', bytes('b'))
      await harness().write('owner/run10/a', bytes('a'))
      const { store } = harness()
      expect(await store.scoped(at('owner/run1')).removeAll(at(''))).toEqual({ removed: 1, failures: [] })
      expect((await pathsIn(store)).filter(path => path.includes('run1'))).toEqual([
        'owner/run10',
        'owner/run10/a',
      ])
      await expect(store.scoped(at('owner/run1')).removeAll(at(''))).rejects.toMatchObject({
        kind: 'NotFound',
        path: '',
      })
    })

    if (capabilities.emptyDirectories)
      it('removes empty folders too, and those above that are empty then', async () => {
        await harness().makeDirectory!('run/a/b/empty/deeper')
        await harness().write('run/file', bytes('f'))
        const { store } = harness()
        expect(await store.removeAll(at('run/a/b/empty'))).toEqual({ removed: 0, failures: [] })
        expect(await pathsIn(store)).toEqual(['run', 'run/file'])
      })
  })

  describe('copy and move, where the store can', () => {
    it.each(['copy', 'move'] as const)('%s a file, also over another, by its precondition', async way => {
      const { store } = harness()
      if (store[way] === undefined) return
      const from = await put(store, 'a/from', bytes('content'))
      const entry = await store[way](at('a/from'), at('b/c/to'), { precondition: { type: 'absent' } })
      expect(entry).toMatchObject({ path: 'b/c/to', size: 7 })
      expect(await store.stat(at('b/c/to'))).toEqual(entry)
      expect(await contentOf(store, 'b/c/to')).toBe('content')
      const isThere = await store.stat(at('a/from')).then(
        () => true,
        () => false,
      )
      expect(isThere).toBe(way === 'copy')
      await put(store, 'other', bytes('other'))
      await expect(
        store[way](at('other'), at('b/c/to'), { precondition: { type: 'absent' } }),
      ).rejects.toMatchObject({ kind: 'Changed', path: 'b/c/to' })
      expect(await contentOf(store, 'other')).toBe('other')
      await store[way](at('other'), at('b/c/to'), { precondition: { type: 'etag', etags: [entry.etag] } })
      expect(await contentOf(store, 'b/c/to')).toBe('other')
      expect(from.size).toBe(7)
    })

    it.each(['copy', 'move'] as const)(
      '%s says NotFound for nothing and IsDirectory for a folder',
      async way => {
        const { store } = harness()
        if (store[way] === undefined) return
        await harness().write('folder/file', bytes('f'))
        await expect(store[way](at('missing'), at('to'))).rejects.toMatchObject({
          kind: 'NotFound',
          path: 'missing',
        })
        await expect(store[way](at('folder'), at('to'))).rejects.toMatchObject({
          kind: 'IsDirectory',
          path: 'folder',
        })
        await expect(store[way](at('folder/file'), at(''))).rejects.toMatchObject({
          kind: 'IsDirectory',
          path: '',
        })
        expect(await contentOf(store, 'folder/file')).toBe('f')
      },
    )
  })
}
