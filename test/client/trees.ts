// Folders on disk by what they hold, so that the tree a client made can be compared with the store's.
import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { readdir } from 'node:fs/promises'
import { join, relative } from 'node:path'

/** Paths relative to the top: a file's with the SHA-256 of its bytes, a folder's, which ends in a slash, with `folder`. */
export type Tree = ReadonlyMap<string, string>

export async function treeOf(top: string): Promise<Tree> {
  const tree = new Map<string, string>()
  for (const entry of await readdir(top, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name)
    const name = relative(top, path)
    if (entry.isDirectory()) tree.set(`${name}/`, 'folder')
    else tree.set(name, await sha256Of(path))
  }
  return tree
}

export function filesOf(tree: Tree): Tree {
  return new Map([...tree].filter(([path]) => !path.endsWith('/')))
}

/** `tree` moved below `folder`, and the folders above it that come to exist by that. */
export function placedBelow(folder: string, tree: Tree): Tree {
  const segments = folder.split('/')
  const above = segments.map((_name, i) => [`${segments.slice(0, i + 1).join('/')}/`, 'folder'] as const)
  return new Map([...above, ...[...tree].map(([path, content]) => [`${folder}/${path}`, content] as const)])
}

export function sha256Of(path: string): Promise<string> {
  return sha256OfAll(createReadStream(path))
}

export async function sha256OfAll(content: AsyncIterable<Uint8Array>): Promise<string> {
  const hash = createHash('sha256')
  for await (const chunk of content) hash.update(chunk)
  return hash.digest('hex')
}
