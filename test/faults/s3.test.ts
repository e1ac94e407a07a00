// S3 in trouble: what a scripted server does to the store, and what the store makes of it.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer as createTcpServer, type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { isAppError } from '../../src/errors.ts'
import type { ObjectBody } from '../../src/store/object-client.ts'
import { openObjectStore } from '../../src/store/object-store.ts'
import { s3Objects } from '../../src/store/s3.ts'
import type { ArtifactStore } from '../../src/store/store.ts'
import { at, listAll, pattern, readAll, withOpen } from '../contract/harness.ts'
import { BUCKET, KEYS, partOf, refuse, reset, ScriptedS3, silence, xml } from '../support/scripted-s3.ts'

const NONE = new AbortController().signal
const LIST = { prefix: '', delimiter: undefined, maxKeys: 10 } as const

let s3: ScriptedS3
const stores: ArtifactStore[] = []

beforeEach(async () => {
  s3 = await ScriptedS3.start()
})

afterEach(async () => {
  for (const store of stores.splice(0)) await store.close()
  await s3.close()
})

function open(...args: Parameters<ScriptedS3['store']>): ArtifactStore {
  const store = s3.store(...args)
  stores.push(store)
  return store
}

async function content(body: ObjectBody): Promise<Buffer> {
  const chunks: Uint8Array[] = []
  for await (const chunk of body) chunks.push(Buffer.from(chunk))
  return Buffer.concat(chunks)
}

/** The message of the failure of `work`, which must be Unavailable; nothing in it may tell of keys, servers or the SDK. */
async function unavailable(work: Promise<unknown>, trouble: string): Promise<string> {
  const error: unknown = await work.then(
    () => undefined,
    (reason: unknown) => reason,
  )
  expect(error).toMatchObject({ kind: 'Unavailable', trouble })
  if (!isAppError(error)) throw error
  expect(error.message).toContain("'models'")
  for (const secret of [
    ...Object.values(KEYS),
    '127.0.0.1',
    String(s3.port),
    BUCKET,
    'text of',
    '@aws-sdk',
    'smithy',
  ])
    expect(error.message.toLowerCase()).not.toContain(secret.toLowerCase())
  return error.message
}

describe('what passes by itself', () => {
  it.each([
    ['SlowDown', refuse(503, 'SlowDown')],
    ['InternalError', refuse(500, 'InternalError')],
    ['TooManyRequests', refuse(429, 'TooManyRequests')],
    ['RequestTimeout', refuse(400, 'RequestTimeout')],
    [
      'an error in a 200',
      (_: unknown, response) => xml(response, 200, '<Error><Code>InternalError</Code></Error>'),
    ],
    ['another document in a 200', (_: unknown, response) => xml(response, 200, '<html><body/></html>')],
    [
      'half an answer',
      (_: unknown, response) => void response.writeHead(200, { 'content-length': 99 }).write('<Li'),
    ],
    ['a connection that is reset', reset],
  ] as [string, Parameters<ScriptedS3['next']>[0]][])('is tried again after %s', async (name, script) => {
    s3.put('a', 'a')
    s3.next((request, response, body) => {
      script(request, response, body)
      if (name === 'half an answer') setTimeout(() => response.destroy(), 20)
    })
    expect((await listAll(open(), '')).map(({ path }) => path)).toEqual(['a'])
    expect(s3.methods()).toEqual(['GET', 'GET'])
  })

  it('waits as long as the server asks', async () => {
    s3.put('a', 'a')
    s3.next(refuse(503, 'SlowDown', { 'retry-after': '1' }))
    const begun = performance.now()
    await listAll(open(), '')
    expect(performance.now() - begun).toBeGreaterThan(990)
  })

  it.each([
    ['throttled', refuse(503, 'SlowDown')],
    ['interrupted', reset],
  ] as const)('ends as %s when it does not pass', async (trouble, script) => {
    s3.next(...Array.from({ length: 20 }, () => script))
    await unavailable(listAll(open(), ''), trouble)
    expect(s3.requests).toHaveLength(3)
  })

  it('is one attempt for the driver: the SDK does not try again by itself', async () => {
    const client = await s3.connect()
    for (const [script, reason] of [
      [refuse(503, 'SlowDown', { 'retry-after': '7' }), 'throttled'],
      [reset, 'interrupted'],
    ] as const) {
      s3.requests.length = 0
      s3.next(script)
      await expect(client.list(LIST, NONE)).rejects.toMatchObject({ reason })
      expect(s3.requests).toHaveLength(1)
    }
    s3.next(refuse(503, 'SlowDown', { 'retry-after': '7' }))
    await expect(client.list(LIST, NONE)).rejects.toMatchObject({ retryAfterMs: 7000 })
    client.close()
  })

  it('is told as unreachable where nothing listens', async () => {
    await s3.close()
    await unavailable(open().stat(at('a')), 'unreachable')
  })
})

