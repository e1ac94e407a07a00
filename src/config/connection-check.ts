// What takes looking at the disk before a store can be opened: folders, certificates, secrets. All stores at once, each within bounds.
import { open } from 'node:fs/promises'
import { resolve } from 'node:path'
import type { LocalDefinition, ObjectStoreDefinition, StoreDefinition } from '../store/definition.ts'
import { accessProblem } from './access-problem.ts'
import type { AccessRequest } from './access.ts'
import type { Connection } from './connections.ts'
import { harmless, type Fault } from './fault.ts'
import type { Fields } from './fields.ts'
import { outputsFolderFault } from './outputs-folder.ts'
import { referTo, type Referred, type SecretPlaces } from './secret-reference.ts'

export interface Checked {
  /** Undefined after a fault. */
  readonly definition: StoreDefinition | undefined
  readonly faults: readonly Fault[]
  /** The folder of a volume is not there: a fault where it is the only store, and an outage among others. */
  readonly folderFault?: Fault
  readonly warnings: readonly string[]
}

export interface CheckPlaces extends SecretPlaces {
  /** Relative paths start here. */
  readonly cwd: string
}

/** The store with paths made absolute and its secret found. */
export async function checkConnection(connection: Connection, places: CheckPlaces): Promise<Checked> {
  const { kind, definition } = connection
  if (kind !== 'local') return checkBucket(connection, kind, places)
  if (definition?.kind === 'local') return checkFolder(connection, definition)
  return { definition: undefined, faults: [], warnings: [] }
}

async function checkFolder({ fields }: Connection, definition: LocalDefinition): Promise<Checked> {
  const problem = await outputsFolderFault(definition)
  if (problem === undefined) return { definition, faults: [], warnings: [] }
  const hostPath: unknown = fields.written('hostPath')?.value
  const isOnHost =
    typeof hostPath === 'string' &&
    (await outputsFolderFault({ path: hostPath, isDefault: false })) === undefined
  const hint = isOnHost ? `; hostPath '${hostPath}' does: outside of a cluster, set mountPath to it` : ''
  return {
    definition,
    faults: [],
    folderFault: { where: fields.where('mountPath'), problem: problem + hint },
    warnings: [],
  }
}

async function checkBucket(
  { definition, fields, access }: Connection,
  kind: ObjectStoreDefinition['kind'],
  places: CheckPlaces,
): Promise<Checked> {
  const written = definition?.kind === 'local' ? undefined : definition
  const caFile = written?.caFile === undefined ? undefined : resolve(places.cwd, written.caFile)
  const caProblem = caFile === undefined ? undefined : await certificatesProblem(caFile, written!.caFile!)
  const referred = await referTo(access, kind, fields.has('endpoint'), places)
  const { reference, problem, warning } = referred
  const faults: Fault[] = []
  if (caProblem !== undefined) faults.push({ where: fields.where('caFile'), problem: caProblem })
  if (problem !== undefined) faults.push({ where: access!.where, problem })
  const warnings: string[] = []
  const unverifiedBy = written && unverifiedPlace(written, fields, access, referred)
  if (unverifiedBy !== undefined)
    warnings.push(
      `${unverifiedBy}: certificates of the store '${written!.name}' are not verified, so anybody on the way can read and change what is transferred: use caFile instead`,
    )
  if (warning !== undefined) warnings.push(`${access!.where}: ${warning}`)
  const found = { ...(caFile !== undefined && { caFile }), ...(reference && { secret: reference }) }
  const complete = written && { ...written, ...found }
  const unusable = complete && problem === undefined ? await accessProblem(complete) : undefined
  if (unusable !== undefined) {
    // Without a secret nothing but the bucket says what is needed; variables around are nowhere in the configuration.
    const where = reference?.named === true ? access!.where : fields.where(reference ? '' : 'bucket')
    faults.push({ where, problem: unusable })
  }
  return { definition: complete, faults, warnings }
}

/** The place of what turns verification off; undefined where certificates are verified. The store itself wins over everything around it. */
function unverifiedPlace(
  { verifyTls }: ObjectStoreDefinition,
  fields: Fields,
  access: AccessRequest | undefined,
  { unverifiedBy }: Referred,
): string | undefined {
  if (verifyTls !== undefined) return verifyTls ? undefined : fields.where('verify')
  return unverifiedBy === 'secret' ? (access?.where ?? 'AWS_VERIFY_SSL') : unverifiedBy && 'AWS_VERIFY_SSL'
}

/** Several times what all public authorities together take, and no more than a driver reads (`secret-file.ts`). */
const MAX_CERTIFICATES_BYTES = 1024 ** 2

/** `written` is what the operator wrote for the absolute `path`: a key with slashes would pass for folders in that, and none of them for a key. */
async function certificatesProblem(path: string, written: string): Promise<string | undefined> {
  const expected = 'expected the path of a PEM file with certificates'
  const shown = harmless(written) === undefined ? 'this' : `'${path}'`
  try {
    const file = await open(path)
    try {
      const { size } = await file.stat()
      if (size > MAX_CERTIFICATES_BYTES) return `${expected}, but ${shown} is larger than 1 MiB`
      const text = await file.readFile('latin1')
      return text.includes('-----BEGIN CERTIFICATE-----') ? undefined : `${expected}, but ${shown} has none`
    } finally {
      await file.close()
    }
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    return code === 'ENOENT'
      ? `${expected}, but ${shown} does not exist`
      : `${expected}, but ${shown} cannot be read (${code ?? 'unknown'})`
  }
}
