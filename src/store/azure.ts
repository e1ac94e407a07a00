// A container of Azure Blob Storage through @azure/storage-blob.
import type { Agent } from 'node:http'
import { Readable } from 'node:stream'
import {
  BlobServiceClient,
  newPipeline,
  type ContainerClient,
  type RequestPolicyFactory,
} from '@azure/storage-blob'
import { traceFields } from '../request-context.ts'
import { azureAccess, type AzureAccess } from './azure-access.ts'
import { azureFailure, type Subject } from './azure-failure.ts'
import { credentialFor, type SdkCredential } from './azure-identity.ts'
import { AzureList } from './azure-list.ts'
import { bareEtag, codingOf, isFolder, wholeSeconds, writeIdOf } from './azure-properties.ts'
import { AzureSigner } from './azure-sign.ts'
import { AzureWrites } from './azure-write.ts'
import type { AzureDefinition } from './definition.ts'
import { ObjectAgents } from './object-agents.ts'
import {
  ObjectFailure,
  type ConnectObjects,
  type Copies,
  type GetRequest,
  type ListRequest,
  type ObjectBody,
  type ObjectClient,
  type ObjectHead,
  type ObjectPage,
  type ObjectTimeouts,
  type PartRules,
  type SignRequest,
} from './object-client.ts'
import { withinTime } from './object-deadline.ts'
import { checkPart, discard, ResponseBody } from './object-response.ts'
import { readCertificates } from './secret-file.ts'

/** Connects to the container of `definition`, without asking it anything yet. Rejects with ObjectFailure where definition and secret together name no way in. */
export function azureObjects(definition: AzureDefinition): ConnectObjects {
  return async ({ values, timeouts }) => {
    const access = azureAccess(definition, values)
    const credential = await credentialFor(access)
    const agents = new ObjectAgents({
      maxConnections: definition.maxConnections,
      connectMs: timeouts.connectMs,
      verifyTls: definition.verifyTls ?? true,
      certificates: await readCertificates(definition.caFile),
    })
    return new AzureObjects({ definition, access, credential, agents, timeouts })
  }
}

/** https://learn.microsoft.com/rest/api/storageservices/naming-and-referencing-containers--blobs--and-metadata: any other is refused like the name of a blob. */
const CONTAINER_NAME = /^(?=.{3,63}$)(\$(root|web|logs)|[a-z0-9]+(-[a-z0-9]+)*)$/

/** Until the service has read what it copies by one request. */
const SOURCE_SECONDS = 3600

interface Connection {
  readonly definition: AzureDefinition
  readonly access: AzureAccess
  readonly credential: SdkCredential
  readonly agents: ObjectAgents
  readonly timeouts: ObjectTimeouts
}

class AzureObjects implements ObjectClient {
  /**
   * Azure documents no more than "alphabetical order". Listed, all of Unicode comes by UTF-16 code units (https://github.com/blobfile/blobfile/pull/238), and Azurite compares
   * JavaScript strings, which is the same.
   */
  readonly order = 'utf16'
  readonly mayKeepFolders = true

  readonly #agents: ObjectAgents
  readonly #timeouts: ObjectTimeouts
  readonly #container: ContainerClient
  readonly #list: AzureList
  readonly #signer: AzureSigner | undefined
  readonly #writes: AzureWrites
  /** What a refused name is that of. */
  readonly #subject: Subject

