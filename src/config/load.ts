// Makes the effective configuration: defaults < file < environment < command line. All faults are reported at once.
import { resolve } from 'node:path'
import { isLoopback } from './address.ts'
import { readCommandLine } from './command-line.ts'
import type { Config } from './config.ts'
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
  | { readonly outcome: 'config'; readonly config: Config }
  | { readonly outcome: 'help'; readonly help: string }
  | { readonly outcome: 'version' }
  | { readonly outcome: 'faults'; readonly faults: readonly Fault[] }

/** Threads that store operations must leave free: for name resolution, compression and the operations of the process itself. */
const RESERVED_THREADS = 8
const DEFAULT_THREADS = 64

/** The configuration, deeply frozen, or what was asked for instead, or every fault there is. Never rejects for what an operator wrote. */
export async function loadConfig({ argv, env, cwd }: Surroundings): Promise<Loaded> {
  const commandLine = readCommandLine(argv)
  if (commandLine.wantsHelp) return { outcome: 'help', help: helpText() }
  if (commandLine.wantsVersion) return { outcome: 'version' }

  const configFile = commandLine.configFile ?? env[CONFIG_FILE_ENV]
  const sources: Source[] = [readEnvironment(env), commandLine]
  if (configFile !== undefined && configFile !== '')
    sources.unshift(readYamlFile(resolve(cwd, configFile), configFile))

  const chosen = new Map<SettingKey, Found>(
    sources.flatMap(source => source.found.map(found => [found.key, found] as const)),
  )
  const { values, faults } = parseValues(chosen)
  faults.unshift(...sources.flatMap(source => source.faults))
  const config = toConfig(values, cwd, !chosen.has('outputs.path'))
  const where = (key: SettingKey) => chosen.get(key)?.where ?? key
  faults.push(...combinationFaults(config, env, where))
  if (!faults.some(fault => fault.where === where('outputs.path'))) {
    const problem = await outputsFolderFault(config.outputs)
    if (problem !== undefined) faults.push({ where: where('outputs.path'), problem })
  }
  return faults.length > 0 ? { outcome: 'faults', faults } : { outcome: 'config', config: deepFreeze(config) }
}

/** A setting with a fault keeps its default here, so that the rest can still be checked. */
function parseValues(chosen: ReadonlyMap<SettingKey, Found>): { values: Values; faults: Fault[] } {
  const faults: Fault[] = []
  const entries = SETTING_KEYS.map(key => {
    const setting = settingOf(key)
    const found = chosen.get(key)
    if (found === undefined) return [key, setting.default]
    const value = setting.type.parse(found.value)
    if (value === undefined)
      faults.push({ where: found.where, problem: expectedFound(setting.type.expected, found.value) })
    return [key, value ?? setting.default]
  })
  // The types of the values are those of the table, row by row.
  return { values: Object.fromEntries(entries) as Values, faults }
}

function toConfig(values: Values, cwd: string, isDefaultPath: boolean): Config {
  return {
    server: {
      host: values['server.host'],
      port: values['server.port'],
      basePath: values['server.basePath'],
      workers: values['server.workers'],
      allowUnauthenticated: values['server.allowUnauthenticated'],
      drainTimeoutMs: values['server.drainTimeout'],
    },
    logLevel: values.logLevel,
    outputs: { path: resolve(cwd, values['outputs.path']), isDefault: isDefaultPath },
    layouts: {
      experiments: values['layouts.experiments'],
      jobs: values['layouts.jobs'],
      builds: values['layouts.builds'],
      groups: values['layouts.groups'],
      runs: values['layouts.runs'],
    },
    store: { maxOperations: values['store.maxOperations'], deadlineMs: values['store.deadline'] },
    archives: {
      maxEntries: values['archives.maxEntries'],
      maxBytes: values['archives.maxBytes'],
      maxInProgress: values['archives.maxInProgress'],
    },
    digests: { maxBytes: values['digests.maxBytes'] },
  }
}

/** Faults of values that are fine one by one. */
function combinationFaults(config: Config, env: Environment, where: (key: SettingKey) => string): Fault[] {
  const faults: Fault[] = []
  const { host, allowUnauthenticated } = config.server
  if (!allowUnauthenticated && !isLoopback(host))
    faults.push({
      where: where('server.host'),
      problem:
        `'${host}' can be reached from other machines, and no authentication is configured: use 127.0.0.1, or set ` +
        'server.allowUnauthenticated: true (ALLOW_UNAUTHENTICATED=true, --allow-unauthenticated) to serve everybody who can reach it',
    })
  const threads = Number(env['UV_THREADPOOL_SIZE'] ?? DEFAULT_THREADS)
  if (!(config.store.maxOperations + RESERVED_THREADS <= threads))
    faults.push({
      where: where('store.maxOperations'),
      problem: `${config.store.maxOperations} operations need UV_THREADPOOL_SIZE to be at least ${config.store.maxOperations + RESERVED_THREADS}, found ${env['UV_THREADPOOL_SIZE'] ?? DEFAULT_THREADS}`,
    })
  return faults
}

function deepFreeze<T extends object>(value: T): T {
  for (const part of Object.values(value) as unknown[])
    if (typeof part === 'object' && part !== null) deepFreeze(part)
  return Object.freeze(value)
}
