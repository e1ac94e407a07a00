// Writes the generated parts of the documentation: `node scripts/docs.ts`; with `--check` it writes nothing and fails on drift.
import { readFileSync, writeFileSync } from 'node:fs'
import { settingsTable } from '../src/config/help.ts'

const FILES = ['README.md', 'docs/configuration.md']
const BEGIN = '<!-- settings:begin -->'
const END = '<!-- settings:end -->'

/** `text` with the table between its markers; undefined when the markers are missing. */
function withTable(text: string): string | undefined {
  const begin = text.indexOf(BEGIN)
  const end = text.indexOf(END, begin)
  if (begin < 0 || end < 0) return undefined
  // Prettier would align the columns, and every changed cell would change every row.
  const table = `<!-- prettier-ignore-start -->\n\n${settingsTable()}\n\n<!-- prettier-ignore-end -->`
  return `${text.slice(0, begin + BEGIN.length)}\n${table}\n${text.slice(end)}`
}

const checkOnly = process.argv.includes('--check')
for (const file of FILES) {
  const url = new URL(`../${file}`, import.meta.url)
  const text = readFileSync(url, 'utf8')
  const updated = withTable(text)
  if (updated === undefined) fail(`${file} has no ${BEGIN} … ${END}`)
  else if (updated !== text && checkOnly)
    fail(`${file} does not show the settings as they are: run node scripts/docs.ts`)
  else if (updated !== text) writeFileSync(url, updated)
}

function fail(message: string): void {
  process.stderr.write(`${message}\n`)
  process.exitCode = 1
}
