// One large file, on one connection and on eight at once.
import { RUN } from '../data.ts'
import type { Data, DataFile } from '../data.ts'
import { WrongBytes, spanSeconds } from './workload.ts'
import type { Workload } from './workload.ts'

function fileWorkload(name: string, connections: number, choose: (data: Data) => DataFile): Workload {
  return {
    name,
    unit: 'bytes',
    title: ({ data }) =>
      `A file of ${choose(data).size / 2 ** 20} MiB, ${connections === 1 ? '1 connection' : `${connections} connections at once`}`,
    runs: variant => connections > 1 || !variant.onlyManyConnections,
    async verify(target, { data, clients }) {
      const file = choose(data)
      const task = { kind: 'download', port: target.port, path: `/outputs/${RUN}/${file.path}` } as const
      const [whole] = await clients.downloads([{ ...task, hash: true }])
      if (whole!.status !== 200 || whole!.sha256 !== file.sha256)
        throw new WrongBytes(
          target,
          `${task.path} answered ${whole!.status} with other bytes than the file's`,
        )
      return {
        async measure() {
          const transfers = await clients.downloads(Array.from({ length: connections }, () => task))
          for (const { status, bytes } of transfers) {
            if (status !== 200 || bytes !== file.size)
              throw new WrongBytes(
                target,
                `${task.path} answered ${status} with ${bytes} of ${file.size} bytes`,
              )
          }
          return {
            seconds: spanSeconds(transfers),
            bytes: file.size * connections,
            requests: connections,
            firstByteMs:
              Math.max(...transfers.map(({ startNs, firstByteNs }) => firstByteNs - startNs)) / 1e6,
          }
        },
      }
    },
  }
}

export const file1 = fileWorkload('file-1', 1, data => data.big)
export const file8 = fileWorkload('file-8', 8, data => data.quarter)
