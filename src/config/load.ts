// Makes the effective configuration: defaults < file < environment < command line. All faults are reported at once.
import { resolve } from 'node:path'
import { EXTRA_THREADS } from '../store/local-batch.ts'
import { checkAuth } from './auth.ts'
import { readCommandLine } from './command-line.ts'
import type { LocalDefinition, StoreDefinition } from '../store/definition.ts'
import { allStores, type Config } from './config.ts'
import { checkConnection, type Checked } from './connection-check.ts'
import { readConnections, type Connections } from './connections.ts'
import { readEnvironment, type Environment } from './environment.ts'
import { expectedFound, type Fault } from './fault.ts'
import { helpText } from './help.ts'
import { outputsFolderFault } from './outputs-folder.ts'
import { CONFIG_FILE_ENV, SETTING_KEYS, settingOf, type SettingKey, type Values } from './settings.ts'
import type { Found, Source } from './source.ts'
import { readYamlFile } from './yaml-file.ts'

export interface Surroundings {
  /** Arguments after the program's name. */
  readonly argv: readonly string[]
  readonly env: Environment
  /** Relative paths start here. */
  readonly cwd: string
}

export type Loaded =
  | {
      readonly outcome: 'config'
      readonly config: Config
      /** Whether to check everything and end, rather than serve. */
      readonly check: boolean
      /** What is dangerous in the settings, or not as written: each a sentence for the log, its place first. */
      readonly warnings: readonly string[]
    }
  | { readonly outcome: 'help'; readonly help: string }
  | { readonly outcome: 'version' | 'token' }
  | { readonly outcome: 'faults'; readonly faults: readonly Fault[] }

/** Threads that stores must leave free: for name resolution and the operations of the process itself. */
const RESERVED_THREADS = 4
/** What `main.ts` sets. */
const DEFAULT_THREADS = 128

/** The configuration, deeply frozen, or what was asked for instead, or every fault there is. Never rejects for what an operator wrote. */
export async function loadConfig({ argv, env, cwd }: Surroundings): Promise<Loaded> {
  const commandLine = readCommandLine(argv)
  if (commandLine.wantsHelp) return { outcome: 'help', help: helpText() }
  if (commandLine.wantsVersion) return { outcome: 'version' }
  if (commandLine.wantsToken) return { outcome: 'token' }

  const configFile = commandLine.configFile ?? env[CONFIG_FILE_ENV]
  const file =
    configFile === undefined || configFile === ''
      ? undefined
      : readYamlFile(resolve(cwd, configFile), configFile)
  const environment = readEnvironment(env)
  const sources: Source[] = [...(file ? [file] : []), environment, commandLine]
  const chosen = new Map<SettingKey, Found>(
    sources.flatMap(source => source.found.map(found => [found.key, found] as const)),
  )
  const { values, faults } = parseValues(chosen)
  faults.unshift(...sources.flatMap(source => source.faults))
  const stores = readConnections({ ...file?.sections, ...environment.sections })
  const secretsPath = values.secretsPath === '' ? undefined : resolve(cwd, values.secretsPath)
  const places = { env, secretsPath, cwd }
  const [outputs, logs] = await Promise.all([
    stores.isConfigured
      ? Promise.all(stores.connections.map(store => checkConnection(store, places)))
      : Promise.all([checkOutputsPath(values, chosen.get('outputs.path'), cwd, faults)]),
    stores.logs && checkConnection(stores.logs, places),
  ])
  const checked = logs === undefined ? outputs : [...outputs, logs]
  const outages: readonly Fault[] = checked.flatMap(({ folderFault }) => folderFault ?? [])
  const unused = sectionsWithoutStore(stores, chosen.has('outputs.path'))
  if (stores.isConfigured)
    faults.push(...outputsPathConflicts([...(file?.found ?? []), ...commandLine.found], stores))
  const definitions = {
    connections: outputs.flatMap(({ definition }) => definition ?? []),
    ...(logs?.definition && { logs: logs.definition }),
  }
  const operations = storeOperations(values, allStores(definitions), env, chosen.get('store.maxOperations'))
  const layouts = layoutsOf(values)
  const served = { layouts, connections: definitions.connections.map(({ name }) => name) }
  const auth = await checkAuth(values, chosen, cwd, served)
  const config = toConfig({ ...values, 'store.maxOperations': operations.most }, definitions, auth.auth)
  faults.push(...combinationFaults(config, key => chosen.get(key)?.where ?? key))
  faults.push(...auth.faults, ...operations.faults)
  faults.push(...stores.faults, ...unused.faults)
  // One volume that is away is no reason to keep the others from being served; beside real faults it is named with them.
  const faultsOfStores = checked.flatMap(connection => connection.faults)
  const isAnyServed = outputs.some(({ folderFault }) => folderFault === undefined)
  if (faults.length + faultsOfStores.length > 0 || !isAnyServed) faults.push(...outages)
  faults.push(...faultsOfStores)
  if (faults.length > 0) return { outcome: 'faults', faults }
  const warnings = [
    ...stores.warnings,
    ...unused.warnings,
    ...outages.map(({ where, problem }) => `${where}: ${problem}; the store is unavailable until it is`),
    ...checked.flatMap(connection => connection.warnings),
    ...auth.warnings,
  ]
  return { outcome: 'config', config: deepFreeze(config), check: commandLine.wantsCheck, warnings }
}

