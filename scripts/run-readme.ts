// Runs the commands of a Markdown page and compares what they print with what the page says: `node scripts/run-readme.ts PAGE`.
//
// A command is a ```sh block after the line `<!-- run -->`; a ```text block right after it holds its whole output. Blocks run in order, each by
// `sh -e` and all in the current folder, so a later one may use a file of an earlier one.
import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'

interface Example {
  /** Line of the page where it begins, from 1. */
  readonly line: number
  readonly script: string
  /** Undefined when the page shows none. */
  readonly output: string | undefined
}

const MARKER = '<!-- run -->'
const FENCED = /^\s*```sh\n(?<script>.*?)^```\n(?:\s*```text\n(?<output>.*?)^```\n)?/ms

/** Throws when a marker is followed by anything but a ```sh block. */
function parseExamples(page: string): Example[] {
  const sections = page.split(`${MARKER}\n`)
  let line = 1
  return sections.flatMap((section, index) => {
    const start = line
    line += section.split('\n').length
    if (index === 0) return []
    const match = FENCED.exec(section)
    if (match?.index !== 0) throw new Error(`line ${start}: ${MARKER} is not followed by a \`\`\`sh block`)
    return [{ line: start, script: match.groups!['script']!, output: match.groups!['output'] }]
  })
}

/** What is wrong with the example; undefined when nothing is. */
function run({ script, output }: Example): string | undefined {
  const { status, stdout, stderr } = spawnSync('sh', ['-e'], {
    input: script,
    encoding: 'utf8',
    timeout: 120_000,
  })
  if (status !== 0) return `ended with status ${status}\n${stdout}${stderr}`
  if (output === undefined || stdout === output) return undefined
  return `printed\n${stdout}instead of\n${output}`
}

const [page] = process.argv.slice(2)
if (page === undefined) throw new Error('usage: run-readme.ts PAGE')
const examples = parseExamples(readFileSync(page, 'utf8'))
if (examples.length === 0) throw new Error(`${page} has no ${MARKER}`)
for (const example of examples) {
  const fault = run(example)
  if (fault !== undefined)
    throw new Error(`${page}:${example.line}: this example ${fault}\n${example.script}`)
  console.log(`${page}:${example.line}: as shown`)
}
