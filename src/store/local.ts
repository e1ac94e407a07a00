// The store of a local path, of a mounted volume too. See `local-locate.ts` for how it stays inside its root.
import { access, constants, existsSync } from 'node:fs'
import { isAppError } from '../errors.ts'
import type { Delivery } from './definition.ts'
import { readOnlyConnection, storeError, throwIfAborted, type StoreOperation } from './failure.ts'
import { checkEnterable, entryOf, etagOf, isReadable, modeAllows, settle } from './local-entry.ts'
import { errnoOf, isDenied, readOnlyMount } from './local-errors.ts'
import { sweep } from './local-journal.ts'
import { listFolder } from './local-list.ts'
import {
  askForNames,
  bytesOf,
  openLocated,
  type Boundary,
  type Located,
  type OpenDescriptor,
} from './local-locate.ts'
import { probeLocal } from './local-probe.ts'
import { LocalArtifact } from './local-read.ts'
import { removeFile, removeTree } from './local-remove.ts'
import { LocalRoot } from './local-root.ts'
import { LocalScope } from './local-scope.ts'
import { moveFile } from './local-move.ts'
import { createPending } from './local-write.ts'
import { ROOT, type ArtifactPath } from './path.ts'
import type {
  ArtifactStore,
  Capabilities,
  CreateOptions,
  DirectDelivery,
  Entry,
  ListOptions,
  MoveOptions,
  OpenArtifact,
  OpenOptions,
  PendingArtifact,
  Probe,
  Removal,
  RemoveAllOptions,
  RemoveOptions,
} from './store.ts'

export interface LocalStoreOptions {
  /** The folder that holds the artifacts, absolute. It may be behind links, and away for a while. */
  readonly root: string
  /** Whether the operator forbids changes. */
  readonly readOnly?: boolean
  /** Whether the disk may hang while this machine is well, as one behind a network does, so that no access to it is made on the event loop. */
  readonly isClaim?: boolean
  readonly delivery?: Delivery
  /** With `delivery: x-accel`: the internal location of the web server in front that is an alias of `root`, `/name/`. */
  readonly accelLocation?: string
  /** False to do without `/proc/self/fd`, as where there is none. */
  readonly useProc?: boolean
}

/** Opens the store of a folder. Asks nothing of the folder's file system: while it is away, every use fails with Unavailable. */
export function openLocalStore(options: LocalStoreOptions): ArtifactStore {
  const hasProc = options.useProc !== false && existsSync('/proc/self/fd')
  const root = new LocalRoot(options.root, options.isClaim ?? false)
  return new LocalStore(new LocalScope(root, ROOT, hasProc), options)
}

class LocalStore implements ArtifactStore {
  readonly capabilities: Capabilities = {
    emptyDirectories: true,
    modes: true,
    links: true,
    changesInPlace: true,
    latency: 'disk',
  }
  readonly #scope: LocalScope
  readonly #options: LocalStoreOptions
  readonly #stat = (path: ArtifactPath): Promise<Entry> => this.stat(path)

  constructor(scope: LocalScope, options: LocalStoreOptions) {
    this.#scope = scope
    this.#options = options
  }

  async stat(path: ArtifactPath, options: { readonly signal?: AbortSignal } = {}): Promise<Entry> {
    throwIfAborted(options.signal, 'stat', path)
    return this.#scope.at(path, 'stat', async (located, boundary) => {
      if (!isArtifact(located, path)) throw storeError('NotFound', 'stat', path)
      if (!located.isLocal && located.stats.isFile()) return statRemote(path, located, boundary)
      // Whoever asks for the root wants to know whether the server answers, not what is remembered of it.
      if (!located.isLocal && path === ROOT) await askServer(located, boundary)
      const looks = [located.stats]
      const unsettled = await settle(looks, located.isLocal, () => located.again())
      throwIfAborted(options.signal, 'stat', path)
      const stats = looks[0]!
      const readable =
        modeAllows(stats, this.#scope.reader, located.isLocal) || (await isReadable(located.at, stats))
      // Every request to such a store is refused, so to whoever asks whether it works it does not.
      if (!readable && this.#scope.pathInStore(path) === ROOT) await checkEnterable(located.at)
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
      const file = await openLocated(located, boundary)
      try {
        const artifact =
          options.pin === undefined ? await openCurrent(path, file) : openPinned(path, file, options.pin)
        throwIfAborted(options.signal, 'open', path)
        return artifact
      } catch (error) {
        await file.close()
        throw error
      }
    })
  }

