// Web tokens: those of the issuer and no others, while its keys rotate and while it does not answer.
import { createHmac, generateKeyPairSync, sign as cryptoSign, type KeyObject } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { exportJWK, SignJWT, type JWTPayload } from 'jose'
import { pino } from 'pino'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { JWT_ALGORITHMS, type JwtDefinition } from '../../src/config/config.ts'
import { authorityOf } from '../../src/http/auth/authority.ts'
import { grantedBy } from '../../src/http/auth/jwt-grants.ts'
import type { KeyTimes } from '../../src/http/auth/jwt-keys.ts'
import { jwtMode } from '../../src/http/auth/jwt.ts'
import { callerOf, type Caller } from '../../src/http/gate.ts'
import { isAppError } from '../../src/errors.ts'
import { ask } from '../support/checked.ts'
import { ask as plainAsk, json } from '../support/client.ts'
import { Listening } from '../support/listening.ts'
import { until } from '../support/process.ts'
import { configFor, startService, type Service } from '../support/service.ts'
import { Tree } from '../support/tree.ts'

const AUDIENCE = 'polyaxon-outputs'
const { layouts } = configFor('')

/** An issuer whose answers a test chooses. */
class Issuer {
  /** By their names; what is published is not what signs. */
  readonly published = new Map<string, KeyObject>()
  asked: string[] = []
  /** Instead of what it would answer. */
  intercept: ((request: IncomingMessage, response: ServerResponse) => boolean) | undefined
  server!: Listening

  async start(): Promise<this> {
    this.server = await Listening.start((request, response) => {
      this.asked.push(request.url!)
      if (this.intercept?.(request, response) === true) return
      void this.#answer(request.url!).then(found => {
        response.statusCode = found === undefined ? 404 : 200
        response.setHeader('content-type', 'application/json').end(JSON.stringify(found))
      })
    })
    return this
  }

  async #answer(url: string): Promise<unknown> {
    if (url === '/realm/.well-known/openid-configuration')
      return { issuer: this.url, jwks_uri: `${this.server.origin}/keys` }
    if (url !== '/keys') return undefined
    const keys = await Promise.all(
      [...this.published].map(async ([kid, key]) => ({ ...(await exportJWK(key)), kid, use: 'sig' })),
    )
    return { keys }
  }

  get url(): string {
    return `${this.server.origin}/realm`
  }

  get definition(): JwtDefinition {
    return {
      issuer: this.url,
      audience: AUDIENCE,
      claim: 'scope',
      algorithms: JWT_ALGORITHMS,
      clockToleranceMs: 5000,
    }
  }
}

const keyPairs = {
  RS256: generateKeyPairSync('rsa', { modulusLength: 2048 }),
  PS256: generateKeyPairSync('rsa', { modulusLength: 2048 }),
  ES256: generateKeyPairSync('ec', { namedCurve: 'P-256' }),
  EdDSA: generateKeyPairSync('ed25519'),
}
type Signed = keyof typeof keyPairs
const stranger = generateKeyPairSync('ec', { namedCurve: 'P-256' })

let issuer: Issuer
beforeAll(async () => {
  issuer = await new Issuer().start()
})
beforeEach(() => {
  issuer.asked = []
  issuer.intercept = undefined
  issuer.published.clear()
  for (const [name, { publicKey }] of Object.entries(keyPairs)) issuer.published.set(name, publicKey)
})
afterAll(() => issuer.server.close())

const now = (): number => Math.floor(Date.now() / 1000)

/** What a right one says, with `changes`; undefined takes a claim away. */
function payload(changes: Record<string, unknown> = {}): JWTPayload {
  const all: Record<string, unknown> = {
    iss: issuer.url,
    aud: AUDIENCE,
    sub: 'ann',
    exp: now() + 60,
    scope: 'openid outputs:read:*',
    ...changes,
  }
  return Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined))
}

function sign(
  changes: Record<string, unknown> = {},
  { alg = 'ES256', kid = alg, key }: { alg?: Signed; kid?: string; key?: KeyObject } = {},
): Promise<string> {
  return new SignJWT(payload(changes)).setProtectedHeader({ alg, kid }).sign(key ?? keyPairs[alg].privateKey)
}

