// The folder behind the store goes away, as a volume does when it is unmounted, and comes back.
import { existsSync, mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { ask, json } from '../support/client.ts'
import type { Answer } from '../support/client.ts'
import { loggedFailures, MiB, startProcess, until } from '../support/process.ts'
import type { ServiceProcess } from '../support/process.ts'
import { Connection } from './connection.ts'
import { OutputsFolder, RUN_URL } from './outputs-folder.ts'

let folder: OutputsFolder
let service: ServiceProcess
const away = (): string => `${folder.root}-away`

beforeEach(async () => {
  folder = new OutputsFolder()
  folder.write('file.txt', 'content')
  folder.writeRandom('large.bin', 20 * MiB)
  folder.write('set/a.txt', 'a')
  service = await startProcess(folder.root)
})
afterEach(async () => {
  await service.destroy()
  rmSync(away(), { recursive: true, force: true })
  folder.remove()
})

const TARGETS = [
  `${RUN_URL}file.txt`,
  `${RUN_URL}nothing.txt`,
  `${RUN_URL}?format=json`,
  `${RUN_URL}?format=ndjson`,
  `${RUN_URL}?recursive=true`,
  `${RUN_URL}?archive=zip`,
  `${RUN_URL}?archive=tar.gz`,
  '/outputs/ann/mnist/experiments/999/file.txt',
  '/outputs/ann/mnist/experiments/',
  '/outputs/ann/',
  '/outputs/',
]

async function expectUnavailable(): Promise<void> {
  for (const target of TARGETS)
    for (const method of ['GET', 'HEAD']) {
      const { status, headers, text } = await ask(service.url + target, { method })
      expect(status, `${method} ${target}`).toBe(503)
      expect(headers['content-type']).toBe('application/problem+json')
      expect(Number(headers['retry-after'])).toBeGreaterThan(0)
      expect(text).not.toContain(folder.root)
      if (method === 'GET')
        expect(JSON.parse(text)).toMatchObject({
          status: 503,
          detail: "The outputs store 'outputs' cannot be reached: try again later.",
          trouble: 'unreachable',
          temporary: true,
        })
    }
  const ready = await readinessOf(503)
  expect(json(ready)).toMatchObject({
    status: 'unavailable',
    stores: [{ name: 'outputs', status: 'unavailable', trouble: 'unreachable' }],
  })
  expect(ready.text).not.toContain(folder.root)
  expect((await ask(`${service.url}/healthz`)).status).toBe(200)
}

async function expectServed(): Promise<void> {
  expect(await ask(service.url + RUN_URL + 'file.txt')).toMatchObject({ status: 200, text: 'content' })
  expect((await ask(`${service.url}${RUN_URL}?archive=zip`)).status).toBe(200)
  expect((await ask(`${service.url}${RUN_URL}nothing.txt`)).status).toBe(404)
  await readinessOf(200)
}

/** Its answer once it has `status`: it asks the store at most once a second. */
async function readinessOf(status: number): Promise<Answer> {
  let answer: Answer
  await until(async () => (answer = await ask(`${service.url}/readyz`)).status === status)
  return answer!
}

it('answers 503 while the root is gone, never makes it anew, and goes on by itself when it is back', async () => {
  await expectServed()
  renameSync(folder.root, away())
  await expectUnavailable()
  expect(existsSync(folder.root)).toBe(false)
  renameSync(away(), folder.root)
  await expectServed()
})

it('answers 503 while a file stands in the place of the root', async () => {
  renameSync(folder.root, away())
  writeFileSync(folder.root, '')
  await expectUnavailable()
  rmSync(folder.root)
  renameSync(away(), folder.root)
  await expectServed()
})

it('serves what is there when another folder has taken the place of the root', async () => {
  await expectServed()
  renameSync(folder.root, away())
  mkdirSync(folder.run, { recursive: true })
  folder.write('file.txt', 'another content')
  expect((await ask(service.url + RUN_URL + 'file.txt')).text).toBe('another content')
  expect((await ask(service.url + RUN_URL + 'large.bin')).status).toBe(404)
})

it('breaks an archive that is under way when the root goes', async () => {
  const client = await Connection.get(service.port, `${RUN_URL}?archive=tar`)
  const head = await client.head()
  expect(head.status).toBe(200)
  renameSync(folder.root, away())
  const { bytes, ending } = await client.drain()
  expect(ending).toBe('reset')
  expect(bytes).toBeLessThan(Number(head.headers.get('content-length')))
})

it('does not start over a folder that is not there, and does not make it', async () => {
  const missing = `${folder.root}-missing`
  await expect(startProcess(missing)).rejects.toThrow(/did not start/)
  expect(existsSync(missing)).toBe(false)
})

it('says in its log that the store is away, as a warning and not as a failure of its own', async () => {
  renameSync(folder.root, away())
  await ask(`${service.url}${RUN_URL}file.txt`)
  await until(() => /store/i.test(loggedFailures(service).join('\n')))
  expect(service.log()).not.toContain('"level":50')
})
