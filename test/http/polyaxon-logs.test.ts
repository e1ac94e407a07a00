// The logs of runs of Polyaxon 0.x: one file for each run, from a store beside those of the outputs.
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { AppError } from '../../src/errors.ts'
import { troubleError } from '../../src/store/failure.ts'
import { openObjectStore } from '../../src/store/object-store.ts'
import type { ArtifactStore, DirectOptions } from '../../src/store/store.ts'
import { ask } from '../support/checked.ts'
import { json } from '../support/client.ts'
import { bucketDefinition, MemoryBucket } from '../support/object-memory.ts'
import { judging } from '../support/authority.ts'
import { startService, type Service } from '../support/service.ts'
import { asServed, describeEach, STORES } from '../support/stores.ts'
import { Tree } from '../support/tree.ts'
import { scriptedStore } from './scripted-store.ts'

const LOGS = { kind: 'local', name: 'persistence.logs', isDefault: false } as const
const NO_LOGS = { detail: 'Experiment has no logs.' }
const NOT_FOUND = { detail: 'Not found.' }

const outputs = new Tree()
const logs = new Tree()
let service: Service

const get = (target: string, options = {}) => ask(`${service.url}/api/v1/ann/mnist/${target}`, options)

beforeAll(async () => {
  outputs.write('ann/mnist/experiments/1/outputs.txt', 'an output')
  outputs.write('ann/mnist/experiments/20', 'a file among the outputs')
  logs.write('ann/mnist/experiments/1', 'epoch 1\nepoch 2: ü\n')
  logs.write('ann/mnist/experiments/11', 'the eleventh')
  logs.write('ann/mnist/experiments/30/100.worker', 'second')
  logs.write('ann/mnist/experiments/30/12.master', 'first')
  logs.write('ann/mnist/experiments/30/notes', 'no log')
  logs.write('ann/mnist/experiments/30/1.x/y', 'no log')
  logs.makeDirectory('ann/mnist/experiments/31')
  logs.write('ann/mnist/groups/2/6', 'not this one')
  logs.write('ann/mnist/groups/3/7', 'in a group')
  logs.write('ann/mnist/groups/3/8/41.worker', 'last')
  logs.write('ann/mnist/groups/3/8/40.master', 'distributed in a group')
  logs.write('ann/mnist/jobs/5', 'a job')
  logs.write('ann/mnist/jobs/6/1.master', 'jobs are not distributed')
  logs.write('ann/mnist/builds/9', 'a build')
  logs.write('ann/mnist/experiments/abc', 'no id')
  logs.write('secret', 'above')
  logs.link('ann/mnist/experiments/66', '/etc/passwd')
  logs.link('ann/mnist/experiments/67', '../../../secret')
  const definition = { ...LOGS, path: logs.root, readOnly: true, delivery: 'proxy' as const }
  service = await startService(outputs.root, { logs: definition })
})
afterAll(async () => {
  await service.close()
  outputs.remove()
  logs.remove()
})

describe('a log', () => {
  it.each([
    ['experiments/1/logs', 'epoch 1\nepoch 2: ü\n', '1'],
    ['experiments/1/logs/', 'epoch 1\nepoch 2: ü\n', '1'],
    ['experiments/1/logs?format=json&x', 'epoch 1\nepoch 2: ü\n', '1'],
    ['experiments/7/logs', 'in a group', '7'],
    ['experiments/30/logs', 'first', '12.master'],
    ['experiments/8/logs', 'distributed in a group', '40.master'],
    ['jobs/5/logs', 'a job', '5'],
    ['builds/9/logs/', 'a build', '9'],
  ])('is the text of the run, to be saved: %s', async (target, text, name) => {
    const answer = await get(target)
    expect([answer.status, answer.text]).toEqual([200, text])
    expect(answer.headers).toMatchObject({
      'content-type': 'text/plain; charset=utf-8',
      'content-length': String(Buffer.byteLength(text)),
      'content-disposition': `attachment; filename="${name}"`,
      'x-content-type-options': 'nosniff',
      'accept-ranges': 'bytes',
      etag: expect.any(String),
    })
    const head = await get(target, { method: 'HEAD' })
    expect([head.status, head.text]).toEqual([200, ''])
    expect(head.headers).toMatchObject({
      etag: answer.headers.etag,
      'content-length': String(answer.body.length),
    })
  })

  it('comes in ranges, and not again while it is the same', async () => {
    const part = await get('experiments/1/logs', { headers: { range: 'bytes=6-' } })
    expect([part.status, part.text, part.headers['content-range']]).toEqual([
      206,
      '1\nepoch 2: ü\n',
      'bytes 6-19/20',
    ])
    const etag = part.headers.etag!
    expect((await get('experiments/1/logs', { headers: { 'if-none-match': etag } })).status).toBe(304)
    const beyond = await get('experiments/1/logs', { headers: { range: 'bytes=20-' } })
    expect([beyond.status, beyond.headers['content-range']]).toEqual([416, 'bytes */20'])
    expect(json(beyond)).toEqual({ detail: expect.any(String) })
  })

  it('is looked for again when it is gone from its group', async () => {
    logs.write('ann/mnist/groups/4/70', 'before')
    expect((await get('experiments/70/logs')).text).toBe('before')
    logs.removePath('ann/mnist/groups/4/70')
    expect((await get('experiments/70/logs')).status).toBe(404)
    logs.write('ann/mnist/groups/5/70', 'after')
    expect((await get('experiments/70/logs')).text).toBe('after')
  })
})

