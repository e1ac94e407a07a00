// What gives access to a bucket, as an operator wrote it: secrets, config maps and variables by their names. `secret-reference.ts` finds them.
import { Fields, kindOf } from './fields.ts'
import type { Fault } from './fault.ts'
import { absolutePath, objectName, secretKeyName } from './store-values.ts'
import type { ValueType } from './value.ts'
import type { Written } from './written.ts'

/** A secret or config map of Kubernetes. */
export interface KubernetesResource {
  readonly name: string
  /** The single key that is meant (0.x). */
  readonly key?: string
  /** Where the operator mounts it; without, Polyaxon hands out its keys as variables. */
  readonly mountPath?: string
  /** The only keys that are mounted. */
  readonly items?: readonly string[]
}

export interface AccessRequest {
  readonly secret?: KubernetesResource
  readonly configMap?: KubernetesResource
  /** Variables that the connection sets itself; those that Kubernetes takes from elsewhere are undefined. */
  readonly variables: Readonly<Record<string, string | undefined>>
  /** Where a secret that is not found is to be corrected. */
  readonly where: string
}

/** `secret` and `secretKey` of 0.x, which go together. */
export function accessOf0x(fields: Fields): AccessRequest | undefined {
  const name = fields.value('secret', objectName)
  const key = fields.value('secretKey', secretKeyName)
  if (fields.has('secret') && !fields.has('secretKey'))
    fields.fault(
      'secretKey',
      `expected the name of a key in the secret${name === undefined ? '' : ` '${name}'`}, found nothing`,
    )
  if (fields.has('secretKey') && !fields.has('secret'))
    fields.fault('secret', 'expected the name of the secret that has the key, found nothing')
  if (name === undefined || key === undefined) return undefined
  return { secret: { name, key }, variables: {}, where: fields.where('secretKey') }
}

/** `secret`, `configMap` and `env` of a connection of 1.x or 2.x; undefined where there are none of them. */
export function accessOfConnection(connection: Fields, faults: Fault[]): AccessRequest | undefined {
  const secret = readResource(connection.written('secret'), 'a secret', faults)
  const configMap = readResource(connection.written('configMap'), 'a config map', faults)
  const variables = readVariables(connection.written('env'), faults)
  if (!['secret', 'configMap', 'env'].some(field => connection.has(field))) return undefined
  return {
    ...(secret && { secret }),
    ...(configMap && { configMap }),
    variables,
    where: connection.where('secret'),
  }
}

/** `hostPath`, `defaultMode` and `isRequested` tell Polyaxon how to mount it, and us nothing. */
const RESOURCE_FIELDS = ['name', 'mountPath', 'items', 'hostPath', 'defaultMode', 'isRequested']

function readResource(
  written: Written | undefined,
  called: string,
  faults: Fault[],
): KubernetesResource | undefined {
  if (written === undefined) return undefined
  const fields = new Fields(written, called, RESOURCE_FIELDS, faults)
  if (!fields.isMap) return undefined
  const name = fields.required('name', objectName)
  const mountPath = fields.value('mountPath', absolutePath)
  const items = fields.value('items', keyNames)
  // A secret with a fault is not searched for: what was found would be another one.
  const isWhole =
    (items !== undefined || !fields.has('items')) && (mountPath !== undefined || !fields.has('mountPath'))
  if (name === undefined || !isWhole) return undefined
  return { name, ...(mountPath !== undefined && { mountPath }), ...(items !== undefined && { items }) }
}

const keyNames: ValueType<readonly string[]> = {
  name: 'names',
  expected: 'a list of names of keys',
  isConfidential: true,
  parse: found => {
    if (!Array.isArray(found) || found.length === 0) return undefined
    const names = found.map(element => secretKeyName.parse(element))
    return names.some(name => name === undefined) ? undefined : (names as string[])
  },
  format: names => `[${names.join(', ')}]`,
}

/** A list of `{name, value}` as in Kubernetes, a list of pairs, or a map: Polyaxon takes all three. */
function readVariables(
  written: Written | undefined,
  faults: Fault[],
): Readonly<Record<string, string | undefined>> {
  if (written === undefined) return {}
  const variables =
    written.members?.map(([name, value]) => [name, value] as const) ??
    written.elements?.map(element => readVariable(element, faults))
  if (variables === undefined) {
    faults.push({
      where: written.where,
      problem: `expected a list of variables, each with name and value, found ${kindOf(written)}`,
    })
    return {}
  }
  return Object.fromEntries(
    variables
      .filter(variable => variable !== undefined)
      .map(([name, value]) => [name, value && scalarText(value, faults)]),
  )
}

type Variable = readonly [name: string, value: Written | undefined]

function readVariable(element: Written, faults: Fault[]): Variable | undefined {
  const pair = element.elements
  if (pair?.length === 2) return [String(pair[0]!.scalar), pair[1]!]
  const fields = new Fields(element, 'a variable', ['name', 'value', 'valueFrom'], faults)
  const name = fields.required('name', variableName)
  return name === undefined ? undefined : [name, fields.written('value')]
}

const variableName: ValueType<string> = {
  name: 'name',
  expected: 'the name of a variable',
  isConfidential: true,
  parse: found => (typeof found === 'string' && /^[A-Za-z_][A-Za-z0-9_.-]*$/.test(found) ? found : undefined),
  format: String,
}

function scalarText(written: Written, faults: Fault[]): string | undefined {
  const { scalar: value } = written
  if (typeof value === 'string' || typeof value === 'boolean') return String(value)
  if (!written.isNothing)
    faults.push({ where: written.where, problem: `expected a text, found ${kindOf(written)}` })
  return undefined
}
