// The stores that Polyaxon's own configuration defines: those of outputs in its order, of which the first is the default, and that of logs.
import { isDeepStrictEqual } from 'node:util'
import type { StoreDefinition } from '../store/definition.ts'
import { accessOf0x, accessOfConnection, type AccessRequest } from './access.ts'
import { kindOfScheme } from './bucket-url.ts'
import { didYouMean, harmless, type Fault } from './fault.ts'
import { camelCase, Fields, kindOf } from './fields.ts'
import { checkFields, storeDefinition } from './store-definition.ts'
import { STORE_FIELDS, STORE_FIELD_NAMES, STORES_OF_0X, type StoreKind } from './store-fields.ts'
import type { StoreSections } from './store-sections.ts'
import { connectionName } from './store-values.ts'
import type { Written } from './written.ts'

/** A store as it is written: what is on the disk has not been looked at. */
export interface Connection {
  readonly kind: StoreKind
  /** Undefined after a fault; the rest can be checked all the same. */
  readonly definition: StoreDefinition | undefined
  readonly fields: Fields
  /** What its access keys are; undefined where nothing says so. */
  readonly access: AccessRequest | undefined
}

export interface Connections {
  readonly connections: readonly Connection[]
  /** Where Polyaxon 0.x puts the logs of runs: none of the connections. */
  readonly logs?: Connection
  /** Whether there is any section with an outputs store in it, faulty or not. */
  readonly isConfigured: boolean
  /** The place of the section that comes first. */
  readonly where: string | undefined
  /** Where sections are given and define no store: that of the first, and whether connections of other kinds are all there is. */
  readonly withoutStore?: { readonly where: string; readonly isOfOtherKinds: boolean }
  readonly faults: readonly Fault[]
  readonly warnings: readonly string[]
}

/** Reads what the sections define. One that is there and empty defines nothing. */
export function readConnections({ outputs, logs, artifactsStore, connections }: StoreSections): Connections {
  const reading = new Reading()
  const given = [outputs, artifactsStore, connections].filter(
    section => section !== undefined && !section.isEmpty,
  )
  if (given.includes(outputs) && given.length > 1)
    reading.faults.push({
      where: outputs!.where,
      problem: `defines stores, and so does ${given[1]!.where}: keep the one of the Polyaxon that you run, and remove the other`,
    })
  if (given.includes(outputs)) reading.readMap(outputs!)
  if (given.includes(artifactsStore)) reading.readArtifactsStore(artifactsStore!)
  if (given.includes(connections)) reading.readList(connections!)
  const first = outputs ?? artifactsStore ?? connections
  const { isConfigured } = reading
  const definesNone = first !== undefined && !isConfigured && reading.faults.length === 0
  if (logs?.isEmpty === false) reading.readLogs(logs)
  return {
    ...reading.result,
    isConfigured,
    where: given[0]?.where,
    ...(definesNone && { withoutStore: { where: first.where, isOfOtherKinds: first === connections } }),
  }
}

/** The kinds of 1.x and 2.x that hold artifacts. */
const KIND_BY_NAME: ReadonlyMap<string, StoreKind> = new Map([
  ['host_path', 'local'],
  ['volume_claim', 'local'],
  ['s3', 's3'],
  ['gcs', 'gcs'],
  ['wasb', 'azure'],
])
const KIND_NAMES = [...KIND_BY_NAME.keys()]

/** The other kinds of connection that Polyaxon 2.x knows. */
const FOREIGN_KINDS = new Set(
  (
    'registry git aws gcp azure mysql postgres oracle vertica sqlite mssql redis presto mongo cassandra ftp grpc hdfs http pig_cli hive_cli hive_metastore hive_server2 ' +
    'jdbc jenkins samba snowflake ssh cloudant databricks segment slack teams email discord mattermost pagerduty hipchat webhook custom'
  ).split(' '),
)

/** `description`, `tags` and `annotations` are for people and for pods. */
const CONNECTION_FIELDS = [
  'name',
  'kind',
  'schema',
  'secret',
  'configMap',
  'env',
  'isAlias',
  'description',
  'tags',
  'annotations',
]

/** What a schema can hold: there the secret is beside it, and the kind says whose bucket it is. Polyaxon's compiler repeats the kind in it. */
const SCHEMA_FIELDS = [
  ...STORE_FIELD_NAMES.filter(name => !['store', 'secret', 'secretKey'].includes(name)),
  'kind',
]

