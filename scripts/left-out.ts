// Whether the steps of a whole run left something out: `node scripts/left-out.ts REPORT...`, with the reports that vitest wrote of them (`--reporter=json`).
// Fails with the test files that are in none of them, and the tests that were skipped in all for want of a server; of NFS, which is slow, only those that are about it.
import { globSync, readFileSync } from 'node:fs'
import { relative } from 'node:path'

interface Report {
  readonly testResults: readonly {
    readonly name: string
    readonly assertionResults: readonly { readonly fullName: string; readonly status: string }[]
  }[]
}

/** Whether it is one that needs a server that tests are told about (`test/support/servers.ts`). */
function needsServer(file: string, name: string): boolean {
  return /\(needs TEST_/.test(name) && (!name.includes('needs TEST_NFS') || file.startsWith('test/nfs/'))
}

const files = new Set<string>()
const ran = new Set<string>()
const waiting = new Set<string>()
for (const report of process.argv.slice(2)) {
  const { testResults } = JSON.parse(readFileSync(report, 'utf8')) as Report
  for (const { name, assertionResults } of testResults) {
    const file = relative(process.cwd(), name)
    files.add(file)
    for (const { fullName, status } of assertionResults) {
      const test = `${file}: ${fullName}`
      if (status === 'passed') ran.add(test)
      else if (needsServer(file, fullName)) waiting.add(test)
    }
  }
}
const leftOut = [
  ...globSync('test/**/*.test.ts').filter(file => !files.has(file)),
  ...[...waiting].filter(test => !ran.has(test)),
].sort()
if (leftOut.length > 0) {
  console.error(`These ran in no step:\n${leftOut.join('\n')}`)
  process.exit(1)
}
console.log(`${ran.size} tests in ${files.size} files ran, ${waiting.size} of them where their server was.`)
