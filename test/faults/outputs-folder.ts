// Temporary folders of outputs, and files that are large without taking space or time to write.
import { randomBytes } from 'node:crypto'
import { mkdirSync, mkdtempSync, rmSync, statSync, truncateSync, utimesSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'

/** Where the run of `OutputsFolder` is on the service. */
export const RUN_URL = '/outputs/ann/mnist/experiments/1/'

/** A store's root with one run in it. */
export class OutputsFolder {
  readonly root = mkdtempSync(join(tmpdir(), 'outputs-faults-'))
  /** The folder of the run. */
  readonly run = join(this.root, 'ann', 'mnist', 'experiments', '1')

  constructor() {
    mkdirSync(this.run, { recursive: true })
  }

  /** The path on disk of `path` in the run. */
  at(path: string): string {
    return join(this.run, path)
  }

  write(path: string, content: string | Buffer): void {
    mkdirSync(dirname(this.at(path)), { recursive: true })
    writeFileSync(this.at(path), content)
  }

  /** Beside the run, by a path of the store's root. */
  writeInStore(path: string, content: string, { lastModifiedMs }: { readonly lastModifiedMs: number }): void {
    const target = join(this.root, path)
    mkdirSync(dirname(target), { recursive: true })
    writeFileSync(target, content)
    utimesSync(target, lastModifiedMs / 1000, lastModifiedMs / 1000)
  }

  /** Bytes that no compression makes shorter. */
  writeRandom(path: string, size: number): void {
    this.write(path, randomBytes(size))
  }

  /** A file of zeros that takes no space on disk. */
  writeSparse(path: string, size: number): void {
    this.write(path, '')
    truncateSync(this.at(path), size)
  }

  removePath(path: string): void {
    rmSync(this.at(path), { recursive: true })
  }

  remove(): void {
    rmSync(this.root, { recursive: true, force: true })
  }
}

/** Whether temporary files can be sparse, so that a test of gigabytes takes no disk. */
export function hasSparseFiles(): boolean {
  const folder = mkdtempSync(join(tmpdir(), 'outputs-sparse-'))
  try {
    const path = join(folder, 'file')
    writeFileSync(path, '')
    truncateSync(path, 64 * 1024 * 1024)
    return statSync(path).blocks * 512 < 1024 * 1024
  } finally {
    rmSync(folder, { recursive: true })
  }
}
