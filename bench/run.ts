// `npm run bench`: starts the service and its peers side by side, proves that all of them send the right bytes, and measures them in turn.
import { mkdtempSync, mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { availableParallelism, cpus, release, tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { ClientPool } from './client/pool.ts'
import { FULL, QUICK, makeData, writeReadyFile } from './data.ts'
import { resetPeaks, usageOf } from './process-tree.ts'
import { markdownTable, summarize } from './report.ts'
import type { Row, Sample, Summary } from './report.ts'
import { BASELINE, availableVariants, launch } from './variants.ts'
import type { RunningVariant } from './variants.ts'
import { archives, resume } from './workloads/archive.ts'
import { file1, file8 } from './workloads/file.ts'
import { ranges, smallFiles } from './workloads/requests.ts'
import type { Setting, Verified, Workload } from './workloads/workload.ts'

const WORKLOADS: readonly Workload[] = [file1, file8, smallFiles, ranges, ...archives, resume]
const CLIENT_PROCESSES = 8

const HELP = `Usage: npm run bench -- [--quick] [--only NAME]... [--rounds N] [--service FILE] [--json FILE]

  --quick         less data and two short rounds: whether it works and roughly how fast, in under two minutes
  --only NAME     one workload; may be repeated: ${WORKLOADS.map(({ name }) => name).join(', ')}
  --rounds N      measurements of each variant, in turn with the others (default 5; 2 with --quick)
  --service FILE  the program to start (default src/main.ts)
  --json FILE     also writes every measurement there
`

interface Options {
  readonly quick: boolean
  readonly rounds: number
  readonly service: string
  readonly json: string | undefined
  readonly workloads: readonly Workload[]
}

interface Outcome {
  readonly workload: string
  readonly title: string
  readonly rows: readonly Row[]
  readonly summaries: readonly Summary[]
}

/** Undefined when only the help was wanted. Fails with a TypeError or RangeError that says which argument is wrong. */
function parseOptions(args: readonly string[]): Options | undefined {
  const { values } = parseArgs({
    args: [...args],
    options: {
      quick: { type: 'boolean', default: false },
      only: { type: 'string', multiple: true },
      rounds: { type: 'string' },
      service: { type: 'string', default: 'src/main.ts' },
      json: { type: 'string' },
      help: { type: 'boolean', default: false },
    },
  })
  if (values.help) return undefined
  const unknown = values.only?.find(name => WORKLOADS.every(workload => workload.name !== name))
  if (unknown !== undefined) throw new RangeError(`there is no workload '${unknown}'`)
  const rounds = Number(values.rounds ?? (values.quick ? 2 : 5))
  if (!Number.isInteger(rounds) || rounds < 1)
    throw new RangeError(`--rounds ${values.rounds} is not a count`)
  return {
    quick: values.quick,
    rounds,
    service: values.service,
    json: values.json,
    workloads: WORKLOADS.filter(({ name }) => values.only?.includes(name) ?? true),
  }
}

async function run(options: Options): Promise<void> {
  await using cleanup = new AsyncDisposableStack()
  const folder = mkdtempSync(join(tmpdir(), 'outputs-bench-'))
  cleanup.defer(() => rmSync(folder, { recursive: true }))
  const clients = cleanup.use(new ClientPool(CLIENT_PROCESSES))
  // Without clients the measurement fails, and everything is cleaned up on the way out.
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => clients[Symbol.dispose]())

  progress('writing the data')
  const root = join(folder, 'outputs')
  const readyPath = writeReadyFile(root)
  const data = makeData(root, options.quick ? QUICK : FULL)
  const { variants, missing } = availableVariants()
  const targets: RunningVariant[] = []
  for (const variant of variants) {
    progress(`starting ${variant.name}`)
    const scratch = join(folder, `server-${targets.length}`)
    targets.push(cleanup.use(await launch(variant, { root, scratch, service: options.service }, readyPath)))
  }
  const scratch = join(folder, 'scratch')
  mkdirSync(scratch)

  console.log(heading(options, missing))
  const setting: Setting = { data, clients, scratch, loadMs: options.quick ? 600 : 5000 }
  const outcomes: Outcome[] = []
  for (const workload of options.workloads) {
    const outcome = await measureWorkload(workload, targets, setting, options.rounds)
    outcomes.push(outcome)
    console.log(
      `\n### ${outcome.title} (\`${workload.name}\`)\n\n${markdownTable(workload.unit, outcome.summaries)}`,
    )
  }
  if (options.json !== undefined)
    writeFileSync(options.json, JSON.stringify({ machine: machine(), options, outcomes }, undefined, 2))
}

async function measureWorkload(
  workload: Workload,
  targets: readonly RunningVariant[],
  setting: Setting,
  rounds: number,
): Promise<Outcome> {
  const lanes: { target: RunningVariant; verified: Verified; samples: Sample[] }[] = []
  for (const target of targets.filter(({ variant }) => workload.runs(variant))) {
    progress(`${workload.name}: verifying ${target.variant.name}`)
    lanes.push({ target, verified: await workload.verify(target, setting), samples: [] })
  }
  // In turn, so that a noisy minute of the machine falls on all of them.
  for (let round = 1; round <= rounds; round++) {
    progress(`${workload.name}: round ${round} of ${rounds}`)
    for (const lane of lanes) lane.samples.push(await measured(lane.target, lane.verified))
  }
  const rows = lanes.map(({ target, verified, samples }) => ({
    variant: target.variant.name,
    remark: verified.remark,
    samples,
  }))
  return {
    workload: workload.name,
    title: workload.title(setting),
    rows,
    summaries: summarize(workload.unit, rows, BASELINE),
  }
}

async function measured({ pid }: RunningVariant, verified: Verified): Promise<Sample> {
  resetPeaks(pid)
  const before = usageOf(pid)
  const transfer = await verified.measure()
  const after = usageOf(pid)
  const usage = before && after && { ...after, cpuSeconds: after.cpuSeconds - before.cpuSeconds }
  return { ...transfer, usage }
}

function machine() {
  return {
    node: process.version,
    system: `${process.platform} ${release()} ${process.arch}`,
    cpu: cpus()[0]?.model ?? 'unknown',
    cores: availableParallelism(),
  }
}

function heading(options: Options, missing: readonly string[]): string {
  const { node, system, cpu, cores } = machine()
  return `## Benchmark${options.quick ? ' (quick: rates are rough)' : ''}

Node ${node} on ${system}, ${cores} × ${cpu}; ${options.service}. Median of ${options.rounds} rounds, the variants in turn; baseline: ${BASELINE}.
Loopback, files in the page cache. The clients are Node processes on raw sockets that copy every byte into one reused buffer, and share the cores with the servers.
Every variant's bytes were compared with the data first.${missing.map(each => `\nNot measured: ${each}.`).join('')}`
}

/** To stderr, so that stdout is the report. */
function progress(text: string): void {
  process.stderr.write(`${new Date().toISOString().slice(11, 19)} ${text}\n`)
}

try {
  const options = parseOptions(process.argv.slice(2))
  if (options === undefined) console.log(HELP)
  else await run(options)
} catch (error) {
  console.error(error instanceof Error ? `bench: ${error.name}: ${error.message}` : error)
  if (error instanceof Error && error.cause !== undefined) console.error(error.cause)
  process.exitCode = 1
}
