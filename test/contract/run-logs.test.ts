// Logs of runs over every kind of store: of more pods than files are open at once, and longer than one block.
import { expect, it } from 'vitest'
import { runLogs } from '../../src/content/run-logs.ts'
import { parseLogTime } from '../../src/content/log-time.ts'
import { asServed, describeEach, STORES } from '../support/stores.ts'

const PODS = 40
const NEVER = new AbortController().signal

const isoOf = (second: number): string => new Date(second * 1000).toISOString()

interface Answer {
  readonly logs: readonly { readonly value: string }[]
  readonly last_time: string | null
}

describeEach(STORES, kind => {
  it('merges the logs of all pods', async () => {
    const harness = await kind.make()
    try {
      for (let pod = 0; pod < PODS; pod++) {
        const lines = [0, 1].map(turn => {
          const value = `${turn}/${pod} ${'x'.repeat(pod === 0 ? 700_000 : 10)}`
          return `\n${JSON.stringify({ timestamp: isoOf(turn * 100 + PODS - pod), value })}`
        })
        await harness.write(`plxlogs/pod${pod}.jsonl`, Buffer.from(lines.join('')))
      }
      const store = asServed(harness.store)
      const logsOf = async (after?: string): Promise<Answer> => {
        let text = ''
        const lastTime = after === undefined ? undefined : parseLogTime(after)
        for await (const piece of runLogs(store, { lastTime, lastFile: undefined }, NEVER)) text += piece
        return JSON.parse(text) as Answer
      }
      const backwards = Array.from({ length: PODS }, (_, i) => PODS - 1 - i)
      const names = ({ logs }: Answer): string[] => logs.map(({ value }) => value.split(' ')[0]!)
      expect(names(await logsOf())).toEqual([0, 1].flatMap(turn => backwards.map(pod => `${turn}/${pod}`)))
      const rest = await logsOf(isoOf(100 + PODS - 2))
      expect(names(rest)).toEqual(['1/1', '1/0'])
      expect(rest.last_time).toBe('1970-01-01T00:02:20+00:00')
    } finally {
      await harness.close()
    }
  })
})
