// A store whose operations do not return: everything that does not need it must go on, and itself when it answers again.
import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { findProgram } from '../client/programs.ts'
import { guarded } from '../../src/store/guarded.ts'
import { openLocalStore } from '../../src/store/local.ts'
import type { ArtifactStore, OpenArtifact } from '../../src/store/store.ts'
import { ask } from '../support/client.ts'
import type { Answer } from '../support/client.ts'
import { startProcess, until } from '../support/process.ts'
import type { ServiceProcess } from '../support/process.ts'
import { startService } from '../support/service.ts'
import type { Service } from '../support/service.ts'
import { OutputsFolder, RUN_URL } from './outputs-folder.ts'
import { changesOf } from '../support/changes.ts'

const DEADLINE_MS = 400
const MAX_OPERATIONS = 8
/** What a request may take beyond the deadline of the one operation that hangs. */
const SLACK_MS = 1500

const folder = new OutputsFolder()

beforeAll(() => {
  folder.write('file.txt', 'content')
  folder.write('hung.bin', 'hung')
  folder.write('hung/file.txt', 'hung')
  folder.write('slow.bin', Buffer.alloc(2_000_000))
})
afterAll(() => folder.remove())

/** 503 rather than 504: no other server has the request, the files themselves are away (RFC 9110 15.6.4). */
function expectUnavailable({ status, headers }: Answer): void {
  expect(status).toBe(503)
  expect(headers['content-type']).toBe('application/problem+json')
  expect(Number(headers['retry-after'])).toBeGreaterThan(0)
}

async function timed<T>(work: Promise<T>): Promise<{ value: T; ms: number }> {
  const startedAt = performance.now()
  const value = await work
  return { value, ms: performance.now() - startedAt }
}

/** `inner`, but what touches a name with `hung` in it waits for the gate, and so does the second chunk of `slow.bin`. */
function hanging(inner: ArtifactStore, gate: () => Promise<void>, inside = false): ArtifactStore {
  const wait = (path: string): Promise<void> => (inside || path.includes('hung') ? gate() : Promise.resolve())
  return {
    ...changesOf(inner),
    capabilities: inner.capabilities,
    stat: async (path, options) => {
      await wait(path)
      return inner.stat(path, options)
    },
    list: async function* (path, options) {
      await wait(path)
      yield* inner.list(path, options)
    },
    open: async (path, options) => {
      await wait(path)
      const artifact = await inner.open(path, options)
      return path.includes('slow') ? hangingReads(artifact, gate) : artifact
    },
    scoped: scope => hanging(inner.scoped(scope), gate, inside || scope.includes('hung')),
    close: () => inner.close(),
  }
}

function hangingReads(artifact: OpenArtifact, gate: () => Promise<void>): OpenArtifact {
  return {
    entry: artifact.entry,
    read: async function* (start, end, options) {
      let isFirst = true
      for await (const chunk of artifact.read(start, end, options)) {
        if (!isFirst) await gate()
        isFirst = false
        yield chunk
      }
    },
    close: () => artifact.close(),
  }
}

describe('with operations that wait', () => {
  let service: Service
  let release: () => void
  let gate: Promise<void>

  beforeEach(async () => {
    gate = new Promise(resolve => (release = resolve))
    const store = guarded(
      hanging(openLocalStore({ root: folder.root }), () => gate),
      { maxOperations: MAX_OPERATIONS, deadlineMs: DEADLINE_MS },
      'outputs',
    )
    service = await startService(folder.root, {}, store)
  })
  afterEach(async () => {
    release()
    await service.close()
  })

  const get = (target: string): Promise<Answer> => ask(service.url + RUN_URL + target)

  it.each([
    'hung.bin',
    'hung/?format=json',
    'hung/?format=ndjson',
    'hung/?archive=tar',
    'hung/?archive=tar.gz',
  ])('answers 503 at the deadline for %s, and 200 when the store answers again', async target => {
    const { value, ms } = await timed(get(target))
    expectUnavailable(value)
    expect(ms).toBeGreaterThanOrEqual(DEADLINE_MS - 50)
    expect(ms).toBeLessThan(DEADLINE_MS + SLACK_MS)
    release()
    await until(async () => (await get(target)).status === 200)
  })

  it('breaks a transfer whose read hangs in its middle', async () => {
    const { value, ms } = await timed(get('slow.bin').catch(() => undefined))
    expect(value?.complete ?? false).toBe(false)
    expect(ms).toBeLessThan(DEADLINE_MS + SLACK_MS)
  })

  it('serves others while fewer operations hang than are allowed', async () => {
    const hung = Array.from({ length: MAX_OPERATIONS - 3 }, () => get('hung.bin'))
    for (let i = 0; i < 5; i++) {
      const { value, ms } = await timed(get('file.txt'))
      expect(value).toMatchObject({ status: 200, text: 'content' })
      expect(ms).toBeLessThan(DEADLINE_MS)
    }
    for (const answer of await Promise.all(hung)) expectUnavailable(answer)
    expect((await get('file.txt')).status).toBe(200)
  })

  it('refuses at once when all places hang, stays alive, and recovers when they return', async () => {
    await Promise.all(Array.from({ length: MAX_OPERATIONS }, () => get('hung.bin')))
    const { value, ms } = await timed(get('file.txt'))
    expectUnavailable(value)
    expect(ms).toBeLessThan(DEADLINE_MS)
    expect((await ask(`${service.url}/healthz`)).status).toBe(200)
    expect((await ask(`${service.url}/readyz`)).status).toBe(503)
    release()
    await until(async () => (await get('file.txt')).status === 200)
    await until(async () => (await ask(`${service.url}/readyz`)).status === 200)
  })
})

