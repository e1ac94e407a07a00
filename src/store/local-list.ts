// Lists of a local store: one folder, or the tree below it, in the order of list keys, a batch at a time.
import fs from 'node:fs'
import { isAppError } from '../errors.ts'
import { throwIfAborted } from './failure.ts'
import { entryOf, isReadable, modeAllows, settle, unnameableEntry } from './local-entry.ts'
import { isMissing } from './local-errors.ts'
import { followLink, nameOfKey, pathOfKey, readKeys, type KeyMark, type Keys } from './local-keys.ts'
import { bytesOf } from './local-locate.ts'
import type { LocalScope, OpenFolder } from './local-scope.ts'
import { ROOT, compareUtf8, parentOf, type ArtifactPath } from './path.ts'
import type { Entry, ListOptions } from './store.ts'

const BATCH_ENTRIES = 1000
/** How long the event loop may be kept from other requests by looking at files. */
const SLICE_MS = 4

/** The real folders above one in a walk, itself first. */
interface Lineage {
  readonly device: number
  readonly inode: number
  readonly above: Lineage | undefined
}

/** The list of `ArtifactStore.list`. Between two batches nothing is open, so it may be left at any time. */
export async function* listFolder(
  scope: LocalScope,
  path: ArtifactPath,
  options: ListOptions,
): AsyncGenerator<readonly Entry[], void, undefined> {
  const { recursive = false, entersLinks = true, signal } = options
  // The folder itself first, so that its failures are named after it and not after one above.
  const above = recursive ? await scope.folder(path, 'list', () => lineageAbove(scope, path)) : undefined
  const start = new FolderReader(scope, path, {
    after: options.after ?? '',
    recursive,
    entersLinks,
    above,
    signal,
  })
  let remaining = options.limit ?? Infinity
  await start.fill(remaining)
  const stack = [start]
  let batch: Entry[] = []
  for (let folder = stack.at(-1); folder !== undefined && remaining > 0; folder = stack.at(-1)) {
    const next = folder.next()
    if (next === undefined) {
      if (!(await folder.fill(remaining))) stack.pop()
      continue
    }
    if (next.wanted) {
      batch.push(next.entry)
      remaining -= 1
    }
    if (recursive && next.entry.type === 'directory' && next.entry.unreadable === undefined)
      stack.push(folder.child(next.entry, next.after))
    if (batch.length === BATCH_ENTRIES) {
      yield batch
      batch = []
    }
  }
  if (batch.length > 0) yield batch
}

/** A folder may hold a link to a folder above the one that is listed, so those belong to its lineage too. */
async function lineageAbove(scope: LocalScope, path: ArtifactPath): Promise<Lineage | undefined> {
  if (path === ROOT) return undefined
  const parent = parentOf(path)
  const above = await lineageAbove(scope, parent)
  return scope.folder(parent, 'list', folder => Promise.resolve(lineageOf(folder.located.stats, above)))
}

function lineageOf(stats: fs.Stats, above: Lineage | undefined): Lineage {
  return { device: stats.dev, inode: stats.ino, above }
}

function isIn(lineage: Lineage | undefined, stats: fs.Stats): boolean {
  for (let each = lineage; each !== undefined; each = each.above)
    if (each.inode === stats.ino && each.device === stats.dev) return true
  return false
}

interface FolderOptions {
  /** Only entries after this key, which is relative to the folder. */
  readonly after: string
  readonly recursive: boolean
  readonly entersLinks: boolean
  readonly above: Lineage | undefined
  readonly signal: AbortSignal | undefined
}

interface Described {
  readonly key: string
  readonly entry: Entry
}

interface NextEntry {
  readonly entry: Entry
  /** False for a folder that comes before `after` itself and is entered for what comes behind it. */
  readonly wanted: boolean
  /** For a folder: `after`, relative to it. */
  readonly after: string
}

/** The entries of one folder, described a batch at a time. */
class FolderReader {
  readonly #scope: LocalScope
  readonly #path: ArtifactPath
  readonly #options: FolderOptions
  /** Whether the folder may be gone without harm: it was listed a moment ago. */
  readonly #isOptional: boolean
  #names: Keys | undefined
  #position = 0
  #described: Described[] = []
  #lineage: Lineage | undefined

  constructor(scope: LocalScope, path: ArtifactPath, options: FolderOptions, isOptional = false) {
    this.#scope = scope
    this.#path = path
    this.#options = options
    this.#isOptional = isOptional
  }

  /** The next entry that is described already. */
  next(): NextEntry | undefined {
    const next = this.#described.pop()
    if (next === undefined) return undefined
    const { key, entry } = next
    const { after } = this.#options
    return {
      entry,
      wanted: after === '' || compareUtf8(key, after) > 0,
      after: after.startsWith(key) ? after.slice(key.length) : '',
    }
  }

