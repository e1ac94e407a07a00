// A benchmark of wrong bytes would be worthless: every workload must notice a server that is fast because it cheats.
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createServer } from 'node:http'
import type { Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { ClientPool } from '../../bench/client/pool.ts'
import { makeData, POLYAXON_RUN, POLYAXON_RUNS } from '../../bench/data.ts'
import type { Data } from '../../bench/data.ts'
import type { RunningVariant } from '../../bench/variants.ts'
import { file1 } from '../../bench/workloads/file.ts'
import { ranges, smallFiles } from '../../bench/workloads/requests.ts'
import { streams } from '../../bench/workloads/streams.ts'
import { WrongBytes } from '../../bench/workloads/workload.ts'
import type { Lane, Workload } from '../../bench/workloads/workload.ts'

type Answer = (file: Buffer, range: [number, number] | undefined) => { status: number; body: Buffer }

const honest: Answer = (file, range) =>
  range === undefined
    ? { status: 200, body: file }
    : { status: 206, body: file.subarray(range[0], range[1] + 1) }

/** Each differs from the honest answer in one thing only. */
const CHEATS: [string, Answer][] = [
  ['one wrong byte', (...args) => withBody(honest(...args), body => body.fill(body[0]! ^ 1, 0, 1))],
  ['one byte too few', (...args) => withBody(honest(...args), body => body.subarray(1))],
  ['the same bytes every time', (...args) => withBody(honest(...args), body => Buffer.alloc(body.length))],
  ['the status of an error', (...args) => ({ ...honest(...args), status: 404 })],
]

function withBody(
  { status, body }: ReturnType<Answer>,
  change: (body: Buffer) => Buffer,
): ReturnType<Answer> {
  return { status, body: change(Buffer.from(body)) }
}

/** Archives are read by another program. */
const [, streamsFile, streamsRange] = streams
const workloads = [file1, smallFiles, ranges, streamsFile!, streamsRange!].map(
  workload => [workload.name, workload] as const,
)

/** Relative to the root of the data. */
function pathOf(target: string): string {
  const { pathname, searchParams } = new URL(target, 'http://localhost')
  return pathname.startsWith('/streams/')
    ? join(POLYAXON_RUNS, POLYAXON_RUN, searchParams.get('path')!)
    : pathname.slice('/outputs/'.length)
}

function laneOf(workload: Workload, server: RunningVariant): Lane {
  return workload.lanes({ servers: [server], tools: [] })[0]!
}

describe('the benchmark', () => {
  const folder = mkdtempSync(join(tmpdir(), 'outputs-bench-test-'))
  const clients = new ClientPool(2)
  const servers: Server[] = []
  let data: Data

  beforeAll(() => {
    const root = join(folder, 'outputs')
    mkdirSync(root)
    data = makeData(root, {
      bigBytes: 2 ** 20,
      objectBytes: 2 ** 18,
      smallFiles: 20,
      manyFiles: 5,
      checkpointBytes: 10,
      modelBytes: 100_000,
    })
  })

  afterAll(() => {
    clients[Symbol.dispose]()
    for (const server of servers) server.closeAllConnections()
    for (const server of servers) server.close()
    rmSync(folder, { recursive: true })
  })

  async function serve(answer: Answer): Promise<RunningVariant> {
    const server = createServer((request, response) => {
      const match = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? '')
      const file = readFileSync(join(data.root, pathOf(request.url!)))
      const { status, body } = answer(file, match === null ? undefined : [Number(match[1]), Number(match[2])])
      response.writeHead(status, { 'Content-Length': body.length }).end(body)
    })
    servers.push(server.listen(0, '127.0.0.1'))
    await once(server, 'listening')
    const variant = { name: 'test', archives: false, onlyManyConnections: false }
    const { port } = server.address() as AddressInfo
    return {
      variant,
      mount: '/outputs',
      port,
      pid: process.pid,
      [Symbol.asyncDispose]: () => Promise.resolve(),
    }
  }

  const setting = () => ({ data, clients, scratch: folder, loadMs: 50, signal: new AbortController().signal })

  it.each(workloads)('measures %s of an honest server', async (_name, workload) => {
    const verified = await laneOf(workload, await serve(honest)).verify(setting())
    const transfer = await verified.measure()
    expect(transfer.seconds).toBeGreaterThan(0)
    expect(transfer.bytes).toBeGreaterThanOrEqual(4096)
    expect(transfer.requests).toBeGreaterThanOrEqual(1)
  })

  it.each(
    workloads.flatMap(([name, workload]) =>
      CHEATS.map(([cheat, answer]) => [name, cheat, workload, answer] as const),
    ),
  )('refuses to measure %s of a server that sends %s', async (_name, _cheat, workload, answer) => {
    const target = await serve(answer)
    await expect(laneOf(workload, target).verify(setting())).rejects.toThrow(WrongBytes)
  })

  it.each(workloads)('stops when a server sends less of %s once it is measured', async (_name, workload) => {
    let cheats = false
    const target = await serve((file, range) =>
      withBody(honest(file, range), body => (cheats ? body.subarray(1) : body)),
    )
    const verified = await laneOf(workload, target).verify(setting())
    cheats = true
    await expect(verified.measure()).rejects.toThrow(/bytes/)
  })
})