it('answers a burst of requests many times as large as the operations allowed at once', async () => {
  const service = await startProcess(folder.root)
  try {
    const answers = await Promise.all(
      Array.from({ length: 300 }, () => ask(`${service.url}${RUN_URL}file.txt`)),
    )
    expect(answers.filter(({ status }) => status !== 200).length).toBe(0)
  } finally {
    await service.destroy()
  }
})

/** A FUSE mount whose daemon never answers, not even the kernel's first question; it is gone when its input ends. */
const HUNG_MOUNT = `
import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
device = os.open('/dev/fuse', os.O_RDWR)
options = f'fd={device},rootmode=40000,user_id={os.getuid()},group_id={os.getgid()}'
if libc.mount(b'hung', sys.argv[1].encode(), b'fuse', 0, options.encode()) != 0:
    sys.exit(os.strerror(ctypes.get_errno()))
print('mounted', flush=True)
sys.stdin.read()
os.close(device)
MNT_DETACH = 2
libc.umount2(sys.argv[1].encode(), MNT_DETACH)
`

const python = findProgram('python3')
const canMount = process.getuid?.() === 0 && existsSync('/dev/fuse') && python !== undefined

describe.skipIf(!canMount)('with a FUSE mount that hangs (needs root, /dev/fuse and python3)', () => {
  let service: ServiceProcess
  let daemon: ChildProcess | undefined
  const mountPoint = join(folder.root, 'ann', 'mnist', 'experiments', '2')

  beforeEach(async () => {
    mkdirSync(mountPoint, { recursive: true })
    writeFileSync(join(mountPoint, 'file.txt'), 'below the mount')
    daemon = spawn(python!, ['-c', HUNG_MOUNT, mountPoint], { stdio: ['pipe', 'pipe', 'inherit'] })
    await Promise.race([once(daemon.stdout!, 'data'), once(daemon, 'exit')])
    service = await startProcess(folder.root, {
      env: { STORE_MAX_OPERATIONS: String(MAX_OPERATIONS), STORE_DEADLINE: `${DEADLINE_MS}ms` },
    })
  })
  afterEach(async () => {
    await unmount()
    await service.destroy()
  })

  async function unmount(): Promise<void> {
    if (daemon === undefined) return
    const gone = once(daemon, 'exit')
    daemon.stdin!.end()
    await gone
    daemon = undefined
  }

  const get = (run: number, target: string): Promise<Answer> =>
    ask(`${service.url}/outputs/ann/mnist/experiments/${run}/${target}`)

  it('answers 503 for what is on it, serves the rest, and recovers when it is unmounted', async () => {
    for (const target of ['file.txt', '?format=json', '?archive=zip']) {
      const { value, ms } = await timed(get(2, target))
      expectUnavailable(value)
      expect(ms).toBeLessThan(DEADLINE_MS + SLACK_MS)
      expect(await get(1, 'file.txt')).toMatchObject({ status: 200, text: 'content' })
    }
    await unmount()
    await until(async () => (await get(2, 'file.txt')).text === 'below the mount')
  })

  it('stays alive when every place hangs, and recovers', async () => {
    const { ms } = await timed(Promise.all(Array.from({ length: 40 }, () => get(2, 'file.txt'))))
    expect(ms).toBeLessThan(DEADLINE_MS + SLACK_MS)
    expectUnavailable(await get(1, 'file.txt'))
    expect((await timed(ask(`${service.url}/healthz`))).ms).toBeLessThan(DEADLINE_MS)
    await unmount()
    await until(async () => (await get(1, 'file.txt')).status === 200)
  })

  it('starts with a volume that hangs from the beginning, and serves the others whatever hangs on it', async () => {
    await service.destroy()
    service = await startProcess(folder.root, {
      env: {
        STORE_DEADLINE: `${DEADLINE_MS}ms`,
        POLYAXON_PERSISTENCE_OUTPUTS: JSON.stringify({
          data: { mountPath: folder.root, existingClaim: 'data' },
          hung: { mountPath: mountPoint, existingClaim: 'hung' },
          other: { mountPath: folder.root, existingClaim: 'other' },
        }),
      },
    })
    const onHung = `${service.url}/outputs/a/b/jobs/1/x.txt?connection=hung`
    const answers = await Promise.all(Array.from({ length: 200 }, () => ask(onHung)))
    for (const answer of answers) {
      expectUnavailable(answer)
      expect(answer.text).toContain("The outputs store 'hung'")
    }
    for (const connection of ['data', 'other']) {
      const { value, ms } = await timed(get(1, `file.txt?connection=${connection}`))
      expect(value).toMatchObject({ status: 200, text: 'content' })
      expect(ms).toBeLessThan(DEADLINE_MS)
    }
    const ready = await timed(ask(`${service.url}/readyz`))
    expect(ready.value.status).toBe(200)
    expect(ready.ms).toBeLessThan(1000)
  })

  it('ends at SIGTERM although operations hang', async () => {
    expectUnavailable(await get(2, 'file.txt'))
    service.kill('SIGTERM')
    const { ms } = await timed(service.ended)
    expect(ms).toBeLessThan(5_000)
  })
})
