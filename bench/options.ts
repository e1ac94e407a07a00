// The command line of the benchmark.
import { parseArgs } from 'node:util'
import { archives, resume } from './workloads/archive.ts'
import { file1, file8 } from './workloads/file.ts'
import { ranges, smallFiles } from './workloads/requests.ts'
import { storeFile, storeFiles, storeFolder, storeRanges } from './workloads/store.ts'
import { streams } from './workloads/streams.ts'
import type { Workload } from './workloads/workload.ts'

const FOLDER_WORKLOADS: readonly Workload[] = [file1, file8, smallFiles, ranges, ...archives, resume]
const STORE_WORKLOADS: readonly Workload[] = [storeFile, storeFolder, storeFiles, storeRanges]
const STREAMS_WORKLOADS: readonly Workload[] = streams

const names = (workloads: readonly Workload[]) => workloads.map(({ name }) => name)

export const HELP = `Usage: npm run bench -- [--quick] [--only NAME]... [--rounds N] [--service FILE] [--json FILE]

  --quick         less data and two short rounds: whether it works and roughly how fast, in a few minutes
  --only NAME     one workload; may be repeated: ${names(FOLDER_WORKLOADS).join(', ')};
                  on an object store: ${names(STORE_WORKLOADS).join(', ')}
                  beside haupt: ${names(STREAMS_WORKLOADS).join(', ')}
  --rounds N      measurements of each variant, in turn with the others (default 5; 2 with --quick)
  --service FILE  the program to start (default src/main.ts)
  --json FILE     also writes every measurement there

Object stores need TEST_MINIO='endpoint=http://127.0.0.1:… access_key=… secret_key=…' (scripts/with-stores.sh sets it).
`

export interface Options {
  readonly quick: boolean
  readonly rounds: number
  readonly service: string
  readonly json: string | undefined
  readonly folderWorkloads: readonly Workload[]
  readonly storeWorkloads: readonly Workload[]
  readonly streamsWorkloads: readonly Workload[]
}

/** Undefined when only the help was wanted. Fails with a TypeError or RangeError that says which argument is wrong. */
export function parseOptions(args: readonly string[]): Options | undefined {
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
  const known = names([...FOLDER_WORKLOADS, ...STORE_WORKLOADS, ...STREAMS_WORKLOADS])
  const unknown = values.only?.find(name => !known.includes(name))
  if (unknown !== undefined) throw new RangeError(`there is no workload '${unknown}'`)
  const rounds = Number(values.rounds ?? (values.quick ? 2 : 5))
  if (!Number.isInteger(rounds) || rounds < 1)
    throw new RangeError(`--rounds ${values.rounds} is not a count`)
  const chosen = ({ name }: Workload) => values.only?.includes(name) ?? true
  return {
    quick: values.quick,
    rounds,
    service: values.service,
    json: values.json,
    folderWorkloads: FOLDER_WORKLOADS.filter(chosen),
    storeWorkloads: STORE_WORKLOADS.filter(chosen),
    streamsWorkloads: STREAMS_WORKLOADS.filter(chosen),
  }
}
