// Reads the text format of Prometheus.

/** The value of the series of `name` that has all of `labels`; undefined where there is none. */
export function sampleIn(
  text: string,
  name: string,
  labels: Readonly<Record<string, string>> = {},
): number | undefined {
  const wanted = Object.entries(labels).map(([key, value]) => `${key}="${value}"`)
  for (const line of text.split('\n')) {
    const [, found, given = '', value] = /^([a-z_0-9]+)(?:\{(.*)\})? (\S+)$/i.exec(line) ?? []
    if (found === name && wanted.every(label => given.includes(label))) return Number(value)
  }
  return undefined
}

/** The names of all metrics in it, as `# TYPE` lines name them. */
export function metricNames(text: string): string[] {
  return [...text.matchAll(/^# TYPE (\S+) /gm)].map(([, name]) => name!)
}
