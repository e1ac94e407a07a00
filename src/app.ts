// The composition root: puts stores, runs, archives and routes together. It neither listens nor reads the environment.
import express from 'express'
import { ServerResponse } from 'node:http'
import type { Express, Request, RequestHandler, Response } from 'express'
import type { Logger } from 'pino'
import type { Config } from './config/config.ts'
import { Archives } from './content/archive.ts'
import { Digests } from './content/digest.ts'
import { Notebooks } from './content/notebook.ts'
import { ResumableUploads } from './content/resumable-uploads.ts'
import { AppError } from './errors.ts'
import { arrival } from './http/arrival.ts'
import { isBelow } from './http/below.ts'
import { ConnectionLimit, CONNECTIONS } from './http/connection-limit.ts'
import { parseDescription, type Description } from './http/description.ts'
import { entry, type Entry } from './http/entry.ts'
import { accessLog } from './http/access-log.ts'
import { describe, requestIdOf } from './http/exchange.ts'
import { Exchanges, sayTimes, type OnEnded } from './http/exchanges.ts'
import { failures, noteFailure, type Report, type SendFailure } from './http/failures.ts'
import { configuredAuthority } from './http/auth/configured.ts'
import { openLinks, orByLink, type Links } from './http/auth/links.ts'
import type { Authority, Gate } from './http/gate.ts'
import { createLimits } from './http/limits.ts'
import { methodRefused } from './http/methods.ts'
import { problemOf, sendProblem, toAppError } from './http/problem.ts'
import type { Problem } from './http/problem.ts'
import { urlForLog } from './http/redaction.ts'
import { referencePolicy, renderReference } from './http/reference.ts'
import { sendFailureDetail, sendFailureText } from './http/polyaxon/answers.ts'
import { answerOutputsApi } from './http/polyaxon/outputs-api.ts'
import { answerStreams } from './http/polyaxon/streams.ts'
import { answerMetrics, sampleOf } from './http/routes/metrics.ts'
import { answerHealth, document } from './http/routes/operations.ts'
import { linksHandler } from './http/routes/links.ts'
import { answerOutputs, type OutputsDependencies } from './http/routes/outputs.ts'
import { readiness, type ReadinessDependencies } from './http/routes/readiness.ts'
import { createUploads } from './http/uploads.ts'
import { Watchdog, type Unacknowledged } from './http/watchdog.ts'
import { createRequestValidator } from './http/validate.ts'
import { Metrics } from './metrics/metrics.ts'
import { RunLogs } from './runs/run-logs.ts'
import { Runs } from './runs/runs.ts'
import { servedStores, type ServedStores, type Stores } from './served-stores.ts'
import type { ArtifactStore } from './store/store.ts'
import { keepSwept, LEFT_MS, type Sweep, type SweepingReports } from './store/sweeping.ts'

/** Bounds of a list of paths, as a form or JSON. */
const LISTS = { maxBodyBytes: 1024 * 1024, maxBodyMs: 60_000 }

export interface AppDependencies {
  readonly config: Config
  readonly logger: Logger
  /** The text of openapi/openapi.yaml. */
  readonly description: string
  /** Instead of those that the configuration names. */
  readonly stores?: Stores
  /** Called whenever something is refused or ended because as much was under way as may be, with the setting that says so; counted in the metrics unless given. */
  readonly onLimit?: (limit: string) => void
  /** What the system knows of connections; nothing unless given. */
  readonly unacknowledged?: () => Promise<Unacknowledged>
  /** Instead of the one that the configuration describes. */
  readonly authority?: Authority
  readonly metrics?: Metrics
  /** What /metrics shows where it is more than the metrics of this process. */
  readonly metricsText?: () => Promise<string>
}

export interface App extends Entry {
  /** To be called where the server has not accepted a connection. */
  dropped(): void
  /** Makes /readyz refuse, so that balancers look elsewhere; requests are still answered. */
  drain(): void
  /** Says that connections which close from here on before their answer is whole are closed by the service. */
  cut(): void
  /** After the last request: ends what the stores hold. */
  close(): Promise<void>
}

