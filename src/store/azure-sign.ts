// URLs by which a client fetches one blob itself for a while: service SAS by the account's key, user delegation SAS by an identity.
import {
  BlobSASPermissions,
  generateBlobSASQueryParameters,
  SASProtocol,
  StorageSharedKeyCredential,
  type BlobServiceClient,
  type UserDelegationKey,
} from '@azure/storage-blob'
import type { SdkCredential } from './azure-identity.ts'
import type { SignRequest } from './object-client.ts'

export interface SignerOptions {
  readonly service: BlobServiceClient
  readonly credential: SdkCredential
  readonly account: string
  readonly container: string
  /** What the URLs begin with, before the container. */
  readonly endpoint: string
}

/** Without a start, which would have to allow for the difference of the clocks. */
type SignatureValues = Parameters<typeof generateBlobSASQueryParameters>[0] & { readonly expiresOn: Date }

/** How much longer a user delegation key lives than the first URL that it signs, so that the next ones need no request. */
const KEY_RESERVE_MS = 3600_000
/** By how much our clock may be ahead of the service's. */
const CLOCK_ALLOWANCE_MS = 15 * 60_000
/** https://learn.microsoft.com/rest/api/storageservices/get-user-delegation-key: a key, and with it what it signs, lives for seven days at most. */
const MAX_KEY_MS = 7 * 24 * 3600_000
const MAX_DELEGATED_MS = MAX_KEY_MS - CLOCK_ALLOWANCE_MS - KEY_RESERVE_MS

export class AzureSigner {
  readonly #options: SignerOptions
  #delegationKey: UserDelegationKey | undefined

  constructor(options: SignerOptions) {
    this.#options = options
  }

  /** Rejects with what the SDK rejects with. Only an identity asks the service, and that seldom. Disposition and type are those of the blob where none are given. */
  async url(
    key: string,
    request: Pick<SignRequest, 'expiresInSeconds'> & Partial<SignRequest>,
    abortSignal: AbortSignal,
  ): Promise<string> {
    const { container, credential, endpoint } = this.#options
    const lifetimeMs = request.expiresInSeconds * 1000
    const isDelegated = !(credential instanceof StorageSharedKeyCredential)
    const query = await this.#signature(
      {
        containerName: container,
        blobName: key,
        permissions: BlobSASPermissions.from({ read: true }),
        expiresOn: new Date(Date.now() + (isDelegated ? Math.min(lifetimeMs, MAX_DELEGATED_MS) : lifetimeMs)),
        ...(request.disposition !== undefined && { contentDisposition: request.disposition }),
        ...(request.mediaType !== undefined && { contentType: request.mediaType }),
        ...(endpoint.startsWith('https:') && { protocol: SASProtocol.Https }),
      },
      abortSignal,
    )
    const path = [container, ...key.split('/')].map(encodeURIComponent).join('/')
    return `${endpoint}/${path}?${query}`
  }

  async #signature(values: SignatureValues, abortSignal: AbortSignal): Promise<string> {
    const { credential, account } = this.#options
    if (credential instanceof StorageSharedKeyCredential)
      return generateBlobSASQueryParameters(values, credential).toString()
    const key = await this.#keyUntil(values.expiresOn, abortSignal)
    return generateBlobSASQueryParameters(values, key, account).toString()
  }

  async #keyUntil(expiresOn: Date, abortSignal: AbortSignal): Promise<UserDelegationKey> {
    const known = this.#delegationKey
    if (known !== undefined && known.signedExpiresOn >= expiresOn) return known
    const start = new Date(Date.now() - CLOCK_ALLOWANCE_MS)
    const end = new Date(expiresOn.getTime() + KEY_RESERVE_MS)
    const key = await this.#options.service.getUserDelegationKey(start, end, { abortSignal })
    this.#delegationKey = key
    return key
  }
}
