// What clients ask of Polyaxon's streams service: a folder as .tar.gz, a file, a part of it.
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { POLYAXON_RUN, POLYAXON_RUNS, RANGE_BYTES } from '../data.ts'
import type { DownloadResult, DownloadTask } from '../client/task.ts'
import { streamsPath } from '../streams/servers.ts'
import type { RunningVariant } from '../variants.ts'
import { holds, sha256Of } from './archive.ts'
import { serverLane, spanSeconds, WrongBytes } from './workload.ts'
import type { Setting, Transfer, Verified, Workload } from './workload.ts'

type Verify = (server: RunningVariant, setting: Setting) => Promise<Verified>

function streamsWorkload(name: string, title: (mebibytes: number) => string, verify: Verify): Workload {
  return {
    name,
    unit: 'bytes',
    title: ({ data }) => title(data.model.size / 2 ** 20),
    lanes: ({ servers }) => servers.map(server => serverLane(server, setting => verify(server, setting))),
  }
}

async function verifyFolder(server: RunningVariant, setting: Setting): Promise<Verified> {
  const { model } = setting.data
  const saveTo = join(setting.scratch, 'model.tar.gz')
  const task = taskFor(server, `artifacts?path=${model.path}`)
  const [whole] = await setting.clients.downloads([{ ...task, saveTo }])
  if (whole!.status !== 200 || !(await holds(saveTo, model)))
    throw wrong(server, task, `${whole!.status} with something else than the folder`)
  rmSync(saveTo)
  // The bytes do not compress.
  return { measure: () => measure(server, setting, task, { status: 200, atLeast: model.size }) }
}

async function verifyFile(server: RunningVariant, setting: Setting): Promise<Verified> {
  const [weights] = setting.data.model.files
  const task = fileTask(server, setting)
  const [whole] = await setting.clients.downloads([{ ...task, hash: true }])
  if (whole!.status !== 200 || whole!.sha256 !== weights!.sha256)
    throw wrong(server, task, `${whole!.status} with other bytes than the file's`)
  return { measure: () => measure(server, setting, task, { status: 200, atLeast: weights!.size }) }
}

/** As a reader of tensors asks; a server without ranges sends everything. */
async function verifyRange(server: RunningVariant, setting: Setting): Promise<Verified> {
  const { root, model } = setting.data
  const [weights] = model.files
  const task = { ...fileTask(server, setting), range: `bytes=0-${RANGE_BYTES - 1}` }
  const [answer] = await setting.clients.downloads([{ ...task, hash: true }])
  const { status, bytes, sha256 } = answer!
  const beginning = sha256Of(join(root, POLYAXON_RUNS, POLYAXON_RUN, weights!.path), 0, RANGE_BYTES)
  const expected = status === 206 ? await beginning : weights!.sha256
  if (![200, 206].includes(status) || sha256 !== expected)
    throw wrong(server, task, `${status} with other bytes than asked for`)
  const remark = status === 206 ? '206' : '200, the whole file'
  return { remark, measure: () => measure(server, setting, task, { status, atLeast: bytes }) }
}

async function measure(
  server: RunningVariant,
  { clients }: Setting,
  task: DownloadTask,
  { status, atLeast }: { readonly status: number; readonly atLeast: number },
): Promise<Transfer> {
  const [transfer] = (await clients.downloads([task])) as [DownloadResult]
  if (transfer.status !== status || transfer.bytes < atLeast)
    throw wrong(server, task, `${transfer.status} with ${transfer.bytes} bytes`)
  const firstByteMs = (transfer.firstByteNs - transfer.startNs) / 1e6
  return { seconds: spanSeconds([transfer]), bytes: transfer.bytes, requests: 1, firstByteMs }
}

/** `force` makes haupt read the store rather than its copy of an earlier answer. */
function fileTask(server: RunningVariant, { data }: Setting): DownloadTask {
  return taskFor(server, `artifact?path=${data.model.files[0]!.path}&stream=true&force=true`)
}

function taskFor({ port }: RunningVariant, resource: string): DownloadTask {
  return { kind: 'download', port, path: streamsPath(resource) }
}

function wrong({ variant }: RunningVariant, { path }: DownloadTask, what: string): WrongBytes {
  return new WrongBytes(variant.name, `${path} answered ${what}`)
}

export const streams = [
  streamsWorkload(
    'streams-folder',
    size => `Polyaxon's streams service: a folder of ${size} MiB as .tar.gz, 1 connection`,
    verifyFolder,
  ),
  streamsWorkload(
    'streams-file',
    size => `Polyaxon's streams service: a file of ${size} MiB, 1 connection`,
    verifyFile,
  ),
  streamsWorkload(
    'streams-range',
    size =>
      `Polyaxon's streams service: the first ${RANGE_BYTES / 1024} KiB of that file of ${size} MiB by Range`,
    verifyRange,
  ),
]
