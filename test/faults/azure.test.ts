// The Azure driver in trouble: what refusals, broken and silent answers come to, and that nothing hangs or stays open.
import { once } from 'node:events'
import { createServer, type AddressInfo } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, it, onTestFinished } from 'vitest'
import { azureObjects } from '../../src/store/azure.ts'
import type { AzureDefinition } from '../../src/store/definition.ts'
import { ObjectFailure, type ObjectBody, type ObjectClient } from '../../src/store/object-client.ts'
import type { ArtifactStore } from '../../src/store/store.ts'
import { at, listAll, pattern, readAll, withOpen } from '../contract/harness.ts'
import { ACCOUNT, CONTAINER, refuse, ScriptedAzure, type Interception } from '../support/scripted-azure.ts'

const TIMEOUTS = { connectMs: 300, headersMs: 400, idleMs: 300 }
const NEVER = new AbortController().signal
const MIB = 1024 ** 2
const LIST = { prefix: '', delimiter: undefined, maxKeys: 10 } as const

let server: ScriptedAzure
let store: ArtifactStore

beforeEach(async () => {
  server = await ScriptedAzure.start()
  store = server.store()
  server.write('a', pattern(MIB))
})

afterEach(async () => {
  await store.close()
  await server.close()
})

async function connected(settings: Partial<AzureDefinition> = {}): Promise<ObjectClient> {
  const definition = server.definition(settings)
  const client = await azureObjects(definition)({
    values: definition.secret?.values ?? {},
    timeouts: TIMEOUTS,
  })
  onTestFinished(() => client.close())
  return client
}

/** `fault` for the first `times` requests that `concerns` picks. */
function first(times: number, concerns: RegExp, fault: Interception): Interception {
  let left = times
  return (request, response) => {
    if (left === 0 || !concerns.test(`${request.method} ${request.url}`)) return false
    left -= 1
    return fault(request, response)
  }
}

const refusing =
  (...refusal: [status: number, code: string, more?: Parameters<typeof refuse>[4]]): Interception =>
  (request, response) => {
    refuse(request, response, ...refusal)
    return true
  }

const silent: Interception = () => true

async function failureOf(work: Promise<unknown>): Promise<ObjectFailure> {
  const error = await work.then(
    () => new Error('it succeeded'),
    (reason: unknown) => reason,
  )
  if (error instanceof ObjectFailure) return error
  throw error
}

async function drain(body: ObjectBody): Promise<number> {
  let length = 0
  for await (const chunk of body) length += chunk.length
  return length
}

async function pinOf(client: ObjectClient, key: string): Promise<string> {
  return (await client.head(key, NEVER)).etag
}