class Reading {
  readonly faults: Fault[] = []
  readonly #warnings: string[] = []
  readonly #connections: Connection[] = []
  #logs: Connection | undefined
  readonly #read: Written[] = []
  readonly #whereByName = new Map<string, string>()
  isConfigured = false

  get result(): Pick<Connections, 'connections' | 'logs' | 'faults' | 'warnings'> {
    const logs = this.#logs && { logs: this.#logs }
    return { connections: this.#connections, ...logs, faults: this.faults, warnings: this.#warnings }
  }

  /** `persistence.outputs` of 0.x: definitions by name. */
  readMap(section: Written): void {
    this.isConfigured = true
    const { members } = section
    if (members === undefined)
      this.#fault(section, `expected a map of stores by their names, found ${kindOf(section)}`)
    const nameless = members?.filter(isFieldOfStore) ?? []
    if (nameless.length > 0)
      this.#fault(
        section,
        'expected a map of stores by their names, found the fields of a store: put them under a name such as outputs',
      )
    for (const member of members ?? []) {
      const [name, written] = member
      if (nameless.includes(member)) continue
      if (connectionName.parse(name) === undefined)
        this.#fault(written, `is no name of a store: expected ${connectionName.expected}`)
      else if (written.isNothing) this.#fault(written, 'expected a map that describes a store, found nothing')
      else if (isOf2x(written)) this.#readConnection(written, { name })
      else this.#read0x(name, written)
    }
  }

  /** `persistence.logs` of 0.x: one definition. It comes last, and is no outputs store. The service only reads it. */
  readLogs(section: Written): void {
    const outputs = this.#connections.length
    if (isOf2x(section)) this.#readConnection(section, { name: LOGS_NAME, mustBeStore: true })
    else this.#read0x(LOGS_NAME, section, withoutDefaultsOfChart)
    const [logs] = this.#connections.splice(outputs)
    const definition = logs?.definition && { ...logs.definition, readOnly: true }
    this.#logs = logs && { ...logs, definition }
  }

  readArtifactsStore(section: Written): void {
    this.isConfigured = true
    this.#readConnection(section, { mustBeStore: true })
  }

  /** `connections` of 1.x and 2.x, among which only some are stores. */
  readList(section: Written): void {
    const { elements } = section
    if (elements === undefined)
      this.#fault(section, `expected a list of connections, found ${kindOf(section)}`)
    for (const element of elements ?? []) this.#readConnection(element, {})
  }

