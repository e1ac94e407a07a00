// The composition root: puts stores, runs, archives and routes together. It neither listens nor reads the environment.
import express from 'express'
import type { Express, Request, RequestHandler, Response } from 'express'
import type { Logger } from 'pino'
import { allStores, type Config } from './config/config.ts'
import { Archives } from './content/archive.ts'
import { Digests } from './content/digest.ts'
import { Notebooks } from './content/notebook.ts'
import { ResumableUploads } from './content/resumable-uploads.ts'
import { AppError } from './errors.ts'
import { arrival } from './http/arrival.ts'
import { isBelow } from './http/below.ts'
import { ConnectionLimit, CONNECTIONS } from './http/connection-limit.ts'
import { parseDescription } from './http/description.ts'
import { entry, type Entry } from './http/entry.ts'
import { requestIdOf } from './http/exchange.ts'
import { failures, logFailure, type Report, type SendFailure } from './http/failures.ts'
import { configuredAuthority } from './http/auth/configured.ts'
import { openLinks, orByLink, type Links } from './http/auth/links.ts'
import type { Authority, Gate } from './http/gate.ts'
import { createLimits } from './http/limits.ts'
import { methodRefused } from './http/methods.ts'
import { problemOf, sendProblem, toAppError } from './http/problem.ts'
import type { Problem } from './http/problem.ts'
import { referencePolicy, renderReference } from './http/reference.ts'
import { sendFailureDetail, sendFailureText } from './http/polyaxon/answers.ts'
import { answerOutputsApi } from './http/polyaxon/outputs-api.ts'
import { answerStreams } from './http/polyaxon/streams.ts'
import { answerHealth, document } from './http/routes/operations.ts'
import { linksHandler } from './http/routes/links.ts'
import { answerOutputs, type OutputsDependencies } from './http/routes/outputs.ts'
import { readiness, type ReadinessDependencies } from './http/routes/readiness.ts'
import { createUploads } from './http/uploads.ts'
import { Watchdog, type Unacknowledged } from './http/watchdog.ts'
import { createRequestValidator } from './http/validate.ts'
import { RunLogs } from './runs/run-logs.ts'
import { Runs } from './runs/runs.ts'
import { openStores } from './store/open.ts'
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
  /** Called whenever something is refused or ended because as much was under way as may be, with the setting that says so. */
  readonly onLimit?: (limit: string) => void
  /** What the system knows of connections; nothing unless given. */
  readonly unacknowledged?: () => Promise<Unacknowledged>
  /** Instead of the one that the configuration describes. */
  readonly authority?: Authority
}

export interface Stores {
  /** By connection. */
  readonly outputs: ReadonlyMap<string, ArtifactStore>
  readonly logs?: ArtifactStore
}

export interface App extends Entry {
  /** To be called where the server has not accepted a connection. */
  dropped(): void
  /** Makes /readyz refuse, so that balancers look elsewhere; requests are still answered. */
  drain(): void
  /** After the last request: ends what the stores hold. */
  close(): Promise<void>
}

