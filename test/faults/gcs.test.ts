// What Cloud Storage, its token endpoints and the network between can do to the driver.
import { createHash, generateKeyPairSync, verify } from 'node:crypto'
import type { ServerResponse } from 'node:http'
import { createServer as createTcpServer, type AddressInfo } from 'node:net'
import { gzipSync } from 'node:zlib'
import { Storage } from '@google-cloud/storage'
import { GoogleAuth } from 'google-auth-library'
import { describe, expect, it, onTestFinished } from 'vitest'
import type { GcsDefinition } from '../../src/store/definition.ts'
import { gcsObjects } from '../../src/store/gcs.ts'
import type { ObjectClient, ObjectTimeouts } from '../../src/store/object-client.ts'
import { at, listAll, pattern, readAll, withOpen } from '../contract/harness.ts'
import { BUCKET, fail, isMedia, json, ScriptedGcs } from '../support/scripted-gcs.ts'

const TIMEOUTS: ObjectTimeouts = { connectMs: 300, headersMs: 400, idleMs: 300 }
const NEVER = new AbortController().signal
const CONTENT = pattern(3_000_000)

async function started(): Promise<ScriptedGcs> {
  const server = await ScriptedGcs.start()
  onTestFinished(() => server.close())
  return server
}

async function connected(
  server: ScriptedGcs,
  values: Readonly<Record<string, string>> = {},
  changes: Partial<GcsDefinition> = {},
): Promise<ObjectClient> {
  const client = await gcsObjects(server.definition(changes))({ values, timeouts: TIMEOUTS })
  onTestFinished(() => client.close())
  return client
}

async function headAndGet(
  client: ObjectClient,
  key: string,
  signal = NEVER,
): Promise<AsyncIterable<Uint8Array>> {
  const { size, etag } = await client.head(key, signal)
  return client.get(key, { start: 0, end: size, pin: etag }, signal)
}

async function whole(body: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const chunks: Uint8Array[] = []
  for await (const chunk of body) chunks.push(chunk)
  return Buffer.concat(chunks)
}

const objectList = { prefix: '', delimiter: undefined, maxKeys: 1000 } as const

describe('a secret that was named', () => {
  it('and holds no key is never replaced by anonymous requests', async () => {
    const server = await started()
    const secret = { label: "the secret 'keys'", values: {}, files: [], named: true }
    const useless: Record<string, string>[] = [{}, { 'gcs.json': '{"type": ' }, { AWS_ACCESS_KEY_ID: 'a' }]
    for (const values of useless)
      await expect(connected(server, values, { secret })).rejects.toMatchObject({
        reason: 'credentials',
        advice: expect.stringContaining("The secret 'keys' holds none of GC_KEYFILE_DICT") as string,
      })
    await expect(connected(server, {})).resolves.toBeDefined()
  })
})

