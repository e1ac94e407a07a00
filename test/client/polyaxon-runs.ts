// Runs of Polyaxon on a store of each kind, a service over them, and the stand-in for Polyaxon's API in front of it.
import { createHash, randomUUID } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { LocalDefinition } from '../../src/store/definition.ts'
import { AppError } from '../../src/errors.ts'
import { at, bytes, pattern, readAll, withOpen, writeAll, type Harness } from '../contract/harness.ts'
import type { StoreUnderTest } from '../support/servers.ts'
import { startService, type Service } from '../support/service.ts'
import { azurite } from '../support/store-azure.ts'
import { fakeGcs } from '../support/store-gcs.ts'
import { localStore } from '../support/store-local.ts'
import { minio } from '../support/store-s3.ts'
import { asServed } from '../support/stores.ts'
import { PolyaxonApi } from './polyaxon-api.ts'
import { run } from './run.ts'
import { filesOf, treeOf, type Tree } from './trees.ts'

/** One of each kind. */
export const POLYAXON_STORES: readonly StoreUnderTest[] = [localStore, minio, fakeGcs, azurite]

/** The connection that is not the default. */
export const OTHER = 'other-store'

export type Files = ReadonlyMap<string, Uint8Array>

export interface ServedRuns {
  readonly service: Service
  readonly api: PolyaxonApi
  /** Of the default connection. */
  readonly store: Harness
  /** Of the connection OTHER. */
  readonly other: Harness
  /** A new, empty folder for what a client downloads. */
  readonly makeFolder: () => Promise<string>
  readonly close: () => Promise<void>
}

export async function serveRuns(kind: StoreUnderTest): Promise<ServedRuns> {
  const folder = await mkdtemp(join(tmpdir(), 'polyaxon-outputs-clients-'))
  const [store, other] = [await kind.make(), await kind.make()]
  const service = await startService(
    '',
    { connections: [connection('outputs'), connection(OTHER)] },
    new Map([
      ['outputs', asServed(store.store)],
      [OTHER, asServed(other.store)],
    ]),
  )
  const api = await PolyaxonApi.before(service.port)
  return {
    ...{ service, api, store, other },
    makeFolder: () => mkdtemp(join(folder, 'client-')),
    close: async () => {
      await api.close()
      await service.close()
      await store.close()
      await other.close()
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

/** Names that clients, dashboards and headers have to carry, beyond what each server refuses. */
const ODD_NAMES = [
  'a b',
  '#1',
  '100%',
  '%41',
  'a&b=c',
  'plus+plus',
  '?',
  ';',
  "it's",
  'größe',
  '日本語',
  '🙂',
]

/** What a finished run of the 2.x generation has left. */
export const RUN_FILES: Files = new Map<string, Uint8Array>([
  ['outputs/results.csv', bytes('epoch,loss\n1,0.5\n2,0.25\n')],
  ['outputs/metrics.json', bytes('{"loss": 0.25, "done": true}')],
  ['outputs/empty.txt', bytes('')],
  ['outputs/x.tar.gz', pattern(1000)],
  ['outputs/model/weights.bin', pattern(3_000_001)],
  ['outputs/model/checkpoints/1.bin', pattern(70_000, 1)],
  ['outputs/Übungen/größe.txt', bytes('groß')],
  ['outputs/Übungen/モデル/a.bin', pattern(5000, 2)],
  ...ODD_NAMES.map(name => [`outputs/odd/${name}`, bytes(name)] as const),
  ...ODD_NAMES.map(name => [`outputs/odd/folders/${name}/file`, bytes(`in ${name}`)] as const),
  ['code/train.py', bytes('print("training")\n')],
  [
    'events/metric/loss.plx',
    bytes(
      'step|timestamp|metric\n1|2024-05-01T10:00:00+00:00|0.5\n2|2024-05-01T10:00:01.500000+00:00|0.25\n',
    ),
  ],
  ['events/metric/accuracy.plx', bytes('step|timestamp|metric\n1|2024-05-01T10:00:00+00:00|0.75\n')],
  [
    'events/image/preview.plx',
    bytes(
      'step|timestamp|image\n' +
        '1|2024-05-01T10:00:00+00:00|{"path":"assets/image/preview/1.png"}\n' +
        '2|2024-05-01T10:00:01+00:00|{"path":"assets/image/preview/2.png"}\n',
    ),
  ],
  ['assets/image/preview/1.png', pattern(2000, 3)],
  ['assets/image/preview/2.png', pattern(2000, 4)],
  ['plxlogs/pod-a.jsonl', bytes(logLines('pod-a', ['loading', 'training'], 10))],
  ['plxlogs/pod-b.jsonl', bytes(logLines('pod-b', ['größer'], 11))],
])

/** As Polyaxon writes them: an empty line first, and no end of line last. */
function logLines(pod: string, values: readonly string[], second: number): string {
  const lines = values.map((value, i) =>
    JSON.stringify({
      ...{ timestamp: `2024-05-01T10:00:${second + 5 * i}+00:00`, value },
      ...{ node: 'node-1', pod, container: 'polyaxon-main' },
    }),
  )
  return ['', ...lines].join('\n')
}
