// Events and resources of runs at the URLs of Polyaxon's streams service, over a real socket. Answers are those of haupt 2.18.0, where nothing else is said.
import { execFileSync } from 'node:child_process'
import { setTimeout as pause } from 'node:timers/promises'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { AppError } from '../../src/errors.ts'
import { ask } from '../support/checked.ts'
import { json } from '../support/client.ts'
import type { Answer } from '../support/client.ts'
import { startService } from '../support/service.ts'
import type { Service } from '../support/service.ts'
import { Tree } from '../support/tree.ts'
import { scriptedStore } from './scripted-store.ts'

const RUN = 'a1b2c3d4e5f647089a0b1c2d3e4f5a6b'
const OTHER = 'b1b2c3d4e5f647089a0b1c2d3e4f5a6b'
const LOSS = 'step|timestamp|metric\n1|2018-12-11T10:24:57+00:00|0.5\n2|2018-12-11T10:25:57+00:00|0.25\n'
const LOSS_DATA =
  '{"step":[1,2],"timestamp":["2018-12-11 10:24:57+00:00","2018-12-11 10:25:57+00:00"],"metric":[0.5,0.25]}'
const LOSS_JSON = `{"name":"loss","kind":"metric","data":${LOSS_DATA}}`
const T = '2018-12-11 10:24:57+00:00'
const image = (...paths: string[]): string =>
  `step|timestamp|image${paths.map((path, i) => `\n${i}|${T}|${JSON.stringify({ path })}`).join('')}`

const tree = new Tree()
let service: Service
beforeAll(async () => {
  tree.write(`${RUN}/events/metric/loss.plx`, LOSS)
  tree.write(`${RUN}/events/metric/train__acc.plx`, `step|timestamp|metric\n1|${T}|1`)
  tree.write(`${RUN}/events/metric/empty.plx`, '')
  tree.write(`${RUN}/events/metric/folder.plx/x`, '')
  tree.write(`${RUN}/events/metric/sub/loss.plx`, LOSS)
  tree.write(`${RUN}/events/metric/no-table.plx`, `${'a|'.repeat(40)}\n`)
  tree.write(
    `${RUN}/events/metric/many.plx`,
    `step|timestamp|metric${Array.from({ length: 101 }, (_, i) => `\n${i}|${T}|${i}`).join('')}`,
  )
  tree.write(
    `${RUN}/events/text/notes.plx`,
    `\n${JSON.stringify({ timestamp: T, step: 1, text: 'a "b"\nc|d' })}`,
  )
  tree.write(
    `${RUN}/events/image/img.plx`,
    image('assets/image/a.png', 'assets/image/gone.png', '../secret', `/${OTHER}`),
  )
  tree.write(`${RUN}/events/image/mod.plx`, image('assets/model', 'assets/image/a.png', 'leads/out.png', ''))
  tree.write(`${RUN}/events/image/häpp "y".plx`, image())
  tree.write(`${RUN}/assets/image/a.png`, 'png a')
  tree.write(`${RUN}/assets/image/unasked.png`, 'png')
  tree.write(`${RUN}/assets/model/weights.bin`, 'weights')
  tree.write(`${RUN}/assets/model/deep/er.bin`, 'deeper')
  tree.write('secret/out.png', 'secret')
  tree.write('secret.plx', LOSS)
  tree.link(`${RUN}/leads`, '../secret')
  tree.write(`${RUN}/resources/metric/cpu.plx`, LOSS)
  tree.write(`${RUN}/resources/metric/memory.plx`, LOSS)
  tree.write(`${RUN}/resources/metric/readme.txt`, 'no events')
  tree.write(`${OTHER}/events/metric/loss.plx`, LOSS)
  service = await startService(tree.root)
})
afterAll(async () => {
  await service.close()
  tree.remove()
})

const get = (path: string, method = 'GET'): Promise<Answer> =>
  ask(`${service.url}/streams/v1/default/ann/mnist/${path}`, { method })

