// Moving a file within a local store: one rename, whatever its size.
import type { Stats } from 'node:fs'
import { unlink } from 'node:fs/promises'
import { AppError } from '../errors.ts'
import { storeError, throwIfAborted } from './failure.ts'
import { errnoOf, localError } from './local-errors.ts'
import { inFolderOf, inMadeFolders, keepFolders, pruneFolders, syncFolder } from './local-folders.ts'
import { isTransientName, refuseOwnName } from './local-names.ts'
import type { LocalScope, OpenFolder } from './local-scope.ts'
import { attributesOf, exclusively, giveName, refuseFolder, type Stat } from './local-write.ts'
import { parentOf, ROOT, type ArtifactPath } from './path.ts'
import type { ChangeOptions, Entry } from './store.ts'

/** `ArtifactStore.move` from a path of `scope` to one of `into`, which `stat` looks at. */
export async function moveFile(
  scope: LocalScope,
  from: ArtifactPath,
  into: LocalScope,
  to: ArtifactPath,
  stat: Stat,
  { precondition, signal }: ChangeOptions,
): Promise<Entry> {
  throwIfAborted(signal, 'write', to)
  for (const path of [from, to]) if (path === ROOT) throw storeError('IsDirectory', 'write', path)
  refuseOwnName(to, 'write')
  const give = (
    source: OpenFolder,
    sourceName: string,
    target: OpenFolder,
    targetName: string,
  ): Promise<Moved> =>
    bothExclusively([scope, source, from], [into, target, to], async () => {
      throwIfAborted(signal, 'write', to)
      const found = await checkSource(source, sourceName, from)
      await refuseFolder(target, targetName, to)
      const old = `${source.located.at}/${sourceName}`
      await giveName(old, `${target.located.at}/${targetName}`, to, precondition, stat).catch(
        (error: unknown) => {
          throw errnoOf(error) === 'EXDEV' ? farApart(to, error) : error
        },
      )
      return movedTo(to, async () => {
        if (found.nlink > 1 && !isOneName([source, sourceName], [target, targetName]))
          await removeSame(old, found)
        await syncFolder(target.located.at)
        await syncFolder(source.located.at)
        return stat(to)
      })
    })
  // Before any folder is made for nothing.
  await inFolderOf(scope, from, 'write', (folder, name) => checkSource(folder, name, from))
  if (scope.pathInStore(from) === into.pathInStore(to)) return stat(to)
  const moved = await inMadeFolders(into, to, () =>
    inFolderOf(scope, from, 'write', (source, sourceName) =>
      inFolderOf(into, to, 'write', (target, targetName) => {
        if (isSameFolder(source, target) && sourceName === targetName) throw samePlace(from, to)
        return give(source, sourceName, target, targetName)
      }),
    ),
  )
  keepFolders(into, parentOf(to))
  await pruneFolders(scope, parentOf(from))
  if ('failure' in moved) throw moved.failure
  return moved.entry
}

/** It may be gone again before anybody has looked at it. That is no reason to try once more: it is not where it was. */
type Moved = { readonly entry: Entry } | { readonly failure: AppError }

async function movedTo(to: ArtifactPath, look: () => Promise<Entry>): Promise<Moved> {
  try {
    return { entry: await look() }
  } catch (error) {
    return { failure: localError(error, 'write', to) }
  }
}

type Place = readonly [scope: LocalScope, folder: OpenFolder, path: ArtifactPath]

/** In one order, whichever way it goes: two that swap files must not wait for each other. */
function bothExclusively<T>(a: Place, b: Place, work: () => Promise<T>): Promise<T> {
  const [first, second] = pathInStore(a) < pathInStore(b) ? [a, b] : [b, a]
  return exclusively(...first, () => exclusively(...second, work))
}

function pathInStore([scope, , path]: Place): ArtifactPath {
  return scope.pathInStore(path)
}

/** Two paths lead to one folder where one of them goes through a link. */
function isSameFolder({ located: a }: OpenFolder, { located: b }: OpenFolder): boolean {
  return a.stats.ino === b.stats.ino && a.stats.dev === b.stats.dev
}

function farApart(to: ArtifactPath, cause: unknown): AppError {
  return new AppError(
    'Unsupported',
    `'${to}' is on another file system: the file can only be copied there.`,
    {
      op: 'write',
      path: to,
      cause,
    },
  )
}

function samePlace(from: ArtifactPath, to: ArtifactPath): AppError {
  return new AppError('InvalidArgument', `'${to}' is '${from}' already, by a link to its folder.`, {
    op: 'write',
    path: to,
  })
}

/** Whether two names may be the same to a file system that does not tell cases, or forms of Unicode, apart. */
function isOneName([a, nameA]: Named, [b, nameB]: Named): boolean {
  return isSameFolder(a, b) && folded(nameA) === folded(nameB)
}

type Named = readonly [folder: OpenFolder, name: string]

function folded(name: string): string {
  return name.normalize().toUpperCase()
}

/** Where both names were links to one file already, rename(2) has done nothing. */
async function removeSame(old: string, moved: Stats): Promise<void> {
  const left = await attributesOf(old)
  if (left?.ino === moved.ino && left.dev === moved.dev) await unlink(old)
}

/** Gives the attributes of the file. */
async function checkSource({ located }: OpenFolder, name: string, path: ArtifactPath): Promise<Stats> {
  const found = await attributesOf(`${located.at}/${name}`)
  if (found === undefined || isTransientName(name, located.isLocal))
    throw storeError('NotFound', 'write', path)
  if (found.isDirectory()) throw storeError('IsDirectory', 'write', path)
  // Elsewhere it might point to something else.
  if (found.isSymbolicLink())
    throw new AppError('InvalidArgument', `'${path}' is a symbolic link: copy it instead.`, {
      op: 'write',
      path,
    })
  if (!found.isFile()) throw storeError('NotFound', 'write', path)
  return found
}
