// What a failure of a driver keeps for the log holds no key, token or signature, however deep one looks and whatever the server repeats of the request.
import type { IncomingHttpHeaders, ServerResponse } from 'node:http'
import { afterEach, beforeEach, describe, expect, it, onTestFinished } from 'vitest'
import { azureObjects } from '../../src/store/azure.ts'
import { gcsObjects } from '../../src/store/gcs.ts'
import { ObjectFailure, type ConnectObjects, type ObjectClient } from '../../src/store/object-client.ts'
import { s3Objects } from '../../src/store/s3.ts'
import { Listening } from '../support/listening.ts'

const NEVER = new AbortController().signal
const TIMEOUTS = { connectMs: 300, headersMs: 300, idleMs: 300 }
const SECRET_KEY = 'c2VjcmV0LWtleS10aGF0LW5vLWxvZy1tYXktaG9sZA=='
const TOKEN = 'ya29.short-token'
const SIGNATURE = 'c2lnbmF0dXJl+of/sas='
const COMMON = {
  name: 'models',
  readOnly: false,
  delivery: 'proxy',
  bucket: 'outputs',
  prefix: '',
  maxConnections: 4,
  signedUrlSeconds: 60,
  requesterPays: false,
} as const

interface Driver {
  readonly name: string
  readonly connect: (endpoint: string) => ConnectObjects
  readonly values: (endpoint: string) => Readonly<Record<string, string>>
}

const DRIVERS: readonly Driver[] = [
  {
    name: 's3',
    connect: endpoint => s3Objects({ kind: 's3', ...COMMON, region: 'us-east-1', endpoint }),
    values: () => ({
      AWS_ACCESS_KEY_ID: 'AKIAGOOD',
      AWS_SECRET_ACCESS_KEY: SECRET_KEY,
      AWS_SESSION_TOKEN: TOKEN,
    }),
  },
  {
    name: 'gcs',
    connect: endpoint => gcsObjects({ kind: 'gcs', ...COMMON, endpoint }),
    values: endpoint => ({
      type: 'external_account',
      audience: '//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/providers/k',
      subject_token_type: 'urn:ietf:params:oauth:token-type:jwt',
      token_url: `${endpoint}/token`,
      credential_source: JSON.stringify({ url: `${endpoint}/subject` }),
      client_secret: SECRET_KEY,
    }),
  },
  {
    name: 'azure, by key',
    connect: endpoint => azureObjects({ kind: 'azure', ...COMMON, endpoint }),
    values: () => ({ AZURE_ACCOUNT_NAME: 'scripted', AZURE_ACCOUNT_KEY: SECRET_KEY }),
  },
  {
    name: 'azure, by SAS token',
    connect: endpoint => azureObjects({ kind: 'azure', ...COMMON, endpoint }),
    values: () => ({
      AZURE_ACCOUNT_NAME: 'scripted',
      AZURE_SAS_TOKEN: `sv=2026-10-06&sig=${encodeURIComponent(SIGNATURE)}`,
    }),
  },
]

/** What a server does with a request of which it would repeat `sent`. */
type Answer = (response: ServerResponse, sent: string) => void

const ANSWERS: Readonly<Record<string, Answer>> = {
  'a refusal in XML that repeats the request': (response, sent) => {
    response.writeHead(403, { 'content-type': 'application/xml', 'x-ms-error-code': 'AuthenticationFailed' })
    response.end(
      `<Error><Code>SignatureDoesNotMatch</Code><Message>${sent}</Message><StringToSign>${sent}</StringToSign></Error>`,
    )
  },
  'a refusal in JSON that repeats the request': (response, sent) => {
    response.writeHead(401, { 'content-type': 'application/json' })
    response.end(JSON.stringify({ error: { code: 401, message: sent, errors: [{ reason: sent }] } }))
  },
  'a page of a proxy that repeats the request': (response, sent) =>
    response.writeHead(502, { 'content-type': 'text/html' }).end(`<html><pre>${sent}</pre></html>`),
  'a success that makes no sense and repeats the request': (response, sent) =>
    response.writeHead(200, { 'content-type': 'application/xml' }).end(`<${sent}`),
  'a reset': response => response.socket?.resetAndDestroy(),
  silence: () => undefined,
  'no HTTP': (response, sent) => response.socket?.end(`220 ${sent}\r\n`),
}