  #read0x(name: string, written: Written, prepare: (fields: Fields) => void = () => undefined): void {
    const fields = new Fields(written, 'a store', STORE_FIELD_NAMES, this.faults)
    if (!fields.isMap) return
    prepare(fields)
    const kind = this.#kindOf0x(fields)
    if (kind === undefined) checkFields(fields)
    else this.#add(name, written, kind, fields, kind === 'local' ? undefined : accessOf0x(fields))
  }

  #kindOf0x(fields: Fields): StoreKind | undefined {
    const bucket: unknown = fields.written('bucket')?.value
    const kind = typeof bucket === 'string' ? kindOfScheme(bucket) : undefined
    // After a fault the bucket tells enough to check the rest.
    if (fields.has('store')) return fields.value('store', STORE_FIELDS.store.type) ?? kind
    if (bucket === undefined) {
      if (['mountPath', 'hostPath', 'existingClaim', 'volumeClaim'].some(name => fields.has(name)))
        return 'local'
      fields.fault(
        '',
        'expected mountPath with hostPath or existingClaim for a volume, or store and bucket for a bucket',
      )
      return undefined
    }
    fields.fault(
      'store',
      `expected one of ${STORES_OF_0X.join(', ')}, found nothing${kind === undefined ? '' : `; by its bucket it is ${kind}`}`,
    )
    return kind
  }

  /** A connection of 1.x or 2.x; in a map, `name` is its key. */
  #readConnection(
    written: Written,
    options: { readonly name?: string; readonly mustBeStore?: boolean },
  ): void {
    // The artifacts store may be among the connections once more.
    if (
      options.name === undefined &&
      this.#read.some(earlier => isDeepStrictEqual(earlier.value, written.value))
    )
      return
    this.#read.push(written)
    const kind = this.#kindOfConnection(written, options.mustBeStore === true)
    if (kind === undefined) return
    this.isConfigured = true
    const connection = new Fields(written, 'a connection', CONNECTION_FIELDS, this.faults)
    const own =
      options.name !== undefined && !connection.has('name')
        ? options.name
        : connection.required('name', connectionName)
    const schema = connection.written('schema')
    if (schema === undefined)
      connection.fault('schema', `expected a map that describes a store, found nothing`)
    const access = kind === 'local' ? undefined : accessOfConnection(connection, this.faults)
    if (schema === undefined) return
    const fields = new Fields(schema, 'a store', SCHEMA_FIELDS, this.faults)
    if (fields.isMap) this.#add(own, written, kind, fields, access)
  }

  /** Undefined for what is no store, and after a fault that leaves the kind open. */
  #kindOfConnection(written: Written, mustBeStore: boolean): StoreKind | undefined {
    if (written.members === undefined) {
      this.#fault(written, `expected a map that describes a connection, found ${kindOf(written)}`)
      return undefined
    }
    const member = written.members.find(([key]) => key === 'kind')?.[1]
    const name: unknown = member?.value
    if (member === undefined || typeof name !== 'string') {
      const where = member?.where ?? written.whereOf('kind')
      const found = member === undefined ? 'nothing' : kindOf(member)
      this.faults.push({ where, problem: `expected one of ${KIND_NAMES.join(', ')}, found ${found}` })
      return undefined
    }
    const kind = KIND_BY_NAME.get(name)
    if (kind !== undefined) return kind
    const kindOfBucket = bucketKindOf(written)
    // `kind: azure` gives access to a cloud; with a bucket, the store is meant.
    if (FOREIGN_KINDS.has(name) && !mustBeStore && kindOfBucket === undefined) return undefined
    const suggestion =
      kindOfBucket !== undefined
        ? `; its bucket is of kind ${kindName(kindOfBucket)}`
        : FOREIGN_KINDS.has(name)
          ? ''
          : didYouMean(name, KIND_NAMES)
    const shown = harmless(name)
    const found = shown === undefined ? kindOf(member) : `'${shown}'`
    if (mustBeStore || suggestion !== '')
      this.#fault(member, `expected one of ${KIND_NAMES.join(', ')}, found ${found}${suggestion}`)
    else
      this.#warnings.push(
        `${member.where}: ${found} is no kind of connection that this version knows: it is left out`,
      )
    return kindOfBucket
  }

  #add(
    name: string | undefined,
    written: Written,
    kind: StoreKind,
    fields: Fields,
    access: AccessRequest | undefined,
  ): void {
    const definition = storeDefinition(name ?? '', kind, fields)
    if (name === undefined) return
    const earlier = this.#whereByName.get(name)
    if (earlier !== undefined)
      this.#fault(written, `is another store called '${name}', like ${earlier}: expected a name of its own`)
    else this.#whereByName.set(name, written.where)
    if (earlier === undefined) this.#connections.push({ kind, definition, fields, access })
  }

  #fault({ where }: Written, problem: string): void {
    this.faults.push({ where, problem })
  }
}

/** The name of the store of logs, in messages and reports. */
const LOGS_NAME = 'persistence.logs'

/** Whether a store is written as a connection of 1.x or 2.x. */
function isOf2x({ members }: Written): boolean {
  return members?.some(([key]) => key === 'kind' || key === 'schema') === true
}

/**
 * Helm lays what an operator writes for logs over the host path that the chart has for them, so that both arrive. What wins in the chart wins here: a bucket, then a claim
 * (polyaxon/charts, 2019: polyaxon/values.yaml and polyaxon/templates/partials/_volumes.tpl).
 */
function withoutDefaultsOfChart(fields: Fields): void {
  if (fields.has('store')) fields.leaveOut('mountPath', 'hostPath', 'existingClaim', 'volumeClaim', 'subPath')
  if (fields.has('existingClaim')) fields.leaveOut('hostPath')
}

/** Whether a member of the map of stores is what one of them should have: the name between them is left out easily, being `outputs` once more. */
function isFieldOfStore([key, written]: readonly [string, Written]): boolean {
  const names: readonly string[] = [...STORE_FIELD_NAMES, 'kind']
  return names.includes(camelCase(key)) && written.members === undefined
}

function kindName(kind: StoreKind): string {
  return KIND_NAMES.find(name => KIND_BY_NAME.get(name) === kind)!
}

/** The kind of store that the bucket of a connection has by its scheme. */
function bucketKindOf(connection: Written): StoreKind | undefined {
  const schema = connection.members?.find(([key]) => key === 'schema')?.[1]
  const bucket: unknown = schema?.members?.find(([key]) => key === 'bucket')?.[1].value
  return typeof bucket === 'string' ? kindOfScheme(bucket) : undefined
}
