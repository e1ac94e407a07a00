import { describe, expect, it } from 'vitest'
import { LATENCY_BUCKETS, latencyBucket, latencyPercentileMs } from '../../bench/client/task.ts'
import { markdownTable, summarize } from '../../bench/report.ts'
import type { Sample } from '../../bench/report.ts'

const sample = (seconds: number, bytes: number): Sample => ({
  seconds,
  bytes,
  requests: 1,
  usage: { cpuSeconds: seconds / 2, peakRssBytes: 50e6 },
})
const row = (variant: string, samples: Sample[]) => ({ variant, remark: undefined, samples })

describe('the report', () => {
  it('gives the median of the rounds and how far they lie apart', () => {
    const [summary] = summarize('bytes', [row('a', [sample(1, 3e9), sample(1, 1e9), sample(1, 2e9)])], 'a')
    expect(summary).toMatchObject({ rate: 2e9, slowestRate: 1e9, fastestRate: 3e9, seconds: 1, ratio: 1 })
    expect(summary!.cpuPerUnit).toBe(0.25e-9)
  })

  it('compares by time where a variant sends more for the same purpose', () => {
    const rows = [row('half', [sample(1, 1e9)]), row('whole', [sample(2, 2e9)])]
    expect(summarize('bytes', rows, 'whole').map(({ ratio }) => ratio)).toEqual([2, 1])
  })

  it('leaves a figure out that the operating system does not tell', () => {
    const rows = [row('a', [{ ...sample(1, 1e9), usage: undefined }])]
    expect(
      markdownTable('bytes', summarize('bytes', rows, 'a'))
        .split('\n')
        .at(-1),
    ).toBe('| a | 1.00 | 1000 | 1000–1000 | 1.00 | - | - | - |')
  })

  it('tells the CPU time of the store in a column of its own, where there is a store', () => {
    const rows = [row('a', [{ ...sample(1, 1e9), storeCpuSeconds: 0.75 }]), row('b', [sample(1, 1e9)])]
    const lines = markdownTable('bytes', summarize('bytes', rows, undefined)).split('\n')
    expect(lines[0]).toMatch(/ store CPU s\/GB \|$/)
    expect(lines.slice(2).map(line => line.split(' | ').at(-1))).toEqual(['0.75 |', '- |'])
  })

  it('finds percentiles of latencies to within 5 %', () => {
    const latencies = new Array<number>(LATENCY_BUCKETS).fill(0)
    for (let us = 1; us <= 10_000; us++) latencies[latencyBucket(us * 1000)]! += 1
    expect(latencyPercentileMs(latencies, 0.5) / 5).toBeCloseTo(1, 1)
    const p99 = latencyPercentileMs(latencies, 0.99)
    expect(p99).toBeGreaterThanOrEqual(9.9)
    expect(p99).toBeLessThan(9.9 * 1.05)
  })
})
