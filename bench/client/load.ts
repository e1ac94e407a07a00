// Sends small requests on keep-alive connections and checks every answer.
import { createHash } from 'node:crypto'
import { connect } from 'node:net'
import type { Socket } from 'node:net'
import { ResponseReader } from './response-reader.ts'
import type { ResponseHead } from './response-reader.ts'
import { LATENCY_BUCKETS, latencyBucket } from './task.ts'
import type { LoadResult, LoadTask, SmallRequest } from './task.ts'

const READ_BUFFER_BYTES = 128 * 1024

/** What the connections of one task share: whose turn it is, and the counts. */
class Round {
  readonly startNs = Number(process.hrtime.bigint())
  readonly latencies = new Array<number>(LATENCY_BUCKETS).fill(0)
  responses = 0
  bytes = 0
  endNs = this.startNs
  readonly #task: LoadTask
  #next = 0
  #failed = false

  constructor(task: LoadTask) {
    this.#task = task
  }

  /** The next request to send; undefined when the round is over. */
  take(): SmallRequest | undefined {
    const { requests, durationMs } = this.#task
    const over =
      durationMs === undefined
        ? this.#next >= requests.length
        : Number(process.hrtime.bigint()) - this.startNs >= durationMs * 1e6
    return over || this.#failed ? undefined : requests[this.#next++ % requests.length]
  }

  /** Ends the round: the other connections send nothing more. */
  fail(): void {
    this.#failed = true
  }

  count(sentNs: number, bytes: number): void {
    this.endNs = Number(process.hrtime.bigint())
    this.latencies[latencyBucket(this.endNs - sentNs)]! += 1
    this.responses += 1
    this.bytes += bytes
  }
}

export async function load(task: LoadTask): Promise<LoadResult> {
  const round = new Round(task)
  const connections = Array.from({ length: task.connections }, () =>
    runConnection(task, round).catch((error: unknown) => {
      round.fail()
      throw error
    }),
  )
  await Promise.allSettled(connections)
  await Promise.all(connections)
  const { responses, bytes, startNs, endNs, latencies } = round
  return { responses, bytes, startNs, endNs, latencies }
}

function runConnection(task: LoadTask, round: Round): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<undefined>()
  const comparesBytes = task.durationMs === undefined
  const buffer = Buffer.allocUnsafe(READ_BUFFER_BYTES)
  let request = round.take()
  let sentNs = 0
  let head: ResponseHead | undefined
  let bytes = 0
  let hash = createHash('sha256')

  const send = () => {
    bytes = 0
    if (request === undefined) {
      resolve(undefined)
      socket.destroy()
      return
    }
    sentNs = Number(process.hrtime.bigint())
    socket.write(requestText(task.port, request))
  }
  const reader = new ResponseReader({
    head: value => (head = value),
    body: chunk => {
      bytes += chunk.length
      if (comparesBytes) hash.update(chunk)
    },
    end: () => {
      round.count(sentNs, bytes)
      check(request!, head!.status, bytes, comparesBytes ? hash.digest('hex') : undefined)
      if (comparesBytes) hash = createHash('sha256')
      request = round.take()
      send()
    },
  })
  const socket: Socket = connect({
    port: task.port,
    host: '127.0.0.1',
    noDelay: true,
    onread: {
      buffer,
      callback: size => {
        try {
          reader.push(buffer.subarray(0, size))
        } catch (error) {
          reject(error instanceof Error ? error : new Error(String(error)))
          socket.destroy()
        }
        return true
      },
    },
  })
  socket.once('connect', send)
  socket.once('error', reject)
  socket.once('close', () => reject(new Error('the server closed a keep-alive connection')))
  return promise
}

function requestText(port: number, { path, range }: SmallRequest): string {
  const rangeField = range === undefined ? '' : `Range: ${range}\r\n`
  return `GET ${path} HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nAccept: */*\r\n${rangeField}\r\n`
}

function check(request: SmallRequest, status: number, bytes: number, sha256: string | undefined): void {
  const what = `${request.path}${request.range === undefined ? '' : ` (${request.range})`}`
  if (status !== request.status) throw new Error(`${what} answered ${status} instead of ${request.status}`)
  if (bytes !== request.length) throw new Error(`${what} gave ${bytes} bytes instead of ${request.length}`)
  if (sha256 !== undefined && sha256 !== request.sha256) throw new Error(`${what} gave wrong bytes`)
}
