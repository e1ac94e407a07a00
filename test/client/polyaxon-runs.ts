// Runs of Polyaxon on a store of each kind, a service over them, and the stand-in for Polyaxon's API in front of it.
import { createHash, randomUUID } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { LocalDefinition } from '../../src/store/definition.ts'
import { AppError } from '../../src/errors.ts'
import { at, readAll, withOpen, writeAll, type Harness } from '../contract/harness.ts'
import type { StoreUnderTest } from '../support/servers.ts'
import { startService, type Service } from '../support/service.ts'
import { azurite } from '../support/store-azure.ts'
import { fakeGcs } from '../support/store-gcs.ts'
import { localStore } from '../support/store-local.ts'
import { minio } from '../support/store-s3.ts'
import { asServed } from '../support/stores.ts'
import { PolyaxonApi } from './polyaxon-api.ts'
import type { Files } from './polyaxon-files.ts'
import { run } from './run.ts'
import { filesOf, treeOf, type Tree } from './trees.ts'

/** One of each kind. */
export const POLYAXON_STORES: readonly StoreUnderTest[] = [localStore, minio, fakeGcs, azurite]

/** The connection that is not the default. */
export const OTHER = 'other-store'

export interface ServedRuns {
  readonly service: Service
  readonly api: PolyaxonApi
  /** Of the default connection. */
  readonly store: Harness
  /** Of the connection OTHER. */
  readonly other: Harness
  /** Where 0.x puts the logs of runs. */
  readonly logs: Harness
  /** A new, empty folder for what a client downloads. */
  readonly makeFolder: () => Promise<string>
  readonly close: () => Promise<void>
}

export async function serveRuns(kind: StoreUnderTest): Promise<ServedRuns> {
  const folder = await mkdtemp(join(tmpdir(), 'polyaxon-outputs-clients-'))
  const [store, other, logs] = [await kind.make(), await kind.make(), await kind.make()]
  const service = await startService(
    '',
    { connections: [connection('outputs'), connection(OTHER)] },
    new Map([
      ['outputs', asServed(store.store)],
      [OTHER, asServed(other.store)],
    ]),
    { logs: asServed(logs.store) },
  )
  const api = await PolyaxonApi.before(service.port)
  return {
    ...{ service, api, store, other, logs },
    makeFolder: () => mkdtemp(join(folder, 'client-')),
    close: async () => {
      await api.close()
      await service.close()
      for (const each of [store, other, logs]) await each.close()
      await rm(folder, { recursive: true, force: true })
    },
  }
}

/** Says of a store that the test opens itself what the service has to know. */
function connection(name: string): LocalDefinition {
  return { kind: 'local', name, path: '', isDefault: false, readOnly: false, delivery: 'proxy' }
}

export function newRun(): string {
  return randomUUID().replaceAll('-', '')
}

/** Writes `files` below `folder`. */
export function fill(store: Harness, folder: string, files: Files): Promise<void> {
  return writeAll(
    store,
    [...files].map(([path, content]) => [`${folder}/${path}`, content] as const),
  )
}

/** The files below `folder` as they are on the store now; of a folder that is not there, none. */
export async function storedIn({ store }: Harness, folder: string): Promise<Tree> {
  const tree = new Map<string, string>()
  const read = async (below: string): Promise<void> => {
    for await (const batch of store.list(at(below)))
      for (const { path, type } of batch) {
        if (type === 'directory') await read(path)
        else tree.set(path.slice(folder.length + 1), await withOpen(store, path, readAll).then(sha256))
      }
  }
  try {
    await read(folder)
  } catch (error) {
    if (!(error instanceof AppError && error.kind === 'NotFound' && tree.size === 0)) throw error
  }
  return tree
}

/** What `files` look like on a disk, or those of them that are below `folder`. */
export function treeOfFiles(files: Files, folder = ''): Tree {
  const prefix = folder === '' ? '' : `${folder}/`
  const below = [...files].filter(([path]) => path.startsWith(prefix))
  return new Map(below.map(([path, content]) => [path.slice(prefix.length), sha256(content)]))
}

/** The files in `archive`, unpacked into the empty folder `into`. */
export async function unpack(archive: string, into: string): Promise<Tree> {
  const { code, stderr } = await run('tar', ['-xzf', archive, '-C', into])
  if (code !== 0) throw new Error(`tar cannot unpack ${archive}: ${stderr}`)
  return filesOf(await treeOf(into))
}

function sha256(content: Uint8Array): string {
  return createHash('sha256').update(content).digest('hex')
}