  child(entry: Entry, after: string): FolderReader {
    return new FolderReader(this.#scope, entry.path, { ...this.#options, after, above: this.#lineage }, true)
  }

  /** Describes the next entries, at most `limit` of them and one to enter; false when there are none. */
  async fill(limit: number): Promise<boolean> {
    while (this.#described.length === 0) {
      throwIfAborted(this.#options.signal, 'list', this.#path)
      if (this.#names !== undefined && this.#position === this.#names.keys.length && !this.#names.more)
        return false
      try {
        await this.#scope.folder(this.#path, 'list', folder => this.#read(folder, limit))
      } catch (error) {
        if (this.#isOptional && isAppError(error, 'NotFound', 'NotDirectory')) return false
        throw error
      }
    }
    return true
  }

  async #read(folder: OpenFolder, limit: number): Promise<void> {
    const { above, recursive, entersLinks, signal } = this.#options
    if (!entersLinks && isReachedByLink(folder)) {
      this.#names = NOTHING
      this.#position = 0
      return
    }
    this.#lineage = recursive ? lineageOf(folder.located.stats, above) : undefined
    if (this.#names === undefined || this.#position === this.#names.keys.length) {
      this.#names = await readKeys(folder, {
        ...this.#nextKeys(),
        limit: limit + 1,
        signal,
      })
      this.#position = 0
    }
    const { keys, marks } = this.#names
    const batch = keys.slice(this.#position, this.#position + BATCH_ENTRIES)
    this.#described = (await describe(folder, batch, marks, this.#lineage)).reverse()
    // Last, since this begins anew when it fails on a folder that went stale.
    this.#position += batch.length
  }

  /** The keys behind those read before, which may all be gone when they are described, so that more are needed. */
  #nextKeys(): { after: string; enter?: string } {
    const last = this.#names?.keys.at(-1)
    if (last !== undefined) return { after: last }
    const { after, recursive } = this.#options
    const slash = after.indexOf('/')
    return recursive && slash >= 0 ? { after, enter: after.slice(0, slash + 1) } : { after }
  }
}

const NOTHING: Keys = { keys: [], marks: new Map(), more: false }

/** Whether any part of its path is one, below the folder that bounds the view. Asked of what is open: names may be given to others meanwhile. */
function isReachedByLink({ path, boundary, located }: OpenFolder): boolean {
  return located.realBytes !== (path === ROOT ? boundary.realBytes : `${boundary.realBytes}/${bytesOf(path)}`)
}

/** The entries of those keys that are still what they were when the keys were read. */
async function describe(
  folder: OpenFolder,
  keys: readonly string[],
  marks: ReadonlyMap<string, KeyMark>,
  lineage: Lineage | undefined,
): Promise<Described[]> {
  const looks = await lookAt(folder, keys, marks)
  const unsettled = await settle(looks, folder.located.isLocal, async index => {
    const [look] = await lookAt(folder, [keys[index]!], marks)
    return look
  })
  const readable = await readabilityOf(folder, keys, looks)
  const described: Described[] = []
  for (const [index, key] of keys.entries()) {
    const path = pathOfKey(folder.path, key)
    const stats = looks[index]
    if (marks.get(key) === 'unnameable') described.push({ key, entry: unnameableEntry(path) })
    if (stats === undefined || !isStill(key, stats) || (stats.isDirectory() && isIn(lineage, stats))) continue
    described.push({ key, entry: entryOf(path, stats, !unsettled.has(index), readable[index]!) })
  }
  return described
}

/** Whether each can be read. The kernel is asked where the mode does not tell, which on a network file system costs a question to the server. */
async function readabilityOf(
  folder: OpenFolder,
  keys: readonly string[],
  looks: readonly (fs.Stats | undefined)[],
): Promise<boolean[]> {
  const { isLocal, at } = folder.located
  const readable = looks.map(stats => stats === undefined || modeAllows(stats, folder.reader, isLocal))
  const unclear = [...readable.keys()].filter(index => !readable[index])
  const answers = await folder.calls.each<number, boolean>(unclear, (index, done) => {
    void isReadable(`${at}/${nameOfKey(keys[index]!)}`, looks[index]!).then(answer => done(null, answer))
  })
  for (const [i, index] of unclear.entries()) readable[index] = answers[i]!
  return readable
}

function isStill(key: string, stats: fs.Stats): boolean {
  return key.endsWith('/') ? stats.isDirectory() : stats.isFile()
}

/**
 * The attributes of each key's file; undefined where it is gone.
 *
 * On a local disk, files are looked at on the event loop, a few milliseconds at a time: that takes 3 us each, a call of the thread pool 15 to 40. Folders are not,
 * for another file system may be mounted on one, nor are links, which may lead there.
 */
async function lookAt(
  folder: OpenFolder,
  keys: readonly string[],
  marks: ReadonlyMap<string, KeyMark>,
): Promise<(fs.Stats | undefined)[]> {
  const looks: (fs.Stats | undefined)[] = Array.from({ length: keys.length })
  const others: number[] = []
  let pauseAtMs = performance.now() + SLICE_MS
  for (const [index, key] of keys.entries()) {
    if (!folder.located.isPrompt || key.endsWith('/') || marks.has(key)) {
      others.push(index)
      continue
    }
    looks[index] = fs.lstatSync(`${folder.located.at}/${key}`, { throwIfNoEntry: false })
    if (performance.now() < pauseAtMs) continue
    await new Promise(resolve => setImmediate(resolve))
    pauseAtMs = performance.now() + SLICE_MS
  }
  const found = await folder.calls.each<number, fs.Stats>(others, (index, done) => {
    lookAtOne(folder, keys[index]!, marks, done)
  })
  for (const [i, index] of others.entries()) looks[index] = found[i]
  return looks
}

function lookAtOne(
  folder: OpenFolder,
  key: string,
  marks: ReadonlyMap<string, KeyMark>,
  done: (error: Error | null, stats?: fs.Stats) => void,
): void {
  const mark = marks.get(key)
  if (mark === 'unnameable') queueMicrotask(() => done(null))
  else if (mark === 'link')
    followLink(folder, nameOfKey(key), located => located.stats).then(stats => done(null, stats), done)
  else
    fs.lstat(`${folder.located.at}/${nameOfKey(key)}`, (error, stats) => {
      if (error === null) done(null, stats)
      else done(isMissing(error) ? null : error)
    })
}
