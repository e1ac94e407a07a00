// Lists of accounts with a hierarchical namespace, brought into the order of flat ones.
//
// A flat namespace orders whole keys by UTF-16 code units. A hierarchical one orders the names within a directory, and a directory's content comes right behind its name:
// `a`, `a/x`, `a-b` (https://github.com/Azure/azure-sdk-for-go/issues/24210), where whole keys are in the order `a`, `a-b`, `a/x`. So one level is right but for a few directories, which
// are held back, and a whole tree is walked level by level.
import type { ListedObject, ObjectPage } from './object-client.ts'

/** One level of the namespace as far as it was read; plain data, because it lives in the tokens of pages. */
export interface Level {
  /** '' or a key with a slash at its end. */
  readonly prefix: string
  /** Keys before this one are left out, and so are whole directories, but for those on the way to it. */
  readonly from: string
  /** The server's token of the next page; undefined before the first one. */
  marker: string | undefined
  isRead: boolean
  /** What may come after names that are not read yet. */
  held: readonly Item[]
  /** What is in order and not given yet. */
  ready: Item[]
}

/** A key of the level: an object, or where there is none a directory, with a slash at its end. */
interface Item {
  readonly key: string
  readonly object: ListedObject | undefined
}

/** Reads a page of one level of the namespace. */
export type ReadLevel = (prefix: string, marker: string | undefined) => Promise<ObjectPage>

export function levelOf(prefix: string, from = ''): Level {
  return { prefix, from, marker: undefined, isRead: false, held: [], ready: [] }
}

/** Reads the next page of `level` and moves to `ready` what nothing unread can come before. */
export async function advance(level: Level, read: ReadLevel): Promise<void> {
  const page = await read(level.prefix, level.marker)
  const items: Item[] = [
    ...page.objects.map(object => ({ key: object.key, object })),
    ...page.prefixes.map(key => ({ key, object: undefined })),
  ]
  const sorted = [...level.held, ...items].sort((a, b) => (a.key < b.key ? -1 : a.key > b.key ? 1 : 0))
  // Names to come are greater than this one. What can be among or behind them is `NAME/` for a NAME that this one begins with.
  const lastName = items.reduce((last, { key }) => {
    const name = key.replace(/\/$/, '')
    return name > last ? name : last
  }, '')
  level.marker = page.token
  level.isRead = page.token === undefined
  const settled = level.isRead ? sorted.length : sorted.findLastIndex(({ key }) => key <= lastName) + 1
  level.held = sorted.slice(settled)
  level.ready.push(
    ...sorted.slice(0, settled).filter(item => item.key >= level.from || isOnTheWay(item, level)),
  )
}

/** All that is `ready` in `level`, as the page of a list with a delimiter. */
export function takeReady(level: Level): Omit<ObjectPage, 'token'> {
  const objects = level.ready.flatMap(({ object }) => object ?? [])
  const prefixes = level.ready.flatMap(({ key, object }) => (object === undefined ? [key] : []))
  level.ready = []
  return { objects, prefixes }
}

/**
 * The next objects of the tree that `levels` leads into, the innermost level last: until a page had to be read and what it gave is used up. Directories come as empty objects
 * whose keys end with a slash. At the end `levels` is empty.
 */
export async function walk(levels: Level[], read: ReadLevel): Promise<ListedObject[]> {
  const objects: ListedObject[] = []
  let hasRead = false
  for (let level = levels.at(-1); level !== undefined; level = levels.at(-1)) {
    const item = level.ready.shift()
    if (item?.object !== undefined) objects.push(item.object)
    else if (item !== undefined) {
      if (isOnTheWay(item, level)) levels.push(levelOf(item.key, level.from))
      else {
        objects.push(directory(item.key))
        levels.push(levelOf(item.key))
      }
    } else if (level.isRead) levels.pop()
    else if (hasRead) break
    else {
      hasRead = true
      await advance(level, read)
    }
  }
  return objects
}

/** Whether the directory comes before the key that the list begins with, and that key lies in it. */
function isOnTheWay({ key, object }: Item, { from }: Level): boolean {
  return object === undefined && key < from && from.startsWith(key)
}

function directory(key: string): ListedObject {
  return { key, size: 0, etag: '0', lastModifiedMs: 0, isFolder: true }
}
