// Finds the members of an archive: one walk over what is selected, before the first byte is sent.
import { AppError, isAppError } from '../errors.ts'
import { joinPath, relativeTo, ROOT, type ArtifactPath } from '../store/path.ts'
import type { ReadableStore, Entry, ListOptions } from '../store/store.ts'
import { throwIfAborted } from './archive-abort.ts'
import { ManifestBuilder, type Manifest } from './manifest-columns.ts'
import { SelectionFilter, type Selection, type SelectionRoot } from './selection.ts'
import { Places } from './archive-places.ts'
import { Slices } from './slices.ts'

export interface ManifestLimits {
  readonly maxEntries: number
  /** Bytes of content, before any compression. */
  readonly maxBytes: number
}

/** So many members that cannot be read are named. */
const MAX_NAMED = 10

/**
 * The members of an archive of `folder`: files and empty folders, by bytes of their paths. Folders with something in them are implied by
 * it, so that their times, which change whenever something is written into them, do not change the archive.
 *
 * Each step of the walk takes one of the places `walks`, which archives share. An empty folder gives an empty manifest. Fails with NotFound when the selection leaves nothing of one that is not empty, or names a path that is not there;
 * TooLarge beyond a limit; PermissionDenied when members cannot be read, naming them; Unsupported when two would unpack as one. A file with the name of a folder is
 * renamed, and artifacts that no path can name are counted: the client can do nothing about either.
 */
export async function buildManifest(
  store: ReadableStore,
  folder: ArtifactPath,
  selection: Selection,
  limits: ManifestLimits,
  signal: AbortSignal,
  walks: Places = new Places(Infinity),
): Promise<Manifest> {
  const filter = new SelectionFilter(selection)
  const members = new Members(folder, filter, limits)
  const slices = new Slices()
  for (const root of await filter.roots(store, folder, signal)) {
    const options = { recursive: true, signal, onOmitted: members.omit }
    for await (const entries of walk(store, joinPath(folder, root.path), root, options, walks)) {
      throwIfAborted(signal)
      for (const entry of entries) {
        members.offer(entry)
        if (slices.due) await slices.rest()
      }
    }
    members.endFolder()
  }
  members.refuseUnreadable()
  if (members.count === 0 && !(await isEmptyFolder(store, folder, signal)))
    throw new AppError(
      'NotFound',
      'Nothing in this folder matches what was selected (path, glob, exclude).',
      {
        op: 'archive',
        path: folder,
      },
    )
  return members.finish()
}

async function* walk(
  store: ReadableStore,
  path: ArtifactPath,
  root: SelectionRoot,
  options: ListOptions & { readonly signal: AbortSignal },
  walks: Places,
): AsyncGenerator<readonly Entry[], void> {
  if (root.entry !== undefined) yield [root.entry]
  if (root.entry?.type === 'file') return
  const isGlobBase = root.entry === undefined && root.path !== ROOT
  const list = isGlobBase ? listIfThere(store, path, options) : store.list(path, options)
  const steps = list[Symbol.asyncIterator]()
  try {
    for (;;) {
      // Batches of a hundred walks at once would be a hundred megabytes of entries, which the heap would keep.
      const leave = await walks.enter(root, options.signal)
      try {
        const step = await steps.next()
        if (step.done === true) return
        yield step.value
      } finally {
        leave()
      }
    }
  } finally {
    await steps.return?.()
  }
}

/** A pattern for what is not there matches nothing; only a selected path must exist. */
async function* listIfThere(
  store: ReadableStore,
  folder: ArtifactPath,
  options: ListOptions,
): AsyncGenerator<readonly Entry[], void> {
  let isThere = false
  try {
    for await (const entries of store.list(folder, options)) {
      isThere = true
      yield entries
    }
  } catch (error) {
    if (isThere || !isAppError(error, 'NotFound', 'NotDirectory', 'InvalidPath')) throw error
  }
}

async function isEmptyFolder(
  store: ReadableStore,
  folder: ArtifactPath,
  signal: AbortSignal,
): Promise<boolean> {
  for await (const entries of store.list(folder, { limit: 1, signal })) if (entries.length > 0) return false
  return true
}

