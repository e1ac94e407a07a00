// The log files of a folder in blocks of bounded size, each with the span of its times: what is needed to merge logs of any length in order without holding them.
import { AppError, isAppError } from '../errors.ts'
import { nameOf } from '../store/path.ts'
import type { ArtifactPath } from '../store/path.ts'
import type { Entry, OpenArtifact, ReadableStore } from '../store/store.ts'
import { divisionIn, isComplete, logFormatOf, parseLine, rawLine, renderLine, timeOf } from './log-lines.ts'
import type { LogFormat } from './log-lines.ts'
import { MAX_RECORD, RecordSplitter } from './log-records.ts'
import type { Division, LogRecord } from './log-records.ts'
import { Slices } from './slices.ts'

/** Large enough that a request to an object store for each is no matter, small enough to hold many. */
const BLOCK_BYTES = 512 * 1024
/** A line takes some memory however short it is. */
const BLOCK_LINES = 8 * 1024
/** Of a record that is too long, so much is shown. */
const SHOWN_BYTES = 64 * 1024
/** Files open at once, for a run may have had more pods than a process may have descriptors. */
const MAX_OPEN = 16
const SCANS = 8

export interface LogFile {
  readonly path: ArtifactPath
  readonly format: LogFormat
  readonly division: Division
}

/**
 * Neighbouring records of a file. A line without a time has that of the line before it, so that it stays where it is.
 *
 * Nothing is said about the order of the lines in a block, or of the blocks in a file: containers of a pod come one after another in its file, and two streams of one container only roughly in order.
 */
export interface LogBlock {
  readonly file: LogFile
  /** Its place among all blocks of the folder, by file and place in the file. */
  order: number
  readonly start: number
  end: number
  /** Microseconds of the earliest and the latest line; -Infinity for lines before the first time in a file. */
  first: number
  last: number
  /** The time that lines at its beginning without one have. */
  readonly before: number
  /** Whether it is one record of which only the beginning is shown. */
  readonly isCut: boolean
}

/** The lines of a block in order of time. */
export interface BlockLines {
  readonly times: readonly number[]
  /** As JSON. */
  render(index: number): string
}

export interface LogFolder {
  /** In the order of their first times; of equal ones, in the order of the names and places. */
  readonly blocks: readonly LogBlock[]
  /** Names of all files, whether they hold lines or not. */
  readonly names: readonly string[]
}

export interface ScanOptions {
  /** Whether its files are still written: a last record that is not whole yet is then left for the next time. */
  readonly live: boolean
  readonly signal: AbortSignal
}

/** The log files of `store` in use. The owner closes it. */
export class LogFiles {
  readonly #store: ReadableStore
  /** The one that was used last at the end. */
  readonly #open = new Map<ArtifactPath, OpenArtifact>()
  readonly #entries = new Map<ArtifactPath, Entry>()

  constructor(store: ReadableStore) {
    this.#store = store
  }

  /** Reads every file directly in `folder` once; a folder that does not exist is empty. */
  async scan(folder: ArtifactPath, { live, signal }: ScanOptions): Promise<LogFolder> {
    const paths = await this.#list(folder, signal)
    const tables: LogBlock[][] = []
    const stop = new AbortController()
    const options = { live, signal: AbortSignal.any([signal, stop.signal]) }
    const waiting = paths.entries()
    const scans = Array.from({ length: SCANS }, async () => {
      for (const [index, path] of waiting) tables[index] = await this.#scanFile(path, options)
    })
    try {
      await Promise.all(scans)
    } catch (error) {
      stop.abort(error)
      await Promise.allSettled(scans)
      throw error
    }
    const blocks = tables.flat()
    for (const [order, block] of blocks.entries()) block.order = order
    return { blocks: blocks.sort((a, b) => a.first - b.first || 0), names: paths.map(nameOf) }
  }

  async read(block: LogBlock, signal: AbortSignal): Promise<BlockLines> {
    const { file, start, end, isCut } = block
    const artifact = await this.#artifact(file.path, signal)
    const wanted = isCut ? Math.min(start + SHOWN_BYTES, end) : end
    if (artifact.entry.size < end) throw changed(file.path)
    const bytes = await gather(artifact.read(start, wanted, { signal }))
    return isCut ? cutLine(block, bytes) : linesOf(block, bytes)
  }

