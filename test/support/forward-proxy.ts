// A proxy for http and, by CONNECT, for https.
import { request, type IncomingMessage } from 'node:http'
import { connect, type Socket } from 'node:net'
import { pipeline } from 'node:stream'
import { Listening } from './listening.ts'

export class ForwardProxy {
  /** Methods and targets of what it was asked for. */
  readonly seen: string[] = []
  readonly #listening: Listening

  private constructor(listening: Listening, seen: string[]) {
    this.#listening = listening
    this.seen = seen
  }

  /** `tunnels: false`: it takes requests for tunnels and never answers them. */
  static async start({ tunnels = true }: { readonly tunnels?: boolean } = {}): Promise<ForwardProxy> {
    const seen: string[] = []
    const listening = await Listening.start((incoming, response) => {
      const { method, url, headers } = incoming
      seen.push(`${method} ${url}`)
      const onward = request(url!, { method: method!, headers, agent: false }, (answer: IncomingMessage) => {
        response.writeHead(answer.statusCode!, answer.headers)
        pipeline(answer, response, () => undefined)
      })
      pipeline(incoming, onward, () => undefined)
    })
    listening.server.on('connect', ({ url }, near: Socket) => {
      seen.push(`CONNECT ${url}`)
      const [host, port] = url!.split(':')
      if (!tunnels) return
      const far = connect(Number(port), host, () => {
        near.write('HTTP/1.1 200 Connection established\r\n\r\n')
        // However one side ends, so does the other.
        pipeline(near, far, near, () => undefined)
      })
    })
    return new ForwardProxy(listening, seen)
  }

  get url(): string {
    return this.#listening.origin
  }

  close(): Promise<void> {
    return this.#listening.close()
  }
}
