// What this process counts and measures, for Prometheus. Every label has few values: those of the API description, of the configuration, and of closed lists.
import {
  collectDefaultMetrics,
  Gauge,
  Registry,
  type MetricObjectWithValues,
  type MetricValue,
} from 'prom-client'
import { counters, histograms, type Count, type Distribution, type Family } from './series.ts'
import type { StoreObserver } from '../store/measured.ts'

export const PREFIX = 'polyaxon_outputs_'

/** One request, when its response has closed. */
export interface RequestSample {
  readonly route: string
  readonly answer: string
  readonly method: string
  readonly status: number | undefined
  readonly outcome: string
  readonly sentBytes: number
  readonly receivedBytes: number
  readonly firstByteMs: number | undefined
  readonly durationMs: number
  /** Of an archive or a listing. */
  readonly entries: number | undefined
  /** Of an archive. */
  readonly contentBytes: number | undefined
}

/** What a store has under way. */
export interface StoreLoad {
  readonly inFlight: number
  readonly waiting: number
  readonly hung: number
}

/** All metrics of a process as data that other processes can add up. */
export type Snapshot = MetricObjectWithValues<MetricValue<string>>[]

/** From a question that the page cache answers to a download that takes a night. */
const DURATION_S = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800, 7200]
const FIRST_BYTE_S = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30]
const OPERATION_S = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30]
const ENTRIES = [1, 10, 100, 1000, 10_000, 100_000, 1_000_000]
const BYTES = [1e3, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12]

const STATUS_CLASSES = ['none', '1xx', '2xx', '3xx', '4xx', '5xx']
const METHODS = new Set(['GET', 'HEAD', 'PUT', 'POST', 'PATCH', 'DELETE', 'OPTIONS'])

interface RequestSeries {
  readonly requests: Count
  readonly duration: Distribution
  readonly firstByte: Distribution
  readonly sent: Count
  readonly received: Count
}

