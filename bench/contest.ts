// Measures workloads: all lanes of one are verified, then measured in turn.
import { resetPeaks, usageOf } from './process-tree.ts'
import type { Usage } from './process-tree.ts'
import { markdownTable, summarize } from './report.ts'
import type { Row, Sample, Summary } from './report.ts'
import type { Contestants, Lane, Setting, Verified, Workload } from './workloads/workload.ts'

export interface Contest {
  readonly workloads: readonly Workload[]
  readonly contestants: Contestants
  /** Names of lanes: the first that a workload has is the one that its others are compared with. */
  readonly baselines: readonly string[]
  /** The process of the object store that the lanes read from. */
  readonly storePid?: number | undefined
}

export interface Outcome {
  readonly workload: string
  readonly title: string
  readonly rows: readonly Row[]
  readonly summaries: readonly Summary[]
}

interface Options {
  readonly rounds: number
  /** Gets each table when it is there. */
  readonly print: (markdown: string) => void
  /** Hears what is being done. */
  readonly progress: (text: string) => void
}

export async function hold(contest: Contest, setting: Setting, options: Options): Promise<Outcome[]> {
  const outcomes: Outcome[] = []
  for (const workload of contest.workloads) {
    const rows = await measureWorkload(workload, contest, setting, options)
    const title = workload.title(setting)
    const baseline = contest.baselines.find(name => rows.some(({ variant }) => variant === name))
    const summaries = summarize(workload.unit, rows, baseline)
    outcomes.push({ workload: workload.name, title, rows, summaries })
    options.print(`\n### ${title} (\`${workload.name}\`)\n\n${markdownTable(workload.unit, summaries)}`)
  }
  return outcomes
}

async function measureWorkload(
  workload: Workload,
  { contestants, storePid }: Contest,
  setting: Setting,
  { rounds, progress }: Options,
): Promise<Row[]> {
  const verified: { lane: Lane; verified: Verified; samples: Sample[] }[] = []
  for (const lane of workload.lanes(contestants)) {
    progress(`${workload.name}: verifying ${lane.name}`)
    verified.push({ lane, verified: await lane.verify(setting), samples: [] })
  }
  // In turn, so that a noisy minute of the machine falls on all of them.
  for (let round = 1; round <= rounds; round++) {
    progress(`${workload.name}: round ${round} of ${rounds}`)
    for (const each of verified) each.samples.push(await measured(each.lane, each.verified, storePid))
  }
  return verified.map(({ lane, verified: { remark }, samples }) => ({ variant: lane.name, remark, samples }))
}

async function measured({ pid }: Lane, verified: Verified, storePid: number | undefined): Promise<Sample> {
  const server = pid === undefined ? undefined : new Meter(pid)
  const store = storePid === undefined ? undefined : new Meter(storePid)
  const transfer = await verified.measure()
  return { ...transfer, usage: transfer.usage ?? server?.read(), storeCpuSeconds: store?.read()?.cpuSeconds }
}

/** What a process and its descendants cost since this was made. */
class Meter {
  readonly #pid: number
  readonly #before: Usage | undefined

  constructor(pid: number) {
    this.#pid = pid
    resetPeaks(pid)
    this.#before = usageOf(pid)
  }

  read(): Usage | undefined {
    const after = usageOf(this.#pid)
    return this.#before && after && { ...after, cpuSeconds: after.cpuSeconds - this.#before.cpuSeconds }
  }
}
