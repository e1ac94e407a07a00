// The seam for authorisation: every surface asks it, with who asks for what, before anything of the run is looked at.
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { AppError } from '../../src/errors.ts'
import type { Access, Verdict } from '../../src/http/gate.ts'
import { identityOf, type Identity } from '../../src/http/identity.ts'
import type { RunReference } from '../../src/runs/layout.ts'
import { isOwnFolder } from '../../src/store/own-folder.ts'
import { parsePath, type ArtifactPath } from '../../src/store/path.ts'
import { CountingStore } from '../support/changed-stores.ts'
import { ask } from '../support/client.ts'
import { FORM_TYPE, filePart, form } from '../support/form.ts'
import { judging } from '../support/authority.ts'
import { seen } from '../support/seen.ts'
import { startService, type Service } from '../support/service.ts'

const UUID = 'a1b2c3d4e5f647089a0b1c2d3e4f5a6b'
const STREAMS = `/streams/v1/ns/ann/mnist/runs/${UUID}`
const OUTPUTS_API = '/api/v1/ann/mnist/experiments/1'
const RUN: RunReference = { owner: 'ann', project: 'mnist', kind: 'runs', id: UUID }
const EXPERIMENT: RunReference = { owner: 'ann', project: 'mnist', kind: 'experiments', id: '1' }

/** Counts what is looked at besides the uploads that the service keeps, which it looks through by itself. */
class WatchedStore extends CountingStore {
  reads = 0

  #count(path: ArtifactPath): void {
    if (!isOwnFolder(path)) this.reads++
  }

  override stat(...given: Parameters<CountingStore['stat']>): ReturnType<CountingStore['stat']> {
    this.#count(given[0])
    return super.stat(...given)
  }

  override list(...given: Parameters<CountingStore['list']>): ReturnType<CountingStore['list']> {
    this.#count(given[0])
    return super.list(...given)
  }

  override open(...given: Parameters<CountingStore['open']>): ReturnType<CountingStore['open']> {
    this.#count(given[0])
    return super.open(...given)
  }
}

let service: Service
let store: WatchedStore
let asked: { identity: Identity; access: Access }[]
let refusal: AppError | undefined
let refusesRunsOnly: boolean
let verdict: Verdict
/** Without any run. */
let empty: Service

beforeEach(() => {
  asked = []
  refusal = undefined
  refusesRunsOnly = false
  verdict = 'allowed'
})
beforeAll(async () => {
  empty = await startService('', {}, new CountingStore())
  store = new WatchedStore()
  for (const run of ['ann/mnist/experiments/1', UUID])
    store.write(parsePath(`${run}/a.txt`), Buffer.from('before'))
  store.write(parsePath(`${UUID}/events/metric/loss.plx`), Buffer.from('step|timestamp|metric\n1|t|0.5\n'))
  service = await startService('', {}, store, {
    authority: judging((access, request) => {
      asked.push({ identity: identityOf(request.headers), access })
      const isRefused = refusal !== undefined && (!refusesRunsOnly || access.of.id !== undefined)
      return !isRefused ? Promise.resolve(verdict) : Promise.reject(refusal!)
    }),
  })
})
afterAll(() => Promise.all([service.close(), empty.close()]))

type Request = readonly [method: string, url: string, action: Access['action'], of: Access['of']]