/** A setting with a fault keeps its default here, so that the rest can still be checked. */
function parseValues(chosen: ReadonlyMap<SettingKey, Found>): { values: Values; faults: Fault[] } {
  const faults: Fault[] = []
  const entries = SETTING_KEYS.map(key => {
    const setting = settingOf(key)
    const found = chosen.get(key)
    if (found === undefined) return [key, setting.default]
    const value = setting.type.parse(found.value)
    if (value === undefined) {
      const { expected, isConfidential } = setting.type
      const problem = isConfidential
        ? `expected ${expected}, found another value`
        : expectedFound(expected, found.value)
      faults.push({ where: found.where, problem })
    }
    return [key, value ?? setting.default]
  })
  // The types of the values are those of the table, row by row.
  return { values: Object.fromEntries(entries) as Values, faults }
}

/** The folder that is the only store where no others are configured. */
async function checkOutputsPath(
  values: Values,
  found: Found | undefined,
  cwd: string,
  faults: readonly Fault[],
): Promise<Checked> {
  const where = found?.where ?? 'outputs.path'
  const definition: LocalDefinition = {
    kind: 'local',
    name: 'outputs',
    path: resolve(cwd, values['outputs.path']),
    isDefault: found === undefined,
    readOnly: false,
    delivery: 'proxy',
  }
  const isFaulty = faults.some(fault => fault.where === where)
  const problem = isFaulty ? undefined : await outputsFolderFault(definition)
  return { definition, faults: problem === undefined ? [] : [{ where, problem }], warnings: [] }
}

/**
 * A path in the file or on the command line beside stores is a contradiction. One in the environment is not: images set OUTPUTS_PATH for those who configure nothing.
 */
function outputsPathConflicts(found: readonly Found[], stores: Connections): Fault[] {
  return found
    .filter(({ key }) => key === 'outputs.path')
    .map(({ where }) => ({
      where,
      problem: `has no effect, because ${stores.where ?? 'a section'} configures the outputs stores: remove one of them`,
    }))
}

function layoutsOf(values: Values): Config['layouts'] {
  return {
    experiments: values['layouts.experiments'],
    jobs: values['layouts.jobs'],
    builds: values['layouts.builds'],
    groups: values['layouts.groups'],
    runs: values['layouts.runs'],
  }
}

