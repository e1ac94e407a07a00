// Cases of `create`: what is written becomes an artifact as a whole, in one step, or not at all.
import { describe, expect, it } from 'vitest'
import { isAppError } from '../../src/errors.ts'
import type {
  ArtifactStore,
  Capabilities,
  CreateOptions,
  Entry,
  Precondition,
} from '../../src/store/store.ts'
import { eachCase } from './each-case.ts'
import {
  at,
  bytes,
  listAll,
  pattern,
  readAll,
  supportedNames,
  withOpen,
  type MakeHarness,
} from './harness.ts'

const MiB = 1024 ** 2

/** Writes all of `content` in chunks of `chunkBytes`, in memory that is used again after each. */
export async function put(
  store: ArtifactStore,
  path: string,
  content: Uint8Array,
  options: CreateOptions & { readonly chunkBytes?: number } = {},
): Promise<Entry> {
  const { chunkBytes = 64 * 1024, ...rest } = options
  const pending = await store.create(at(path), rest)
  try {
    const memory = Buffer.alloc(Math.min(chunkBytes, content.length))
    for (let position = 0; position < content.length; position += chunkBytes) {
      const chunk = memory.subarray(0, Math.min(chunkBytes, content.length - position))
      chunk.set(content.subarray(position, position + chunk.length))
      await pending.write(chunk)
      memory.fill(0xee)
    }
    return await pending.complete()
  } catch (error) {
    await pending.abort()
    throw error
  }
}

export async function contentOf(store: ArtifactStore, path: string): Promise<string> {
  return (await withOpen(store, path, artifact => readAll(artifact))).toString()
}

async function pathsIn(store: ArtifactStore, folder = ''): Promise<string[]> {
  return (await listAll(store, folder, { recursive: true })).map(({ path }) => path)
}