describe('a body', () => {
  it.each<[string, (response: ServerResponse) => void, object]>([
    ['ends early', response => response.destroy(), { reason: 'interrupted' }],
    ['stalls', () => undefined, { reason: 'timeout' }],
  ])('that %s fails, and its connection is closed', async (_, then, failure) => {
    const server = await started()
    server.write('model', CONTENT)
    const client = await connected(server)
    server.once((request, response) => {
      if (!isMedia(request)) return false
      response.writeHead(206, {
        'content-length': CONTENT.length,
        'content-range': `bytes 0-${CONTENT.length - 1}/${CONTENT.length}`,
        'x-goog-generation': request.url.searchParams.get('ifGenerationMatch') ?? '',
      })
      response.write(CONTENT.subarray(0, 100_000), () => then(response))
      return true
    })
    await expect(whole(await headAndGet(client, 'model'))).rejects.toMatchObject(failure)
    await server.socketsDownTo(0)
  })

  it('may be read slower than the time it may be silent', async () => {
    const server = await started()
    server.write('model', CONTENT)
    const client = await connected(server)
    let length = 0
    for await (const chunk of await headAndGet(client, 'model')) {
      if (length === 0) await new Promise(done => setTimeout(done, TIMEOUTS.idleMs * 2))
      length += chunk.length
    }
    expect(length).toBe(CONTENT.length)
  })

  it.each<[string, (body: AsyncIterable<Uint8Array>, abort: () => void) => Promise<unknown>]>([
    ['never begun', body => Promise.resolve(body[Symbol.asyncIterator]().return?.())],
    [
      'left after a chunk',
      async body => {
        for await (const chunk of body) if (chunk.length > 0) break
      },
    ],
    [
      'aborted before it is begun',
      async (body, abort) => {
        abort()
        await expect(whole(body)).rejects.toMatchObject({ reason: 'aborted' })
      },
    ],
    [
      'aborted in the middle',
      async (body, abort) => {
        const read = async (): Promise<void> => {
          for await (const chunk of body) if (chunk.length > 0) abort()
        }
        await expect(read()).rejects.toMatchObject({ reason: 'aborted' })
      },
    ],
  ])('%s frees its connection at once', async (_, leave) => {
    const server = await started()
    server.write('model', CONTENT)
    const client = await connected(server)
    const controller = new AbortController()
    await leave(await headAndGet(client, 'model', controller.signal), () => controller.abort())
    await server.socketsDownTo(0)
  })

  it('leaves the pool free when 150 of them were aborted', async () => {
    const server = await started()
    server.write('model', CONTENT)
    const client = await connected(server, {}, { maxConnections: 4 })
    const abandon = async (): Promise<void> => {
      const controller = new AbortController()
      const body = await headAndGet(client, 'model', controller.signal)
      for await (const chunk of body) if (chunk.length > 0) controller.abort()
    }
    for (let i = 0; i < 150; i += 3)
      for (const outcome of await Promise.allSettled([abandon(), abandon(), abandon()]))
        expect(outcome).toMatchObject({ status: 'rejected', reason: { reason: 'aborted' } })
    expect((await whole(await headAndGet(client, 'model'))).equals(CONTENT)).toBe(true)
    await server.socketsDownTo(1)
  })
})

describe('an answer with content', () => {
  const range = { start: 1000, end: 2000 }

  it.each<[string, Record<string, string | number>, number, object]>([
    ['ignores the range', { 'content-length': 5000 }, 200, { reason: 'misconfigured' }],
    [
      'is of another range',
      { 'content-length': 1000, 'content-range': 'bytes 0-999/5000' },
      206,
      { reason: 'interrupted' },
    ],
    [
      'is shorter than the range',
      { 'content-length': 900, 'content-range': 'bytes 1000-1899/5000' },
      206,
      { reason: 'interrupted' },
    ],
    ['names no range', { 'content-length': 1000 }, 206, { reason: 'interrupted' }],
    [
      'ignores the pin',
      { 'content-length': 1000, 'content-range': 'bytes 1000-1999/5000', 'x-goog-generation': '1' },
      206,
      { reason: 'changed' },
    ],
    [
      'names no generation',
      { 'content-length': 1000, 'content-range': 'bytes 1000-1999/5000', 'x-goog-generation': '' },
      206,
      { reason: 'interrupted' },
    ],
  ])('that %s is refused before a byte of it is used', async (_, headers, status, failure) => {
    const server = await started()
    server.write('data', pattern(5000))
    const client = await connected(server)
    const { etag } = await client.head('data', NEVER)
    server.once((request, response) => {
      if (!isMedia(request)) return false
      const all: Record<string, string | number> = { 'x-goog-generation': etag, ...headers }
      if (all['x-goog-generation'] === '') delete all['x-goog-generation']
      response.writeHead(status, all).end(Buffer.alloc(Number(headers['content-length'])))
      return true
    })
    await expect(client.get('data', { ...range, pin: etag }, NEVER)).rejects.toMatchObject(failure)
  })

  it('fails with `changed` where the service holds another generation', async () => {
    const server = await started()
    server.write('data', pattern(5000))
    const client = await connected(server)
    const { etag } = await client.head('data', NEVER)
    server.write('data', pattern(5000, 1))
    await expect(client.get('data', { ...range, pin: etag }, NEVER)).rejects.toMatchObject({
      reason: 'changed',
    })
  })

  it('that was stored with gzip comes as it was stored, also in part, and its coding is named', async () => {
    const server = await started()
    const coded = gzipSync(pattern(50_000))
    server.write('logs', coded, 'gzip')
    const client = await connected(server)
    const head = await client.head('logs', NEVER)
    expect(head).toMatchObject({ size: coded.length, contentEncoding: 'gzip' })
    const body = await client.get('logs', { start: 10, end: 300, pin: head.etag }, NEVER)
    expect((await whole(body)).equals(coded.subarray(10, 300))).toBe(true)
    await withOpen(server.store(), 'logs', async artifact => {
      expect((await readAll(artifact)).equals(coded)).toBe(true)
    })
  })
})

