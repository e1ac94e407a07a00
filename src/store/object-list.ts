// Lists of an object store: one folder, or everything below it, made from keys.
import { storeError, throwIfAborted } from './failure.ts'
import type { ObjectBucket } from './object-bucket.ts'
import type { ListedObject, ListRequest, ObjectClient } from './object-client.ts'
import { fileEntry, folderEntry } from './object-entry.ts'
import { nameable, type ObjectKeys } from './object-keys.ts'
import { inUtf8Order } from './object-order.ts'
import { PAGE_KEYS, Pages, type ListedItem } from './object-pages.ts'
import { isCheckObject } from './object-probe.ts'
import { compareUtf8, ROOT, type ArtifactPath } from './path.ts'
import type { Entry, ListOptions } from './store.ts'

const BATCH_ENTRIES = 1000
/** What is asked for beyond a limit, since not every key is an entry: the folder's own marker, for one. */
const SPARE_KEYS = 2

type Traits = Pick<ObjectClient, 'order' | 'canStartAfter'>

/** The list of `ArtifactStore.list`; rejects with ObjectFailure too. Between two batches at most the next page is under way. */
export async function* listFolder(
  bucket: ObjectBucket,
  keys: ObjectKeys,
  path: ArtifactPath,
  options: ListOptions & { readonly signal: AbortSignal },
): AsyncGenerator<readonly Entry[], void, undefined> {
  const { limit = Infinity, after = '', signal } = options
  const prefix = keys.folder(path)
  if (!keys.canExist(prefix)) throw storeError('NotFound', 'list', path)
  const entries = new EntryMaker(path, prefix, options)
  if (limit > 0) {
    for await (const items of itemsOf(bucket, prefix, await bucket.traits(signal), options, entries)) {
      for (const item of items) {
        entries.add(item)
        if (entries.isComplete) break
        if (entries.made.length < BATCH_ENTRIES) continue
        throwIfAborted(signal, 'list', path)
        yield entries.take()
      }
      throwIfAborted(signal, 'list', path)
      if (entries.made.length > 0) yield entries.take()
      if (entries.isComplete) return
    }
    entries.finish()
  }
  if (!entries.hasSeenAny) await checkFolder(bucket, keys, path, signal, after !== '' || limit === 0)
  throwIfAborted(signal, 'list', path)
  if (entries.made.length > 0) yield entries.take()
}

/** Fails unless there is a folder at `path`, of which nothing was seen so far: because there is nothing, or only before where the list began. */
async function checkFolder(
  bucket: ObjectBucket,
  keys: ObjectKeys,
  path: ArtifactPath,
  signal: AbortSignal,
  maySeeMore: boolean,
): Promise<void> {
  if (path === ROOT || (maySeeMore && (await bucket.has(keys.folder(path), signal)))) return
  const head = await bucket.head(keys.file(path), signal)
  if (head === undefined) throw storeError('NotFound', 'list', path)
  if (head.isFolder !== true) throw storeError('NotDirectory', 'list', path)
}

async function* itemsOf(
  bucket: ObjectBucket,
  prefix: string,
  traits: Traits,
  options: ListOptions & { readonly signal: AbortSignal },
  entries: EntryMaker,
): AsyncGenerator<readonly ListedItem[], void, undefined> {
  const order = traits.order === 'utf8' ? compareUtf8 : compareUtf16
  const pagesFrom = (request: ListRequest): Pages =>
    new Pages(bucket, {
      request,
      order,
      needsMoreThan: items => items < entries.remaining,
      signal: options.signal,
    })
  const pages = pagesFrom(firstRequest(prefix, traits, options))
  try {
    if (traits.order === 'utf16') {
      yield* inUtf8Order(pages, prefix, pagesFrom)
      return
    }
    for (let items = await pages.next(); items !== undefined; items = await pages.next()) yield items
  } finally {
    pages.end()
  }
}

function compareUtf16(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}

function firstRequest(prefix: string, traits: Traits, options: ListOptions): ListRequest {
  const { recursive = false, after = '', limit = PAGE_KEYS } = options
  const skipped = traits.canStartAfter ? beforeWanted(after, recursive, traits.order) : ''
  // A server that walks up to `after` first gives nothing that counts for the limit.
  const maxKeys = after === '' || traits.canStartAfter ? Math.min(limit + SPARE_KEYS, PAGE_KEYS) : PAGE_KEYS
  return {
    prefix,
    delimiter: recursive ? undefined : '/',
    maxKeys,
    ...(skipped !== '' && { startAfter: `${prefix}${skipped}` }),
  }
}

