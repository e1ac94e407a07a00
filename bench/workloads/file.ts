// One large file, on one connection and on eight at once.
import type { Data, DataFile } from '../data.ts'
import type { RunningVariant } from '../variants.ts'
import { WrongBytes, serverLane, spanSeconds, urlPath } from './workload.ts'
import type { Setting, Verified, Workload } from './workload.ts'

function fileWorkload(name: string, connections: number, choose: (data: Data) => DataFile): Workload {
  return {
    name,
    unit: 'bytes',
    title: ({ data }) =>
      `A file of ${choose(data).size / 2 ** 20} MiB, ${connections === 1 ? '1 connection' : `${connections} connections at once`}`,
    lanes: ({ servers }) =>
      servers
        .filter(({ variant }) => connections > 1 || !variant.onlyManyConnections)
        .map(server =>
          serverLane(server, setting => verifyFile(server, setting, choose(setting.data), connections)),
        ),
  }
}

export async function verifyFile(
  target: RunningVariant,
  { clients }: Setting,
  file: DataFile,
  connections: number,
): Promise<Verified> {
  const task = { kind: 'download', port: target.port, path: urlPath(target, file.path) } as const
  const wrong = (what: string) => new WrongBytes(target.variant.name, `${task.path} answered ${what}`)
  const [whole] = await clients.downloads([{ ...task, hash: true }])
  if (whole!.status !== 200 || whole!.sha256 !== file.sha256)
    throw wrong(`${whole!.status} with other bytes than the file's`)
  return {
    async measure() {
      const transfers = await clients.downloads(Array.from({ length: connections }, () => task))
      for (const { status, bytes } of transfers) {
        if (status !== 200 || bytes !== file.size)
          throw wrong(`${status} with ${bytes} of ${file.size} bytes`)
      }
      return {
        seconds: spanSeconds(transfers),
        bytes: file.size * connections,
        requests: connections,
        firstByteMs: Math.max(...transfers.map(({ startNs, firstByteNs }) => firstByteNs - startNs)) / 1e6,
      }
    },
  }
}

export const file1 = fileWorkload('file-1', 1, data => data.big)
export const file8 = fileWorkload('file-8', 8, data => data.quarter)
