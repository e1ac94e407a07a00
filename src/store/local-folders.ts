// Folders as files need them: made when something is written, removed when nothing is left in them.
import { constants } from 'node:fs'
import { mkdir, open, rmdir } from 'node:fs/promises'
import { isAppError } from '../errors.ts'
import { renamed, storeError, type StoreOperation } from './failure.ts'
import { errnoOf } from './local-errors.ts'
import type { LocalScope, OpenFolder } from './local-scope.ts'
import { nameOf, parentOf, ROOT, type ArtifactPath } from './path.ts'

/** Does `work` in the folder that holds `path`; failures to find it are about `path`. */
export async function inFolderOf<T>(
  scope: LocalScope,
  path: ArtifactPath,
  operation: StoreOperation,
  work: (folder: OpenFolder, name: string) => Promise<T>,
): Promise<T> {
  try {
    return await scope.folder(parentOf(path), operation, folder => work(folder, nameOf(path)))
  } catch (error) {
    if (!isAppError(error) || error.path !== parentOf(path)) throw error
    if (isAppError(error, 'NotFound', 'NotDirectory')) throw storeError('NotFound', operation, path, error)
    throw renamed(error, path)
  }
}

/** How often a folder is made that others remove, as an empty one, before anything is in it. */
const MAX_REMOVED = 20

/** Does `work`, which puts something at `path`, when the folders above it are there. Where it fails, those that were only made for it go. */
export async function inMadeFolders<T>(
  scope: LocalScope,
  path: ArtifactPath,
  work: () => Promise<T>,
): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      await makeFolders(scope, parentOf(path), path)
      return await work()
    } catch (error) {
      await removeFolders(scope, parentOf(path))
      const isGone = isAppError(error, 'NotFound') && error.path === path
      if (!isGone || attempt === MAX_REMOVED) throw error
    }
  }
}

/**
 * Makes the folder `path` of a view and all above it that are missing, the view's own too. They are there for now only: whoever makes them calls `keepFolders` or `removeFolders`.
 *
 * NotDirectory, of `about`, when a file is in the way, or a link that leads nowhere or out of the view; NotFound when somebody has removed one of them meanwhile.
 */
async function makeFolders(scope: LocalScope, path: ArtifactPath, about: ArtifactPath): Promise<void> {
  const ensure = async (view: LocalScope, folder: ArtifactPath): Promise<void> => {
    if (await isFolder(view, folder, about)) return
    // Above the view there is only the store, in which it lies at a path without links.
    const outer = folder === ROOT ? view.whole : view
    const inOuter = folder === ROOT ? view.pathInStore(ROOT) : folder
    if (inOuter === ROOT) throw storeError('Unavailable', 'write', about)
    await ensure(outer, parentOf(inOuter))
    const isMade = await outer.folder(parentOf(inOuter), 'write', async ({ located }) => {
      const made = await madeFolder(`${located.at}/${nameOf(inOuter)}`)
      if (made) scope.newFolders.add(outer.pathInStore(inOuter))
      await syncFolder(located.at)
      return made
    })
    if (!(await isFolder(view, folder, about)))
      throw storeError(isMade ? 'NotFound' : 'NotDirectory', 'write', about)
  }
  try {
    await ensure(scope, path)
  } catch (error) {
    throw isAppError(error) ? renamed(error, about) : error
  }
}

/** Whether it was not there yet. */
async function madeFolder(target: string): Promise<boolean> {
  try {
    await mkdir(target)
    return true
  } catch (error) {
    if (errnoOf(error) !== 'EEXIST') throw error
    return false
  }
}

async function isFolder(view: LocalScope, folder: ArtifactPath, about: ArtifactPath): Promise<boolean> {
  try {
    await view.folder(folder, 'write', () => Promise.resolve())
    return true
  } catch (error) {
    if (isAppError(error, 'NotDirectory')) throw storeError('NotDirectory', 'write', about, error)
    if (isAppError(error, 'NotFound')) return false
    throw error
  }
}

/** The folder `path` and those above it hold something that stays. */
export function keepFolders(scope: LocalScope, path: ArtifactPath): void {
  for (const folder of upwards(scope.pathInStore(path))) scope.newFolders.delete(folder)
}

/** Removes the folder `path` and those above it that are empty, as far as they were only made for what then was not written: by whom of several does not matter. */
export async function removeFolders(scope: LocalScope, path: ArtifactPath): Promise<void> {
  for (const folder of upwards(scope.pathInStore(path))) {
    if (!scope.newFolders.has(folder) || !(await removedEmpty(scope.whole, folder))) return
    scope.newFolders.delete(folder)
  }
}

function* upwards(path: ArtifactPath): Generator<ArtifactPath> {
  for (let folder = path; folder !== ROOT; folder = parentOf(folder)) yield folder
}

/** Removes `folder` and those above it that are empty, up to but without `below` and the root of the view. */
export async function pruneFolders(
  scope: LocalScope,
  folder: ArtifactPath,
  below: ArtifactPath = ROOT,
): Promise<void> {
  for (let each = folder; each !== ROOT && each !== below; each = parentOf(each))
    if (!(await removedEmpty(scope, each))) return
}

/** Whether the folder is not there any more. Whatever keeps it, it may stay: nobody asked for its removal. */
async function removedEmpty(view: LocalScope, folder: ArtifactPath): Promise<boolean> {
  try {
    await inFolderOf(view, folder, 'remove', ({ located }, name) => rmdir(`${located.at}/${name}`))
    return true
  } catch (error) {
    return isAppError(error, 'NotFound')
  }
}

/** Not every file system can bring a folder to the disk by itself; those that cannot, need not. */
const NOT_POSSIBLE = new Set(['EINVAL', 'EBADF', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'EACCES', 'EPERM'])

/** Brings the names in a folder to the disk (fsync(2): syncing a file does not ensure that its entry in the folder has reached the disk). */
export async function syncFolder(at: string): Promise<void> {
  try {
    const folder = await open(at, constants.O_RDONLY | constants.O_DIRECTORY)
    try {
      await folder.sync()
    } finally {
      await folder.close()
    }
  } catch (error) {
    if (!NOT_POSSIBLE.has(errnoOf(error) ?? '')) throw error
  }
}
