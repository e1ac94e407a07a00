// Where the records of a log file begin and end: lines, or the objects of `{"logs":[…]}`, found in bytes that come in pieces.

/** Of a longer record only the beginning is kept: a record is held in memory, and a log has no bound. */
export const MAX_RECORD = 1024 * 1024

export interface LogRecord {
  /** As far as it is kept. */
  readonly bytes: Buffer
  /** Bytes of the file, [start, end). */
  readonly start: number
  readonly end: number
}

/** How a file is divided: `unknown` is decided by its first character. */
export type Division = 'lines' | 'objects' | 'unknown'

const NEWLINE = 0x0a
const QUOTE = 0x22
const BACKSLASH = 0x5c
const OPEN_BRACKET = 0x5b
const OPEN_BRACE = 0x7b
const CLOSE_BRACKET = 0x5d
const CLOSE_BRACE = 0x7d

/** Feed it the chunks in order, whose memory must stay as it is, and take what each one completes. */
export class RecordSplitter {
  #division: Division
  /** Where the next chunk begins in the file. */
  #offset: number
  #held: Buffer[] = []
  #heldBytes = 0
  #start: number
  #inList: boolean
  /** Brackets that are open within the list: 0 between records. */
  #depth = 0
  #inString = false
  #escaped = false

  /** From `offset` on; where that is not 0, a record begins there. */
  constructor(division: Division, offset = 0) {
    this.#division = division
    this.#offset = offset
    this.#start = offset
    this.#inList = offset > 0
  }

  /** What the file turned out to be; `unknown` only while nothing but space has come. */
  get division(): Division {
    return this.#division
  }

  *push(chunk: Buffer): Generator<LogRecord> {
    if (this.#division === 'unknown') this.#division = divisionOf(chunk)
    if (this.#division === 'lines') yield* this.#lines(chunk)
    else if (this.#division === 'objects') yield* this.#objects(chunk)
    this.#offset += chunk.length
  }

  /** What stands at the end unfinished: the last line without a line end, an object that is not closed. */
  end(): LogRecord | undefined {
    if (this.#heldBytes === 0) return undefined
    return this.#record(Buffer.alloc(0), this.#offset)
  }

  *#lines(chunk: Buffer): Generator<LogRecord> {
    let from = 0
    for (;;) {
      const to = chunk.indexOf(NEWLINE, from)
      if (to < 0) break
      yield this.#record(chunk.subarray(from, to), this.#offset + to)
      from = to + 1
      this.#start = this.#offset + from
    }
    this.#hold(chunk.subarray(from))
  }

  *#objects(chunk: Buffer): Generator<LogRecord> {
    let from = this.#depth > 0 ? 0 : -1
    for (let i = 0; i < chunk.length; i++) {
      const byte = chunk[i]!
      if (this.#inString) {
        if (this.#escaped) this.#escaped = false
        else if (byte === BACKSLASH) this.#escaped = true
        else if (byte === QUOTE) this.#inString = false
      } else if (byte === QUOTE) {
        this.#inString = true
      } else if (!this.#inList) {
        this.#inList = byte === OPEN_BRACKET
      } else if (byte === OPEN_BRACE || byte === OPEN_BRACKET) {
        if (this.#depth++ > 0) continue
        from = i
        this.#start = this.#offset + i
      } else if (byte === CLOSE_BRACE || byte === CLOSE_BRACKET) {
        if (this.#depth === 0) this.#inList = false
        if (this.#depth === 0 || --this.#depth > 0) continue
        yield this.#record(chunk.subarray(from, i + 1), this.#offset + i + 1)
        from = -1
      }
    }
    if (from >= 0) this.#hold(chunk.subarray(from))
  }

  #hold(bytes: Buffer): void {
    if (this.#heldBytes <= MAX_RECORD && bytes.length > 0) this.#held.push(bytes)
    this.#heldBytes += bytes.length
  }

  #record(last: Buffer, end: number): LogRecord {
    this.#hold(last)
    const bytes = this.#held.length === 1 ? this.#held[0]! : Buffer.concat(this.#held)
    this.#held = []
    this.#heldBytes = 0
    return {
      bytes: bytes.length > MAX_RECORD ? bytes.subarray(0, MAX_RECORD) : bytes,
      start: this.#start,
      end,
    }
  }
}

/** A file that begins like JSON holds objects; any other one is text. */
function divisionOf(chunk: Buffer): Division {
  for (const byte of chunk) {
    if (byte === OPEN_BRACE || byte === OPEN_BRACKET) return 'objects'
    // Space, and the bytes of a byte order mark.
    if (byte > 0x20 && byte !== 0xef && byte !== 0xbb && byte !== 0xbf) return 'lines'
  }
  return 'unknown'
}