describe('a refusal', () => {
  it.each([
    ['head', (client: ObjectClient) => client.head('a', NEVER)],
    ['get', (client: ObjectClient) => client.get('a', { start: 0, end: 1, pin: '0x1' }, NEVER)],
    ['list', (client: ObjectClient) => client.list(LIST, NEVER)],
    ['put', (client: ObjectClient) => client.put('b', Buffer.from('b'), {}, NEVER)],
    ['remove', (client: ObjectClient) => client.remove('a', NEVER)],
  ])('of %s is told by its code, also where the answer has no body, after one attempt', async (_, work) => {
    const client = await connected()
    server.intercept = refusing(403, 'AuthorizationPermissionMismatch')
    const failure = await failureOf(work(client))
    expect(failure).toMatchObject({
      reason: 'denied',
      advice: expect.stringContaining('Storage Blob Data Reader') as string,
    })
    expect(server.requests.filter(request => !request.includes('restype=account'))).toHaveLength(1)
  })

  it('for want of a container is no missing artifact', async () => {
    const client = await connected({ bucket: 'elsewhere' })
    expect((await failureOf(client.head('a', NEVER))).reason).toBe('missing')
    expect((await failureOf(client.list(LIST, NEVER))).reason).toBe('missing')
  })

  it('by another web server is no missing artifact', async () => {
    server.intercept = (_, response) => {
      response.writeHead(404, { 'content-type': 'text/html' }).end('<html>Not Found</html>')
      return true
    }
    expect(await failureOf((await connected()).head('a', NEVER))).toMatchObject({ reason: 'misconfigured' })
  })

  it('of a clock that is wrong is told by the date of the answer where it has no body', async () => {
    const date = new Date(Date.now() - 3600_000).toUTCString()
    server.intercept = refusing(403, 'AuthenticationFailed', { headers: { date } })
    expect(await failureOf((await connected()).head('a', NEVER))).toMatchObject({ reason: 'clock' })
  })

  it('reaches clients with the name of the connection and advice, and without host, account, container or key', async () => {
    server.intercept = refusing(403, 'AuthenticationFailed', {
      detail: 'The MAC signature found is not the same',
    })
    const error = await store.stat(at('a')).catch((reason: unknown) => reason)
    expect(error).toMatchObject({ kind: 'Unavailable', trouble: 'credentials', temporary: false })
    const { message } = error as Error
    expect(message).toContain("'models'")
    expect(message).not.toMatch(new RegExp(`127\\.0\\.0\\.1|${ACCOUNT}|'${CONTAINER}'|MAC|c2Ny`))
  })

  it('because the server is busy passes, after the pause that it asked for', async () => {
    server.intercept = first(1, /^HEAD/, refusing(503, 'ServerBusy', { headers: { 'retry-after': '1' } }))
    const begun = performance.now()
    expect(await store.stat(at('a'))).toMatchObject({ size: MIB })
    expect(performance.now() - begun).toBeGreaterThan(900)
  })
})

describe('an answer that is not what was asked for', () => {
  it.each([
    ['the whole blob instead of a part', 200, undefined, 'misconfigured'],
    ['another part', 206, 'bytes 5-9/1048576', 'interrupted'],
  ])('is refused where it is %s', async (_, status, range, reason) => {
    const client = await connected()
    const pin = await pinOf(client, 'a')
    server.intercept = (_request, response) => {
      if (range !== undefined) response.setHeader('content-range', range)
      response.writeHead(status, { etag: `"${pin}"`, 'content-length': 5 }).end('wrong')
      return true
    }
    expect((await failureOf(client.get('a', { start: 10, end: 15, pin }, NEVER))).reason).toBe(reason)
  })

  it('is refused where a list is no XML', async () => {
    const client = await connected()
    server.intercept = (_, response) => {
      response.end('<html>Welcome to the hotel')
      return true
    }
    expect((await failureOf(client.list(LIST, NEVER))).reason).toBe('interrupted')
  })

  it('is a change where the pin does not hold', async () => {
    const client = await connected()
    const pin = await pinOf(client, 'a')
    server.write('a', pattern(MIB, 1))
    expect((await failureOf(client.get('a', { start: 0, end: 10, pin }, NEVER))).reason).toBe('changed')
  })

  it('is told where the range begins behind the end', async () => {
    const client = await connected()
    const pin = await pinOf(client, 'a')
    expect((await failureOf(client.get('a', { start: MIB, end: MIB + 1, pin }, NEVER))).reason).toBe('range')
  })
})

/** Answers a download with its first `bytes`, and then does what `then` does. */
function cut(bytes: number, then: (response: Parameters<Interception>[1]) => void): Interception {
  return (request, response) => {
    if (request.method !== 'GET' || request.url?.includes('comp=') === true) return false
    const [, start, last] = /^bytes=(\d+)-(\d+)$/.exec(String(request.headers['x-ms-range'])) ?? []
    const content = pattern(MIB).subarray(Number(start), Number(last) + 1)
    response.writeHead(206, {
      etag: request.headers['if-match'],
      'last-modified': new Date().toUTCString(),
      'content-length': content.length,
      'content-range': `bytes ${start}-${last}/${MIB}`,
    })
    response.write(content.subarray(0, bytes), () => then(response))
    return true
  }
}

