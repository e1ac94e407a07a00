// Forms that are broken, or break off, against the service as a process of its own: it lives, and nothing of them stays.
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { ask, json } from '../support/client.ts'
import { filePart, form, FORM_TYPE, MALFORMED } from '../support/form.ts'
import { hasProc, loggedFailures, MiB, startProcess, until, type ServiceProcess } from '../support/process.ts'
import { Connection } from './connection.ts'
import { OutputsFolder, RUN_URL } from './outputs-folder.ts'

const folder = new OutputsFolder()
/** Where the service would put temporary files, if it had any. */
const temporary = mkdtempSync(join(tmpdir(), 'outputs-temporary-'))
let service: ServiceProcess

beforeAll(async () => {
  folder.write('kept.txt', 'kept')
  service = await startProcess(folder.root, { env: { TMPDIR: temporary } })
})
afterAll(async () => {
  await service.destroy()
  folder.remove()
  rmSync(temporary, { recursive: true })
})

function names(): string[] {
  return readdirSync(folder.run, { recursive: true, encoding: 'utf8' }).sort()
}

async function begin(type: string, framing: string): Promise<Connection> {
  const client = await Connection.open(service.port)
  client.send(`POST ${RUN_URL} HTTP/1.1\r\nHost: localhost\r\nContent-Type: ${type}\r\n${framing}\r\n\r\n`)
  return client
}

const length = (bytes: number): string => `Content-Length: ${bytes}`

it('answers every form that is none with the status that it deserves, at once or byte by byte, and lives', async () => {
  const { pid } = service
  for (const { what, type = FORM_TYPE, body, status } of MALFORMED) {
    const answer = await ask(service.url + RUN_URL, {
      method: 'POST',
      body,
      headers: { 'content-type': type },
    })
    expect([what, answer.status, (json(answer) as { status: number }).status]).toEqual([what, status, status])
    if (body.length > 2_000) continue
    const client = await begin(type, 'Transfer-Encoding: chunked')
    for (const byte of body) client.send(`1\r\n${String.fromCharCode(byte)}\r\n`)
    client.send('0\r\n\r\n')
    expect([what, (await client.head()).status]).toEqual([what, status])
    client.destroy()
  }
  const all = await Promise.all(
    MALFORMED.map(({ type = FORM_TYPE, body }) =>
      ask(service.url + RUN_URL, { method: 'POST', body, headers: { 'content-type': type } }),
    ),
  )
  expect(all.map(({ status }) => status)).toEqual(MALFORMED.map(({ status }) => status))
  expect([service.pid, loggedFailures(service)]).toEqual([pid, []])
  expect((await ask(`${service.url}${RUN_URL}kept.txt`)).text).toBe('kept')
})

it('answers or breaks off whatever a cut or a damaged byte makes of a form, and lives', async () => {
  const whole = form(
    filePart('fuzz/a', 'content'),
    filePart('fuzz/b', 'x'.repeat(200)),
    filePart('fuzz/c', ''),
  )
  for (let at = 0; at < whole.length; at += 5) {
    const damaged = Buffer.from(whole)
    damaged[at] = damaged[at]! ^ (1 + (at % 255))
    for (const body of [whole.subarray(0, at), damaged]) {
      const answer = await ask(service.url + RUN_URL, {
        method: 'POST',
        body,
        headers: { 'content-type': FORM_TYPE },
      })
      expect([at, answer.status < 500]).toEqual([at, true])
    }
  }
  expect(loggedFailures(service)).toEqual([])
})

it('leaves nothing when its client goes away: a hundred of them, nor a descriptor or a file anywhere', async () => {
  await ask(`${service.url}${RUN_URL}kept.txt`)
  const before = hasProc ? service.descriptors().length : 0
  const rest = names()
  for (let round = 0; round < 10; round++) {
    const clients = await Promise.all(
      Array.from({ length: 10 }, async (_, i) => {
        const client = await begin(FORM_TYPE, length(8 * MiB))
        client.send(filePart(`cut/${round}-${i}`, 'x'.repeat(70_000)).subarray(0, -2).toString('latin1'))
        return client
      }),
    )
    await until(() => names().filter(name => name.includes('.polyaxon-outputs-write-')).length === 10)
    for (const [i, client] of clients.entries())
      if (i % 2 === 0) client.reset()
      else client.destroy()
    await until(() => names().length === rest.length, { describe: () => names().join(' ') })
  }
  expect(names()).toEqual(rest)
  expect(readdirSync(temporary)).toEqual([])
  if (hasProc)
    await until(() => service.descriptors().length <= before, {
      describe: () => service.descriptors().join('\n'),
    })
  expect(loggedFailures(service)).toEqual([])
})
