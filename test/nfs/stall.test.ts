// An NFS server that stops answering: what does not need it goes on, its clients are told, and when it answers again nothing is left over.
import { spawnSync } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { EXTRA_THREADS } from '../../src/store/local-batch.ts'
import { Connection } from '../faults/connection.ts'
import { ask, json, type Answer } from '../support/client.ts'
import { MiB, startProcess, until, type ServiceProcess } from '../support/process.ts'
import { Tree } from '../support/tree.ts'
import { nfs, RemoteTree } from './mount.ts'

const RUN = 'ann/mnist/experiments/1'
const OTHER_RUN = 'ann/mnist/experiments/2'
const DEADLINE_MS = 3000
/** More than what sockets and read-ahead take of a file that nobody reads. */
const LARGE_BYTES = 32 * MiB
/** Of two volumes together. */
const MAX_OPERATIONS = 12
/** What an answer may take beyond that, on a machine as slow as a virtual one. */
const SLACK_MS = 3000
/** The client of the mount waits in ever longer steps, and so may be late to see that the server is back. */
const RECOVERY_MS = 50_000
const canStall = nfs?.['export'] !== undefined && nfs['stall'] !== undefined && nfs['resume'] !== undefined

function run(command: string): void {
  const { status, stderr } = spawnSync(command, { encoding: 'utf8', shell: true })
  if (status !== 0) throw new Error(`${command}: ${stderr}`)
}