describe('waiting', () => {
  it('for headers ends in time', async () => {
    const server = await started()
    server.script(() => true)
    const client = await connected(server)
    const began = Date.now()
    await expect(client.head('a', NEVER)).rejects.toMatchObject({ reason: 'timeout' })
    expect(Date.now() - began).toBeLessThan(TIMEOUTS.headersMs * 3)
    await server.socketsDownTo(0)
  })

  it('for a page that stalls in its middle ends in time', async () => {
    const server = await started()
    server.once((_, response) => {
      response.writeHead(200, { 'content-type': 'application/json' }).write('{"items":[')
      return true
    })
    const client = await connected(server)
    await expect(client.list(objectList, NEVER)).rejects.toMatchObject({ reason: 'timeout' })
  })

  it('for a TLS handshake ends in time', async () => {
    const silent = createTcpServer(() => undefined).listen(0, '127.0.0.1')
    onTestFinished(() => void silent.close())
    await new Promise(done => silent.once('listening', done))
    const server = await started()
    const endpoint = `https://127.0.0.1:${(silent.address() as AddressInfo).port}`
    const client = await connected(server, {}, { endpoint })
    await expect(client.head('a', NEVER)).rejects.toMatchObject({ reason: 'timeout' })
  })

  it('for anything ends with the signal', async () => {
    const server = await started()
    server.script(() => true)
    const client = await connected(server)
    for (const call of [
      (signal: AbortSignal) => client.head('a', signal),
      (signal: AbortSignal) => client.list(objectList, signal),
      (signal: AbortSignal) => client.put('a', Buffer.from('a'), {}, signal),
      (signal: AbortSignal) => client.remove('a', signal),
    ]) {
      const controller = new AbortController()
      const outcome = call(controller.signal)
      setTimeout(() => controller.abort(), 50)
      await expect(outcome).rejects.toMatchObject({ reason: 'aborted' })
      await expect(call(AbortSignal.abort())).rejects.toMatchObject({ reason: 'aborted' })
    }
    await server.socketsDownTo(0)
  })
})

