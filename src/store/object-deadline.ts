// The end of one attempt: when it takes too long, or when nobody wants it any more.
import { ObjectFailure } from './object-client.ts'
import { following } from './object-signal.ts'

export interface Limits<T> {
  readonly signal: AbortSignal
  readonly timeoutMs: number
  /** For a timeout. */
  readonly advice?: string
  /** Frees what a result holds that comes after the end. */
  readonly discard?: (late: T) => void
}

/**
 * What `work` comes to, unless the signal is aborted or `timeoutMs` have passed before: then the signal that `work` got is aborted, and this rejects at once with `aborted` or `timeout`,
 * also where `work` does not look at its signal. With a signal that is aborted already, `work` is not begun.
 */
export async function withinTime<T>(
  work: (signal: AbortSignal) => Promise<T>,
  { signal, timeoutMs, advice, discard }: Limits<T>,
): Promise<T> {
  if (signal.aborted) throw abortedBy(signal)
  const attempt = following(signal)
  const { promise: over, reject } = Promise.withResolvers<never>()
  let ending: ObjectFailure | undefined
  attempt.signal.addEventListener(
    'abort',
    () => {
      ending = signal.aborted
        ? abortedBy(signal)
        : new ObjectFailure('timeout', advice === undefined ? {} : { advice })
      reject(ending)
    },
    { once: true },
  )
  const timer = setTimeout(() => attempt.abort(), timeoutMs)
  // What is thrown at once is a rejection too, so that timer and listener do not outlive it.
  const working = (async () => work(attempt.signal))()
  try {
    return await Promise.race([over, working])
  } catch (error) {
    // Whatever becomes of it interests nobody any more.
    void working.then(discard, () => undefined)
    // `work` may have noticed first, and says so in other words.
    throw ending ?? error
  } finally {
    clearTimeout(timer)
    attempt.detach()
  }
}

export function abortedBy(signal: AbortSignal): ObjectFailure {
  return new ObjectFailure('aborted', { cause: signal.reason })
}

/** A connection over which less comes through is as good as none. */
const SLOWEST_BYTES_PER_MS = 256

/** What a request with a body of so many bytes may take longer than one without. */
export function sendingMs(bytes: number): number {
  return Math.ceil(bytes / SLOWEST_BYTES_PER_MS)
}

/** What a server may take longer to put an object together from parts than to answer anything else. */
export const COMPLETING_MS = 60_000