/** Everything is compiled and the stores are opened when the promise resolves; whether they can be reached shows when they are used. */
export async function createApp(dependencies: AppDependencies): Promise<App> {
  const { config, logger } = dependencies
  const { outputs: stores, logs } = dependencies.stores ?? (await openAll(config))
  const connections = new Map(
    [...stores].map(([name, store]) => [name, new Runs(store, config.layouts, name)] as const),
  )
  const description = parseDescription(dependencies.description)
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
  const report = reportOf(dependencies)
  const watchdog = watchdogOf(dependencies)
  const accepted = new ConnectionLimit(config.limits.connections)
  const isOpen = gate.authority.isOpen === true
  app.use(...arrival({ config, isOpen, connections: accepted, requests: limits.requests }))
  // First, and with nothing in front of it that it does not need: most requests are for artifacts, and most of those have no query to check.
  const served = { connections, gate, validate, limits }
  app.use(base, artifacts({ config, report }, served, logs))
  const uploads = createUploads({ ...served, resumable, uploads: config.uploads, closing: closing.signal })
  app.use(base, uploads.handler)
  if (links) app.use(base, linksHandler({ ...served, links, config }))
  app.use(
    base,
    operations(validate, [
      ['/healthz', answerHealth],
      ['/readyz', readinessOf(stores, logger, { accepting: () => !draining, namesStores: isOpen })],
      ...documents(dependencies.description, description),
    ]),
  )
  app.use((_request, _response, next) =>
    next(new AppError('NotFound', 'There is nothing at this URL. The outputs are below /outputs/.')),
  )
  app.use(failures(report, formOf(config)))

  return {
    ...entry(app, config.server, { connections: accepted, watchdog }),
    dropped: () => dependencies.onLimit?.(CONNECTIONS),
    drain: () => {
      draining = true
    },
    close: async () => {
      closing.abort(new AppError('Aborted', 'The service ends.'))
      watchdog.stop()
      await uploads.ended()
      gate.authority.close?.()
      await closeAll({ outputs: stores, ...(logs && { logs }) })
    },
  }
}

/** All of them at once, for volumes share what operations they may have under way. */
async function openAll(config: Config): Promise<Stores> {
  const outputs = new Map<string, ArtifactStore>(await openStores(allStores(config), config.store))
  const logs = config.logs && outputs.get(config.logs.name)
  if (logs === undefined) return { outputs }
  outputs.delete(config.logs!.name)
  return { outputs, logs }
}

async function closeAll({ outputs, logs }: Stores): Promise<void> {
  await Promise.all([...outputs.values(), ...(logs ? [logs] : [])].map(store => store.close()))
}

/** Express without what it would do by itself. */
function bareApp(): Express {
  const app = express()
  app.disable('x-powered-by')
  app.disable('etag')
  app.set('query parser', false)
  app.set('case sensitive routing', true)
  app.set('strict routing', true)
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

type Operation = readonly [path: string, handler: RequestHandler]

function documents(text: string, description: ReturnType<typeof parseDescription>): readonly Operation[] {
  const policy = { 'Content-Security-Policy': referencePolicy() }
  return [
    ['/openapi.yaml', document(text, 'application/yaml')],
    ['/docs', document(renderReference(description), 'text/html; charset=utf-8', policy)],
  ]
}

/** What is asked of the service itself, and the way from its root to the outputs. */
function operations(validate: RequestHandler, routes: readonly Operation[]): RequestHandler {
  const router = express.Router({ caseSensitive: true, strict: true })
  for (const [path, handler] of routes) router.route(path).get(validate, handler).all(onlyReading)
  router
    .route('/')
    .get(({ originalUrl }, response) => {
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
  served: Pick<OutputsDependencies, 'connections' | 'gate' | 'validate' | 'limits'>,
  logs: ArtifactStore | undefined,
): RequestHandler {
  const dependencies = {
    ...served,
    ...(logs && { logs: new RunLogs(logs) }),
    uploads: config.uploads,
    archives: new Archives(config.archives),
    digests: new Digests(config.digests.maxBytes),
    notebooks: new Notebooks(),
    problemFor: (error: unknown, request: Request, response: Response): Problem => {
      const known = toAppError(error)
      report(known, request, requestIdOf(request, response))
      return problemOf(known, requestIdOf(request, response))
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

function watchdogOf({ config: { limits }, onLimit, unacknowledged }: AppDependencies): Watchdog {
  return new Watchdog({
    idleMs: limits.idleTimeoutMs,
    unacknowledged: unacknowledged ?? (() => Promise.resolve(() => undefined)),
    onIdle: () => onLimit?.('limits.idleTimeout'),
  })
}

function reportOf({ logger, onLimit }: AppDependencies): Report {
  return (error, request, id) => {
    logFailure(logger, error, request, id)
    if (error.limit !== undefined) onLimit?.(error.limit)
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

const onlyReading: RequestHandler = (request, response, next) => {
  next(methodRefused(request.method, response, ['GET', 'HEAD']))
}
