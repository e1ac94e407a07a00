// Folders as archives, whole and from the middle. The bytes of two writers differ, so what is compared is what an independent reader,
// Python's zipfile or tarfile, finds in them.
import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { createReadStream, rmSync } from 'node:fs'
import { basename, join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import type { DownloadResult, DownloadTask } from '../client/task.ts'
import type { Data, Folder } from '../data.ts'
import type { RunningVariant } from '../variants.ts'
import { WrongBytes, serverLane, spanSeconds, urlPath } from './workload.ts'
import type { Setting, Verified, Workload } from './workload.ts'

export type Format = 'zip' | 'tar'

const READER = fileURLToPath(new URL('archive-digest.py', import.meta.url))

export const canArchive = ({ variant }: RunningVariant) => variant.archives && !variant.onlyManyConnections

function archiveWorkload(name: string, format: Format, choose: (data: Data) => Folder): Workload {
  return {
    name,
    unit: 'bytes',
    title: ({ data }) => {
      const { files, size } = choose(data)
      return `A folder as ${format === 'zip' ? 'stored zip' : 'tar'}: ${files.length} files, ${Math.round(size / 1e6)} MB, 1 connection`
    },
    lanes: ({ servers }) =>
      servers
        .filter(canArchive)
        .map(server =>
          serverLane(server, setting => verifyArchive(server, setting, format, choose(setting.data))),
        ),
  }
}

export async function verifyArchive(
  target: RunningVariant,
  setting: Setting,
  format: Format,
  folder: Folder,
): Promise<Verified> {
  const { task, whole } = await saveArchive(target, setting, format, folder)
  rmSync(task.saveTo)
  const remark = whole.contentLength === undefined ? 'no Content-Length' : 'exact Content-Length'
  return { remark, measure: () => measure(target, setting, { ...task, saveTo: undefined }, whole) }
}

export const archives = [
  archiveWorkload('zip-many', 'zip', data => data.many),
  archiveWorkload('zip-mixed', 'zip', data => data.mixed),
  archiveWorkload('tar-many', 'tar', data => data.many),
  archiveWorkload('tar-mixed', 'tar', data => data.mixed),
]

/** The second half of an archive, as a client asks for it whose connection broke. */
export const resume: Workload = {
  name: 'resume',
  unit: 'bytes',
  title: ({ data }) =>
    `The second half of that zip of ${Math.round(data.mixed.size / 1e6)} MB by Range, after a broken download`,
  lanes: ({ servers }) =>
    servers
      .filter(canArchive)
      .map(server => serverLane(server, setting => verifyResumption(server, setting, setting.data.mixed))),
}

async function verifyResumption(target: RunningVariant, setting: Setting, folder: Folder): Promise<Verified> {
  const { task, whole } = await saveArchive(target, setting, 'zip', folder)
  const middle = Math.floor(whole.bytes / 2)
  const expected = await sha256Of(task.saveTo, middle)
  rmSync(task.saveTo)
  const resumption = { ...task, saveTo: undefined, range: `bytes=${middle}-` }
  const [answer] = await setting.clients.downloads([{ ...resumption, hash: true }])
  if (answer!.status === 206 && answer!.sha256 !== expected)
    throw new WrongBytes(
      target.variant.name,
      `${task.path} from byte ${middle} on is not the end of the whole archive`,
    )
  // A server without ranges sends everything again, and the client has to start over.
  const remark = answer!.status === 206 ? '206, the same bytes' : `${answer!.status}, the whole archive again`
  return { remark, measure: () => measure(target, setting, resumption, answer!) }
}

async function measure(
  target: RunningVariant,
  { clients }: Setting,
  task: DownloadTask,
  verified: DownloadResult,
): ReturnType<Verified['measure']> {
  const [transfer] = await clients.downloads([task])
  const { status, bytes, startNs, firstByteNs } = transfer!
  if (status !== verified.status || bytes !== verified.bytes)
    throw new WrongBytes(
      target.variant.name,
      `${task.path} answered ${status} with ${bytes} of ${verified.bytes} bytes`,
    )
  return { seconds: spanSeconds([transfer!]), bytes, requests: 1, firstByteMs: (firstByteNs - startNs) / 1e6 }
}

/** Downloads the archive to a file and compares what is in it with the data. */
async function saveArchive(target: RunningVariant, setting: Setting, format: Format, folder: Folder) {
  const saveTo = join(setting.scratch, `archive.${format}`)
  const path = `${urlPath(target, folder.path)}?archive=${format}`
  const task = { kind: 'download', port: target.port, path, saveTo } as const
  const [whole] = await setting.clients.downloads([task])
  if (whole!.status !== 200) throw new WrongBytes(target.variant.name, `${path} answered ${whole!.status}`)
  if (!(await holds(saveTo, folder)))
    throw new WrongBytes(target.variant.name, `${path} holds other files than the folder`)
  return { task, whole: whole! }
}

/** Whether an archive has the files of the folder in it, and no others. */
export async function holds(archive: string, folder: Folder): Promise<boolean> {
  const { stdout } = await promisify(execFile)('python3', [READER, archive])
  return stdout.trim() === contentDigest(folder)
}

/** The same digest that `archive-digest.py` prints. */
function contentDigest(folder: Folder): string {
  const lines = folder.files.map(file => `${basename(file.path)} ${file.sha256}\n`).sort()
  return createHash('sha256').update(lines.join('')).digest('hex')
}

/** Of the bytes from `start` until before `end`. */
export async function sha256Of(path: string, start = 0, end = Infinity): Promise<string> {
  const hash = createHash('sha256')
  await pipeline(createReadStream(path, { start, end: end - 1, highWaterMark: 2 ** 20 }), hash)
  return hash.digest('hex')
}
