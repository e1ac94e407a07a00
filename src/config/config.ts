// The effective configuration: one frozen value, made once at start by `load.ts` and handed down.

import type { StoreDefinition } from '../store/definition.ts'

export const RUN_KINDS = ['experiments', 'jobs', 'builds', 'groups', 'runs'] as const
export type RunKind = (typeof RUN_KINDS)[number]

export const LOG_LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] as const
export type LogLevel = (typeof LOG_LEVELS)[number]

export interface Config {
  readonly server: {
    /** Address to listen on. Anything but loopback needs `allowUnauthenticated` as long as no authentication is configured. */
    readonly host: string
    /** 0 takes a free port. */
    readonly port: number
    /** '' or '/prefix', without a trailing slash: where the service lives behind a reverse proxy. */
    readonly basePath: string
    /** Processes that answer requests; 'auto' is one for each core. */
    readonly workers: number | 'auto'
    readonly allowUnauthenticated: boolean
    /** Whether changes need no authentication either, where others than this machine can reach `host`. */
    readonly allowUnauthenticatedChanges: boolean
    /** Other sites whose pages may use the service, as browsers write them in Origin. */
    readonly corsOrigins: readonly string[]
    /** Hosts that requests may be for; any where there are none, or, on loopback without authentication, those of this machine. */
    readonly allowedHosts: readonly string[]
    /** Addresses and networks of proxies whose X-Forwarded fields are believed. */
    readonly trustedProxies: readonly string[]
    /** How long running transfers may go on after SIGTERM. */
    readonly drainTimeoutMs: number
  }
  readonly logLevel: LogLevel
  /** The outputs stores by their names, at least one; the first is the default of `?connection=`. */
  readonly connections: readonly StoreDefinition[]
  /** Where Polyaxon 0.x puts the logs of runs, read-only; none of the connections, and named like none of them. */
  readonly logs?: StoreDefinition
  /** Where a run of each kind lives under the store's root; several templates are tried in order. */
  readonly layouts: Readonly<Record<RunKind, readonly string[]>>
  readonly store: {
    /** Store operations under way at once, hung ones included; more are answered 503. */
    readonly maxOperations: number
    /** How long one operation may take before it counts as hung. */
    readonly deadlineMs: number
  }
  readonly archives: {
    readonly maxEntries: number
    /** Bytes of content in one archive, before any compression. */
    readonly maxBytes: number
    /** Archives being sent at once by one process. */
    readonly maxInProgress: number
  }
  readonly uploads: {
    /** Bytes of one file. */
    readonly maxBytes: number
    /** How long a body may stand still. */
    readonly idleTimeoutMs: number
    /** What one archive may be unpacked to: files and folders, bytes, and bytes for each byte that is compressed. */
    readonly maxUnpackedEntries: number
    readonly maxUnpackedBytes: number
    readonly maxRatio: number
    /** How long a resumable upload waits for its next byte before it is removed. */
    readonly expireAfterMs: number
  }
  /** What may be under way at once in one process: all in all and for one caller. */
  readonly limits: {
    /** More are refused, and far more not even accepted. */
    readonly connections: number
    readonly requests: number
    readonly requestsPerCaller: number
    readonly archivesPerCaller: number
    readonly listings: number
    readonly listingsPerCaller: number
    /** Logs and events. */
    readonly logs: number
    readonly logsPerCaller: number
    readonly uploads: number
    readonly uploadsPerCaller: number
    /** How long a client may take nothing of what is sent. */
    readonly idleTimeoutMs: number
    /** Bytes of a URL with its query. */
    readonly urlBytes: number
    readonly headerFields: number
  }
  readonly digests: {
    /** Files up to this size get a Repr-Digest when it is asked for and not known yet. */
    readonly maxBytes: number
  }
}

/** Every store that is opened: those of the outputs first. */
export function allStores({ connections, logs }: Pick<Config, 'connections' | 'logs'>): StoreDefinition[] {
  return logs === undefined ? [...connections] : [...connections, logs]
}