describe('keys', () => {
  it('that expire are read anew from the secret, within the same request', async () => {
    const folder = mkdtempSync(join(tmpdir(), 's3-keys-'))
    try {
      const file = join(folder, 'keys.json')
      const write = (id: string) =>
        writeFileSync(file, JSON.stringify({ AWS_ACCESS_KEY_ID: id, AWS_SECRET_ACCESS_KEY: 'x' }))
      const secret = {
        label: "the secret 'models-s3'",
        values: {},
        files: [{ key: 'keys.json', path: file }],
      }
      write('AKIAOLD')
      s3.put('a', 'content')
      const store = open({ secret })
      expect(await store.stat(at('a'))).toMatchObject({ size: 7 })
      s3.refused.set('AKIAOLD', { status: 400, code: 'ExpiredToken' })
      write('AKIANEW')
      expect(await store.stat(at('a'))).toMatchObject({ size: 7 })
      expect(s3.requests.at(-1)!.headers.authorization).toContain('AKIANEW')
    } finally {
      rmSync(folder, { recursive: true })
    }
  })

  it.each([
    [400, 'ExpiredToken', 'credentials', /have expired/],
    [403, 'InvalidAccessKeyId', 'credentials', /id is unknown/],
    [403, 'SignatureDoesNotMatch', 'credentials', /does not fit/],
    [403, 'AccessDenied', 'denied', /s3:ListBucket/],
  ] as const)(
    'that are refused by %i %s are told so, also by HEAD, which has no body',
    async (status, code, trouble, advice) => {
      s3.put('a', 'a')
      s3.refused.set(KEYS.AWS_ACCESS_KEY_ID, { status, code })
      expect(await unavailable(open().stat(at('a')), trouble)).toMatch(advice)
      expect(await unavailable(listAll(open(), ''), trouble)).toMatch(advice)
    },
  )

  it('of which half is missing are told so, and nothing is sent', async () => {
    const secret = { label: 'the secret', values: { AWS_ACCESS_KEY_ID: 'AKIAGOOD' }, files: [] }
    const message = await unavailable(open({ secret }).stat(at('a')), 'credentials')
    expect(message).toContain('no AWS_SECRET_ACCESS_KEY')
    expect(s3.requests).toEqual([])
  })
})