  constructor({ definition, access, credential, agents, timeouts }: Connection) {
    this.#agents = agents
    this.#timeouts = timeouts
    const pipeline = newPipeline(credential, { retryOptions: { maxTries: 1 } })
    pipeline.factories.push(sendingOver(agents.for(new URL(access.endpoint).protocol)))
    const sas = access.credential.kind === 'sas' ? `?${access.credential.token}` : ''
    const service = new BlobServiceClient(`${access.endpoint}${sas}`, pipeline)
    this.#container = service.getContainerClient(definition.bucket)
    this.#list = new AzureList(this.#container)
    this.#subject = CONTAINER_NAME.test(definition.bucket) ? 'object' : 'container'
    // A shared access signature signs nothing, and to hand it on would give away everything that it allows.
    const signerFor = (endpoint: string): AzureSigner | undefined =>
      access.credential.kind === 'sas' || access.account === undefined
        ? undefined
        : new AzureSigner({
            service,
            credential,
            account: access.account,
            container: definition.bucket,
            endpoint,
          })
    this.#signer = signerFor(access.publicEndpoint)
    const sourceSigner = signerFor(access.endpoint)
    this.#writes = new AzureWrites({
      container: this.#container,
      subject: this.#subject,
      attempt: (signal, request, options) => this.#attempt(signal, request, options),
      // The service gets nothing by it that it was not given with the request.
      sourceUrl: async (key, abortSignal) =>
        (await sourceSigner?.url(key, { expiresInSeconds: SOURCE_SECONDS }, abortSignal)) ??
        this.#container.getBlobClient(key).url,
    })
  }

  get canStartAfter(): boolean {
    return this.#list.canStartAfter
  }

  async list(request: ListRequest, signal: AbortSignal): Promise<ObjectPage> {
    try {
      return await this.#attempt(signal, abortSignal => this.#list.page(request, abortSignal))
    } catch (error) {
      // Hierarchical namespaces look for the directory that the prefix names.
      if (isMissing(error)) return { objects: [], prefixes: [], token: undefined }
      throw error
    }
  }

  async head(key: string, signal: AbortSignal): Promise<ObjectHead> {
    const found = await this.#attempt(
      signal,
      abortSignal => this.#container.getBlobClient(nameOf(key)).getProperties({ abortSignal }),
      { subject: this.#subject },
    )
    return {
      key,
      size: found.contentLength ?? 0,
      etag: bareEtag(found.etag),
      lastModifiedMs: wholeSeconds(found.lastModified),
      ...(isFolder(found.metadata) && { isFolder: true }),
      contentEncoding: codingOf(found.contentEncoding),
      crc32: undefined,
      writeId: writeIdOf(found.metadata),
    }
  }

  async get(key: string, request: GetRequest, signal: AbortSignal): Promise<ObjectBody> {
    const { start, end, pin } = request
    const response = await this.#attempt(
      signal,
      abortSignal =>
        this.#container.getBlobClient(nameOf(key)).download(start, end - start, {
          abortSignal,
          conditions: { ifMatch: `"${pin}"` },
          // Else the SDK resumes a broken body by itself.
          maxRetryRequests: 0,
        }),
      { subject: this.#subject, discard: late => discard(late.readableStreamBody) },
    )
    const stream = response.readableStreamBody
    try {
      const { _response, contentRange, contentLength } = response
      checkPart(request, { status: _response.status, contentRange, contentLength })
      if (!(stream instanceof Readable)) throw new ObjectFailure('interrupted')
    } catch (error) {
      discard(stream)
      throw error
    }
    return new ResponseBody(stream, {
      idleMs: this.#timeouts.idleMs,
      signal,
      failure: error => azureFailure(error),
    })
  }

  readonly put: ObjectClient['put'] = (...args) => this.#writes.put(...args)
  readonly begin: ObjectClient['begin'] = key => this.#writes.begin(key)
  readonly part: ObjectClient['part'] = (...args) => this.#writes.part(...args)
  readonly complete: ObjectClient['complete'] = (...args) => this.#writes.complete(...args)
  readonly cancel: ObjectClient['cancel'] = () => this.#writes.cancel()
  readonly remove: ObjectClient['remove'] = (...args) => this.#writes.remove(...args)

  get partRules(): PartRules {
    return this.#writes.partRules
  }

  get copies(): Copies {
    return this.#writes.copies
  }

  async signedUrl(key: string, request: SignRequest, signal: AbortSignal): Promise<string | undefined> {
    const signer = this.#signer
    if (signer === undefined) return undefined
    return this.#attempt(signal, abortSignal => signer.url(nameOf(key), request, abortSignal))
  }

  close(): void {
    this.#agents.retire()
  }

  /** One attempt of `request`, its token included. Its answer must have begun, and but for downloads have ended, within the time for headers. */
  async #attempt<T>(
    signal: AbortSignal,
    request: (signal: AbortSignal) => Promise<T>,
    {
      subject,
      moreMs = 0,
      ...late
    }: { readonly subject?: Subject; readonly moreMs?: number; readonly discard?: (late: T) => void } = {},
  ): Promise<T> {
    try {
      return await withinTime(request, { signal, timeoutMs: this.#timeouts.headersMs + moreMs, ...late })
    } catch (error) {
      throw azureFailure(error, subject)
    }
  }
}

/**
 * Puts the SDK's requests on the connections of `agent`. It comes after the SDK's proxy policy, whose agents have no bounds and whose rules are not those of the other stores, and so
 * has the last word.
 */
function sendingOver(agent: Agent): RequestPolicyFactory {
  return {
    create: next => ({
      sendRequest: request => {
        // The SDK's own value tells the version of the operating system's kernel.
        request.headers.set('user-agent', 'polyaxon-outputs')
        for (const [name, value] of Object.entries(traceFields())) request.headers.set(name, value)
        request.agent = agent
        return next.sendRequest(request)
      },
    }),
  }
}

/**
 * The name of the blob `key`. None has a backslash: the service takes it for a slash (https://github.com/Azure/azure-sdk-for-php/issues/557, and so does Azurite), so that asking for `a\b`
 * would give the blob `a/b`.
 */
function nameOf(key: string): string {
  if (key.includes('\\')) throw new ObjectFailure('missing-object')
  return key
}

function isMissing(error: unknown): boolean {
  return error instanceof ObjectFailure && error.reason === 'missing-object'
}
