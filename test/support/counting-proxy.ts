// A way to a server that counts what is open and what has come through. Nothing is changed on the way.
import { connect, createServer, type AddressInfo, type Socket } from 'node:net'
import { pipeline } from 'node:stream'

export class CountingProxy {
  readonly #server: ReturnType<typeof createServer>
  readonly #clients = new Set<Socket>()
  #received = 0

  /** The most connections that were open at once. */
  maxOpen = 0

  private constructor(upstream: URL) {
    this.#server = createServer({ allowHalfOpen: false }, client => {
      const server = connect(Number(upstream.port), upstream.hostname)
      this.#clients.add(client)
      this.maxOpen = Math.max(this.maxOpen, this.#clients.size)
      client.once('close', () => this.#clients.delete(client))
      server.on('data', (chunk: Buffer) => (this.#received += chunk.length))
      // However one side ends, so does the other.
      pipeline(client, server, client, () => undefined)
    })
  }

  /** In front of the server at `endpoint`, on a free port. */
  static async before(endpoint: string): Promise<CountingProxy> {
    const proxy = new CountingProxy(new URL(endpoint))
    await new Promise<void>(resolve => proxy.#server.listen(0, '127.0.0.1', resolve))
    return proxy
  }

  get endpoint(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  /** Connections that are open now. */
  get open(): number {
    return this.#clients.size
  }

  /** Bytes that the server has sent. */
  get received(): number {
    return this.#received
  }

  async close(): Promise<void> {
    for (const client of this.#clients) client.destroy()
    await new Promise(resolve => this.#server.close(resolve))
  }
}
