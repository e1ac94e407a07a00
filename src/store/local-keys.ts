// The names in one folder as sorted list keys: all of them, or the first few in memory that grows with their number only.
import fs from 'node:fs'
import { isAppError } from '../errors.ts'
import { throwIfAborted } from './failure.ts'
import { isDenied, isMissing } from './local-errors.ts'
import { locate, type Located } from './local-locate.ts'
import { isTransientName } from './local-names.ts'
import type { OpenFolder } from './local-scope.ts'
import { compareUtf8, joinPath, parsePath, type ArtifactPath } from './path.ts'

/** One system call fetches so many names; measured best for 200,000. */
const NAMES_PER_CALL = 1024
/** So many keys are gathered, at least, before all but the smallest are dropped; and so many names before their types are asked for. */
const KEYS_AT_ONCE = 8192
/** What a name that is not valid UTF-8 is decoded with. Such a name can be shown but not asked for. */
const REPLACEMENT = '\uFFFD'
/** PATH_MAX of Linux, less the terminating NUL. */
const MAX_DISK_PATH_BYTES = 4095
/** Only these characters make the order of UTF-16, in which sort() works, differ from that of UTF-8. */
const NOT_IN_UTF16_ORDER = /[\uD800-\uFFFF]/

/** What must be known of a key besides itself: that it is a link to be followed, or that its name cannot be asked for. */
export type KeyMark = 'link' | 'unnameable'

export interface Keys {
  /** Names in the order of list keys, folders with a trailing slash, none twice. */
  readonly keys: readonly string[]
  readonly marks: ReadonlyMap<string, KeyMark>
  /** Whether further keys follow the last one. */
  readonly more: boolean
}

export interface KeySelection {
  /** Only keys after this one. */
  readonly after: string
  /** Also the folder that this key lies in, which comes before it. */
  readonly enter?: string
  readonly limit: number
  readonly signal: AbortSignal | undefined
}

/** Reads the keys of an open folder. Links that lead nowhere or out of the store, devices, pipes and sockets are left out. */
export async function readKeys(folder: OpenFolder, selection: KeySelection): Promise<Keys> {
  const keys = new SmallestKeys(selection)
  let unresolved: string[] = []
  const resolveTypes = async (): Promise<void> => {
    const names = unresolved.sort()
    unresolved = []
    for (let i = 0; i < names.length; i += NAMES_PER_CALL) {
      throwIfAborted(selection.signal, 'list', folder.path)
      // In order, so that the bound the first ones set spares looking at the others.
      const wanted = names.slice(i, i + NAMES_PER_CALL).filter(name => keys.mayTake(name))
      const resolved = await folder.calls.each<string, ResolvedKey>(wanted, (name, done) => {
        resolveName(folder, name).then(result => done(null, result), done)
      })
      for (const each of resolved) if (each !== undefined) keys.offer(each.key, each.mark)
    }
  }
  for await (const entries of readNames(folder)) {
    throwIfAborted(selection.signal, 'list', folder.path)
    for (const { name, type } of entries) {
      if (type === 'other' || isTransientName(name, folder.located.isLocal) || !keys.mayTake(name)) continue
      if (type === 'unknown' || name.includes(REPLACEMENT)) unresolved.push(name)
      else if (!isNameable(folder, name)) keys.offer(name, 'unnameable')
      else keys.offer(type === 'directory' ? `${name}/` : name)
    }
    if (unresolved.length >= KEYS_AT_ONCE) await resolveTypes()
  }
  await resolveTypes()
  return keys.finish()
}

interface NamedEntry {
  readonly name: string
  /** 'unknown' also for a link, whose own type says nothing. */
  readonly type: 'file' | 'directory' | 'unknown' | 'other'
}

async function* readNames(folder: OpenFolder): AsyncGenerator<NamedEntry[], void, undefined> {
  const { at, isLocal } = folder.located
  if (!isLocal) {
    // Names only: where a directory does not hold types (NFS), Node would look each file up on the event loop.
    const names = await new Promise<string[]>((resolve, reject) => {
      fs.readdir(at, (error, found) => (error === null ? resolve(found) : reject(error)))
    })
    yield names.map(name => ({ name, type: 'unknown' }))
    return
  }
  const directory = await new Promise<fs.Dir>((resolve, reject) => {
    fs.opendir(at, { bufferSize: NAMES_PER_CALL }, (error, opened) =>
      error === null ? resolve(opened) : reject(error),
    )
  })
  try {
    for (let entries = await readSome(directory); entries.length > 0; entries = await readSome(directory))
      yield entries
  } finally {
    await new Promise<void>(resolve => directory.close(() => resolve()))
  }
}

function readSome(directory: fs.Dir): Promise<NamedEntry[]> {
  return new Promise((resolve, reject) => {
    const entries: NamedEntry[] = []
    const readNext = (): void => {
      directory.read((error, entry) => {
        if (error !== null) {
          reject(error)
          return
        }
        if (entry !== null) entries.push({ name: entry.name, type: typeOf(entry) })
        if (entry === null || entries.length === NAMES_PER_CALL) resolve(entries)
        else readNext()
      })
    }
    readNext()
  })
}

