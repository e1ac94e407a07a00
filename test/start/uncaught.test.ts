// Errors that nothing catches, planted in a real process: one answer fails, the other transfers end whole, and a fresh process takes over.
import { createReadStream, writeFileSync } from 'node:fs'
import { get, type IncomingMessage } from 'node:http'
import { join } from 'node:path'
import { buffer } from 'node:stream/consumers'
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest'
import { SAMPLE_EXPERIMENT, SAMPLE_MODEL } from '../../src/sample/contents.ts'
import { makeSample } from '../../src/sample/make.ts'
import { ask } from '../support/client.ts'
import { hasProc, until } from '../support/process.ts'
import { endAll, isAlive, launch, printedUrl, temporaryFolder, workersOf, type Launched } from './launch.ts'

const work = temporaryFolder()
const MODEL = `/outputs/${SAMPLE_EXPERIMENT}/${SAMPLE_MODEL}`
const FILE = `/outputs/${SAMPLE_EXPERIMENT}/metrics.csv`
const planter = join(work.path, 'planter.mjs')
beforeAll(async () => {
  await makeSample(join(work.path, 'outputs'))
  // Every transfer waits for its connection's end by `once('close', stop)`, within what belongs to the request.
  writeFileSync(
    planter,
    `import { ServerResponse } from 'node:http'
const { once } = ServerResponse.prototype
const WAYS = {
  tick: () => process.nextTick(() => { throw new Error('planted') }),
  timer: () => setTimeout(() => { throw new Error('planted') }, 50),
  rejection: () => void Promise.reject(new Error('planted')),
  many: response => setInterval(() => { if (response.headersSent) throw new Error('planted') }, 5),
}
ServerResponse.prototype.once = function (name, listener) {
  const way = name === 'close' && listener.name === 'stop' && !this.planted && WAYS[this.req.headers['x-plant']]
  if (way) {
    this.planted = true
    way(this)
  }
  return once.call(this, name, listener)
}
`,
  )
})
afterEach(endAll)
afterAll(() => work.remove())

function start(env: Record<string, string> = {}): Launched {
  return launch({ cwd: work.path, env, nodeArgv: ['--import', planter] })
}

async function download(url: string, headers: Record<string, string> = {}): Promise<IncomingMessage> {
  const response = await new Promise<IncomingMessage>((resolve, reject) => {
    get(url + MODEL, { headers, agent: false }, resolve).on('error', reject)
  })
  expect(response.statusCode).toBe(200)
  return response
}

async function expectWhole(response: IncomingMessage): Promise<void> {
  const [received, model] = await Promise.all([
    buffer(response),
    buffer(createReadStream(join(work.path, MODEL))),
  ])
  expect(received.equals(model)).toBe(true)
}

it('one answers its own request 500, once, with its id in the log, and lets the others end', async () => {
  const service = start()
  const url = await printedUrl(service)
  const running = await download(url)
  const headers = { 'x-plant': 'tick', 'x-request-id': 'mine-1' }
  const failed = await ask(url + FILE, { headers })
  expect(failed).toMatchObject({ status: 500, complete: true })
  expect(failed.text).not.toContain('planted')
  await until(() => service.stderr().includes('unexpected failure'))
  expect(service.stderr()).toMatch(/"level":60.*"requestId":"mine-1".*planted/)
  expect(isAlive(service.pid)).toBe(true)
  await expectWhole(running)
  expect(await service.ended).toEqual({ code: 1, signal: null })
  expect(
    service.stderr().match(/"requestId":"mine-1"[^\n]*"status":500[^\n]*"outcome":"broken"/g),
  ).toHaveLength(1)
})

it('more of them change nothing: an answer that had begun breaks off, rejections count too, numbers are logged a few times', async () => {
  const service = start()
  const url = await printedUrl(service)
  const running = await download(url)
  const broken = await download(url, { 'x-plant': 'many', 'x-request-id': 'mine-2' })
  await expect(buffer(broken)).rejects.toThrow('aborted')
  const later = await ask(url + FILE, { headers: { 'x-plant': 'rejection' } }).catch(() => undefined)
  expect([undefined, 500]).toContain(later?.status)
  await expectWhole(running)
  expect(await service.ended).toEqual({ code: 1, signal: null })
  expect(service.stderr().match(/unexpected failure/g)!.length).toBeLessThanOrEqual(20)
})

it.skipIf(!hasProc)('with workers a new one starts at once (needs Linux /proc)', async () => {
  const service = start({ WORKERS: '2' })
  const url = await printedUrl(service)
  const before = workersOf(service)
  const running = await download(url)
  expect((await ask(url + FILE, { headers: { 'x-plant': 'rejection' } })).status).toBe(500)
  await until(() => workersOf(service).some(pid => !before.includes(pid)))
  expect((await ask(url + FILE)).status).toBe(200)
  await expectWhole(running)
  await until(() => before.filter(isAlive).length === 1)
  await until(() => workersOf(service).filter(isAlive).length === 2)
  expect(service.stderr()).not.toContain('"worker died"')
  service.kill('SIGTERM')
  expect(await service.ended).toEqual({ code: 0, signal: null })
})
