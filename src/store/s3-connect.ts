// From settings to SDK clients: keys, region, pool. Nothing is asked of any server here.
import { S3Client, type S3ClientConfig } from '@aws-sdk/client-s3'
import { fromNodeProviderChain, fromTemporaryCredentials } from '@aws-sdk/credential-providers'
import { traceFields } from '../request-context.ts'
import type { S3Definition } from './definition.ts'
import { ObjectAgents } from './object-agents.ts'
import type { ConnectOptions } from './object-client.ts'
import { KeysUnavailable } from './s3-failure.ts'
import { s3Settings, type S3Settings } from './s3-settings.ts'
import { readCertificates } from './secret-file.ts'

/** The region that requests are signed for and sent to. */
export interface Region {
  current: string
  /** Whether it is this bucket's for certain: the operator says so, or the server did. */
  certain: boolean
}

export interface S3Connection {
  readonly client: S3Client
  /** Makes URLs for the public endpoint; it never sends anything. */
  readonly signer: S3Client
  readonly region: Region
  readonly legacyList: boolean
  /** Ends idle connections now and the others when their answers have ended. */
  retire(): void
}

const DEFAULT_REGION = 'us-east-1'

/** Rejects with ObjectFailure where settings or certificates cannot be used. */
export async function connectS3(definition: S3Definition, options: ConnectOptions): Promise<S3Connection> {
  const settings = s3Settings(definition, options.values)
  const { connectMs, headersMs } = options.timeouts
  const certificates = await readCertificates(definition.caFile)
  const { maxConnections } = definition
  const agents = new ObjectAgents({ maxConnections, connectMs, verifyTls: settings.verifyTls, certificates })
  // The SDK would lend the bucket's connections to its clients of STS. What is told and learnt there is worth verifying whatever is thought of the bucket's server.
  const identityAgents = new ObjectAgents({ maxConnections: 2, connectMs, verifyTls: true, certificates })
  const region = await initialRegion(settings)
  const common: S3ClientConfig = {
    region: () => Promise.resolve(region.current),
    requestHandler: handlerOf(agents, headersMs),
    credentials: credentialsOf(settings, handlerOf(identityAgents, headersMs)),
    // The settings hold what variables say of the server; the SDK would take it from them too, without what follows from it (path style, whose certificate is verified).
    ignoreConfiguredEndpointUrls: true,
    // There is one policy of trying again, and it is not here.
    maxAttempts: 1,
    // Checksums that nobody asked for cost a second pass over each body (reading) and are refused by older servers (writing).
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
  }
  const client = new S3Client({
    ...common,
    ...endpointOf(settings.endpoint),
    forcePathStyle: settings.pathStyle,
  })
  sayTrace(client)
  return {
    client,
    signer: new S3Client({
      ...common,
      ...endpointOf(settings.publicEndpoint),
      forcePathStyle: settings.publicPathStyle,
    }),
    region,
    legacyList: settings.legacyList,
    retire: () => {
      agents.retire()
      identityAgents.retire()
    },
  }
}

type Middleware = Parameters<S3Client['middlewareStack']['addRelativeTo']>[0]
interface Args {
  readonly input: object
  readonly request: { readonly headers: Record<string, string> }
}

/** Behind the signature, so that a proxy on the way may replace the fields by its own. */
function sayTrace(client: S3Client): void {
  const middleware = (next: (args: Args) => Promise<never>) => (args: Args) => {
    Object.assign(args.request.headers, traceFields())
    return next(args)
  }
  // The type is that of the first step; behind the signature there is a request.
  client.middlewareStack.addRelativeTo(middleware as unknown as Middleware, {
    name: 'traceFields',
    relation: 'after',
    toMiddleware: 'httpSigningMiddleware',
  })
}

function handlerOf(agents: ObjectAgents, headersMs: number): RequestHandler {
  return {
    httpAgent: agents.http,
    httpsAgent: agents.https,
    requestTimeout: headersMs,
    throwOnRequestTimeout: true,
    // Silence within a body is judged where the body is read: only there is it known who waits for whom.
    socketTimeout: 0,
  }
}

function endpointOf(endpoint: string | undefined): Pick<S3ClientConfig, 'endpoint'> {
  return endpoint === undefined ? {} : { endpoint }
}

/** With nobody's word for it: the region of the surroundings (AWS_REGION, ~/.aws/config), which the first answer may correct. */
async function initialRegion({ region, endpoint }: S3Settings): Promise<Region> {
  if (region !== undefined) return { current: region, certain: true }
  if (endpoint !== undefined) return { current: DEFAULT_REGION, certain: false }
  const surroundings = new S3Client({})
  try {
    return { current: await surroundings.config.region(), certain: false }
  } catch {
    return { current: DEFAULT_REGION, certain: false }
  } finally {
    surroundings.destroy()
  }
}

type RequestHandler = NonNullable<S3ClientConfig['requestHandler']>
type Provider = ReturnType<typeof fromNodeProviderChain>

const NO_KEYS = 'No access keys were found: name a secret, or give the service a role.'
const NO_ROLE = 'The role cannot be assumed: look at its trust policy and at the keys that assume it.'

/** `requestHandler` is for whoever gives out keys. */
function credentialsOf(
  { keys, role }: S3Settings,
  requestHandler: RequestHandler,
): S3ClientConfig['credentials'] {
  const clientConfig = { requestHandler }
  // Web identities of profiles are exchanged with `parentClientConfig` alone, all others with `clientConfig`.
  const own =
    keys ?? explained(fromNodeProviderChain({ clientConfig, parentClientConfig: clientConfig }), NO_KEYS)
  if (role === undefined) return own
  const { arn, sessionName, durationSeconds } = role
  const assumed = fromTemporaryCredentials({
    masterCredentials: own,
    clientConfig,
    params: { RoleArn: arn, RoleSessionName: sessionName, DurationSeconds: durationSeconds },
  })
  return explained(assumed, NO_ROLE)
}

function explained(provider: Provider, advice: string): Provider {
  return async properties => {
    try {
      return await provider(properties)
    } catch (cause) {
      throw cause instanceof KeysUnavailable ? cause : new KeysUnavailable(advice, cause)
    }
  }
}