const REQUESTS: readonly Request[] = [
  ['GET', '/outputs/', 'read', {}],
  ['GET', '/outputs/ann/mnist/', 'read', { owner: 'ann', project: 'mnist' }],
  ['GET', '/outputs/ann/mnist/experiments/1/a.txt', 'read', EXPERIMENT],
  ['HEAD', '/outputs/ann/mnist/experiments/1/a.txt', 'read', EXPERIMENT],
  ['GET', '/outputs/ann/mnist/experiments/1/?archive=zip', 'read', EXPERIMENT],
  ['PUT', '/outputs/ann/mnist/experiments/1/new.txt', 'write', EXPERIMENT],
  ['DELETE', '/outputs/ann/mnist/experiments/1/a.txt', 'delete', EXPERIMENT],
  ['POST', '/outputs/ann/mnist/experiments/1/a.txt?copyTo=b.txt', 'write', EXPERIMENT],
  ['POST', '/outputs/ann/mnist/experiments/1/?archive=zip', 'read', EXPERIMENT],
  ['POST', '/outputs/ann/mnist/experiments/1/?delete', 'delete', EXPERIMENT],
  ['POST', '/outputs/ann/mnist/experiments/1/', 'write', EXPERIMENT],
  ['PUT', '/outputs/ann/mnist/experiments/1/sub/', 'write', EXPERIMENT],
  ['GET', `${STREAMS}/artifacts/tree`, 'read', RUN],
  ['HEAD', `${STREAMS}/artifacts/tree`, 'read', RUN],
  ['GET', `${STREAMS}/embedded_artifact?path=a.txt`, 'read', RUN],
  ['GET', `${STREAMS}/artifact?path=a.ipynb&render=true`, 'read', RUN],
  ['GET', `${STREAMS}/events/metric?names=loss&pkg_assets=true`, 'read', RUN],
  ['GET', `${STREAMS}/resources`, 'read', RUN],
  ['GET', `${STREAMS}/artifact?path=a.txt`, 'read', RUN],
  ['GET', `${STREAMS}/ro_artifact/a.txt`, 'read', RUN],
  ['GET', `${STREAMS}/artifacts`, 'read', RUN],
  ['GET', `${STREAMS}/logs`, 'read', RUN],
  ['GET', `${STREAMS}/events/metric?names=loss`, 'read', RUN],
  ['GET', `/streams/v1/ns/ann/mnist/runs/multi/events/metric?names=loss&runs=${UUID}`, 'read', RUN],
  [
    'GET',
    `/streams/v1/ns/orgs/ann/runs/multi/events/metric?names=loss&runs=${UUID}`,
    'read',
    { ...RUN, project: '' },
  ],
  [
    'HEAD',
    `/streams/v1/ns/orgs/ann/teams/b/runs/multi/events/metric?names=loss&runs=${UUID}`,
    'read',
    { ...RUN, project: '' },
  ],
  ['POST', `${STREAMS}/artifact`, 'write', RUN],
  ['POST', `${STREAMS}/artifacts`, 'write', RUN],
  ['DELETE', `${STREAMS}/artifact?path=a.txt`, 'delete', RUN],
  ['DELETE', `${STREAMS}/artifacts?path=a.txt`, 'delete', RUN],
  ['GET', `${OUTPUTS_API}/outputs`, 'read', EXPERIMENT],
  ['GET', `${OUTPUTS_API}/logs`, 'read', EXPERIMENT],
  ['GET', `${OUTPUTS_API}/outputs/tree`, 'read', EXPERIMENT],
  ['GET', `${OUTPUTS_API}/outputs/files?path=a.txt`, 'read', EXPERIMENT],
  ['GET', `${OUTPUTS_API}/outputs/download/`, 'read', EXPERIMENT],
]

function send([method, url]: Request, origin = service.url): ReturnType<typeof ask> {
  const isForm = method === 'POST'
  return ask(origin + url, {
    method,
    headers: { authorization: 'token SECRET', ...(isForm && { 'content-type': FORM_TYPE }) },
    ...(isForm && { body: form(filePart('x.txt', 'new', 'upload_file')) }),
  })
}

