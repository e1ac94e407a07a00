// What a connection may do to the service: pipelining, framing that is not HTTP, bodies that nobody wants.
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { createConnection } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { startService } from '../support/service.ts'
import type { Service } from '../support/service.ts'

const root = mkdtempSync(join(tmpdir(), 'outputs-connections-'))
const PATH = '/outputs/ann/mnist/jobs/1/large.bin'
let service: Service

beforeAll(async () => {
  mkdirSync(join(root, 'ann/mnist/jobs/1'), { recursive: true })
  writeFileSync(join(root, 'ann/mnist/jobs/1/large.bin'), Buffer.alloc(3_000_000, 1))
  service = await startService(root)
})
afterAll(async () => {
  await service.close()
  rmSync(root, { recursive: true })
})

/** Everything that comes back for `text`, until the service closes the connection or `enough` of it has come. */
function exchange(text: string, enough = (_answer: string): boolean => false): Promise<string> {
  return new Promise((resolve, reject) => {
    let answer = ''
    const socket = createConnection(service.port, '127.0.0.1', () => socket.write(text))
    socket.setTimeout(10_000, () =>
      socket.destroy(new Error(`no end after ${JSON.stringify(answer.slice(0, 200))}`)),
    )
    socket.on('data', chunk => {
      answer += chunk.toString('latin1')
      if (enough(answer)) socket.destroy()
    })
    socket.on('error', reject)
    socket.on('close', () => resolve(answer))
  })
}

describe('a client that pipelines', () => {
  it('gets its answers in order', async () => {
    const get = (path: string): string => `GET ${path} HTTP/1.1\r\nHost: localhost\r\n\r\n`
    const answer = await exchange(
      get('/healthz') +
        get(PATH) +
        get('/outputs/nobody/') +
        get('/healthz').replace('\r\n\r\n', '\r\nConnection: close\r\n\r\n'),
    )
    expect([...answer.matchAll(/HTTP\/1\.1 (\d+)/g)].map(match => match[1])).toEqual([
      '200',
      '200',
      '404',
      '200',
    ])
    expect(answer.length).toBeGreaterThan(3_000_000)
  })

  it.skipIf(process.platform !== 'linux')('and does not read holds one file open at a time', async () => {
    const openFiles = (): number => readdirSync('/proc/self/fd').length
    const before = openFiles()
    const socket = createConnection(service.port, '127.0.0.1')
    socket.on('error', () => undefined)
    socket.pause()
    socket.write(`GET ${PATH} HTTP/1.1\r\nHost: localhost\r\n\r\n`.repeat(500))
    await delay(500)
    // Both ends of the connection are in this process.
    expect(openFiles() - before).toBeLessThanOrEqual(4)
    socket.destroy()
  })
})

describe('garbage behind a request', () => {
  it('never gets into the answer to that request', async () => {
    const answer = await exchange(`GET ${PATH} HTTP/1.1\r\nHost: localhost\r\n\r\nHELLO\r\n\r\n`)
    const body = answer.slice(answer.indexOf('\r\n\r\n') + 4)
    expect(/[^\x01]/.exec(body.slice(0, 3_000_000))).toBeNull()
  })
})

describe('a message that must be refused', () => {
  it.each([
    ['no version', 'GET /healthz\r\nHost: a\r\n\r\n', 400],
    ['a version before all', 'GET /healthz HTTP/0.9\r\nHost: a\r\n\r\n', 400],
    ['several Host lines', 'GET /healthz HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n', 400],
    [
      'a transfer coding other than chunked',
      'POST /outputs/ HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n',
      400,
    ],
    ['no HTTP', 'HELLO\r\n\r\n', 400],
    ['a header beyond the limit', `GET / HTTP/1.1\r\nHost: a\r\nX: ${'x'.repeat(40_000)}\r\n\r\n`, 431],
    [
      'a body that nobody wants',
      'PATCH /outputs/a/b/jobs/1/x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000000000\r\n\r\nxxx',
      405,
    ],
  ])('%s: a problem document, and the connection is closed', async (_what, message, status) => {
    const [head = '', body = ''] = (await exchange(message)).split('\r\n\r\n')
    expect(head).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `))
    expect(head).toMatch(/^content-type: application\/problem\+json$/im)
    expect(head).toMatch(/^connection: close$/im)
    expect(JSON.parse(body)).toMatchObject({ status, requestId: expect.any(String) as string })
  })
})

describe('a target with a host', () => {
  it.each([
    ['http://outputs.localhost/healthz', 200],
    ['http://outputs.localhost', 302],
    ['http://outputs.localhost?x=1', 302],
  ])('%s counts by its path', async (target, status) => {
    const answer = await exchange(`GET ${target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n`)
    expect(answer).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `))
    expect(answer).not.toContain('outputs.localhost')
  })
})
