// Finds the members of an archive: one walk over what is selected, before the first byte is sent.
import { AppError } from '../errors.ts'
import { joinPath, relativeTo, type ArtifactPath } from '../store/path.ts'
import type { ArtifactStore, Entry } from '../store/store.ts'
import { throwIfAborted } from './archive-abort.ts'
import { ManifestBuilder, sameName, type Manifest } from './manifest-columns.ts'
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
 * TooLarge beyond a limit; PermissionDenied when members cannot be read, naming them; Unsupported when two would unpack as one.
 */
export async function buildManifest(
  store: ArtifactStore,
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
    for await (const entries of walk(store, joinPath(folder, root.path), root, signal, walks)) {
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
  store: ArtifactStore,
  path: ArtifactPath,
  root: SelectionRoot,
  signal: AbortSignal,
  walks: Places,
): AsyncGenerator<readonly Entry[], void> {
  if (root.entry !== undefined) yield [root.entry]
  if (root.entry?.type === 'file') return
  const steps = store.list(path, { recursive: true, signal })[Symbol.asyncIterator]()
  try {
    for (;;) {
      // Batches of a hundred walks at once would be a hundred megabytes of entries, which the heap would keep.
      const leave = await walks.enter(root, signal)
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

async function isEmptyFolder(
  store: ArtifactStore,
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
  /** Added paths that the latest one begins with: object stores can hold both `a` and `a/b`, a disk where they are unpacked cannot. */
  readonly #prefixes: ArtifactPath[] = []
  readonly #unreadable: string[] = []
  #unreadableCount = 0

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
    return this.#builder.finish()
  }

  #add(path: ArtifactPath, entry: Entry): void {
    if (entry.unreadable !== undefined) {
      this.#unreadableCount++
      if (this.#unreadable.length < MAX_NAMED) this.#unreadable.push(`'${path}'`)
      return
    }
    this.#refuseCollision(path)
    this.#builder.add(path, entry)
    if (this.#builder.count > this.#limits.maxEntries)
      throw tooLarge(this.#folder, `${this.#limits.maxEntries} members`, 'archives.maxEntries')
    if (this.#builder.contentBytes > this.#limits.maxBytes)
      throw tooLarge(this.#folder, `${this.#limits.maxBytes} bytes`, 'archives.maxBytes')
  }

  #refuseCollision(path: ArtifactPath): void {
    let last = this.#prefixes.at(-1)
    while (last !== undefined && !path.startsWith(last)) {
      this.#prefixes.pop()
      last = this.#prefixes.at(-1)
    }
    // Whatever else begins like the path stays in the list, `a-b` above `a`, until something comes that does not.
    const same = this.#prefixes.find(prefix => path.length === prefix.length || path[prefix.length] === '/')
    if (same !== undefined) throw sameName(same)
    this.#prefixes.push(path)
  }
}

function tooLarge(folder: ArtifactPath, limit: string, setting: string): AppError {
  return new AppError(
    'TooLarge',
    `The archive would hold more than ${limit}, which is the limit (setting ${setting}). ` +
      'Choose a part of it with path, glob or exclude, or download its folders one by one.',
    { op: 'archive', path: folder },
  )
}
