// SHA-256 of representations whose bytes cannot change under their etag: computed once, kept by etag.
import { createHash } from 'node:crypto'
import { LRUCache } from 'lru-cache'
import type { Representation } from './representation.ts'

const KEPT = 10_000

export class Digests {
  readonly #maxBytes: number
  readonly #known = new LRUCache<string, Buffer>({ max: KEPT })
  readonly #underWay = new Map<string, Promise<Buffer>>()

  /** Files of more than `maxBytes` are not read for their digest. */
  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes
  }

  /** As `sha256`, but only where it need not be computed. */
  known(scope: string, path: string, representation: Representation): Buffer | undefined {
    const key = keyOf(scope, path, representation)
    return key === undefined ? undefined : this.#known.get(key)
  }

  /**
   * The digest of the whole representation; undefined when it is neither known nor cheap.
   *
   * `scope` and `path` name it among all representations. Fails as `Representation.read` does. Requests that come meanwhile wait for the one that computes; when
   * that one breaks off, the next begins anew.
   */
  async sha256(
    scope: string,
    path: string,
    representation: Representation,
    signal: AbortSignal,
  ): Promise<Buffer | undefined> {
    const { size } = representation
    const key = keyOf(scope, path, representation)
    if (size === undefined || key === undefined) return undefined
    const known = this.#known.get(key)
    if (known !== undefined || size > this.#maxBytes) return known
    const underWay = this.#underWay.get(key)
    if (underWay !== undefined) {
      await underWay.catch(() => undefined)
      signal.throwIfAborted()
      return this.sha256(scope, path, representation, signal)
    }
    const computing = compute(representation, size, signal)
    this.#underWay.set(key, computing)
    try {
      const digest = await computing
      this.#known.set(key, digest)
      return digest
    } finally {
      this.#underWay.delete(key)
    }
  }
}

/** Undefined where nothing says that the bytes stay the same. */
function keyOf(scope: string, path: string, { etag }: Representation): string | undefined {
  return etag === undefined ? undefined : `${scope}\0${path}\0${etag}`
}

async function compute(representation: Representation, size: number, signal: AbortSignal): Promise<Buffer> {
  const hash = createHash('sha256')
  for await (const chunk of representation.read(0, size, { signal })) hash.update(chunk)
  return hash.digest()
}
