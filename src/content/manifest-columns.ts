// The manifest of an archive: its members in order, as columns of numbers and one run of bytes. A million members take about 110 MB this
// way, and no work of the garbage collector; objects took some 800 bytes each.
//
// Symbolic links do not occur: the store gives what they point to inside the run and hides those that lead out of it, so a member is a plain file or
// an empty folder, and no archive holds a link that could lead out of the place where it is unpacked.
import type { Hash } from 'node:crypto'
import { AppError } from '../errors.ts'
import { joinPath, type ArtifactPath } from '../store/path.ts'
import type { Entry } from '../store/store.ts'

const SLASH = 0x2f
const NO_MODE = 0xffff
/** Not setuid, setgid and sticky: unpacked by root, an archive would turn a user's setuid file into root's. */
const PERMISSION_BITS = 0o777

/** The members of one archive. They never change after `ManifestBuilder.finish`. */
export interface Manifest {
  readonly count: number
  /** Bytes of all contents together. */
  readonly contentBytes: number
  /** Artifacts in the folders walked that no path can name, so that it is not known whether they were selected. */
  readonly omitted: number
  /** What the columns take in memory. */
  readonly memoryBytes: number
  /** UTF-8 name inside the archive: relative, with `/` between segments and at the end of a folder's. A view: not to be written to. */
  name(index: number): Buffer
  nameLength(index: number): number
  isFolder(index: number): boolean
  size(index: number): number
  /** Whole seconds since 1970, rounded down; undefined where the store keeps no time. */
  modifiedSeconds(index: number): number | undefined
  /** Permission bits; 0644 for files and 0755 for folders where the store has none. */
  mode(index: number): number
  /** The member as the store listed it, to pin reads with. */
  entry(index: number): Entry
  /** Feeds everything that decides about the bytes of an archive of these members. */
  hashInto(hash: Hash): void
}

/** What a file is called that has the name of a folder beside it: as git calls the file of such a conflict. */
const ASIDE = '~file'

/** Takes members in the order of their paths' bytes, each once. */
export class ManifestBuilder {
  readonly #folder: ArtifactPath
  #capacity = 256
  #count = 0
  #contentBytes = 0
  /** Name and etag of each member, one after the other. */
  #text = Buffer.allocUnsafeSlow(256 * 64)
  #textLength = 0
  /** Where each member's name begins in `#text`, and after the last one where the next will. */
  #starts = new Float64Array(this.#capacity + 1)
  #nameLengths = new Uint16Array(this.#capacity)
  #sizes = new Float64Array(this.#capacity)
  /** Milliseconds as the store gave them, NaN for none. */
  #times = new Float64Array(this.#capacity)
  #modes = new Uint16Array(this.#capacity)
  /** Relative paths of the few members whose name in the archive is another. */
  readonly #renamed = new Map<number, ArtifactPath>()
  readonly #aside = new Set<number>()

  /** Names are relative to `folder`. */
  constructor(folder: ArtifactPath) {
    this.#folder = folder
  }

  get count(): number {
    return this.#count
  }

  get contentBytes(): number {
    return this.#contentBytes
  }

