// The service over a bucket of a real server behind a bad network, and over a second store that nothing ails.
import { randomBytes } from 'node:crypto'
import { expect, onTestFinished } from 'vitest'
import type { ObjectStoreDefinition } from '../../src/store/definition.ts'
import { azureObjects } from '../../src/store/azure.ts'
import { gcsObjects } from '../../src/store/gcs.ts'
import { guarded } from '../../src/store/guarded.ts'
import { MemoryStore } from '../../src/store/memory.ts'
import type { ConnectObjects, ObjectTimeouts } from '../../src/store/object-client.ts'
import { openObjectStore, type ObjectStoreOptions } from '../../src/store/object-store.ts'
import { parsePath } from '../../src/store/path.ts'
import { s3Objects } from '../../src/store/s3.ts'
import type { ArtifactStore } from '../../src/store/store.ts'
import { ask } from '../support/client.ts'
import { CountingProxy } from '../support/counting-proxy.ts'
import { startService, type Service } from '../support/service.ts'
import { serverSettings } from '../support/servers.ts'
import { azuriteAccess, makeAzurite } from '../support/store-azure.ts'
import { makeFakeGcs } from '../support/store-gcs.ts'
import { makeBucket, s3Definition, s3Server } from '../support/store-s3.ts'
import { BadNetwork, hasToxiproxy, type Toxic } from '../support/toxiproxy.ts'
import { Connection } from './connection.ts'

/** The default connection and the other one, by name. */
export const BAD = 'bad'
export const GOOD = 'good'
export const RUN = 'ann/mnist/experiments/1'

/** Short, so that a test can wait for all attempts to fail. */
export const TIMEOUTS: ObjectTimeouts = { connectMs: 500, headersMs: 1000, idleMs: 1000 }

/** All attempts of one request with these timeouts, and the pauses between them. */
export const REQUEST_MS = 6_000
/** The same within a body, where more attempts are made. */
export const BODY_MS = 25_000
export const MiB = 1024 * 1024

/** What a bucket of a server is reached with, and a way to fill it that no fault is in. */
interface Bucket {
  readonly definition: ObjectStoreDefinition
  write(key: string, content: Uint8Array): Promise<void>
  close(): Promise<void>
}

export interface FaultyServer {
  readonly title: string
  readonly available: boolean
  makeBucket(): Promise<Bucket>
}

export const MINIO: FaultyServer = {
  title: 'S3 on MinIO (needs TEST_MINIO and TEST_TOXIPROXY)',
  available: serverSettings('minio') !== undefined && hasToxiproxy,
  async makeBucket() {
    const server = s3Server('minio')!
    const bucket = await makeBucket(server)
    return {
      definition: s3Definition(server, bucket.name),
      write: (key, content) => bucket.put(key, content),
      close: () => bucket.close(),
    }
  },
}

const GCS: FaultyServer = {
  title: 'Cloud Storage on fake-gcs-server (needs TEST_GCS and TEST_TOXIPROXY)',
  available: serverSettings('gcs') !== undefined && hasToxiproxy,
  async makeBucket() {
    const harness = await makeFakeGcs(serverSettings('gcs')!['endpoint']!)
    return {
      definition: harness.definition,
      write: async (key, content) => harness.write(key, content),
      close: () => harness.close(),
    }
  },
}

const AZURITE: FaultyServer = {
  title: 'Azure Blob Storage on Azurite (needs TEST_AZURITE and TEST_TOXIPROXY)',
  available: serverSettings('azurite') !== undefined && hasToxiproxy,
  async makeBucket() {
    const harness = await makeAzurite()
    return {
      definition: { ...harness.definition, endpoint: azuriteAccess().endpoint },
      write: async (key, content) => harness.write(key, content),
      close: () => harness.close(),
    }
  },
}

export const FAULTY_SERVERS: readonly FaultyServer[] = [MINIO, GCS, AZURITE]

