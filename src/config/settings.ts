// The one table of settings. The parser, `--help` and the tables of the documentation are generated from it.
import { AUTH_SETTINGS } from './auth-settings.ts'
import { LOG_LEVELS, type LogLevel } from './config.ts'
import { layoutTemplates } from './layout-template.ts'
import { setting, type Setting } from './setting.ts'
import {
  addresses,
  basePath,
  boolean,
  duration,
  filePath,
  folderOrNone,
  host,
  hosts,
  hostOrNone,
  integer,
  integerOr,
  oneOf,
  origins,
  size,
} from './value.ts'

const GiB = 1024 ** 3

/** By key path in the YAML file, in the order of the documentation. */
export const SETTINGS = {
  'server.host': setting({
    type: host,
    default: '127.0.0.1',
    env: 'HOST',
    flag: 'host',
    meaning:
      'Address to listen on. Anything but loopback needs a setting of `auth`, or `server.allowUnauthenticated`.',
  }),
  'server.port': setting({
    type: integer(0, 65535),
    default: 8000,
    env: 'PORT',
    flag: 'port',
    meaning: 'Port to listen on; 0 takes a free one.',
  }),
  'server.basePath': setting({
    type: basePath,
    default: '',
    env: 'BASE_PATH',
    flag: 'base-path',
    meaning: 'Path under which a reverse proxy publishes the service, such as `/artifacts`.',
  }),
  'server.workers': setting<number | 'auto'>({
    type: integerOr(1, 256, 'auto'),
    default: 1,
    env: 'WORKERS',
    flag: 'workers',
    meaning: 'Processes that answer requests; `auto` is one for each core.',
  }),
  'server.allowUnauthenticated': setting({
    type: boolean,
    default: false,
    env: 'ALLOW_UNAUTHENTICATED',
    flag: 'allow-unauthenticated',
    meaning:
      'Let who shows no credentials read everything. Without a setting of `auth` that is everybody who can reach the address; on loopback it is then so by itself.',
  }),
  'server.allowUnauthenticatedChanges': setting({
    type: boolean,
    default: false,
    env: 'ALLOW_UNAUTHENTICATED_CHANGES',
    meaning:
      'Let who shows no credentials upload and delete too. Without a setting of `auth` that is so on loopback by itself.',
  }),
  'server.corsOrigins': setting({
    type: origins,
    default: [],
    env: 'CORS_ORIGINS',
    meaning:
      'Other sites whose pages may use the service with the rights of their users, such as `https://polyaxon.example.com` for a dashboard there.',
  }),
  'server.allowedHosts': setting({
    type: hosts,
    default: [],
    env: 'ALLOWED_HOSTS',
    meaning:
      'Hosts that requests may be for, such as `outputs.example.com` or `*.example.com`, each with a port where only that one is meant; others are answered 421. Names and addresses of this machine (`localhost`) always are. Without any, all are, but on a loopback address without authentication only those of this machine: a page elsewhere could give its own name this address.',
  }),
  'server.trustedProxies': setting({
    type: addresses,
    default: [],
    env: 'TRUSTED_PROXIES',
    meaning:
      'Addresses and networks (`10.0.0.0/8`) of proxies in front, which say by `X-Forwarded-For`, `X-Forwarded-Host` and `X-Forwarded-Proto` who asks and for which host. From anybody else these fields mean nothing.',
  }),
  'server.drainTimeout': setting({
    type: duration(0, 24 * 3_600_000),
    default: 25_000,
    env: 'DRAIN_TIMEOUT',
    meaning:
      'How long running transfers may go on after SIGTERM. Keep it below the grace period of whatever stops the service (30s in Kubernetes).',
  }),
  ...AUTH_SETTINGS,
  logLevel: setting<LogLevel>({
    type: oneOf(LOG_LEVELS),
    default: 'info',
    env: 'LOG_LEVEL',
    flag: 'log-level',
    meaning: `Least severe level that is logged: ${LOG_LEVELS.map(level => `\`${level}\``).join(', ')}.`,
  }),
  'metrics.port': setting({
    type: integer(0, 65535),
    default: 0,
    env: 'METRICS_PORT',
    meaning:
      'Port on which `/metrics` is served, for Prometheus, and nothing else. With 0 it is served at the port of the service.',
  }),
  'metrics.host': setting({
    type: hostOrNone,
    default: '',
    env: 'METRICS_HOST',
    meaning: 'Address to listen on for `metrics.port`; that of the service unless set.',
  }),
  'outputs.path': setting({
    type: filePath,
    default: 'outputs',
    env: 'OUTPUTS_PATH',
    flag: 'outputs',
    meaning:
      'Folder that holds the runs, relative to the working directory, where no outputs stores are configured. Only the default one is created (with a sample) where it is missing.',
  }),
  secretsPath: setting({
    type: folderOrNone,
    default: '',
    env: 'SECRETS_PATH',
    meaning:
      'Folder with a folder for each Kubernetes secret that a store names, and in that a file for each key.',
  }),
  'layouts.experiments': setting({
    type: layoutTemplates('experiments'),
    default: ['{owner}/{project}/experiments/{id}', '{owner}/{project}/groups/*/{id}'],
    meaning: 'Where an experiment lives under the root of a store; several templates are tried in order.',
  }),
  'layouts.jobs': setting({
    type: layoutTemplates('jobs'),
    default: ['{owner}/{project}/jobs/{id}'],
    meaning: 'Where a job lives.',
  }),
  'layouts.builds': setting({
    type: layoutTemplates('builds'),
    default: ['{owner}/{project}/builds/{id}'],
    meaning: 'Where a build lives.',
  }),
  'layouts.groups': setting({
    type: layoutTemplates('groups'),
    default: ['{owner}/{project}/groups/{id}'],
    meaning: 'Where a group of experiments lives.',
  }),
  'layouts.runs': setting({
    type: layoutTemplates('runs'),
    default: ['{uuid}'],
    meaning: 'Where a run of Polyaxon 1.x and 2.x lives.',
  }),
  'store.maxOperations': setting({
    type: integer(1, 1000),
    default: 48,
    env: 'STORE_MAX_OPERATIONS',
    meaning:
      'Operations on volumes under way at once, hung ones included, shared by all volumes. More wait their turn, and are answered 503 when they wait too long or all places hang. Needs `UV_THREADPOOL_SIZE` (128 unless set) to be larger by 12 for each volume and by 4; the default is smaller where many volumes leave fewer threads.',
  }),
  'store.deadline': setting({
    type: duration(100, 3_600_000),
    default: 30_000,
    env: 'STORE_DEADLINE',
    meaning:
      'How long one operation on a volume may take before it counts as hung and is answered 503. Buckets have timeouts of their own, which are answered 504.',
  }),
  'archives.maxEntries': setting({
    type: integer(1, 100_000_000),
    default: 1_000_000,
    env: 'ARCHIVES_MAX_ENTRIES',
    meaning: 'Files and folders in one archive.',
  }),
  'archives.maxBytes': setting({
    type: size,
    default: 1024 * GiB,
    env: 'ARCHIVES_MAX_BYTES',
    meaning: 'Content of one archive, before any compression.',
  }),
  'archives.maxInProgress': setting({
    type: integer(1, 10_000),
    default: 128,
    env: 'ARCHIVES_MAX_IN_PROGRESS',
    meaning: 'Archives that one process sends at once; more are answered 503.',
  }),
  'uploads.maxBytes': setting({
    type: size,
    default: 5 * 1024 * GiB,
    env: 'UPLOADS_MAX_BYTES',
    meaning: 'Size of one uploaded file; a larger one is answered 413.',
  }),
  'uploads.idleTimeout': setting({
    type: duration(1_000, 3_600_000),
    default: 60_000,
    env: 'UPLOADS_IDLE_TIMEOUT',
    meaning:
      'How long an upload may stand still before it is answered 408 and leaves nothing. There is no limit on how long it takes as a whole.',
  }),
  'uploads.maxUnpackedEntries': setting({
    type: integer(1, 10_000_000),
    default: 1_000_000,
    env: 'UPLOADS_MAX_UNPACKED_ENTRIES',
    meaning: 'Files and folders that one archive may be unpacked to; one that holds more is answered 413.',
  }),
  'uploads.maxUnpackedBytes': setting({
    type: size,
    default: 1024 * GiB,
    env: 'UPLOADS_MAX_UNPACKED_BYTES',
    meaning: 'Content that one archive may be unpacked to.',
  }),
  'uploads.maxRatio': setting({
    type: integer(1, 1100),
    default: 200,
    env: 'UPLOADS_MAX_RATIO',
    meaning: 'How many times its size a compressed archive may be unpacked to, beyond its first 16 MiB.',
  }),
  'uploads.expireAfter': setting({
    type: duration(60_000, 30 * 24 * 3_600_000),
    default: 24 * 3_600_000,
    env: 'UPLOADS_EXPIRE_AFTER',
    meaning: 'How long a resumable upload (`/uploads`) may wait for its next byte before it is removed.',
  }),
  'limits.connections': setting({
    type: integer(1, 1_000_000),
    default: 8192,
    env: 'LIMITS_CONNECTIONS',
    meaning:
      'Connections of one process. Idle ones beyond it are closed, requests on further ones answered 503, and many more not accepted.',
  }),
  'limits.requests': setting({
    type: integer(1, 1_000_000),
    default: 4096,
    env: 'LIMITS_REQUESTS',
    meaning:
      'Requests that one process has under way; more are answered 503. Probes (`/healthz`, `/readyz`) do not count.',
  }),
  'limits.requestsPerCaller': setting({
    type: integer(1, 1_000_000),
    default: 1024,
    env: 'LIMITS_REQUESTS_PER_CALLER',
    meaning:
      'The same for one caller, who is answered 429. A caller is a name that was recognised, or an address (of IPv6 a /64): behind a proxy all are one until `server.trustedProxies` names it.',
  }),
  'limits.archivesPerCaller': setting({
    type: integer(1, 10_000),
    default: 64,
    env: 'LIMITS_ARCHIVES_PER_CALLER',
    meaning: 'Archives that one caller is sent at once, of `archives.maxInProgress`; more are answered 429.',
  }),
  'limits.listings': setting({
    type: integer(1, 100_000),
    default: 512,
    env: 'LIMITS_LISTINGS',
    meaning: 'Listings that one process sends at once; more are answered 503.',
  }),
  'limits.listingsPerCaller': setting({
    type: integer(1, 100_000),
    default: 256,
    env: 'LIMITS_LISTINGS_PER_CALLER',
    meaning: 'The same for one caller, who is answered 429.',
  }),
  'limits.logs': setting({
    type: integer(1, 100_000),
    default: 128,
    env: 'LIMITS_LOGS',
    meaning: 'Logs and events of runs that one process sends at once; more are answered 503.',
  }),
  'limits.logsPerCaller': setting({
    type: integer(1, 100_000),
    default: 64,
    env: 'LIMITS_LOGS_PER_CALLER',
    meaning: 'The same for one caller, who is answered 429.',
  }),
  'limits.uploads': setting({
    type: integer(1, 100_000),
    default: 512,
    env: 'LIMITS_UPLOADS',
    meaning: 'Uploads that one process receives at once; more are answered 503.',
  }),
  'limits.uploadsPerCaller': setting({
    type: integer(1, 100_000),
    default: 256,
    env: 'LIMITS_UPLOADS_PER_CALLER',
    meaning: 'The same for one caller, who is answered 429.',
  }),
  'limits.uploadRatePerCaller': setting({
    type: size,
    default: 0,
    env: 'LIMITS_UPLOAD_RATE_PER_CALLER',
    meaning:
      'Bytes in a second that one process takes in from all uploads of one caller, such as `50MiB`; what comes faster has to wait, and nothing fails. 0 is as fast as they come.',
  }),
  'limits.idleTimeout': setting({
    type: duration(1_000, 24 * 3_600_000),
    default: 5 * 60_000,
    env: 'LIMITS_IDLE_TIMEOUT',
    meaning:
      'How long a client may take nothing of what is sent to it before the transfer is broken off. There is no limit on how long one takes as a whole: a client that goes on is served however slow it is, as far as its system tells of what it takes, which most do some hundred KiB at a time.',
  }),
  'limits.urlBytes': setting({
    type: size,
    default: 56 * 1024,
    env: 'LIMITS_URL_BYTES',
    meaning:
      'Length of a URL with its query; a longer one is answered 414. The head of a request as a whole may have 64 KiB.',
  }),
  'limits.headerFields': setting({
    type: integer(10, 10_000),
    default: 200,
    env: 'LIMITS_HEADER_FIELDS',
    meaning: 'Header fields of a request; more are answered 431.',
  }),
  'digests.maxBytes': setting({
    type: size,
    default: GiB / 16,
    env: 'DIGESTS_MAX_BYTES',
    meaning: 'Files up to this size get a `Repr-Digest` when it is asked for and not known yet.',
  }),
} as const

export type SettingKey = keyof typeof SETTINGS

/** The value of every setting, by key path. */
export type Values = { [Key in SettingKey]: (typeof SETTINGS)[Key] extends Setting<infer T> ? T : never }

export const SETTING_KEYS = Object.keys(SETTINGS) as SettingKey[]

/** The row of `key`, its value type forgotten: for code that treats all settings alike. */
export function settingOf(key: SettingKey): Setting<unknown> {
  return SETTINGS[key]
}

/** The variable that names the configuration file; the flag `--config` wins over it. */
export const CONFIG_FILE_ENV = 'OUTPUTS_CONFIG'