describe('a body that breaks off', () => {
  it('fails, and is not resumed by the SDK', async () => {
    const client = await connected()
    const pin = await pinOf(client, 'a')
    server.intercept = cut(100_000, response => response.destroy())
    const body = await client.get('a', { start: 0, end: MIB, pin }, NEVER)
    expect((await failureOf(drain(body))).reason).toBe('interrupted')
    expect(server.requests.filter(request => request.startsWith('GET'))).toHaveLength(1)
  })

  it('is resumed by the store from where it broke', async () => {
    server.intercept = first(
      3,
      /^GET.*\/a$/,
      cut(100_000, response => response.destroy()),
    )
    const read = await withOpen(store, 'a', artifact => readAll(artifact))
    expect(read.equals(pattern(MIB))).toBe(true)
  })

  it('breaks the read where the blob was replaced meanwhile', async () => {
    server.intercept = first(
      1,
      /^GET.*\/a$/,
      cut(100_000, response => {
        server.write('a', pattern(MIB, 1))
        response.destroy()
      }),
    )
    await expect(withOpen(store, 'a', artifact => readAll(artifact))).rejects.toMatchObject({
      kind: 'Changed',
    })
  })

  it('by falling silent fails within the idle time, and frees its connection', async () => {
    const client = await connected()
    const pin = await pinOf(client, 'a')
    server.intercept = cut(1000, () => undefined)
    const begun = performance.now()
    const body = await client.get('a', { start: 0, end: MIB, pin }, NEVER)
    expect((await failureOf(drain(body))).reason).toBe('timeout')
    expect(performance.now() - begun).toBeLessThan(1500)
    await expect.poll(() => server.openSockets).toBeLessThanOrEqual(1)
  })

  it('does not time out while its consumer takes its time', async () => {
    const client = await connected()
    const pin = await pinOf(client, 'a')
    const body = await client.get('a', { start: 0, end: MIB, pin }, NEVER)
    let length = 0
    for await (const chunk of body) {
      if (length === 0) await sleep(2 * TIMEOUTS.idleMs)
      length += chunk.length
    }
    expect(length).toBe(MIB)
  })
})

describe('silence', () => {
  it('in place of an answer ends after the time for headers', async () => {
    const client = await connected()
    server.intercept = silent
    const begun = performance.now()
    expect((await failureOf(client.head('a', NEVER))).reason).toBe('timeout')
    expect((await failureOf(client.list(LIST, NEVER))).reason).toBe('timeout')
    expect(performance.now() - begun).toBeLessThan(4 * TIMEOUTS.headersMs)
    await expect.poll(() => server.openSockets).toBe(0)
  })

  it('in place of a TLS handshake ends after the time for connecting', async () => {
    const mute = createServer(() => undefined)
    mute.listen(0, '127.0.0.1')
    await once(mute, 'listening')
    onTestFinished(() => void mute.close())
    const { port } = mute.address() as AddressInfo
    const definition = server.definition({ endpoint: `https://127.0.0.1:${port}/${ACCOUNT}` })
    const client = await azureObjects(definition)({
      values: definition.secret!.values,
      timeouts: { ...TIMEOUTS, headersMs: 10_000 },
    })
    const begun = performance.now()
    expect((await failureOf(client.head('a', NEVER))).reason).toBe('timeout')
    expect(performance.now() - begun).toBeLessThan(2000)
  })

  it('of a server that is not there is told at once', async () => {
    const closed = await ScriptedAzure.start()
    const { endpoint } = closed
    await closed.close()
    expect((await failureOf((await connected({ endpoint })).head('a', NEVER))).reason).toBe('unreachable')
  })
})

