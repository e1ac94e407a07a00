// The dashboard, the alert rules and the page for operators speak of metrics that exist, and of all of them.
import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import { Metrics } from '../../src/metrics/metrics.ts'
import { metricNames } from '../support/samples.ts'

const read = (name: string): string => readFileSync(new URL(`../../docs/${name}`, import.meta.url), 'utf8')

/** Every name of ours, or of Node's, in `text`, without what a histogram adds to it. */
function namesIn(text: string): string[] {
  const names = text.match(/\b(?:polyaxon_outputs|process|nodejs)_[a-z0-9_]+/g) ?? []
  return [...new Set(names.map(name => name.replace(/_(?:bucket|sum|count)$/, '')))].filter(
    name => !name.endsWith('_'),
  )
}

async function exposed(): Promise<string[]> {
  const metrics = new Metrics({ version: '1', ofProcess: true })
  metrics.watch({ requests: () => 0, archives: () => 0, stores: () => [] })
  return metricNames(await metrics.text())
}

const dashboard = JSON.parse(read('grafana-dashboard.json')) as {
  readonly panels: readonly { readonly id: number; readonly targets: readonly { readonly expr: string }[] }[]
}
const alerts = parse(read('alerts.yaml')) as {
  readonly groups: readonly { readonly rules: readonly { readonly alert: string; readonly expr: string }[] }[]
}

describe('every metric is one that there is', () => {
  it.each([
    ['the dashboard', dashboard.panels.flatMap(({ targets }) => targets.map(({ expr }) => expr))],
    ['the alert rules', alerts.groups.flatMap(({ rules }) => rules.map(({ expr }) => expr))],
    ['the page for operators', [read('observability.md')]],
  ])('in %s', async (_where, texts) => {
    const known = await exposed()
    expect(texts.length).toBeGreaterThan(0)
    for (const text of texts) {
      expect(namesIn(text).length).toBeGreaterThan(0)
      for (const name of namesIn(text)) expect(known).toContain(name)
    }
  })
})

it('the page for operators names every metric of ours, and the dashboard shows it', async () => {
  const ours = (await exposed()).filter(name => name.startsWith('polyaxon_outputs_'))
  const shown = namesIn(JSON.stringify(dashboard))
  for (const name of ours) {
    expect(namesIn(read('observability.md'))).toContain(name)
    expect(shown).toContain(name)
  }
})
