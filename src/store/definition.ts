// What a configured store is: plain data that configuration makes and `open.ts` reads. Credentials are referred to, never held.
import type { SecretReference } from './secret.ts'

/** How bytes reach clients: through this service, or where possible around it. */
export const DELIVERIES = ['proxy', 'redirect', 'x-accel'] as const
export type Delivery = (typeof DELIVERIES)[number]

interface Common {
  /** The connection's name: in messages, in `?connection=`, in keys of caches. Unique. */
  readonly name: string
  /** Whether the operator forbids changes. */
  readonly readOnly: boolean
  readonly delivery: Delivery
}

/** A folder of this machine: a local path, a host path, a mounted claim. */
export interface LocalDefinition extends Common {
  readonly kind: 'local'
  /** Absolute. */
  readonly path: string
  /** Whether nobody configured it, so that it may be created with the sample. */
  readonly isDefault: boolean
  /** Whether it is a claim: its disk may be behind a network and hang, whatever file system is on it. */
  readonly isClaim?: boolean
  /** With `delivery: x-accel`: the internal location of the web server in front under which it has this folder, `/name/`. */
  readonly accelLocation?: string
}

interface ObjectDefinition extends Common {
  readonly bucket: string
  /** '' or the part of every key before the artifact's path, ending with a slash. */
  readonly prefix: string
  /** What gives access; without one, whatever the SDK finds in its surroundings (workload identity, instance roles, its own files and variables). */
  readonly secret?: SecretReference
  /** Origin of the server, `https://host[:port]`, where it is not the cloud's own. Wins over one in the secret. */
  readonly endpoint?: string
  /** What signed URLs begin with in place of `endpoint`: the host that clients reach. */
  readonly publicEndpoint?: string
  /** Absolute path of a PEM file with certificates to trust beside the system's. */
  readonly caFile?: string
  /** False accepts any certificate. Undefined: the secret may say so, and otherwise they are verified. */
  readonly verifyTls?: boolean
  /** Connections to the store at once, for everything that one process does. */
  readonly maxConnections: number
  /** Lifetime of signed URLs. */
  readonly signedUrlSeconds: number
}

export interface S3Definition extends ObjectDefinition {
  readonly kind: 's3'
  /** Wins over one in the secret. */
  readonly region?: string
  /** Bucket in the path rather than in the host name; by default only with an endpoint of one's own. */
  readonly pathStyle?: boolean
  /** Account id that must own the bucket (`x-amz-expected-bucket-owner`). */
  readonly expectedBucketOwner?: string
  readonly requesterPays: boolean
  /** Key for server-side encryption of what is written (`aws:kms`). */
  readonly kmsKeyId?: string
}

export interface GcsDefinition extends ObjectDefinition {
  readonly kind: 'gcs'
  /** Project that pays for requests (`userProject`). */
  readonly userProject?: string
}

export interface AzureDefinition extends ObjectDefinition {
  readonly kind: 'azure'
  /** From the bucket's URL; the secret names it where the URL does not. `bucket` is the container. */
  readonly account?: string
}

export type ObjectStoreDefinition = S3Definition | GcsDefinition | AzureDefinition
export type StoreDefinition = LocalDefinition | ObjectStoreDefinition