describe('giving up', () => {
  it.each([
    ['head', (client: ObjectClient, signal: AbortSignal) => client.head('a', signal)],
    ['list', (client: ObjectClient, signal: AbortSignal) => client.list(LIST, signal)],
    [
      'get',
      (client: ObjectClient, signal: AbortSignal) => client.get('a', { start: 0, end: 9, pin: 'x' }, signal),
    ],
  ])('a %s that waits frees its connection at once', async (_, work) => {
    const client = await connected()
    server.intercept = silent
    const giving = new AbortController()
    const waiting = failureOf(work(client, giving.signal))
    await expect.poll(() => server.requests.length).toBeGreaterThan(0)
    giving.abort()
    expect((await waiting).reason).toBe('aborted')
    await expect.poll(() => server.openSockets).toBe(0)
  })

  it('before it begins asks nothing', async () => {
    const client = await connected()
    expect((await failureOf(client.head('a', AbortSignal.abort()))).reason).toBe('aborted')
    expect(server.requests).toEqual([])
  })

  it.each([
    ['aborting', (giving: AbortController) => giving.abort()],
    ['leaving it', (_: AbortController, body: AsyncIterator<Uint8Array>) => body.return?.()],
  ])('a body by %s, read or not, frees its connection at once', async (_, giveUp) => {
    const client = await connected()
    const pin = await pinOf(client, 'a')
    server.write('a', pattern(64 * MIB))
    const current = await pinOf(client, 'a')
    expect(current).not.toBe(pin)
    for (const chunks of [0, 1]) {
      const giving = new AbortController()
      const body = await client.get('a', { start: 0, end: 64 * MIB, pin: current }, giving.signal)
      const iterator = body[Symbol.asyncIterator]()
      for (let i = 0; i < chunks; i++) await iterator.next()
      await giveUp(giving, iterator)
      await expect.poll(() => server.openSockets).toBeLessThanOrEqual(1)
    }
  })

  it('150 downloads leaves no connection in use', async () => {
    server.write('big', pattern(8 * MIB))
    const entry = await store.stat(at('big'))
    const downloads = Array.from({ length: 150 }, async () => {
      const giving = new AbortController()
      const artifact = await store.open(at('big'), { pin: entry, signal: giving.signal })
      try {
        for await (const chunk of artifact.read(0, entry.size, { signal: giving.signal }))
          if (chunk.length > 0) giving.abort()
      } catch {
        // Aborted, as it must be.
      } finally {
        await artifact.close()
      }
    })
    await Promise.all(downloads)
    await expect.poll(() => server.openSockets).toBeLessThanOrEqual(16)
    expect(await withOpen(store, 'a', artifact => readAll(artifact))).toHaveLength(MIB)
    await store.close()
    await expect.poll(() => server.openSockets).toBe(0)
  })
})

describe('names', () => {
  it('that XML cannot hold, or only by references, are listed as they are', async () => {
    const names = ['n/\u0001', 'n/a\rb', 'n/a&#xD;b', 'n/<&>', 'n/\uFFFE', 'n/🙂', 'n/d\r/x']
    for (const name of names) server.write(name, Buffer.from('x'))
    const listed = await listAll(store, 'n', { recursive: true })
    expect(listed.filter(entry => entry.type === 'file').map(entry => entry.path)).toEqual(
      names.toSorted((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b))),
    )
    expect(await listAll(store, 'n')).toContainEqual(
      expect.objectContaining({ path: 'n/d\r', type: 'directory' }),
    )
  })

  it('with a backslash are no others’ with a slash', async () => {
    server.write('x/y', Buffer.from('x'))
    const client = await connected()
    expect((await failureOf(client.head('x\\y', NEVER))).reason).toBe('missing-object')
    expect((await failureOf(client.put('x\\y', Buffer.from(''), {}, NEVER))).reason).toBe('impossible-name')
    await client.remove('x\\y', NEVER)
    expect(await client.head('x/y', NEVER)).toMatchObject({ size: 1 })
  })

  it('of blobs that stand for folders are folders', async () => {
    server.write('f', Buffer.from(''), { hdi_isfolder: 'true' })
    expect(await store.stat(at('f'))).toMatchObject({ type: 'directory' })
    expect(await listAll(store, '')).toContainEqual(expect.objectContaining({ path: 'f', type: 'directory' }))
  })
})

