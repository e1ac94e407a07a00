// Who we are for Cloud Storage: the account of a key, or the one that the surroundings offer.
import {
  AwsClient,
  gaxios,
  gcpMetadata,
  GoogleAuth,
  IdentityPoolClient,
  PluggableAuthClient,
  type AwsClientOptions,
  type IdentityPoolClientOptions,
  type PluggableAuthClientOptions,
} from 'google-auth-library'
import { gcsFailure } from './gcs-failure.ts'
import type { GcsKey } from './gcs-key.ts'
import type { ObjectFailure } from './object-client.ts'
import { withinTime } from './object-deadline.ts'
import { secretValue, type SecretValues } from './secret.ts'

const PROJECT_NAMES = ['GC_PROJECT', 'GOOGLE_PROJECT', 'GC_PROJECT_ID', 'GOOGLE_PROJECT_ID'] as const
const SCOPE_NAMES = ['GC_SCOPES', 'GOOGLE_SCOPES'] as const

/** What Polyaxon's own clients ask for, and enough for signing URLs without a key at hand. What the account may do is up to its roles. */
const DEFAULT_SCOPES = ['https://www.googleapis.com/auth/cloud-platform']

function scopesOf(values: SecretValues): string[] {
  const text = secretValue(values, ...SCOPE_NAMES)
  const scopes = text?.split(/[\s,"'[\]]+/).filter(scope => scope !== '') ?? []
  return scopes.length === 0 ? DEFAULT_SCOPES : scopes
}

/** Access tokens for requests, made by google-auth-library and kept by it until shortly before they expire. */
export class GcsTokens {
  readonly #make: () => GoogleAuth
  readonly #timeoutMs: number
  #auth: GoogleAuth
  /** The surroundings offered no account when they were asked last. */
  #foundNobody = false
  /** Under way, for all requests that wait for it. */
  #search: Promise<void> | undefined

  /** Without a key, the account of the surroundings (application default credentials). */
  constructor(key: GcsKey | undefined, values: SecretValues, timeoutMs: number) {
    this.#make = () => makeAuth(key, values, timeoutMs)
    this.#timeoutMs = timeoutMs
    this.#auth = this.#make()
  }

  /** Headers that authorize a request. A request that goes for a new token is shared by all who wait, so aborting one of them does not end it. */
  async headers(signal: AbortSignal): Promise<Record<string, string>> {
    const auth = this.#auth
    try {
      return Object.fromEntries(await this.use(signal, () => this.#requestHeaders(auth, signal)))
    } catch (error) {
      if (!signal.aborted && this.#auth === auth) this.#startAfresh(error)
      throw error
    }
  }

  /** What `work` makes of the keys, unless it takes longer than a request may or the signal is aborted; rejects with ObjectFailure. */
  async use<T>(signal: AbortSignal, work: (auth: GoogleAuth) => Promise<T>): Promise<T> {
    const advice = 'The endpoint that issues its access tokens does not answer.'
    try {
      return await withinTime(() => work(this.#auth), { signal, timeoutMs: this.#timeoutMs, advice })
    } catch (error) {
      throw gcsFailure({ stage: 'token', error })
    }
  }

  async #requestHeaders(auth: GoogleAuth, signal: AbortSignal): Promise<Headers> {
    if (this.#foundNobody) {
      this.#search ??= searchMetadataServer().finally(() => (this.#search = undefined))
      const search = this.#search
      await withinTime(() => search, { signal, timeoutMs: SEARCH_MS }).catch(() => undefined)
    }
    const headers = await auth.getRequestHeaders()
    this.#foundNobody = false
    return headers
  }

  /** The library lets all who come later wait for a request that is under way, and sets no limit to some. */
  #startAfresh(error: unknown): void {
    this.#foundNobody = saysNobody(error)
    this.#auth = this.#make()
  }
}

/** For how long a request waits for a metadata server that was not there before; one that is there answers within milliseconds. */
const SEARCH_MS = 1000

function saysNobody(error: unknown): boolean {
  const { cause } = error as ObjectFailure
  return cause instanceof Error && /could not load the default credentials/i.test(cause.message)
}

/**
 * Looks for the metadata server, which on GKE may start later than we. The library remembers for the life of the process that it found none, and is made to forget that only where
 * there is one: each search of its own that ends in vain may write a warning to stderr.
 */
async function searchMetadataServer(): Promise<void> {
  try {
    await gcpMetadata.instance()
  } catch {
    return
  }
  gcpMetadata.resetIsAvailableCache()
}

function makeAuth(key: GcsKey | undefined, values: SecretValues, timeoutMs: number): GoogleAuth {
  const transporter = new gaxios.Gaxios({ timeout: timeoutMs })
  // There is one policy for trying again, and it is not here.
  transporter.interceptors.request.add({
    resolved: request => Promise.resolve(Object.assign(request, { retry: false, retryConfig: { retry: 0 } })),
  })
  const scopes = scopesOf(values)
  const options = {
    scopes,
    // Nothing we ask for names a project, but without one the library would look for it, by starting `gcloud` too.
    projectId: secretValue(values, ...PROJECT_NAMES, 'project_id') ?? 'unknown',
  }
  if (isFederated(key))
    return new GoogleAuth({ ...options, authClient: federatedClient({ ...key, scopes, transporter }) })
  const auth = new GoogleAuth({ ...options, clientOptions: { transporter } })
  // The option `credentials` does the same and prints a warning at each use: it is meant for keys that end users bring, not operators.
  if (key !== undefined) auth.jsonContent = key
  return auth
}

type FederatedOptions = AwsClientOptions | IdentityPoolClientOptions | PluggableAuthClientOptions

function isFederated(key: GcsKey | undefined): key is GcsKey & FederatedOptions {
  return (key as { type?: unknown } | undefined)?.type === 'external_account'
}

/** As ExternalAccountClient.fromJSON chooses, which prints that same warning. */
function federatedClient(options: FederatedOptions): AwsClient | IdentityPoolClient | PluggableAuthClient {
  const source = options.credential_source as Readonly<Record<string, unknown>> | undefined
  if (source?.['environment_id'] !== undefined) return new AwsClient(options as AwsClientOptions)
  if (source?.['executable'] !== undefined)
    return new PluggableAuthClient(options as PluggableAuthClientOptions)
  return new IdentityPoolClient(options as IdentityPoolClientOptions)
}