  async create(path: ArtifactPath, options: CreateOptions = {}): Promise<PendingArtifact> {
    this.#refuseReadOnly('write', path)
    return createPending(this.#scope, path, this.#stat, options)
  }

  async checkWritable(options: { readonly signal?: AbortSignal } = {}): Promise<void> {
    throwIfAborted(options.signal, 'write', ROOT)
    this.#refuseReadOnly('write', ROOT)
    await checkMount(this.#scope.whole)
  }

  async remove(path: ArtifactPath, options: RemoveOptions = {}): Promise<void> {
    this.#refuseReadOnly('remove', path)
    await removeFile(this.#scope, path, this.#stat, options)
  }

  async removeAll(path: ArtifactPath, options: RemoveAllOptions = {}): Promise<Removal> {
    this.#refuseReadOnly('remove', path)
    return removeTree(this.#scope, path, this.#stat, options)
  }

  async move(from: ArtifactPath, to: ArtifactPath, options: MoveOptions = {}): Promise<Entry> {
    this.#refuseReadOnly('write', to)
    const into = options.into === undefined ? this : this.scoped(options.into)
    return moveFile(this.#scope, from, into.#scope, to, into.#stat, options)
  }

  sweep(olderThanMs: number, options?: { readonly signal?: AbortSignal }): Promise<number> {
    return sweep(this.#scope, olderThanMs, options)
  }

  scoped(folder: ArtifactPath): LocalStore {
    return new LocalStore(this.#scope.within(folder), this.#options)
  }

  /**
   * The web server in front opens the path by itself and follows links wherever they lead, so only a file whose path holds no link below the root is left to it. Whoever may
   * write to the volume could put a link there afterwards; the server's own check (nginx: `disable_symlinks`) covers that moment.
   */
  async direct(path: ArtifactPath): Promise<DirectDelivery | undefined> {
    const { delivery, accelLocation } = this.#options
    if (delivery !== 'x-accel' || accelLocation === undefined) return undefined
    const pathInStore = this.#scope.pathInStore(path)
    const holdsNoLink = await this.#scope
      .at(path, 'open', ({ stats, realBytes }, { root }) => {
        return stats.isFile() && realBytes === bytesOf(`${root.realPath}/${pathInStore}`)
      })
      .catch((error: unknown) => {
        if (isAppError(error, 'NotFound')) return false
        throw error
      })
    if (!holdsNoLink) return undefined
    const encoded = pathInStore.split('/').map(encodeURIComponent).join('/')
    return { type: 'x-accel', uri: `${accelLocation}${encoded}` }
  }

  probe(options: { readonly signal?: AbortSignal } = {}): Promise<Probe> {
    return probeLocal(this, this.#scope, { readOnly: this.#options.readOnly ?? false, ...options })
  }

  #refuseReadOnly(operation: StoreOperation, path: ArtifactPath): void {
    if (this.#options.readOnly === true) throw readOnlyConnection(operation, path)
  }

  /** Nothing is open between calls, and opened artifacts belong to their openers. */
  close(): Promise<void> {
    return Promise.resolve()
  }
}

/** Whether the volume takes changes at all; what a single folder permits shows there. */
async function checkMount(whole: LocalScope): Promise<void> {
  await whole.folder(ROOT, 'write', async ({ located }) => {
    const error = await new Promise<unknown>(resolve => access(located.at, constants.W_OK, resolve))
    if (errnoOf(error) === 'EROFS') throw readOnlyMount(error)
  })
}

/** A scope that turns out to be a file holds nothing. */
function isArtifact({ stats }: Located, path: ArtifactPath): boolean {
  return stats.isDirectory() || (stats.isFile() && path !== ROOT)
}

/** The entry of a file as its server has it now; see `openLocated`. What cannot be opened has the attributes that this machine remembers. */
async function statRemote(path: ArtifactPath, located: Located, boundary: Boundary): Promise<Entry> {
  const file = await openLocated(located, boundary).catch((error: unknown) => {
    if (isDenied(error)) return undefined
    throw error
  })
  try {
    const looks = [file?.stats ?? located.stats]
    const unsettled = await settle(looks, false, () => file?.look() ?? located.again())
    return entryOf(path, looks[0]!, unsettled.size === 0, file !== undefined)
  } finally {
    await file?.close()
  }
}

/** Fails with what keeps the server of a network file system from answering. */
async function askServer(folder: Located, { closes }: Boundary): Promise<void> {
  await askForNames(folder.at, closes).catch((error: unknown) => {
    if (!isDenied(error)) throw error
  })
}

async function openCurrent(path: ArtifactPath, file: OpenDescriptor): Promise<LocalArtifact> {
  const looks = [file.stats]
  const unsettled = await settle(looks, file.isLocal, () => file.look())
  const stats = looks[0]!
  return new LocalArtifact(entryOf(path, stats, unsettled.size === 0, true), file, stats, false)
}

/** No wait: the pin was taken when the file had come to rest, so a content that differs has another validator. */
function openPinned(path: ArtifactPath, file: OpenDescriptor, pin: Entry): LocalArtifact {
  if (etagOf(file.stats) !== pin.etag) throw storeError('Changed', 'open', path)
  return new LocalArtifact(entryOf(path, file.stats, true, true), file, file.stats, true)
}
