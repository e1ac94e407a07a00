// A store whose contents are computed, so that a member can be larger than any disk, and whose faults are switched on by a test.
import { AppError } from '../../src/errors.ts'
import { compareUtf8, covers, parentOf, parsePath, ROOT, type ArtifactPath } from '../../src/store/path.ts'
import type {
  ReadableStore,
  Capabilities,
  Entry,
  ListOptions,
  OpenArtifact,
  OpenOptions,
  ReadOptions,
} from '../../src/store/store.ts'
import { listKey } from '../../src/store/store.ts'

interface Node {
  readonly entry: Entry
  readonly fill: (target: Uint8Array, position: number) => void
}

export interface FileOptions {
  readonly lastModifiedMs?: number | undefined
  readonly mode?: number | undefined
  readonly unreadable?: 'permission' | 'name'
}

/** 2023-11-14T22:13:21Z, an odd second, so that the two seconds of DOS times show. */
export const TIME_MS = 1_700_000_001_500

export class SyntheticStore implements ReadableStore {
  readonly capabilities: Capabilities
  /** Called before each chunk; may wait, fail, or change the store. */
  onRead: (path: ArtifactPath, position: number, signal: AbortSignal | undefined) => Promise<void> | void =
    () => undefined
  /** What the store says about a file's checksum, if anything. Without it, the store cannot be asked. */
  storedCrc32:
    ((path: ArtifactPath, signal: AbortSignal | undefined) => Promise<number | undefined>) | undefined
  /** Artifacts that a list leaves out. */
  omitted = 0
  chunkBytes = 100_000
  batchEntries = 1000
  opened = 0
  closed = 0
  bytesRead = 0
  checksumsAsked = 0
  maxOpen = 0
  /** By path, a folder's with a slash at its end: a file may have the name of a folder, as in an object store. */
  readonly #nodes = new Map<string, Node>()
  #version = 0

  constructor(capabilities: Partial<Capabilities> = {}) {
    this.capabilities = {
      emptyDirectories: true,
      modes: true,
      links: false,
      changesInPlace: true,
      latency: 'disk',
      ...capabilities,
    }
  }

  file(path: string, content: string | Uint8Array, options: FileOptions = {}): this {
    const bytes = Buffer.from(content)
    return this.synthetic(
      path,
      bytes.length,
      (target, position) => target.set(bytes.subarray(position, position + target.length)),
      options,
    )
  }

  synthetic(path: string, size: number, fill: Node['fill'], options: FileOptions = {}): this {
    return this.#add(parsePath(path), 'file', size, fill, options)
  }

  folder(path: string, options: FileOptions = {}): this {
    return this.#add(parsePath(path), 'directory', 0, () => undefined, options)
  }

  delete(path: string): this {
    this.#nodes.delete(parsePath(path))
    this.#nodes.delete(`${path}/`)
    return this
  }

