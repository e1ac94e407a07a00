// How many connections a process has: those beyond a number are told so instead of being served, and those far beyond it are not even accepted.
import type { RequestHandler } from 'express'
import type { IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'
import { AppError } from '../errors.ts'

/** Connections beyond the limit that are accepted, to be told. */
const TOLD = 256

export const CONNECTIONS = 'limits.connections'

export class ConnectionLimit {
  readonly #most: number
  #count = 0
  readonly #excess = new WeakSet<Socket>()

  constructor(most: number) {
    this.#most = most
  }

  /** At how many the server is to accept no more. */
  get hardLimit(): number {
    return this.#most + TOLD
  }

  /** Counts a connection for as long as it is there. Gives whether it is one too many. */
  add(socket: Socket): boolean {
    this.#count++
    socket.once('close', () => this.#count--)
    const isExcess = this.#count > this.#most
    if (isExcess) this.#excess.add(socket)
    return isExcess
  }

  /** Middleware that refuses (RateLimited) what comes on one too many, but for probes, and ends those with their first answer. */
  refuse(isProbe: (request: IncomingMessage) => boolean): RequestHandler {
    return (request, response, next) => {
      if (!this.#excess.has(request.socket)) {
        next()
        return
      }
      response.setHeader('Connection', 'close')
      next(isProbe(request) ? undefined : this.#tooMany())
    }
  }

  #tooMany(): AppError {
    return new AppError(
      'RateLimited',
      `The service has ${this.#most} connections, which is as many as there may be (setting ${CONNECTIONS}). Try again shortly.`,
      { op: 'admit', limit: CONNECTIONS },
    )
  }
}