  async close(): Promise<void> {
    const open = [...this.#open.values()]
    this.#open.clear()
    await Promise.all(open.map(artifact => artifact.close()))
  }

  async #list(folder: ArtifactPath, signal: AbortSignal): Promise<ArtifactPath[]> {
    const paths: ArtifactPath[] = []
    try {
      for await (const batch of this.#store.list(folder, { signal }))
        for (const { type, path } of batch) if (type === 'file') paths.push(path)
    } catch (error) {
      if (!isAppError(error, 'NotFound', 'NotDirectory')) throw error
    }
    return paths
  }

  async #scanFile(path: ArtifactPath, options: ScanOptions): Promise<LogBlock[]> {
    const { signal } = options
    const artifact = await this.#store.open(path, { signal }).catch((error: unknown) => {
      // It has gone since it was listed: live logs go when a run ends.
      if (isAppError(error, 'NotFound')) return undefined
      throw error
    })
    if (artifact === undefined) return []
    try {
      return await blocksOf(artifact, path, options)
    } finally {
      // Only now, for what is kept may be closed to make room.
      this.#entries.set(path, artifact.entry)
      await this.#keep(path, artifact)
    }
  }

  /** Opens it where it is not open any more. What is read must be what was scanned, except that more may have come. */
  async #artifact(path: ArtifactPath, signal: AbortSignal): Promise<OpenArtifact> {
    const open = this.#open.get(path)
    if (open !== undefined) {
      this.#open.delete(path)
      this.#open.set(path, open)
      return open
    }
    const pin = this.#store.capabilities.changesInPlace ? undefined : this.#entries.get(path)
    const artifact = await this.#store
      .open(path, pin ? { pin, signal } : { signal })
      .catch((error: unknown) => {
        throw isAppError(error, 'NotFound') ? changed(path, error) : error
      })
    await this.#keep(path, artifact)
    return artifact
  }

  async #keep(path: ArtifactPath, artifact: OpenArtifact): Promise<void> {
    this.#open.set(path, artifact)
    const [oldest] = this.#open
    if (oldest === undefined || this.#open.size <= MAX_OPEN) return
    this.#open.delete(oldest[0])
    await oldest[1].close()
  }
}

async function blocksOf(
  artifact: OpenArtifact,
  path: ArtifactPath,
  { live, signal }: ScanOptions,
): Promise<LogBlock[]> {
  const format = logFormatOf(nameOf(path))
  const splitter = new RecordSplitter(divisionIn(format))
  const table = new BlockTable(path, format)
  const slices = new Slices()
  for await (const chunk of artifact.read(0, artifact.entry.size, { signal })) {
    for (const record of splitter.push(bufferOf(chunk))) {
      table.add(record, splitter.division)
      if (slices.due) await slices.rest()
    }
    if (slices.due) await slices.rest()
  }
  const last = splitter.end()
  if (last !== undefined && !(live && !isComplete(format, last.bytes))) table.add(last, splitter.division)
  return table.blocks
}

/** Gathers the records of one file into blocks. */
class BlockTable {
  readonly blocks: LogBlock[] = []
  readonly #path: ArtifactPath
  readonly #format: LogFormat
  #file: LogFile | undefined
  #time = -Infinity
  /** Of the block that is being gathered. */
  #lines = 0

  constructor(path: ArtifactPath, format: LogFormat) {
    this.#path = path
    this.#format = format
  }

  add({ bytes, start, end }: LogRecord, division: Division): void {
    const isCut = end - start > MAX_RECORD
    const found = timeOf(this.#format, bytes)
    if (found === 'blank' && !isCut) return
    const before = this.#time
    if (typeof found === 'number') this.#time = found
    const current = this.blocks.at(-1)
    const isFull = current !== undefined && (end - current.start > BLOCK_BYTES || this.#lines === BLOCK_LINES)
    if (current === undefined || isCut || current.isCut || isFull) {
      this.#lines = 1
      this.#file ??= { path: this.#path, format: this.#format, division }
      const time = this.#time
      this.blocks.push({ file: this.#file, order: 0, start, end, first: time, last: time, before, isCut })
      return
    }
    this.#lines++
    current.end = end
    current.first = Math.min(current.first, this.#time)
    current.last = Math.max(current.last, this.#time)
  }
}

function linesOf({ file, start, before }: LogBlock, bytes: Buffer): BlockLines {
  const splitter = new RecordSplitter(file.division, start)
  // Numbers only: many blocks are held at once, and an object for each line would be larger than the line.
  const times: number[] = []
  const starts: number[] = []
  const ends: number[] = []
  let latest = before
  const add = (record: LogRecord): void => {
    const time = timeOf(file.format, record.bytes)
    if (time === 'blank') return
    if (typeof time === 'number') latest = time
    times.push(latest)
    starts.push(record.start - start)
    ends.push(record.end - start)
  }
  for (const record of splitter.push(bytes)) add(record)
  const last = splitter.end()
  if (last !== undefined) add(last)
  const order = Uint32Array.from(times.keys()).sort((a, b) => times[a]! - times[b]! || a - b)
  return {
    times: Array.from(order, line => times[line]!),
    render(index) {
      const line = order[index]!
      return renderLine(parseLine(file.format, bytes.subarray(starts[line], ends[line])) ?? rawLine(''))
    },
  }
}

function cutLine({ start, end, first }: LogBlock, bytes: Buffer): BlockLines {
  const note = `… (a line of ${end - start} bytes, of which this is the beginning)`
  return { times: [first], render: () => renderLine(rawLine(`${bytes.toString()}${note}`)) }
}

async function gather(chunks: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const gathered: Uint8Array[] = []
  for await (const chunk of chunks) gathered.push(chunk)
  return gathered.length === 1 ? bufferOf(gathered[0]!) : Buffer.concat(gathered)
}

function bufferOf({ buffer, byteOffset, byteLength }: Uint8Array): Buffer {
  return Buffer.from(buffer, byteOffset, byteLength)
}

function changed(path: ArtifactPath, cause?: unknown): AppError {
  return new AppError('Changed', 'The log was cut or removed while it was read.', { op: 'read', path, cause })
}
