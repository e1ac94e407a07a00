// Who may change anything at all: not the pages of other sites, and not everybody, unless an operator says so.
import { afterEach, describe, expect, it } from 'vitest'
import { AppError } from '../../src/errors.ts'
import { parsePath } from '../../src/store/path.ts'
import { CountingStore } from '../support/changed-stores.ts'
import { ask } from '../support/checked.ts'
import { json, type Answer } from '../support/client.ts'
import { startService, type Overrides, type Service } from '../support/service.ts'

const RUN = 'ann/mnist/experiments/1'
const CHANGES = [
  ['PUT', 'new.txt', 'content'],
  ['PUT', 'a.txt', 'content'],
  ['DELETE', 'a.txt', ''],
  ['DELETE', '?recursive=true', ''],
  ['POST', 'a.txt?copyTo=b.txt', ''],
  ['POST', 'a.txt?moveTo=b.txt', ''],
  ['POST', '?delete', '{"paths":["a.txt"]}'],
  ['POST', '?delete&archive=zip', '{"paths":["a.txt"]}'],
  ['POST', '', 'anything'],
] as const

let service: Service
let store: CountingStore
afterEach(() => service.close())

async function serve(overrides: Overrides = {}, served = new CountingStore()): Promise<void> {
  store = served
  store.write(parsePath(`${RUN}/a.txt`), Buffer.from('before'))
  service = await startService('', overrides, store)
}

function change(
  [method, path, body]: (typeof CHANGES)[number],
  headers: Record<string, string>,
): Promise<Answer> {
  const type = { 'content-type': 'application/json' }
  return ask(`${service.url}/outputs/${RUN}/${path}`, { method, body, headers: { ...type, ...headers } })
}

/** Header fields with the address of the service in them. */
function filledIn(template: Readonly<Record<string, string>>): Record<string, string> {
  const host = `127.0.0.1:${service.port}`
  return Object.fromEntries(
    Object.entries(template).map(([name, value]) => [name, value.replace('{host}', host)]),
  )
}

async function expectAllRefused(headers: Record<string, string>, detail: RegExp): Promise<void> {
  for (const each of CHANGES) {
    const answer = await change(each, headers)
    expect([each, answer.status]).toEqual([each, 403])
    expect((json(answer) as { detail: string }).detail).toMatch(detail)
  }
  expect((await ask(`${service.url}/outputs/${RUN}/a.txt`)).text).toBe('before')
  expect(store.begun).toBe(0)
}

describe('what a browser sends for a page of another site', () => {
  it.each<Record<string, string>>([
    { 'sec-fetch-site': 'cross-site' },
    { 'sec-fetch-site': 'same-site' },
    { origin: 'null' },
    { origin: 'http://evil.example' },
    { origin: 'https://{host}.evil.example' },
    { origin: 'http://127.0.0.1' },
    { origin: 'http://127.0.0.1:1' },
    { origin: 'http://evil.example, http://{host}' },
    { origin: 'http://evil.example@{host}:1' },
    { origin: '' },
    { origin: '{host}' },
    { origin: 'file:///' },
    { origin: 'file://', host: 'localhost' },
    { origin: 'app://{host}' },
    { origin: 'http://evil.example', 'sec-fetch-site': 'same-origin' },
    { origin: 'http://{host}', 'sec-fetch-site': 'cross-site' },
  ])('%j changes nothing', async template => {
    await serve()
    await expectAllRefused(filledIn(template), /another site/)
  })

  it('reads, by GET and by POST, as before', async () => {
    await serve()
    const headers = { origin: 'http://evil.example', 'sec-fetch-site': 'cross-site' }
    expect((await ask(`${service.url}/outputs/${RUN}/a.txt`, { headers })).status).toBe(200)
    const archive = await ask(`${service.url}/outputs/${RUN}/?archive=tar`, {
      method: 'POST',
      headers: { ...headers, 'content-type': 'application/x-www-form-urlencoded' },
      body: 'path=a.txt',
    })
    expect(archive.status).toBe(200)
    expect(archive.headers['access-control-allow-origin']).toBeUndefined()
  })
})

describe('what may change something', () => {
  it.each<Record<string, string>>([
    {},
    { 'sec-fetch-site': 'same-origin', origin: 'http://{host}' },
    { 'sec-fetch-site': 'none' },
    { origin: 'HTTP://{host}' },
    { origin: 'https://outputs.example', host: 'outputs.example' },
    { origin: 'https://outputs.example', host: 'Outputs.Example:443' },
    { origin: 'http://outputs.example', host: 'outputs.example:80' },
  ])('%j', async template => {
    await serve({ server: { allowedHosts: ['outputs.example'] } })
    expect((await change(CHANGES[0], filledIn(template))).status).toBe(201)
  })
})

it.each(['X-HTTP-Method-Override', 'X-HTTP-Method', 'X-Method-Override'])(
  '%s overrides no method',
  async name => {
    await serve()
    const url = `${service.url}/outputs/${RUN}/a.txt`
    for (const method of ['PUT', 'DELETE']) {
      expect((await ask(url, { headers: { [name]: method } })).text).toBe('before')
      expect((await ask(url, { method: 'POST', headers: { [name]: method }, body: 'x' })).status).toBe(400)
      expect((await ask(`${url}?_method=${method}`, { method: 'POST', body: 'x' })).status).toBe(400)
    }
  },
)

describe('an address that others can reach', () => {
  it.each(['0.0.0.0', '::', '192.0.2.7', 'outputs.example'])(
    '%s takes no changes from everybody',
    async host => {
      await serve({ server: { host, allowUnauthenticated: true } })
      await expectAllRefused({}, /server\.allowUnauthenticatedChanges/)
    },
  )

  it('takes them where an operator has said so, from other sites still not', async () => {
    await serve({
      server: { host: '0.0.0.0', allowUnauthenticated: true, allowUnauthenticatedChanges: true },
    })
    await expectAllRefused({ origin: 'http://evil.example' }, /another site/)
    expect((await change(CHANGES[0], {})).status).toBe(201)
  })

  it.each(['127.0.0.1', '127.1.2.3', '::1', 'localhost'])('is not %s', async host => {
    await serve({ server: { host } })
    expect((await change(CHANGES[0], {})).status).toBe(201)
  })
})

it('a store that is read-only refuses every change with its reason', async () => {
  class ReadOnly extends CountingStore {
    override checkWritable(): Promise<void> {
      return Promise.reject(new AppError('PermissionDenied', 'The store is read-only (readOnly: true).'))
    }
  }
  await serve({}, new ReadOnly())
  await expectAllRefused({}, /read-only/)
})