describe.skipIf(!canStall)('a server that does not answer (needs TEST_NFS with stall and resume)', () => {
  let disk: Tree
  let remote: RemoteTree
  let service: ServiceProcess
  let isStalled = false

  beforeAll(() => {
    disk = new Tree()
    disk.write(`${RUN}/file.txt`, 'disk')
    remote = new RemoteTree()
    remote.write(`${RUN}/file.txt`, 'nfs')
  })
  afterAll(() => {
    disk.remove()
    remote.remove()
  })

  beforeEach(async () => {
    service = await startProcess(disk.root, {
      env: {
        OUTPUTS_PATH: '',
        POLYAXON_PERSISTENCE_OUTPUTS: JSON.stringify({
          volume: { mountPath: remote.seenAt, hostPath: remote.seenAt },
          disk: { mountPath: disk.root, hostPath: disk.root },
        }),
        STORE_MAX_OPERATIONS: String(MAX_OPERATIONS),
        STORE_DEADLINE: `${DEADLINE_MS}ms`,
      },
    })
    expect(await get('file.txt')).toMatchObject({ status: 200, text: 'nfs' })
  })
  afterEach(async () => {
    if (isStalled) resume()
    await service.destroy()
  })

  function stall(): void {
    run(nfs!['stall']!)
    isStalled = true
  }

  function resume(): void {
    run(nfs!['resume']!)
    isStalled = false
  }

  const get = (target: string, connection = 'volume'): Promise<Answer> =>
    ask(`${service.url}/outputs/${RUN}/${target}${target.includes('?') ? '&' : '?'}connection=${connection}`)

  async function inMs<T>(limitMs: number, work: Promise<T>): Promise<T> {
    const startedAt = performance.now()
    const value = await work
    expect(performance.now() - startedAt).toBeLessThan(limitMs)
    return value
  }

  async function expectOthersServed(): Promise<void> {
    expect(await inMs(DEADLINE_MS, get('file.txt', 'disk'))).toMatchObject({ status: 200, text: 'disk' })
    expect(await inMs(DEADLINE_MS, ask(`${service.url}/healthz`))).toMatchObject({ status: 200 })
    expect(await inMs(DEADLINE_MS, ask(`${service.url}/readyz`))).toMatchObject({ status: 200 })
  }

  async function expectRecovery(): Promise<void> {
    resume()
    await until(async () => (await get('file.txt')).text === 'nfs', { withinMs: RECOVERY_MS })
    expect((await get('?archive=tar')).status).toBe(200)
    await until(() => service.descriptors().every(target => !target.startsWith(remote.seenAt)), {
      withinMs: RECOVERY_MS,
    })
  }

  it('costs a bounded number of threads, whatever is asked of it, and the other store none', async () => {
    // What this machine has not looked at before: a file that it has open or holds a delegation of (RFC 8881 10.4) needs no server.
    remote.write(`${RUN}/unseen.txt`, 'unseen')
    stall()
    const targets = ['unseen.txt', 'missing.txt', '', '?archive=zip']
    const asked = Array.from({ length: 60 }, (_, i) => get(targets[i % targets.length]!))
    const answers = inMs(DEADLINE_MS * 2 + SLACK_MS, Promise.all(asked))
    for (let i = 0; i < 5; i++) await expectOthersServed()
    for (const { status, headers } of await answers) {
      expect(status).toBe(503)
      expect(Number(headers['retry-after'])).toBeGreaterThan(0)
    }
    expect(blockedThreads(service.pid)).toBeGreaterThan(0)
    expect(blockedThreads(service.pid)).toBeLessThanOrEqual(MAX_OPERATIONS / 2 + EXTRA_THREADS)
    await expectOthersServed()
    await expectRecovery()
    expect(blockedThreads(service.pid)).toBe(0)
  })

  it('is named by readiness, which stays ready for the other store', async () => {
    stall()
    const stores = async (): Promise<unknown> => {
      const ready = await ask(`${service.url}/readyz`)
      expect(ready.status).toBe(200)
      return (json(ready) as { stores: unknown }).stores
    }
    await expect.poll(stores, { timeout: 20_000 }).toMatchObject([
      { name: 'volume', status: 'unavailable' },
      { name: 'disk', status: 'ok' },
    ])
    await expectRecovery()
    await expect.poll(stores, { timeout: 20_000 }).toMatchObject([
      { name: 'volume', status: 'ok' },
      { name: 'disk', status: 'ok' },
    ])
  })

  it('breaks transfers under way, and clients that leave meanwhile take neither threads nor files for good', async () => {
    // Files of their own, as closing the last descriptor of one is what waits for the server; new ones, which this machine has not cached.
    const paths = Array.from({ length: 24 }, (_, i) => `${OTHER_RUN}/${i}.bin`)
    for (const path of paths) {
      remote.write(path, '')
      remote.resize(path, LARGE_BYTES)
    }
    const clients = await Promise.all(
      paths.map(path => Connection.get(service.port, `/outputs/${path}?connection=volume`)),
    )
    for (const client of clients) expect((await client.head()).status).toBe(200)
    stall()
    expect((await clients[0]!.drain()).ending).toBe('reset')
    for (const client of clients) client.reset()
    await until(() => blockedThreads(service.pid) > 0)
    for (let i = 0; i < 5; i++) await expectOthersServed()
    expect(blockedThreads(service.pid)).toBeLessThanOrEqual(MAX_OPERATIONS / 2 + EXTRA_THREADS)
    await expectRecovery()
  })

  it('does not keep the service from ending at SIGTERM', async () => {
    stall()
    expect((await get('missing.txt')).status).toBe(503)
    service.kill('SIGTERM')
    await inMs(10_000, service.ended)
  })

  it('is no reason not to start', async () => {
    stall()
    await service.destroy()
    const other = await startProcess(remote.seenAt)
    try {
      expect((await ask(`${other.url}/healthz`)).status).toBe(200)
      expect((await ask(`${other.url}/readyz`)).status).toBe(503)
      resume()
      await until(async () => (await ask(`${other.url}/readyz`)).status === 200, { withinMs: RECOVERY_MS })
    } finally {
      await other.destroy()
    }
  })
})

/** Threads that wait inside the kernel and cannot be interrupted: state D, proc_pid_stat(5). */
function blockedThreads(pid: number): number {
  return readdirSync(`/proc/${pid}/task`).filter(thread => {
    const stat = readFileSync(`/proc/${pid}/task/${thread}/stat`, 'latin1')
    return stat.slice(stat.lastIndexOf(')') + 2).startsWith('D')
  }).length
}