  #add(
    path: ArtifactPath,
    type: Entry['type'],
    size: number,
    fill: Node['fill'],
    options: FileOptions,
  ): this {
    for (let parent = parentOf(path); parent !== ROOT; parent = parentOf(parent))
      if (!this.#nodes.has(`${parent}/`)) this.folder(parent)
    const entry = {
      path,
      type,
      size,
      lastModifiedMs: 'lastModifiedMs' in options ? options.lastModifiedMs : TIME_MS,
      etag: type === 'file' ? `v${++this.#version}` : '',
      mode: options.mode,
      ...(options.unreadable && { unreadable: options.unreadable }),
    }
    this.#nodes.set(type === 'directory' ? `${path}/` : path, { entry, fill })
    return this
  }

  stat(path: ArtifactPath): Promise<Entry> {
    const entry =
      path === ROOT
        ? { path, type: 'directory' as const, size: 0, lastModifiedMs: 0, etag: '', mode: 0o755 }
        : (this.#nodes.get(path) ?? this.#nodes.get(`${path}/`))?.entry
    return entry ? Promise.resolve(entry) : Promise.reject(new AppError('NotFound', 'There is nothing here.'))
  }

  async *list(folder: ArtifactPath, options: ListOptions = {}): AsyncGenerator<readonly Entry[], void> {
    const { type } = await this.stat(folder)
    if (type === 'file' && !this.#nodes.has(`${folder}/`))
      throw new AppError('NotDirectory', 'This is a file.')
    const entries = [...this.#nodes.values()]
      .map(node => node.entry)
      .filter(entry => entry.path !== folder && covers(folder, entry.path))
      .filter(entry => options.recursive === true || parentOf(entry.path) === folder)
      .map(entry => ({ key: listKey(folder, entry), entry }))
      .sort((a, b) => compareUtf8(a.key, b.key))
      .map(({ entry }) => entry)
      .slice(0, options.limit)
    if (this.omitted > 0) options.onOmitted?.(this.omitted)
    for (let i = 0; i < entries.length; i += this.batchEntries) yield entries.slice(i, i + this.batchEntries)
  }

  open(path: ArtifactPath, { pin }: OpenOptions = {}): Promise<OpenArtifact> {
    const node = this.#nodes.get(path)
    if (node === undefined) return Promise.reject(new AppError('NotFound', 'There is nothing here.'))
    if (pin !== undefined && pin.etag !== node.entry.etag)
      return Promise.reject(new AppError('Changed', 'It changed.'))
    this.opened++
    this.maxOpen = Math.max(this.maxOpen, this.opened - this.closed)
    let isOpen = true
    return Promise.resolve({
      entry: node.entry,
      read: (start: number, end: number, options?: ReadOptions) =>
        this.#read(path, node, start, end, options),
      ...(this.storedCrc32 && { storedCrc32: this.#askChecksum(path, this.storedCrc32) }),
      close: () => {
        if (isOpen) this.closed++
        isOpen = false
        return Promise.resolve()
      },
    })
  }

  #askChecksum(
    path: ArtifactPath,
    answer: NonNullable<SyntheticStore['storedCrc32']>,
  ): NonNullable<OpenArtifact['storedCrc32']> {
    return ({ signal } = {}) => {
      this.checksumsAsked++
      return answer(path, signal)
    }
  }

  async *#read(
    path: ArtifactPath,
    node: Node,
    start: number,
    end: number,
    options: ReadOptions = {},
  ): AsyncGenerator<Uint8Array, void> {
    for (let position = start; position < end;) {
      await this.onRead(path, position, options.signal)
      if (options.signal?.aborted === true) throw new AppError('Aborted', 'Not wanted any more.')
      if (this.#nodes.get(path)?.entry.etag !== node.entry.etag) throw new AppError('Changed', 'It changed.')
      const memory =
        options.buffers?.take() ?? Buffer.allocUnsafeSlow(Math.min(this.chunkBytes, end - position))
      const chunk = memory.subarray(0, Math.min(memory.length, end - position))
      node.fill(chunk, position)
      this.bytesRead += chunk.length
      position += chunk.length
      yield chunk
    }
  }

  scoped(): ReadableStore {
    throw new Error('No test looks at a part of this store.')
  }

  close(): Promise<void> {
    return Promise.resolve()
  }
}

/** Content that differs at every position a test may mix up, and is cheap to make. */
export function pattern(seed: number): Node['fill'] {
  return (target, position) => {
    for (let i = 0; i < target.length; i++)
      target[i] = ((position + i) * 31 + ((position + i) >>> 8) * 7 + seed) & 0xff
  }
}

export const zeros: Node['fill'] = target => target.fill(0)

/** Content that no compressor makes smaller. */
export const noise: Node['fill'] = (target, position) => {
  for (let i = 0; i < target.length; i++) {
    const mixed = Math.imul((position + i) ^ ((position + i) >>> 15), 0x2c1b3c6d)
    target[i] = Math.imul(mixed ^ (mixed >>> 12), 0x297a2d39) >>> 24
  }
}
