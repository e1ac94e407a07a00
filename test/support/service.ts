// The service on a real socket, in this process, over a store of the test's choice.
import { readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { pino } from 'pino'
import { createApp } from '../../src/app.ts'
import type { App, AppDependencies } from '../../src/app.ts'
import type { Config } from '../../src/config/config.ts'
import type { ArtifactStore } from '../../src/store/store.ts'

export const description = readFileSync(new URL('../../openapi/openapi.yaml', import.meta.url), 'utf8')

export interface Service {
  /** `http://127.0.0.1:PORT`, with the base path. */
  readonly url: string
  readonly port: number
  readonly app: App
  close(): Promise<void>
}

type Groups = Omit<Config, 'connections' | 'logs'>

export type Overrides = { [K in keyof Groups]?: Partial<Config[K]> } & Partial<
  Pick<Config, 'connections' | 'logs'>
>

/** The defaults of the settings table, over `path`. */
export function configFor(path: string, overrides: Overrides = {}): Config {
  const grouped = <K extends keyof Groups>(key: K, value: Config[K]): Config[K] =>
    typeof value === 'object' ? { ...value, ...(overrides[key] as object) } : value
  return {
    server: grouped('server', {
      host: '127.0.0.1',
      port: 0,
      basePath: '',
      workers: 1,
      allowUnauthenticated: false,
      allowUnauthenticatedChanges: false,
      corsOrigins: [],
      allowedHosts: [],
      trustedProxies: [],
      drainTimeoutMs: 5000,
    }),
    auth: grouped('auth', {}),
    logLevel: 'silent',
    metrics: grouped('metrics', { port: 0, host: '127.0.0.1' }),
    connections: overrides.connections ?? [
      { kind: 'local', name: 'outputs', path, isDefault: false, readOnly: false, delivery: 'proxy' },
    ],
    ...(overrides.logs && { logs: overrides.logs }),
    layouts: grouped('layouts', {
      experiments: ['{owner}/{project}/experiments/{id}', '{owner}/{project}/groups/*/{id}'],
      jobs: ['{owner}/{project}/jobs/{id}'],
      builds: ['{owner}/{project}/builds/{id}'],
      groups: ['{owner}/{project}/groups/{id}'],
      runs: ['{uuid}'],
    }),
    store: grouped('store', { maxOperations: 48, deadlineMs: 30_000 }),
    archives: grouped('archives', { maxEntries: 1_000_000, maxBytes: 1024 ** 4, maxInProgress: 128 }),
    uploads: grouped('uploads', {
      maxBytes: 5 * 1024 ** 4,
      idleTimeoutMs: 60_000,
      maxUnpackedEntries: 1_000_000,
      maxUnpackedBytes: 1024 ** 4,
      maxRatio: 200,
      expireAfterMs: 86_400_000,
    }),
    limits: grouped('limits', {
      connections: 8192,
      requests: 4096,
      requestsPerCaller: 1024,
      archivesPerCaller: 64,
      listings: 512,
      listingsPerCaller: 256,
      logs: 128,
      logsPerCaller: 64,
      uploads: 512,
      uploadsPerCaller: 256,
      uploadRatePerCaller: 0,
      idleTimeoutMs: 300_000,
      urlBytes: 56 * 1024,
      headerFields: 200,
    }),
    digests: grouped('digests', { maxBytes: 64 * 1024 ** 2 }),
  }
}

/** Serves the folder `path` (or `store`, or several by name, and beside them `logs`) on a free port of the loopback interface. */
export async function startService(
  path: string,
  overrides: Overrides = {},
  store?: ArtifactStore | ReadonlyMap<string, ArtifactStore>,
  {
    logs,
    logger = pino({ level: 'silent' }),
    ...given
  }: Partial<Pick<AppDependencies, 'authority' | 'onLimit' | 'logger' | 'metrics' | 'metricsText'>> & {
    readonly logs?: ArtifactStore | undefined
  } = {},
): Promise<Service> {
  const config = configFor(path, overrides)
  const outputs = store instanceof Map ? store : new Map([['outputs', store as ArtifactStore]])
  const app = await createApp({
    config,
    logger,
    description,
    ...given,
    ...(store && { stores: { outputs, ...(logs && { logs }) } }),
  })
  const server = createServer({ requestTimeout: 0 }, app.handler)
    .on('clientError', app.clientError)
    .on('checkContinue', app.handler)
    .on('connection', app.connected)
  server.maxHeadersCount = 0
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  return {
    url: `http://127.0.0.1:${port}${config.server.basePath}`,
    port,
    app,
    close: async () => {
      server.closeAllConnections()
      await new Promise(resolve => server.close(resolve))
      await app.close()
    },
  }
}
