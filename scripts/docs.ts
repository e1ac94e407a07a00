// Writes the generated parts of the documentation: `node scripts/docs.ts`; with `--check` it writes nothing and fails on drift.
import { readFileSync, writeFileSync } from 'node:fs'
import { settingsTable, storeFieldsTable } from '../src/config/help.ts'

/** Which tables each file shows, by the name in their markers: `<!-- settings:begin -->` … `<!-- settings:end -->`. */
const TABLES = {
  'README.md': { settings: settingsTable },
  'docs/configuration.md': { settings: settingsTable, 'store-fields': storeFieldsTable },
}

/** `text` with the table between its markers; undefined when the markers are missing. */
function withTable(text: string, name: string, table: string): string | undefined {
  const beginMarker = `<!-- ${name}:begin -->`
  const begin = text.indexOf(beginMarker)
  const end = text.indexOf(`<!-- ${name}:end -->`, begin)
  if (begin < 0 || end < 0) return undefined
  // Prettier would align the columns, and every changed cell would change every row.
  const block = `<!-- prettier-ignore-start -->\n\n${table}\n\n<!-- prettier-ignore-end -->`
  return `${text.slice(0, begin + beginMarker.length)}\n${block}\n${text.slice(end)}`
}

const checkOnly = process.argv.includes('--check')
for (const [file, tables] of Object.entries(TABLES)) {
  const url = new URL(`../${file}`, import.meta.url)
  const text = readFileSync(url, 'utf8')
  let updated = text
  for (const [name, table] of Object.entries(tables)) {
    const withThis = withTable(updated, name, table())
    if (withThis === undefined) fail(`${file} has no <!-- ${name}:begin --> … <!-- ${name}:end -->`)
    else updated = withThis
  }
  if (updated !== text && checkOnly)
    fail(`${file} does not show the settings as they are: run node scripts/docs.ts`)
  else if (updated !== text) writeFileSync(url, updated)
}

function fail(message: string): void {
  process.stderr.write(`${message}\n`)
  process.exitCode = 1
}
