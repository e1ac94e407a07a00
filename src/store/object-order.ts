// Lists of servers that order keys by UTF-16, in the order of UTF-8.
import type { ListRequest } from './object-client.ts'
import type { ListedItem, Pages } from './object-pages.ts'

/**
 * Items of one group that are held at once, about 3 MB. A group has the keys that agree up to a character beyond U+FFFF: UTF-16 puts them before those that go on with U+E000 to
 * U+FFFF, UTF-8 behind. Groups lie within groups, so a list holds at most so many for each such character in a key.
 */
const MAX_HELD = 10_000

const PAIR = /[\uD800-\uDBFF]/g

/** Where the first surrogate pair at or behind `from` begins; -1 for none. */
function firstPair(key: string, from: number): number {
  PAIR.lastIndex = from
  return PAIR.exec(key)?.index ?? -1
}

/** A new list that begins with `request`; the caller ends it. */
export type ListAgain = (request: ListRequest) => Pages

/** All of `pages`, in the order of UTF-8, in arrays of any length. What all keys begin with is `prefix`. `pages` remains the caller's to end. */
export function inUtf8Order(
  pages: Pages,
  prefix: string,
  again: ListAgain,
  maxHeld = MAX_HELD,
): AsyncGenerator<readonly ListedItem[], void, undefined> {
  return ordered(new Cursor(pages), { contains: () => true, settled: prefix.length }, again, maxHeld)
}

/** The items of a list one by one. */
class Cursor {
  readonly #pages: Pick<Pages, 'next' | 'request'>
  #items: readonly ListedItem[] = []
  #index = 0
  #pageRequest: ListRequest | undefined

  constructor(pages: Pick<Pages, 'next' | 'request'>) {
    this.#pages = pages
  }

  /** The next item where it is known without asking the server. */
  get known(): ListedItem | undefined {
    return this.#items[this.#index]
  }

  /** What the page of the next item was asked for with. */
  get pageRequest(): ListRequest | undefined {
    return this.#pageRequest
  }

  /** The next item; undefined at the end. */
  async peek(): Promise<ListedItem | undefined> {
    while (this.#index === this.#items.length) {
      this.#pageRequest = this.#pages.request
      const items = await this.#pages.next()
      if (items === undefined) return undefined
      this.#items = items
      this.#index = 0
    }
    return this.#items[this.#index]
  }

  skip(): void {
    this.#index += 1
  }
}

interface Span {
  readonly contains: (key: string) => boolean
  /** Index behind the last character of the keys that decides no order any more. */
  readonly settled: number
}

/** The items at the cursor that are in `span`. */
async function* ordered(
  cursor: Cursor,
  span: Span,
  again: ListAgain,
  maxHeld: number,
): AsyncGenerator<readonly ListedItem[], void, undefined> {
  let run: ListedItem[] = []
  for (;;) {
    if (cursor.known === undefined && run.length > 0) {
      yield run
      run = []
    }
    const item = cursor.known ?? (await cursor.peek())
    if (item === undefined || !span.contains(item.key)) break
    const pair = firstPair(item.key, span.settled)
    if (pair < 0) {
      run.push(item)
      cursor.skip()
      continue
    }
    if (run.length > 0) yield run
    run = []
    const prefix = item.key.slice(0, pair)
    const isInGroup = (key: string): boolean => key.startsWith(prefix) && isHighSurrogate(key, pair)
    const group = await hold(cursor, isInGroup, maxHeld)
    // Of what begins with `prefix`, only what goes on with U+E000 or more is left.
    yield* ordered(cursor, { contains: key => key.startsWith(prefix), settled: pair }, again, maxHeld)
    yield* released(group, { contains: isInGroup, settled: pair + 2 }, again, maxHeld)
  }
  if (run.length > 0) yield run
}

interface Group {
  readonly first: ListedItem
  /** Undefined where it has too many: then it is listed again, from the page that it began on. */
  readonly items: readonly ListedItem[] | undefined
  readonly pageRequest: ListRequest | undefined
}

/** Takes the items of a group, of which there is one. */
async function hold(cursor: Cursor, isInGroup: Span['contains'], maxHeld: number): Promise<Group> {
  const { pageRequest } = cursor
  const first = cursor.known!
  let items: ListedItem[] | undefined = []
  for (let item: ListedItem | undefined = first; item !== undefined && isInGroup(item.key);) {
    // A part of what is held cannot be listed again, nor need it be.
    if (items?.length === maxHeld && pageRequest !== undefined) items = undefined
    items?.push(item)
    cursor.skip()
    item = await cursor.peek()
  }
  return { first, items, pageRequest }
}

function isHighSurrogate(key: string, index: number): boolean {
  const unit = key.charCodeAt(index)
  return unit >= 0xd800 && unit <= 0xdbff
}

async function* released(
  { first, items, pageRequest }: Group,
  span: Span,
  again: ListAgain,
  maxHeld: number,
): AsyncGenerator<readonly ListedItem[], void, undefined> {
  if (items !== undefined) {
    yield* ordered(new Cursor(pageOf(items)), span, again, maxHeld)
    return
  }
  const pages = again(pageRequest!)
  try {
    const cursor = new Cursor(pages)
    // The page may begin before the group; UTF-16 order is that of `<`.
    for (
      let item = await cursor.peek();
      item !== undefined && item.key < first.key;
      item = await cursor.peek()
    )
      cursor.skip()
    yield* ordered(cursor, span, again, maxHeld)
  } finally {
    pages.end()
  }
}

function pageOf(items: readonly ListedItem[]): Pick<Pages, 'next' | 'request'> {
  let given = false
  return {
    request: undefined,
    next: () => {
      const page = given ? undefined : items
      given = true
      return Promise.resolve(page)
    },
  }
}
