// A process that has used up its file descriptors: it refuses for the moment, and recovers.
import { setTimeout as delay } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { hasProc, startProcess, until } from '../support/process.ts'
import type { ServiceProcess } from '../support/process.ts'
import { ask } from '../support/client.ts'
import { Connection } from './connection.ts'
import { OutputsFolder, RUN_URL } from './outputs-folder.ts'

const MAX_DESCRIPTORS = 64

const folder = new OutputsFolder()
let service: ServiceProcess

beforeAll(async () => {
  folder.write('file.txt', 'content')
  service = await startProcess(folder.root, { maxDescriptors: MAX_DESCRIPTORS })
})
afterAll(async () => {
  await service.destroy()
  folder.remove()
})

describe.skipIf(!hasProc)('counting descriptors in /proc (Linux only)', () => {
  it('answers 503 with Retry-After while no descriptor is free, and 200 when some are again', async () => {
    const client = await Connection.open(service.port)
    // One request, so that the service has taken the connection before there are no descriptors for it.
    const send = (target: string): void =>
      client.send(`GET ${RUN_URL}${target} HTTP/1.1\r\nHost: localhost\r\n\r\n`)
    send('file.txt')
    expect((await client.head()).status).toBe(200)
    await client.skip('content'.length)
    const idle: Connection[] = []
    // What was open for a moment only, when it was counted, leaves room for one more.
    for (let full = 0; full < 10; full++) {
      if (service.descriptors().length < MAX_DESCRIPTORS) {
        full = 0
        idle.push(await Connection.open(service.port))
        expect(idle.length).toBeLessThan(4 * MAX_DESCRIPTORS)
      }
      await delay(20)
    }
    for (const target of ['file.txt', '?format=json', '?archive=zip', '?archive=tar.gz']) {
      send(target)
      const { status, headers } = await client.head()
      expect(status, target).toBe(503)
      expect(headers.get('content-type')).toBe('application/problem+json')
      expect(Number(headers.get('retry-after'))).toBeGreaterThan(0)
      await client.skip(Number(headers.get('content-length')))
    }
    for (const connection of idle) connection.destroy()
    await until(async () => {
      const answer = await ask(`${service.url}${RUN_URL}file.txt`).catch(() => undefined)
      return answer?.text === 'content'
    })
    send('file.txt')
    expect((await client.head()).status).toBe(200)
    client.destroy()
  })
})
