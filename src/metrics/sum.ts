// The metrics of several processes as those of one.
import { AggregatorRegistry } from 'prom-client'
import type { Snapshot } from './metrics.ts'

/** In the text format of Prometheus. */
export function textOfAll(snapshots: readonly Snapshot[]): Promise<string> {
  return AggregatorRegistry.aggregate([...snapshots]).metrics()
}

/**
 * What still counts of a process that has ended, added to what counted of those before: a sum that got smaller would look to Prometheus as if everything had been counted anew.
 */
export async function lastingOf(before: Snapshot, ended: Snapshot): Promise<Snapshot> {
  const lasting = ended.filter(({ type }) => KEPT.has(String(type)))
  return AggregatorRegistry.aggregate([before, lasting]).getMetricsAsJSON()
}

const KEPT = new Set(['counter', 'histogram'])
