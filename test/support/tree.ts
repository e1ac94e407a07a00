// Temporary folders on the real disk, and what tests put into them.
import {
  appendFileSync,
  chmodSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  realpathSync,
  rmSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'

export interface WriteOptions {
  readonly lastModifiedMs?: number
  readonly mode?: number
}

/** A folder of its own, under the system's temporary folder unless another is given. Paths are relative to it. */
export class Tree {
  readonly root: string

  constructor(parent = tmpdir()) {
    this.root = realpathSync(mkdtempSync(join(parent, 'outputs-')))
  }

  /** The path on the disk. */
  at(path: string): string {
    return path === '' ? this.root : join(this.root, path)
  }

  /** Writes a file, in place if it exists, and creates the folders above it. */
  write(path: string, content: string | Uint8Array, options: WriteOptions = {}): void {
    mkdirSync(dirname(this.at(path)), { recursive: true })
    writeFileSync(this.at(path), content)
    if (options.mode !== undefined) chmodSync(this.at(path), options.mode)
    if (options.lastModifiedMs !== undefined)
      utimesSync(this.at(path), options.lastModifiedMs / 1000, options.lastModifiedMs / 1000)
  }

  append(path: string, content: string | Uint8Array): void {
    appendFileSync(this.at(path), content)
  }

  /** Cuts a file, or makes it longer without writing to the disk (a sparse file). */
  resize(path: string, size: number): void {
    truncateSync(this.at(path), size)
  }

  makeDirectory(path: string): void {
    mkdirSync(this.at(path), { recursive: true })
  }

  /** Makes `path` a symbolic link to `target`, exactly as it is written. */
  link(path: string, target: string): void {
    mkdirSync(dirname(this.at(path)), { recursive: true })
    symlinkSync(target, this.at(path))
  }

  chmod(path: string, mode: number): void {
    chmodSync(this.at(path), mode)
  }

  removePath(path: string): void {
    rmSync(this.at(path), { recursive: true, force: true })
  }

  /** Removes everything, folders without permissions too. */
  remove(): void {
    openUp(this.root)
    rmSync(this.root, { recursive: true, force: true, maxRetries: 10, retryDelay: 50 })
  }

  /** The same on NFS, where a folder is not empty as long as a file that was removed from it is open: whoever is closing it may need the event loop for that. */
  async removeWhenClosed(): Promise<void> {
    openUp(this.root)
    await rm(this.root, { recursive: true, force: true, maxRetries: 10, retryDelay: 50 })
  }
}

/** Gives back the permissions that removing needs. */
function openUp(folder: string): void {
  if (lstatSync(folder, { throwIfNoEntry: false })?.isDirectory() !== true) return
  chmodSync(folder, 0o755)
  for (const entry of readdirSync(folder, { withFileTypes: true, encoding: 'utf8' }))
    if (entry.isDirectory()) openUp(join(folder, entry.name))
}
