// An upload whose process is killed: nothing of it is ever seen, and the next start removes what is left.
import { readdirSync } from 'node:fs'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { ask } from '../support/client.ts'
import { hasProc, loggedFailures, MiB, startProcess, until, type ServiceProcess } from '../support/process.ts'
import { Connection } from './connection.ts'
import { fieldPart, filePart, form, FORM_TYPE } from '../support/form.ts'
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

  it.skipIf(!hasProc)(
    'while its file waits for its place leaves nothing to see, and the next start removes it (Linux only)',
    async () => {
      const uuid = 'a1b2c3d4e5f647089a0b1c2d3e4f5a6b'
      const url = `/streams/v1/ns/ann/mnist/runs/${uuid}/artifact`
      const stored = (): string[] =>
        readdirSync(folder.root, { recursive: true, encoding: 'utf8' }).filter(path =>
          /write-|staged/.test(path),
        )
      const body = form(filePart('/tmp/x', 'x'.repeat(4 * MiB), 'upload_file'), fieldPart('json', '{}'))
      service = await startProcess(folder.root)
      const client = await Connection.open(service.port)
      client.send(
        `POST ${url} HTTP/1.1\r\nHost: localhost\r\nContent-Type: ${FORM_TYPE}\r\nContent-Length: ${body.length}\r\n\r\n`,
      )
      client.send(body.toString('latin1', 0, MiB))
      await until(() => stored().some(path => path.includes('write-')))
      expect((await ask(`${service.url}/outputs/?format=text`)).text).toBe('ann/\n')
      service.kill('SIGKILL')
      await service.ended
      // What another one had received as a whole, and never came to place.
      const old = (days: number) => ({ lastModifiedMs: Date.now() - days * 86_400_000 })
      folder.writeInStore('.polyaxon-outputs-uploads/staged-old/file', 'old', old(2))
      folder.writeInStore('.polyaxon-outputs-uploads/staged-new/file', 'new', old(0.5))
      service = await startProcess(folder.root, { env: { UPLOADS_EXPIRE_AFTER: '60s' } })
      await until(() => !stored().some(path => /write-|staged-old/.test(path)))
      expect(stored().filter(path => path.endsWith('file'))).toEqual([
        '.polyaxon-outputs-uploads/staged-new/file',
      ])
      expect((await ask(`${service.url}/outputs/?format=text`)).text).toBe('ann/\n')
      expect(loggedFailures(service)).toEqual([])
    },
  )
})
