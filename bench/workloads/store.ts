// One large object and a folder of objects: through servers, beside the same work on a folder and by command lines.
import { existsSync, mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { runCommand } from '../client/command.ts'
import type { CommandLine, CommandResult } from '../client/command.ts'
import { RUN } from '../data.ts'
import type { Data, DataFile } from '../data.ts'
import type { Tool } from '../store/tools.ts'
import { canArchive, sha256Of, verifyArchive } from './archive.ts'
import { verifyFile } from './file.ts'
import { fileRequests, rangeRequests } from './requests.ts'
import { WrongBytes, serverLane } from './workload.ts'
import type { Lane, Transfer, Workload } from './workload.ts'

export const storeFile: Workload = {
  name: 'store-file',
  unit: 'bytes',
  title: ({ data }) => `An object of ${data.object.size / 2 ** 20} MiB`,
  lanes: ({ servers, tools }) => [
    ...servers.map(server =>
      serverLane(server, setting => verifyFile(server, setting, setting.data.object, 1)),
    ),
    ...tools.flatMap(tool => [printLane(tool), copyObjectLane(tool)]),
  ],
}

export const storeFolder: Workload = {
  name: 'store-folder',
  unit: 'bytes',
  title: ({ data: { many } }) =>
    `A folder of ${many.files.length} objects, ${Math.round(many.size / 1e6)} MB`,
  lanes: ({ servers, tools }) => [
    ...servers
      .filter(canArchive)
      .flatMap(server =>
        (['tar', 'zip'] as const).map(format =>
          serverLane(
            server,
            setting => verifyArchive(server, setting, format, setting.data.many),
            `${server.variant.name}, ${format}`,
          ),
        ),
      ),
    ...tools.map(copyFolderLane),
  ],
}

export const storeFiles = fileRequests(
  'store-files',
  data => data.many,
  ({ files }) => `These ${files.length} objects one by one`,
)

export const storeRanges = rangeRequests('store-ranges', data => data.object)

function printLane(tool: Tool): Lane {
  return {
    name: tool.printName,
    pid: undefined,
    async verify({ data: { object }, signal }) {
      const line = tool.print(`${RUN}/${object.path}`)
      const { sha256 } = await runCommand(line, { hash: true, signal })
      if (sha256 !== object.sha256)
        throw new WrongBytes(tool.printName, "wrote other bytes than the object's")
      return {
        remark: 'to a pipe',
        async measure() {
          const result = await runCommand(line, { signal })
          if (result.bytes !== object.size)
            throw new WrongBytes(tool.printName, `wrote ${result.bytes} of ${object.size} bytes`)
          return transfer(result, result.bytes)
        },
      }
    },
  }
}

function copyObjectLane(tool: Tool): Lane {
  return copyLane(tool.copyName, ({ object }) => ({
    files: [object],
    line: folder => tool.copyObject(`${RUN}/${object.path}`, folder),
  }))
}

function copyFolderLane(tool: Tool): Lane {
  return copyLane(tool.copyName, ({ many }) => ({
    files: many.files.map(file => ({ ...file, path: file.path.slice(many.path.length) })),
    line: folder => tool.copyPrefix(`${RUN}/${many.path}`, folder),
  }))
}

interface Copy {
  /** Relative to the folder that they are copied into. */
  readonly files: readonly DataFile[]
  readonly line: (folder: string) => CommandLine
}

function copyLane(name: string, choose: (data: Data) => Copy): Lane {
  return {
    name,
    pid: undefined,
    async verify({ data, scratch, signal }) {
      const { files, line } = choose(data)
      const size = files.reduce((sum, file) => sum + file.size, 0)
      const copied = async (check: (folder: string) => void | Promise<void>): Promise<Transfer> => {
        const folder = mkdtempSync(join(scratch, 'copy-'))
        try {
          const result = await runCommand(line(folder), { signal })
          await check(folder)
          return transfer(result, size)
        } finally {
          rmSync(folder, { recursive: true })
        }
      }
      await copied(folder => compareBytes(name, folder, files))
      return {
        remark: 'to files',
        measure: () => copied(folder => compareSizes(name, folder, files.length, size)),
      }
    },
  }
}

async function compareBytes(name: string, folder: string, files: readonly DataFile[]): Promise<void> {
  for (const { path, sha256 } of files) {
    if (!existsSync(join(folder, path)) || (await sha256Of(join(folder, path))) !== sha256)
      throw new WrongBytes(name, `${path} is not what was to be copied`)
  }
  compareSizes(
    name,
    folder,
    files.length,
    files.reduce((sum, file) => sum + file.size, 0),
  )
}

function compareSizes(name: string, folder: string, count: number, size: number): void {
  const sizes = readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .map(path => statSync(join(folder, path)))
    .filter(stat => stat.isFile())
    .map(stat => stat.size)
  const total = sizes.reduce((sum, each) => sum + each, 0)
  if (sizes.length !== count || total !== size)
    throw new WrongBytes(name, `copied ${sizes.length} of ${count} files, ${total} of ${size} bytes`)
}

/** `bytes` are those of the content, however they were packed on the way. */
function transfer(
  { seconds, firstByteMs, cpuSeconds, peakRssBytes }: CommandResult,
  bytes: number,
): Transfer {
  return { seconds, bytes, requests: 1, firstByteMs, usage: { cpuSeconds, peakRssBytes } }
}
