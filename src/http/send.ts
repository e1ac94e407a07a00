// The only writer of bodies. A failure before the first byte is thrown; after it the connection is destroyed, never ended tidily.
import type { ServerResponse } from 'node:http'
import type { Representation } from '../content/representation.ts'
import { AppError } from '../errors.ts'
import type { Buffers } from '../store/store.ts'
import { TransferBuffers } from './buffers.ts'
import { breakOff } from './exchange.ts'
import type { Plan } from './plan.ts'

/** Bodies up to this size are read into one buffer of their own and leave in one write. */
const ONE_WRITE = 256 * 1024

export interface SendOptions {
  readonly method: string | undefined
  readonly signal: AbortSignal
}

/**
 * Carries out a plan of status 200, 206 or 304 and closes the representation.
 *
 * The head goes out together with the first bytes, so a representation that fails before them can still be answered with a problem: the promise then
 * rejects and nothing was sent. Later failures destroy the connection and are thrown too, for the log.
 */
export async function send(
  response: ServerResponse,
  plan: Plan,
  representation: Representation,
  options: SendOptions,
): Promise<void> {
  try {
    const head = (): void => {
      response.statusCode = plan.status
      for (const name in plan.headers) response.setHeader(name, plan.headers[name]!)
    }
    if (options.method === 'HEAD' || plan.parts.length === 0) {
      head()
      response.end()
      return
    }
    const large = plan.length === undefined || plan.length > ONE_WRITE
    const buffers = large ? new TransferBuffers() : undefined
    try {
      await writeBody(response, bytesOf(plan, representation, options.signal, buffers), {
        ...options,
        length: plan.length,
        head,
      })
      buffers?.release()
    } finally {
      buffers?.drop()
    }
  } finally {
    await representation.close()
  }
}

export interface TextOptions extends SendOptions {
  readonly head: () => void
  /** Fields that are known only at the end (RFC 9110 6.5); clients of HTTP/1.0 do without. */
  readonly trailers?: () => Record<string, string>
}

/** Sends text that is made on the way, such as a listing: without a length, so its end is the proof that it is whole. */
export async function sendText(
  response: ServerResponse,
  chunks: AsyncIterable<string> | Iterable<string>,
  options: TextOptions,
): Promise<void> {
  if (options.method === 'HEAD') {
    options.head()
    response.end()
    return
  }
  const { trailers = () => ({}) } = options
  const body = encoded(chunks, () => response.addTrailers(trailers()))
  await writeBody(response, body, { ...options, length: undefined })
}

async function* encoded(
  chunks: AsyncIterable<string> | Iterable<string>,
  atEnd: () => void,
): AsyncGenerator<Uint8Array> {
  for await (const chunk of chunks) yield Buffer.from(chunk)
  atEnd()
}

async function* bytesOf(
  plan: Plan,
  representation: Representation,
  signal: AbortSignal,
  buffers: Buffers | undefined,
): AsyncGenerator<Uint8Array> {
  for (const part of plan.parts) {
    if (part.kind === 'bytes') yield part.bytes
    else yield* representation.read(part.start, part.end, buffers ? { signal, buffers } : { signal })
  }
}

interface Body extends SendOptions {
  readonly length: number | undefined
  readonly head: () => void
}

/** Writes chunk k while chunk k + 1 is read, never more: the rule under which `Buffers` may be reused. */
async function writeBody(
  response: ServerResponse,
  chunks: AsyncIterable<Uint8Array>,
  body: Body,
): Promise<void> {
  const writer = new Writer(response, body.signal)
  let sent = 0
  try {
    for await (const chunk of chunks) {
      if (chunk.length === 0) continue
      await writer.idle()
      if (sent === 0) body.head()
      sent += chunk.length
      if (sent === body.length) await writer.end(chunk)
      else writer.write(chunk)
    }
    if (body.length === undefined || body.length === 0) {
      await writer.idle()
      if (sent === 0) body.head()
      await writer.end()
    } else if (sent !== body.length) {
      throw new AppError('Internal', `${sent} bytes came where ${body.length} were promised.`, { op: 'send' })
    }
  } catch (error) {
    if (response.headersSent || response.destroyed) breakOff(response)
    throw error
  }
}

/** One write under way at a time; its failure, or the end of the connection, rejects `idle`. */
class Writer {
  readonly #response: ServerResponse
  #pending: Promise<void> = Promise.resolve()
  #fail: (reason: unknown) => void = () => undefined

  constructor(response: ServerResponse, signal: AbortSignal) {
    this.#response = response
    // At once, not when the last write has found out.
    signal.addEventListener('abort', () => this.#fail(signal.reason), { once: true })
  }

  idle(): Promise<void> {
    return this.#pending
  }

  write(chunk: Uint8Array): void {
    this.#start(done => this.#response.write(chunk, done))
  }

  end(chunk?: Uint8Array): Promise<void> {
    this.#start(done => (chunk === undefined ? this.#response.end(done) : this.#response.end(chunk, done)))
    return this.#pending
  }

  #start(write: (done: (error?: Error | null) => void) => void): void {
    this.#pending = new Promise((resolve, reject) => {
      this.#fail = reject
      write(error => {
        if (error)
          reject(new AppError('Aborted', 'The client closed the connection.', { op: 'send', cause: error }))
        else resolve()
      })
    })
    // It is awaited by the next `idle`; until then a failure must not count as unhandled.
    this.#pending.catch(() => undefined)
  }
}