describe('a secret that was named and is no use, where the surroundings have keys of their own,', () => {
  let folder: string
  const write = (text: string): void => writeFileSync(join(folder, 's3.json'), text)
  const mounted = () => ({ label: "the secret 'models-s3'", values: {}, files: [], folder, named: true })

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 's3-named-'))
    vi.stubEnv('AWS_ACCESS_KEY_ID', 'AKIANODE')
    vi.stubEnv('AWS_SECRET_ACCESS_KEY', 'secret-of-node')
  })
  afterEach(() => {
    vi.unstubAllEnvs()
    rmSync(folder, { recursive: true })
  })

  it.each(['', '{ "AWS_ACCESS_KEY_ID": "AKIAGOOD", }', '{"user": "u"}'])(
    'never makes it somebody else: %j',
    async text => {
      write(text)
      const store = open({ secret: mounted() })
      for (const work of [store.stat(at('a')), listAll(store, '')])
        expect(await unavailable(work, 'credentials')).toContain(
          "The secret 'models-s3' holds none of AWS_ACCESS_KEY_ID",
        )
      expect(s3.requests).toEqual([])
    },
  )

  it('does not replace good keys either, and once they are refused it is still they who ask', async () => {
    write(JSON.stringify(KEYS))
    s3.put('a', 'content')
    const definition = s3.definition({ secret: mounted() })
    const store = openObjectStore(definition, s3Objects(definition), {
      times: { lookMs: 0, lookAfterRefusalMs: 0 },
    })
    stores.push(store)
    await store.stat(at('a'))
    write('{ "AWS_ACCESS_KEY_ID": "AKI')
    for (let i = 0; i < 3; i++) {
      expect(await store.stat(at('a'))).toMatchObject({ size: 7 })
      await sleep(20)
    }
    s3.refused.set(KEYS.AWS_ACCESS_KEY_ID, { status: 400, code: 'ExpiredToken' })
    await unavailable(store.stat(at('a')), 'credentials')
    const signers = s3.requests.map(({ headers }) => /Credential=(\w+)/.exec(headers.authorization!)![1])
    expect(new Set(signers)).toEqual(new Set([KEYS.AWS_ACCESS_KEY_ID]))
  })
})

describe('the region', () => {
  it.each(['redirect', 'malformed'] as const)(
    'that is configured wrongly is told with the right one (%s)',
    async refusal => {
      s3.put('a', 'a')
      s3.region = 'eu-west-1'
      s3.regionRefusal = refusal
      const store = open({ region: 'us-west-2' })
      expect(await unavailable(store.stat(at('a')), 'region')).toContain('The bucket is in eu-west-1.')
      expect(await unavailable(listAll(store, ''), 'region')).toContain('The bucket is in eu-west-1.')
    },
  )

  it.each(['redirect', 'malformed'] as const)('that nobody configured is learnt once (%s)', async refusal => {
    s3.put('a', 'a')
    s3.region = 'eu-west-1'
    s3.regionRefusal = refusal
    const store = open()
    expect(await listAll(store, '')).toHaveLength(1)
    expect(s3.requests).toHaveLength(2)
    expect(await listAll(store, '')).toHaveLength(1)
    expect(s3.requests).toHaveLength(3)
  })

  it('that nobody configured is learnt by all requests that are under way', async () => {
    s3.put('a', 'a')
    s3.region = 'eu-west-1'
    const client = await s3.connect()
    const pages = await Promise.all(Array.from({ length: 8 }, () => client.list(LIST, NONE)))
    expect(pages.map(({ objects }) => objects.length)).toEqual(Array.from({ length: 8 }, () => 1))
    client.close()
  })

  it('is in signed URLs, asked for where it is not known yet', async () => {
    s3.region = 'eu-west-1'
    const client = await s3.connect()
    const url = await client.signedUrl(
      'a',
      { disposition: 'inline', mediaType: 'a/b', expiresInSeconds: 9 },
      NONE,
    )
    expect(new URL(url!).searchParams.get('X-Amz-Credential')).toContain('/eu-west-1/s3/')
    expect(s3.methods()).toEqual(['HEAD', 'HEAD'])
    await client.signedUrl('a', { disposition: 'inline', mediaType: 'a/b', expiresInSeconds: 9 }, NONE)
    expect(s3.requests).toHaveLength(2)
    client.close()
  })
})

