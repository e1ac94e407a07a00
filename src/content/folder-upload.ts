// An archive that has come as a whole becomes a folder, or a part of one. It is read twice: what is wrong with it is found before anything changes.
import { AppError, isAppError } from '../errors.ts'
import { mayHoldBoth } from '../store/folder-at.ts'
import { ROOT, relativeTo, type ArtifactPath } from '../store/path.ts'
import type { ArtifactStore, Entry, ListOptions, RemovalFailure } from '../store/store.ts'
import { formatOf, TELLING_BYTES } from './archive-format.ts'
import { removeUnchanged } from './remove-unchanged.ts'
import { checkArchive, unpack, type UnpackFormat } from './unpack.ts'
import type { UnpackLimits } from './unpack-budget.ts'
import type { UnpackPaths } from './unpack-paths.ts'

/** An archive that can be read again and again. */
export interface KeptArchive {
  /** The first `count` bytes, or all of them. */
  read(signal?: AbortSignal, count?: number): AsyncIterable<Uint8Array>
}

export interface FolderUploadOptions {
  readonly limits: UnpackLimits
  /**
   * What becomes of files that are there: with `replace` those of the same path are replaced and all others go, but none goes of the root of the view, which is a whole run; with `keep` all
   * stay as they are.
   */
  readonly existing: 'replace' | 'keep'
  /** Ends it as long as nothing has changed. What has begun then is brought to its end, so that no folder is left half replaced because a client has gone. */
  readonly signal: AbortSignal
}

/** What is in the folder beforehand. */
interface Before {
  /** What the archive will replace. */
  readonly replaced: ReadonlySet<ArtifactPath>
  /** What it does not have. */
  readonly others: readonly Pick<Entry, 'path' | 'etag'>[]
}

/** What there is of names has to be remembered, as of an archive's. */
const MAX_NAME_BYTES = 64 * 1024 * 1024

/**
 * Puts the files of `archive` into `folder`. Whoever reads the folder meanwhile sees old files and new ones, each as a whole, and never none: what is to go goes after everything else
 * has succeeded, and only what was there before and has not been changed since.
 *
 * Fails with InvalidArgument for what is no archive, as `checkArchive`, and with NotDirectory for a file where the archive has a folder, before anything changes; and as `unpack`, after which the files that came anew are removed again and those that
 * replaced others stay.
 */
export async function uploadFolder(
  store: ArtifactStore,
  folder: ArtifactPath,
  archive: KeptArchive,
  options: FolderUploadOptions,
): Promise<void> {
  const { limits, existing, signal } = options
  const format = await formatFound(archive, signal)
  const paths = await checkArchive(format, archive.read(signal), { limits, signal })
  const before = existing === 'keep' ? NOTHING : await lookBefore(store, folder, paths, options)
  await unpack(store, folder, format, archive.read(), {
    limits,
    onFailure: 'remove',
    mayRemove: path => !before.replaced.has(path),
    keepsExisting: existing === 'keep',
    copiesLinks: true,
  })
  const { failures } = await removeUnchanged(store, before.others)
  if (failures[0] !== undefined) throw notRemoved(failures[0])
}

const NOTHING: Before = { replaced: new Set(), others: [] }

async function formatFound(archive: KeptArchive, signal: AbortSignal): Promise<UnpackFormat> {
  const chunks: Uint8Array[] = []
  for await (const chunk of archive.read(signal, TELLING_BYTES)) chunks.push(Buffer.from(chunk))
  const format = formatOf(Buffer.concat(chunks))
  if (format !== undefined) return format
  throw new AppError(
    'InvalidArgument',
    'The file is not an archive that can be unpacked: send a tar.gz, tar or zip, or say that it is to stay as it is ("untar": false).',
    { op: 'unpack' },
  )
}

async function lookBefore(
  store: ArtifactStore,
  folder: ArtifactPath,
  paths: UnpackPaths,
  { limits, signal }: FolderUploadOptions,
): Promise<Before> {
  const replaced = new Set<ArtifactPath>()
  const others = new Others(folder, limits)
  if (store.capabilities.links)
    for await (const { path } of filesIn(store, folder, { signal }))
      if (paths.has(relativeTo(folder, path))) replaced.add(path)
  // What is reached by a link to a folder lies elsewhere, and may be replaced but does not go.
  for await (const file of filesIn(store, folder, { signal, entersLinks: false })) {
    const path = relativeTo(folder, file.path)
    if (paths.has(path)) replaced.add(file.path)
    else if (paths.hasFolder(path) && !mayHoldBoth(store)) throw inTheWay(file.path)
    else if (folder !== ROOT) others.add(file)
  }
  return { replaced, others: others.files }
}

class Others {
  readonly files: Pick<Entry, 'path' | 'etag'>[] = []
  readonly #folder: ArtifactPath
  readonly #maxFiles: number
  #nameBytes = 0

  constructor(folder: ArtifactPath, { maxEntries }: UnpackLimits) {
    this.#folder = folder
    this.#maxFiles = maxEntries
  }

  add({ path, etag }: Entry): void {
    this.#nameBytes += path.length
    if (this.files.length === this.#maxFiles || this.#nameBytes > MAX_NAME_BYTES)
      throw new AppError(
        'TooLarge',
        `More than ${this.files.length} files in '${this.#folder}' would have to go: delete the folder first.`,
        { op: 'unpack', path: this.#folder },
      )
    this.files.push({ path, etag })
  }
}

/** Every file below the folder that has a path; none where it does not exist. */
async function* filesIn(
  store: ArtifactStore,
  folder: ArtifactPath,
  options: Pick<ListOptions, 'entersLinks' | 'signal'>,
): AsyncGenerator<Entry, void, undefined> {
  try {
    for await (const batch of store.list(folder, { ...options, recursive: true }))
      for (const entry of batch) if (entry.type === 'file' && entry.unreadable !== 'name') yield entry
  } catch (error) {
    if (!isAppError(error, 'NotFound')) throw error
  }
}

function inTheWay(path: ArtifactPath): AppError {
  return new AppError(
    'NotDirectory',
    `'${path}' is a file, and a folder in the archive: delete it first. Nothing has changed.`,
    { op: 'unpack', path },
  )
}

function notRemoved({ path, error }: RemovalFailure): AppError {
  const { kind, message, temporary, trouble } = error
  return new AppError(
    kind,
    `All files are uploaded, but '${path}', which was there before, could not be removed: ${message}`,
    { op: 'remove', path, temporary, ...(trouble !== undefined && { trouble }), cause: error },
  )
}