const times: KeyTimes = { fresh: 60_000, kept: 3_600_000, between: 0, afterFailure: 0, patience: 1000 }
const lines: { level: number; msg: string }[] = []
const logger = pino(
  { level: 'info' },
  { write: (line: string) => void lines.push(JSON.parse(line) as never) },
)
afterEach(() => void (lines.length = 0))

function authorityWith(changes: Partial<JwtDefinition> = {}, someTimes: Partial<KeyTimes> = {}) {
  const mode = jwtMode({ ...issuer.definition, ...changes }, layouts, logger, { ...times, ...someTimes })
  return authorityOf([mode], undefined)
}

async function recognised(
  authority: ReturnType<typeof authorityWith>,
  token: string,
): Promise<Caller | string> {
  try {
    const request = { headers: { authorization: `Bearer ${token}` } } as never
    return await callerOf({ authority, origins: new Set() }, request, new AbortController().signal)
  } catch (error) {
    if (!isAppError(error)) throw error
    expect(error.message).not.toContain(token)
    return error.kind
  }
}

async function nameOf(authority: ReturnType<typeof authorityWith>, token: string): Promise<string> {
  const caller = await recognised(authority, token)
  return typeof caller === 'string' ? caller : caller.name
}

describe('a web token', () => {
  it.each(Object.keys(keyPairs) as Signed[])('signed by %s is taken', async alg => {
    expect(await nameOf(authorityWith(), await sign({}, { alg }))).toBe('jwt:ann')
    expect(issuer.asked).toEqual(['/realm/.well-known/openid-configuration', '/keys'])
  })

  it('is checked with keys from where an operator says, without asking anything else', async () => {
    const authority = authorityWith({ jwksUrl: `${issuer.server.origin}/keys` })
    for (let i = 0; i < 5; i++)
      expect(await nameOf(authority, await sign({ sub: `u${i}` }))).toBe(`jwt:u${i}`)
    expect(issuer.asked).toEqual(['/keys'])
  })

  it.each<[string, Record<string, unknown>]>([
    ['has expired', { exp: now() - 60 }],
    ['is for later', { nbf: now() + 60 }],
    ['is for others', { aud: 'another-service' }],
    ['is for nobody', { aud: undefined }],
    ['is of another issuer', { iss: 'https://login.example.com' }],
    ['is of almost this issuer', { iss: '/' }],
    ['is of no issuer', { iss: undefined }],
    ['never expires', { exp: undefined }],
    ['names nobody', { sub: undefined }],
    ['has an empty name', { sub: '' }],
    ['has a list for a name', { sub: ['ann'] }],
    ['has a text for its end', { exp: '4102444800' }],
  ])('that %s is refused', async (_title, changes) => {
    const { iss } = changes
    const token = await sign(iss === '/' ? { iss: `${issuer.url}/` } : changes)
    expect(await nameOf(authorityWith(), token)).toBe('Unauthenticated')
  })

  it('may be off by the tolerance of the clock, and is for one of several', async () => {
    const authority = authorityWith()
    expect(await nameOf(authority, await sign({ exp: now() - 2 }))).toBe('jwt:ann')
    expect(await nameOf(authority, await sign({ nbf: now() + 3 }))).toBe('jwt:ann')
    expect(await nameOf(authority, await sign({ aud: ['x', AUDIENCE] }))).toBe('jwt:ann')
  })

  it('with a signature that is not the issuer’s is refused', async () => {
    const authority = authorityWith()
    const right = await sign()
    const [head, body, signature] = right.split('.') as [string, string, string]
    const encode = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url')
    const pem = keyPairs.RS256.publicKey.export({ type: 'spki', format: 'pem' })
    const hmacHead = encode({ alg: 'HS256', kid: 'RS256' })
    const hmac = createHmac('sha256', pem)
      .update(`${hmacHead}.${encode(payload())}`)
      .digest('base64url')
    const own = { ...(await exportJWK(stranger.publicKey)), kid: 'ES256' }
    const embedded = (header: Record<string, unknown>) =>
      new SignJWT(payload()).setProtectedHeader({ alg: 'ES256', ...header }).sign(stranger.privateKey)
    /** By the issuer itself, in a way that asks for more than is known here. */
    const signed = (header: Record<string, unknown>): string => {
      const text = `${encode({ alg: 'ES256', kid: 'ES256', ...header })}.${body}`
      const options = { key: keyPairs.ES256.privateKey, dsaEncoding: 'ieee-p1363' } as const
      return `${text}.${cryptoSign('sha256', Buffer.from(text), options).toString('base64url')}`
    }
    expect(await nameOf(authority, signed({}))).toBe('jwt:ann')
    const wrong = [
      `${head}.${encode(payload({ sub: 'eve' }))}.${signature}`,
      `${encode({ alg: 'none' })}.${body}.`,
      `${encode({ alg: 'none', kid: 'ES256' })}.${body}.${signature}`,
      `${hmacHead}.${encode(payload())}.${hmac}`,
      `${head}.${body}.${signature.slice(0, -4)}AAAA`,
      `${head}.${body}.AAAA`,
      `${head}.${body}`,
      `${head}.${body}.${signature}.${signature}`,
      `${right}=`,
      await sign({}, { key: stranger.privateKey }),
      await sign({}, { kid: 'RS256' }),
      await embedded({ jwk: own }),
      await embedded({ jku: `${issuer.server.origin}/theirs`, kid: 'theirs' }),
      await embedded({ kid: '../../dev/null' }),
      signed({ crit: ['x'], x: 1 }),
      signed({ crit: ['b64'], b64: false }),
      signed({ crit: [] }),
    ]
    for (const token of wrong)
      expect([token, await nameOf(authority, token)]).toEqual([token, 'Unauthenticated'])
    expect(issuer.asked).not.toContain('/theirs')
    expect(await nameOf(authority, right)).toBe('jwt:ann')
  })

  it('of a kind that an operator does not take is refused', async () => {
    const authority = authorityWith({ algorithms: ['RS256'] })
    expect(await nameOf(authority, await sign())).toBe('Unauthenticated')
    expect(await nameOf(authority, await sign({}, { alg: 'RS256' }))).toBe('jwt:ann')
  })
})

