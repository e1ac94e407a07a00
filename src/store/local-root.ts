// Where a local store begins: the real folder behind the configured path, and whether it is still the one that was mounted.
import fs from 'node:fs'
import { dirname } from 'node:path'
import { CallBudget, CloseQueue } from './local-batch.ts'
import { isMissing, isStale, localError } from './local-errors.ts'
import { askForNames } from './local-locate.ts'
import { Turns } from './local-lock.ts'
import { Mounts } from './local-mounts.ts'
import { ROOT, type ArtifactPath } from './path.ts'
import { storeError, type StoreOperation } from './failure.ts'

/**
 * File systems whose attributes and directories are in this machine's memory or on its disks (statfs(2), f_type): ext, XFS, Btrfs, tmpfs,
 * overlayfs, F2FS, ZFS, bcachefs. On every other one (NFS, CIFS, CephFS, Lustre, and FUSE, which GlusterFS and the bucket mounts are) any call may wait for a
 * network, so none is made on the event loop.
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
  /** Of the folder that a mount here hides, which is found at the same path when the mount is gone; undefined where nothing is mounted. */
  readonly deviceBelow: number | undefined
  /** Whether calls on descriptors of this device return without waiting for a network. */
  readonly isLocal: boolean
  /** Whether what is on its disk may be read on the event loop too. */
  readonly isPrompt: boolean
  readonly mounts: Mounts
}

type LookedAt = Omit<RootFolder, 'deviceBelow' | 'isPrompt'>

/** The user and the groups that the service reads as. */
export interface Reader {
  readonly uid: number
  readonly gids: ReadonlySet<number>
}

/**
 * The root of a local store. Making one asks nothing of the file system; the first use looks at the folder.
 *
 * A root that has been seen as a mount point must stay one: after an unmount the folder below it is still there, and empty,
 * and everything in the store would seem to be deleted.
 */
export class LocalRoot {
  readonly #path: string
  readonly #mayHang: boolean
  #current: RootFolder | undefined
  #firstLook: Promise<RootFolder> | undefined
  #wasMount = false
  readonly calls = new CallBudget()
  readonly closes = new CloseQueue()
  readonly turns = new Turns()
  readonly newFolders = new Set<ArtifactPath>()
  readonly reader: Reader = {
    uid: process.geteuid?.() ?? 0,
    gids: new Set([process.getegid?.() ?? 0, ...(process.getgroups?.() ?? [])]),
  }

  /** `path` is absolute and need not exist; `mayHang` says so of its disk, where the kind of file system does not. */
  constructor(path: string, mayHang: boolean) {
    this.#path = path
    this.#mayHang = mayHang
  }

  /** The folder as it was last seen; undefined before the first look at it succeeded. */
  get current(): RootFolder | undefined {
    return this.#current
  }

  /**
   * The folder, looked at when it never was. Fails with Unavailable when it is not a folder that can be looked at.
   *
   * First uses that come together wait for one look, so that a mount that hangs costs one thread for all of them.
   */
  look(operation: StoreOperation): Promise<RootFolder> {
    if (this.#current !== undefined) return Promise.resolve(this.#current)
    this.#firstLook ??= this.refresh(operation).finally(() => (this.#firstLook = undefined))
    return this.#firstLook
  }

  /** Looks at the root again and returns it, the same object when nothing changed; fails with Unavailable while it is gone. */
  async refresh(operation: StoreOperation): Promise<RootFolder> {
    const folder = await examine(this.#path, this.closes, operation)
    const known = this.#current
    const isSame =
      folder.realPath === known?.realPath && folder.device === known.device && folder.inode === known.inode
    if (isSame && !this.#wasMount) return known
    const deviceBelow = await deviceBelowMount(folder)
    if (this.#wasMount && deviceBelow === undefined) throw storeError('Unavailable', operation, ROOT)
    this.#wasMount = deviceBelow !== undefined
    const isPrompt = folder.isLocal && !this.#mayHang
    return (this.#current = isSame ? known : { ...folder, deviceBelow, isPrompt })
  }
}

/** Fails with Unavailable. Where nothing is found the folder above is asked, since a client of a network file system remembers for a while what was not there. */
async function examine(path: string, closes: CloseQueue, operation: StoreOperation): Promise<LookedAt> {
  try {
    return await lookAt(path).catch(async (error: unknown) => {
      if (!isMissing(error) && !isStale(error)) throw error
      await askForNames(dirname(path), closes)
      return lookAt(path)
    })
  } catch (error) {
    throw storeError('Unavailable', operation, ROOT, localError(error, operation, ROOT))
  }
}

/** One call after the other, since each may hold a thread until a server answers. */
async function lookAt(path: string): Promise<LookedAt> {
  const realPath = await new Promise<string>((resolve, reject) => {
    fs.realpath.native(path, (error, real) => (error === null ? resolve(real) : reject(error)))
  })
  // The slash makes an automount point mount, and a file fail.
  const stats = await statOf(`${realPath}/`)
  const fileSystem = await statfsOf(realPath)
  return {
    path,
    realPath: realPath === '/' ? '' : realPath,
    device: stats.dev,
    inode: stats.ino,
    isLocal: LOCAL_FILE_SYSTEMS.has(fileSystem),
    mounts: new Mounts(Buffer.from(realPath === '/' ? '' : realPath).toString('latin1')),
  }
}

async function deviceBelowMount({ realPath, device }: LookedAt): Promise<number | undefined> {
  const parent = await statOf(`${realPath}/..`).catch(() => undefined)
  return parent === undefined || parent.dev === device ? undefined : parent.dev
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
