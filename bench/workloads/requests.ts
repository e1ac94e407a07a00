// Many small answers: whole small files, and ranges of a large one as dataframe and tensor readers ask for them.
import { createHash } from 'node:crypto'
import { closeSync, openSync, readSync } from 'node:fs'
import { join } from 'node:path'
import type { SmallRequest } from '../client/task.ts'
import { RANGE_BYTES, RUN } from '../data.ts'
import type { Data, DataFile, Folder } from '../data.ts'
import type { RunningVariant } from '../variants.ts'
import { WrongBytes, serverLane, spanSeconds, urlPath } from './workload.ts'
import type { Setting, Verified, Workload } from './workload.ts'

/** One process cannot keep a server of several processes busy. */
const LOAD_PROCESSES = 2
const RANGES = 2000

interface RequestOptions {
  readonly name: string
  readonly connections: number
  readonly title: (setting: Setting) => string
  /** With paths relative to the run. */
  readonly requests: (data: Data) => SmallRequest[]
}

function requestWorkload({ name, connections, title, requests }: RequestOptions): Workload {
  return {
    name,
    title,
    unit: 'requests',
    lanes: ({ servers }) =>
      servers.map(server =>
        serverLane(server, setting => verifyRequests(server, setting, requests(setting.data), connections)),
      ),
  }
}

async function verifyRequests(
  target: RunningVariant,
  { clients, loadMs }: Setting,
  inRun: readonly SmallRequest[],
  connections: number,
): Promise<Verified> {
  const requests = inRun.map(request => ({ ...request, path: urlPath(target, request.path) }))
  const task = { kind: 'load', port: target.port, requests, durationMs: loadMs } as const
  try {
    await clients.loads([{ ...task, connections, durationMs: undefined }])
  } catch (error) {
    throw new WrongBytes(target.variant.name, (error as Error).message)
  }
  return {
    async measure() {
      const share = { ...task, connections: connections / LOAD_PROCESSES }
      const rounds = await clients.loads(Array.from({ length: LOAD_PROCESSES }, () => share))
      return {
        seconds: spanSeconds(rounds),
        bytes: rounds.reduce((sum, round) => sum + round.bytes, 0),
        requests: rounds.reduce((sum, round) => sum + round.responses, 0),
        latencies: rounds[0]!.latencies.map((_, i) =>
          rounds.reduce((sum, round) => sum + round.latencies[i]!, 0),
        ),
      }
    },
  }
}

/** All files of a folder, one by one. */
export function fileRequests(
  name: string,
  choose: (data: Data) => Folder,
  title: (folder: Folder) => string,
): Workload {
  return requestWorkload({
    name,
    connections: 64,
    title: ({ data }) => `${title(choose(data))}, 64 keep-alive connections`,
    requests: data =>
      choose(data).files.map(({ path, size, sha256 }) => ({ path, status: 200, length: size, sha256 })),
  })
}

export function rangeRequests(name: string, choose: (data: Data) => DataFile): Workload {
  return requestWorkload({
    name,
    connections: 16,
    title: ({ data }) =>
      `Ranges of 64 KiB at random places of ${choose(data).size / 2 ** 20} MiB, 16 keep-alive connections`,
    requests: data => randomRanges(data.root, choose(data)),
  })
}

export const smallFiles = fileRequests(
  'small-files',
  data => data.small,
  ({ files }) => `${files.length} files of 4 KiB`,
)

export const ranges = rangeRequests('ranges', data => data.big)

function randomRanges(root: string, { path, size }: DataFile): SmallRequest[] {
  const file = openSync(join(root, RUN, path), 'r')
  const slice = Buffer.alloc(RANGE_BYTES)
  // Places of a linear congruential generator (Numerical Recipes): anywhere, aligned to nothing, the same in every run.
  let state = 1
  const requests = Array.from({ length: RANGES }, () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    const start = Math.floor((state / 2 ** 32) * (size - RANGE_BYTES))
    readSync(file, slice, 0, RANGE_BYTES, start)
    return {
      path,
      range: `bytes=${start}-${start + RANGE_BYTES - 1}`,
      status: 206,
      length: RANGE_BYTES,
      sha256: createHash('sha256').update(slice).digest('hex'),
    }
  })
  closeSync(file)
  return requests
}
