// Stores to be changed over HTTP: as others change them, too, and with what was begun counted.
import { readdirSync } from 'node:fs'
import { openLocalStore } from '../../src/store/local.ts'
import { MemoryStore } from '../../src/store/memory.ts'
import type { ArtifactPath } from '../../src/store/path.ts'
import { prefixed } from '../../src/store/prefixed.ts'
import type { ArtifactStore, CreateOptions, PendingArtifact } from '../../src/store/store.ts'
import { changesOf } from './changes.ts'
import { Tree } from './tree.ts'

/** What is being written, through all views of a store. */
class Counts {
  /** Artifacts that were begun. */
  begun = 0
  /** Bytes that were written to them. */
  written = 0
  /** Those that were neither completed nor aborted. */
  pending = 0

  count(inner: PendingArtifact): PendingArtifact {
    this.begun += 1
    this.pending += 1
    let isOver = false
    const over = (): void => {
      if (!isOver) this.pending -= 1
      isOver = true
    }
    return {
      write: async chunk => {
        await inner.write(chunk)
        this.written += chunk.length
      },
      complete: async () => {
        const entry = await inner.complete()
        over()
        return entry
      },
      abort: async () => {
        await inner.abort()
        over()
      },
    }
  }
}

export interface ChangedStore extends ArtifactStore, Readonly<Pick<Counts, 'begun' | 'written' | 'pending'>> {
  /** Somebody else writes, makes a folder, or removes what is there. */
  write(path: ArtifactPath, bytes: Uint8Array): void
  makeDirectory(path: ArtifactPath): void
  forget(path: ArtifactPath): void
  /** Files of the store's own that are still there. */
  leftovers(): string[]
}

/** In memory. Scoped views come from its own methods, so a class that overrides one of them changes those too. */
export class CountingStore extends MemoryStore implements ChangedStore {
  readonly #counts = new Counts()

  get begun(): number {
    return this.#counts.begun
  }

  get written(): number {
    return this.#counts.written
  }

  get pending(): number {
    return this.#counts.pending
  }

  override async create(path: ArtifactPath, options?: CreateOptions): Promise<PendingArtifact> {
    return this.#counts.count(await super.create(path, options))
  }

  override scoped(folder: ArtifactPath): ArtifactStore {
    return prefixed(this, folder)
  }

  leftovers(): string[] {
    return []
  }
}

/** A folder on this machine's disk. */
export function changedFolder(): ChangedStore {
  const tree = new Tree()
  const counts = new Counts()
  const local = openLocalStore({ root: tree.root })
  return Object.assign(counts, {
    ...counting(local, counts),
    write: (path: ArtifactPath, bytes: Uint8Array) => tree.write(path, bytes),
    makeDirectory: (path: ArtifactPath) => tree.makeDirectory(path),
    forget: (path: ArtifactPath) => tree.removePath(path),
    leftovers: () =>
      readdirSync(tree.root, { recursive: true, encoding: 'utf8' }).filter(path =>
        /(?:^|\/)\.polyaxon-outputs-(?!pending$)|\.json$/.test(path),
      ),
    close: async () => {
      await local.close()
      tree.remove()
    },
  })
}

function counting(store: ArtifactStore, counts: Counts): ArtifactStore {
  return {
    ...changesOf(store),
    capabilities: store.capabilities,
    stat: (path, options) => store.stat(path, options),
    list: (path, options) => store.list(path, options),
    open: (path, options) => store.open(path, options),
    create: async (path, options) => counts.count(await store.create(path, options)),
    ...(store.move && { move: store.move.bind(store) }),
    scoped: folder => counting(store.scoped(folder), counts),
    close: () => store.close(),
  }
}

export const CHANGED_STORES: readonly (readonly [title: string, make: () => ChangedStore])[] = [
  ['a store in memory', () => new CountingStore()],
  ['a folder', changedFolder],
]
