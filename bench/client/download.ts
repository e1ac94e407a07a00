// Reads one response from its first to its last byte, as a client that copies every byte out of the kernel does.
import { createHash } from 'node:crypto'
import { closeSync, openSync, writeSync } from 'node:fs'
import { connect } from 'node:net'
import { ResponseReader } from './response-reader.ts'
import type { ResponseHead } from './response-reader.ts'
import type { DownloadResult, DownloadTask } from './task.ts'

/** One reused buffer, filled by recv(2): the work of curl without its write to the disk. */
const READ_BUFFER = Buffer.allocUnsafe(1024 * 1024)

export function download(task: DownloadTask): Promise<DownloadResult> {
  const { promise, resolve, reject } = Promise.withResolvers<DownloadResult>()
  const hash = task.hash === true ? createHash('sha256') : undefined
  const file = task.saveTo === undefined ? undefined : openSync(task.saveTo, 'w')
  const startNs = Number(process.hrtime.bigint())
  let firstByteNs = 0
  let head: ResponseHead | undefined
  let bytes = 0

  const reader = new ResponseReader({
    head: value => (head = value),
    body: chunk => {
      if (bytes === 0) firstByteNs = Number(process.hrtime.bigint())
      bytes += chunk.length
      hash?.update(chunk)
      if (file !== undefined) writeSync(file, chunk)
    },
    end: () => {
      const { status, contentLength, text } = head!
      const endNs = Number(process.hrtime.bigint())
      resolve({
        status,
        head: text,
        contentLength,
        bytes,
        sha256: hash?.digest('hex'),
        startNs,
        firstByteNs,
        endNs,
      })
      socket.destroy()
    },
  })
  const fail = (error: unknown) => {
    reject(error instanceof Error ? error : new Error(String(error)))
    socket.destroy()
  }
  const socket = connect({
    port: task.port,
    host: '127.0.0.1',
    onread: {
      buffer: READ_BUFFER,
      callback: size => {
        try {
          reader.push(READ_BUFFER.subarray(0, size))
        } catch (error) {
          fail(error)
        }
        return true
      },
    },
  })
  const rangeField = task.range === undefined ? '' : `Range: ${task.range}\r\n`
  socket.write(
    `GET ${task.path} HTTP/1.1\r\nHost: 127.0.0.1:${task.port}\r\nAccept: */*\r\n${rangeField}\r\n`,
  )
  socket.once('error', fail)
  socket.once('close', () => {
    if (file !== undefined) closeSync(file)
    try {
      reader.close()
      reject(new Error('the connection was closed before a response'))
    } catch (error) {
      fail(error)
    }
  })
  return promise
}
