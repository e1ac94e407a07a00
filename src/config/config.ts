// The effective configuration: one frozen value, made once at start by `load.ts` and handed down.

import type { StoreDefinition } from '../store/definition.ts'

export const RUN_KINDS = ['experiments', 'jobs', 'builds', 'groups', 'runs'] as const
export type RunKind = (typeof RUN_KINDS)[number]

export const LOG_LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] as const
export type LogLevel = (typeof LOG_LEVELS)[number]

/** Asymmetric ones only: a key that checks must not be able to sign. */
export const JWT_ALGORITHMS = [
  ...(['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512'] as const),
  ...(['ES256', 'ES384', 'ES512', 'EdDSA', 'Ed25519'] as const),
] as const
export type JwtAlgorithm = (typeof JWT_ALGORITHMS)[number]

export interface JwtDefinition {
  /** As `iss` has it, to the letter. */
  readonly issuer: string
  readonly audience: string
  /** Undefined where the issuer's own description (OpenID Connect Discovery) says where the keys are. */
  readonly jwksUrl?: string
  /** The name of the claim that says what is granted, or the way to it through maps, with dots between. */
  readonly claim: string
  readonly algorithms: readonly JwtAlgorithm[]
  readonly clockToleranceMs: number
}

export const FORWARD_PRESETS = ['nginx', 'polyaxon-0', 'polyaxon-2'] as const
export type ForwardPreset = (typeof FORWARD_PRESETS)[number]

export interface ForwardDefinition {
  readonly url: string
  readonly preset: ForwardPreset
  /** Of the runs, for `polyaxon-2`. */
  readonly namespace: string
  readonly timeoutMs: number
  /** How long its yes is good, and its no. */
  readonly yesMs: number
  readonly noMs: number
}

export interface LinksDefinition {
  /** Absolute path of the file of keys. */
  readonly keysFile: string
  /** The longest time that a link may be good. */
  readonly maxAgeMs: number
}

export interface Config {
  readonly server: {
    /** Address to listen on. Anything but loopback needs a way in `auth`, or `allowUnauthenticated`. */
    readonly host: string
    /** 0 takes a free port. */
    readonly port: number
    /** '' or '/prefix', without a trailing slash: where the service lives behind a reverse proxy. */
    readonly basePath: string
    /** Processes that answer requests; 'auto' is one for each core. */
    readonly workers: number | 'auto'
    /** Whether who says nothing of itself may read everything. Where nobody is recognised, that is everybody; on loopback it then needs no such word. */
    readonly allowUnauthenticated: boolean
    /** The same of changes. */
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
  /** The ways in which callers are recognised; without any, all are served alike. */
  readonly auth: {
    /** Absolute path of the file of tokens. */
    readonly tokensFile?: string
    /** Web tokens of an issuer. */
    readonly jwt?: JwtDefinition
    /** A service that is asked. */
    readonly forward?: ForwardDefinition
    /** Rights that callers hand on; nobody comes in by these alone. */
    readonly links?: LinksDefinition
  }
  readonly logLevel: LogLevel
  readonly metrics: {
    /** Where /metrics alone is served, for the whole service; 0 for the port of the service. */
    readonly port: number
    readonly host: string
  }
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
    /** Bytes in a second of all uploads of one caller; 0 for as fast as they come. */
    readonly uploadRatePerCaller: number
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
