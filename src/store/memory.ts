// A store in memory: the contract in its simplest form, and the reference that the others are compared with.
import { checkRange, storeError, throwIfAborted } from './failure.ts'
import { ROOT, compareUtf8, covers, parentOf, type ArtifactPath } from './path.ts'
import { prefixed } from './prefixed.ts'
import {
  holds,
  listKey,
  type ArtifactStore,
  type Capabilities,
  type CreateOptions,
  type Entry,
  type ListOptions,
  type OpenArtifact,
  type OpenOptions,
  type PendingArtifact,
  type Precondition,
  type ReadOptions,
  type Removal,
  type RemoveAllOptions,
  type RemoveOptions,
} from './store.ts'

interface MemoryFile {
  bytes: Uint8Array
  etag: string
  lastModifiedMs: number
  /** Set when the bytes were replaced or cut rather than appended to. */
  rewritten: boolean
}

const BATCH_ENTRIES = 1000
const CHUNK_BYTES = 256 * 1024

export class MemoryStore implements ArtifactStore {
  readonly capabilities: Capabilities = {
    emptyDirectories: true,
    modes: false,
    links: false,
    changesInPlace: true,
    latency: 'disk',
  }
  readonly #files = new Map<ArtifactPath, MemoryFile>()
  readonly #directories = new Map<ArtifactPath, number>([[ROOT, Date.now()]])
  #versions = 0