/** As far as a server may skip, in its own order, without missing an entry that comes after `after` in the order of UTF-8. */
function beforeWanted(after: string, recursive: boolean, order: Traits['order']): string {
  // Half a surrogate pair has no form in UTF-8. What comes after it comes after U+FFFD, too.
  let skipped = after.toWellFormed()
  // From the first character on whose order differs, keys before `after` here may be behind it there.
  if (order === 'utf16') skipped = skipped.slice(0, skipped.search(/[\uD800-\uFFFF]|$/))
  const slash = skipped.indexOf('/')
  // In one level `a/` stands for all that begins with it, so a list that went on within `a/` would give it again.
  return recursive || slash < 0 ? skipped : `${skipped.slice(0, slash + 1)}\u{10FFFF}`
}

/** Makes entries of items, which must come in the order of UTF-8. */
class EntryMaker {
  readonly #path: ArtifactPath
  readonly #prefix: string
  readonly #options: ListOptions
  #made: Entry[] = []
  #remaining: number
  #hasSeenAny = false
  /** Key of the innermost folder that was come by; '' is the listed one. */
  #folder = ''
  /** Key of the folder given last; '' before the first. */
  #givenFolder = ''
  /** Folders whose object has no slash at its end (`isFolder`), so that it comes before them; the next one last. Each begins with the one before, so they are few. */
  readonly #pending: string[] = []
  /** Whether everything from now on comes after `after`. */
  #isAfter: boolean

  constructor(path: ArtifactPath, prefix: string, options: ListOptions) {
    this.#path = path
    this.#prefix = prefix
    this.#options = options
    this.#remaining = options.limit ?? Infinity
    this.#isAfter = options.after === undefined || options.after === ''
  }

  get made(): readonly Entry[] {
    return this.#made
  }

  /** Entries that may still be made. */
  get remaining(): number {
    return this.#remaining
  }

  get isComplete(): boolean {
    return this.#remaining <= 0
  }

  /** Whether the folder is there: anything in it proves that, also what is not listed. */
  get hasSeenAny(): boolean {
    return this.#hasSeenAny
  }

  take(): readonly Entry[] {
    const made = this.#made
    this.#made = []
    return made
  }

  add({ key, object }: ListedItem): void {
    this.#hasSeenAny = true
    const relative = key.slice(this.#prefix.length)
    this.#givePending(relative)
    if (object?.isFolder === true && !relative.endsWith('/')) this.#pending.push(`${relative}/`)
    else if (this.#enterFolders(relative)) this.#addLeaf(relative, object)
  }

  /** After the last item. */
  finish(): void {
    this.#givePending(undefined)
  }

  #givePending(before: string | undefined): void {
    for (let next = this.#pending.at(-1); next !== undefined; next = this.#pending.at(-1)) {
      if (before !== undefined && compareUtf8(next, before) > 0) return
      this.#pending.pop()
      this.#enterFolders(next)
    }
  }

  /** Gives the folders on the way to `key` that were not given yet; false where one of them has no name, so that nothing in it can be listed. */
  #enterFolders(key: string): boolean {
    while (!key.startsWith(this.#folder))
      this.#folder = this.#folder.slice(0, this.#folder.lastIndexOf('/', this.#folder.length - 2) + 1)
    for (let slash = key.indexOf('/', this.#folder.length); slash >= 0; slash = key.indexOf('/', slash + 1)) {
      const path = this.#pathOf(key.slice(0, slash))
      if (path === undefined) {
        this.#omit(key)
        return false
      }
      this.#folder = key.slice(0, slash + 1)
      if (this.isComplete || !this.#isWanted(this.#folder)) continue
      this.#give(folderEntry(path))
      this.#givenFolder = this.#folder
    }
    return true
  }

  #addLeaf(key: string, object: ListedObject | undefined): void {
    if (key === '' || key.endsWith('/')) {
      // A marker shows its folder and nothing else; content that it has cannot be had by any path.
      if (object !== undefined && object.size > 0) this.#omitMarker(key)
      return
    }
    if (this.isComplete) return
    if (this.#path === ROOT && isCheckObject(key)) return
    const path = this.#pathOf(key)
    if (path === undefined || object === undefined) this.#omit(key)
    else if (this.#isWanted(key)) this.#give(fileEntry(path, object))
  }

  #pathOf(key: string): ArtifactPath | undefined {
    return nameable(this.#path === ROOT ? key : `${this.#path}/${key}`)
  }

  #isWanted(key: string): boolean {
    this.#isAfter ||= compareUtf8(key, this.#options.after ?? '') > 0
    return this.#isAfter
  }

  #give(entry: Entry): void {
    if (this.isComplete) return
    this.#remaining -= 1
    this.#made.push(entry)
  }

  /** The marker comes right after its folder, whose key is its own: no list that goes on after the folder comes by it. */
  #omitMarker(key: string): void {
    if (key === '') this.#omit(key)
    else if (this.#givenFolder === key) this.#options.onOmitted?.(1)
  }

  #omit(key: string): void {
    if (!this.isComplete && this.#isWanted(key)) this.#options.onOmitted?.(1)
  }
}
