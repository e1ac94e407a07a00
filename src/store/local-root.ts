// Where a local store begins: the real folder behind the configured path, and whether it is still the one that was mounted.
import fs from 'node:fs'
import { CallBudget } from './local-batch.ts'
import { localError } from './local-errors.ts'
import { Mounts } from './local-mounts.ts'
import { ROOT } from './path.ts'
import { storeError, type StoreOperation } from './failure.ts'

/**
 * File systems whose attributes and directories are in this machine's memory or on its disks (statfs(2), f_type): ext, XFS, Btrfs, tmpfs,
 * overlayfs, F2FS, ZFS, bcachefs. On every other one any call may wait for a network, so none is made on the event loop.
 */
const LOCAL_FILE_SYSTEMS = new Set([
  0xef53, 0x58465342, 0x9123683e, 0x01021994, 0x794c7630, 0xf2f52010, 0x2fc12fc1, 0xca451a4e,
])

export interface RootFolder {
  /** The configured path, which may hold links. */
  readonly path: string
  /** The path without links, '' for `/`, so that a slash and a name can follow. */
  readonly realPath: string
  readonly device: number
  readonly inode: number
  /** Whether calls on descriptors of this device return without waiting for a network. */
  readonly isLocal: boolean
  readonly mounts: Mounts
}

/** The user and the groups that the service reads as. */
export interface Reader {
  readonly uid: number
  readonly gids: ReadonlySet<number>
}

/**
 * The root of a local store.
 *
 * A root that was a mount point when it was opened must stay one: after an unmount the folder below it is still there, and empty,
 * and everything in the store would seem to be deleted.
 */
export class LocalRoot {
  #current: RootFolder
  readonly #isMount: boolean
  readonly calls = new CallBudget()
  readonly reader: Reader = {
    uid: process.geteuid?.() ?? 0,
    gids: new Set([process.getegid?.() ?? 0, ...(process.getgroups?.() ?? [])]),
  }

  private constructor(folder: RootFolder, isMount: boolean) {
    this.#current = folder
    this.#isMount = isMount
  }

  /** Fails with Unavailable when `path` is not a folder that can be looked at. */
  static async open(path: string): Promise<LocalRoot> {
    const folder = await examine(path, 'stat')
    return new LocalRoot(folder, await isMountPoint(folder))
  }

  get current(): RootFolder {
    return this.#current
  }

  /** Looks at the root again and returns it, the same object when nothing changed; fails with Unavailable while it is gone. */
  async refresh(operation: StoreOperation): Promise<RootFolder> {
    const folder = await examine(this.#current.path, operation)
    if (this.#isMount && !(await isMountPoint(folder))) throw storeError('Unavailable', operation, ROOT)
    const same =
      folder.realPath === this.#current.realPath &&
      folder.device === this.#current.device &&
      folder.inode === this.#current.inode
    if (!same) this.#current = folder
    return this.#current
  }
}

async function examine(path: string, operation: StoreOperation): Promise<RootFolder> {
  try {
    const realPath = await new Promise<string>((resolve, reject) => {
      fs.realpath.native(path, (error, real) => (error === null ? resolve(real) : reject(error)))
    })
    const [stats, fileSystem] = await Promise.all([statOf(realPath), statfsOf(realPath)])
    if (!stats.isDirectory()) throw storeError('Unavailable', operation, ROOT)
    return {
      path,
      realPath: realPath === '/' ? '' : realPath,
      device: stats.dev,
      inode: stats.ino,
      isLocal: LOCAL_FILE_SYSTEMS.has(fileSystem),
      mounts: new Mounts(Buffer.from(realPath === '/' ? '' : realPath).toString('latin1')),
    }
  } catch (error) {
    throw storeError('Unavailable', operation, ROOT, localError(error, operation, ROOT))
  }
}

async function isMountPoint(folder: RootFolder): Promise<boolean> {
  const parent = await statOf(`${folder.realPath}/..`).catch(() => undefined)
  return parent !== undefined && parent.dev !== folder.device
}

function statOf(path: string): Promise<fs.Stats> {
  return new Promise((resolve, reject) => {
    fs.stat(path, (error, stats) => (error === null ? resolve(stats) : reject(error)))
  })
}

function statfsOf(path: string): Promise<number> {
  return new Promise((resolve, reject) => {
    fs.statfs(path, (error, fileSystem) => (error === null ? resolve(fileSystem.type) : reject(error)))
  })
}
