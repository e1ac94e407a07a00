// The files of an archive and the folders that they need, as far as it has been read.
import { parentOf, ROOT, type ArtifactPath } from '../store/path.ts'
import type { UnpackLimits } from './unpack-budget.ts'
import { refused, tooLarge } from './unpack-refusal.ts'

const BOTH = 'it is a file, and others lie in it'

export class UnpackPaths {
  readonly #sizes = new Map<ArtifactPath, number>()
  readonly #folders = new Set<ArtifactPath>()
  readonly #maxFolders: number

  constructor({ maxEntries }: UnpackLimits) {
    this.#maxFolders = maxEntries
  }

  /** Fails where one path would have to be a file and a folder, and with TooLarge for too many folders, whether or not they are members too. */
  add(path: ArtifactPath, size: number): void {
    if (this.#folders.has(path)) throw refused(path, BOTH)
    this.#sizes.set(path, size)
    // What is above a folder that is known is known too, so that a long path costs as much as there is new in it.
    for (let above = parentOf(path); above !== ROOT && !this.#folders.has(above); above = parentOf(above)) {
      if (this.#sizes.has(above)) throw refused(above, BOTH)
      if (this.#folders.size === this.#maxFolders)
        throw tooLarge(`its files lie in more than ${this.#maxFolders} folders`)
      this.#folders.add(above)
    }
  }

  has(path: ArtifactPath): boolean {
    return this.#sizes.has(path)
  }

  hasFolder(path: ArtifactPath): boolean {
    return this.#folders.has(path)
  }

  /** Of the last file of this path; undefined for none. */
  sizeOf(path: ArtifactPath): number | undefined {
    return this.#sizes.get(path)
  }
}
