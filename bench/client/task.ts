// What the runner asks a client process to do, and what it hears back. Times are nanoseconds of the machine's monotonic clock, which
// all processes share, so that the results of several clients can be laid side by side.

/** One response, read from its first to its last byte on a connection of its own. */
export interface DownloadTask {
  readonly kind: 'download'
  readonly port: number
  readonly path: string
  /** The value of a Range field. */
  readonly range?: string
  /** Whether to hash the body; it costs more than reading it, so no measurement does. */
  readonly hash?: boolean
  /** A file that gets the body. */
  readonly saveTo?: string
}

export interface DownloadResult {
  readonly status: number
  readonly head: string
  readonly contentLength: number | undefined
  readonly bytes: number
  readonly sha256: string | undefined
  readonly startNs: number
  readonly firstByteNs: number
  readonly endNs: number
}

/** A small request with the answer that it must get. */
export interface SmallRequest {
  readonly path: string
  readonly range?: string
  readonly status: number
  readonly length: number
  readonly sha256: string
}

/** Many small requests on keep-alive connections, each connection with one request under way. */
export interface LoadTask {
  readonly kind: 'load'
  readonly port: number
  readonly connections: number
  readonly requests: readonly SmallRequest[]
  /** Goes round the requests for so long, comparing status and length; undefined: each once, comparing the bytes too. */
  readonly durationMs: number | undefined
}

export interface LoadResult {
  readonly responses: number
  readonly bytes: number
  readonly startNs: number
  readonly endNs: number
  /** Counts of latencies by `latencyBucket`. */
  readonly latencies: readonly number[]
}

export type Task = DownloadTask | LoadTask

export type Reply<Result> = { readonly result: Result } | { readonly failure: string }

/** Buckets a factor of 2^(1/16), 4.4 %, apart, from 1 µs on: a percentile is at most that much too high. */
const BUCKETS_PER_DOUBLING = 16
export const LATENCY_BUCKETS = 24 * BUCKETS_PER_DOUBLING

export function latencyBucket(latencyNs: number): number {
  const bucket = Math.floor(Math.log2(latencyNs / 1000) * BUCKETS_PER_DOUBLING)
  return Math.min(Math.max(bucket, 0), LATENCY_BUCKETS - 1)
}

/** The upper edge, in milliseconds, of the bucket that holds the given share of all latencies. */
export function latencyPercentileMs(latencies: readonly number[], share: number): number {
  const wanted = latencies.reduce((sum, count) => sum + count, 0) * share
  let seen = 0
  const bucket = latencies.findIndex(count => (seen += count) >= wanted)
  return 2 ** ((bucket + 1) / BUCKETS_PER_DOUBLING) / 1000
}