describe('events of a run', () => {
  it('are JSON by columns, or their text', async () => {
    const answer = await get(`runs/${RUN}/events/metric?names=loss`)
    expect([answer.status, answer.complete, answer.text]).toEqual([200, true, `{"data":[${LOSS_JSON}]}`])
    expect(answer.headers['content-type']).toBe('application/json')
    expect((await get(`runs/${RUN}/events/metric?names=loss&orient=dict&force=true`)).text).toBe(answer.text)
    expect((await get(`runs/${RUN}/events/metric?names=loss&orient=csv&sample=1`)).text).toBe(
      `{"data":[{"name":"loss","kind":"metric","data":${JSON.stringify(LOSS)}}]}`,
    )
    expect(json(await get(`runs/${RUN}/events/text?names=notes`))).toEqual({
      data: [{ name: 'notes', kind: 'text', data: { timestamp: [T], step: [1], text: ['a "b"\nc|d'] } }],
    })
  })

  it('have the order of their names, and go without those that are not there', async () => {
    const names = 'train__acc,nope,empty,folder,no-table,loss,loss'
    const { data } = json(await get(`runs/${RUN}/events/metric?names=${names}`)) as {
      data: { name: string }[]
    }
    expect(data.map(({ name }) => name)).toEqual(['train__acc', 'loss'])
    for (const path of [
      `${RUN}/events/metric?names=nope`,
      `${RUN}/events/metric?names=`,
      'none/events/metric?names=loss',
      `${RUN}/events/curve?names=loss`,
    ])
      expect((await get(`runs/${path}`)).text).toBe('{"data":[]}')
  })

  it.each([
    '../../../secret',
    '../metric/loss',
    'sub/loss',
    '/loss',
    '..\\..\\..\\secret',
    'loss\0',
    'x'.repeat(300),
    '\ud800',
  ])('are none for the name %j', async name => {
    const answer = await get(`runs/${RUN}/events/metric?names=${encodeURIComponent(name.toWellFormed())}`)
    expect([answer.status, answer.text]).toEqual([200, '{"data":[]}'])
  })

  it('are thinned evenly', async () => {
    const answer = await get(`runs/${RUN}/events/metric?names=many&sample=5`)
    expect(json(answer)).toMatchObject({ data: [{ data: { step: [0, 25, 50, 75, 100] } }] })
  })

  it('answer HEAD as GET, without a body', async () => {
    const answer = await get(`runs/${RUN}/events/metric?names=loss`, 'HEAD')
    expect([answer.status, answer.text, answer.headers['content-type']]).toEqual([
      200,
      '',
      'application/json',
    ])
  })

  it.each([
    ['bad?names=loss', 'received an unrecognisable event bad.'],
    ['constructor?names=loss', 'received an unrecognisable event constructor.'],
    ['metric', "The query parameter 'names' is missing: give the names of events, separated by commas."],
    ['metric?names=loss&orient=list', "The query parameter 'orient' is either dict or csv."],
    ['metric?names=loss&sample=-1', "The query parameter 'sample' is the number of rows to have at most."],
  ])('are refused for %s, as plain text', async (path, message) => {
    const answer = await get(`runs/${RUN}/events/${path}`)
    expect([answer.status, answer.text.trim()]).toEqual([400, message])
    expect(answer.headers['content-type']).toMatch(/^text\/plain/)
  })
})

describe('events of several runs', () => {
  it.each(['ann/mnist', 'orgs/ann', 'orgs/ann/teams/vision'])('are JSON by run below %s', async above => {
    const url = `${service.url}/streams/v1/default/${above}/runs/multi/events/metric?names=loss,nope&runs=${OTHER},none,${RUN}`
    const answer = await ask(url)
    expect([answer.status, answer.text]).toEqual([
      200,
      `{"data":{"${OTHER}":[${LOSS_JSON}],"none":[],"${RUN}":[${LOSS_JSON}]}}`,
    ])
  })

  it('are none for no runs, and refused where none are named', async () => {
    expect((await get('runs/multi/events/metric?names=loss&runs=')).text).toBe('{"data":{}}')
    expect((await get('runs/multi/events/metric?names=loss')).status).toBe(400)
    expect((await get(`runs/multi/events/metric?runs=${RUN}`)).status).toBe(400)
    expect((await get(`runs/multi/events/bad?names=loss&runs=${RUN}`)).status).toBe(400)
  })

  it('reach no other folder by the name of a run', async () => {
    const answer = await get(
      `runs/multi/events/metric?names=loss&runs=${encodeURIComponent(`${RUN}/../${OTHER}`)},..`,
    )
    expect(answer.status).toBe(200)
    expect(Object.values((json(answer) as { data: object }).data)).toEqual([[], []])
  })
})

describe('resources', () => {
  it('are all of them, or those that are named', async () => {
    const files = (answer: Answer): string[] =>
      (json(answer) as { data: { name: string; kind: string }[] }).data.map(
        ({ name, kind }) => `${kind} ${name}`,
      )
    expect(files(await get(`runs/${RUN}/resources`))).toEqual(['metric cpu', 'metric memory'])
    expect(files(await get(`runs/${RUN}/resources?names=`))).toEqual(['metric cpu', 'metric memory'])
    expect(files(await get(`runs/${RUN}/resources?names=memory,nope,../../events/metric/loss`))).toEqual([
      'metric memory',
    ])
    expect((await get(`runs/${RUN}/resources?names=cpu`)).text).toBe(
      `{"data":[{"name":"cpu","kind":"metric","data":${LOSS_DATA}}]}`,
    )
    for (const run of [OTHER, 'none']) expect((await get(`runs/${run}/resources`)).text).toBe('{"data":[]}')
  })
})