describe('beginning a list at a key', () => {
  const start = { ...LIST, startAfter: 'k5' }

  it('is done by servers that know how, once an answer has told', async () => {
    for (let i = 0; i < 10; i++) server.write(`k${i}`, Buffer.from(''))
    const client = await connected()
    expect(client.canStartAfter).toBe(false)
    await client.list(LIST, NEVER)
    expect(client.canStartAfter).toBe(true)
    const { objects } = await client.list(start, NEVER)
    expect(objects.map(({ key }) => key)).toEqual(['k6', 'k7', 'k8', 'k9'])
    expect(server.requests.at(-1)).toContain('startFrom=k5')
  })

  it.each([
    ['a version that does not know it', { version: '2021-12-02' }],
    ['a hierarchical namespace, whose order is another', { hierarchical: true }],
    ['an account that does not tell its namespace', { tellsAccount: false }],
  ])('is not done with %s', async (_, script) => {
    Object.assign(server, script)
    const client = await connected()
    await client.list(LIST, NEVER)
    expect(client.canStartAfter).toBe(false)
  })

  it('is done with an account that does not tell, once a list has shown that it has no directories', async () => {
    server.tellsAccount = false
    server.remove('a')
    server.write('d/e', Buffer.from(''))
    const client = await connected()
    await client.list(LIST, NEVER)
    expect(client.canStartAfter).toBe(true)
  })
})

describe('the question what account it is', () => {
  const QUESTION = /restype=account/
  const questions = (): number => server.requests.filter(request => QUESTION.test(request)).length

  it('is asked again where the list that asked it was aborted', async () => {
    const client = await connected()
    const giving = new AbortController()
    server.intercept = first(1, QUESTION, silent)
    const given = failureOf(client.list(LIST, giving.signal))
    await expect.poll(questions).toBe(1)
    giving.abort()
    expect((await given).reason).toBe('aborted')
    await client.list(LIST, NEVER)
    expect(client.canStartAfter).toBe(true)
  })

  it.each([
    [503, 'ServerBusy'],
    [500, 'InternalError'],
    [404, 'ContainerNotFound'],
  ])('is asked again after %i %s, which fails no list', async (status, code) => {
    const client = await connected()
    server.intercept = first(1, QUESTION, refusing(status, code))
    expect((await client.list(LIST, NEVER)).objects).toHaveLength(1)
    expect(client.canStartAfter).toBe(false)
    await client.list(LIST, NEVER)
    expect(client.canStartAfter).toBe(true)
  })

  it.each([
    ['an answer', {}],
    ['a denial', { tellsAccount: false }],
  ])('is not asked again after %s', async (_, script) => {
    Object.assign(server, script)
    const client = await connected()
    for (let i = 0; i < 3; i++) await client.list(LIST, NEVER)
    expect(questions()).toBe(1)
  })

  it('is one for all lists that wait for it, and outlives the one that asked it first', async () => {
    const client = await connected()
    const giving = new AbortController()
    server.intercept = first(1, QUESTION, silent)
    const given = failureOf(client.list(LIST, giving.signal))
    await expect.poll(questions).toBe(1)
    const others = [1, 2, 3].map(() => client.list(LIST, NEVER))
    await sleep(50)
    expect(questions()).toBe(1)
    giving.abort()
    expect((await given).reason).toBe('aborted')
    for (const { objects } of await Promise.all(others)) expect(objects).toHaveLength(1)
    expect(questions()).toBe(2)
    expect(client.canStartAfter).toBe(true)
  })
})

describe('a name that no blob can have', () => {
  it.each(['InvalidResourceName', 'InvalidUri', 'OutOfRangeInput'])(
    'and is refused with %s is a missing artifact, and none that can be written',
    async code => {
      const client = await connected()
      server.intercept = refusing(400, code)
      expect((await failureOf(client.head('a', NEVER))).reason).toBe('missing-object')
      const get = client.get('a', { start: 0, end: 1, pin: '0x1' }, NEVER)
      expect((await failureOf(get)).reason).toBe('missing-object')
      expect((await failureOf(client.list(LIST, NEVER))).reason).toBe('misconfigured')
      expect((await failureOf(client.put('a', Buffer.from('a'), {}, NEVER))).reason).toBe('impossible-name')
    },
  )

  it('is not to blame where the name of the container cannot be one', async () => {
    const client = await connected({ bucket: 'Outputs_' })
    server.intercept = refusing(400, 'InvalidResourceName')
    expect((await failureOf(client.head('a', NEVER))).reason).toBe('misconfigured')
  })
})
