// Asks the registry for known vulnerabilities of what the service runs with: `npm run audit`. Ends with 1 where there are grave ones, and with 3 where the registry has no answer: that is no pass.
import { spawnSync } from 'node:child_process'

interface Report {
  readonly metadata?: { readonly vulnerabilities: Readonly<Record<string, number>> }
}

const GRAVE = ['high', 'critical']

const { stdout, stderr } = spawnSync('npm', ['audit', '--omit=dev', '--json'], { encoding: 'utf8' })
const found = reportOf(stdout)?.metadata?.vulnerabilities
if (found === undefined) {
  process.stdout.write(
    `Not audited: the registry gives no list of vulnerabilities. ${stderr.split('\n', 1)[0]}\n`,
  )
  process.exitCode = 3
} else {
  const grave = GRAVE.reduce((sum, severity) => sum + (found[severity] ?? 0), 0)
  process.stdout.write(`Known vulnerabilities by severity: ${JSON.stringify(found)}\n`)
  process.exitCode = grave > 0 ? 1 : 0
}

function reportOf(text: string): Report | undefined {
  try {
    return JSON.parse(text) as Report
  } catch {
    return undefined
  }
}