function typeOf(entry: fs.Dirent): NamedEntry['type'] {
  if (entry.isFile()) return 'file'
  if (entry.isDirectory()) return 'directory'
  if (entry.isFIFO() || entry.isSocket() || entry.isCharacterDevice() || entry.isBlockDevice()) return 'other'
  return 'unknown'
}

interface ResolvedKey {
  readonly key: string
  readonly mark?: KeyMark
}

async function resolveName(folder: OpenFolder, name: string): Promise<ResolvedKey | undefined> {
  if (!isNameable(folder, name)) return { key: name, mark: 'unnameable' }
  const target = `${folder.located.at}/${name}`
  const stats = await new Promise<fs.Stats | undefined>((resolve, reject) => {
    fs.lstat(target, (error, found) => {
      if (error === null) resolve(found)
      else if (isMissing(error)) resolve(undefined)
      else reject(error)
    })
  })
  if (stats === undefined) return name.includes(REPLACEMENT) ? { key: name, mark: 'unnameable' } : undefined
  if (stats.isFile()) return { key: name }
  if (stats.isDirectory()) return { key: `${name}/` }
  if (!stats.isSymbolicLink()) return undefined
  const linked = await followLink(folder, name, located => located.stats)
  if (linked?.isFile() === true) return { key: name, mark: 'link' }
  return linked?.isDirectory() === true ? { key: `${name}/`, mark: 'link' } : undefined
}

/** What `inspect` finds at the end of a link; undefined for a link that leads nowhere, out of the store, or where the service may not go. */
export async function followLink<T>(
  folder: OpenFolder,
  name: string,
  inspect: (located: Located) => T,
): Promise<T | undefined> {
  try {
    const located = await locate(folder.boundary, `${folder.located.at}/${name}`, 'list', folder.path)
    try {
      return inspect(located)
    } finally {
      located.release()
    }
  } catch (error) {
    if (isDenied(error) || isMissing(error) || isAppError(error, 'NotFound')) return undefined
    throw error
  }
}

/** Whether a client could ask for the name: whether it makes a path, and one that fits into a system call. */
function isNameable(folder: OpenFolder, name: string): boolean {
  const longest = folder.boundary.realPath.length + folder.path.length + name.length + 2
  if (!name.includes('\\') && longest * 3 <= MAX_DISK_PATH_BYTES) return true
  try {
    const path = joinPath(folder.path, parsePath(name))
    return Buffer.byteLength(`${folder.boundary.realPath}/${path}`) <= MAX_DISK_PATH_BYTES
  } catch {
    return false
  }
}

/** The path of a key in `folder`. */
export function pathOfKey(folder: ArtifactPath, key: string): ArtifactPath {
  return joinPath(folder, nameOfKey(key) as ArtifactPath)
}

export function nameOfKey(key: string): string {
  return key.endsWith('/') ? key.slice(0, -1) : key
}

/** The smallest keys of those offered, in memory for about twice the limit. */
class SmallestKeys {
  readonly #selection: KeySelection
  readonly #marks = new Map<string, KeyMark>()
  #keys: string[] = []
  /** The largest key that can still be among the smallest; '' before the first cut. */
  #bound = ''
  #more = false

  constructor(selection: KeySelection) {
    this.#selection = selection
  }

  /** Whether the name can matter, as a file or as a folder. */
  mayTake(name: string): boolean {
    if (this.#bound !== '' && compareUtf8(name, this.#bound) > 0) {
      this.#more = true
      return false
    }
    const { after, enter } = this.#selection
    return after === '' || compareUtf8(`${name}/`, after) > 0 || enter === `${name}/`
  }

  offer(key: string, mark?: KeyMark): void {
    const { after, enter, limit } = this.#selection
    if (after !== '' && key !== enter && compareUtf8(key, after) <= 0) return
    this.#keys.push(key)
    if (mark !== undefined) this.#marks.set(key, mark)
    if (this.#keys.length >= Math.max(2 * limit, KEYS_AT_ONCE)) this.#cut()
  }

  finish(): Keys {
    this.#cut()
    return { keys: this.#keys, marks: this.#marks, more: this.#more }
  }

  #cut(): void {
    const { limit } = this.#selection
    const sorted = this.#keys.some(key => NOT_IN_UTF16_ORDER.test(key))
      ? this.#keys.sort(compareUtf8)
      : this.#keys.sort()
    // Two names that are not valid UTF-8 can be decoded to the same text.
    const distinct = sorted.filter((key, index) => key !== sorted[index - 1])
    this.#keys = distinct.slice(0, limit)
    if (distinct.length <= limit) return
    this.#more = true
    this.#bound = this.#keys.at(-1)!
    for (const dropped of distinct.slice(limit)) this.#marks.delete(dropped)
  }
}