/** Everything is compiled and the stores are opened when the promise resolves; whether they can be reached shows when they are used. */
export async function createApp(dependencies: AppDependencies): Promise<App> {
  const { config, logger, metrics = new Metrics({ version: 'unknown' }) } = dependencies
  const opened = await servedStores(config, metrics, dependencies.stores)
  const { outputs: stores, logs } = opened
  const connections = new Map(
    [...stores].map(([name, store]) => [name, new Runs(store, config.layouts, name)] as const),
  )
  const description = parseDescription(dependencies.description)
  const archives = new Archives(config.archives)
  const exchanges = observedExchanges(accessLog(logger, urlForLog(description)), metrics, archives, opened)
  let draining = false
  const closing = new AbortController()
  const resumable = resumableUploads(stores, config)
  keepAllSwept(stores, resumable, logger, closing.signal)

  const links = config.auth.links && (await openLinks(config.auth.links, logger))
  const gate = await gateOf(dependencies, links)
  const app = bareApp()
  const base = config.server.basePath || '/'
  const validate = createRequestValidator(description, LISTS)
  const limits = createLimits(config)
  const onLimit = dependencies.onLimit ?? ((limit: string) => metrics.limitHit(limit))
  const report = reportOf(logger, onLimit)
  const watchdog = watchdogOf(dependencies, onLimit)
  const accepted = new ConnectionLimit(config.limits.connections)
  const isOpen = gate.authority.isOpen === true
  app.use(...arrival({ config, isOpen, connections: accepted, requests: limits.requests }))
  // First, and with nothing in front of it that it does not need: most requests are for artifacts, and most of those have no query to check.
  const served = { connections, gate, validate, limits }
  app.use(base, artifacts({ config, report }, { ...served, archives }, logs))
  const uploads = createUploads({ ...served, resumable, uploads: config.uploads, closing: closing.signal })
  app.use(base, uploads.handler)
  if (links) app.use(base, linksHandler({ ...served, links, config }))
  app.use(
    base,
    operations(validate, [
      ['/healthz', answerHealth],
      ['/readyz', readinessOf(stores, logger, { accepting: () => !draining, namesStores: isOpen })],
      ...metricsRoute(dependencies, metrics, gate),
      ...documents(dependencies.description, description),
    ]),
  )
  app.use(nothingHere)
  app.use(failures(report, formOf(config)))

  return {
    ...entry(app, config.server, { exchanges, connections: accepted, watchdog }),
    cut: () => exchanges.cut(),
    dropped: () => onLimit(CONNECTIONS),
    drain: () => {
      draining = true
    },
    close: async () => {
      closing.abort(new AppError('Aborted', 'The service ends.'))
      watchdog.stop()
      await uploads.ended()
      gate.authority.close?.()
      await closeAll(opened)
    },
  }
}

async function closeAll({ outputs, logs }: Stores): Promise<void> {
  await Promise.all([...outputs.values(), ...(logs ? [logs] : [])].map(store => store.close()))
}

/** Not where they have a port of their own. */
function metricsRoute({ config, metricsText }: AppDependencies, metrics: Metrics, gate: Gate): Route[] {
  if (config.metrics.port !== 0) return []
  return [['/metrics', answerMetrics(gate, metricsText ?? (() => metrics.text()))]]
}

/** Requests, each with a line in the log and a place in the metrics when it has ended. */
function observedExchanges(
  writeLine: OnEnded,
  metrics: Metrics,
  archives: Archives,
  served: ServedStores,
): Exchanges {
  const exchanges = new Exchanges(ended => {
    metrics.request(sampleOf(ended))
    writeLine(ended)
  })
  metrics.watch({
    requests: () => exchanges.inProgress,
    archives: () => archives.inProgress,
    stores: () => served.loads(),
  })
  return exchanges
}

type WriteHead = ServerResponse['writeHead']

/** Express without what it would do by itself. */
function bareApp(): Express {
  const app = express()
  app.disable('x-powered-by')
  app.disable('etag')
  app.set('query parser', false)
  app.set('case sensitive routing', true)
  app.set('strict routing', true)
  // Express makes every response one of these.
  app.response.writeHead = function (this: ServerResponse, ...given: Parameters<WriteHead>) {
    sayTimes(this)
    return ServerResponse.prototype.writeHead.apply(this, given)
  } as typeof app.response.writeHead
  return app
}

/** By connection. */
function resumableUploads(
  stores: ReadonlyMap<string, ArtifactStore>,
  { uploads }: Config,
): ReadonlyMap<string, ResumableUploads> {
  return new Map(
    [...stores].map(([name, store]) => [name, new ResumableUploads(store, uploads.expireAfterMs)] as const),
  )
}

/** What ended processes and clients that do not come back have left. */
function keepAllSwept(
  stores: ReadonlyMap<string, ArtifactStore>,
  resumable: ReadonlyMap<string, ResumableUploads>,
  logger: Logger,
  closing: AbortSignal,
): void {
  const reports = (what: string): SweepingReports => ({
    onRemoved: (connection, leftovers) => logger.info({ connection, leftovers }, `${what} were removed`),
    onFailed: (connection, error) =>
      logger.debug({ connection, err: error }, `${what} could not be looked for`),
  })
  const sweeps = <T>(of: ReadonlyMap<string, T>, sweep: (one: T, signal: AbortSignal) => ReturnType<Sweep>) =>
    new Map([...of].map(([name, one]) => [name, (signal: AbortSignal) => sweep(one, signal)] as const))
  keepSwept(
    sweeps(stores, (store, signal) => store.sweep?.(LEFT_MS, { signal })),
    reports('unfinished uploads of ended processes'),
    closing,
  )
  keepSwept(
    sweeps(resumable, (uploads, signal) => uploads.sweep(signal)),
    reports('expired uploads'),
    closing,
  )
}

type Route = readonly [path: string, handler: RequestHandler]

