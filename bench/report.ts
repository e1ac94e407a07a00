// Medians over the rounds, as Markdown tables and as JSON.
import { latencyPercentileMs } from './client/task.ts'
import type { Usage } from './process-tree.ts'
import type { Transfer, Workload } from './workloads/workload.ts'

export interface Sample extends Omit<Transfer, 'usage'> {
  /** Of the server's or the command's processes; undefined where the operating system does not tell. */
  readonly usage: Usage | undefined
  /** CPU time of the store behind the server meanwhile; undefined where there is none, or nobody tells. */
  readonly storeCpuSeconds?: number | undefined
}

export interface Row {
  readonly variant: string
  readonly remark: string | undefined
  readonly samples: readonly Sample[]
}

/** The figures of one row, each the median of its rounds. */
export interface Summary {
  readonly variant: string
  /** Bytes or requests a second. */
  readonly rate: number
  readonly slowestRate: number
  readonly fastestRate: number
  readonly seconds: number
  /** How many times faster than the baseline: by rate, or by time where the variants send different amounts. */
  readonly ratio: number | undefined
  /** CPU seconds for each byte or request. */
  readonly cpuPerUnit: number | undefined
  readonly storeCpuPerUnit: number | undefined
  readonly peakRssBytes: number | undefined
  readonly firstByteMs: number | undefined
  readonly p50Ms: number | undefined
  readonly p99Ms: number | undefined
  readonly remark: string | undefined
}

export function summarize(
  unit: Workload['unit'],
  rows: readonly Row[],
  baseline: string | undefined,
): Summary[] {
  const summaries = rows.map(row => summary(unit, row))
  const base = summaries.find(({ variant }) => variant === baseline)
  // By time, because a server without ranges sends more for the same purpose.
  const speed = ({ rate, seconds }: Summary) => (unit === 'requests' ? rate : 1 / seconds)
  return summaries.map(each => ({
    ...each,
    ratio: base === undefined ? undefined : speed(each) / speed(base),
  }))
}

function summary(unit: Workload['unit'], { variant, remark, samples }: Row): Summary {
  const units = (sample: Sample) => (unit === 'requests' ? sample.requests : sample.bytes)
  const rates = samples.map(sample => units(sample) / sample.seconds)
  const latency = (share: number) =>
    medianOf(samples, ({ latencies }) => latencies && latencyPercentileMs(latencies, share))
  return {
    variant,
    rate: median(rates),
    slowestRate: Math.min(...rates),
    fastestRate: Math.max(...rates),
    seconds: median(samples.map(sample => sample.seconds)),
    ratio: undefined,
    cpuPerUnit: medianOf(samples, sample => sample.usage && sample.usage.cpuSeconds / units(sample)),
    storeCpuPerUnit: medianOf(
      samples,
      sample => sample.storeCpuSeconds && sample.storeCpuSeconds / units(sample),
    ),
    peakRssBytes: medianOf(samples, sample => sample.usage?.peakRssBytes),
    firstByteMs: medianOf(samples, sample => sample.firstByteMs),
    p50Ms: latency(0.5),
    p99Ms: latency(0.99),
    remark,
  }
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2
}

/** The median of what all samples have; undefined where any lacks it. */
function medianOf(
  samples: readonly Sample[],
  value: (sample: Sample) => number | undefined,
): number | undefined {
  const values = samples.map(value)
  return values.every(each => each !== undefined) ? median(values) : undefined
}

interface Column {
  readonly heading: string
  readonly cell: (summary: Summary) => string
}

const fixed = (value: number | undefined, digits: number) =>
  value === undefined ? '-' : value.toFixed(digits)

const shared = {
  ratio: { heading: '× baseline', cell: ({ ratio }) => fixed(ratio, 2) },
  rss: {
    heading: 'peak RSS MB',
    cell: ({ peakRssBytes }) => fixed(peakRssBytes === undefined ? undefined : peakRssBytes / 1e6, 0),
  },
} satisfies Record<string, Column>

const columns: Record<Workload['unit'], readonly Column[]> = {
  bytes: [
    { heading: 's', cell: ({ seconds }) => fixed(seconds, 2) },
    { heading: 'MB/s', cell: ({ rate }) => fixed(rate / 1e6, 0) },
    {
      heading: 'slowest–fastest',
      cell: ({ slowestRate, fastestRate }) => `${fixed(slowestRate / 1e6, 0)}–${fixed(fastestRate / 1e6, 0)}`,
    },
    shared.ratio,
    {
      heading: 'CPU s/GB',
      cell: ({ cpuPerUnit }) => fixed(cpuPerUnit === undefined ? undefined : cpuPerUnit * 1e9, 2),
    },
    { heading: 'first byte ms', cell: ({ firstByteMs }) => fixed(firstByteMs, 1) },
    shared.rss,
  ],
  requests: [
    { heading: 'requests/s', cell: ({ rate }) => fixed(rate, 0) },
    {
      heading: 'slowest–fastest',
      cell: ({ slowestRate, fastestRate }) => `${fixed(slowestRate, 0)}–${fixed(fastestRate, 0)}`,
    },
    shared.ratio,
    {
      heading: 'CPU µs/request',
      cell: ({ cpuPerUnit }) => fixed(cpuPerUnit === undefined ? undefined : cpuPerUnit * 1e6, 0),
    },
    { heading: 'p50 ms', cell: ({ p50Ms }) => fixed(p50Ms, 2) },
    { heading: 'p99 ms', cell: ({ p99Ms }) => fixed(p99Ms, 2) },
    shared.rss,
  ],
}

const storeColumns: Record<Workload['unit'], Column> = {
  bytes: {
    heading: 'store CPU s/GB',
    cell: ({ storeCpuPerUnit: cpu }) => fixed(cpu === undefined ? undefined : cpu * 1e9, 2),
  },
  requests: {
    heading: 'store CPU µs/request',
    cell: ({ storeCpuPerUnit: cpu }) => fixed(cpu === undefined ? undefined : cpu * 1e6, 0),
  },
}

export function markdownTable(unit: Workload['unit'], summaries: readonly Summary[]): string {
  const all: Column[] = [{ heading: 'variant', cell: ({ variant }) => variant }, ...columns[unit]]
  if (summaries.some(({ storeCpuPerUnit }) => storeCpuPerUnit !== undefined)) all.push(storeColumns[unit])
  if (summaries.some(({ remark }) => remark !== undefined))
    all.push({ heading: 'answer', cell: ({ remark }) => remark ?? '' })
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |`
  return [
    line(all.map(({ heading }) => heading)),
    line(all.map((_, i) => (i === 0 ? '---' : '---:'))),
    ...summaries.map(each => line(all.map(({ cell }) => cell(each)))),
  ].join('\n')
}
