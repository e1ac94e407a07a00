// The effective configuration: one frozen value, made once at start by `load.ts` and handed down.

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
    /** How long running transfers may go on after SIGTERM. */
    readonly drainTimeoutMs: number
  }
  readonly logLevel: LogLevel
  readonly outputs: {
    /** Absolute path of the folder that holds the runs. */
    readonly path: string
    /** Whether nobody configured the path, so that it may be created with the sample. */
    readonly isDefault: boolean
  }
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
  readonly digests: {
    /** Files up to this size get a Repr-Digest when it is asked for and not known yet. */
    readonly maxBytes: number
  }
}
