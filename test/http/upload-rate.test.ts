// A bound on how fast one caller uploads: what comes faster waits, on every way into a store, and arrives whole.
import { afterEach, describe, expect, it } from 'vitest'
import { MemoryStore } from '../../src/store/memory.ts'
import { parsePath } from '../../src/store/path.ts'
import { ask, type Ask } from '../support/client.ts'
import { fieldPart, filePart, form, FORM_TYPE } from '../support/form.ts'
import { startService, type Service } from '../support/service.ts'

const RUN = '/outputs/ann/mnist/jobs/1/'
const UUID = 'a1b2c3d4e5f647089a0b1c2d3e4f5a6b'
const RATE = 512 * 1024
/** A second's bytes at once, and those of a half more. */
const BODY = Buffer.alloc(1.5 * RATE, 'x')

let service: Service
let store: MemoryStore
afterEach(() => service.close())

async function serve(uploadRatePerCaller = RATE): Promise<void> {
  store = new MemoryStore()
  store.write(parsePath(`${UUID}/a.txt`), Buffer.from('content'))
  store.write(parsePath('ann/mnist/jobs/1/a.txt'), Buffer.from('content'))
  // A body that only waits its turn does not stand still.
  service = await startService(
    '',
    {
      server: { trustedProxies: ['loopback'] },
      limits: { uploadRatePerCaller },
      uploads: { idleTimeoutMs: 100 },
    },
    store,
  )
}

/** How long it took, in milliseconds. */
async function send(url: string, status: number, options: Ask, caller = '192.0.2.1'): Promise<number> {
  const sentAt = performance.now()
  const headers = { 'x-forwarded-for': caller, ...options.headers }
  expect((await ask(service.url + url, { method: 'POST', ...options, headers })).status).toBe(status)
  return performance.now() - sentAt
}

const put = (name: string, caller?: string): Promise<number> =>
  send(RUN + name, 201, { method: 'PUT', body: BODY }, caller)

async function sizeOf(path: string): Promise<number> {
  return (await store.stat(parsePath(path))).size
}

const WAYS: readonly (readonly [what: string, path: string, url: string, status: number, options: Ask])[] = [
  ['PUT', 'ann/mnist/jobs/1/new.bin', `${RUN}new.bin`, 201, { method: 'PUT', body: BODY }],
  [
    'a form',
    'ann/mnist/jobs/1/new.bin',
    RUN,
    201,
    { headers: { 'content-type': FORM_TYPE }, body: form(filePart('new.bin', BODY)) },
  ],
  [
    "a form of Polyaxon's client",
    `${UUID}/new.bin`,
    `/streams/v1/ns/ann/mnist/runs/${UUID}/artifact`,
    200,
    {
      headers: { 'content-type': FORM_TYPE },
      body: form(filePart('new.bin', BODY, 'upload_file'), fieldPart('json', '{"untar":false}')),
    },
  ],
  [
    'tus',
    'ann/mnist/jobs/1/new.bin',
    '/uploads',
    201,
    {
      headers: {
        'tus-resumable': '1.0.0',
        'upload-length': String(BODY.length),
        'upload-metadata': `path ${Buffer.from('ann/mnist/jobs/1/new.bin').toString('base64')}`,
        'content-type': 'application/offset+octet-stream',
      },
      body: BODY,
    },
  ],
]

describe('an upload beyond the rate of its caller takes its time and is whole', () => {
  it.each(WAYS)('by %s', async (_, path, url, status, options) => {
    await serve()
    expect(await send(url, status, options)).toBeGreaterThan(450)
    expect(await sizeOf(path)).toBe(BODY.length)
  })
})

it('several uploads of one caller share the rate, those of another do not wait', async () => {
  await serve()
  const startedAt = performance.now()
  const [, , other] = await Promise.all([put('a'), put('b'), put('c', '192.0.2.2')])
  // Three times the body less the burst, for both; for the other one, half a second and what a busy machine adds.
  expect(performance.now() - startedAt).toBeGreaterThan(1_900)
  expect(other).toBeLessThan(1_500)
  for (const name of ['a', 'b', 'c']) expect(await sizeOf(`ann/mnist/jobs/1/${name}`)).toBe(BODY.length)
})

it('what was not used for a while may come at once, but no more than that of a second', async () => {
  await serve()
  const first = await put('a')
  await new Promise(resolve => setTimeout(resolve, 2_000))
  const second = await put('b')
  expect([first, second].every(took => took > 450 && took < 1_500)).toBe(true)
})

it('an upload whose client leaves while it waits ends at once', async () => {
  await serve(1024)
  const aborted = new AbortController()
  const sending = fetch(`${service.url}${RUN}new.bin`, { method: 'PUT', body: BODY, signal: aborted.signal })
  setTimeout(() => aborted.abort(), 200)
  await expect(sending).rejects.toThrow()
  await expect(sizeOf('ann/mnist/jobs/1/new.bin')).rejects.toThrow()
})
