// Forms with files (multipart/form-data, RFC 7578), by multer: nothing else knows of it. No file is held here or put on the disk: each goes on as it comes.
import type { Request, Response } from 'express'
import multer from 'multer'
import { EventEmitter } from 'node:events'
import type { IncomingHttpHeaders } from 'node:http'
import type { Readable, Writable } from 'node:stream'
import { AppError } from '../errors.ts'
import type { ErrorKind } from '../errors.ts'
import { bodyBytes } from './body.ts'
import { toAppError } from './problem.ts'
import { pour } from './receive.ts'
import type { Sink } from './receive.ts'
import type { Pace } from './upload-pace.ts'

const KiB = 1024
const MAX_FILES = 1_000
const MAX_FIELDS = 100
const MAX_FIELD_BYTES = 64 * KiB
const MAX_FIELD_NAME_BYTES = 200
const MAX_FIELD_DEPTH = 8
/** What a form may have besides the bytes that were taken: fields, heads of parts, and what is left of files that were refused, to get to the next one. */
const MAX_SURPLUS_BYTES = 64 * KiB * KiB

/** A file of a form, whose bytes come now. */
export interface FormFile {
  /** What the form calls the field that it is the value of. */
  readonly field: string
  /** As the client calls it, with its folders, if it is not empty. */
  readonly name: string
  /** The Content-Transfer-Encoding, in lower case; `7bit` where there is none. The bytes have it still. */
  readonly coding: string
  /** Fail with InvalidArgument where the form ends before the file does. What is not read is passed over. */
  readonly bytes: AsyncIterable<Uint8Array>
}

/** What is no file. */
export interface FormField {
  readonly name: string
  readonly value: string
}

export interface FormOptions {
  /** How long the body may yield nothing. The time that files take to be taken does not count. */
  readonly idleMs: number
  readonly pace?: Pace | undefined
  readonly signal: AbortSignal
  /** Called for what is no file, in its place among the files; ignored by default. Must not fail. */
  readonly takeField?: (field: FormField) => void
}

/** Whether the body says that it is a form with files. */
export function isForm({ 'content-type': type = '' }: IncomingHttpHeaders): boolean {
  return /^[ \t]*multipart\/form-data[ \t]*(?:;|$)/i.test(type)
}

/**
 * Asks for the body of a request and gives its files to `take`, one after the other in their order. Resolves when the form has come to its end and all files are taken.
 *
 * When `take` fails for a reason that is the file's own (its name, its size, what is in its place), the next file follows; with every other failure the form ends. InvalidArgument for
 * a body that is no form, or not whole, TooLarge for one with too many files or fields, otherwise as `pour`. When it fails, no file is being taken any more.
 */
export async function receiveForm(
  request: Request,
  response: Response,
  { idleMs, pace, signal, takeField }: FormOptions,
  take: (file: FormFile) => Promise<void>,
): Promise<void> {
  const files = new Files(take, takeField)
  const head = new Head(request.headers)
  const { parser, parsed } = parse(head, response, files)
  if (parser === undefined) {
    await parsed
    throw fault('Its Content-Type cannot be read.')
  }
  const over = new AbortController()
  const ended = AbortSignal.any([signal, over.signal])
  const body = bodyBytes(request, response)
  const poured = pour(body, sinkOf(parser, files, ended), { maxBytes: Infinity, idleMs, pace, signal: ended })
  const fed = poured.then(() => void parser.end())
  // Each ends the other one.
  parsed.catch((error: unknown) => over.abort(error))
  fed.catch((error: unknown) => head.emit('error', error))
  try {
    await Promise.all([parsed, fed])
  } finally {
    parser.destroy()
    await files.settled()
  }
}

/**
 * What multer gets for the request. It would read a request to its end before it reports what is wrong with it, however long that takes: of this one there is nothing to be read, and the body
 * comes to the parser from us.
 */
class Head extends EventEmitter {
  readonly headers: IncomingHttpHeaders
  readonly readable = false

  constructor({ 'content-type': type }: IncomingHttpHeaders) {
    super()
    this.headers = { 'content-type': type, 'transfer-encoding': 'chunked' }
  }

  unpipe(): void {}
  resume(): void {}
}

type Options = multer.Options & {
  /** Bytes of a file that are parsed ahead. */
  readonly fileHwm: number
  readonly streamHandler: (request: unknown, parser: Writable) => void
}

/** `parsed` settles when all of the form was, or fails with what is wrong with it. Without a parser, it is not even begun. */
function parse(
  head: Head,
  response: Response,
  storage: Files,
): { readonly parser: Writable | undefined; readonly parsed: Promise<void> } {
  let parser: Writable | undefined
  const options: Options = {
    storage,
    preservePath: true,
    defParamCharset: 'utf8',
    limits: {
      files: MAX_FILES,
      fields: MAX_FIELDS,
      fieldSize: MAX_FIELD_BYTES,
      fieldNameSize: MAX_FIELD_NAME_BYTES,
      fieldNestingDepth: MAX_FIELD_DEPTH,
      fieldArrayIndexLimit: MAX_FIELDS,
    },
    // The parser waits as long as anything of a file waits; else every file could be parsed and wait for its turn in memory.
    fileHwm: 1,
    streamHandler: (_request, made) => {
      parser = made
      made.on('field', (name: string | undefined, value: string) =>
        storage.noteField({ name: name ?? '', value }),
      )
    },
  }
  const parsed = new Promise<void>((resolve, reject) => {
    void multer(options).any()(head as unknown as Request, response, (error?: unknown) => {
      if (error === undefined) resolve()
      else reject(faultOf(error))
    })
  })
  return { parser, parsed }
}

