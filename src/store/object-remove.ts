// Removing objects: one, or all whose keys begin with that of a folder.
import { storeError } from './failure.ts'
import type { ObjectBucket } from './object-bucket.ts'
import { ObjectFailure, type KeyFailure, type ListedObject, type ObjectPage } from './object-client.ts'
import { nameable, type ObjectKeys } from './object-keys.ts'
import { PAGE_KEYS } from './object-pages.ts'
import { contractError, isPassing } from './object-retry.ts'
import { contentEtag, conditionNow, isReason, whileHolding } from './object-write.ts'
import { covers, joinPath, parentOf, ROOT, type ArtifactPath } from './path.ts'
import type { Removal, RemovalFailure, RemoveAllOptions, RemoveOptions } from './store.ts'

export interface RemovalScope {
  readonly bucket: ObjectBucket
  readonly keys: ObjectKeys
  readonly connection: string
}

/** As `ArtifactStore.remove`, but for the root; rejects with ObjectFailure too. */
export async function removeObject(
  { bucket, keys }: RemovalScope,
  path: ArtifactPath,
  { precondition, pruneBelow, signal }: RemoveOptions & { readonly signal: AbortSignal },
): Promise<void> {
  const key = keys.file(path)
  const head = keys.canExist(key) ? await bucket.head(key, signal) : undefined
  if (contentEtag(head) === undefined) {
    const isFolder = head !== undefined || (await hasBelow({ bucket, keys }, path, signal))
    throw storeError(isFolder ? 'IsDirectory' : 'NotFound', 'remove', path)
  }
  await whileHolding(precondition, async () => {
    const condition = await conditionNow({ bucket, key, precondition }, signal)
    await removeOnce(bucket, key, signal, condition?.type === 'etag' ? condition.etag : undefined)
  })
  await prune({ bucket, keys }, parentOf(path), pruneBelow, signal)
}

/** Removes `folder` and those above it, up to `below`, as far as they are objects of their own and nothing is in them. What was asked for is done: nothing here is its failure. */
async function prune(
  scope: Pick<RemovalScope, 'bucket' | 'keys'>,
  folder: ArtifactPath,
  below: ArtifactPath = ROOT,
  signal: AbortSignal,
): Promise<void> {
  const { bucket, keys } = scope
  try {
    if ((await bucket.traits(signal)).mayKeepFolders !== true) return
    for (let each = folder; each !== below && covers(below, each); each = parentOf(each)) {
      const key = keys.file(each)
      const head = await bucket.head(key, signal)
      if (head?.isFolder !== true || (await hasBelow(scope, each, signal))) return
      // A hierarchical namespace refuses where something has come meanwhile.
      await bucket.request((client, ending) => client.remove(key, ending), signal)
    }
  } catch (error) {
    if (!(error instanceof ObjectFailure)) throw error
  }
}

/** An attempt whose answer was lost may have removed it: then the next finds nothing, and its condition fails. */
async function removeOnce(
  bucket: ObjectBucket,
  key: string,
  signal: AbortSignal,
  etag: string | undefined,
): Promise<void> {
  let attempts = 0
  try {
    await bucket.request((client, ending) => {
      attempts += 1
      return client.remove(key, ending, etag)
    }, signal)
  } catch (error) {
    const isGone =
      attempts > 1 && isReason(error, 'changed') && (await bucket.head(key, signal)) === undefined
    if (!isGone) throw error
  }
}

async function hasBelow(
  { bucket, keys }: Pick<RemovalScope, 'bucket' | 'keys'>,
  path: ArtifactPath,
  signal: AbortSignal,
): Promise<boolean> {
  const folder = keys.folder(path)
  return keys.canExist(folder) && bucket.has(folder, signal)
}

/** Of what could not be removed, so many are named. */
const MAX_FAILURES = 100
/** Requests at once where each removes one object. */
const AT_ONCE = 16
/**
 * How often a folder is listed from its beginning: a server whose pages are counted rather than named skips what moves up into the place of what was removed,
 * and somebody may be writing.
 */
const MAX_PASSES = 10

/** Removes what is in the folder `path`, which is not the root of the store. Rejects as `ArtifactStore.removeAll` does, and with ObjectFailure. */
export async function removeFolder(
  scope: RemovalScope,
  path: ArtifactPath,
  { signal, pruneBelow, onProgress = () => undefined }: RemoveAllOptions & { readonly signal: AbortSignal },
): Promise<Removal> {
  const removal = new FolderRemoval(scope, path, signal, onProgress)
  const { bucket, keys } = scope
  const head = keys.canExist(keys.file(path)) ? await bucket.head(keys.file(path), signal) : undefined
  let isThere = head?.isFolder === true
  for (let pass = 1; pass <= MAX_PASSES; pass++) {
    const { listed, isOnePage, gone } = await removal.pass()
    isThere ||= listed > 0
    if (listed === 0 || isOnePage || gone === 0) break
  }
  if (!isThere) throw storeError(head === undefined ? 'NotFound' : 'NotDirectory', 'remove', path)
  if (head?.isFolder === true) await removal.removeDirectory(keys.file(path))
  await prune(scope, parentOf(path), pruneBelow, signal)
  return removal.result()
}