describe('a server that is none', () => {
  it.each<[string, string, object]>([
    ['nobody listens', 'http://127.0.0.1:1', { reason: 'unreachable' }],
    ['the name does not exist', 'http://storage.invalid', { reason: 'unreachable' }],
  ])('because %s says so', async (_, endpoint, failure) => {
    const server = await started()
    const client = await connected(server, {}, { endpoint })
    await expect(client.head('a', NEVER)).rejects.toMatchObject(failure)
  })

  it('because it speaks HTTP where TLS is expected is misconfigured', async () => {
    const server = await started()
    const client = await connected(server, {}, { endpoint: server.endpoint.replace('http:', 'https:') })
    await expect(client.head('a', NEVER)).rejects.toMatchObject({ reason: 'misconfigured' })
  })

  it.each(['', '<html>', '{"items":{}}', '{"items":[{"name":"a"}]}', '[]', 'null'])(
    'because it answers %j is interrupted, or an empty page',
    async body => {
      const server = await started()
      server.script((_, response) => {
        response.writeHead(200).end(body)
        return true
      })
      const client = await connected(server)
      const outcome = await client.list(objectList, NEVER).catch((error: unknown) => error)
      if (body === '[]') expect(outcome).toMatchObject({ objects: [], prefixes: [] })
      else expect(outcome).toMatchObject({ reason: 'interrupted' })
    },
  )

  it('resets a connection: the failure is worth another try', async () => {
    const server = await started()
    server.once((_, response) => {
      response.socket?.resetAndDestroy()
      return true
    })
    const client = await connected(server)
    await expect(client.head('a', NEVER)).rejects.toMatchObject({ reason: 'interrupted' })
  })
})

describe('access', () => {
  const FEDERATED = {
    type: 'external_account',
    audience: '//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/providers/k',
    subject_token_type: 'urn:ietf:params:oauth:token-type:jwt',
  }

  /** A key that gets its tokens from the scripted server: `tokens`, one for each request, then refusals. */
  function federatedKey(server: ScriptedGcs, tokens: string[]): Record<string, string> {
    server.tokens = new Set(tokens)
    server.script(({ url }, response) => {
      if (url.pathname === '/subject') response.end('subject-token')
      else if (url.pathname !== '/token') return false
      else {
        const access_token = tokens.shift()
        if (access_token === undefined)
          json(response, 400, { error: 'invalid_grant', error_description: 'Invalid JWT Signature.' })
        else json(response, 200, { access_token, token_type: 'Bearer', expires_in: 3600 })
      }
      return true
    })
    const credential_source = JSON.stringify({ url: `${server.endpoint}/subject` })
    return { ...FEDERATED, token_url: `${server.endpoint}/token`, credential_source }
  }

  it('is by a token that is fetched once and used for all requests', async () => {
    const server = await started()
    server.write('a', Buffer.from('a'))
    const client = await connected(server, federatedKey(server, ['good']))
    await Promise.all(Array.from({ length: 10 }, () => client.head('a', NEVER)))
    expect(server.requests.filter(({ url }) => url.pathname === '/token')).toHaveLength(1)
  })

  it('that the service refuses is `credentials`, and a new client gets a new token', async () => {
    const server = await started()
    server.write('a', Buffer.from('a'))
    const values = federatedKey(server, ['revoked', 'good'])
    server.tokens?.delete('revoked')
    await expect((await connected(server, values)).head('a', NEVER)).rejects.toMatchObject({
      reason: 'credentials',
    })
    expect(await (await connected(server, values)).head('a', NEVER)).toMatchObject({ size: 1 })
  })

  it('that the token endpoint refuses is `credentials`, with what to do', async () => {
    const server = await started()
    const client = await connected(server, federatedKey(server, []))
    await expect(client.head('a', NEVER)).rejects.toMatchObject({
      reason: 'credentials',
      advice: 'The key was deleted or replaced.',
    })
  })

  it('by a token endpoint that hangs ends in time, and a later request asks it anew', async () => {
    const server = await started()
    server.write('a', Buffer.from('a'))
    const values = federatedKey(server, ['good'])
    const hangs = server.script(({ url }) => url.pathname === '/token')
    const client = await connected(server, values)
    await expect(client.head('a', AbortSignal.timeout(50))).rejects.toMatchObject({ reason: 'aborted' })
    await expect(client.head('a', NEVER)).rejects.toMatchObject({ reason: 'timeout' })
    hangs()
    await expect(client.head('a', NEVER)).resolves.toMatchObject({ size: 1 })
  })

  it('to a server that is not Google’s never takes what the surroundings offer', async () => {
    const server = await started()
    server.write('a', Buffer.from('a'))
    await (await connected(server)).head('a', NEVER)
    expect(server.requests.map(({ headers }) => headers.authorization)).toEqual([undefined])
  })

  it('names the project that pays in every request', async () => {
    const server = await started()
    server.write('a', Buffer.from('a'))
    const client = await connected(server, {}, { userProject: 'payer' })
    await client.list(objectList, NEVER)
    await client.put('b', Buffer.from('b'), {}, NEVER)
    await whole(await headAndGet(client, 'b'))
    await client.remove('b', NEVER)
    expect(server.requests.map(({ url }) => url.searchParams.get('userProject'))).toEqual(
      Array(5).fill('payer'),
    )
  })
})

