// Stores to be changed over HTTP: each shows what is really in it, and what was left behind.
import { readdirSync, statSync } from 'node:fs'
import { MemoryStore } from '../../src/store/memory.ts'
import { parsePath } from '../../src/store/path.ts'
import type { ArtifactStore, CreateOptions, PendingArtifact } from '../../src/store/store.ts'

export interface ChangedStore {
  readonly store: ArtifactStore
  write(path: string, content: string | Uint8Array): void
  makeDirectory(path: string): void
  /** What was begun and neither completed nor aborted. */
  leftovers(): number
  close(): Promise<void>
}

/** A store in memory that counts what is being written. */
export class CountingStore extends MemoryStore {
  /** Artifacts that were begun. */
  begun = 0
  /** Bytes that were written to them. */
  written = 0
  pending = 0

  override async create(
    path: ReturnType<typeof parsePath>,
    options?: CreateOptions,
  ): Promise<PendingArtifact> {
    const inner = await super.create(path, options)
    this.begun += 1
    this.pending += 1
    let isOver = false
    const over = (): void => {
      if (!isOver) this.pending -= 1
      isOver = true
    }
    return {
      write: chunk => {
        this.written += chunk.length
        return inner.write(chunk)
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

export function memoryToChange(): ChangedStore & { readonly store: CountingStore } {
  const store = new CountingStore()
  return {
    store,
    write: (path, content) => store.write(parsePath(path), Buffer.from(content)),
    makeDirectory: path => store.makeDirectory(parsePath(path)),
    leftovers: () => store.pending,
    close: () => store.close(),
  }
}

/** The files below `folder` on the disk, hidden ones too, relative to it. */
export function filesBelow(folder: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter(path => statSync(`${folder}/${path}`).isFile())
    .sort()
}
