// Cases of `list`: what is listed, its order, and that every page size and every cursor give the same list.
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { compareUtf8 } from '../../src/store/path.ts'
import { listKey, type ArtifactStore, type Capabilities, type Entry } from '../../src/store/store.ts'
import { eachCase } from './each-case.ts'
import { at, bytes, listAll, supportedNames, writeAll, type Harness, type MakeHarness } from './harness.ts'

/** Names around the slash, in which a folder's key ends, and on both sides of the surrogates. */
const ORDERED = [
  't',
  't-/x',
  't./x',
  't.txt',
  't/a',
  't/b/c',
  't0',
  'u/🙂',
  'u/\uE000',
  'u/\uFFFD',
  '日/本',
  'é',
]

function keys(folder: string, entries: readonly Entry[]): string[] {
  return entries.map(entry => listKey(at(folder), entry))
}

async function pages(
  store: ArtifactStore,
  folder: string,
  limit: number,
  recursive: boolean,
): Promise<string[]> {
  const all: string[] = []
  for (let after = ''; ;) {
    const page = keys(folder, await listAll(store, folder, { limit, after, recursive }))
    expect(page.length).toBeLessThanOrEqual(limit)
    all.push(...page)
    if (page.length < limit) return all
    after = page.at(-1)!
  }
}

async function writeOrdered(harness: Harness): Promise<void> {
  // 't' is a folder here: a file of that name could not be beside it.
  await writeAll(
    harness,
    ORDERED.filter(path => path !== 't').map(path => [path, bytes(path)]),
  )
}