/** A chunk is written when the parser can take more, which it never can when it is in the middle of a file that is not read on. */
function sinkOf(parser: Writable, files: Files, signal: AbortSignal): Sink {
  let received = 0
  return {
    write: chunk => {
      received += chunk.length
      return new Promise((resolve, reject) => {
        signal.throwIfAborted()
        if (received - files.taken > MAX_SURPLUS_BYTES) throw files.refused ?? tooLarge(SURPLUS)
        const stop = (): void => reject(toAppError(signal.reason))
        signal.addEventListener('abort', stop, { once: true })
        parser.write(chunk, error => {
          signal.removeEventListener('abort', stop)
          if (error) reject(error)
          else resolve()
        })
      })
    },
  }
}

/** What multer says of a file. */
interface ParsedFile {
  readonly fieldname: string
  readonly originalname: string
  readonly encoding: string
  readonly stream: Readable
}

/** Multer hands on everything that a chunk holds at once; here each file waits for the one before it. */
class Files implements multer.StorageEngine {
  /** Bytes of files that were read. */
  taken = 0
  /** The first failure that was a file's own. */
  refused: AppError | undefined
  readonly #take: (file: FormFile) => Promise<void>
  readonly #takeField: FormOptions['takeField']
  #last: Promise<void> = Promise.resolve()

  constructor(take: (file: FormFile) => Promise<void>, takeField: FormOptions['takeField']) {
    this.#take = take
    this.#takeField = takeField
  }

  /** Waits its turn, like a file. One that is too long, or has too long a name, ends the form besides. */
  noteField(field: FormField): void {
    if (this.#takeField === undefined) return
    const noted = this.#last.then(() => this.#takeField?.(field))
    this.#last = noted
    // Whoever waits for the file in front of it sees the failure.
    noted.catch(() => undefined)
  }

  _handleFile(_request: unknown, file: ParsedFile, done: (error?: unknown) => void): void {
    const taken = this.#last.then(() => this.#takeWhole(file))
    // What comes after a failure is not taken.
    this.#last = taken
    taken.then(
      () => done(),
      (error: unknown) => done(error),
    )
  }

  /** For multer, a form is stored as a whole or not at all. Here each file is, and its sender is told which ones are. */
  _removeFile(_request: unknown, _file: unknown, done: (error: Error | null) => void): void {
    done(null)
  }

  /** When nothing is being taken any more. */
  async settled(): Promise<void> {
    await this.#last.catch(() => undefined)
  }

  async #takeWhole({ fieldname, originalname, encoding, stream }: ParsedFile): Promise<void> {
    try {
      const bytes = this.#bytesOf(stream)
      await this.#take({ field: fieldname, name: originalname, coding: encoding, bytes })
      await passOver(stream)
    } catch (error) {
      const known = toAppError(error)
      if (ENDING.includes(known.kind)) throw known
      this.refused ??= known
      await passOver(stream)
    }
  }

  async *#bytesOf(stream: Readable): AsyncGenerator<Uint8Array> {
    for await (const chunk of chunksOf(stream)) {
      this.taken += chunk.length
      yield chunk
    }
  }
}

/** Leaving them early leaves the stream as it is, for the parser is stuck with one that is destroyed. */
async function* chunksOf(stream: Readable): AsyncGenerator<Buffer> {
  try {
    yield* stream.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>
  } catch (error) {
    throw faultOf(error)
  }
}

async function passOver(stream: Readable): Promise<void> {
  for await (const _ of chunksOf(stream));
}

/** Failures of the form or of the store, after which the next file would fare no better. */
const ENDING: readonly ErrorKind[] = [
  'InvalidArgument',
  'TimedOut',
  'NoSpace',
  'RateLimited',
  'Unavailable',
  'Aborted',
  'Internal',
]

const SURPLUS = 'Too much of it belongs to no file.'
const NAMES = 'The name of a field is nested too deep, or is a list with too many places.'

/** By multer's code. */
const TOO_LARGE: Readonly<Record<string, string>> = {
  LIMIT_FILE_COUNT: `It has more than ${MAX_FILES} files: send the others in another form.`,
  LIMIT_FIELD_COUNT: `It has more than ${MAX_FIELDS} fields besides its files.`,
  LIMIT_FIELD_VALUE: `A field of it is longer than ${MAX_FIELD_BYTES} bytes.`,
}
const FAULTS: Readonly<Record<string, string>> = {
  LIMIT_FIELD_KEY: `The name of a field is longer than ${MAX_FIELD_NAME_BYTES} bytes.`,
  LIMIT_FIELD_NESTING: NAMES,
  LIMIT_FIELD_ARRAY_INDEX: NAMES,
  INVALID_FIELD_NAME: NAMES,
  MISSING_FIELD_NAME: 'A part of it has no name.',
}

/** What multer and its parser say of a form. They say nothing of ours. */
function faultOf(error: unknown): AppError {
  if (error instanceof AppError) return error
  const code = error instanceof multer.MulterError ? error.code : ''
  const excess = TOO_LARGE[code]
  if (excess !== undefined) return tooLarge(excess)
  return fault(
    FAULTS[code] ?? 'A head or the end of a part is missing or malformed, or the boundary is.',
    error,
  )
}

function fault(message: string, cause?: unknown): AppError {
  return new AppError('InvalidArgument', `The form cannot be read. ${message}`, { op: 'receive', cause })
}

function tooLarge(message: string): AppError {
  return new AppError('TooLarge', `The form is too large. ${message}`, { op: 'receive' })
}