describe('what is no log', () => {
  it.each([
    ['experiments/404/logs', NO_LOGS],
    ['experiments/20/logs', NO_LOGS],
    ['experiments/31/logs', NO_LOGS],
    ['experiments/abc/logs', NO_LOGS],
    ['experiments/1.master/logs', NO_LOGS],
    ['jobs/6/logs', { detail: 'Job has no logs.' }],
    ['builds/5/logs', { detail: 'Build has no logs.' }],
    ['groups/3/logs', { detail: 'Group has no logs.' }],
    ['runs/5/logs', { detail: 'Run has no logs.' }],
    ['notebooks/5/logs', NOT_FOUND],
    ['experiments/1/logs/stream', NOT_FOUND],
    ['experiments/1/logs//', NOT_FOUND],
    ['experiments/30/12.master/logs', NOT_FOUND],
    ['logs', NOT_FOUND],
  ])('is not found: %s', async (target, body) => {
    const answer = await get(target)
    expect(answer.status).toBe(404)
    expect(answer.headers['content-type']).toBe('application/json')
    expect(json(answer)).toEqual(body)
  })

  it.each([
    'experiments/../logs',
    'experiments/%2e%2e/logs',
    'experiments/..%2f..%2f..%2fsecret/logs',
    'experiments/1%2f..%2f11/logs',
    'experiments/1%00/logs',
    'experiments//logs',
    '../../secret/logs',
    'experiments/%zz/logs',
    'experiments/66/logs',
    'experiments/67/logs',
    'jobs/%2a/logs',
  ])('is not reached: %s', async target => {
    const answer = await get(target)
    expect([400, 403, 404]).toContain(answer.status)
    expect(json(answer)).toEqual({ detail: expect.any(String) })
    expect(answer.text).not.toMatch(/above|root:|eleventh/)
  })

  it('is one of a connection, for the logs are of none', async () => {
    for (const name of ['outputs', 'persistence.logs']) {
      const answer = await get(`experiments/1/logs?connection=${name}`)
      expect(answer.status).toBeOneOf([400, 404])
      expect(answer.text).not.toContain('epoch')
    }
  })

  it('is not written either', async () => {
    const answer = await get('experiments/1/logs', { method: 'POST', body: '"a line"' })
    expect([answer.status, answer.headers.allow]).toEqual([405, 'GET, HEAD'])
    expect(json(answer)).toEqual({ detail: expect.any(String) })
  })
})

describe('the store of logs', () => {
  it('is no connection, and holds no outputs', async () => {
    for (const target of ['/outputs/?connection=persistence.logs', '/outputs/ann/mnist/jobs/5/'])
      expect((await ask(service.url + target)).status, target).toBe(404)
    const ready = json(await ask(`${service.url}/readyz`))
    expect(ready).toEqual({ status: 'ready', stores: [{ name: 'outputs', status: 'ok' }] })
  })
})

