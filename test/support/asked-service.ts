// A service that is asked who may do what, as nginx's auth_request asks: it keeps every question, and answers as the test says.
import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from 'node:http'
import { Listening } from './listening.ts'

export interface AskedQuestion {
  readonly method: string
  readonly path: string
  /** What is asked about. */
  readonly uri: string
  readonly action: string
  readonly headers: IncomingHttpHeaders
}

type Answering = (
  question: AskedQuestion,
  response: ServerResponse,
  request: IncomingMessage,
) => number | undefined

export class AskedServer {
  readonly questions: AskedQuestion[] = []
  readonly bodies: string[] = []
  /** The status, or undefined where it has answered, or will, by itself. */
  answer: Answering = () => 200
  readonly #listening: Listening

  private constructor(listening: Listening) {
    this.#listening = listening
  }

  static async start(): Promise<AskedServer> {
    const known: { server?: AskedServer } = {}
    const listening = await Listening.start((request, response) => known.server!.#answer(request, response))
    known.server = new AskedServer(listening)
    return known.server
  }

  get origin(): string {
    return this.#listening.origin
  }

  get connections(): number {
    return this.#listening.sockets.size
  }

  /** What was asked about since the last call. */
  taken(): string[] {
    return this.questions.splice(0).map(({ action, uri }) => `${action} ${uri}`)
  }

  dropConnections(): void {
    for (const socket of this.#listening.sockets) socket.destroy()
  }

  close(): Promise<void> {
    return this.#listening.close()
  }

  #answer(request: IncomingMessage, response: ServerResponse): void {
    const { method = '', url = '', headers } = request
    const uri = String(headers['x-origin-uri'] ?? headers['x-original-uri'] ?? url)
    const action = String(headers['x-origin-method'] ?? headers['x-original-method'] ?? method)
    const question = { method, path: url, uri, action, headers }
    this.questions.push(question)
    request.setEncoding('utf8').on('data', (text: string) => this.bodies.push(text))
    const status = this.answer(question, response, request)
    if (status === undefined) return
    response.statusCode = status
    response.end('{}')
  }
}
