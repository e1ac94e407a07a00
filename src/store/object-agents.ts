// The connections to one object store: a bounded pool with keep-alive, certificates, proxies, and a deadline for connecting.
import http, { type Agent, type AgentOptions } from 'node:http'
import https from 'node:https'
import type { Duplex } from 'node:stream'
import { getCACertificates } from 'node:tls'

export interface AgentsOptions {
  readonly maxConnections: number
  /** Until a connection stands, looking up the name, the tunnel of a proxy and TLS included. */
  readonly connectMs: number
  readonly verifyTls: boolean
  /** PEM of certificates to trust beside those that Node.js trusts. */
  readonly certificates: string | undefined
}

/** Connections that nobody uses for longer are closed by us, before a server does it under the next request (S3 after about 20 s, the others after minutes). */
const FREE_SOCKET_MS = 15_000

export class ObjectAgents {
  readonly http: http.Agent
  readonly https: https.Agent

  constructor({ maxConnections, connectMs, verifyTls, certificates }: AgentsOptions) {
    const pool = {
      keepAlive: true,
      // One more than a single connection, which short requests need beside a body (see `object-slots.ts`).
      maxSockets: Math.max(2, maxConnections),
      maxFreeSockets: Math.max(2, maxConnections),
      timeout: FREE_SOCKET_MS,
    }
    this.http = new http.Agent({ ...pool, ...proxyOf(http.globalAgent) })
    this.https = new https.Agent({
      ...pool,
      ...proxyOf(https.globalAgent),
      rejectUnauthorized: verifyTls,
      // `ca` replaces what is trusted by default, so that comes along.
      ...(certificates !== undefined && { ca: [...getCACertificates('default'), certificates] }),
    })
    limitConnecting(this.http, connectMs, 'connect')
    limitConnecting(this.https, connectMs, 'secureConnect')
    for (const agent of [this.http, this.https]) forgetStale(agent)
  }

  /** The one for `protocol`, which ends with a colon as that of a URL. */
  for(protocol: string): Agent {
    return protocol === 'https:' ? this.https : this.http
  }

  /** Ends idle connections now and the others when their answers have ended, unlike `Agent.destroy`, which ends all. */
  retire(): void {
    for (const agent of [this.http, this.https]) {
      agent.maxFreeSockets = 0
      endIdle(agent)
    }
  }
}

function endIdle(agent: Agent): void {
  for (const sockets of Object.values(agent.freeSockets)) for (const socket of sockets ?? []) socket.destroy()
}

/**
 * Gives up the idle connections of `agent` when one that was used again is reset: a load balancer or server that has forgotten that one has forgotten the others too, and each
 * would cost an attempt. Where it was but this one, they cost a handshake.
 */
function forgetStale(agent: Agent): void {
  const reuse = agent.reuseSocket.bind(agent)
  const watched = new WeakSet<Duplex>()
  agent.reuseSocket = (socket, request) => {
    if (!watched.has(socket)) {
      watched.add(socket)
      socket.once('error', ({ code }: NodeJS.ErrnoException) => {
        if (code === 'ECONNRESET' || code === 'EPIPE') endIdle(agent)
      })
    }
    reuse(socket, request)
  }
}

/**
 * The proxy that the process uses, if there is one: whoever starts it says so once for all (`http.setGlobalProxyFromEnv`, NODE_USE_ENV_PROXY). That replaces the global
 * agents, so they must be looked up when they are needed.
 */
function proxyOf(globalAgent: unknown): Pick<AgentOptions, 'proxyEnv'> {
  // Node documents `options` for all agents; the types have it for https only.
  const { proxyEnv } = (globalAgent as { readonly options: AgentOptions }).options
  return proxyEnv === undefined ? {} : { proxyEnv }
}

/**
 * Ends each connection of `agent` that does not stand within `connectMs` with ETIMEDOUT, as the operating system does after minutes.
 *
 * Through a proxy, what `createConnection` returns is the connection to that; the one to the server comes by the callback, when tunnel and TLS stand. (A proxy that is itself spoken
 * to by TLS ends the limit early: then the time for the headers is the limit.)
 */
function limitConnecting(agent: Agent, connectMs: number, established: 'connect' | 'secureConnect'): void {
  const connect = agent.createConnection.bind(agent)
  agent.createConnection = (options, created) => {
    const timer = setTimeout(() => {
      connection?.destroy(
        Object.assign(new Error(`no connection within ${connectMs} ms`), { code: 'ETIMEDOUT' }),
      )
    }, connectMs)
    const stop = (): void => clearTimeout(timer)
    const connection = connect(options, (error, stream) => {
      stop()
      created?.(error, stream)
    })
    return connection?.once(established, stop).once('close', stop)
  }
}