describe('the clock', () => {
  it('is taken from the server where ours is wrong, at the cost of one request, for signed URLs too', async () => {
    s3.put('a', 'a')
    s3.clockAheadMs = 3_600_000
    const client = await s3.connect()
    expect((await client.list(LIST, NONE)).objects).toHaveLength(1)
    expect(s3.requests).toHaveLength(2)
    await client.list(LIST, NONE)
    expect(s3.requests).toHaveLength(3)
    const url = await client.signedUrl(
      'a',
      { disposition: 'inline', mediaType: 'a/b', expiresInSeconds: 9 },
      NONE,
    )
    const signedAt = new URL(url!).searchParams.get('X-Amz-Date')!
    const hour = new Date(Date.now() + 3_600_000).toISOString().slice(0, 13).replaceAll('-', '')
    expect(signedAt.slice(0, 11)).toBe(hour)
    client.close()
  })

  it('is corrected also when the first request is a HEAD, which does not say what is wrong', async () => {
    s3.put('a', 'abc')
    s3.clockAheadMs = -3_600_000
    expect(await open().stat(at('a'))).toMatchObject({ size: 3 })
  })

  it('is told as wrong where that does not help', async () => {
    const skewed = refuse(403, 'RequestTimeTooSkewed')
    s3.next(...Array.from({ length: 9 }, () => skewed))
    await unavailable(listAll(open(), ''), 'clock')
  })
})

describe('a body', () => {
  const whole = pattern(600_000)

  it('that breaks off is resumed where it ended, of the same content', async () => {
    const etag = s3.put('model', whole)
    s3.next((request, response) => s3.serve(request, response), partOf(whole, 250_000, 'end'))
    const read = await withOpen(open(), 'model', artifact => readAll(artifact))
    expect(read.equals(whole)).toBe(true)
    const [, first, second] = s3.requests
    expect(first!.headers.range).toBe('bytes=0-599999')
    expect(second!.headers.range).toMatch(/^bytes=[1-9]\d*-599999$/)
    expect(second!.headers['if-match']).toBe(`"${etag}"`)
  })

  it('of which the content changed meanwhile is not continued', async () => {
    s3.put('model', whole)
    s3.next(
      (request, response) => s3.serve(request, response),
      (request, response, body) => {
        partOf(whole, 250_000, 'end')(request, response, body)
        s3.put('model', pattern(600_000, 1))
      },
    )
    const read = withOpen(open(), 'model', artifact => readAll(artifact))
    await expect(read).rejects.toMatchObject({ kind: 'Changed' })
  })

  it('that stalls ends at the idle timeout, and one whose consumer is slow does not', async () => {
    const pin = s3.put('model', whole)
    const client = await s3.connect()
    s3.next(partOf(whole, 100_000, 'stall'))
    const begun = performance.now()
    await expect(
      content(await client.get('model', { start: 0, end: 600_000, pin }, NONE)),
    ).rejects.toMatchObject({
      reason: 'timeout',
    })
    expect(performance.now() - begun).toBeLessThan(2000)
    let read = 0
    for await (const chunk of await client.get('model', { start: 0, end: 600_000, pin }, NONE)) {
      if (read === 0) await sleep(900)
      read += chunk.length
    }
    expect(read).toBe(600_000)
    client.close()
    await s3.socketsDownTo(0)
  })

  it.each([
    ['of other bytes', 'bytes 5-9/600000', 5, 'interrupted'],
    ['of fewer bytes', 'bytes 0-3/600000', 4, 'interrupted'],
    ['of more bytes than it says', 'bytes 0-4/600000', 9, 'interrupted'],
    ['of the whole object', undefined, 600_000, 'misconfigured'],
  ])('%s than were asked for is refused', async (_, range, length, reason) => {
    const pin = s3.put('model', whole)
    const client = await s3.connect()
    s3.next((__, response) => {
      const headers = { etag: `"${pin}"`, 'content-length': length, ...(range && { 'content-range': range }) }
      response.writeHead(range === undefined ? 200 : 206, headers)
      response.write(whole.subarray(0, 4))
    })
    await expect(client.get('model', { start: 0, end: 5, pin }, NONE)).rejects.toMatchObject({ reason })
    client.close()
    await s3.socketsDownTo(0)
  })

  it.each([
    ['another content', { etag: '"another"' }],
    ['a content without a validator', {}],
    ['a content with a weak validator', (pin: string) => ({ etag: `W/"${pin}"` })],
  ])('of %s is refused where the server does not look at If-Match', async (_, headers) => {
    const pin = s3.put('model', whole)
    const client = await s3.connect()
    s3.next((__, response) => {
      const given = typeof headers === 'function' ? headers(pin) : headers
      response.writeHead(206, { ...given, 'content-length': 5, 'content-range': 'bytes 0-4/600000' })
      response.end('12345')
    })
    await expect(client.get('model', { start: 0, end: 5, pin }, NONE)).rejects.toMatchObject({
      reason: 'changed',
    })
    client.close()
  })
})

