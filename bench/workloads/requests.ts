// Many small answers: whole small files, and ranges of a large one as dataframe and tensor readers ask for them.
import { createHash } from 'node:crypto'
import { closeSync, openSync, readSync } from 'node:fs'
import { join } from 'node:path'
import type { SmallRequest } from '../client/task.ts'
import { RANGE_BYTES, RUN } from '../data.ts'
import type { Data } from '../data.ts'
import { WrongBytes, spanSeconds } from './workload.ts'
import type { Setting, Workload } from './workload.ts'

/** One process cannot keep a server of several processes busy. */
const LOAD_PROCESSES = 2
const RANGES = 2000

function requestWorkload(options: {
  name: string
  connections: number
  title: (setting: Setting) => string
  requests: (data: Data) => SmallRequest[]
}): Workload {
  const { name, title, connections } = options
  return {
    name,
    title,
    unit: 'requests',
    runs: () => true,
    async verify(target, { data, clients, loadMs }) {
      const requests = options.requests(data)
      const task = { kind: 'load', port: target.port, requests, durationMs: loadMs } as const
      try {
        await clients.loads([{ ...task, connections, durationMs: undefined }])
      } catch (error) {
        throw new WrongBytes(target, (error as Error).message)
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
    },
  }
}

export const smallFiles = requestWorkload({
  name: 'small-files',
  connections: 64,
  title: ({ data }) => `${data.small.files.length} files of 4 KiB, 64 keep-alive connections`,
  requests: data =>
    data.small.files.map(file => ({
      path: `/outputs/${RUN}/${file.path}`,
      status: 200,
      length: file.size,
      sha256: file.sha256,
    })),
})

export const ranges = requestWorkload({
  name: 'ranges',
  connections: 16,
  title: ({ data }) =>
    `Ranges of 64 KiB at random places of ${data.big.size / 2 ** 20} MiB, 16 keep-alive connections`,
  requests: data => randomRanges(data),
})

function randomRanges(data: Data): SmallRequest[] {
  const file = openSync(join(data.root, RUN, data.big.path), 'r')
  const slice = Buffer.alloc(RANGE_BYTES)
  // Places of a linear congruential generator (Numerical Recipes): anywhere, aligned to nothing, the same in every run.
  let state = 1
  const requests = Array.from({ length: RANGES }, () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    const start = Math.floor((state / 2 ** 32) * (data.big.size - RANGE_BYTES))
    readSync(file, slice, 0, RANGE_BYTES, start)
    return {
      path: `/outputs/${RUN}/${data.big.path}`,
      range: `bytes=${start}-${start + RANGE_BYTES - 1}`,
      status: 206,
      length: RANGE_BYTES,
      sha256: createHash('sha256').update(slice).digest('hex'),
    }
  })
  closeSync(file)
  return requests
}