describe('the claim', () => {
  async function verdicts(claim: string, changes: Record<string, unknown>, owners: readonly string[]) {
    const caller = await recognised(authorityWith({ claim }), await sign({ scope: undefined, ...changes }))
    if (typeof caller === 'string') return caller
    const { signal } = new AbortController()
    return Promise.all(
      owners.map(owner =>
        caller.judge(
          { action: 'read', connection: 'outputs', of: { owner, project: 'p', kind: 'jobs', id: '1' } },
          signal,
        ),
      ),
    )
  }
  const READ = 'outputs:read:ann'

  it.each<[string, Record<string, unknown>]>([
    ['scope', { scope: `openid ${READ} profile` }],
    ['roles', { roles: ['other', READ, 7, null] }],
    ['resource_access.outputs.roles', { resource_access: { outputs: { roles: [READ] } } }],
    ['https://example.com/claims', { 'https://example.com/claims': [READ] }],
  ])('%s of %j gives what it says', async (claim, changes) => {
    expect(await verdicts(claim, changes, ['ann', 'bob'])).toEqual(['allowed', 'hidden'])
  })

  it.each<[string, Record<string, unknown>]>([
    ['scope', {}],
    ['scope', { scope: { [READ]: true } }],
    ['scope', { scope: true }],
    ['a.b', { a: READ }],
    ['a.length', { a: [READ] }],
    ['__proto__', { a: READ }],
    ['constructor.name', { a: READ }],
  ])('%s of %j gives nothing', async (claim, changes) => {
    expect(await verdicts(claim, changes, ['ann'])).toEqual(['hidden'])
  })

  const all = { connection: '*', owner: '*', project: '*', kind: '*', run: '*' }
  it.each([
    ['outputs:read:*', 'read', all],
    ['outputs:write:ann', 'write', { ...all, owner: 'ann' }],
    ['outputs:delete:ann/mn*', 'delete', { ...all, owner: 'ann', project: 'mn*' }],
    ['outputs:read:*/*/runs/8aac*', 'read', { ...all, kind: 'runs', run: '8aac*' }],
    [
      'outputs:read:a%20b/c%2Bd?connection=archive',
      'read',
      { ...all, owner: 'a b', project: 'c+d', connection: 'archive' },
    ],
  ])('%s is understood', (word, right, scope) => {
    expect(grantedBy([word])).toEqual({
      grants: [{ rights: [right], scopes: [scope] }],
      seesMetrics: false,
      unread: [],
    })
  })

  it.each([
    'outputs:read',
    'outputs:read:',
    'outputs:all:ann',
    'outputs:READ:ann',
    'outputs:read:/ann',
    'outputs:read:ann/',
    'outputs:read:ann//jobs',
    'outputs:read:ann/p/experiment',
    'outputs:read:ann/p/jobs/1/a.txt',
    'outputs:read:ann/..',
    'outputs:read:a%2Fb',
    'outputs:read:a%',
    'outputs:read:ann?connection=',
    'outputs:read:ann?connection=a&x=b',
    'outputs:read:ann?other=a',
    'outputs:read,write:ann',
    'outputs:',
  ])('%s gives nothing, which is logged', async word => {
    expect(grantedBy(word)).toEqual({ grants: [], seesMetrics: false, unread: [word] })
    await nameOf(authorityWith(), await sign({ scope: word }))
    expect(lines).toMatchObject([{ level: 40, unread: [word] }])
  })

  it('may give the right to the metrics', () => {
    expect(grantedBy('outputs:metrics')).toEqual({ grants: [], seesMetrics: true, unread: [] })
    expect(grantedBy('metrics outputs:metrics2').seesMetrics).toBe(false)
  })
})

