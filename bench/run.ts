// `npm run bench`: starts the service and its peers side by side, proves that all of them send the right bytes, and measures them in turn.
import { mkdtempSync, mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { availableParallelism, cpus, release, tmpdir } from 'node:os'
import { join } from 'node:path'
import { ClientPool } from './client/pool.ts'
import { hold } from './contest.ts'
import type { Contest, Outcome } from './contest.ts'
import { FULL, QUICK, RUN, makeData, writeReadyFile } from './data.ts'
import { HELP, parseOptions } from './options.ts'
import type { Options } from './options.ts'
import { fillBucket, storeServer } from './store/bucket.ts'
import { RCLONE_SERVE, rcloneServe, serviceOnBucket, storeItself } from './store/servers.ts'
import { RCLONE, RCLONE_COPY, availableTools } from './store/tools.ts'
import { HAUPT, streamsVariants } from './streams/servers.ts'
import { BASELINE, availableVariants, launch, serviceOnFolder } from './variants.ts'
import type { RunningVariant, Variant } from './variants.ts'
import type { Setting } from './workloads/workload.ts'

const CLIENT_PROCESSES = 8
/** Copies to files are for whole objects and folders, a server for single requests. */
const STORE_BASELINES = [RCLONE_COPY, RCLONE_SERVE]

interface Ground {
  readonly options: Options
  readonly setting: Setting
  start(variant: Variant): Promise<RunningVariant>
  /** In the run; every server that is up serves it. */
  readonly readyFile: string
}

async function run(options: Options): Promise<void> {
  await using cleanup = new AsyncDisposableStack()
  const folder = mkdtempSync(join(tmpdir(), 'outputs-bench-'))
  cleanup.defer(() => rmSync(folder, { recursive: true }))
  const clients = cleanup.use(new ClientPool(CLIENT_PROCESSES))
  const stopped = new AbortController()
  // Without clients and commands the measurement fails, and everything is cleaned up on the way out.
  for (const signal of ['SIGINT', 'SIGTERM'] as const)
    process.once(signal, () => {
      stopped.abort()
      clients[Symbol.dispose]()
    })

  progress('writing the data')
  const root = join(folder, 'outputs')
  const scratch = join(folder, 'scratch')
  mkdirSync(scratch)
  const readyFile = writeReadyFile(root)
  const data = makeData(root, options.quick ? QUICK : FULL)
  const setting = { data, clients, scratch, loadMs: options.quick ? 600 : 5000, signal: stopped.signal }
  const start = (variant: Variant): Promise<RunningVariant> => {
    progress(`starting ${variant.name}`)
    const ownScratch = mkdtempSync(join(folder, 'server-'))
    return launch(variant, { root, scratch: ownScratch, service: options.service }, readyFile)
  }
  const ground = { options, setting, start, readyFile }

  console.log(heading(options))
  const outcomes = [
    ...(await holdOnFolder(ground)),
    ...(await holdOnStore(ground)),
    ...(await holdBesideHaupt(ground)),
  ]
  if (options.json !== undefined)
    writeFileSync(options.json, JSON.stringify({ machine: machine(), options, outcomes }, undefined, 2))
}

/** Servers of one folder. */
async function holdOnFolder(ground: Ground): Promise<Outcome[]> {
  const workloads = ground.options.folderWorkloads
  if (workloads.length === 0) return []
  await using cleanup = new AsyncDisposableStack()
  const { variants, missing } = availableVariants()
  const servers: RunningVariant[] = []
  for (const variant of variants) servers.push(cleanup.use(await ground.start(variant)))
  console.log(`\nOn a folder; baseline: ${BASELINE}.${notMeasured(missing)}`)
  return await holdAloud({ workloads, contestants: { servers, tools: [] }, baselines: [BASELINE] }, ground)
}

/** Servers and command lines of one bucket, beside the service on the folder. */
async function holdOnStore(ground: Ground): Promise<Outcome[]> {
  const { options, setting, readyFile } = ground
  const workloads = options.storeWorkloads
  if (workloads.length === 0) return []
  const server = storeServer()
  if (server === undefined) {
    console.log(notMeasured(['TEST_MINIO names no object store on the loopback interface']))
    return []
  }
  await using cleanup = new AsyncDisposableStack()
  progress('filling a bucket')
  const { root, object, many } = setting.data
  const paths = [readyFile, object.path, ...many.files.map(({ path }) => path)]
  const keys = paths.map(path => `${RUN}/${path}`)
  const bucket = cleanup.use(await fillBucket(server, root, keys, setting.signal))
  const { tools, missing } = availableTools(bucket)
  const variants = [serviceOnBucket(bucket), serviceOnFolder]
  if (tools.some(({ name }) => name === RCLONE)) variants.push(rcloneServe(bucket))
  const servers: RunningVariant[] = []
  for (const variant of variants) servers.push(cleanup.use(await ground.start(variant)))
  console.log(
    `\nOn S3 (MinIO), beside the service on the folder; baseline: ${STORE_BASELINES.join(', or ')}.${notMeasured(missing)}`,
  )
  return await holdAloud(
    {
      workloads,
      contestants: { servers: [...servers, storeItself(bucket)], tools },
      baselines: STORE_BASELINES,
      storePid: server.pid,
    },
    ground,
  )
}

/** The service and Polyaxon's own, at the URLs of that. */
async function holdBesideHaupt(ground: Ground): Promise<Outcome[]> {
  const workloads = ground.options.streamsWorkloads
  if (workloads.length === 0) return []
  await using cleanup = new AsyncDisposableStack()
  progress('installing haupt, unless it is there')
  const { variants, missing } = await streamsVariants()
  const servers: RunningVariant[] = []
  for (const variant of variants) servers.push(cleanup.use(await ground.start(variant)))
  console.log(`\nAt the URLs of Polyaxon's streams service; baseline: ${HAUPT}.${notMeasured(missing)}`)
  return await holdAloud({ workloads, contestants: { servers, tools: [] }, baselines: [HAUPT] }, ground)
}

function holdAloud(contest: Contest, { options, setting }: Ground): Promise<Outcome[]> {
  return hold(contest, setting, { rounds: options.rounds, print: text => console.log(text), progress })
}

function notMeasured(reasons: readonly string[]): string {
  return reasons.map(each => `\nNot measured: ${each}.`).join('')
}

function machine() {
  return {
    node: process.version,
    system: `${process.platform} ${release()} ${process.arch}`,
    cpu: cpus()[0]?.model ?? 'unknown',
    cores: availableParallelism(),
  }
}

function heading(options: Options): string {
  const { node, system, cpu, cores } = machine()
  return `## Benchmark${options.quick ? ' (quick: rates are rough)' : ''}

Node ${node} on ${system}, ${cores} × ${cpu}; ${options.service}. Median of ${options.rounds} rounds, the variants in turn.
Loopback, files in the page cache. The clients are Node processes on raw sockets that copy every byte into one reused buffer, and share the cores with the servers.
Every variant's bytes were compared with the data first.`
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