describe('a signed URL', () => {
  const { publicKey, privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
  const SERVICE_ACCOUNT = {
    type: 'service_account',
    client_email: 'reader@models.iam.gserviceaccount.com',
    private_key: privateKey.export({ type: 'pkcs8', format: 'pem' }) as string,
  }
  const REQUEST = {
    disposition: `attachment; filename="weights 1.bin"; filename*=UTF-8''weights%201.bin`,
    mediaType: 'application/octet-stream',
    expiresInSeconds: 60,
  }

  it('is made without the service where the key is at hand, for the host that clients reach', async () => {
    const server = await started()
    const client = await connected(server, SERVICE_ACCOUNT, { publicEndpoint: 'https://files.example.org' })
    const url = new URL((await client.signedUrl('runs/1/weights 1.bin', REQUEST, NEVER))!)
    expect(server.requests).toEqual([])
    expect(url.origin + url.pathname).toBe(`https://files.example.org/${BUCKET}/runs/1/weights%201.bin`)
    expect(url.searchParams.get('response-content-disposition')).toBe(REQUEST.disposition)
    expect(url.searchParams.get('response-content-type')).toBe(REQUEST.mediaType)
    expect(url.searchParams.get('X-Goog-Algorithm')).toBe('GOOG4-RSA-SHA256')
    expect(Number(url.searchParams.get('X-Goog-Expires'))).toBeGreaterThanOrEqual(59)
    expect(Number(url.searchParams.get('X-Goog-Expires'))).toBeLessThanOrEqual(60)
    expect(url.searchParams.get('X-Goog-Signature')).toMatch(/^[0-9a-f]{512}$/)
  })

  /** The signature as a server checks it, for which the client's Host is `host`. */
  function verifies(url: URL, host: string): boolean {
    const [query, signature = ''] = url.search.slice(1).split('&X-Goog-Signature=')
    const canonical = ['GET', url.pathname, query, `host:${host}`, '', 'host', 'UNSIGNED-PAYLOAD'].join('\n')
    const scope = url.searchParams.get('X-Goog-Credential')!.split('/').slice(1).join('/')
    const hash = createHash('sha256').update(canonical).digest('hex')
    const signed = ['GOOG4-RSA-SHA256', url.searchParams.get('X-Goog-Date'), scope, hash].join('\n')
    return verify('RSA-SHA256', Buffer.from(signed), publicKey, Buffer.from(signature, 'hex'))
  }

  it('holds for the port of the host that clients reach', async () => {
    const server = await started()
    const publicEndpoint = 'https://files.example.org:8443'
    const client = await connected(server, SERVICE_ACCOUNT, { publicEndpoint })
    const url = new URL((await client.signedUrl('a', REQUEST, NEVER))!)
    expect(url.host).toBe('files.example.org:8443')
    expect(verifies(url, 'files.example.org:8443')).toBe(true)
    expect(verifies(url, 'files.example.org')).toBe(false)
  })

  it.each(['a b+c&d%25=#?.txt', 'emoji 😀é', `q'u!o(t)e*s"`, 'x;y:z@w,$', 'tab\tx', '%2F', 'a//b/'])(
    'is the one that the SDK makes, where there is no port: %j',
    async key => {
      const server = await started()
      const changes = { publicEndpoint: 'https://files.example.org', userProject: 'payer' }
      const client = await connected(server, SERVICE_ACCOUNT, changes)
      const url = new URL((await client.signedUrl(key, REQUEST, NEVER))!)
      expect(verifies(url, url.host)).toBe(true)
      const time = url.searchParams.get('X-Goog-Date')!
      const began = Date.parse(time.replace(/^(....)(..)(..T..)(..)(..Z)$/, '$1-$2-$3:$4:$5'))
      const [reference] = await new Storage({
        authClient: Object.assign(new GoogleAuth(), { jsonContent: SERVICE_ACCOUNT }),
      })
        .bucket(BUCKET)
        .file(key)
        .getSignedUrl({
          ...{ version: 'v4', action: 'read', accessibleAt: began, host: new URL(changes.publicEndpoint) },
          expires: began + REQUEST.expiresInSeconds * 1000,
          responseDisposition: REQUEST.disposition,
          responseType: REQUEST.mediaType,
          queryParams: { userProject: 'payer' },
        })
      const { origin, pathname, searchParams } = new URL(reference)
      expect(url.origin + url.pathname).toBe(origin + pathname)
      expect(new Map(url.searchParams)).toEqual(new Map(searchParams))
    },
  )

  it('is undefined without keys, and for a user, who has none to sign with', async () => {
    const server = await started()
    expect(await (await connected(server)).signedUrl('a', REQUEST, NEVER)).toBeUndefined()
    const user = { type: 'authorized_user', client_id: 'i', client_secret: 's', refresh_token: 'r' }
    expect(await (await connected(server, user)).signedUrl('a', REQUEST, NEVER)).toBeUndefined()
  })

  it('needs no token endpoint in a universe of its own: requests carry a token that the key signed', async () => {
    const server = await started()
    server.write('a', Buffer.from('a'))
    const client = await connected(server, { ...SERVICE_ACCOUNT, universe_domain: 'example.cloud' })
    await client.head('a', NEVER)
    const token = /^Bearer (.+)\.(.+)$/.exec(server.requests[0]?.headers.authorization ?? '')
    expect(
      verify('RSA-SHA256', Buffer.from(token![1]!), publicKey, Buffer.from(token![2]!, 'base64url')),
    ).toBe(true)
  })
})

describe('through the store', () => {
  it.each<[number, string, string, object]>([
    [
      403,
      'forbidden',
      'sa@p does not have storage.objects.list access',
      { kind: 'Unavailable', trouble: 'denied', temporary: false },
    ],
    [403, 'accessNotConfigured', 'Access Not Configured', { kind: 'Unavailable', trouble: 'misconfigured' }],
    [
      400,
      'required',
      'Bucket is a requester pays bucket but no user project provided.',
      { kind: 'Unavailable', trouble: 'misconfigured' },
    ],
    [404, 'notFound', 'The specified bucket does not exist.', { kind: 'Unavailable', trouble: 'missing' }],
    [401, 'authError', 'Invalid Credentials', { kind: 'Unavailable', trouble: 'credentials' }],
  ])('an answer %i %s is the trouble of the named store', async (status, reason, message, failure) => {
    const server = await started()
    server.script((request, response) => {
      fail(request, response, status, reason, message)
      return true
    })
    const store = server.store()
    onTestFinished(() => store.close())
    const error: unknown = await listAll(store, '').catch((each: unknown) => each)
    expect(error).toMatchObject(failure)
    expect((error as Error).message).toContain("'models'")
    expect((error as Error).message).not.toMatch(/127\.0\.0\.1|sa@p|Invalid Credentials/)
    await expect(store.stat(at('a'))).rejects.toMatchObject(failure)
  })
})