describe('every request for artifacts', () => {
  it.each(REQUESTS)('%s %s asks whether it may', async (...request) => {
    const [, , action, of] = request
    await send(request)
    expect(asked.map(({ access }) => access)).toContainEqual({ action, connection: 'outputs', of })
    for (const { identity } of asked)
      expect(identity).toEqual({ scheme: 'token', credentials: 'SECRET', service: undefined })
  })

  it.each(REQUESTS)('%s %s learns and changes nothing where it may not', async (...request) => {
    const { reads, begun } = store
    for (const [kind, status] of [
      ['Unauthenticated', 401],
      ['PermissionDenied', 403],
      ['NotFound', 404],
    ] as const) {
      refusal = new AppError(kind, 'not for you')
      const answer = await send(request)
      expect(answer.status).toBe(status)
      expect(answer.headers['www-authenticate'] !== undefined).toBe(status === 401)
      expect(answer.text).not.toContain('before')
    }
    expect(store.reads).toBe(reads)
    expect(store.begun).toBe(begun)
  })

  it.each(REQUESTS)(
    '%s %s is answered as for a run that is not there where it may not be known',
    async (...request) => {
      const [method, url, action, of] = request
      verdict = 'hidden'
      const { reads, begun } = store
      const hidden = await send(request)
      expect([store.reads, store.begun]).toEqual([reads, begun])
      if (action === 'read') {
        // Somebody who may know of everything, and a service without the run.
        verdict = 'allowed'
        const absent = await send([method, url, action, of], empty.url)
        expect(seen(hidden)).toEqual(seen(absent))
      } else expect([404, 'There is no']).toEqual([hidden.status, hidden.text.match(/There is no/)?.[0]])
    },
  )

  it.each(['..', '.', 'a/b', '..%2Fx', '%00', 'a%5C..%5Cb', 'x'.repeat(300)])(
    'asks about nothing that no run can be called, among several: %s',
    async id => {
      const url = `${service.url}/streams/v1/ns/ann/mnist/runs/multi/events/metric?names=loss&runs=${UUID},${id}`
      expect((await ask(url)).status).toBe(200)
      expect(asked.flatMap(({ access }) => access.of.id ?? [])).toEqual([UUID])
    },
  )

  it('is asked again with each step of a resumable upload', async () => {
    refusesRunsOnly = true
    const metadata = Buffer.from('ann/mnist/experiments/1/b.txt').toString('base64')
    const headers = { 'tus-resumable': '1.0.0', authorization: 'Token SECRET' }
    const created = await ask(`${service.url}/uploads`, {
      method: 'POST',
      headers: { ...headers, 'upload-length': '3', 'upload-metadata': `path ${metadata}` },
    })
    expect(created.status).toBe(201)
    const url = new URL(created.headers.location!, `${service.url}/uploads`).href
    refusal = new AppError('PermissionDenied', 'not for you')
    const bytes = { 'upload-offset': '0', 'content-type': 'application/offset+octet-stream' }
    for (const [method, more] of [
      ['HEAD', {}],
      ['PATCH', bytes],
      ['DELETE', {}],
    ] as const) {
      const body = method === 'PATCH' ? 'new' : ''
      expect((await ask(url, { method, headers: { ...headers, ...more }, body })).status).toBe(403)
    }
    refusal = undefined
    const finished = await ask(url, { method: 'PATCH', headers: { ...headers, ...bytes }, body: 'new' })
    expect(finished.status).toBe(204)
    const ofRun = asked.filter(({ access }) => access.of.id !== undefined)
    expect(asked.every(({ access }) => access.action === 'write')).toBe(true)
    expect(ofRun.every(({ access }) => access.of.id === '1')).toBe(true)
    expect(ofRun.length).toBeGreaterThanOrEqual(5)
  })
})

it.each<[Record<string, string>, Identity['scheme'], string, string?]>([
  [{}, 'none', ''],
  [{ authorization: 'Token abc' }, 'token', 'abc'],
  [{ authorization: 'token abc' }, 'token', 'abc'],
  [{ authorization: 'TOKEN  abc' }, 'token', 'abc'],
  [{ authorization: 'Bearer abc' }, 'bearer', 'abc'],
  [{ authorization: 'Basic abc' }, 'basic', 'abc'],
  [{ authorization: 'EphemeralToken abc' }, 'ephemeral', 'abc'],
  [{ authorization: 'InternalToken abc', 'x-polyaxon-internal': 'streams' }, 'internal', 'abc', 'streams'],
  [{ cookie: 'a=1; sessionid=abc; token=x' }, 'session', 'abc'],
  [{ cookie: 'xsessionid=abc' }, 'none', ''],
  [{ cookie: 'sessionid=abc', authorization: 'Token def', 'x-polyaxon-service': 'ui' }, 'token', 'def', 'ui'],
  [{ cookie: 'sessionid=abc', authorization: 'Unknown def' }, 'none', ''],
  [{ cookie: 'sessionid=abc', authorization: '' }, 'none', ''],
  [{ authorization: 'Token' }, 'none', ''],
  [{ authorization: '__proto__ x' }, 'none', ''],
])('%j is the identity %s %s', (headers, scheme, credentials, service_) => {
  expect(identityOf(headers)).toEqual({ scheme, credentials, service: service_ })
})