  /** `path` is the entry's, relative to the folder. */
  add(path: ArtifactPath, entry: Entry): void {
    if (this.#count === this.#capacity) this.#grow()
    const index = this.#count
    const name = memberName(path)
    if (name !== path) this.#renamed.set(index, path)
    this.#reserve(3 * (name.length + entry.etag.length) + 1)
    const start = this.#starts[index]!
    let end = start + this.#text.write(name, start)
    if (entry.type === 'directory') this.#text[end++] = SLASH
    this.#nameLengths[index] = end - start
    end += this.#text.write(entry.etag, end, 'latin1')
    this.#textLength = this.#starts[index + 1] = end
    this.#sizes[index] = entry.size
    this.#times[index] = entry.lastModifiedMs ?? Number.NaN
    this.#modes[index] = entry.mode === undefined ? NO_MODE : entry.mode & PERMISSION_BITS
    this.#contentBytes += entry.size
    this.#count++
  }

  /**
   * Gives a member that was added the name `…~file`, for a folder of its own name comes too.
   *
   * An object store can hold both; a disk cannot. With both names as they are unzip, tar and bsdtar lose what is in the folder, and Python stops there.
   */
  setAside(index: number): void {
    const start = this.#starts[index]!
    const name = this.#text.toString('utf8', start, start + this.#nameLengths[index]!)
    if (!this.#renamed.has(index)) this.#renamed.set(index, name as ArtifactPath)
    this.#aside.add(index)
  }

  finish(omitted = 0): Manifest {
    const count = this.#count
    if (this.#aside.size > 0) this.#appendAside()
    if (this.#renamed.size > 0) this.#refuseEqualNames()
    return new Columns(this.#folder, this.#contentBytes, omitted, {
      text: Buffer.from(this.#text.subarray(0, this.#textLength)),
      starts: this.#starts.slice(0, count + 1),
      nameLengths: this.#nameLengths.slice(0, count),
      sizes: this.#sizes.slice(0, count),
      times: this.#times.slice(0, count),
      modes: this.#modes.slice(0, count),
      renamed: this.#renamed,
    })
  }

  #appendAside(): void {
    const text = Buffer.allocUnsafeSlow(this.#textLength + this.#aside.size * ASIDE.length)
    let length = 0
    for (let index = 0; index < this.#count; index++) {
      const start = this.#starts[index]!
      const nameEnd = start + this.#nameLengths[index]!
      this.#starts[index] = length
      length += this.#text.copy(text, length, start, nameEnd)
      if (this.#aside.has(index)) {
        length += text.write(ASIDE, length)
        this.#nameLengths[index] = nameEnd - start + ASIDE.length
      }
      length += this.#text.copy(text, length, nameEnd, this.#starts[index + 1])
    }
    this.#text = text
    this.#textLength = this.#starts[this.#count] = length
  }

  /** A rename may meet another member, or a folder, that really has that name: when unpacked, one would overwrite the other or keep it out. */
  #refuseEqualNames(): void {
    const names = new Set<string>()
    for (let index = 0; index < this.#count; index++) {
      const start = this.#starts[index]!
      const name = this.#text.toString('utf8', start, start + this.#nameLengths[index]!)
      if (names.has(name)) throw sameName(name)
      names.add(name)
    }
    let lastFolder = ''
    for (const name of names) {
      const folder = name.slice(0, name.lastIndexOf('/') + 1)
      if (folder === lastFolder) continue
      lastFolder = folder
      for (let slash = folder.indexOf('/'); slash >= 0; slash = folder.indexOf('/', slash + 1))
        if (names.has(folder.slice(0, slash))) throw sameName(folder.slice(0, slash))
    }
  }

  #reserve(bytes: number): void {
    const needed = this.#textLength + bytes
    if (needed <= this.#text.length) return
    const text = Buffer.allocUnsafeSlow(Math.max(needed, 2 * this.#text.length))
    this.#text.copy(text, 0, 0, this.#textLength)
    this.#text = text
  }

  #grow(): void {
    this.#capacity *= 2
    this.#starts = enlarged(this.#starts, new Float64Array(this.#capacity + 1))
    this.#nameLengths = enlarged(this.#nameLengths, new Uint16Array(this.#capacity))
    this.#sizes = enlarged(this.#sizes, new Float64Array(this.#capacity))
    this.#times = enlarged(this.#times, new Float64Array(this.#capacity))
    this.#modes = enlarged(this.#modes, new Uint16Array(this.#capacity))
  }
}

function enlarged<T extends Float64Array | Uint16Array>(from: T, to: T): T {
  to.set(from)
  return to
}

/**
 * The name of a member, from its path.
 *
 * A backslash is a separator for bsdtar (on Unix too), for Windows and for Explorer, and a drive letter leads out of the folder that is unpacked into
 * (APPNOTE 4.4.17.1 allows neither in a name), so both are percent-encoded: `a\b` could otherwise overwrite `a/b`. Control characters stay:
 * readers replace or show them, and two names would become one without them. ArtifactPath has excluded the rest: absolute paths, `.` and `..`.
 */
function memberName(path: ArtifactPath): string {
  const name = path.includes('\\') ? path.replaceAll('\\', '%5C') : path
  return /^[A-Za-z]:/.test(name) ? `${name.slice(0, 1)}%3A${name.slice(2)}` : name
}

function sameName(name: string): AppError {
  return new AppError(
    'Unsupported',
    `Two artifacts would unpack as '${name}': leave one out with exclude, or archive them one at a time.`,
    { op: 'archive', path: name },
  )
}

interface ColumnData {
  readonly text: Buffer
  readonly starts: Float64Array
  readonly nameLengths: Uint16Array
  readonly sizes: Float64Array
  readonly times: Float64Array
  readonly modes: Uint16Array
  readonly renamed: ReadonlyMap<number, ArtifactPath>
}

class Columns implements Manifest {
  readonly count: number
  readonly contentBytes: number
  readonly memoryBytes: number
  readonly omitted: number
  readonly #folder: ArtifactPath
  readonly #data: ColumnData

  constructor(folder: ArtifactPath, contentBytes: number, omitted: number, data: ColumnData) {
    this.count = data.sizes.length
    this.contentBytes = contentBytes
    this.omitted = omitted
    this.#folder = folder
    this.#data = data
    this.memoryBytes = numericColumns(data).reduce((sum, column) => sum + column.byteLength, data.text.length)
  }

  name(index: number): Buffer {
    const start = this.#data.starts[index]!
    return this.#data.text.subarray(start, start + this.#data.nameLengths[index]!)
  }

  nameLength(index: number): number {
    return this.#data.nameLengths[index]!
  }

  isFolder(index: number): boolean {
    return this.#data.text[this.#data.starts[index]! + this.#data.nameLengths[index]! - 1] === SLASH
  }

  size(index: number): number {
    return this.#data.sizes[index]!
  }

  modifiedSeconds(index: number): number | undefined {
    const ms = this.#data.times[index]!
    return Number.isNaN(ms) ? undefined : Math.floor(ms / 1000)
  }

  mode(index: number): number {
    const mode = this.#data.modes[index]!
    if (mode !== NO_MODE) return mode
    return this.isFolder(index) ? 0o755 : 0o644
  }

  entry(index: number): Entry {
    const { starts, nameLengths, text, sizes, times, modes, renamed } = this.#data
    const isFolder = this.isFolder(index)
    const nameEnd = starts[index]! + nameLengths[index]!
    const path = renamed.get(index) ?? text.toString('utf8', starts[index], isFolder ? nameEnd - 1 : nameEnd)
    const ms = times[index]!
    const mode = modes[index]!
    return {
      path: joinPath(this.#folder, path as ArtifactPath),
      type: isFolder ? 'directory' : 'file',
      size: sizes[index]!,
      lastModifiedMs: Number.isNaN(ms) ? undefined : ms,
      etag: text.toString('latin1', nameEnd, starts[index + 1]),
      mode: mode === NO_MODE ? undefined : mode,
    }
  }

  hashInto(hash: Hash): void {
    for (const column of [...numericColumns(this.#data), this.#data.text]) {
      // Its length first: no shift of bytes from one column to the next gives the same input.
      hash.update(`${column.byteLength};`)
      hash.update(column)
    }
  }
}

function numericColumns(data: ColumnData): (Float64Array | Uint16Array)[] {
  return [data.starts, data.nameLengths, data.sizes, data.times, data.modes]
}