  /** Creates or replaces a file, and the folders above it. What has it open sees Changed. */
  write(path: ArtifactPath, bytes: Uint8Array, options: { readonly lastModifiedMs?: number } = {}): void {
    this.makeDirectory(parentOf(path))
    this.#forget(path)
    this.#files.set(path, {
      bytes: Buffer.from(bytes),
      etag: this.#nextEtag(),
      lastModifiedMs: options.lastModifiedMs ?? Date.now(),
      rewritten: false,
    })
  }

  /** Adds to the end of an existing file. */
  append(path: ArtifactPath, bytes: Uint8Array): void {
    const file = this.#fileAt(path)
    file.bytes = Buffer.concat([file.bytes, bytes])
    file.etag = this.#nextEtag()
    file.lastModifiedMs = Date.now()
  }

  makeDirectory(path: ArtifactPath): void {
    for (let folder = path; folder !== ROOT; folder = parentOf(folder))
      if (!this.#directories.has(folder)) this.#directories.set(folder, Date.now())
  }

  /** Removes the file or the folder with everything in it, if there is one. */
  forget(path: ArtifactPath): void {
    for (const each of this.#files.keys()) if (covers(path, each)) this.#forget(each)
    for (const each of this.#directories.keys())
      if (each !== ROOT && covers(path, each)) this.#directories.delete(each)
  }

  stat(path: ArtifactPath, options: { readonly signal?: AbortSignal } = {}): Promise<Entry> {
    return new Promise(resolve => {
      throwIfAborted(options.signal, 'stat', path)
      const entry = this.#entryAt(path)
      if (entry === undefined) throw storeError('NotFound', 'stat', path)
      resolve(entry)
    })
  }

  async *list(
    folder: ArtifactPath,
    options: ListOptions = {},
  ): AsyncGenerator<readonly Entry[], void, undefined> {
    throwIfAborted(options.signal, 'list', folder)
    if (!this.#directories.has(folder))
      throw storeError(this.#files.has(folder) ? 'NotDirectory' : 'NotFound', 'list', folder)
    const after = options.after ?? ''
    const entries = [...this.#files.keys(), ...this.#directories.keys()]
      .filter(path => path !== folder && covers(folder, path))
      .filter(path => options.recursive === true || parentOf(path) === folder)
      .map(path => this.#entryAt(path)!)
      .filter(entry => compareUtf8(listKey(folder, entry), after) > 0)
      .sort((a, b) => compareUtf8(listKey(folder, a), listKey(folder, b)))
      .slice(0, options.limit)
    for (let i = 0; i < entries.length; i += BATCH_ENTRIES) {
      throwIfAborted(options.signal, 'list', folder)
      yield entries.slice(i, i + BATCH_ENTRIES)
    }
  }

  open(path: ArtifactPath, options: OpenOptions = {}): Promise<OpenArtifact> {
    return new Promise(resolve => {
      throwIfAborted(options.signal, 'open', path)
      if (this.#directories.has(path)) throw storeError('IsDirectory', 'open', path)
      const file = this.#files.get(path)
      if (file === undefined) throw storeError('NotFound', 'open', path)
      if (options.pin !== undefined && options.pin.etag !== file.etag)
        throw storeError('Changed', 'open', path)
      resolve(new MemoryArtifact(this.#entryAt(path)!, file, options.pin !== undefined))
    })
  }

  create(path: ArtifactPath, options: CreateOptions = {}): Promise<PendingArtifact> {
    return new Promise(resolve => {
      throwIfAborted(options.signal, 'write', path)
      this.#checkPlace(path)
      resolve(this.#pending(path, options))
    })
  }

  checkWritable(): Promise<void> {
    return Promise.resolve()
  }

  remove(path: ArtifactPath, options: RemoveOptions = {}): Promise<void> {
    return new Promise(resolve => {
      throwIfAborted(options.signal, 'remove', path)
      if (this.#directories.has(path)) throw storeError('IsDirectory', 'remove', path)
      if (!this.#files.has(path)) throw storeError('NotFound', 'remove', path)
      this.#checkPrecondition(path, 'remove', options.precondition)
      this.#forget(path)
      this.#prune(parentOf(path), options.pruneBelow)
      resolve()
    })
  }

  removeAll(path: ArtifactPath, options: RemoveAllOptions = {}): Promise<Removal> {
    return new Promise(resolve => {
      throwIfAborted(options.signal, 'remove', path)
      if (path === ROOT) throw storeError('InvalidArgument', 'remove', path)
      if (this.#files.has(path)) throw storeError('NotDirectory', 'remove', path)
      if (!this.#directories.has(path)) throw storeError('NotFound', 'remove', path)
      const removed = [...this.#files.keys()].filter(each => covers(path, each)).length
      this.forget(path)
      options.onProgress?.()
      this.#prune(parentOf(path), options.pruneBelow)
      resolve({ removed, failures: [] })
    })
  }

  scoped(folder: ArtifactPath): ArtifactStore {
    return prefixed(this, folder)
  }

  close(): Promise<void> {
    return Promise.resolve()
  }

  #pending(path: ArtifactPath, { precondition, signal }: CreateOptions): PendingArtifact {
    const chunks: Uint8Array[] = []
    return {
      write: async chunk => {
        throwIfAborted(signal, 'write', path)
        chunks.push(Buffer.from(chunk))
      },
      complete: async () => {
        throwIfAborted(signal, 'write', path)
        this.#checkPlace(path)
        this.#checkPrecondition(path, 'write', precondition)
        this.write(path, Buffer.concat(chunks))
        return this.#entryAt(path)!
      },
      abort: async () => {
        chunks.length = 0
      },
    }
  }

  /** Whether a file can be at `path`. */
  #checkPlace(path: ArtifactPath): void {
    if (this.#directories.has(path)) throw storeError('IsDirectory', 'write', path)
    for (let folder = parentOf(path); folder !== ROOT; folder = parentOf(folder))
      if (this.#files.has(folder)) throw storeError('NotDirectory', 'write', path)
  }

  #checkPrecondition(
    path: ArtifactPath,
    operation: 'write' | 'remove',
    precondition: Precondition | undefined,
  ): void {
    if (!holds(precondition, this.#files.get(path)?.etag)) throw storeError('Changed', operation, path)
  }

  #prune(folder: ArtifactPath, below = ROOT): void {
    for (let each = folder; each !== ROOT && each !== below; each = parentOf(each)) {
      const isEmpty = ![...this.#files.keys(), ...this.#directories.keys()].some(
        path => path !== each && covers(each, path),
      )
      if (!isEmpty) return
      this.#directories.delete(each)
    }
  }

  #entryAt(path: ArtifactPath): Entry | undefined {
    const file = this.#files.get(path)
    if (file !== undefined) {
      const { bytes, etag, lastModifiedMs } = file
      return { path, type: 'file', size: bytes.length, lastModifiedMs, etag, mode: undefined }
    }
    const lastModifiedMs = this.#directories.get(path)
    if (lastModifiedMs === undefined) return undefined
    return { path, type: 'directory', size: 0, lastModifiedMs, etag: '', mode: undefined }
  }

  #fileAt(path: ArtifactPath): MemoryFile {
    const file = this.#files.get(path)
    if (file === undefined) throw storeError('NotFound', 'open', path)
    return file
  }

  #forget(path: ArtifactPath): void {
    const file = this.#files.get(path)
    if (file !== undefined) file.rewritten = true
    this.#files.delete(path)
  }

  #nextEtag(): string {
    this.#versions += 1
    return `m${this.#versions.toString(36)}`
  }
}

class MemoryArtifact implements OpenArtifact {
  readonly entry: Entry
  readonly #file: MemoryFile
  readonly #pinned: boolean
  #closed = false

  constructor(entry: Entry, file: MemoryFile, pinned: boolean) {
    this.entry = entry
    this.#file = file
    this.#pinned = pinned
  }

  async *read(
    start: number,
    end: number,
    options: ReadOptions = {},
  ): AsyncGenerator<Uint8Array, void, undefined> {
    const { path } = this.entry
    checkRange(path, start, end, this.entry.size)
    this.#check(options.signal)
    for (let position = start; position < end;) {
      const wanted = Math.min(end - position, CHUNK_BYTES)
      const buffer = options.buffers?.take() ?? Buffer.allocUnsafe(wanted)
      const chunk = buffer.subarray(0, Math.min(buffer.length, wanted))
      chunk.set(this.#file.bytes.subarray(position, position + chunk.length))
      this.#check(options.signal)
      position += chunk.length
      yield chunk
    }
  }

  close(): Promise<void> {
    this.#closed = true
    return Promise.resolve()
  }

  #check(signal: AbortSignal | undefined): void {
    const { path, etag } = this.entry
    if (this.#closed) throw storeError('Aborted', 'read', path)
    throwIfAborted(signal, 'read', path)
    if (this.#file.rewritten || (this.#pinned && this.#file.etag !== etag))
      throw storeError('Changed', 'read', path)
  }
}