describe('silence', () => {
  it('before the headers ends at the timeout for them, for every call', async () => {
    const pin = s3.put('a', 'a')
    const client = await s3.connect({}, KEYS, { headersMs: 200 })
    for (const call of [
      () => client.list(LIST, NONE),
      () => client.head('a', NONE),
      () => client.get('a', { start: 0, end: 1, pin }, NONE),
      () => client.put('b', Buffer.from('b'), {}, NONE),
      () => client.remove('a', NONE),
    ]) {
      s3.next(silence)
      const begun = performance.now()
      await expect(call()).rejects.toMatchObject({ reason: 'timeout' })
      expect(performance.now() - begun).toBeLessThan(1500)
    }
    client.close()
    await s3.socketsDownTo(0)
  })

  it('within a list ends too', async () => {
    const client = await s3.connect({}, KEYS, { headersMs: 200, idleMs: 200 })
    s3.next(
      (_, response) => void response.writeHead(200, { 'content-length': 1000 }).write('<ListBucketResult>'),
    )
    await expect(client.list(LIST, NONE)).rejects.toMatchObject({ reason: 'timeout' })
    client.close()
    await s3.socketsDownTo(0)
  })

  it('instead of a TLS handshake ends at the timeout for connecting', async () => {
    const mute = createTcpServer(socket => void socket.on('error', () => undefined).resume())
    await new Promise<void>(resolve => mute.listen(0, '127.0.0.1', resolve))
    const endpoint = `https://127.0.0.1:${(mute.address() as AddressInfo).port}`
    const client = await s3.connect({ endpoint }, KEYS, { connectMs: 200, headersMs: 10_000 })
    const begun = performance.now()
    await expect(client.list(LIST, NONE)).rejects.toMatchObject({ reason: 'timeout' })
    expect(performance.now() - begun).toBeLessThan(2000)
    client.close()
    await new Promise(resolve => mute.close(resolve))
  })
})

