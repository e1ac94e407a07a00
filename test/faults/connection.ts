// A client on a bare socket: it sends any bytes, reads only when told to, leaves when told to, and sees how the connection ended.
import { connect } from 'node:net'
import type { Socket } from 'node:net'

/** How the service's side ended: in order (FIN), or broken off (RST). */
export type Ending = 'end' | 'reset'

export interface Head {
  readonly status: number
  /** Names in lower case. */
  readonly headers: ReadonlyMap<string, string>
}

export class Connection {
  readonly #socket: Socket
  readonly #ended: Promise<Ending>
  #unread: Buffer[] = []

  private constructor(socket: Socket) {
    this.#socket = socket
    this.#ended = new Promise(resolve => {
      let ending: Ending = 'reset'
      socket.once('end', () => (ending = 'end'))
      // An error is followed by close, and shows as a reset.
      socket.on('error', () => undefined)
      socket.once('close', () => resolve(ending))
    })
  }

  /** Fails when nobody accepts. */
  static async open(port: number): Promise<Connection> {
    const socket = connect({ host: '127.0.0.1', port })
    await new Promise<void>((resolve, reject) => {
      socket.once('error', reject)
      socket.once('connect', () => {
        socket.off('error', reject)
        resolve()
      })
    })
    return new Connection(socket)
  }

  /** A connection with one GET on its way. */
  static async get(port: number, target: string, version: '1.0' | '1.1' = '1.1'): Promise<Connection> {
    const connection = await Connection.open(port)
    connection.send(`GET ${target} HTTP/${version}\r\nHost: localhost\r\n\r\n`)
    return connection
  }

  send(text: string): void {
    this.#socket.write(text, 'latin1')
  }

  /** The next bytes, at most what the socket holds (64 KiB or so); undefined when there are no more. Nothing is read between two calls. */
  async take(): Promise<Buffer | undefined> {
    const first = this.#unread.shift()
    if (first !== undefined) return first
    for (;;) {
      const chunk = this.#socket.read() as Buffer | null
      if (chunk !== null) return chunk
      if (this.#socket.readableEnded || this.#socket.destroyed) return undefined
      await new Promise<void>(resolve => {
        const wake = (): void => {
          for (const event of ['readable', 'end', 'close']) this.#socket.off(event, wake)
          resolve()
        }
        for (const event of ['readable', 'end', 'close']) this.#socket.on(event, wake)
      })
    }
  }

  /** The head of the next response; what follows it is left for `take`. */
  async head(): Promise<Head> {
    let bytes = Buffer.alloc(0)
    let end: number
    while ((end = bytes.indexOf('\r\n\r\n')) < 0) {
      const chunk = await this.take()
      if (chunk === undefined) throw new Error(`no head of a response, only '${bytes.toString('latin1')}'`)
      bytes = Buffer.concat([bytes, chunk])
    }
    if (bytes.length > end + 4) this.#unread.unshift(bytes.subarray(end + 4))
    const [first = '', ...fields] = bytes.toString('latin1', 0, end).split('\r\n')
    return {
      status: Number(/^HTTP\/1\.1 (\d{3}) /.exec(first)?.[1]),
      headers: new Map(
        fields.map(field => [
          field.slice(0, field.indexOf(':')).toLowerCase(),
          field.slice(field.indexOf(':') + 1).trim(),
        ]),
      ),
    }
  }

  /** Reads at least `count` bytes and forgets them; returns how many there were, fewer only at the end. */
  async skip(count: number): Promise<number> {
    let read = 0
    while (read < count) {
      const chunk = await this.take()
      if (chunk === undefined) break
      read += chunk.length
    }
    return read
  }

  /** Everything that is still to come, as text, and how it ended. */
  async rest(): Promise<{ text: string; ending: Ending }> {
    const chunks: Buffer[] = []
    for (let chunk = await this.take(); chunk !== undefined; chunk = await this.take()) chunks.push(chunk)
    // Our side stays open after the other one's FIN until we close it too.
    this.#socket.end()
    return { text: Buffer.concat(chunks).toString('latin1'), ending: await this.#ended }
  }

  /** Reads on to the end and forgets it; returns how many bytes came and how it ended. */
  async drain(): Promise<{ bytes: number; ending: Ending }> {
    const bytes = await this.skip(Infinity)
    this.#socket.end()
    return { bytes, ending: await this.#ended }
  }

  /** Leaves with a FIN, or, when bytes are unread, as the kernel sees fit. */
  destroy(): void {
    this.#socket.destroy()
  }

  /** Leaves with a RST. */
  reset(): void {
    this.#socket.resetAndDestroy()
  }
}
