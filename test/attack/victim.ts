// What is attacked: the service over stores with secrets all around the runs that clients may reach, on each kind of store.
import { existsSync, lstatSync, readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { GetObjectCommand, ListObjectsV2Command, NoSuchKey, type S3Client } from '@aws-sdk/client-s3'
import { pino } from 'pino'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { openObjectStore } from '../../src/store/object-store.ts'
import { ask } from '../support/client.ts'
import { bucketDefinition, MemoryBucket } from '../support/object-memory.ts'
import { hasProc, startProcess, until, type ServiceProcess } from '../support/process.ts'
import { startService } from '../support/service.ts'
import { makeBucket, s3Server, type Bucket } from '../support/store-s3.ts'
import { Tree } from '../support/tree.ts'

/** Stands in everything that lies outside of what clients may reach, in its content or in its name, and in no request. */
export const SECRET = 'CANARY-51f3'
/** Stands in the content of everything that they may. */
export const INSIDE = 'INSIDE-51f3'

/** A run of 0.x by its layout, and one of 1.x and 2.x. Each has a neighbour whose name begins like its own, where the layout lets it. */
export const RUN = 'ann/mnist/experiments/1'
export const UUID = '0a1b2c3d4e5f60718293a4b5c6d7e8f9'
const NEIGHBOURS = ['ann/mnist/experiments/10', `${UUID.slice(0, -1)}0`, `${UUID}0`]

const EVENTS = `step|timestamp|metric\n1|2026-01-01T00:00:00|0.5`
const LOG = '{"timestamp":"2026-01-01T00:00:00+00:00","value":"TEXT"}'
const NOTEBOOK = JSON.stringify({
  nbformat: 4,
  nbformat_minor: 5,
  metadata: {},
  cells: [{ cell_type: 'markdown', metadata: {}, source: [`# ${INSIDE}`] }],
})

/** In each run. */
const RUN_FILES: Readonly<Record<string, string>> = {
  'inside.txt': INSIDE,
  'folder/inside.txt': INSIDE,
  'notebook.ipynb': NOTEBOOK,
  'events/metric/loss.plx': EVENTS,
  'resources/metric/cpu.plx': EVENTS,
  'plxlogs/pod.jsonl': LOG.replace('TEXT', INSIDE),
}

/** What a file of a neighbour would give away by each way of reading it. */
const NEIGHBOUR_FILES: Readonly<Record<string, string>> = {
  'secret.txt': SECRET,
  [`${SECRET}-name.txt`]: SECRET,
  'folder/secret.txt': SECRET,
  'events/metric/secret.plx': `step|timestamp|text\n1|2026-01-01T00:00:00|${SECRET}`,
  'plxlogs/pod.jsonl': LOG.replace('TEXT', SECRET),
  'secret.ipynb': NOTEBOOK.replace(INSIDE, SECRET),
}

/** Everything there is, by its path above the root of the store, which is the folder `root`. */
function world(): Map<string, string> {
  const files = new Map<string, string>()
  for (const run of [RUN, UUID])
    for (const [path, content] of Object.entries(RUN_FILES)) files.set(`root/${run}/${path}`, content)
  for (const run of NEIGHBOURS)
    for (const [path, content] of Object.entries(NEIGHBOUR_FILES)) files.set(`root/${run}/${path}`, content)
  // In all folders above the run, above the root, beside it, and in the folder of the service itself.
  for (const folder of ['', 'root/', 'root0/', 'root/ann/', 'root/ann/mnist/', 'root/ann/mnist/experiments/'])
    files.set(`${folder}secret.txt`, SECRET)
  files.set('root/.polyaxon-outputs-uploads/mnist/experiments/1/secret.txt', SECRET)
  files.set('logs/secret.txt', SECRET).set(`logs/${RUN}`, INSIDE)
  files.set('other/secret.txt', SECRET).set(`other/${RUN}/inside.txt`, INSIDE)
  files.set(`other/${UUID}/inside.txt`, INSIDE)
  return files
}

/**
 * What clients may change: the two runs in both stores, and by an owner whose name is only odd, a new run. The service keeps unfinished uploads in folders of its own.
 */
const CHANGEABLE = new RegExp(
  `^(?:root|other)/(?:(?:${RUN}|${UUID})/|(?!ann/|\\.polyaxon)[^/]+/mnist/experiments/1/new\\.txt$|\\.polyaxon-outputs-(?!uploads/mnist/))`,
)

export type Snapshot = ReadonlyMap<string, string>

/** What holds the stores, reached past the service. */
export interface Ground {
  /** What each path holds; of links, where they lead. */
  look(): Promise<Snapshot>
  write(path: string, content: string): Promise<void>
  remove(path: string): Promise<void>
}

export interface Victim extends Ground {
  readonly port: number
  /** What nobody may learn from an answer: places on the disk, or the address, the bucket and the keys of the store. */
  readonly hidden: readonly string[]
  /** Whether links and special files can be in a run: then `tree` is where. */
  readonly tree: Tree | undefined
  /** The process that answers. */
  readonly pid: number
  /** What it has logged as an error, one line each. */
  errors(): string[]
  /** Fails when what clients may not change is not as it was, or something secret lies where they can read it. */
  expectIntact(what: string): Promise<void>
  /** Puts back what clients have changed. */
  restore(): Promise<void>
  /** Whether clients have changed anything. */
  isChanged(): Promise<boolean>
  close(): Promise<void>
}

export interface VictimOptions {
  readonly env?: Readonly<Record<string, string>>
}

interface Kind {
  readonly title: string
  /** Whether each look at the store is a request to a server, so that cases that do not depend on the store are left to the others. */
  readonly isRemote?: true
  readonly available: boolean
  start(options: VictimOptions): Promise<Victim>
}

/** `ground` as it should be, and what has become of it. */
class Watch {
  readonly #ground: Ground
  readonly #files = world()
  #before: Snapshot = new Map()
  /** As it was when it was last looked at, so that one attack that succeeds is not told of with every later one. */
  #outside: Snapshot = new Map()

  constructor(ground: Ground) {
    this.#ground = ground
  }

  async prepare(): Promise<void> {
    for (const [path, content] of this.#files) await this.#ground.write(path, content)
    this.#before = await this.#ground.look()
    this.#outside = outsideOf(this.#before)
  }

  async expectIntact(what: string): Promise<void> {
    const now = await this.#ground.look()
    const before = this.#outside
    this.#outside = outsideOf(now)
    expect(this.#outside, what).toEqual(before)
    for (const [path, content] of now)
      if (CHANGEABLE.test(path)) expect(path + content, what).not.toContain(SECRET)
  }

  async isChanged(): Promise<boolean> {
    const inside = (all: Snapshot) => JSON.stringify([...all].filter(isOfRun).sort())
    return inside(await this.#ground.look()) !== inside(this.#before)
  }

  async restore(): Promise<void> {
    const now = await this.#ground.look()
    for (const entry of now)
      if (isOfRun(entry) && !this.#before.has(entry[0])) await this.#ground.remove(entry[0])
    for (const entry of this.#before)
      if (isOfRun(entry) && now.get(entry[0]) !== entry[1])
        await this.#ground.write(entry[0], this.#files.get(entry[0])!)
  }
}

function outsideOf(all: Snapshot): Snapshot {
  return new Map([...all].filter(([path]) => !CHANGEABLE.test(path)))
}

function isOfRun([path]: readonly [string, string]): boolean {
  return CHANGEABLE.test(path) && !path.includes('/.polyaxon-outputs-')
}

function watched(
  ground: Ground,
  watch: Watch,
): Ground & Pick<Victim, 'expectIntact' | 'restore' | 'isChanged'> {
  return {
    look: () => ground.look(),
    write: (path, content) => ground.write(path, content),
    remove: path => ground.remove(path),
    expectIntact: what => watch.expectIntact(what),
    restore: () => watch.restore(),
    isChanged: () => watch.isChanged(),
  }
}

function loggedErrors(log: string): string[] {
  return log
    .split('\n')
    .filter(line => /^\{"level":[56]0/.test(line) || (line !== '' && !line.startsWith('{')))
}

/** In memory where there is a place for that: with thousands of small files, waiting for a disk would take most of the time. */
const SHARED_MEMORY = '/dev/shm'

class TreeGround implements Ground {
  readonly tree = new Tree(existsSync(SHARED_MEMORY) ? SHARED_MEMORY : undefined)
  /** Contents by path, size and times. */
  readonly #known = new Map<string, string>()

  look(): Promise<Snapshot> {
    const all = new Map<string, string>()
    const folders = ['']
    for (let folder; (folder = folders.pop()) !== undefined;)
      for (const entry of readdirSync(this.tree.at(folder), { withFileTypes: true, encoding: 'utf8' })) {
        const path = folder === '' ? entry.name : `${folder}/${entry.name}`
        if (entry.isSymbolicLink()) all.set(path, `-> ${readlinkSync(this.tree.at(path))}`)
        else if (entry.isDirectory()) folders.push(path)
        else if (entry.isFile()) this.#add(all, path)
        else all.set(path, 'special')
      }
    return Promise.resolve(all)
  }

  /** Unless it is gone since it was listed: the service tidies up behind its answers. */
  #add(all: Map<string, string>, path: string): void {
    const file = lstatSync(this.tree.at(path), { bigint: true, throwIfNoEntry: false })
    if (file === undefined) return
    const key = [path, file.ino, file.size, file.mtimeNs, file.ctimeNs].join()
    const content = this.#known.get(key) ?? this.#contentOf(path)
    if (content === undefined) return
    this.#known.set(key, content)
    all.set(path, content)
  }

  #contentOf(path: string): string | undefined {
    try {
      return readFileSync(this.tree.at(path), 'latin1')
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
      throw error
    }
  }

  async write(path: string, content: string): Promise<void> {
    this.tree.write(path, content)
  }

  async remove(path: string): Promise<void> {
    this.tree.removePath(path)
  }
}

const local: Kind = {
  title: 'the local store',
  available: hasProc,
  async start({ env = {} }) {
    const ground = new TreeGround()
    const watch = new Watch(ground)
    await watch.prepare()
    const volume = (name: string) => ({ mountPath: ground.tree.at(name), existingClaim: name })
    const service = await startProcess(ground.tree.at('root'), {
      env: {
        POLYAXON_PERSISTENCE_OUTPUTS: JSON.stringify({ outputs: volume('root'), other: volume('other') }),
        POLYAXON_PERSISTENCE_LOGS: JSON.stringify(volume('logs')),
        ...env,
      },
    })
    return {
      ...watched(ground, watch),
      ...ofProcess(service),
      hidden: [ground.tree.root],
      tree: ground.tree,
      close: async () => {
        await service.destroy()
        ground.tree.remove()
      },
    }
  },
}

function ofProcess(service: ServiceProcess): Pick<Victim, 'port' | 'pid' | 'errors'> {
  const { port, pid } = service
  return { port, pid, errors: () => loggedErrors(service.log()) }
}

class BucketGround implements Ground {
  readonly #bucket: Bucket
  readonly #client: S3Client
  /** Contents by key and ETag. */
  readonly #known = new Map<string, string>()

  constructor(bucket: Bucket) {
    this.#bucket = bucket
    this.#client = bucket.client
  }

  async look(): Promise<Snapshot> {
    const all = new Map<string, string>()
    for (let token: string | undefined; ;) {
      const page = await this.#client.send(
        new ListObjectsV2Command({
          Bucket: this.#bucket.name,
          EncodingType: 'url',
          ContinuationToken: token,
        }),
      )
      for (const { Key, ETag } of page.Contents ?? []) {
        const key = decodeURIComponent(Key!.replaceAll('+', ' '))
        const content = await this.#content(key, ETag!)
        if (content !== undefined) all.set(key, content)
      }
      token = page.NextContinuationToken
      if (token === undefined) return all
    }
  }

  /** Undefined for what is gone since it was listed: the service tidies up behind its answers. */
  async #content(key: string, etag: string): Promise<string | undefined> {
    const known = this.#known.get(key + etag)
    if (known !== undefined) return known
    try {
      const { Body } = await this.#client.send(new GetObjectCommand({ Bucket: this.#bucket.name, Key: key }))
      const content = await Body!.transformToString('latin1')
      this.#known.set(key + etag, content)
      return content
    } catch (error) {
      if (error instanceof NoSuchKey) return undefined
      throw error
    }
  }

  write(path: string, content: string): Promise<void> {
    return this.#bucket.put(path, Buffer.from(content))
  }

  remove(path: string): Promise<void> {
    return this.#bucket.removeAll(path)
  }
}

const minio: Kind = {
  title: 'S3 on MinIO (needs TEST_MINIO)',
  isRemote: true,
  available: hasProc && s3Server('minio') !== undefined,
  async start({ env = {} }) {
    const server = s3Server('minio')!
    const bucket = await makeBucket(server)
    const ground = new BucketGround(bucket)
    const watch = new Watch(ground)
    await watch.prepare()
    const { endpoint, accessKeyId, secretAccessKey } = server
    const at = (prefix: string) => ({
      store: 's3',
      bucket: `s3://${bucket.name}/${prefix}`,
      region: 'us-east-1',
      endpoint,
    })
    const service = await startProcess('/nonexistent', {
      env: {
        POLYAXON_PERSISTENCE_OUTPUTS: JSON.stringify({ outputs: at('root'), other: at('other') }),
        POLYAXON_PERSISTENCE_LOGS: JSON.stringify(at('logs')),
        AWS_ACCESS_KEY_ID: accessKeyId,
        AWS_SECRET_ACCESS_KEY: secretAccessKey,
        ...env,
      },
    })
    return {
      ...watched(ground, watch),
      ...ofProcess(service),
      hidden: [bucket.name, endpoint, new URL(endpoint).host, secretAccessKey],
      tree: undefined,
      close: async () => {
        await service.destroy()
        await bucket.close()
      },
    }
  },
}

class MemoryGround implements Ground {
  readonly bucket = new MemoryBucket()

  async look(): Promise<Snapshot> {
    return new Map(
      [...this.bucket.objects].map(([key, { content }]) => [key, Buffer.from(content).toString('latin1')]),
    )
  }

  async write(path: string, content: string): Promise<void> {
    this.bucket.store(path, content)
  }

  async remove(path: string): Promise<void> {
    this.bucket.objects.delete(path)
  }
}

/** In this process: what it does not catch, the test run reports. */
const memory: Kind = {
  title: 'an object store in memory',
  available: true,
  async start() {
    const ground = new MemoryGround()
    const watch = new Watch(ground)
    await watch.prepare()
    const { bucket } = ground
    const at = (prefix: string) =>
      openObjectStore(bucketDefinition({ prefix: `${prefix}/`, bucket: 'hidden-bucket' }), bucket.connect)
    const stores = new Map([
      ['outputs', at('root')],
      ['other', at('other')],
    ])
    let log = ''
    const logger = pino({ level: 'warn' }, { write: line => void (log += line) })
    const service = await startService('', {}, stores, { logs: at('logs'), logger })
    return {
      ...watched(ground, watch),
      port: service.port,
      pid: process.pid,
      errors: () => loggedErrors(log),
      hidden: ['hidden-bucket'],
      tree: undefined,
      close: () => service.close(),
    }
  },
}

const KINDS: readonly Kind[] = [local, memory, minio]

/** A suite against each kind of store, behind whose cases the service must be as it was before the first. */
export function describeVictims(
  suite: (victim: () => Victim, isRemote: boolean) => void,
  { only = () => true, ...options }: VictimOptions & { readonly only?: (title: string) => boolean } = {},
): void {
  for (const kind of KINDS.filter(({ title }) => only(title)))
    describe.skipIf(!kind.available)(`on ${kind.title}`, () => {
      let victim: Victim
      let open = 0
      beforeAll(async () => {
        victim = await kind.start(options)
        // What the first requests open for good, such as connections to the store.
        for (const target of [
          `/outputs/${RUN}/inside.txt`,
          `/outputs/${RUN}/?archive=tar&recursive`,
          '/readyz',
        ])
          await ask(`http://127.0.0.1:${victim.port}${target}`)
        open = descriptors(victim.pid)
      })
      afterAll(() => victim.close())

      suite(() => victim, kind.isRemote === true)

      it('lives on, answers as before, has nothing left open and has not failed', async () => {
        const { status, text } = await ask(`http://127.0.0.1:${victim.port}/outputs/${RUN}/inside.txt`)
        expect([status, text]).toEqual([200, INSIDE])
        expect((await ask(`http://127.0.0.1:${victim.port}/healthz`)).status).toBe(200)
        // Idle connections to a store stay for a while.
        const most = open + (victim.tree === undefined ? STORE_SOCKETS : 2)
        await until(() => descriptors(victim.pid) <= most, {
          describe: () => `${descriptors(victim.pid)} descriptors are open, ${open} were`,
        })
        expect(victim.errors()).toEqual([])
        await victim.expectIntact('after all')
      })
    })
}

const STORE_SOCKETS = 70

function descriptors(pid: number): number {
  return hasProc ? readdirSync(`/proc/${pid}/fd`).length : 0
}
