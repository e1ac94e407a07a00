// Frames HTTP/1.1 responses out of raw socket reads: enough of RFC 9112 for the servers that are measured, and cheap enough to
// leave the machine to them. node:http as a client would cost more than the servers it measures.

export interface ResponseHead {
  readonly status: number
  /** Bytes of the body; undefined for a body in chunks or until the connection closes. */
  readonly contentLength: number | undefined
  readonly text: string
}

export interface ResponseEvents {
  head(head: ResponseHead): void
  /** A part of the body; its memory is reused after the call. */
  body(bytes: Buffer): void
  /** The response is complete; the next one may follow on the same connection. */
  end(): void
}

type State = 'head' | 'sized' | 'chunk-size' | 'chunk' | 'chunk-end' | 'trailer' | 'until-close'

const HEAD_END = Buffer.from('\r\n\r\n')
const LINE_END = Buffer.from('\r\n')
const MAX_LINE_BYTES = 64 * 1024

export class ResponseReader {
  readonly #events: ResponseEvents
  #state: State = 'head'
  /** Bytes of the sized body or of the current chunk that are still to come. */
  #remaining = 0
  /** The beginning of a head or line whose end has not been read yet. */
  #pending: Buffer | undefined

  constructor(events: ResponseEvents) {
    this.#events = events
  }

  /** Takes what one read gave. Throws when it is not an HTTP/1.1 response. */
  push(bytes: Buffer): void {
    let rest = bytes
    while (rest.length > 0) rest = this.#isBody() ? this.#takeBody(rest) : this.#takeLine(rest)
  }

  /** The peer closed the connection. Throws when the response is not complete. */
  close(): void {
    if (this.#state === 'until-close') this.#finish()
    else if (this.#state !== 'head' || this.#pending !== undefined)
      throw new Error('the connection was closed in the middle of a response')
  }

  #isBody(): boolean {
    return this.#state === 'sized' || this.#state === 'chunk' || this.#state === 'until-close'
  }

  #takeBody(bytes: Buffer): Buffer {
    if (this.#state === 'until-close') {
      this.#events.body(bytes)
      return bytes.subarray(bytes.length)
    }
    const part = bytes.length <= this.#remaining ? bytes : bytes.subarray(0, this.#remaining)
    this.#remaining -= part.length
    this.#events.body(part)
    if (this.#remaining === 0) {
      if (this.#state === 'sized') this.#finish()
      else this.#state = 'chunk-end'
    }
    return bytes.subarray(part.length)
  }

  /** Takes a head or one line of the chunked coding, or keeps what there is of it. */
  #takeLine(bytes: Buffer): Buffer {
    const all = this.#pending === undefined ? bytes : Buffer.concat([this.#pending, bytes])
    const terminator = this.#state === 'head' ? HEAD_END : LINE_END
    const end = all.indexOf(terminator)
    if (end < 0) {
      if (all.length > MAX_LINE_BYTES) throw new Error('no end of a response head within 64 KiB')
      // A copy, because the memory that was read into is reused.
      this.#pending = Buffer.from(all)
      return bytes.subarray(bytes.length)
    }
    this.#pending = undefined
    this.#line(all.toString('latin1', 0, end))
    return all.subarray(end + terminator.length)
  }

  #line(line: string): void {
    switch (this.#state) {
      case 'head':
        this.#beginBody(parseHead(line))
        return
      case 'chunk-size':
        this.#remaining = Number.parseInt(line, 16)
        if (Number.isNaN(this.#remaining)) throw new Error(`not a chunk size: ${JSON.stringify(line)}`)
        this.#state = this.#remaining === 0 ? 'trailer' : 'chunk'
        return
      case 'chunk-end':
        this.#state = 'chunk-size'
        return
      default:
        // An empty line ends the trailer section (RFC 9112 7.1.2).
        if (line === '') this.#finish()
    }
  }

  #beginBody(head: ResponseHead): void {
    this.#events.head(head)
    if (/\r\ntransfer-encoding: *chunked/i.test(head.text)) this.#state = 'chunk-size'
    else if (head.contentLength === undefined) this.#state = 'until-close'
    else if (head.contentLength === 0) this.#finish()
    else {
      this.#state = 'sized'
      this.#remaining = head.contentLength
    }
  }

  #finish(): void {
    this.#state = 'head'
    this.#events.end()
  }
}

function parseHead(text: string): ResponseHead {
  const status = /^HTTP\/1\.1 (\d{3}) /.exec(text)
  if (status === null) throw new Error(`not an HTTP/1.1 status line: ${JSON.stringify(text.slice(0, 80))}`)
  const length = /\r\ncontent-length: *(\d+)/i.exec(text)
  return { status: Number(status[1]), contentLength: length === null ? undefined : Number(length[1]), text }
}