describe('events with their files', () => {
  const members = (answer: Answer): string[] =>
    execFileSync('tar', ['tzf', '-'], { input: answer.body, encoding: 'utf8' }).trim().split('\n')

  it('are an archive relative to the run, which the client knows by its name', async () => {
    const answer = await get(`runs/${RUN}/events/image?names=img,mod,nope&pkg_assets=True`)
    expect([answer.status, answer.complete]).toEqual([200, true])
    expect(answer.headers['content-disposition']).toBe(
      `attachment; filename="${RUN}.image.img-and-mod-and-nope.tar.gz"`,
    )
    expect(answer.headers['content-encoding']).toBeUndefined()
    expect(members(answer)).toEqual([
      'assets/image/a.png',
      'assets/model/deep/er.bin',
      'assets/model/weights.bin',
      'events/image/img.plx',
      'events/image/mod.plx',
    ])
  })

  it('are the event files alone where events speak of none, or of none that is there', async () => {
    expect(members(await get(`runs/${RUN}/events/metric?names=loss&pkg_assets=true`))).toEqual([
      'events/metric/loss.plx',
    ])
    expect(members(await get(`runs/${RUN}/events/text?names=notes&pkg_assets=true`))).toEqual([
      'events/text/notes.plx',
    ])
  })

  it('have a name that ends as the client wants it, whatever the events are called', async () => {
    for (const name of ['häpp "y"', `häpp "y",${'x'.repeat(240)}`]) {
      const answer = await get(`runs/${RUN}/events/image?names=${encodeURIComponent(name)}&pkg_assets=true`)
      expect(answer.headers['content-disposition']).toMatch(/; filename="[^"]+\.tar\.gz"$/)
    }
  })

  it('are not found where no events are', async () => {
    for (const path of [
      `${RUN}/events/image?names=nope`,
      `${RUN}/events/image?names=`,
      'none/events/image?names=img',
    ]) {
      const answer = await get(`runs/${path}&pkg_assets=true`)
      expect(answer.status).toBe(404)
      expect(answer.text).toMatch(/^Artifact not found/)
    }
  })

  it('answer HEAD as GET', async () => {
    const answer = await get(`runs/${RUN}/events/image?names=img&pkg_assets=true`, 'HEAD')
    expect([answer.status, answer.text, answer.headers['content-type']]).toEqual([
      200,
      '',
      'application/gzip',
    ])
  })

  it('speak of no more files than an archive may have', async () => {
    const small = await startService(tree.root, { archives: { maxEntries: 2 } })
    const url = `${small.url}/streams/v1/default/ann/mnist/runs/${RUN}/events/image?names=img,mod&pkg_assets=true`
    expect((await ask(url)).status).toBe(413)
    await small.close()
  })
})

describe('a store that does not do as it should', () => {
  let failing: Service | undefined
  afterEach(() => failing?.close())

  const serve = async (store: ReturnType<typeof scriptedStore>): Promise<string> => {
    failing = await startService('/nowhere', {}, store)
    return `${failing.url}/streams/v1/default/ann/mnist/runs/${RUN}/events/metric?names=loss`
  }

  it('is asked once for a small file, and left when the answer is there', async () => {
    const store = scriptedStore()
    store.write(`${RUN}/events/metric/loss.plx`, LOSS)
    expect((await ask(await serve(store))).text).toBe(`{"data":[${LOSS_JSON}]}`)
    expect([store.calls.open, store.calls.read, store.opened]).toEqual([1, 1, 0])
  })

  it('is answered for when it fails before the first byte', async () => {
    const store = scriptedStore({
      open: () => Promise.reject(new AppError('Unavailable', 'The store is away.', { op: 'open' })),
    })
    const answer = await ask(await serve(store))
    expect([answer.status, answer.text.trim()]).toEqual([503, 'The store is away.'])
  })

  it('is read again when the file changed before the first byte', async () => {
    let left = 2
    const store = scriptedStore({
      artifact: artifact => ({
        read: (start, end, options) => {
          if (left-- > 0) throw new AppError('Changed', 'The file is another one now.', { op: 'read' })
          return artifact.read(start, end, options)
        },
      }),
    })
    store.write(`${RUN}/events/metric/loss.plx`, LOSS)
    const url = await serve(store)
    expect((await ask(url)).text).toBe(`{"data":[${LOSS_JSON}]}`)
    left = 2
    const { status, headers } = await ask(`${url}&pkg_assets=true`)
    expect([status, headers['content-type']]).toEqual([200, 'application/gzip'])
    left = Infinity
    for (const more of ['', '&pkg_assets=true']) expect((await ask(url + more)).status).toBe(503)
    expect(store.opened).toBe(0)
  })

  it('breaks the answer off when the file changes while its columns are read', async () => {
    let passes = 0
    const store = scriptedStore({
      artifact: artifact => ({
        read: (start, end, options) => {
          if (end > 100_000 && ++passes > 2) throw new AppError('Changed', 'Another one.', { op: 'read' })
          return artifact.read(start, end, options)
        },
      }),
    })
    store.write(`${RUN}/events/metric/loss.plx`, `step|timestamp|metric\n${`1|${T}|0.5\n`.repeat(60_000)}`)
    const answer = await ask(await serve(store)).catch(() => undefined)
    expect(answer?.complete ?? false).toBe(false)
    await pause(20)
    expect(store.opened).toBe(0)
  })
})
