// Paths and keys: which object an artifact is, and which objects no path can name.
import type { ObjectStoreDefinition } from './definition.ts'
import { parsePath, ROOT, type ArtifactPath } from './path.ts'

/** S3 and Google Cloud Storage count bytes of UTF-8, Azure counts characters; none of them holds a longer key. */
const MAX_KEY_LENGTH = 1024

/**
 * Keys of one store: `prefix` + path for a file, the same with a slash at its end for a folder.
 *
 * A store has no folders of its own: a folder is there as long as a key begins with its own key. Objects `a` and `a/b` can be side by side, which no file system allows. Then
 * `stat` and `open` give the file `a`, since a folder has nothing to open; `list` of `a` gives what is below it, since a file has nothing to list; and the list that holds them shows
 * both, `a` and `a/`.
 */
export class ObjectKeys {
  readonly #prefix: string
  readonly #length: (key: string) => number

  constructor({ prefix, kind }: Pick<ObjectStoreDefinition, 'prefix' | 'kind'>) {
    this.#prefix = prefix
    this.#length = kind === 'azure' ? key => key.length : key => Buffer.byteLength(key)
  }

  /** The key of the file `path`, which is not the root. */
  file(path: ArtifactPath): string {
    return `${this.#prefix}${path}`
  }

  /** What the keys of everything in the folder `path` begin with. */
  folder(path: ArtifactPath): string {
    return path === ROOT ? this.#prefix : `${this.#prefix}${path}/`
  }

  /** Whether a store can hold such a key at all: with a longer one, a request is an error instead of an answer that nothing is there. */
  canExist(key: string): boolean {
    return key.length <= MAX_KEY_LENGTH && this.#length(key) <= MAX_KEY_LENGTH
  }
}

/** The path that `text` is, or undefined where no ArtifactPath is that: objects `a//b`, `../x`, and those with too long a name. */
export function nameable(text: string): ArtifactPath | undefined {
  if (text === '') return undefined
  try {
    return parsePath(text)
  } catch {
    return undefined
  }
}
