// Stopping: running transfers are finished, idle connections are not waited for, and nothing outlives the deadline.
import { createReadStream } from 'node:fs'
import { Agent, get, type IncomingMessage } from 'node:http'
import { connect } from 'node:net'
import { join } from 'node:path'
import { buffer } from 'node:stream/consumers'
import { setTimeout as delay } from 'node:timers/promises'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { SAMPLE_EXPERIMENT, SAMPLE_MODEL } from '../../src/sample/contents.ts'
import { makeSample } from '../../src/sample/make.ts'
import { until } from '../support/process.ts'
import { endAll, launch, printedUrl, temporaryFolder, type Launched } from './launch.ts'

const work = temporaryFolder()
const MODEL_PATH = `/outputs/${SAMPLE_EXPERIMENT}/${SAMPLE_MODEL}`
beforeAll(async () => {
  await makeSample(join(work.path, 'outputs'))
})
afterEach(endAll)
afterAll(() => work.remove())

interface Running {
  readonly service: Launched
  readonly url: string
}

async function start(env: Record<string, string> = {}): Promise<Running> {
  const service = launch({ cwd: work.path, env })
  return { service, url: await printedUrl(service) }
}

/** A download of the model of which nobody reads: the service has far more to send than sockets hold. */
async function stalledDownload(url: string, agent?: Agent): Promise<IncomingMessage> {
  const response = await new Promise<IncomingMessage>((resolve, reject) => {
    get(url + MODEL_PATH, agent === undefined ? {} : { agent }, resolve).on('error', reject)
  })
  expect(response.statusCode).toBe(200)
  return response
}

async function draining(service: Launched): Promise<void> {
  await until(() => service.stderr().includes('"draining"'))
}

async function endedWithin(service: Launched, withinMs: number) {
  const started = performance.now()
  const ending = await service.ended
  expect(performance.now() - started).toBeLessThan(withinMs)
  return ending
}

const signals = ['SIGTERM', 'SIGINT'] as const

describe.each(['1', '2'])('with WORKERS=%s', workers => {
  it.each(signals)(
    '%s lets a running download end whole, refuses new connections, and ends with 0',
    async signal => {
      const { service, url } = await start({ WORKERS: workers })
      const response = await stalledDownload(url)
      service.kill(signal)
      await draining(service)
      await until(() =>
        fetch(`${url}/healthz`).then(
          () => false,
          () => true,
        ),
      )
      const [received, model] = await Promise.all([
        buffer(response),
        buffer(createReadStream(join(work.path, MODEL_PATH))),
      ])
      expect(received.equals(model)).toBe(true)
      expect(await endedWithin(service, 10_000)).toEqual({ code: 0, signal: null })
    },
  )

  it('a transfer that still runs at the deadline is broken off, and the service ends with 0', async () => {
    const { service, url } = await start({ WORKERS: workers, DRAIN_TIMEOUT: '500ms' })
    const response = await stalledDownload(url)
    service.kill('SIGTERM')
    expect(await endedWithin(service, 10_000)).toEqual({ code: 0, signal: null })
    await expect(buffer(response)).rejects.toThrow('aborted')
    expect(service.stderr()).toContain('transfers still running at the drain deadline were cut')
  })

  it('a second signal ends it at once, but not the same Ctrl-C passed on by npm', async () => {
    const { service, url } = await start({ WORKERS: workers })
    const response = await stalledDownload(url)
    response.on('error', () => undefined)
    service.kill('SIGINT')
    await draining(service)
    service.kill('SIGINT')
    await delay(700)
    process.kill(service.pid, 0)
    service.kill('SIGINT')
    expect((await endedWithin(service, 10_000)).code).toBe(1)
  })
})

it('connections that wait between requests, or never sent one, are not waited for', async () => {
  const { service, url } = await start()
  const agent = new Agent({ keepAlive: true })
  await new Promise<void>((resolve, reject) => {
    get(`${url}/healthz`, { agent }, response => response.resume().on('end', resolve)).on('error', reject)
  })
  const unused = connect(Number(new URL(url).port), '127.0.0.1')
  unused.on('error', () => undefined)
  await new Promise(resolve => unused.once('connect', resolve))
  service.kill('SIGTERM')
  expect(await endedWithin(service, 10_000)).toEqual({ code: 0, signal: null })
  agent.destroy()
})

it('a connection that is kept learns with its last answer that it ends, and readiness is refused on it', async () => {
  const { service, url } = await start()
  // Two requests on one connection: the second waits in it while the first is being sent.
  const socket = connect(Number(new URL(url).port), '127.0.0.1')
  socket.write(`GET ${MODEL_PATH} HTTP/1.1\r\nHost: localhost\r\n\r\n`)
  await new Promise(resolve => socket.once('readable', resolve))
  service.kill('SIGTERM')
  await draining(service)
  socket.write('GET /readyz HTTP/1.1\r\nHost: localhost\r\n\r\n')
  const last = (await buffer(socket)).subarray(-2000).toString('latin1')
  expect(last).toMatch(/HTTP\/1\.1 503 /)
  expect(last).toMatch(/\r\nConnection: close\r\n/i)
  expect(await endedWithin(service, 10_000)).toEqual({ code: 0, signal: null })
})