describe('another store of logs', () => {
  let other: Service
  afterEach(() => other.close())

  const start = async (store?: ArtifactStore) =>
    (other = await startService('', {}, scriptedStore(), { logs: store }))
  const log = (target: string) => ask(`${other.url}/api/v1/ann/mnist/${target}/logs`)

  it('that is not configured is asked for', async () => {
    await start()
    for (const target of ['experiments/1', 'jobs/2']) {
      const answer = await log(target)
      expect(answer.status).toBe(404)
      expect(json(answer)).toEqual({
        detail: expect.stringMatching(/persistence\.logs.*POLYAXON_PERSISTENCE_LOGS/) as string,
      })
    }
  })

  it('that is away does not keep the outputs from being served', async () => {
    const away = scriptedStore({
      stat: path => Promise.reject(troubleError('persistence.logs', 'unreachable', 'stat', path)),
    })
    await start(away)
    for (const target of ['experiments/1', 'jobs/2']) {
      const answer = await log(target)
      expect([answer.status, answer.headers['retry-after']]).toEqual([503, '5'])
      expect(json(answer)).toEqual({ detail: expect.any(String) })
      expect(answer.text).not.toContain('mnist')
    }
    expect((await ask(`${other.url}/readyz`)).status).toBe(200)
  })

  it('that is a bucket has the log of an experiment beside those of its jobs', async () => {
    const bucket = new MemoryBucket()
    for (const key of [
      'experiments/7',
      'experiments/7/12.master',
      'groups/2/8/9.worker',
      'groups/2/8/10.master',
    ])
      bucket.store(`ann/mnist/${key}`, key)
    await start(openObjectStore(bucketDefinition(), bucket.connect))
    expect((await log('experiments/7')).text).toBe('experiments/7')
    expect((await log('experiments/8')).text).toBe('groups/2/8/9.worker')
    expect(json(await log('experiments/2'))).toEqual(NO_LOGS)
    expect(json(await log('jobs/7'))).toEqual({ detail: 'Job has no logs.' })
  })

  it('that clients fetch from themselves gives them text to be saved', async () => {
    const asked: [string, DirectOptions][] = []
    const store = scriptedStore({
      direct: (path, _wanted, request) => {
        asked.push([path, request])
        return Promise.resolve({ type: 'redirect', url: 'https://bucket.example/signed' })
      },
    })
    store.write('ann/mnist/jobs/5', 'a job')
    await start(store)
    const answer = await log('jobs/5')
    expect([answer.status, answer.headers.location]).toEqual([307, 'https://bucket.example/signed'])
    expect(asked).toMatchObject([
      [
        'ann/mnist/jobs/5',
        { disposition: 'attachment; filename="5"', mediaType: 'text/plain; charset=utf-8' },
      ],
    ])
  })

  it('shows a log to those who may read its run', async () => {
    const store = scriptedStore()
    for (const id of ['5', '6']) store.write(`ann/mnist/jobs/${id}`, 'a job')
    other = await startService('', {}, scriptedStore(), {
      logs: store,
      authority: judging(({ action, of }) =>
        of.id === '7'
          ? Promise.resolve('hidden')
          : action === 'read' && of.id === '5'
            ? Promise.resolve('allowed')
            : Promise.reject(new AppError('PermissionDenied', 'Not for you.')),
      ),
    })
    expect((await log('jobs/5')).text).toBe('a job')
    // As where there is none.
    store.write('ann/mnist/jobs/7', 'hidden')
    const hidden = await log('jobs/7')
    expect([hidden.status, json(hidden)]).toEqual([404, { detail: 'Job has no logs.' }])
    const denied = await log('jobs/6')
    expect([denied.status, json(denied)]).toEqual([403, { detail: 'Not for you.' }])
  })

  it('is closed with the service', async () => {
    let closed = 0
    const close = async () => {
      closed += 1
    }
    await start({ ...scriptedStore(), close })
    expect(closed).toBe(0)
    await other.app.close()
    expect(closed).toBe(1)
  })
})

describeEach(STORES, kind => {
  it('is a store of logs: a run alone, one in a group, one that is distributed', async () => {
    const harness = await kind.make()
    const served = await startService('', {}, scriptedStore(), { logs: asServed(harness.store) })
    const log = (target: string, options = {}) =>
      ask(`${served.url}/api/v1/ann/mnist/${target}/logs`, options)
    try {
      for (const path of ['experiments/1', 'groups/2/6', 'groups/3/7', 'experiments/8/9.worker', 'jobs/5'])
        await harness.write(`ann/mnist/${path}`, Buffer.from(`of ${path}`))
      await harness.write('ann/mnist/experiments/8/10.master', Buffer.from('later'))
      expect((await log('experiments/1')).text).toBe('of experiments/1')
      expect((await log('experiments/7')).text).toBe('of groups/3/7')
      expect((await log('experiments/8')).text).toBe('of experiments/8/9.worker')
      expect((await log('experiments/9')).status).toBe(404)
      expect((await log('builds/5')).status).toBe(404)
      const part = await log('jobs/5', { headers: { range: 'bytes=-2' } })
      expect([part.status, part.text, part.headers['content-type']]).toEqual([
        206,
        '/5',
        'text/plain; charset=utf-8',
      ])
    } finally {
      await served.close()
      await harness.close()
    }
  })
})