describe('keys that rotate', () => {
  const next = generateKeyPairSync('ec', { namedCurve: 'P-256' })

  it('are asked for when a token names one that is new', async () => {
    const authority = authorityWith()
    expect(await nameOf(authority, await sign())).toBe('jwt:ann')
    issuer.published.set('next', next.publicKey)
    expect(await nameOf(authority, await sign({}, { kid: 'next', key: next.privateKey }))).toBe('jwt:ann')
  })

  it('are not asked for again and again, whatever names tokens make up', async () => {
    const authority = authorityWith({}, { between: 60_000 })
    const made = await Promise.all(Array.from({ length: 20 }, (_, i) => sign({}, { kid: `made-up-${i}` })))
    for (const token of made) expect(await nameOf(authority, token)).toBe('Unauthenticated')
    expect(issuer.asked).toHaveLength(2)
  })

  it('are good for nothing soon after they were taken back, without a pause for anybody', async () => {
    const authority = authorityWith({}, { fresh: 50 })
    const token = await sign()
    expect(await nameOf(authority, token)).toBe('jwt:ann')
    issuer.published.delete('ES256')
    await until(async () => (await nameOf(authority, token)) === 'Unauthenticated', { withinMs: 2000 })
    expect(await nameOf(authority, await sign({}, { alg: 'RS256' }))).toBe('jwt:ann')
  })
})

describe('an issuer that does not answer', () => {
  it.each<[string, NonNullable<Issuer['intercept']>]>([
    ['refuses', (_, response) => Boolean(response.writeHead(503).end())],
    ['breaks off', request => Boolean(request.socket.destroy())],
    ['stalls', () => true],
    ['stalls in the middle', (_, response) => response.writeHead(200).write('{"keys":[')],
    ['answers with something else', (_, response) => Boolean(response.end('<html>'))],
    ['answers with no keys', (_, response) => Boolean(response.end('{"keys":[1]}'))],
    ['answers without an end', (_, response) => Boolean(response.end('[' + '1,'.repeat(1024 ** 2) + '1]'))],
    ['sends somewhere else', (_, response) => Boolean(response.writeHead(302, { location: '/keys' }).end())],
    [
      'is another one',
      (request, response) =>
        request.url !== '/keys' &&
        Boolean(response.end(`{"issuer":"x","jwks_uri":"${issuer.server.origin}/keys"}`)),
    ],
    [
      'has its keys in a file',
      (request, response) =>
        request.url !== '/keys' &&
        Boolean(response.end(`{"issuer":"${issuer.url}","jwks_uri":"file:///etc/passwd"}`)),
    ],
  ])('because it %s is an outage, and never a yes', async (_title, intercept) => {
    issuer.intercept = intercept
    const authority = authorityWith({}, { patience: 300 })
    expect(await nameOf(authority, await sign())).toBe('Unavailable')
    expect(await nameOf(authority, await sign({}, { key: stranger.privateKey }))).toBe('Unavailable')
    expect(lines.filter(({ level }) => level === 50)).toHaveLength(1)
    issuer.intercept = undefined
    expect(await nameOf(authority, await sign())).toBe('jwt:ann')
    expect(lines.at(-1)).toMatchObject({ level: 30, msg: 'the issuer of web tokens answers again' })
  })

  it('leaves the keys that are known as they are, for a while', async () => {
    const authority = authorityWith({}, { fresh: 20, kept: 700 })
    const token = await sign()
    expect(await nameOf(authority, token)).toBe('jwt:ann')
    issuer.intercept = (_, response) => Boolean(response.writeHead(503).end())
    await new Promise(resolve => setTimeout(resolve, 100))
    expect(await nameOf(authority, token)).toBe('jwt:ann')
    // Of a key that is not known nobody can tell.
    expect(await nameOf(authority, await sign({}, { kid: 'next', key: stranger.privateKey }))).toBe(
      'Unavailable',
    )
    await until(async () => (await nameOf(authority, token)) === 'Unavailable', { withinMs: 2000 })
  })

  it('is not asked for every token that comes', async () => {
    issuer.intercept = (_, response) => Boolean(response.writeHead(503).end())
    const authority = authorityWith({}, { afterFailure: 60_000 })
    for (let i = 0; i < 30; i++) expect(await nameOf(authority, await sign())).toBe('Unavailable')
    expect(issuer.asked).toHaveLength(1)
  })

  it('is not asked at all for what is no token of it', async () => {
    const authority = authorityWith()
    for (const token of ['secret', 'a.b.c', await sign({ iss: 'https://other.example' })])
      expect(await nameOf(authority, token)).toBe('Unauthenticated')
    expect(issuer.asked).toEqual([])
  })
})

