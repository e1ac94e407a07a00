// What is asked of a store for an answer: no body where none is sent, and no longer than somebody reads it.
import { request } from 'node:http'
import { afterEach, describe, expect, it } from 'vitest'
import { MemoryStore } from '../../src/store/memory.ts'
import { storeError } from '../../src/store/failure.ts'
import { ask } from '../support/checked.ts'
import type { Ask } from '../support/client.ts'
import { until } from '../support/process.ts'
import { startService } from '../support/service.ts'
import type { Service } from '../support/service.ts'
import { scriptedStore, type ScriptedStore } from './scripted-store.ts'

const RUN = 'ann/mnist/experiments/1'
const SIZE = 3_000_000

let service: Service
let store: ScriptedStore
afterEach(() => service.close())

async function serve(script: Parameters<typeof scriptedStore>[0] = {}): Promise<void> {
  store = scriptedStore(script)
  store.write(`${RUN}/large.bin`, Buffer.alloc(SIZE, 7))
  store.write(`${RUN}/small.txt`, 'content')
  service = await startService('', {}, store)
}

describe('an answer without a body', () => {
  it('opens no body on the store, and leaves nothing open', async () => {
    await serve()
    const url = `${service.url}/outputs/${RUN}/large.bin`
    const { etag, 'last-modified': date } = (await ask(url, { method: 'HEAD' })).headers
    const asked: readonly (readonly [Ask, number])[] = [
      [{ method: 'HEAD' }, 200],
      [{ method: 'HEAD', headers: { range: 'bytes=0-9' } }, 200],
      [{ headers: { 'if-none-match': etag! } }, 304],
      [{ headers: { 'if-modified-since': date! } }, 304],
      [{ headers: { 'if-match': '"other"' } }, 412],
      [{ headers: { range: `bytes=${SIZE}-` } }, 416],
    ]
    for (const [options, status] of asked) expect((await ask(url, options)).status).toBe(status)
    expect((await ask(`${service.url}/outputs/${RUN}/?archive=tar`, { method: 'HEAD' })).status).toBe(200)
    expect((await ask(`${service.url}/outputs/${RUN}/?archive=zip`, { method: 'HEAD' })).status).toBe(200)
    expect(store.calls.read).toBe(0)
    expect(store.opened).toBe(0)
  })

  it('has of a remote file the digest only that is known already', async () => {
    await serve({ capabilities: { ...new MemoryStore().capabilities, latency: 'network' } })
    const wanting = { headers: { 'want-repr-digest': 'sha-256=1' } }
    const digestOf = async (method: string): Promise<unknown> =>
      (await ask(`${service.url}/outputs/${RUN}/small.txt`, { ...wanting, method })).headers['repr-digest']
    expect(await digestOf('HEAD')).toBeUndefined()
    expect(store.calls.read).toBe(0)
    const digest = await digestOf('GET')
    expect(digest).toMatch(/^sha-256=/)
    const { read } = store.calls
    expect(await digestOf('HEAD')).toBe(digest)
    expect(store.calls.read).toBe(read)
  })
})

/** Resolves when the headers have come; `leave` is the client's going away. */
function begin(url: string): Promise<{ leave: () => void }> {
  return new Promise((resolve, reject) => {
    const sent = request(url, answer => {
      answer.on('error', () => undefined)
      resolve({ leave: () => answer.destroy() })
    })
    sent.on('error', reject).end()
  })
}

describe('a client that goes away', () => {
  it('ends the read that the store is waiting for, at once', async () => {
    let waiting = false
    let abortedAfterMs: number | undefined
    let leftAt = 0
    await serve({
      artifact: artifact => ({
        read: async function* (start, _end, options) {
          yield* artifact.read(start, start + SIZE / 2, options)
          const { signal } = options!
          waiting = true
          await new Promise<never>((_resolve, reject) => {
            signal!.addEventListener('abort', () => {
              abortedAfterMs = performance.now() - leftAt
              reject(storeError('Aborted', 'read', artifact.entry.path))
            })
          })
        },
      }),
    })
    const client = await begin(`${service.url}/outputs/${RUN}/large.bin`)
    await until(() => waiting)
    leftAt = performance.now()
    client.leave()
    await until(() => abortedAfterMs !== undefined && store.opened === 0)
    expect(abortedAfterMs).toBeLessThan(500)
  })

  it('ends an opening that the store is waiting for, before there is an answer', async () => {
    let opening = false
    let isAborted = false
    await serve({
      open: (path, options) =>
        new Promise((_resolve, reject) => {
          opening = true
          options!.signal!.addEventListener('abort', () => {
            isAborted = true
            reject(storeError('Aborted', 'open', path))
          })
        }),
    })
    const sent = request(`${service.url}/outputs/${RUN}/small.txt`).on('error', () => undefined)
    sent.end()
    await until(() => opening)
    sent.destroy()
    await until(() => isAborted)
  })

  it('leaves nothing open, however many go away in the middle', async () => {
    await serve()
    for (let i = 0; i < 150; i++) (await begin(`${service.url}/outputs/${RUN}/large.bin`)).leave()
    await until(() => store.opened === 0, { describe: () => `${store.opened} are open` })
    expect(store.calls.open).toBe(150)
  })
})
