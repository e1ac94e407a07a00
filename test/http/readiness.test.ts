// /readyz as a probe of Kubernetes sees it: quick whatever the stores do, and easy on them.
import { afterEach, describe, expect, it } from 'vitest'
import { AppError } from '../../src/errors.ts'
import type { Entry } from '../../src/store/store.ts'
import { ask } from '../support/checked.ts'
import { json } from '../support/client.ts'
import { judging } from '../support/authority.ts'
import { until } from '../support/process.ts'
import { startService } from '../support/service.ts'
import type { Service } from '../support/service.ts'
import { scriptedStore, type ScriptedStore } from './scripted-store.ts'

/** What Kubernetes waits for a probe unless told otherwise. */
const PROBE_TIMEOUT_MS = 1000

let service: Service
afterEach(() => service.close())

async function serve(stores: Readonly<Record<string, ScriptedStore>>): Promise<void> {
  service = await startService('', {}, new Map(Object.entries(stores)))
}

async function probe(): Promise<{ status: number; body: unknown; ms: number }> {
  const startedAt = performance.now()
  const answer = await ask(`${service.url}/readyz`)
  return { status: answer.status, body: json(answer), ms: performance.now() - startedAt }
}

/** A store whose `stat` does what `answer` says at the moment. */
function store(answer: () => Promise<void>): ScriptedStore {
  const scripted: ScriptedStore = scriptedStore({
    stat: async (path): Promise<Entry> => {
      await answer()
      return scripted.memory.stat(path)
    },
  })
  return scripted
}

const fine = (): Promise<void> => Promise.resolve()
const never = (): Promise<void> => new Promise(() => undefined)
const down = (): Promise<void> =>
  Promise.reject(new AppError('Unavailable', "The outputs store 'b' cannot be reached."))

describe('readiness', () => {
  it('is there while one store of several answers, and gone with the last one', async () => {
    let [a, b] = [fine, fine]
    await serve({ a: store(() => a()), b: store(() => b()) })
    expect(await probe()).toMatchObject({ status: 200, body: { status: 'ready' } })
    b = down
    await until(async () => JSON.stringify((await probe()).body).includes('unavailable'))
    expect(await probe()).toMatchObject({
      status: 200,
      body: {
        status: 'ready',
        stores: [
          { name: 'a', status: 'ok' },
          { name: 'b', status: 'unavailable', detail: "The outputs store 'b' cannot be reached." },
        ],
      },
    })
    a = down
    await until(async () => (await probe()).status === 503)
    expect(await probe()).toMatchObject({ body: { status: 'unavailable' } })
    ;[a, b] = [down, fine]
    await until(async () => (await probe()).status === 200)
  })

  it('names no stores where callers have to say who they are', async () => {
    service = await startService('', {}, new Map([['secret-store', store(fine)]]), {
      authority: judging(() => Promise.resolve('allowed')),
    })
    expect(await probe()).toMatchObject({ status: 200, body: { status: 'ready' } })
    expect((await ask(`${service.url}/readyz`)).text).not.toContain('secret-store')
  })

  it('is refused while the service drains, whatever the stores say', async () => {
    await serve({ a: store(fine) })
    service.app.drain()
    expect(await probe()).toMatchObject({
      status: 503,
      body: { status: 'draining', stores: [{ name: 'a', status: 'ok' }] },
    })
  })

  it('asks a store once for a burst of probes, and again only after a second', async () => {
    const asked = store(fine)
    await serve({ asked })
    await Promise.all(Array.from({ length: 50 }, probe))
    expect(asked.calls.stat).toBe(1)
    await probe()
    expect(asked.calls.stat).toBe(1)
    await until(async () => {
      await probe()
      return asked.calls.stat === 2
    })
  })

  it('answers within the time of a probe while a store hangs, and has asked it once', async () => {
    const hung = store(never)
    await serve({ hung, fine: store(fine) })
    const expectation = {
      status: 200,
      body: { status: 'ready', stores: [{ name: 'hung', status: 'unavailable' }, { status: 'ok' }] },
    }
    for (let i = 0; i < 3; i++) {
      const answer = await probe()
      expect(answer).toMatchObject(expectation)
      expect(answer.ms).toBeLessThan(PROBE_TIMEOUT_MS)
    }
    await until(async () => JSON.stringify((await probe()).body).includes('"trouble":"timeout"'))
    const answers = await Promise.all(Array.from({ length: 20 }, probe))
    for (const answer of answers) expect(answer.ms).toBeLessThan(PROBE_TIMEOUT_MS)
    expect(hung.calls.stat).toBe(1)
  })

  it('keeps a good verdict while the store merely hesitates', async () => {
    let answer = fine
    const slow = (): Promise<void> => new Promise(resolve => setTimeout(resolve, 1500))
    await serve({ slow: store(() => answer()) })
    expect((await probe()).status).toBe(200)
    answer = slow
    for (const end = performance.now() + 2500; performance.now() < end;) {
      const { status, ms } = await probe()
      expect(status).toBe(200)
      expect(ms).toBeLessThan(PROBE_TIMEOUT_MS)
    }
  })

  it('takes a store whose connections are all in use for one that works', async () => {
    const busy = (): Promise<void> =>
      Promise.reject(new AppError('RateLimited', 'All connections to the store are in use.'))
    await serve({ a: store(busy) })
    expect(await probe()).toMatchObject({ status: 200, body: { stores: [{ name: 'a', status: 'ok' }] } })
  })

  it('tells nobody what a store threw', async () => {
    await serve({ a: store(() => Promise.reject(new Error('https://internal/?key=OURS'))) })
    const { status, body } = await probe()
    expect(status).toBe(503)
    expect(JSON.stringify(body)).not.toMatch(/internal|OURS/)
  })
})
