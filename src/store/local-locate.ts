// Finding a file inside a boundary without races: a path is opened first, and what was opened is then asked where it is.
import fs from 'node:fs'
import { storeError, type StoreOperation } from './failure.ts'
import type { CloseQueue } from './local-batch.ts'
import { isRemovedName, isTransientName } from './local-names.ts'
import type { RootFolder } from './local-root.ts'
import type { ArtifactPath } from './path.ts'

/** Linux open(2): a descriptor that only names a file. It needs no permission on it and wakes no device, pipe or automount. */
const O_PATH = 0o10000000
const O_READ = fs.constants.O_RDONLY | fs.constants.O_NONBLOCK | fs.constants.O_NOCTTY

/**
 * Another file has the path by now. Where a file is found by its real path; and on a network file system, whose client keeps what was replaced while it is open by another
 * name. Otherwise a descriptor leads to the file that it was made for.
 */
export class Replaced extends Error {
  readonly code = 'ENOENT'

  constructor() {
    super('The file was replaced while it was opened.')
  }
}

/** The folder that a store or a scoped view of it must not leave. */
export interface Boundary {
  readonly root: RootFolder
  /** The path of the disk that the real path of everything found must equal or lie below. No part of it may be a link. */
  readonly realPath: string
  /** The same as bytes, one character each. */
  readonly realBytes: string
  /** Whether `/proc/self/fd` tells where an open descriptor is. */
  readonly hasProc: boolean
  readonly closes: CloseQueue
}

/** Something found inside the boundary. The finder must release it. */
export interface Located {
  readonly stats: fs.Stats
  /** A path that leads to exactly this file, or in it for a folder, until it is released. */
  readonly at: string
  /** Whether calls on it return without waiting for a network. */
  readonly isLocal: boolean
  /** Whether what is on the disk of it, or in it for a folder, may be read on the event loop too. */
  readonly isPrompt: boolean
  /** Its real path, one character for each byte. */
  readonly realBytes: string
  /** Its attributes now, as far as this machine knows. */
  again(): Promise<fs.Stats> | fs.Stats
  release(): void
}

/** An open file. Whoever opened it must close it. */
export interface OpenDescriptor {
  readonly fd: number
  /** Attributes at the time of opening, asked of the server on a network file system. */
  readonly stats: fs.Stats
  readonly isLocal: boolean
  /** Whether its content may be read on the event loop. */
  readonly isPrompt: boolean
  /** Attributes now, asked of the server on a network file system. */
  look(): Promise<fs.Stats> | fs.Stats
  close(): Promise<void> | undefined
}

export function boundaryOf(
  root: RootFolder,
  scope: ArtifactPath,
  hasProc: boolean,
  closes: CloseQueue,
): Boundary {
  const realPath = scope === '' ? root.realPath : `${root.realPath}/${scope}`
  return { root, realPath, realBytes: bytesOf(realPath), hasProc, closes }
}

/** As text with one character for each byte, which any name of a disk has, valid UTF-8 or not. */
export function bytesOf(path: string): string {
  return Buffer.from(path).toString('latin1')
}

/**
 * The file that the disk path `target` leads to, links followed, whatever kind of file it is.
 *
 * Fails with the error of the system call, or with NotFound when the file lies outside of the boundary.
 */
export function locate(
  boundary: Boundary,
  target: string,
  operation: StoreOperation,
  path: ArtifactPath,
): Promise<Located> {
  return boundary.hasProc
    ? locateByDescriptor(boundary, target, operation, path)
    : locateByRealPath(boundary, target, operation, path)
}

async function locateByDescriptor(
  boundary: Boundary,
  target: string,
  operation: StoreOperation,
  path: ArtifactPath,
): Promise<Located> {
  const fd = await openAt(target, O_PATH)
  try {
    // The kernel's own name of what is open: no disk or network is asked. Bytes, since a name may be invalid UTF-8.
    const real = fs.readlinkSync(`/proc/self/fd/${fd}`, 'latin1')
    if (!isWithin(boundary.realBytes, real)) throw storeError('NotFound', operation, path)
    const stats = await fstat(fd, boundary.root.isLocal && !boundary.root.mounts.have(real))
    const isLocal = isLocalFile(boundary.root, stats)
    if (isTransientName(real, isLocal)) {
      // It had another name when it was opened, or it is behind a link.
      if (isRemovedName(real) && !isRemovedName(target)) throw new Replaced()
      throw storeError('NotFound', operation, path)
    }
    return {
      stats,
      at: `/proc/self/fd/${fd}`,
      isLocal,
      isPrompt: isLocal && boundary.root.isPrompt,
      realBytes: real,
      again: () => fstat(fd, isLocal),
      release: () => closeName(fd, isLocal),
    }
  } catch (error) {
    closeName(fd, boundary.root.isLocal)
    throw error
  }
}