describe('the service', () => {
  const tree = new Tree()
  let service: Service
  beforeAll(async () => {
    for (const owner of ['ann', 'bob']) tree.write(`outputs/${owner}/p/jobs/1/a.txt`, owner)
    service = await startService(tree.at('outputs'), { auth: { jwt: issuer.definition } })
  })
  afterAll(async () => {
    await service.close()
    tree.remove()
  })

  it.each<[string, (token: string) => string]>([
    ['Bearer', token => `Bearer ${token}`],
    ['Token', token => `token ${token}`],
    ['a password', token => `Basic ${Buffer.from(`oauth2:${token}`).toString('base64')}`],
  ])('lets in by %s', async (_title, authorization) => {
    const token = await sign({ scope: 'outputs:read:ann outputs:write:ann' })
    const headers = { authorization: authorization(token) }
    expect((await ask(`${service.url}/outputs/ann/p/jobs/1/a.txt`, { headers })).text).toBe('ann')
    const put = { method: 'PUT', body: 'new', headers }
    expect((await ask(`${service.url}/outputs/ann/p/jobs/1/b.txt`, put)).status).toBeLessThan(300)
    expect(
      (await ask(`${service.url}/outputs/ann/p/jobs/1/a.txt`, { headers, method: 'DELETE' })).status,
    ).toBe(403)
    expect((await ask(`${service.url}/outputs/bob/p/jobs/1/a.txt`, { headers })).status).toBe(404)
    expect(
      (await plainAsk(`${service.url}/api/v1/ann/p/jobs/1/outputs/files?path=a.txt`, { headers })).status,
    ).toBe(200)
    expect(
      (await plainAsk(`${service.url}/api/v1/bob/p/jobs/1/outputs/files?path=a.txt`, { headers })).status,
    ).toBe(404)
    const { entries } = json(await ask(`${service.url}/outputs/?format=json`, { headers })) as {
      entries: { name: string }[]
    }
    expect(entries.map(({ name }) => name)).toEqual(['ann'])
  })

  it('refuses with 401, and with 503 and when to come again where it cannot know', async () => {
    const refused = await ask(`${service.url}/outputs/`, {
      headers: { authorization: `Bearer ${await sign({ exp: now() - 60 })}` },
    })
    expect([refused.status, (json(refused) as { detail: string }).detail]).toEqual([
      401,
      'This web token has expired: ask for a new one.',
    ])
    issuer.intercept = (_, response) => Boolean(response.writeHead(500).end())
    const away = await startService(tree.at('outputs'), { auth: { jwt: issuer.definition } })
    try {
      const answer = await ask(`${away.url}/outputs/`, {
        headers: { authorization: `Bearer ${await sign()}` },
      })
      expect([answer.status, answer.headers['retry-after']]).toEqual([503, expect.stringMatching(/^\d+$/)])
      expect(answer.text).not.toContain(String(issuer.server.port))
    } finally {
      await away.close()
    }
  })
})