export function writeCases(capabilities: Capabilities, make: MakeHarness): void {
  const harness = eachCase(make)

  describe('create', () => {
    it('makes what was written an artifact, with the folders above it', async () => {
      const { store } = harness()
      const content = pattern(300_000)
      const entry = await put(store, 'new/folder/file.bin', content, { size: content.length })
      expect(entry).toMatchObject({ path: 'new/folder/file.bin', type: 'file', size: content.length })
      expect(Math.abs(entry.lastModifiedMs! - Date.now())).toBeLessThan(60_000)
      expect(await store.stat(at('new/folder/file.bin'))).toEqual(entry)
      expect(await listAll(store, 'new/folder')).toEqual([entry])
      expect(await withOpen(store, 'new/folder/file.bin', artifact => readAll(artifact), entry)).toEqual(
        content,
      )
    })

    it.each([
      ['nothing', 0, 1],
      ['one byte', 1, 1],
      ['many small chunks', 5000, 7],
      ['some parts of an object store', 20 * MiB + 17, 999_983],
    ])('takes %s', async (_what, size, chunkBytes) => {
      const { store } = harness()
      const content = pattern(size, 3)
      for (const declared of [{ size }, {}]) {
        const entry = await put(store, 'file', content, { ...declared, chunkBytes })
        expect(entry.size).toBe(size)
        expect((await withOpen(store, 'file', artifact => readAll(artifact))).equals(content)).toBe(true)
      }
    })

    it('takes every weird name', async () => {
      const { store } = harness()
      for (const name of supportedNames(harness())) await put(store, `names/${name}`, bytes(name))
      const listed = await listAll(store, 'names')
      expect(new Set(listed.map(({ path }) => path))).toEqual(
        new Set(supportedNames(harness()).map(name => `names/${name}`)),
      )
      for (const { path } of listed) expect(await contentOf(store, path)).toBe(path.slice('names/'.length))
    })

    it('shows nothing of it before it is complete, and nothing at all after abort', async () => {
      await harness().write('folder/other', bytes('other'))
      const { store } = harness()
      const before = await pathsIn(store)
      const pending = await store.create(at('folder/new/file'))
      await pending.write(bytes('some of it'))
      await expect(store.stat(at('folder/new/file'))).rejects.toMatchObject({ kind: 'NotFound' })
      await expect(store.open(at('folder/new/file'))).rejects.toMatchObject({ kind: 'NotFound' })
      expect((await listAll(store, '', { recursive: true })).filter(({ type }) => type === 'file')).toEqual([
        await store.stat(at('folder/other')),
      ])
      await pending.abort()
      await pending.abort()
      expect(await pathsIn(store)).toEqual(before)
    })

    it('leaves nothing of a large one after abort either', async () => {
      const { store } = harness()
      const pending = await store.create(at('large'))
      for (let i = 0; i < 20; i++) await pending.write(pattern(MiB, i))
      await pending.abort()
      expect(await pathsIn(store)).toEqual([])
    })

    it('keeps what is complete when it is aborted afterwards', async () => {
      const { store } = harness()
      const pending = await store.create(at('file'))
      await pending.write(bytes('whole'))
      await pending.complete()
      await pending.abort()
      expect(await contentOf(store, 'file')).toBe('whole')
    })

    it('replaces an artifact as a whole: readers of the old one go on with it or see Changed', async () => {
      const { store } = harness()
      const old = pattern(3 * MiB, 1)
      const first = await put(store, 'file', old)
      const artifact = await store.open(at('file'), { pin: first })
      const reader = artifact.read(0, old.length)[Symbol.asyncIterator]()
      const head = await reader.next()
      const read = [Buffer.from(head.value as Uint8Array)]
      const second = await put(store, 'file', pattern(2 * MiB, 2))
      expect(second.etag).not.toBe(first.etag)
      try {
        for (let step = await reader.next(); step.done !== true; step = await reader.next())
          read.push(Buffer.from(step.value))
        expect(Buffer.concat(read).equals(old)).toBe(true)
      } catch (error) {
        expect(isAppError(error, 'Changed')).toBe(true)
      } finally {
        await artifact.close()
      }
      expect((await withOpen(store, 'file', each => readAll(each))).equals(pattern(2 * MiB, 2))).toBe(true)
    })

    it('gives each content another etag, of the same size at once too', async () => {
      const { store } = harness()
      const etags = new Set<string>()
      for (let i = 0; i < 10; i++) etags.add((await put(store, 'file', bytes(`content ${i}`))).etag)
      expect(etags.size).toBe(10)
    })

    it('never shows torn or mixed content while 8 writers replace one artifact', async () => {
      const { store } = harness()
      const size = 200_000
      await put(store, 'contested', Buffer.alloc(size, 'z'))
      let writing = true
      const writers = Array.from({ length: 8 }, async (_, writer) => {
        for (let round = 0; round < 3; round++)
          await put(store, 'contested', Buffer.alloc(size, 'a'.charCodeAt(0) + writer))
      })
      const reader = async (): Promise<number> => {
        let whole = 0
        // Each looks once more when all is written: while it is, a read may meet with Changed each time.
        for (let isLast = false; !isLast;) {
          isLast = !writing
          // A store in memory would never let anybody else run.
          await new Promise(resolve => setImmediate(resolve))
          const content = await withOpen(store, 'contested', artifact => readAll(artifact)).catch(
            (error: unknown) => {
              expect(error).toMatchObject({ kind: 'Changed' })
            },
          )
          if (content === undefined) continue
          expect(content.length).toBe(size)
          expect(content.equals(Buffer.alloc(size, content[0]))).toBe(true)
          whole++
        }
        return whole
      }
      const readers = [reader(), reader()]
      await Promise.all(writers)
      writing = false
      expect((await Promise.all(readers)).every(count => count > 0)).toBe(true)
      expect(await pathsIn(store)).toEqual(['contested'])
    })

    it('refuses the root, and names what it refuses', async () => {
      await expect(harness().store.create(at(''))).rejects.toMatchObject({ kind: 'IsDirectory', path: '' })
    })

    it('fails with Aborted once the signal is aborted, at every step', async () => {
      const { store } = harness()
      await expect(store.create(at('a'), { signal: AbortSignal.abort() })).rejects.toMatchObject({
        kind: 'Aborted',
      })
      const ending = new AbortController()
      const pending = await store.create(at('a'), { signal: ending.signal })
      await pending.write(bytes('some'))
      ending.abort()
      await expect(pending.write(bytes('more'))).rejects.toMatchObject({ kind: 'Aborted', path: 'a' })
      await pending.abort()
      const late = new AbortController()
      const other = await store.create(at('b'), { signal: late.signal })
      await other.write(bytes('some'))
      late.abort()
      await expect(other.complete()).rejects.toMatchObject({ kind: 'Aborted', path: 'b' })
      await other.abort()
      expect(await pathsIn(store)).toEqual([])
    })

    it('is possible as far as checkWritable says', async () => {
      await expect(harness().store.checkWritable()).resolves.toBeUndefined()
      await expect(harness().store.scoped(at('not/there')).checkWritable()).resolves.toBeUndefined()
    })

    it('makes the folder of a scoped view', async () => {
      const { store } = harness()
      const entry = await put(store.scoped(at('owner/run')), 'a/b', bytes('b'))
      expect(entry.path).toBe('a/b')
      expect(await contentOf(store, 'owner/run/a/b')).toBe('b')
    })

    if (capabilities.emptyDirectories) {
      it('refuses the place of a folder, and a place below a file', async () => {
        await harness().write('folder/file', bytes('f'))
        const { store } = harness()
        await expect(put(store, 'folder', bytes('x'))).rejects.toMatchObject({ kind: 'IsDirectory' })
        for (const path of ['folder/file/below', 'folder/file/below/deeper'])
          await expect(put(store, path, bytes('x'))).rejects.toMatchObject({ kind: 'NotDirectory', path })
        expect(await contentOf(store, 'folder/file')).toBe('f')
        expect(await pathsIn(store)).toEqual(['folder', 'folder/file'])
      })

      it('keeps empty folders that were there', async () => {
        await harness().makeDirectory!('empty/folder')
        const { store } = harness()
        const pending = await store.create(at('empty/folder/file'))
        await pending.abort()
        expect(await pathsIn(store)).toEqual(['empty', 'empty/folder'])
      })
    }
  })

  describe('preconditions of create', () => {
    const absent: Precondition = { type: 'absent' }
    const present: Precondition = { type: 'present' }
    const etag = (...etags: string[]): Precondition => ({ type: 'etag', etags })

    it('hold or not where nothing is', async () => {
      const { store } = harness()
      for (const precondition of [present, etag('other')])
        await expect(put(store, 'file', bytes('x'), { precondition })).rejects.toMatchObject({
          kind: 'Changed',
          path: 'file',
        })
      expect(await pathsIn(store)).toEqual([])
      await put(store, 'file', bytes('first'), { precondition: absent })
      expect(await contentOf(store, 'file')).toBe('first')
    })

    it('hold or not where something is', async () => {
      const { store } = harness()
      const first = await put(store, 'file', bytes('first'))
      for (const precondition of [absent, etag('other'), etag()])
        await expect(put(store, 'file', bytes('x'), { precondition })).rejects.toMatchObject({
          kind: 'Changed',
        })
      expect(await contentOf(store, 'file')).toBe('first')
      const second = await put(store, 'file', bytes('second'), { precondition: etag('other', first.etag) })
      await expect(put(store, 'file', bytes('x'), { precondition: etag(first.etag) })).rejects.toMatchObject({
        kind: 'Changed',
      })
      expect(await store.stat(at('file'))).toEqual(second)
      await put(store, 'file', bytes('third'), { precondition: present })
      expect(await contentOf(store, 'file')).toBe('third')
    })

    it('hold or not for a large one', async () => {
      const { store } = harness()
      const content = pattern(18 * MiB)
      const first = await put(store, 'large', content, { precondition: absent, chunkBytes: MiB })
      await expect(
        put(store, 'large', pattern(18 * MiB, 9), { precondition: absent, chunkBytes: MiB }),
      ).rejects.toMatchObject({ kind: 'Changed' })
      expect(await store.stat(at('large'))).toEqual(first)
      await put(store, 'large', content, { precondition: etag(first.etag), chunkBytes: MiB })
      expect(await pathsIn(store)).toEqual(['large'])
    })

    it('are about the moment at which it becomes visible', async () => {
      const { store } = harness()
      const pending = await store.create(at('file'), { precondition: absent })
      await pending.write(bytes('late'))
      await harness().write('file', bytes('early'))
      await expect(pending.complete()).rejects.toMatchObject({ kind: 'Changed' })
      await pending.abort()
      expect(await contentOf(store, 'file')).toBe('early')

      const { etag: known } = await store.stat(at('file'))
      const second = await store.create(at('file'), { precondition: etag(known) })
      await second.write(bytes('late'))
      await harness().write('file', bytes('changed meanwhile'))
      await expect(second.complete()).rejects.toMatchObject({ kind: 'Changed' })
      await second.abort()
      expect(await contentOf(store, 'file')).toBe('changed meanwhile')
    })

    it('let one of 8 writers make an artifact, and one of 8 replace it', async () => {
      const { store } = harness()
      const race = async (precondition: Precondition): Promise<string> => {
        const outcomes = await Promise.allSettled(
          Array.from({ length: 8 }, (_, writer) =>
            put(store, 'file', bytes(`${precondition.type} ${writer}`), { precondition }),
          ),
        )
        const winners = outcomes.flatMap(({ status }, writer) => (status === 'fulfilled' ? [writer] : []))
        expect(winners).toHaveLength(1)
        for (const outcome of outcomes)
          if (outcome.status === 'rejected') expect(outcome.reason).toMatchObject({ kind: 'Changed' })
        return `${precondition.type} ${winners[0]}`
      }
      expect(await contentOf(store, 'file').catch(() => 'nothing')).toBe('nothing')
      const made = await race(absent)
      expect(await contentOf(store, 'file')).toBe(made)
      const replaced = await race(etag((await store.stat(at('file'))).etag))
      expect(await contentOf(store, 'file')).toBe(replaced)
    })
  })
}
