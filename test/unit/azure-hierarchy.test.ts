// Lists of hierarchical namespaces in the order of keys, for any tree and any page size.
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  advance,
  levelOf,
  takeReady,
  walk,
  type Level,
  type ReadLevel,
} from '../../src/store/azure-hierarchy.ts'
import type { ListedObject, ObjectPage } from '../../src/store/object-client.ts'

function object(key: string): ListedObject {
  return { key, size: 1, etag: 'e', lastModifiedMs: 0 }
}

/** One level of a hierarchical namespace: in the order of names, a directory's slash being no part of its name. */
function namespaceOf(files: readonly string[], pageSize: number): ReadLevel {
  return (prefix, marker): Promise<ObjectPage> => {
    const level = new Map<string, string>()
    for (const key of files.filter(each => each.startsWith(prefix))) {
      const slash = key.indexOf('/', prefix.length)
      const name = slash < 0 ? key : key.slice(0, slash)
      level.set(name, slash < 0 ? key : `${name}/`)
    }
    const names = [...level.keys()].sort(compare)
    const start = Number(marker ?? 0)
    const page = names.slice(start, start + pageSize).map(name => level.get(name)!)
    const next = start + pageSize
    return Promise.resolve({
      objects: page.filter(key => !key.endsWith('/')).map(object),
      prefixes: page.filter(key => key.endsWith('/')),
      token: next < names.length ? String(next) : undefined,
    })
  }
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}

/** Files of a tree in which no name is both a file and a directory. */
const trees = fc
  .array(
    fc.array(fc.constantFrom('a', 'a-', 'a-b', 'a.', 'a0', 'aa', 'b', '\uE000', '🙂'), {
      minLength: 1,
      maxLength: 3,
    }),
    {
      maxLength: 25,
    },
  )
  .map(paths => {
    const keys = [...new Set(paths.map(names => names.join('/')))]
    return keys.filter(key => !keys.some(other => other.startsWith(`${key}/`)))
  })

async function walked(levels: Level[], read: ReadLevel): Promise<string[]> {
  const keys: string[] = []
  let tree = levels
  while (tree.length > 0) {
    keys.push(...(await walk(tree, read)).map(({ key }) => key))
    // As in a token.
    tree = JSON.parse(JSON.stringify(tree)) as Level[]
  }
  return keys
}

function withDirectories(files: readonly string[]): string[] {
  const directories = files.flatMap(key =>
    [...key.matchAll(/\//g)].map(({ index }) => key.slice(0, index + 1)),
  )
  return [...new Set([...files, ...directories])].sort(compare)
}

describe('a hierarchical namespace', () => {
  it('is walked in the order of keys, whatever the size of its pages', async () => {
    await fc.assert(
      fc.asyncProperty(trees, fc.integer({ min: 1, max: 5 }), async (files, pageSize) => {
        expect(await walked([levelOf('')], namespaceOf(files, pageSize))).toEqual(withDirectories(files))
      }),
    )
  })

  it('is walked from any key on', async () => {
    await fc.assert(
      fc.asyncProperty(trees, fc.integer({ min: 0 }), async (files, seed) => {
        const all = withDirectories(files)
        const from = all.length === 0 ? 'a' : all[seed % all.length]!
        const rest = all.filter(key => key >= from)
        expect(await walked([levelOf('', from)], namespaceOf(files, 2))).toEqual(rest)
      }),
    )
  })

  it('gives one level in the order of keys, whatever the size of its pages', async () => {
    await fc.assert(
      fc.asyncProperty(trees, fc.integer({ min: 1, max: 5 }), async (files, pageSize) => {
        const read = namespaceOf(files, pageSize)
        const level = levelOf('')
        const keys: string[] = []
        while (!level.isRead) {
          await advance(level, read)
          const { objects, prefixes } = takeReady(level)
          keys.push(...[...objects.map(({ key }) => key), ...prefixes].sort(compare))
        }
        const expected = [...new Set(files.map(key => /^[^/]*\/?/.exec(key)![0]))].sort(compare)
        expect(keys).toEqual(expected)
      }),
    )
  })
})
