// The HTTP server around the app: its time limits, listening, and the drain.
import {
  createServer,
  type IncomingMessage,
  type RequestListener,
  type Server,
  type ServerResponse,
} from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { setTimeout as delay } from 'node:timers/promises'
import type { Logger } from 'pino'
import type { Config } from '../config/config.ts'
import { listenFailure } from './listen-failure.ts'
import { StartFailure } from './start-failure.ts'

/** What the server needs of `createApp`. */
export interface ServedApp {
  readonly handler: RequestListener
  /** Answers what could not be parsed as a request, or did not come in time. */
  readonly clientError: (error: Error, socket: Duplex) => void
  /** Connections at which no more are accepted. */
  readonly maxConnections: number
  /** Whether a new connection is one too many, so that idle ones should make room. */
  connected(socket: Socket): boolean
  /** A connection was not accepted. */
  dropped(): void
  drain(): void
  /** What is not whole from here on is broken off by the service. */
  cut(): void
  close(): Promise<void>
}

/** Longer than the 60 s that nginx and most balancers keep idle connections, so that it is never us who close one that is being used. */
const KEEP_ALIVE_MS = 75_000
/** As much as Polyaxon's own service takes, for a URL may name very many runs or events. */
const HEADER_BYTES = 64 * 1024
/** From the first byte of a request, or from connecting, to the end of its headers. */
const HEADERS_MS = 15_000
/** How often that limit is looked at; Node's own 30 s would stretch it. */
const CHECK_MS = 2_000
/** While draining, how often connections that have become idle are closed. */
const SWEEP_MS = 100
/** While draining, how long a connection without any request may still send one. */
const UNUSED_GRACE_MS = 1_000

/** How often idle connections are closed where there are too many; each time all are looked at. */
const MAKE_ROOM_MS = 1_000

/** What Node emits in place of `request` for one that has an Expect. */
const EXPECTING = ['checkContinue', 'checkExpectation'] as const

export class Service {
  /** `http://address:port` for this machine's clients. */
  readonly origin: string
  readonly #server: Server
  readonly #app: ServedApp
  readonly #logger: Logger
  /** Connections that have not sent a request. Node does not count them as idle. */
  readonly #unused: ReadonlySet<Socket>
  #drained: Promise<void> | undefined

  private constructor(
    server: Server,
    app: ServedApp,
    unused: ReadonlySet<Socket>,
    host: string,
    logger: Logger,
  ) {
    this.#server = server
    this.#app = app
    this.#unused = unused
    this.#logger = logger
    this.origin = originOf(host, (server.address() as AddressInfo).port)
  }

  /** Resolves when connections are accepted; rejects with StartFailure when the address cannot be had, and closes the app. */
  static async listen(
    app: ServedApp,
    { host, port }: Pick<Config['server'], 'host' | 'port'>,
    logger: Logger,
  ): Promise<Service> {
    const server = createServer(
      {
        keepAliveTimeout: KEEP_ALIVE_MS,
        maxHeaderSize: HEADER_BYTES,
        headersTimeout: HEADERS_MS,
        // An upload takes as long as it takes: whoever reads a body bounds the time that it may stand still, or as a whole.
        requestTimeout: 0,
        connectionsCheckingInterval: CHECK_MS,
      },
      app.handler,
    )
    server.on('clientError', app.clientError)
    // The app asks for bodies itself, when it knows that it wants them.
    for (const event of EXPECTING) server.on(event, app.handler)
    // Fields beyond a number would be left out, and nobody know of them: the app counts and refuses them.
    server.maxHeadersCount = 0
    limitConnections(server, app)
    const unused = trackUnused(server)
    try {
      await listening(server, host, port)
    } catch (error) {
      await app.close()
      throw new StartFailure(listenFailure(error as NodeJS.ErrnoException, host, port), { cause: error })
    }
    return new Service(server, app, unused, host, logger)
  }

  /**
   * Stops accepting and resolves when every running transfer has ended. What still runs after `timeoutMs` is cut, so that
   * its client sees a broken transfer. A second call waits for the same end.
   */
  drain(timeoutMs: number): Promise<void> {
    return (this.#drained ??= this.#drain(timeoutMs))
  }

  async #drain(timeoutMs: number): Promise<void> {
    this.#app.drain()
    // Clients that keep a connection learn with their next answer that it ends (RFC 9112 9.6).
    for (const event of ['request', ...EXPECTING])
      this.#server.prependListener(event, (_request: unknown, response: ServerResponse) =>
        response.setHeader('Connection', 'close'),
      )
    const closed = new Promise<void>(resolve => this.#server.close(() => resolve()))
    const sweep = setInterval(() => this.#server.closeIdleConnections(), SWEEP_MS)
    const unusedTimer = setTimeout(() => this.#unused.forEach(socket => socket.destroy()), UNUSED_GRACE_MS)
    const deadline = new AbortController()
    await Promise.race([
      closed,
      delay(timeoutMs, undefined, { signal: deadline.signal }).then(() => this.#cut()),
    ])
    deadline.abort()
    clearInterval(sweep)
    clearTimeout(unusedTimer)
    await this.#app.close()
  }

  #cut(): void {
    this.#logger.warn('transfers still running at the drain deadline were cut')
    this.#app.cut()
    this.#server.closeAllConnections()
  }
}

function trackUnused(server: Server): ReadonlySet<Socket> {
  const unused = new Set<Socket>()
  server.on('connection', (socket: Socket) => {
    unused.add(socket)
    socket.once('close', () => unused.delete(socket))
  })
  for (const event of ['request', ...EXPECTING])
    server.on(event, (request: IncomingMessage) => unused.delete(request.socket))
  return unused
}

function limitConnections(server: Server, app: ServedApp): void {
  server.maxConnections = app.maxConnections
  // Another worker is not asked to take it: it may have as many.
  Object.assign(server, { dropMaxConnection: true })
  let madeRoomAtMs = -Infinity
  // Before the server knows of it: to some versions of Node one that has not sent a request yet is idle.
  server.prependListener('connection', (socket: Socket) => {
    if (!app.connected(socket) || performance.now() - madeRoomAtMs < MAKE_ROOM_MS) return
    madeRoomAtMs = performance.now()
    server.closeIdleConnections()
  })
  server.on('drop', () => app.dropped())
}

function listening(server: Server, host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen({ host, port }, () => {
      server.off('error', reject)
      resolve()
    })
  })
}

/** An address for all interfaces is none to connect to. */
function originOf(host: string, port: number): string {
  const reachable = host === '0.0.0.0' ? '127.0.0.1' : host === '::' ? '::1' : host
  return `http://${reachable.includes(':') ? `[${reachable}]` : reachable}:${port}`
}
