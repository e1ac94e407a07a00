// Writes docs/licences.md, the licences of what the service runs with: `node scripts/licences.ts`; with `--check` it writes nothing, and fails on drift and on a licence that nobody has agreed to.
import { readFileSync, writeFileSync } from 'node:fs'
import { inProduction } from './production.ts'

/** Licences (SPDX) that ask for no more than their text and the names of the authors to be passed on. */
const AGREED = new Set([
  'Apache-2.0',
  'MIT',
  'ISC',
  '0BSD',
  'BSD-2-Clause',
  'BSD-3-Clause',
  'BlueOak-1.0.0',
  'PSF-2.0',
])

const packages = inProduction()
const text = `# Licences

The service itself is under the [Apache License 2.0](../LICENSE). These are the packages that it is installed with (\`npm ci --omit=dev\`), each under its own licence;
\`node scripts/licences.ts\` writes this page from the lock file.

<!-- prettier-ignore-start -->

| Package | Version | Licence |
| --- | --- | --- |
${packages.map(({ name, version, licence }) => `| ${name} | ${version} | ${licence} |`).join('\n')}

<!-- prettier-ignore-end -->
`

const page = new URL('../docs/licences.md', import.meta.url)
const strange = packages.filter(({ licence }) => !AGREED.has(licence))
for (const { name, version, licence } of strange)
  fail(
    `${name}@${version} has the licence ${licence}, to which nobody has agreed: see AGREED in scripts/licences.ts`,
  )
if (!process.argv.includes('--check')) writeFileSync(page, text)
else if (readFileSync(page, 'utf8') !== text)
  fail('docs/licences.md does not show the packages as they are: run node scripts/licences.ts')

function fail(message: string): void {
  process.stderr.write(`${message}\n`)
  process.exitCode = 1
}
