// The one table of fields that define an outputs store: Polyaxon's and our own. The parser and the tables of the documentation are generated from it.
import { DELIVERIES, type StoreDefinition } from '../store/definition.ts'
import {
  absolutePath,
  accountId,
  kmsKey,
  location,
  objectName,
  origin,
  projectId,
  region,
  relativePath,
  secretKeyName,
} from './store-values.ts'
import { boolean, duration, filePath, integer, oneOf, type ValueType } from './value.ts'

export type StoreKind = StoreDefinition['kind']

const VOLUMES: readonly StoreKind[] = ['local']
const BUCKETS: readonly StoreKind[] = ['s3', 'gcs', 'azure']

export const STORES_OF_0X = ['s3', 'gcs', 'azure'] as const

const bucketUrl: ValueType<string> = {
  name: 'bucket',
  expected: 'the URL of a bucket',
  parse: found => (typeof found === 'string' && found !== '' ? found : undefined),
  format: String,
}

export interface StoreField<T> {
  readonly type: ValueType<T>
  readonly kinds: readonly StoreKind[]
  /** What holds without it, for the documentation; undefined where it must be given or nothing holds. */
  readonly default?: string
  /** One or two sentences for an operator. */
  readonly meaning: string
}

/** Keeps the type of the value while the table is checked. */
function field<T>(row: StoreField<T>): StoreField<T> {
  return row
}

const SECOND_MS = 1000
const DAY_MS = 86_400_000

/** Signature version 4 allows no longer lifetime, neither at Amazon nor at Google. */
const MOST_SIGNED_MS = 7 * DAY_MS

export const DEFAULT_SIGNED_SECONDS = 900
export const DEFAULT_CONNECTIONS = 64

export const STORE_FIELDS = {
  mountPath: field({
    type: absolutePath,
    kinds: VOLUMES,
    meaning: 'Where the volume is mounted in this container: the folder that is served.',
  }),
  hostPath: field({
    type: absolutePath,
    kinds: VOLUMES,
    meaning: 'Folder of the node that is mounted there. Kubernetes mounts it; the service reads `mountPath`.',
  }),
  existingClaim: field({
    type: objectName,
    kinds: VOLUMES,
    meaning: 'Claim of the persistent volume that is mounted there.',
  }),
  volumeClaim: field({
    type: objectName,
    kinds: VOLUMES,
    meaning: 'The same, as Polyaxon 1.x and 2.x call it.',
  }),
  subPath: field({
    type: relativePath,
    kinds: VOLUMES,
    meaning:
      'Folder of the volume that is mounted there instead of the whole. Kubernetes applies it; it is not added to `mountPath`.',
  }),
  store: field({
    type: oneOf(STORES_OF_0X),
    kinds: BUCKETS,
    meaning: 'Whose bucket it is: `s3`, `gcs` or `azure`.',
  }),
  bucket: field({
    type: bucketUrl,
    kinds: BUCKETS,
    meaning:
      '`s3://bucket`, `gs://bucket` or `wasbs://container@account.blob.core.windows.net/`, each with or without `/prefix`; or the bare name.',
  }),
  secret: field({
    type: objectName,
    kinds: BUCKETS,
    meaning:
      'Kubernetes secret with the access keys. Without one, the surroundings give access (see Secrets).',
  }),
  secretKey: field({
    type: secretKeyName,
    kinds: BUCKETS,
    meaning: 'The key in that secret whose value has the access keys, as JSON.',
  }),
  readOnly: field({
    type: boolean,
    kinds: [...VOLUMES, ...BUCKETS],
    default: 'false',
    meaning: 'Whether the service refuses every change.',
  }),
  endpoint: field({
    type: origin,
    kinds: BUCKETS,
    default: "the cloud's own",
    meaning: 'Server of a store that is not in the cloud: `https://minio.example.org:9000`.',
  }),
  region: field({
    type: region,
    kinds: ['s3'],
    default: 'from the secret or the surroundings',
    meaning: 'Region of the bucket.',
  }),
  pathStyle: field({
    type: boolean,
    kinds: ['s3'],
    default: 'true with an `endpoint`',
    meaning: 'Whether the bucket is in the path of URLs rather than in the host name.',
  }),
  caFile: field({
    type: filePath,
    kinds: BUCKETS,
    meaning: "PEM file with certificates to trust beside the system's.",
  }),
  verify: field({
    type: boolean,
    kinds: BUCKETS,
    default: 'true',
    meaning:
      'Whether certificates are verified. `false` lets anybody on the way read and change what is transferred.',
  }),
  kmsKeyId: field({
    type: kmsKey,
    kinds: ['s3'],
    meaning: 'KMS key that encrypts what is written (`aws:kms`).',
  }),
  expectedBucketOwner: field({
    type: accountId,
    kinds: ['s3'],
    meaning: 'AWS account that must own the bucket.',
  }),
  requesterPays: field({
    type: boolean,
    kinds: ['s3'],
    default: 'false',
    meaning: "Whether we accept the costs of requests to another account's bucket.",
  }),
  userProject: field({
    type: projectId,
    kinds: ['gcs'],
    meaning: 'Project that pays for requests to a requester-pays bucket.',
  }),
  delivery: field({
    type: oneOf(DELIVERIES),
    kinds: [...VOLUMES, ...BUCKETS],
    default: '`proxy`',
    meaning:
      'How bytes reach clients: through the service (`proxy`), from the bucket by a signed URL (`redirect`), from the nginx in front (`x-accel`, volumes only).',
  }),
  accelLocation: field({
    type: location,
    kinds: VOLUMES,
    meaning:
      'With `delivery: x-accel`: the internal location of nginx that has this folder, `/outputs-internal/`.',
  }),
  publicEndpoint: field({
    type: origin,
    kinds: BUCKETS,
    default: '`endpoint`',
    meaning: 'What signed URLs begin with: the host that clients reach.',
  }),
  signedUrlLifetime: field({
    type: duration(SECOND_MS, MOST_SIGNED_MS),
    kinds: BUCKETS,
    default: '15m',
    meaning:
      'How long a signed URL is valid; one that is signed with temporary keys ends with them at the latest. A download that began in time goes on.',
  }),
  maxConnections: field({
    type: integer(1, 1000),
    kinds: BUCKETS,
    default: String(DEFAULT_CONNECTIONS),
    meaning: 'Connections of one process to the store.',
  }),
} as const

export type StoreFieldName = keyof typeof STORE_FIELDS

export const STORE_FIELD_NAMES = Object.keys(STORE_FIELDS) as StoreFieldName[]

/** The row of `name`, its value type forgotten. */
export function storeFieldOf(name: StoreFieldName): StoreField<unknown> {
  return STORE_FIELDS[name]
}
