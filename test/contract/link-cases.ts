// Cases of symbolic links: followed within the store or scope, nothing at all when they lead out of it or nowhere.
import { describe, expect, it } from 'vitest'
import { listKey, type ArtifactStore } from '../../src/store/store.ts'
import { eachCase } from './each-case.ts'
import { contentOf, put } from './write-cases.ts'
import { at, bytes, listAll, readAll, withOpen, type MakeHarness } from './harness.ts'

async function keysOf(store: ArtifactStore, folder: string, recursive = true): Promise<string[]> {
  return (await listAll(store, folder, { recursive })).map(entry => listKey(at(folder), entry))
}

export function linkCases(make: MakeHarness): void {
  describe('links', () => {
    const harness = eachCase(make)
    const link = (path: string, target: string) => harness().link!(path, target)

    it('count as what they point to: a file as a file, a folder as a folder', async () => {
      await harness().write('real/file', bytes('content'))
      await link('to-file', 'real/file')
      await link('to-folder', 'real')
      const { store } = harness()
      expect(await keysOf(store, '')).toEqual([
        'real/',
        'real/file',
        'to-file',
        'to-folder/',
        'to-folder/file',
      ])
      expect(await store.stat(at('to-file'))).toMatchObject({ path: 'to-file', type: 'file', size: 7 })
      expect(await store.stat(at('to-folder'))).toMatchObject({ path: 'to-folder', type: 'directory' })
      expect(await store.stat(at('to-folder/file'))).toMatchObject({ path: 'to-folder/file' })
      for (const path of ['to-file', 'to-folder/file'])
        expect((await withOpen(store, path, artifact => readAll(artifact))).toString()).toBe('content')
      await expect(store.open(at('to-folder'))).rejects.toMatchObject({ kind: 'IsDirectory' })
      await expect(listAll(store, 'to-file')).rejects.toMatchObject({ kind: 'NotDirectory' })
    })

    it('sort by what they point to, whatever the page size', async () => {
      await harness().write('d/x', bytes('x'))
      await link('a', 'd')
      await harness().write('a.txt', bytes('a'))
      await harness().write('a0', bytes('a'))
      const { store } = harness()
      expect(await keysOf(store, '', false)).toEqual(['a.txt', 'a/', 'a0', 'd/'])
      const paged: string[] = []
      for (let after = ''; ;) {
        const [entry] = await listAll(store, '', { limit: 1, after })
        if (entry === undefined) break
        paged.push((after = listKey(at(''), entry)))
      }
      expect(paged).toEqual(['a.txt', 'a/', 'a0', 'd/'])
    })

    it.each([
      ['out of the store, by an absolute path', '/etc/passwd'],
      ['out of the store, by a relative path', '../'.repeat(40) + 'etc/passwd'],
      ['to a folder out of the store', '/etc'],
      ['nowhere', 'missing'],
      ['to themselves', 'link'],
      ['below a file', 'file/below'],
    ])('are not found and not listed when they lead %s', async (_, target) => {
      await harness().write('file', bytes('f'))
      await link('link', target)
      const { store } = harness()
      await expect(store.stat(at('link'))).rejects.toMatchObject({ kind: 'NotFound', path: 'link' })
      await expect(store.open(at('link'))).rejects.toMatchObject({ kind: 'NotFound' })
      await expect(listAll(store, 'link')).rejects.toMatchObject({ kind: 'NotFound' })
      await expect(store.stat(at('link/passwd'))).rejects.toMatchObject({ kind: 'NotFound' })
      expect(await keysOf(store, '')).toEqual(['file'])
    })

    it('that leave a scope are not followed, though they stay in the store', async () => {
      await harness().write('run1/own', bytes('1'))
      await harness().write('run10/secret', bytes('10'))
      await link('run1/file', '../run10/secret')
      await link('run1/folder', '../run10')
      await link('run1/back', '../run1/own')
      const scoped = harness().store.scoped(at('run1'))
      expect(await keysOf(scoped, '')).toEqual(['back', 'own'])
      for (const path of ['file', 'folder', 'folder/secret'])
        await expect(scoped.stat(at(path))).rejects.toMatchObject({ kind: 'NotFound', path })
      await expect(scoped.open(at('file'))).rejects.toMatchObject({ kind: 'NotFound' })
      expect(await harness().store.stat(at('run1/file'))).toMatchObject({ size: 2 })
    })

    it('are no scopes', async () => {
      await harness().write('real/file', bytes('f'))
      await link('alias', 'real')
      const scoped = harness().store.scoped(at('alias'))
      await expect(scoped.stat(at('file'))).rejects.toMatchObject({ kind: 'NotFound' })
      await expect(listAll(scoped, '')).rejects.toMatchObject({ kind: 'NotFound' })
    })

    it('to a folder above them are left out of recursive lists, which end', async () => {
      await harness().write('a/b/file', bytes('f'))
      await link('a/b/self', '.')
      await link('a/b/up', '..')
      await link('a/b/root', '../..')
      const { store } = harness()
      expect(await keysOf(store, '')).toEqual(['a/', 'a/b/', 'a/b/file'])
      expect(await keysOf(store, 'a/b')).toEqual(['file'])
      expect(await keysOf(store, 'a/b', false)).toEqual(['file', 'root/', 'self/', 'up/'])
      expect(await store.stat(at('a/b/up/b/file'))).toMatchObject({ type: 'file' })
    })

    it('between two folders do not make a recursive list endless', async () => {
      await harness().write('one/1', bytes('1'))
      await harness().write('two/2', bytes('2'))
      await link('one/to-two', '../two')
      await link('two/to-one', '../one')
      expect(await keysOf(harness().store, '')).toEqual([
        'one/',
        'one/1',
        'one/to-two/',
        'one/to-two/2',
        'two/',
        'two/2',
        'two/to-one/',
        'two/to-one/1',
      ])
    })

    it('never show what is outside while they are swapped under running requests', async () => {
      await harness().write('inside/file', bytes('inside'))
      await harness().write('other/file', bytes('inside'))
      await link('swapped', 'inside')
      const { store } = harness()
      let outward = false
      const swap = async (): Promise<void> => {
        await harness().remove('swapped')
        outward = !outward
        await link('swapped', outward ? '/etc' : 'other')
      }
      for (let i = 0; i < 300; i++) {
        const listed = listAll(store, 'swapped')
        const file = withOpen(store, 'swapped/file', artifact => readAll(artifact))
        const outside = withOpen(store, 'swapped/passwd', artifact => readAll(artifact))
        await swap()
        const [entries, content, secret] = await Promise.allSettled([listed, file, outside])
        if (entries.status === 'fulfilled') expect(entries.value.length).toBeLessThanOrEqual(1)
        if (content.status === 'fulfilled') expect(content.value.toString()).toBe('inside')
        expect(secret).toMatchObject({ status: 'rejected', reason: { kind: 'NotFound' } })
      }
    })

    it('lead a new file to where they point, within the store only', async () => {
      await harness().write('real/file', bytes('content'))
      await harness().write('run/inside/file', bytes('inside'))
      await link('to-folder', 'real')
      await link('run/out', '../real')
      await link('run/in', 'inside')
      await link('run/nowhere', 'missing')
      const { store } = harness()
      await put(store, 'to-folder/new', bytes('new'))
      expect(await contentOf(store, 'real/new')).toBe('new')
      const run = store.scoped(at('run'))
      await put(run, 'in/new', bytes('new'))
      expect(await contentOf(store, 'run/inside/new')).toBe('new')
      for (const path of ['out/escaped', 'out/deeper/escaped', 'nowhere/file', 'nowhere/deeper/file'])
        await expect(put(run, path, bytes('x'))).rejects.toMatchObject({ kind: 'NotDirectory', path })
      expect(await keysOf(store, 'real')).toEqual(['file', 'new'])
    })

    it('are replaced by a new file, moved by nobody, and removed alone', async () => {
      await harness().write('real/file', bytes('content'))
      await link('run/link', '../real/file')
      await link('run/other', '../real/file')
      await link('run/folder', '../real')
      const { store } = harness()
      const run = store.scoped(at('run'))
      await expect(put(run, 'link', bytes('x'), { precondition: { type: 'absent' } })).rejects.toMatchObject({
        kind: 'Changed',
      })
      await put(run, 'link', bytes('replaced'))
      expect(await contentOf(store, 'run/link')).toBe('replaced')
      await expect(store.move!(at('run/other'), at('run/moved'))).rejects.toMatchObject({
        kind: 'InvalidArgument',
      })
      await run.remove(at('other'))
      await store.remove(at('run/folder'))
      expect(await keysOf(store, '')).toEqual(['real/', 'real/file', 'run/', 'run/link'])
      expect(await contentOf(store, 'real/file')).toBe('content')
    })

    it('to folders are not entered by a list that is not to', async () => {
      await harness().write('run/real/file', bytes('content'))
      await link('run/to-folder', 'real')
      await link('run/to-file', 'real/file')
      const listed = await listAll(harness().store, 'run', { recursive: true, entersLinks: false })
      expect(listed.map(({ path }) => path)).toEqual([
        'run/real',
        'run/real/file',
        'run/to-file',
        'run/to-folder',
      ])
    })

    it('have nothing in them for such a list, whichever part of its own path is one', async () => {
      await harness().write('run/real/deep/file', bytes('content'))
      await link('run/to-folder', 'real')
      await link('run/self', '.')
      const run = harness().store.scoped(at('run'))
      for (const path of ['to-folder', 'to-folder/deep', 'self', 'self/real'])
        expect(await listAll(run, path, { recursive: true, entersLinks: false }), path).toEqual([])
      expect(await listAll(run, 'real/deep', { recursive: true, entersLinks: false })).toHaveLength(1)
    })

    it('do not lead a file that is moved into a folder out of that', async () => {
      await harness().write('own/file', bytes('content'))
      await harness().write('other/kept', bytes('kept'))
      await harness().write('run/real/kept', bytes('kept'))
      await link('run/out', '../other')
      await link('run/in', 'real')
      const { store } = harness()
      const into = at('run')
      await expect(store.move!(at('own/file'), at('out/file'), { into })).rejects.toMatchObject({
        kind: 'NotDirectory',
        path: 'out/file',
      })
      await expect(
        store.move!(at('own/file'), at('in/kept'), { into, precondition: { type: 'absent' } }),
      ).rejects.toMatchObject({ kind: 'Changed' })
      expect(await contentOf(store, 'own/file')).toBe('content')
      expect(await store.move!(at('own/file'), at('in/file'), { into })).toMatchObject({ path: 'in/file' })
      expect(await keysOf(store, 'run/real')).toEqual(['file', 'kept'])
      expect(await keysOf(store, 'other')).toEqual(['kept'])
      // With the file its folder went, which was empty then.
      expect(await keysOf(store, '', false)).toEqual(['other/', 'run/'])
    })

    it('go with the folder that is removed, and what they point to stays', async () => {
      await harness().write('real/file', bytes('content'))
      await harness().write('run/a/b', bytes('b'))
      await link('run/a/out', '../../real')
      await link('run/a/out-file', '../../real/file')
      await link('run/a/self', '.')
      await link('run/a/dangling', 'nowhere')
      await link('run/as-folder', 'a')
      const { store } = harness()
      expect(await store.removeAll(at('run/as-folder'))).toEqual({ removed: 1, failures: [] })
      expect(await contentOf(store, 'run/a/b')).toBe('b')
      expect(await store.removeAll(at('run/a'))).toEqual({ removed: 5, failures: [] })
      expect(await keysOf(store, '')).toEqual(['real/', 'real/file'])
      // A run whose folder is a link does not exist.
      await link('fake', 'real')
      const fake = store.scoped(at('fake'))
      await expect(put(fake, 'file', bytes('x'))).rejects.toMatchObject({ kind: 'NotDirectory' })
      await expect(fake.removeAll(at(''))).rejects.toMatchObject({ kind: 'NotFound' })
      await expect(fake.remove(at('file'))).rejects.toMatchObject({ kind: 'NotFound' })
      expect(await contentOf(store, 'real/file')).toBe('content')
    })
  })
}