class FolderRemoval {
  readonly #scope: RemovalScope
  readonly #path: ArtifactPath
  readonly #prefix: string
  readonly #signal: AbortSignal
  readonly #onProgress: () => void
  /** Directories of a hierarchical namespace whose content is being listed, the innermost last: the server removes only empty ones. */
  readonly #directories: string[] = []
  readonly #failures = new Map<string, RemovalFailure>()
  #removed = 0

  constructor(scope: RemovalScope, path: ArtifactPath, signal: AbortSignal, onProgress: () => void) {
    this.#scope = scope
    this.#path = path
    this.#prefix = scope.keys.folder(path)
    this.#signal = signal
    this.#onProgress = onProgress
  }

  /** Lists the folder once and removes what it shows, page by page. */
  async pass(): Promise<{ readonly listed: number; readonly isOnePage: boolean; readonly gone: number }> {
    const { bucket, keys } = this.#scope
    let listed = 0
    let gone = 0
    let pages = 0
    // What failed before is tried again, and reported if it fails again.
    this.#failures.clear()
    let token: string | undefined
    if (!keys.canExist(this.#prefix)) return { listed, isOnePage: true, gone }
    do {
      const page: ObjectPage = await bucket.list(
        {
          prefix: this.#prefix,
          delimiter: undefined,
          maxKeys: PAGE_KEYS,
          ...(token !== undefined && { token }),
        },
        this.#signal,
      )
      token = page.token
      listed += page.objects.length
      pages += 1
      gone += await this.#removePage(page.objects)
      this.#onProgress()
    } while (token !== undefined)
    await this.#leaveDirectories('')
    return { listed, isOnePage: pages === 1, gone }
  }

  result(): Removal {
    return { removed: this.#removed, failures: [...this.#failures.values()] }
  }

  async removeDirectory(key: string): Promise<void> {
    try {
      await this.#removeOne(key)
    } catch (error) {
      this.#failed(key, error)
    }
  }

  async #removePage(objects: readonly ListedObject[]): Promise<number> {
    let gone = 0
    let batch: ListedObject[] = []
    const flush = async (): Promise<void> => {
      gone += await this.#removeBatch(batch)
      batch = []
    }
    for (const object of objects) {
      if (this.#directories.length > 0 && !object.key.startsWith(this.#directories.at(-1)!)) {
        await flush()
        await this.#leaveDirectories(object.key)
      }
      if (object.isFolder === true) this.#directories.push(object.key.replace(/\/?$/, '/'))
      else batch.push(object)
    }
    await flush()
    return gone
  }

  /** Removes the directories that `key` is not in. */
  async #leaveDirectories(key: string): Promise<void> {
    for (
      let last = this.#directories.at(-1);
      last !== undefined && !(key !== '' && key.startsWith(last));
      last = this.#directories.at(-1)
    ) {
      this.#directories.pop()
      await this.removeDirectory(last.slice(0, -1))
    }
  }

  /** How many are gone now. */
  async #removeBatch(objects: readonly ListedObject[]): Promise<number> {
    if (objects.length === 0) return 0
    const failures = new Map(
      (await this.#removeMany(objects.map(({ key }) => key))).map(({ key, failure }) => [key, failure]),
    )
    for (const [key, failure] of failures) this.#failed(key, failure)
    // A marker shows its folder and is nothing else.
    this.#removed += objects.filter(
      ({ key, size }) => !failures.has(key) && (size > 0 || !key.endsWith('/')),
    ).length
    return objects.length - failures.size
  }

  async #removeMany(keys: readonly string[]): Promise<readonly KeyFailure[]> {
    const refused = await this.#scope.bucket.request(
      async (client, ending) => client.removeMany?.(keys, ending),
      this.#signal,
    )
    if (refused === undefined) return this.#removeEach(keys)
    // What a whole batch cannot wait for, a single request can.
    const again = refused.filter(({ failure }) => isPassing(failure)).map(({ key }) => key)
    const final = refused.filter(({ failure }) => !isPassing(failure))
    return again.length === 0 ? final : [...final, ...(await this.#removeEach(again))]
  }

  async #removeEach(keys: readonly string[]): Promise<readonly KeyFailure[]> {
    const failures: KeyFailure[] = []
    const left = keys.values()
    let isEnding = false
    const worker = async (): Promise<void> => {
      for (const key of left) {
        if (isEnding) return
        try {
          await this.#removeOne(key)
        } catch (error) {
          if (isPassing(error) || !(error instanceof ObjectFailure) || error.reason === 'aborted') {
            isEnding = true
            throw error
          }
          failures.push({ key, failure: error })
        }
        this.#onProgress()
      }
    }
    const workers = Array.from({ length: Math.min(AT_ONCE, keys.length) }, worker)
    await Promise.allSettled(workers)
    await Promise.all(workers)
    return failures
  }

  #removeOne(key: string): Promise<void> {
    return this.#scope.bucket.request((client, ending) => client.remove(key, ending), this.#signal)
  }

  #failed(key: string, error: unknown): void {
    if (this.#failures.size >= MAX_FAILURES) return
    const path = this.#nameOf(key)
    const { connection } = this.#scope
    this.#failures.set(key, {
      path,
      error: contractError(error, { connection, operation: 'remove', path }),
    })
  }

  /** Of a key that no path can name, the folder in which it cannot. */
  #nameOf(key: string): ArtifactPath {
    let path = this.#path
    for (const segment of key.slice(this.#prefix.length).split('/')) {
      const inside = nameable(segment)
      if (inside === undefined) break
      path = joinPath(path, inside)
    }
    return path
  }
}
