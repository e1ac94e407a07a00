// The store of a local path, of a mounted volume too. See `local-locate.ts` for how it stays inside its root.
import { existsSync } from 'node:fs'
import { storeError, throwIfAborted } from './failure.ts'
import { entryOf, etagOf, isReadable, modeAllows, settle } from './local-entry.ts'
import { listFolder } from './local-list.ts'
import { closeDescriptor, fstat, openLocated, type Located } from './local-locate.ts'
import { LocalArtifact, type OpenDescriptor } from './local-read.ts'
import { LocalRoot } from './local-root.ts'
import { LocalScope } from './local-scope.ts'
import { ROOT, type ArtifactPath } from './path.ts'
import type { ArtifactStore, Capabilities, Entry, ListOptions, OpenArtifact, OpenOptions } from './store.ts'

export interface LocalStoreOptions {
  /** The folder that holds the artifacts. It must exist, and may be behind links. */
  readonly root: string
  /** False to do without `/proc/self/fd`, as where there is none. */
  readonly useProc?: boolean
}

/** Opens the store of a folder; fails with Unavailable when the folder is not there. */
export async function openLocalStore({ root, useProc = true }: LocalStoreOptions): Promise<ArtifactStore> {
  const hasProc = useProc && existsSync('/proc/self/fd')
  return new LocalStore(new LocalScope(await LocalRoot.open(root), ROOT, hasProc))
}

class LocalStore implements ArtifactStore {
  readonly capabilities: Capabilities = { emptyDirectories: true, modes: true, links: true }
  readonly #scope: LocalScope

  constructor(scope: LocalScope) {
    this.#scope = scope
  }

  async stat(path: ArtifactPath, options: { readonly signal?: AbortSignal } = {}): Promise<Entry> {
    throwIfAborted(options.signal, 'stat', path)
    return this.#scope.at(path, 'stat', async located => {
      if (!isArtifact(located, path)) throw storeError('NotFound', 'stat', path)
      const looks = [located.stats]
      const unsettled = await settle(looks, () => located.again())
      throwIfAborted(options.signal, 'stat', path)
      const stats = looks[0]!
      const readable = modeAllows(stats, this.#scope.reader) || (await isReadable(located.at, stats))
      return entryOf(path, stats, unsettled.size === 0, readable)
    })
  }

  list(path: ArtifactPath, options: ListOptions = {}): AsyncIterable<readonly Entry[]> {
    return listFolder(this.#scope, path, options)
  }

  async open(path: ArtifactPath, options: OpenOptions = {}): Promise<OpenArtifact> {
    throwIfAborted(options.signal, 'open', path)
    return this.#scope.at(path, 'open', async (located, boundary) => {
      if (located.stats.isDirectory()) throw storeError('IsDirectory', 'open', path)
      if (!isArtifact(located, path)) throw storeError('NotFound', 'open', path)
      const { fd, stats } = await openLocated(located, boundary)
      const file = { fd, stats, isLocal: located.isLocal }
      try {
        const artifact =
          options.pin === undefined ? await openCurrent(path, file) : openPinned(path, file, options.pin)
        throwIfAborted(options.signal, 'open', path)
        return artifact
      } catch (error) {
        closeDescriptor(fd, located.isLocal)
        throw error
      }
    })
  }

  scoped(folder: ArtifactPath): ArtifactStore {
    return new LocalStore(this.#scope.within(folder))
  }

  /** Nothing is open between calls, and opened artifacts belong to their openers. */
  close(): Promise<void> {
    return Promise.resolve()
  }
}

/** A scope that turns out to be a file holds nothing. */
function isArtifact({ stats }: Located, path: ArtifactPath): boolean {
  return stats.isDirectory() || (stats.isFile() && path !== ROOT)
}

async function openCurrent(path: ArtifactPath, file: OpenDescriptor): Promise<LocalArtifact> {
  const looks = [file.stats]
  const unsettled = await settle(looks, () => fstat(file.fd, file.isLocal))
  const stats = looks[0]!
  return new LocalArtifact(entryOf(path, stats, unsettled.size === 0, true), { ...file, stats }, false)
}

/** No wait: the pin was taken when the file had come to rest, so a content that differs has another validator. */
function openPinned(path: ArtifactPath, file: OpenDescriptor, pin: Entry): LocalArtifact {
  if (etagOf(file.stats) !== pin.etag) throw storeError('Changed', 'open', path)
  return new LocalArtifact(entryOf(path, file.stats, true, true), file, true)
}
