// SHA-256 of representations whose bytes cannot change under their etag: computed once, kept by etag.
import { createHash } from 'node:crypto'
import { LRUCache } from 'lru-cache'
import type { Representation } from './representation.ts'

const KEPT = 10_000

export class Digests {
  readonly #maxBytes: number
  readonly #known = new LRUCache<string, Buffer>({ max: KEPT })

  /** Files of more than `maxBytes` are not read for their digest. */
  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes
  }

  /**
   * The digest of the whole representation; undefined when it is neither known nor cheap.
   *
   * `scope` and `path` name it among all representations. Fails as `Representation.read` does.
   */
  async sha256(
    scope: string,
    path: string,
    representation: Representation,
    signal: AbortSignal,
  ): Promise<Buffer | undefined> {
    const { size, etag } = representation
    if (size === undefined || etag === undefined) return undefined
    const key = `${scope}\0${path}\0${etag}`
    const known = this.#known.get(key)
    if (known !== undefined || size > this.#maxBytes) return known
    const hash = createHash('sha256')
    for await (const chunk of representation.read(0, size, { signal })) hash.update(chunk)
    const digest = hash.digest()
    this.#known.set(key, digest)
    return digest
  }
}
