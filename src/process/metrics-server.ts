// /metrics on a port of its own, for the whole service: open to whoever can reach it, and to nothing else.
import { createServer, type Server } from 'node:http'
import type { Config } from '../config/config.ts'
import { METRICS_TYPE } from '../http/routes/metrics.ts'
import { listenFailure } from './listen-failure.ts'
import { StartFailure } from './start-failure.ts'

const REQUEST_MS = 10_000
const MAX_CONNECTIONS = 32

/** Resolves when it listens; undefined where no port is configured. It does not keep the process alive. */
export async function serveMetrics(
  { host, port }: Config['metrics'],
  text: () => Promise<string>,
): Promise<Server | undefined> {
  if (port === 0) return undefined
  const limits = { headersTimeout: REQUEST_MS, requestTimeout: REQUEST_MS }
  const server = createServer(limits, (request, response) => {
    const isKnown = request.url?.split('?', 1)[0] === '/metrics'
    const reads = request.method === 'GET' || request.method === 'HEAD'
    if (!isKnown || !reads) {
      response.writeHead(isKnown ? 405 : 404, isKnown ? { Allow: 'GET, HEAD' } : {}).end()
      return
    }
    text().then(
      body =>
        response.writeHead(200, { 'Content-Type': METRICS_TYPE, 'Cache-Control': 'no-store' }).end(body),
      () => response.writeHead(500).end(),
    )
  })
  server.maxConnections = MAX_CONNECTIONS
  await new Promise<void>((resolve, reject) => {
    server.once('error', error =>
      reject(new StartFailure(listenFailure(error, host, port, 'METRICS_'), { cause: error })),
    )
    server.listen({ host, port, exclusive: true }, resolve)
  })
  return server.unref()
}