export function listCases(capabilities: Capabilities, make: MakeHarness): void {
  describe('list', () => {
    const harness = eachCase(make)

    it('gives files and folders of one level, folders with their slash in the order', async () => {
      await writeOrdered(harness())
      const listed = keys('', await listAll(harness().store, ''))
      expect(listed).toEqual(['t-/', 't./', 't.txt', 't/', 't0', 'u/', 'é', '日/'])
    })

    it('gives everything below a folder, each folder before what is in it', async () => {
      await writeOrdered(harness())
      const listed = keys('', await listAll(harness().store, '', { recursive: true }))
      expect(listed).toEqual([...listed].sort(compareUtf8))
      expect(listed).toContain('t/b/')
      expect(listed.indexOf('t/b/')).toBeLessThan(listed.indexOf('t/b/c'))
      expect(listed.filter(key => !key.endsWith('/')).sort()).toEqual(
        ORDERED.filter(path => path !== 't').sort(),
      )
    })

    it('orders by the bytes of UTF-8, astral characters behind U+E000 and up', async () => {
      await writeOrdered(harness())
      expect(keys('u', await listAll(harness().store, 'u'))).toEqual(['\uE000', '\uFFFD', '🙂'])
      const names = supportedNames(harness())
      await writeAll(
        harness(),
        names.map(name => [`w/${name}`, bytes('')]),
      )
      const listed = keys('w', await listAll(harness().store, 'w'))
      expect(listed).toEqual(names.toSorted((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b))))
    })

    it.each([false, true])(
      'gives the same list by pages of 10 down to 1 (recursive: %s)',
      async recursive => {
        await writeOrdered(harness())
        await writeAll(
          harness(),
          supportedNames(harness())
            .slice(0, 30)
            .map(name => [`w/${name}`, bytes('')]),
        )
        const { store } = harness()
        for (const folder of ['', 't', 'w']) {
          const whole = keys(folder, await listAll(store, folder, { recursive }))
          for (let limit = 10; limit >= 1; limit--)
            expect(await pages(store, folder, limit, recursive)).toEqual(whole)
        }
      },
    )

    it.each([false, true])(
      'goes on after any cursor, of what is there or not (recursive: %s)',
      async recursive => {
        await writeOrdered(harness())
        const { store } = harness()
        const whole = keys('', await listAll(store, '', { recursive }))
        const cursors = whole.flatMap(key => [
          key,
          `${key}!`,
          `${key}\u{10FFFF}`,
          key.slice(0, -1),
          `${key}/`,
          `${key}a/b`,
        ])
        for (const after of ['', '!', ...cursors, '\u{10FFFF}']) {
          const rest = whole.filter(key => compareUtf8(key, after) > 0)
          expect(keys('', await listAll(store, '', { recursive, after })), JSON.stringify(after)).toEqual(
            rest,
          )
          expect(keys('', await listAll(store, '', { recursive, after, limit: 2 }))).toEqual(rest.slice(0, 2))
        }
      },
    )

    it('agrees with a sorted list of paths for random trees', async () => {
      const name = fc.constantFrom('a', 'b', 'a-', 'a.b', 'a0', '🙂', '\uE000', 'A')
      const tree = fc.array(fc.array(name, { minLength: 1, maxLength: 4 }), { minLength: 1, maxLength: 25 })
      await fc.assert(
        fc.asyncProperty(tree, fc.integer({ min: 1, max: 7 }), async (paths, limit) => {
          const { store } = harness()
          await harness().remove('random')
          const expected = new Set<string>()
          for (const segments of paths) {
            // A file's name ends in .f, so that no path is a file and a folder.
            await harness().write(`random/${segments.join('/')}.f`, bytes(''))
            expected.add(`${segments.join('/')}.f`)
            for (let i = 1; i < segments.length; i++) expected.add(`${segments.slice(0, i).join('/')}/`)
          }
          const sorted = [...expected].sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)))
          expect(keys('random', await listAll(store, 'random', { recursive: true }))).toEqual(sorted)
          expect(await pages(store, 'random', limit, true)).toEqual(sorted)
        }),
        { numRuns: 15 },
      )
    })

    it('gives a large folder in several batches, in order and each entry once', async () => {
      const names = Array.from(
        { length: 2500 },
        (_, i) => `file-${String((i * 7919) % 2500).padStart(5, '0')}`,
      )
      await writeAll(
        harness(),
        names.map(name => [`many/${name}`, bytes('')]),
      )
      let batches = 0
      const listed: string[] = []
      for await (const batch of harness().store.list(at('many'))) {
        batches++
        listed.push(...keys('many', batch))
      }
      expect(batches).toBeGreaterThan(1)
      expect(listed).toEqual(names.sort())
      expect(await pages(harness().store, 'many', 999, false)).toEqual(listed)
      expect(keys('many', await listAll(harness().store, 'many', { limit: 1001 }))).toEqual(
        listed.slice(0, 1001),
      )
    })

    it('goes on from a cursor whose entry was removed', async () => {
      for (const name of ['a', 'b', 'c/d', 'e']) await harness().write(name, bytes(''))
      const first = keys('', await listAll(harness().store, '', { recursive: true, limit: 4 }))
      expect(first).toEqual(['a', 'b', 'c/', 'c/d'])
      await harness().remove('c')
      const { store } = harness()
      expect(keys('', await listAll(store, '', { recursive: true, after: 'c/d' }))).toEqual(['e'])
    })

    it('is empty for an empty store, and for the limit 0', async () => {
      expect(await listAll(harness().store, '')).toEqual([])
      expect(await listAll(harness().store, '', { recursive: true })).toEqual([])
      await harness().write('a', bytes('a'))
      expect(await listAll(harness().store, '', { limit: 0 })).toEqual([])
    })

    it.runIf(capabilities.emptyDirectories)('lists empty folders', async () => {
      await harness().makeDirectory!('empty/inner')
      expect(keys('', await listAll(harness().store, '', { recursive: true }))).toEqual([
        'empty/',
        'empty/inner/',
      ])
      expect(await listAll(harness().store, 'empty/inner')).toEqual([])
    })

    it.each([
      ['missing', 'NotFound'],
      ['a/missing', 'NotFound'],
      ['a/file/below', 'NotFound'],
      ['a/file', 'NotDirectory'],
    ])('fails before the first batch for %j with %s', async (path, kind) => {
      await harness().write('a/file', bytes('f'))
      for (const recursive of [false, true])
        await expect(listAll(harness().store, path, { recursive })).rejects.toMatchObject({ kind, path })
    })

    it('compares by segment: run1 does not cover run10', async () => {
      await harness().write('run1/a', bytes('1'))
      await harness().write('run10/b', bytes('10'))
      expect(keys('run1', await listAll(harness().store, 'run1', { recursive: true }))).toEqual(['a'])
      const scoped = harness().store.scoped(at('run1'))
      expect(keys('', await listAll(scoped, '', { recursive: true }))).toEqual(['a'])
    })

    it('fails with Aborted once the signal is aborted', async () => {
      await writeAll(
        harness(),
        Array.from({ length: 1100 }, (_, i) => [`n/${i}`, bytes('')]),
      )
      const { store } = harness()
      await expect(listAll(store, '', { signal: AbortSignal.abort() })).rejects.toMatchObject({
        kind: 'Aborted',
      })
      const controller = new AbortController()
      const walk = async (): Promise<void> => {
        for await (const batch of store.list(at('n'), { signal: controller.signal })) {
          expect(batch.length).toBeGreaterThan(0)
          controller.abort()
        }
      }
      await expect(walk()).rejects.toMatchObject({ kind: 'Aborted' })
    })

    it('may be left early', async () => {
      await writeAll(
        harness(),
        Array.from({ length: 1100 }, (_, i) => [`n/${i}`, bytes('')]),
      )
      for await (const batch of harness().store.list(at('n'))) {
        expect(batch.length).toBeGreaterThan(0)
        break
      }
    })
  })

  describe('scoped', () => {
    const harness = eachCase(make)

    it('shows a folder as the root, to stat, list and open', async () => {
      await harness().write('run/model/weights', bytes('w'))
      await harness().write('other/secret', bytes('s'))
      const scoped = harness().store.scoped(at('run'))
      expect(keys('', await listAll(scoped, '', { recursive: true }))).toEqual(['model/', 'model/weights'])
      expect(await scoped.stat(at('model/weights'))).toMatchObject({ path: 'model/weights', size: 1 })
      expect(await scoped.stat(at(''))).toMatchObject({ path: '', type: 'directory' })
      const inner = scoped.scoped(at('model'))
      expect(await inner.stat(at('weights'))).toMatchObject({ path: 'weights' })
      await expect(scoped.stat(at('other/secret'))).rejects.toMatchObject({ kind: 'NotFound' })
    })

    it('names paths in failures as its own', async () => {
      await harness().write('run/file', bytes('f'))
      const scoped = harness().store.scoped(at('run'))
      const error: unknown = await scoped.stat(at('gone')).catch((reason: unknown) => reason)
      expect(error).toMatchObject({ kind: 'NotFound', path: 'gone' })
      expect((error as Error).message).toContain("'gone'")
      expect((error as Error).message).not.toContain('run')
      await expect(listAll(scoped, 'file')).rejects.toMatchObject({ kind: 'NotDirectory', path: 'file' })
    })

    it('may be of a folder that does not exist, or not yet', async () => {
      const scoped = harness().store.scoped(at('later/run'))
      await expect(scoped.stat(at('a'))).rejects.toMatchObject({ kind: 'NotFound' })
      await expect(listAll(scoped, '')).rejects.toMatchObject({ kind: 'NotFound' })
      await harness().write('later/run/a', bytes('a'))
      expect(await scoped.stat(at('a'))).toMatchObject({ path: 'a' })
    })

    it('holds nothing when the folder is a file', async () => {
      await harness().write('run', bytes('r'))
      const scoped = harness().store.scoped(at('run'))
      await expect(scoped.stat(at(''))).rejects.toMatchObject({ kind: 'NotFound' })
      await expect(scoped.open(at(''))).rejects.toMatchObject({ kind: 'NotFound' })
      await expect(listAll(scoped, '')).rejects.toMatchObject({ kind: 'NotDirectory' })
    })
  })
}
