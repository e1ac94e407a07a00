// A server of our own that listens, with what a test asks of any of them: its address, its open connections, an end at once.
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { createServer as createTlsServer, type ServerOptions } from 'node:https'
import type { AddressInfo, Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'

export class Listening {
  readonly server: Server
  /** Open connections. */
  readonly sockets = new Set<Socket>()
  /** Stays known when the server is closed. */
  port = 0
  readonly #protocol: string

  private constructor(
    listener: (request: IncomingMessage, response: ServerResponse) => void,
    tls: ServerOptions | undefined,
  ) {
    this.server = tls === undefined ? createServer(listener) : createTlsServer(tls, listener)
    this.#protocol = tls === undefined ? 'http' : 'https'
    this.server.on('connection', (socket: Socket) => {
      this.sockets.add(socket)
      socket.on('error', () => undefined)
      socket.once('close', () => this.sockets.delete(socket))
    })
  }

  /** On a free port of this machine; by https with a certificate. */
  static async start(
    listener: (request: IncomingMessage, response: ServerResponse) => void,
    tls?: ServerOptions,
  ): Promise<Listening> {
    const listening = new Listening(listener, tls)
    await new Promise<void>(resolve => listening.server.listen(0, '127.0.0.1', resolve))
    listening.port = (listening.server.address() as AddressInfo).port
    return listening
  }

  get origin(): string {
    return `${this.#protocol}://127.0.0.1:${this.port}`
  }

  /** Waits until no more than `count` connections are open. */
  async socketsDownTo(count: number, withinMs = 3000): Promise<void> {
    const until = Date.now() + withinMs
    while (this.sockets.size > count) {
      await sleep(10)
      if (Date.now() > until) throw new Error(`${this.sockets.size} connections are open, not ${count}`)
    }
  }

  /** Also of connections in use, and a second time. */
  async close(): Promise<void> {
    for (const socket of this.sockets) socket.destroy()
    await new Promise(resolve => this.server.close(resolve))
  }
}

/** A port that nobody listened on a moment ago. */
export async function freePort(): Promise<number> {
  const listening = await Listening.start(() => undefined)
  await new Promise(resolve => listening.server.close(resolve))
  return listening.port
}
