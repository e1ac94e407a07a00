// A way to several servers in turn that breaks: each connection ends, without a word, after so many bytes of the client, or stands still then.
import { connect, createServer, type AddressInfo, type Socket } from 'node:net'

/** Gives the bytes that a connection lets through before it is cut; undefined for one that stays whole. */
export type NextCut = () => number | undefined

interface Upstream {
  readonly port: number
}

export class CuttingProxy {
  readonly #server: ReturnType<typeof createServer>
  readonly #sockets = new Set<Socket>()
  #connections = 0
  /** Connections that were cut. */
  cuts = 0

  private constructor(upstreams: readonly Upstream[], nextCut: NextCut, then: 'end' | 'stall') {
    this.#server = createServer(client => {
      const upstream = upstreams[this.#connections++ % upstreams.length]!
      const server = connect(upstream.port, '127.0.0.1')
      let left = nextCut() ?? Infinity
      const end = (): void => {
        client.destroy()
        server.destroy()
      }
      for (const socket of [client, server]) {
        this.#sockets.add(socket)
        socket.on('error', end).on('close', () => {
          this.#sockets.delete(socket)
          end()
        })
      }
      server.on('data', chunk => void client.write(chunk))
      client.on('data', chunk => {
        const part = chunk.subarray(0, left)
        left -= part.length
        if (!server.write(part)) {
          client.pause()
          server.once('drain', () => client.resume())
        }
        if (left > 0) return
        this.cuts += 1
        client.pause()
        if (then === 'end') server.end(end)
      })
    })
  }

  static async before(
    upstreams: readonly Upstream[],
    nextCut: NextCut,
    then: 'end' | 'stall' = 'end',
  ): Promise<CuttingProxy> {
    const proxy = new CuttingProxy(upstreams, nextCut, then)
    await new Promise<void>(resolve => proxy.#server.listen(0, '127.0.0.1', resolve))
    return proxy
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy()
    await new Promise(resolve => this.#server.close(resolve))
  }
}