let server: Listening
let answer: Answer
/** What went over the wire and must not be kept. */
let secrets: Set<string>

beforeEach(async () => {
  secrets = new Set([SECRET_KEY, TOKEN, SIGNATURE, encodeURIComponent(SIGNATURE), 'subject-token'])
  server = await Listening.start((request, response) => {
    if (request.url === '/subject') response.end('subject-token')
    else if (request.url === '/token')
      response
        .setHeader('content-type', 'application/json')
        .end(JSON.stringify({ access_token: TOKEN, token_type: 'Bearer', expires_in: 3600 }))
    else {
      for (const secret of signaturesIn(request.headers)) secrets.add(secret)
      answer(response, `${request.method} ${request.url} ${request.rawHeaders.join(': ')}`)
    }
  })
})

afterEach(() => server.close())

/** Of `Signature=…` (S3), `SharedKey account:…` (Azure) and `Bearer …`. */
function signaturesIn({ authorization = '' }: IncomingHttpHeaders): string[] {
  return [/(?:Signature=|SharedKey \w+:|Bearer )(\S+)$/.exec(authorization)?.[1] ?? []].flat()
}

/** All text that is to be reached from `value`, by properties of whatever kind, but getters of its class. */
function textIn(value: unknown, seen = new Set<unknown>()): string[] {
  if (typeof value === 'string') return [value]
  if (typeof value === 'function' || typeof value !== 'object' || value === null || seen.has(value)) return []
  seen.add(value)
  if (value instanceof Uint8Array) return [Buffer.from(value).toString('latin1')]
  const entries = value instanceof Map || value instanceof Set ? [...value.entries()].flat() : []
  const properties = Reflect.ownKeys(value).map(key => (value as Record<PropertyKey, unknown>)[key])
  return [...properties, ...entries].flatMap(each => textIn(each, seen))
}

const CALLS: Readonly<Record<string, (client: ObjectClient) => Promise<unknown>>> = {
  head: client => client.head('a', NEVER),
  get: client => client.get('a', { start: 0, end: 1, pin: 'e' }, NEVER),
  list: client => client.list({ prefix: '', delimiter: undefined, maxKeys: 10 }, NEVER),
  put: client => client.put('a', Buffer.from('a'), {}, NEVER),
  remove: client => client.remove('a', NEVER),
}

describe.each(DRIVERS)('$name', ({ connect, values }) => {
  it.each(Object.keys(ANSWERS))('after %s keeps nothing secret', async name => {
    answer = ANSWERS[name]!
    const client = await connect(server.origin)({ values: values(server.origin), timeouts: TIMEOUTS })
    onTestFinished(() => client.close())
    const failures = await Promise.all(
      Object.values(CALLS).map(call =>
        call(client).then(
          () => undefined,
          (error: unknown) => error,
        ),
      ),
    )
    const failed = failures.filter(failure => failure !== undefined)
    expect(failed.length).toBeGreaterThan(2)
    for (const failure of failed) {
      expect(failure).toBeInstanceOf(ObjectFailure)
      const text = textIn(failure).join('\n')
      for (const secret of secrets) expect(text).not.toContain(secret)
    }
  })
})

it('looks everywhere', () => {
  const error = new Error('x', { cause: { [Symbol('k')]: new Map([['a', [Buffer.from('needle')]]]) } })
  expect(textIn(error).join()).toContain('needle')
})

describe('a key that cannot be used', () => {
  const key = { type: 'service_account', client_email: 'a@b', private_key: SECRET_KEY }

  it.each([
    ['is no JSON', { GC_KEYFILE_DICT: `{${SECRET_KEY}}` }],
    ['has a member that is no JSON', { type: 'external_account', credential_source: SECRET_KEY }],
    ['is no PEM', { GC_KEYFILE_DICT: JSON.stringify(key) }],
  ])('because it %s is not kept', async (_, given) => {
    const connecting = gcsObjects({ kind: 'gcs', ...COMMON })({ values: given, timeouts: TIMEOUTS })
    const failure: unknown = await connecting.catch((error: unknown) => error)
    expect(failure).toMatchObject({ reason: 'credentials' })
    expect(textIn(failure).join('\n')).not.toContain(SECRET_KEY.slice(0, 6))
  })
})