/**
 * Where descriptors do not tell where they are (macOS), the real path is asked before and after. Two renames at the right
 * moments could still deceive this; production runs on Linux.
 */
async function locateByRealPath(
  boundary: Boundary,
  target: string,
  operation: StoreOperation,
  path: ArtifactPath,
): Promise<Located> {
  const real = await realPathOf(target)
  if (!isWithin(boundary.realPath, real)) throw storeError('NotFound', operation, path)
  const stats = await lstat(real)
  if ((await realPathOf(real)) !== real) throw storeError('NotFound', operation, path)
  const isLocal = isLocalFile(boundary.root, stats)
  const realBytes = bytesOf(real)
  if (isTransientName(realBytes, isLocal)) throw storeError('NotFound', operation, path)
  const isPrompt = isLocal && boundary.root.isPrompt
  return { stats, at: real, isLocal, isPrompt, realBytes, again: () => lstat(real), release: () => undefined }
}

function isWithin(folder: string, real: string): boolean {
  return real === folder || (real.startsWith(folder) && real.charAt(folder.length) === '/')
}

/**
 * Opens what was located for reading; never waits for a writer.
 *
 * On a network file system `stat` may tell attributes, size and all, that are a minute old. Opening is what makes a client ask its server (close-to-open
 * consistency: nfs(5), "Data and metadata coherence"; CIFS and FUSE do the same), so `look` opens the file once more there.
 */
export async function openLocated(located: Located, boundary: Boundary): Promise<OpenDescriptor> {
  const { isLocal, isPrompt } = located
  const { closes } = boundary
  const fd = await openForReading(located, boundary)
  try {
    const stats = await fstat(fd, isLocal)
    if (stats.ino !== located.stats.ino || stats.dev !== located.stats.dev || !stats.isFile())
      throw new Replaced()
    return {
      fd,
      stats,
      isLocal,
      isPrompt,
      look: () => (isLocal || !boundary.hasProc ? fstat(fd, isLocal) : lookAnew(fd, closes)),
      close: () => closes.close(fd, isLocal),
    }
  } catch (error) {
    await closes.close(fd, isLocal)
    throw error
  }
}

async function lookAnew(fd: number, closes: CloseQueue): Promise<fs.Stats> {
  const again = await openAt(`/proc/self/fd/${fd}`, O_READ)
  try {
    return await fstat(again, false)
  } finally {
    await closes.close(again, false)
  }
}

/** Makes a network file system ask its server which names the folder at a disk path holds, and anew for those that it remembers as missing. */
export async function askForNames(folder: string, closes: CloseQueue): Promise<void> {
  await closes.close(await openAt(folder, O_READ | fs.constants.O_DIRECTORY), false)
}

function openForReading(located: Located, boundary: Boundary): Promise<number> | number {
  if (!boundary.hasProc) return openAt(located.at, O_READ | fs.constants.O_NOFOLLOW)
  // No path is looked up and no disk is read: the descriptor leads to the inode, which is in memory.
  return located.isPrompt ? fs.openSync(located.at, O_READ) : openAt(located.at, O_READ)
}

/** Closes what only names a file. No server hears of that, so it never waits for one for long. */
function closeName(fd: number, isLocal: boolean): void {
  if (isLocal) fs.closeSync(fd)
  else fs.close(fd, () => undefined)
}

/** Attributes of an open file, at once where that needs no network. */
function fstat(fd: number, isLocal: boolean): Promise<fs.Stats> | fs.Stats {
  if (isLocal) return fs.fstatSync(fd)
  return new Promise((resolve, reject) => {
    fs.fstat(fd, (error, stats) => (error === null ? resolve(stats) : reject(error)))
  })
}

export function lstat(target: string): Promise<fs.Stats> {
  return new Promise((resolve, reject) => {
    fs.lstat(target, (error, stats) => (error === null ? resolve(stats) : reject(error)))
  })
}

function openAt(target: string, flags: number): Promise<number> {
  return new Promise((resolve, reject) => {
    fs.open(target, flags, (error, fd) => (error === null ? resolve(fd) : reject(error)))
  })
}

function realPathOf(target: string): Promise<string> {
  return new Promise((resolve, reject) => {
    fs.realpath.native(target, (error, real) => (error === null ? resolve(real) : reject(error)))
  })
}

/** A file system mounted below a local root may be a network's. */
function isLocalFile(root: RootFolder, stats: fs.Stats): boolean {
  return root.isLocal && stats.dev === root.device
}