function toConfig(
  values: Values,
  stores: Pick<Config, 'connections' | 'logs'>,
  auth: Config['auth'],
): Config {
  return {
    server: {
      host: values['server.host'],
      port: values['server.port'],
      basePath: values['server.basePath'],
      workers: values['server.workers'],
      allowUnauthenticated: values['server.allowUnauthenticated'],
      allowUnauthenticatedChanges: values['server.allowUnauthenticatedChanges'],
      corsOrigins: values['server.corsOrigins'],
      allowedHosts: values['server.allowedHosts'],
      trustedProxies: values['server.trustedProxies'],
      drainTimeoutMs: values['server.drainTimeout'],
    },
    auth,
    logLevel: values.logLevel,
    metrics: { port: values['metrics.port'], host: values['metrics.host'] || values['server.host'] },
    ...stores,
    layouts: layoutsOf(values),
    store: { maxOperations: values['store.maxOperations'], deadlineMs: values['store.deadline'] },
    archives: {
      maxEntries: values['archives.maxEntries'],
      maxBytes: values['archives.maxBytes'],
      maxInProgress: values['archives.maxInProgress'],
    },
    uploads: {
      maxBytes: values['uploads.maxBytes'],
      idleTimeoutMs: values['uploads.idleTimeout'],
      maxUnpackedEntries: values['uploads.maxUnpackedEntries'],
      maxUnpackedBytes: values['uploads.maxUnpackedBytes'],
      maxRatio: values['uploads.maxRatio'],
      expireAfterMs: values['uploads.expireAfter'],
    },
    limits: {
      connections: values['limits.connections'],
      requests: values['limits.requests'],
      requestsPerCaller: values['limits.requestsPerCaller'],
      archivesPerCaller: values['limits.archivesPerCaller'],
      listings: values['limits.listings'],
      listingsPerCaller: values['limits.listingsPerCaller'],
      logs: values['limits.logs'],
      logsPerCaller: values['limits.logsPerCaller'],
      uploads: values['limits.uploads'],
      uploadsPerCaller: values['limits.uploadsPerCaller'],
      uploadRatePerCaller: values['limits.uploadRatePerCaller'],
      idleTimeoutMs: values['limits.idleTimeout'],
      urlBytes: values['limits.urlBytes'],
      headerFields: values['limits.headerFields'],
    },
    digests: { maxBytes: values['digests.maxBytes'] },
  }
}

/** Faults of values that are fine one by one. */
function combinationFaults(config: Config, where: (key: SettingKey) => string): Fault[] {
  const { port } = config.server
  if (port === 0 || config.metrics.port !== port) return []
  const problem = `${port} is the port of the service: choose another one, or none to have /metrics there`
  return [{ where: where('metrics.port'), problem }]
}

/**
 * How many operations volumes may have under way: hung ones must leave threads for everything else. What an operator asks for is kept or a fault; the default is made
 * smaller, the same for each volume, where many volumes leave fewer threads.
 */
function storeOperations(
  values: Values,
  stores: readonly StoreDefinition[],
  env: Environment,
  asked: Found | undefined,
): { readonly most: number; readonly faults: Fault[] } {
  const most = values['store.maxOperations']
  const volumes = stores.filter(({ kind }) => kind === 'local').length
  const found = env['UV_THREADPOOL_SIZE'] ?? DEFAULT_THREADS
  const others = volumes * EXTRA_THREADS + RESERVED_THREADS
  if (Number(found) >= most + others) return { most, faults: [] }
  const eachLeft = Math.floor((Number(found) - others) / volumes)
  if (asked === undefined && eachLeft >= 1) return { most: eachLeft * volumes, faults: [] }
  const besides = volumes === 1 ? 'a volume' : `${volumes} volumes`
  const problem = `${most} operations on ${besides} need ${most + others} threads, found ${found}: set UV_THREADPOOL_SIZE to ${most + others} in the environment`
  return { most, faults: [{ where: asked?.where ?? 'store.maxOperations', problem }] }
}

/** Sections that are given and define no store: who wrote them does not expect the folder of the settings, unless it is given too. */
function sectionsWithoutStore(
  { withoutStore }: Connections,
  hasOutputsPath: boolean,
): { readonly faults: Fault[]; readonly warnings: string[] } {
  if (withoutStore === undefined) return { faults: [], warnings: [] }
  const { where, isOfOtherKinds } = withoutStore
  if (isOfOtherKinds && hasOutputsPath)
    return { faults: [], warnings: [`${where}: defines no outputs store, so outputs.path is served`] }
  const problem =
    'defines no outputs store: expected one, or no such section to serve the folder outputs.path'
  return { faults: [{ where, problem }], warnings: [] }
}

function deepFreeze<T extends object>(value: T): T {
  for (const part of Object.values(value) as unknown[])
    if (typeof part === 'object' && part !== null) deepFreeze(part)
  return Object.freeze(value)
}
