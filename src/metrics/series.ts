// Counters and histograms whose series are held by whoever counts. prom-client looks a series up by all of its labels at each count, and a request makes a dozen of them; what it is given here it
// only writes down.
import type { Metric, MetricValue, MetricValueWithName, Registry } from 'prom-client'

type Labels = Readonly<Record<string, string>>

export class Count {
  value = 0

  add(more = 1): void {
    this.value += more
  }
}

export class Distribution {
  /** Upper bounds, in order. */
  readonly #bounds: readonly number[]
  /** By bucket, what is in no smaller one; the last one has no bound. */
  readonly #counts: number[]
  #sum = 0

  constructor(bounds: readonly number[]) {
    this.#bounds = bounds
    this.#counts = Array.from({ length: bounds.length + 1 }, () => 0)
  }

  observe(value: number): void {
    const bounds = this.#bounds
    let bucket = 0
    while (bucket < bounds.length && value > bounds[bucket]!) bucket++
    this.#counts[bucket]! += 1
    this.#sum += value
  }

  /** In the words of prom-client: each bucket holds what is in the smaller ones too. */
  values(name: string, labels: Labels): MetricValueWithName<string>[] {
    let total = 0
    const buckets = this.#counts.map((count, i) => ({
      metricName: `${name}_bucket`,
      labels: { ...labels, le: this.#bounds[i] ?? '+Inf' },
      value: (total += count),
    }))
    return [
      ...buckets,
      { metricName: `${name}_sum`, labels, value: this.#sum },
      { metricName: `${name}_count`, labels, value: total },
    ]
  }
}

/** Gives the one series that has the labels; to be kept by whoever counts often. */
export type Family<S> = (labels: Labels) => S

export function counters(registry: Registry, name: string, help: string): Family<Count> {
  const series = new Map<string, { readonly labels: Labels; readonly of: Count }>()
  register(registry, { name, help, type: 'counter' }, () =>
    [...series.values()].map(({ labels, of }) => ({ labels, value: of.value })),
  )
  return labels => known(series, labels, () => new Count())
}

export function histograms(
  registry: Registry,
  name: string,
  help: string,
  bounds: readonly number[],
): Family<Distribution> {
  const series = new Map<string, { readonly labels: Labels; readonly of: Distribution }>()
  register(registry, { name, help, type: 'histogram' }, () =>
    [...series.values()].flatMap(({ labels, of }) => of.values(name, labels)),
  )
  return labels => known(series, labels, () => new Distribution(bounds))
}

function known<S>(
  series: Map<string, { readonly labels: Labels; readonly of: S }>,
  labels: Labels,
  make: () => S,
): S {
  const key = JSON.stringify(labels)
  const found = series.get(key)
  if (found !== undefined) return found.of
  const of = make()
  series.set(key, { labels, of })
  return of
}

/** What prom-client asks of a metric, to write it down and to add it to those of other processes. */
function register(
  registry: Registry,
  about: { readonly name: string; readonly help: string; readonly type: 'counter' | 'histogram' },
  values: () => MetricValue<string>[],
): void {
  const metric = { ...about, get: () => Promise.resolve({ ...about, aggregator: 'sum', values: values() }) }
  registry.registerMetric(metric as unknown as Metric)
}