export interface Faulty {
  readonly network: BadNetwork
  readonly service: Service
  /** With the option `counted`. */
  readonly traffic: CountingProxy | undefined
  /** Where the run of `RUN` is on the service. */
  readonly url: string
  /** Until the test has ended, or what it gives back is called. */
  suffer(toxic: Toxic): Promise<() => Promise<void>>
  /** Until the test has ended, or `network.comeBack()`. */
  goAway(): Promise<void>
  /** A client of the bad store on a bare socket, with a GET of `target` in the run on its way. */
  connect(target: string): Promise<Connection>
  /** Fails unless the good store answers. */
  expectOtherStoreServed(): Promise<void>
  /** Writes into the run of the bad store and gives back the content: `size` bytes that no compression makes shorter. */
  write(path: string, size: number): Promise<Buffer>
  close(): Promise<void>
}

export interface FaultyOptions {
  readonly change?: (definition: ObjectStoreDefinition) => ObjectStoreDefinition
  readonly store?: ObjectStoreOptions
  /** Counts what goes through the network, in `Faulty.traffic`. */
  readonly counted?: boolean
}

/** The connection `BAD` over a new bucket of `server` through a network to be made bad, and `GOOD`, whose run has a `file.txt`. */
export async function startFaulty(server: FaultyServer, options: FaultyOptions = {}): Promise<Faulty> {
  const bucket = await server.makeBucket()
  const direct = bucket.definition
  const network = await BadNetwork.before(direct.endpoint!)
  const traffic = options.counted === true ? await CountingProxy.before(network.endpoint) : undefined
  const { origin } = new URL(direct.endpoint!)
  const endpoint = direct.endpoint!.replace(origin, (traffic ?? network).endpoint)
  const { change = (definition: ObjectStoreDefinition) => definition } = options
  const definition = change({ ...direct, name: BAD, endpoint })
  const bad = openObjectStore(definition, withTimeouts(driverOf(definition)), options.store)
  const good = new MemoryStore()
  good.write(parsePath(`${RUN}/file.txt`), Buffer.from('good'))
  const service = await startService(
    '',
    {},
    new Map([
      [BAD, served(bad, BAD)],
      [GOOD, served(good, GOOD)],
    ]),
  )
  return {
    network,
    service,
    traffic,
    url: `${service.url}/outputs/${RUN}/`,
    async suffer(toxic) {
      const remove = await network.add(toxic)
      let isHealed = false
      const heal = async (): Promise<void> => {
        if (isHealed) return
        isHealed = true
        await remove()
      }
      onTestFinished(heal)
      return heal
    },
    async goAway() {
      onTestFinished(() => network.comeBack())
      await network.goAway()
    },
    connect: target => Connection.get(service.port, `/outputs/${RUN}/${target}`),
    async expectOtherStoreServed() {
      const answer = await ask(`${service.url}/outputs/${RUN}/file.txt?connection=${GOOD}`)
      expect([answer.status, answer.text]).toEqual([200, 'good'])
    },
    async write(path, size) {
      const content = randomBytes(size)
      await bucket.write(`${RUN}/${path}`, content)
      return content
    },
    async close() {
      await service.close()
      await traffic?.close()
      await network.remove()
      await bucket.close()
    },
  }
}

/** With room for more than any test has under way, as the service gives it to object stores. */
function served(store: ArtifactStore, name: string): ArtifactStore {
  return guarded(store, { maxOperations: 1000, deadlineMs: 60_000 }, name)
}

function driverOf(definition: ObjectStoreDefinition): ConnectObjects {
  switch (definition.kind) {
    case 's3':
      return s3Objects(definition)
    case 'gcs':
      return gcsObjects(definition)
    case 'azure':
      return azureObjects(definition)
  }
}

function withTimeouts(connect: ConnectObjects): ConnectObjects {
  return options => connect({ ...options, timeouts: TIMEOUTS })
}
