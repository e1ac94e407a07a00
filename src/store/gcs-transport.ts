// One HTTP exchange with Cloud Storage: bounded connections, three timeouts, and an abort that frees the connection at once.
import http, { type IncomingMessage } from 'node:http'
import https from 'node:https'
import { traceFields } from '../request-context.ts'
import { gcsFailure } from './gcs-failure.ts'
import type { ObjectAgents } from './object-agents.ts'
import { ObjectFailure, type ObjectBody, type ObjectTimeouts } from './object-client.ts'
import { sendingMs, withinTime } from './object-deadline.ts'
import { ResponseBody } from './object-response.ts'

export interface TransportOptions {
  readonly origin: URL
  readonly agents: ObjectAgents
  readonly timeouts: ObjectTimeouts
}

export interface GcsRequest {
  readonly method: 'GET' | 'POST' | 'PUT' | 'DELETE'
  /** Path and query, percent-encoded. */
  readonly target: string
  readonly headers: Readonly<Record<string, string>>
  /** One body, in pieces. */
  readonly content?: readonly Uint8Array[]
  /** What the answer may take longer than to a small question. */
  readonly moreMs?: number
}

export class GcsTransport {
  readonly #origin: URL
  readonly #timeouts: ObjectTimeouts
  readonly #agents: ObjectAgents

  constructor({ origin, agents, timeouts }: TransportOptions) {
    this.#origin = origin
    this.#timeouts = timeouts
    this.#agents = agents
  }

  /** Resolves when the headers have come; rejects with ObjectFailure. The body must then be read by `bodyOf` or `readWhole`, or destroyed. */
  async send(request: GcsRequest, signal: AbortSignal): Promise<IncomingMessage> {
    try {
      return await withinTime(attempt => this.#exchange(request, attempt), {
        signal,
        timeoutMs: this.#timeouts.headersMs + (request.moreMs ?? 0) + sendingMs(lengthOf(request)),
        discard: late => late.destroy(),
      })
    } catch (error) {
      throw gcsFailure({ stage: 'transport', error })
    }
  }

  #exchange(request: GcsRequest, signal: AbortSignal): Promise<IncomingMessage> {
    const { method, target, headers, content } = request
    const { protocol, hostname, port } = this.#origin
    return new Promise((resolve, reject) => {
      const sent = (protocol === 'https:' ? https : http).request({
        agent: this.#agents.for(protocol),
        protocol,
        hostname: hostname.replace(/^\[|\]$/g, ''),
        port,
        method,
        path: target,
        headers: {
          ...headers,
          ...traceFields(),
          ...(content !== undefined && { 'content-length': String(lengthOf(request)) }),
        },
        signal,
      })
      sent.once('response', response => {
        // Whoever reads gets the error by the iterator; without a listener one that comes earlier would end the process.
        response.on('error', () => undefined)
        resolve(response)
      })
      sent.on('error', reject)
      for (const piece of content ?? []) sent.write(piece)
      sent.end()
    })
  }

  bodyOf(response: IncomingMessage, signal: AbortSignal): ObjectBody {
    const failure = (error: unknown): ObjectFailure => gcsFailure({ stage: 'transport', error })
    return new ResponseBody(response, { idleMs: this.#timeouts.idleMs, signal, failure })
  }

  /** The whole body as text, which must not be longer than `maxBytes`. */
  async readWhole(response: IncomingMessage, maxBytes: number, signal: AbortSignal): Promise<string> {
    const chunks: Uint8Array[] = []
    let length = 0
    for await (const chunk of this.bodyOf(response, signal)) {
      length += chunk.length
      if (length > maxBytes)
        throw new ObjectFailure('interrupted', {
          cause: new Error(`an answer of more than ${maxBytes} bytes`),
        })
      chunks.push(chunk)
    }
    return Buffer.concat(chunks, length).toString('utf8')
  }

  /** Ends idle connections; those in use end with their exchange. */
  close(): void {
    this.#agents.retire()
  }
}

function lengthOf({ content = [] }: GcsRequest): number {
  return content.reduce((sum, piece) => sum + piece.length, 0)
}