function documents(text: string, description: Description): Route[] {
  const policy = { 'Content-Security-Policy': referencePolicy() }
  return [
    ['/openapi.yaml', document(text, 'application/yaml')],
    ['/docs', document(renderReference(description), 'text/html; charset=utf-8', policy)],
  ]
}

function readinessOf(
  stores: ReadonlyMap<string, ArtifactStore>,
  logger: Logger,
  given: Pick<ReadinessDependencies, 'accepting' | 'namesStores'>,
): RequestHandler {
  return readiness({
    stores,
    ...given,
    onUnavailable: (connection, error) => {
      const { message, trouble, cause } = error
      logger.warn({ connection, trouble, err: cause }, message)
    },
    onAvailable: connection => logger.info({ connection }, 'the store answers again'),
  })
}

/** What is asked of the service itself, and the way from its root to the outputs. */
function operations(validate: RequestHandler, routes: readonly Route[]): RequestHandler {
  const router = express.Router({ caseSensitive: true, strict: true })
  for (const [path, handler] of routes)
    router
      .route(path)
      .all((_request, response, next) => {
        describe(response, { route: path, answer: path.endsWith('z') ? 'health' : 'document' })
        next()
      })
      .get(validate, handler)
      .all(onlyReading)
  router
    .route('/')
    .get(({ originalUrl }, response) => {
      describe(response, { route: '/', answer: 'redirect' })
      const [path = ''] = originalUrl.split('?', 1)
      // A base path without its slash is resolved against the folder above it.
      const last = path.slice(path.lastIndexOf('/') + 1)
      const folder = last === '' ? './outputs/' : `./${last}/outputs/`
      const location = folder + originalUrl.slice(path.length)
      response.writeHead(302, { Location: location, 'Content-Length': 0 }).end()
    })
    .all(onlyReading)
  return router
}

/** The routes that serve artifacts. */
function artifacts(
  { config, report }: Pick<AppDependencies, 'config'> & { readonly report: Report },
  served: Pick<OutputsDependencies, 'connections' | 'gate' | 'validate' | 'limits' | 'archives'>,
  logs: ArtifactStore | undefined,
): RequestHandler {
  const dependencies = {
    ...served,
    ...(logs && { logs: new RunLogs(logs) }),
    uploads: config.uploads,
    digests: new Digests(config.digests.maxBytes),
    notebooks: new Notebooks(),
    problemFor: (error: unknown, response: Response): Problem => {
      const known = toAppError(error)
      report(known, response)
      return problemOf(known, requestIdOf(response))
    },
  }
  return (request, response, next) => {
    const { url } = request
    const tree = treeOf(url)
    if (tree === undefined) {
      next()
      return
    }
    const [folder, answer] = tree
    answer(dependencies, url.slice(folder.length), request, response).catch(next)
  }
}

/** The same artifacts by three contracts: our own, and those that Polyaxon's clients speak. */
const TREES = [
  ['/outputs', answerOutputs, sendProblem],
  ['/streams/v1', answerStreams, sendFailureText],
  ['/api/v1', answerOutputsApi, sendFailureDetail],
] as const

/** The one that a URL without the base path is in. */
function treeOf(url: string): (typeof TREES)[number] | undefined {
  return TREES.find(([folder]) => isBelow(folder, url))
}

/** How failures are told at a URL, where that is not as problems. */
function formOf({ server: { basePath } }: Config): (request: Request) => SendFailure | undefined {
  return ({ originalUrl }) => treeOf(originalUrl.slice(basePath.length))?.[2]
}

type OnLimit = NonNullable<AppDependencies['onLimit']>

function watchdogOf({ config: { limits }, unacknowledged }: AppDependencies, onLimit: OnLimit): Watchdog {
  return new Watchdog({
    idleMs: limits.idleTimeoutMs,
    unacknowledged: unacknowledged ?? (() => Promise.resolve(() => undefined)),
    onIdle: () => onLimit('limits.idleTimeout'),
  })
}

function reportOf(logger: Logger, onLimit: OnLimit): Report {
  return (error, response) => {
    noteFailure(logger, error, response)
    if (error.limit !== undefined) onLimit(error.limit)
  }
}

async function gateOf(
  { config, logger, authority }: AppDependencies,
  links: Links | undefined,
): Promise<Gate> {
  const others = authority ?? (await configuredAuthority(config, logger))
  return {
    origins: new Set(config.server.corsOrigins),
    authority: orByLink(others, links),
  }
}

const nothingHere: RequestHandler = ({ url }, response, next) => {
  // Browsers ask for it by themselves, for a sandboxed artifact as from another site, and report that they may not even see that it is not there.
  if (url === '/favicon.ico') response.removeHeader('Cross-Origin-Resource-Policy')
  next(new AppError('NotFound', 'There is nothing at this URL. The outputs are below /outputs/.'))
}

const onlyReading: RequestHandler = (request, response, next) => {
  next(methodRefused(request.method, response, ['GET', 'HEAD']))
}
