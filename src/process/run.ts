// From the command line to a running service: what is asked for, the configuration, the sample, and one process or several.
import cluster from 'node:cluster'
import { readFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import type { Logger } from 'pino'
import { createApp } from '../app.ts'
import type { Config } from '../config/config.ts'
import { loadConfig, type Surroundings } from '../config/load.ts'
import { addressText, commandsText } from './banner.ts'
import { checkStores } from './check.ts'
import { endProcess, EXIT_CONFIG, EXIT_FAILURE } from './end.ts'
import { findExamples } from './examples.ts'
import { Metrics } from '../metrics/metrics.ts'
import { configForLog, createLogger } from './log.ts'
import { serveMetrics } from './metrics-server.ts'
import { placesOf } from './place.ts'
import { printable } from './printable.ts'
import { useProxies } from './proxies.ts'
import { Service } from './service.ts'
import { printNewToken } from './new-token.ts'
import { onStop } from './signals.ts'
import { StartFailure } from './start-failure.ts'
import { makeMissingSample } from './store-folder.ts'
import { superviseWorkers } from './supervisor.ts'
import { readUnacknowledged } from './unacknowledged.ts'
import { Uncaught } from './uncaught.ts'
import { sumOverSupervisor, WorkerMetrics } from './worker-metrics.ts'
import { becomeWorker, sayFailing } from './worker.ts'

/** Resolves when the service is up, or when there is nothing to start and the exit code is set. */
export async function run(surroundings: Surroundings): Promise<void> {
  // Whoever reads the banner may go away, as `| head` does; the service stays.
  process.stdout.on('error', () => undefined)
  const loaded = await loadConfig(surroundings)
  switch (loaded.outcome) {
    case 'help':
      process.stdout.write(loaded.help)
      return
    case 'version':
      process.stdout.write(`${version()}\n`)
      return
    case 'token':
      printNewToken()
      return
    case 'faults':
      process.stderr.write(`polyaxon-outputs cannot start with these settings:\n`)
      for (const { where, problem } of loaded.faults)
        process.stderr.write(printable(`  ${where}: ${problem}`) + '\n')
      process.exitCode = EXIT_CONFIG
      return
    case 'config':
      useProxies(surroundings.env)
      if (loaded.check) await check(loaded.config, loaded.warnings)
      else await start(loaded.config, loaded.warnings)
  }
}

async function check(config: Config, warnings: readonly string[]): Promise<void> {
  for (const warning of warnings) process.stderr.write(printable(`Warning: ${warning}`) + '\n')
  const worked = await checkStores(config, text => process.stdout.write(text))
  await endProcess(worked ? 0 : EXIT_FAILURE)
}

async function start(config: Config, warnings: readonly string[]): Promise<void> {
  const logger = createLogger(config.logLevel)
  const uncaught = new Uncaught(logger)
  try {
    await (cluster.isPrimary
      ? startPrimary(config, warnings, logger, uncaught)
      : startWorker(config, logger, uncaught))
  } catch (error) {
    if (!(error instanceof StartFailure)) throw error
    process.stderr.write(printable(`polyaxon-outputs cannot start: ${error.message}`) + '\n')
    await endProcess(EXIT_FAILURE)
  }
}

async function startPrimary(
  config: Config,
  warnings: readonly string[],
  logger: Logger,
  uncaught: Uncaught,
): Promise<void> {
  const made = await makeMissingSample(config.connections)
  for (const warning of warnings) logger.warn(warning)
  logger.debug({ config: configForLog(config) }, 'effective configuration')
  const workers = config.server.workers === 'auto' ? availableParallelism() : config.server.workers
  const { drainTimeoutMs } = config.server
  let origin: string
  if (workers === 1) {
    const metrics = metricsOf()
    await serveMetrics(config.metrics, () => metrics.text())
    const service = await listen(config, logger, metrics)
    origin = service.origin
    const drain = (): Promise<void> => service.drain(drainTimeoutMs)
    uncaught.prepare({ drain, onError: () => metrics.uncaught() })
    onStop(logger, drain, endProcess)
  } else {
    const metrics = new WorkerMetrics(new Metrics({ version: version() }))
    await serveMetrics(config.metrics, () => metrics.text())
    const supervisor = await superviseWorkers(workers, logger)
    origin = supervisor.origin
    const drain = (): Promise<void> => supervisor.drain(drainTimeoutMs)
    uncaught.prepare({ drain })
    onStop(logger, drain, endProcess)
  }
  const outputs = placesOf(config.connections)
  logger.info(
    { origin, workers, outputs, ...(config.metrics.port !== 0 && { metrics: config.metrics }) },
    'listening',
  )
  const url = origin + config.server.basePath
  process.stdout.write(addressText({ version: version(), url, outputs, made }))
  process.stdout.write(commandsText(url, await findExamples(url), Object.keys(config.auth).length > 0))
}

async function startWorker(config: Config, logger: Logger, uncaught: Uncaught): Promise<void> {
  const metrics = metricsOf()
  const service = await listen(config, logger, metrics, sumOverSupervisor(metrics))
  const { drainTimeoutMs } = config.server
  uncaught.prepare({
    drain: () => {
      sayFailing()
      return service.drain(drainTimeoutMs)
    },
    onError: () => metrics.uncaught(),
  })
  becomeWorker(service, drainTimeoutMs, logger)
}

function metricsOf(): Metrics {
  return new Metrics({ version: version(), ofProcess: true })
}

async function listen(
  config: Config,
  logger: Logger,
  metrics: Metrics,
  metricsText?: () => Promise<string>,
): Promise<Service> {
  const description = readFileSync(new URL('../../openapi/openapi.yaml', import.meta.url), 'utf8')
  const app = await createApp({
    config,
    logger,
    description,
    metrics,
    unacknowledged: readUnacknowledged,
    ...(metricsText && { metricsText }),
  })
  return Service.listen(app, config.server, logger)
}

function version(): string {
  const text = readFileSync(new URL('../../package.json', import.meta.url), 'utf8')
  return (JSON.parse(text) as { version: string }).version
}
