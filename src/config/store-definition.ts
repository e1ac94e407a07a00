// One outputs store from its fields: what the maps of Polyaxon 0.x and the schemas of 1.x and 2.x have in common.
import type {
  AzureDefinition,
  GcsDefinition,
  LocalDefinition,
  ObjectStoreDefinition,
  S3Definition,
  StoreDefinition,
} from '../store/definition.ts'
import { parseBucket, type BucketLocation } from './bucket-url.ts'
import { harmlessUrl } from './fault.ts'
import type { Fields } from './fields.ts'
import {
  DEFAULT_CONNECTIONS,
  DEFAULT_SIGNED_SECONDS,
  STORE_FIELDS,
  STORE_FIELD_NAMES,
  storeFieldOf,
  type StoreFieldName,
  type StoreKind,
} from './store-fields.ts'

type ObjectKind = ObjectStoreDefinition['kind']

/**
 * The store called `name`; undefined where a fault leaves none. Credentials are not in it yet, and paths of files are as written: `connection-check.ts` adds what takes
 * looking at the disk. Faults go to `fields`.
 */
export function storeDefinition(name: string, kind: StoreKind, fields: Fields): StoreDefinition | undefined {
  for (const given of STORE_FIELD_NAMES)
    if (fields.has(given) && !storeFieldOf(given).kinds.includes(kind))
      fields.fault(
        given,
        `is a field of ${kindsText(storeFieldOf(given).kinds)}, and this is ${kindsText([kind])}`,
      )
  return kind === 'local' ? volume(name, fields) : bucketStore(name, kind, fields)
}

/** Notes the faults of single fields, where it is not known what kind of store they are of. */
export function checkFields(fields: Fields): void {
  for (const name of STORE_FIELD_NAMES) if (name !== 'store') fields.value(name, storeFieldOf(name).type)
}

function kindsText(kinds: readonly StoreKind[]): string {
  if (kinds.length === 1) return kinds[0] === 'local' ? 'a volume' : `a store of ${kinds[0]!}`
  return `stores of ${kinds.filter(kind => kind !== 'local').join(', ')}`
}

function volume(name: string, fields: Fields): LocalDefinition | undefined {
  const isClaim = fields.has('existingClaim') || fields.has('volumeClaim')
  if (fields.has('hostPath') && isClaim)
    fields.fault('hostPath', 'is given beside a claim: a volume is one or the other')
  for (const unused of ['hostPath', 'existingClaim', 'volumeClaim', 'subPath'] as const) value(fields, unused)
  const path = required(fields, 'mountPath')
  const delivery = value(fields, 'delivery') ?? 'proxy'
  const accelLocation = value(fields, 'accelLocation')
  if (delivery === 'redirect')
    fields.fault('delivery', "expected proxy or x-accel, found 'redirect', which needs a bucket")
  if (delivery === 'x-accel' && !fields.has('accelLocation'))
    fields.fault(
      'accelLocation',
      `expected ${STORE_FIELDS.accelLocation.type.expected}, because of delivery: x-accel, found nothing`,
    )
  if (delivery !== 'x-accel' && fields.has('accelLocation'))
    fields.fault('accelLocation', 'has no effect without delivery: x-accel')
  const readOnly = value(fields, 'readOnly') ?? false
  if (path === undefined) return undefined
  const told = { ...(isClaim && { isClaim }), ...given({ accelLocation }) }
  return { kind: 'local', name, path, isDefault: false, readOnly, delivery, ...told }
}

function bucketStore(name: string, kind: ObjectKind, fields: Fields): ObjectStoreDefinition | undefined {
  const location = bucketLocation(kind, fields)
  const delivery = value(fields, 'delivery') ?? 'proxy'
  if (delivery === 'x-accel')
    fields.fault('delivery', "expected proxy or redirect, found 'x-accel', which needs a volume")
  const lifetimeMs = value(fields, 'signedUrlLifetime')
  const common = {
    name,
    readOnly: value(fields, 'readOnly') ?? false,
    delivery,
    maxConnections: value(fields, 'maxConnections') ?? DEFAULT_CONNECTIONS,
    signedUrlSeconds: lifetimeMs === undefined ? DEFAULT_SIGNED_SECONDS : Math.ceil(lifetimeMs / 1000),
    ...given({
      endpoint: value(fields, 'endpoint'),
      publicEndpoint: value(fields, 'publicEndpoint'),
      caFile: value(fields, 'caFile'),
      verifyTls: value(fields, 'verify'),
    }),
  }
  const own = ownFields[kind](fields)
  // Each kind's own fields are made by the row of that kind.
  return location && ({ kind, ...location, ...common, ...own } as ObjectStoreDefinition)
}

const ownFields = {
  s3: (fields: Fields) => ({
    requesterPays: value(fields, 'requesterPays') ?? false,
    ...given({
      region: value(fields, 'region'),
      pathStyle: value(fields, 'pathStyle'),
      expectedBucketOwner: value(fields, 'expectedBucketOwner'),
      kmsKeyId: value(fields, 'kmsKeyId'),
    }),
  }),
  gcs: (fields: Fields) => given({ userProject: value(fields, 'userProject') }),
  azure: () => ({}),
} satisfies {
  s3: (fields: Fields) => Partial<S3Definition>
  gcs: (fields: Fields) => Partial<GcsDefinition>
  azure: (fields: Fields) => Partial<AzureDefinition>
}

function bucketLocation(kind: ObjectKind, fields: Fields): BucketLocation | undefined {
  const written = required(fields, 'bucket')
  if (written === undefined) return undefined
  const anyServer = fields.has('endpoint') || String(fields.written('pathStyle')?.scalar) === 'true'
  const location = parseBucket(written, kind, { anyServer })
  if (!('problem' in location)) return location
  const shown = harmlessUrl(written)
  fields.fault('bucket', `${shown === undefined ? '' : `'${shown}' `}${location.problem}`)
  return undefined
}

type FieldValue<Name extends StoreFieldName> = ReturnType<(typeof STORE_FIELDS)[Name]['type']['parse']>

function value<Name extends StoreFieldName>(fields: Fields, name: Name): FieldValue<Name> {
  return fields.value(name, storeFieldOf(name).type) as FieldValue<Name>
}

function required<Name extends StoreFieldName>(fields: Fields, name: Name): FieldValue<Name> {
  return fields.required(name, storeFieldOf(name).type) as FieldValue<Name>
}

type Given<T> = { [Key in keyof T]?: Exclude<T[Key], undefined> }

/** The members that are not undefined. */
function given<T extends object>(members: T): Given<T> {
  return Object.fromEntries(Object.entries(members).filter(([, member]) => member !== undefined)) as Given<T>
}