describe('connections', () => {
  it('of 150 reads that were aborted or left are free again: two are enough for all', async () => {
    const whole = pattern(2_000_000)
    const pin = s3.put('model', whole)
    const client = await s3.connect({ maxConnections: 2 })
    for (let i = 0; i < 150; i++) {
      const controller = new AbortController()
      const body = await client.get('model', { start: 0, end: whole.length, pin }, controller.signal)
      const chunks = body[Symbol.asyncIterator]()
      if (i % 3 > 0) await chunks.next()
      if (i % 3 === 1) controller.abort()
      else await chunks.return?.()
      if (i % 3 === 1) await expect(chunks.next()).rejects.toMatchObject({ reason: 'aborted' })
    }
    expect((await content(await client.get('model', { start: 0, end: 9, pin }, NONE))).length).toBe(9)
    client.close()
    await s3.socketsDownTo(0)
  })

  it('of requests that are aborted while they wait are ended at once', async () => {
    const client = await s3.connect()
    s3.next(silence, silence)
    const controller = new AbortController()
    const work = [client.list(LIST, controller.signal), client.head('a', controller.signal)]
    await s3.socketsDownTo(2)
    while (s3.requests.length < 2) await sleep(5)
    controller.abort()
    for (const each of await Promise.allSettled(work))
      expect(each).toMatchObject({ status: 'rejected', reason: { reason: 'aborted' } })
    await s3.socketsDownTo(0, 500)
    await expect(client.list(LIST, controller.signal)).rejects.toMatchObject({ reason: 'aborted' })
    expect(s3.requests).toHaveLength(2)
    client.close()
  })

  it('are kept for the next request, and no more than allowed', async () => {
    s3.put('a', 'a')
    const client = await s3.connect({ maxConnections: 3 })
    await Promise.all(Array.from({ length: 20 }, () => client.head('a', NONE)))
    expect(s3.sockets.size).toBe(3)
    await client.head('a', NONE)
    expect(s3.sockets.size).toBe(3)
    client.close()
    await s3.socketsDownTo(0)
  })

  it('stay until their bodies have ended when the client is closed', async () => {
    const whole = pattern(3_000_000)
    const pin = s3.put('model', whole)
    const client = await s3.connect()
    const body = await client.get('model', { start: 0, end: whole.length, pin }, NONE)
    client.close()
    expect((await content(body)).equals(whole)).toBe(true)
    await s3.socketsDownTo(0)
  })

  it('carry no body for stat: a missing object costs one HEAD once the bucket was seen', async () => {
    s3.put('a', 'a')
    const client = await s3.connect()
    await client.head('a', NONE)
    await expect(client.head('b', NONE)).rejects.toMatchObject({ reason: 'missing-object' })
    expect(s3.methods()).toEqual(['HEAD', 'HEAD'])
    const elsewhere = await s3.connect({ bucket: 'another-bucket' })
    await expect(elsewhere.head('b', NONE)).rejects.toMatchObject({ reason: 'missing' })
    client.close()
    elsewhere.close()
  })

  it('tell an object that goes while it is asked for from a bucket that is not there', async () => {
    const client = await s3.connect()
    const gone = refuse(404, 'NoSuchKey')
    s3.put('a', '')
    s3.next(gone, (request, response) => s3.serve(request, response), gone)
    await expect(client.head('a', NONE)).rejects.toMatchObject({ reason: 'missing-object' })
    expect(s3.methods()).toEqual(['HEAD', 'GET', 'HEAD'])
    client.close()
  })

  it.each(['KeyTooLongError', 'InvalidURI', 'XMinioInvalidObjectName', 'XMinioInvalidResourceName'])(
    'say that an object is missing where no key can be that one (%s), but not that all of the store is',
    async code => {
      const pin = s3.put('a', 'a')
      const client = await s3.connect()
      const no = refuse(400, code)
      s3.next(no, no, no, no, no, no)
      await expect(client.head('a', NONE)).rejects.toMatchObject({ reason: 'missing-object' })
      await expect(client.get('a', { start: 0, end: 1, pin }, NONE)).rejects.toMatchObject({
        reason: 'missing-object',
      })
      await expect(client.list(LIST, NONE)).rejects.toMatchObject({ reason: 'misconfigured' })
      const nothing = { objects: [], prefixes: [], token: undefined }
      expect(await client.list({ ...LIST, prefix: 'a/.. /' }, NONE)).toEqual(nothing)
      expect(await client.list({ ...LIST, startAfter: '.. /a' }, NONE)).toEqual(nothing)
      expect(s3.methods()).toEqual(['HEAD', 'GET', 'GET', 'GET', 'GET', 'GET'])
      client.close()
    },
  )

  it('that one of which a reset has shown stale are all given up, so that the next attempt gets a fresh one', async () => {
    s3.put('a', 'a')
    const store = open()
    await Promise.all(Array.from({ length: 8 }, () => store.stat(at('a'))))
    const stale = [...s3.sockets]
    expect(stale.length).toBeGreaterThan(3)
    // As a load balancer that has forgotten them does: nothing until the next use, then a reset.
    for (const socket of stale)
      socket.prependListener('data', () => {
        socket.removeAllListeners('data')
        socket.resetAndDestroy()
      })
    await store.stat(at('a'))
    await s3.socketsDownTo(1)
    expect(s3.sockets.size).toBe(1)
  })

  it('to what does not speak S3 give no NotFound', async () => {
    const page = (_: unknown, response: Parameters<Parameters<ScriptedS3['next']>[0]>[1]): void => {
      response.removeHeader('x-amz-request-id')
      response.writeHead(404, { 'content-type': 'text/plain' }).end('default backend - 404')
    }
    s3.next(page, page, page)
    await unavailable(open().stat(at('a')), 'misconfigured')
  })
})
