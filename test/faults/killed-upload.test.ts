// An upload whose process is killed: nothing of it is ever seen, and the next start removes what is left.
import { readdirSync } from 'node:fs'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { ask } from '../support/client.ts'
import { hasProc, loggedFailures, MiB, startProcess, until, type ServiceProcess } from '../support/process.ts'
import { Connection } from './connection.ts'
import { OutputsFolder, RUN_URL } from './outputs-folder.ts'

let folder: OutputsFolder
let service: ServiceProcess | undefined
beforeEach(() => {
  folder = new OutputsFolder()
  folder.write('kept.txt', 'kept')
})
afterEach(async () => {
  await service?.destroy()
  folder.remove()
})

function names(): string[] {
  return readdirSync(folder.run, { recursive: true, encoding: 'utf8' }).sort()
}

/** Begins to put `size` bytes at `path`, sends `sent` of them, and waits until some are on the disk. */
async function beginUpload(port: number, path: string, size: number, sent: number): Promise<Connection> {
  const client = await Connection.open(port)
  client.send(`PUT ${RUN_URL}${path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: ${size}\r\n\r\n`)
  client.send('x'.repeat(sent))
  await until(() => names().some(name => name.includes('.polyaxon-outputs-write-')))
  return client
}

async function listed(url: string): Promise<string> {
  return (await ask(`${url}${RUN_URL}?format=text&recursive`)).text
}

describe('an upload that breaks off', () => {
  it.skipIf(!hasProc)(
    'with the process leaves nothing to see, and the next start removes it (Linux only)',
    async () => {
      service = await startProcess(folder.root)
      await beginUpload(service.port, 'new/model.bin', 8 * MiB, MiB)
      await beginUpload(service.port, 'kept.txt', 8 * MiB, MiB)
      expect(await listed(service.url)).toBe('kept.txt\nnew/\n')
      service.kill('SIGKILL')
      await service.ended
      service = await startProcess(folder.root)
      await until(() => !names().some(name => name.includes('.polyaxon-outputs-')))
      expect(await listed(service.url)).toBe('kept.txt\nnew/\n')
      expect((await ask(`${service.url}${RUN_URL}kept.txt`)).text).toBe('kept')
      expect(loggedFailures(service)).toEqual([])
    },
  )
})