export class Metrics {
  readonly #registry = new Registry()
  readonly #requests = this.#counters(
    'requests_total',
    'Requests whose response has closed. outcome: done, refused (4xx, or one too many), aborted by the client, store (the store failed), broken (we failed).',
  )
  readonly #durations = this.#histograms(
    'request_duration_seconds',
    'From the head of a request to the end of its answer.',
    DURATION_S,
  )
  readonly #firstBytes = this.#histograms(
    'time_to_first_byte_seconds',
    'From the head of a request to the head of its answer.',
    FIRST_BYTE_S,
  )
  readonly #sent = this.#counters('sent_bytes_total', 'Bytes sent to clients, heads included.')
  readonly #received = this.#counters('received_bytes_total', 'Bytes received from clients, heads included.')
  readonly #archiveEntries = this.#histograms(
    'archive_entries',
    'Files and folders in an archive.',
    ENTRIES,
  )({})
  readonly #archiveBytes = this.#histograms('archive_bytes', 'Content of an archive.', BYTES)({})
  readonly #listingEntries = this.#histograms(
    'listing_entries',
    'Files and folders that a listing looked at.',
    ENTRIES,
  )({})
  readonly #operations = this.#histograms(
    'store_operation_duration_seconds',
    'Operations on stores, waiting for their turn included: one stat or open, one batch of a list, one chunk of a read or a write.',
    OPERATION_S,
  )
  readonly #operationErrors = this.#counters(
    'store_operation_errors_total',
    'Operations on stores that failed. NotFound, and what else a store says of a question that it has answered, counts too.',
  )
  readonly #retries = this.#counters(
    'store_retries_total',
    'Requests to object stores that were made again, by what had happened to them.',
  )
  readonly #limits = this.#counters('limits_hit_total', 'Requests that a limit refused, by its setting.')
  readonly #uncaught = this.#counters(
    'uncaught_errors_total',
    'Errors of ours that nothing caught; after the first one the process ends.',
  )({})
  /** The series of requests that were alike, by what they have in common. */
  readonly #alike = new Map<string, RequestSeries>()

  /** With `ofProcess`, what Node tells of the process too: memory, processor, descriptors, event loop. For one of them in a process. */
  constructor({ version, ofProcess = false }: { readonly version: string; readonly ofProcess?: boolean }) {
    if (ofProcess) collectDefaultMetrics({ register: this.#registry })
    new Gauge({
      name: `${PREFIX}build_info`,
      help: 'Always 1; says which version runs.',
      labelNames: ['version'],
      registers: [this.#registry],
      aggregator: 'first',
    }).set({ version }, 1)
  }

  /** What there is at the moment of asking. */
  watch(now: {
    readonly requests: () => number
    readonly archives: () => number
    readonly stores: () => Iterable<readonly [connection: string, load: StoreLoad]>
  }): void {
    this.#gauge('requests_in_progress', 'Requests that are being answered.', now.requests)
    this.#gauge('archives_in_progress', 'Archives that are being sent.', now.archives)
    const loads = [
      ['in_progress', 'Operations on a store that are under way, hung ones included.', 'inFlight'],
      ['waiting', 'Operations on a store that wait for their turn.', 'waiting'],
      ['hung', 'Operations on a store that are past their deadline and have not come back.', 'hung'],
    ] as const
    for (const [name, help, key] of loads)
      new Gauge({
        name: `${PREFIX}store_operations_${name}`,
        help,
        labelNames: ['connection'],
        registers: [this.#registry],
        collect() {
          for (const [connection, load] of now.stores()) this.set({ connection }, load[key])
        },
      })
  }

  request(sample: RequestSample): void {
    const { answer, entries, contentBytes, firstByteMs } = sample
    const series = this.#seriesOf(sample)
    series.requests.add()
    series.duration.observe(sample.durationMs / 1000)
    if (firstByteMs !== undefined) series.firstByte.observe(firstByteMs / 1000)
    series.sent.add(sample.sentBytes)
    series.received.add(sample.receivedBytes)
    if (answer === 'archive') {
      if (entries !== undefined) this.#archiveEntries.observe(entries)
      if (contentBytes !== undefined) this.#archiveBytes.observe(contentBytes)
    } else if (answer === 'listing' && entries !== undefined) this.#listingEntries.observe(entries)
  }

  /** What one store does, by its connection. */
  storeObserver(connection: string): StoreObserver {
    const durations = new Map<string, Distribution>()
    return {
      operation: (operation, elapsedMs, kind) => {
        let duration = durations.get(operation)
        if (duration === undefined)
          durations.set(operation, (duration = this.#operations({ connection, operation })))
        duration.observe(elapsedMs / 1000)
        if (kind !== undefined) this.#operationErrors({ connection, operation, kind }).add()
      },
      retry: reason => this.#retries({ connection, reason }).add(),
    }
  }

  /** `name` is the key of the setting, such as `archives.maxInProgress`. */
  limitHit(name: string): void {
    this.#limits({ limit: name }).add()
  }

  uncaught(): void {
    this.#uncaught.add()
  }

  snapshot(): Promise<Snapshot> {
    return this.#registry.getMetricsAsJSON()
  }

  /** In the text format of Prometheus. */
  text(): Promise<string> {
    return this.#registry.metrics()
  }

  #seriesOf({ route, answer, method, status, outcome }: RequestSample): RequestSeries {
    const statusClass = status === undefined ? 'none' : STATUS_CLASSES[Math.floor(status / 100)]!
    const key = `${route} ${answer} ${method} ${statusClass} ${outcome}`
    const known = this.#alike.get(key)
    if (known !== undefined) return known
    // What a client calls a method is no label.
    const labels = { route, method: METHODS.has(method) ? method : 'other', status: statusClass, outcome }
    const series = {
      requests: this.#requests(labels),
      duration: this.#durations({ route, answer }),
      firstByte: this.#firstBytes({ route, answer }),
      sent: this.#sent({ answer }),
      received: this.#received({ answer }),
    }
    if (METHODS.has(method)) this.#alike.set(key, series)
    return series
  }

  #counters(name: string, help: string): Family<Count> {
    return counters(this.#registry, PREFIX + name, help)
  }

  #histograms(name: string, help: string, bounds: readonly number[]): Family<Distribution> {
    return histograms(this.#registry, PREFIX + name, help, bounds)
  }

  #gauge(name: string, help: string, value: () => number): void {
    new Gauge({
      name: PREFIX + name,
      help,
      registers: [this.#registry],
      collect() {
        this.set(value())
      },
    })
  }
}
