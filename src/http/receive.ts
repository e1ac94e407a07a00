// The one way in which the bytes of a request get into a store: in their order, as fast as the store takes them, as a whole or not at all.
import { AppError } from '../errors.ts'
import { fill } from '../store/fill.ts'
import type { Entry, PendingArtifact } from '../store/store.ts'
import { DigestCheck, type ExpectedDigest } from './expected-digests.ts'
import type { Pace } from './upload-pace.ts'

export interface PourOptions {
  /** Bytes that must come, neither more nor fewer; undefined where only the end of the source says how many there are. */
  readonly size?: number | undefined
  /** Bytes that may come. */
  readonly maxBytes: number
  /** Digests that the bytes must have. */
  readonly digests?: readonly ExpectedDigest[]
  /** How long the source may yield nothing before it is given up; undefined where it has a deadline of its own. */
  readonly idleMs?: number
  /** Waited for with each chunk; that time does not count as standing still. */
  readonly pace?: Pace | undefined
  /** Ends it at once with its reason. */
  readonly signal: AbortSignal
}

/** Where bytes go: the memory of a chunk may be used again when `write` has resolved. */
export interface Sink {
  write(chunk: Uint8Array): Promise<void>
}

/** Fails with TooLarge where more bytes are announced than may come, so that nothing has to be read to find out. */
export function checkSize(size: number | undefined, maxBytes: number): void {
  if (size !== undefined && size > maxBytes) throw tooLarge(maxBytes)
}

/**
 * Makes `source` the content of `pending` and gives the new artifact. When it fails, nothing of it is left.
 *
 * Fails as `checked` and as the steps of `pending` do. The caller need not call `abort`, whatever happens.
 */
export function receive(
  source: AsyncIterable<Uint8Array>,
  pending: PendingArtifact,
  options: PourOptions,
): Promise<Entry> {
  return fill(pending, checked(source, options))
}

/** Writes all of `source` to `sink`, chunk by chunk, and fails as `checked` does. Gives the number of bytes. */
export async function pour(
  source: AsyncIterable<Uint8Array>,
  sink: Sink,
  options: PourOptions,
): Promise<number> {
  let received = 0
  for await (const chunk of checked(source, options)) {
    received += chunk.length
    await sink.write(chunk)
  }
  return received
}

/**
 * The chunks of `source`, for a consumer that can only know at their end whether they were what was announced.
 *
 * TooLarge beyond `maxBytes`; InvalidArgument for another length or digest; TimedOut when nothing comes for `idleMs`; Aborted when the client is gone. The time that the consumer takes
 * does not count. When it fails or is left, the source is left (`return`) but not waited for: what stands still does not end either.
 */
export async function* checked(
  source: AsyncIterable<Uint8Array>,
  options: PourOptions,
): AsyncGenerator<Uint8Array, void> {
  const { size, maxBytes, digests = [], pace, signal } = options
  checkSize(size, maxBytes)
  const check = new DigestCheck(digests)
  const chunks = new Chunks(source, options)
  let received = 0
  try {
    for (let chunk = await chunks.next(); chunk !== undefined; chunk = await chunks.next()) {
      received += chunk.length
      if (received > maxBytes) throw tooLarge(maxBytes)
      if (size !== undefined && received > size) throw wrongLength(`more than ${size} bytes`, size)
      check.update(chunk)
      await pace?.(chunk.length, signal)
      yield chunk
      signal.throwIfAborted()
    }
  } finally {
    chunks.leave()
  }
  if (size !== undefined && received !== size) throw wrongLength(`${received} bytes`, size)
  check.verify()
}

function tooLarge(maxBytes: number): AppError {
  return new AppError(
    'TooLarge',
    `A file may have ${maxBytes} bytes, and this one has more: an operator can raise uploads.maxBytes.`,
    { op: 'receive', limit: 'uploads.maxBytes' },
  )
}

function wrongLength(found: string, size: number): AppError {
  return new AppError('InvalidArgument', `The body has ${found} where ${size} were announced.`, {
    op: 'receive',
  })
}

/** The chunks of a source that may stand still, or whose client may go away. */
class Chunks {
  readonly #steps: AsyncIterator<Uint8Array>
  readonly #idleMs: number | undefined
  readonly #signal: AbortSignal
  #fail: (reason: unknown) => void = () => undefined
  readonly #onAbort = (): void => this.#fail(this.#signal.reason)

  constructor(source: AsyncIterable<Uint8Array>, { idleMs, signal }: PourOptions) {
    signal.throwIfAborted()
    this.#steps = source[Symbol.asyncIterator]()
    this.#idleMs = idleMs
    this.#signal = signal
    signal.addEventListener('abort', this.#onAbort)
  }

  /** Undefined at the end. */
  async next(): Promise<Uint8Array | undefined> {
    let timer: NodeJS.Timeout | undefined
    try {
      const step = await new Promise<IteratorResult<Uint8Array>>((resolve, reject) => {
        this.#fail = reject
        if (this.#idleMs !== undefined) timer = setTimeout(() => reject(stoodStill()), this.#idleMs)
        this.#steps.next().then(resolve, (error: unknown) => reject(failureOf(error)))
      })
      return step.done === true ? undefined : step.value
    } finally {
      clearTimeout(timer)
    }
  }

  leave(): void {
    this.#signal.removeEventListener('abort', this.#onAbort)
    this.#steps.return?.().catch(() => undefined)
  }
}

function stoodStill(): AppError {
  return new AppError('TimedOut', 'The body stood still for too long: send it again.', {
    op: 'receive',
    limit: 'uploads.idleTimeout',
  })
}

const GONE = new Set(['ECONNRESET', 'EPIPE', 'ERR_STREAM_PREMATURE_CLOSE', 'ABORT_ERR'])

/** What breaks a body off is the end of its connection; anything else is the source's own failure. */
function failureOf(error: unknown): Error {
  if (GONE.has((error as NodeJS.ErrnoException | undefined)?.code ?? ''))
    return new AppError('Aborted', 'The client closed the connection before the body was whole.', {
      op: 'receive',
      cause: error,
    })
  return error instanceof Error ? error : new Error(String(error))
}
