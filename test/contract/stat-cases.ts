// Cases of `stat`, and of what an entry promises.
import { describe, expect, it } from 'vitest'
import { isAppError } from '../../src/errors.ts'
import type { Capabilities } from '../../src/store/store.ts'
import { eachCase } from './each-case.ts'
import {
  at,
  bytes,
  listAll,
  readAll,
  supportedNames,
  withOpen,
  writeAll,
  type MakeHarness,
} from './harness.ts'

export function statCases(capabilities: Capabilities, make: MakeHarness): void {
  describe('stat', () => {
    const harness = eachCase(make)

    it('declares the capabilities that its cases are chosen by', () => {
      expect(harness().store.capabilities).toMatchObject(capabilities)
      expect(harness().store.scoped(at('a')).capabilities).toMatchObject(capabilities)
    })

    it('gives size, time and a quotable etag of a file', async () => {
      const lastModifiedMs = Date.UTC(2024, 1, 29, 12, 30, 15)
      await harness().write('model/weights.bin', bytes('12345'), { lastModifiedMs })
      const entry = await harness().store.stat(at('model/weights.bin'))
      expect(entry).toMatchObject({ path: 'model/weights.bin', type: 'file', size: 5 })
      if (harness().keepsTimes) expect(entry.lastModifiedMs).toBe(lastModifiedMs)
      else expect(Math.abs(entry.lastModifiedMs! - Date.now())).toBeLessThan(60_000)
      // RFC 9110 8.8.3: etagc is %x21 / %x23-7E / obs-text.
      expect(entry.etag).toMatch(/^[\x21\x23-\x7e]+$/)
      expect(entry.unreadable).toBeUndefined()
      if (capabilities.modes) expect(entry.mode).toBeTypeOf('number')
      else expect(entry.mode).toBeUndefined()
    })

    it('gives folders, with neither size nor etag', async () => {
      await harness().write('a/b/c.txt', bytes('c'))
      for (const path of ['a', 'a/b'])
        expect(await harness().store.stat(at(path))).toMatchObject({
          path,
          type: 'directory',
          size: 0,
          etag: '',
        })
    })

    it('gives the root', async () => {
      await harness().write('a', bytes('a'))
      expect(await harness().store.stat(at(''))).toMatchObject({
        path: '',
        type: 'directory',
        size: 0,
        etag: '',
      })
    })

    it.each(['missing', 'a/missing', 'missing/b', 'file/below', 'file/below/deeper', 'A', 'fil', 'file '])(
      'says NotFound, with the path, for %j',
      async path => {
        await harness().write('file', bytes('f'))
        await harness().write('a/b', bytes('b'))
        const error: unknown = await harness()
          .store.stat(at(path))
          .catch((reason: unknown) => reason)
        expect(error).toMatchObject({ kind: 'NotFound', path, temporary: false })
      },
    )

    it('gives every weird name back as it is, by stat, list and open', async () => {
      const { store } = harness()
      const names = supportedNames(harness())
      await writeAll(
        harness(),
        names.map(name => [`names/${name}`, bytes(name)]),
      )
      const listed = await listAll(store, 'names')
      expect(new Set(listed.map(entry => entry.path))).toEqual(new Set(names.map(name => `names/${name}`)))
      for (const entry of listed) {
        expect(await store.stat(entry.path)).toEqual(entry)
        expect((await withOpen(store, entry.path, artifact => readAll(artifact), entry)).toString()).toBe(
          entry.path.slice('names/'.length),
        )
      }
    })

    it('gives the same entry by stat, by list and when opened', async () => {
      await harness().write('a/b.txt', bytes('b'))
      const { store } = harness()
      const entry = await store.stat(at('a/b.txt'))
      expect(await listAll(store, 'a')).toEqual([entry])
      expect(await withOpen(store, 'a/b.txt', artifact => Promise.resolve(artifact.entry))).toEqual(entry)
    })

    it('changes the etag whenever the content changes, also to the same size at once', async () => {
      const { store } = harness()
      const contents = new Map<string, string>()
      for (let i = 0; i < 40; i++) {
        const content = String(i).padStart(4, '0')
        await harness().write('state', bytes(content))
        const { etag } = await store.stat(at('state'))
        expect(contents.get(etag)).toBeUndefined()
        contents.set(etag, content)
      }
      expect(await store.stat(at('state'))).toMatchObject({ etag: [...contents.keys()].at(-1) })
    })

    it('never gives two contents one etag while a writer rewrites in a tight loop', async () => {
      const { store } = harness()
      const contentOf = new Map<string, string>()
      let written = 0
      let writing = Promise.resolve()
      const write = (): void => {
        const content = String(++written).padStart(6, '0')
        writing = writing.then(() => harness().write('busy', bytes(content)))
      }
      write()
      await writing
      const writer = setInterval(write, 1)
      try {
        for (let i = 0; i < 20; i++) {
          const read = await withOpen(store, 'busy', async artifact => ({
            etag: artifact.entry.etag,
            content: (await readAll(artifact)).toString(),
          })).catch((error: unknown) => {
            expect(isAppError(error, 'Changed')).toBe(true)
          })
          if (read === undefined) continue
          expect(contentOf.get(read.etag) ?? read.content).toBe(read.content)
          contentOf.set(read.etag, read.content)
        }
      } finally {
        clearInterval(writer)
        await writing
      }
    })

    it('fails with Aborted when the signal is aborted already', async () => {
      await harness().write('a', bytes('a'))
      const signal = AbortSignal.abort()
      await expect(harness().store.stat(at('a'), { signal })).rejects.toMatchObject({ kind: 'Aborted' })
    })
  })
}