/** Sorts out what the walk offers; entries come in the order of the store's lists, a folder before what is in it. */
class Members {
  readonly #folder: ArtifactPath
  readonly #filter: SelectionFilter
  readonly #limits: ManifestLimits
  readonly #builder: ManifestBuilder
  /** The folder offered last, as long as nothing in it was. */
  #emptySoFar: { readonly path: ArtifactPath; readonly entry: Entry } | undefined
  /** `path/` of the excluded folder that the walk is in. */
  #excluded: string | undefined
  /** Added members whose paths the latest one begins with: object stores can hold both `a` and `a/b`. */
  readonly #prefixes: { readonly path: ArtifactPath; readonly index: number; aside: boolean }[] = []
  readonly #unreadable: string[] = []
  #unreadableCount = 0
  #omitted = 0

  constructor(folder: ArtifactPath, filter: SelectionFilter, limits: ManifestLimits) {
    this.#folder = folder
    this.#filter = filter
    this.#limits = limits
    this.#builder = new ManifestBuilder(folder)
  }

  get count(): number {
    return this.#builder.count
  }

  offer(entry: Entry): void {
    const path = relativeTo(this.#folder, entry.path)
    if (this.#emptySoFar !== undefined) {
      if (path.startsWith(`${this.#emptySoFar.path}/`)) this.#emptySoFar = undefined
      else this.endFolder()
    }
    if (this.#excluded !== undefined && path.startsWith(this.#excluded)) return
    if (this.#filter.excludes(path)) {
      if (entry.type === 'directory') this.#excluded = `${path}/`
    } else if (entry.type === 'directory') this.#emptySoFar = { path, entry }
    else if (this.#filter.includes(path)) this.#add(path, entry)
  }

  /** Nothing more comes below the folder offered last: when nothing came, it is a member. */
  endFolder(): void {
    const folder = this.#emptySoFar
    this.#emptySoFar = undefined
    if (folder !== undefined && this.#filter.includes(folder.path)) this.#add(folder.path, folder.entry)
  }

  /** The walk leaves artifacts out. */
  readonly omit = (artifacts: number): void => {
    this.#omitted += artifacts
  }

  refuseUnreadable(): void {
    if (this.#unreadableCount === 0) return
    const more = this.#unreadableCount - this.#unreadable.length
    const names = this.#unreadable.join(', ') + (more > 0 ? ` and ${more} more` : '')
    throw new AppError(
      'PermissionDenied',
      `The service cannot read ${names}. Leave such files out with exclude, or have their permissions or names changed.`,
      { op: 'archive', path: this.#folder },
    )
  }

  finish(): Manifest {
    return this.#builder.finish(this.#omitted)
  }

  #add(path: ArtifactPath, entry: Entry): void {
    if (entry.unreadable !== undefined) {
      this.#unreadableCount++
      if (this.#unreadable.length < MAX_NAMED) this.#unreadable.push(`'${path}'`)
      return
    }
    this.#setNamesakesAside(path)
    this.#builder.add(path, entry)
    if (this.#builder.count > this.#limits.maxEntries)
      throw tooLarge(this.#folder, `${this.#limits.maxEntries} members`, 'archives.maxEntries')
    if (this.#builder.contentBytes > this.#limits.maxBytes)
      throw tooLarge(this.#folder, `${this.#limits.maxBytes} bytes`, 'archives.maxBytes')
  }

  /** Files with the name of a folder that `path` lies in, or of the empty folder that it is. */
  #setNamesakesAside(path: ArtifactPath): void {
    let last = this.#prefixes.at(-1)
    while (last !== undefined && !path.startsWith(last.path)) {
      this.#prefixes.pop()
      last = this.#prefixes.at(-1)
    }
    // Whatever else begins like the path stays in the list, `a-b` above `a`, until something comes that does not.
    for (const prefix of this.#prefixes) {
      const { length } = prefix.path
      if (prefix.aside || (path.length !== length && path[length] !== '/')) continue
      this.#builder.setAside(prefix.index)
      prefix.aside = true
    }
    this.#prefixes.push({ path, index: this.#builder.count, aside: false })
  }
}

function tooLarge(folder: ArtifactPath, limit: string, setting: string): AppError {
  return new AppError(
    'TooLarge',
    `The archive would hold more than ${limit}, which is the limit (setting ${setting}). ` +
      'Choose a part of it with path, glob or exclude, or download its folders one by one.',
    { op: 'archive', path: folder, limit: setting },
  )
}
