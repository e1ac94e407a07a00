// What the dashboards of both generations of Polyaxon ask, as a browser sends it: they put paths into URLs as they are.
import { connect } from 'node:net'
import { buffer } from 'node:stream/consumers'
import { join } from 'node:path'
import { writeFile } from 'node:fs/promises'
import { afterAll, beforeAll, expect, it, describe } from 'vitest'
import { bytes } from '../contract/harness.ts'
import { describeEach } from '../support/stores.ts'
import { NAMESPACE, OWNER, PROJECT } from './polyaxon-api.ts'
import { RUN_FILES } from './polyaxon-files.ts'
import { fill, newRun, POLYAXON_STORES, serveRuns, storedIn, treeOfFiles, unpack } from './polyaxon-runs.ts'
import type { ServedRuns } from './polyaxon-runs.ts'

interface RawAnswer {
  readonly status: number
  readonly headers: Headers
  readonly body: Buffer
}

/** Names that the dashboards can ask for although they escape nothing. */
const NAMES = [
  'größe.txt',
  'a b.txt',
  '[x]{y}|z^`.txt',
  '100%.txt',
  'a=b;c:d@e.txt',
  "it's.txt",
  '日本語.txt',
  'q?.txt',
]

const RUN = `${OWNER}/${PROJECT}/jobs/1`

describeEach(POLYAXON_STORES, kind => {
  let runs: ServedRuns
  let run: string

  beforeAll(async () => {
    runs = await serveRuns(kind)
    run = newRun()
    const files = new Map([
      ...RUN_FILES,
      ...NAMES.map(name => [`outputs/raw ü/${name}`, bytes(name)] as const),
    ])
    for (const folder of [run, RUN]) await fill(runs.store, folder, files)
  })
  afterAll(() => runs.close())

  /** The bytes that a browser sends for `target`, and nothing that puts them right on the way. */
  async function ask(
    target: string,
    headers: Readonly<Record<string, string>>,
    method = 'GET',
  ): Promise<RawAnswer> {
    const { pathname, search } = new URL(target, runs.service.url)
    const fields = { host: `127.0.0.1:${runs.service.port}`, connection: 'close', ...headers }
    const lines = Object.entries(fields).map(([name, value]) => `${name}: ${value}`)
    const socket = connect(runs.service.port, '127.0.0.1')
    socket.write([`${method} ${pathname}${search} HTTP/1.1`, ...lines, '', ''].join('\r\n'))
    return parse(await buffer(socket))
  }

  const ui = { authorization: 'token secret-of-ann', 'x-polyaxon-service': 'ui', accept: '*/*' }

  describe('the dashboard of 2.x', () => {
    const at = (resource: string): string =>
      `/streams/v1/${NAMESPACE}/${OWNER}/${PROJECT}/runs/${run}/${resource}`

    it('walks down the tree', async () => {
      const { status, body } = await ask(at('artifacts/tree?path=outputs/model/'), ui)
      expect([status, JSON.parse(body.toString())]).toEqual([
        200,
        { files: { 'weights.bin': 3_000_001 }, dirs: ['checkpoints'] },
      ])
      const top = await ask(at('artifacts/tree?path='), ui)
      expect(JSON.parse(top.body.toString())).toEqual({
        files: {},
        dirs: ['assets', 'code', 'events', 'outputs', 'plxlogs'],
      })
    })

    it.each(NAMES)('previews, embeds and downloads %s', async name => {
      const path = `outputs/raw ü/${name}`
      for (const resource of [
        `artifact?stream=true&path=${path}&force=false&render=false`,
        `embedded_artifact?stream=false&path=${path}`,
        `ro_artifact/_?path=${path}`,
        `artifact?stream=false&path=${path}`,
        `artifacts?path=${path}&check_path=true`,
      ]) {
        const { status, headers, body } = await ask(at(resource), ui)
        expect([status, body.toString(), headers.get('content-length')]).toEqual([
          200,
          name,
          String(bytes(name).byteLength),
        ])
      }
    })

    it.each(NAMES)('saves %s under its name', async name => {
      const { headers } = await ask(at(`artifact?stream=false&path=outputs/raw ü/${name}`), ui)
      expect(savedAs(headers)).toMatch(/^[\x20-\x7e]+\.txt$/)
      if (/^[\x20-\x7e]+$/.test(name)) expect(savedAs(headers)).toBe(name)
    })

    it('saves a folder as an archive', async () => {
      const { status, headers, body } = await ask(at('artifacts?path=outputs/model'), {
        ...ui,
        origin: 'http://ui',
      })
      expect([status, savedAs(headers)]).toEqual([200, 'model.tar.gz'])
      const archive = join(await runs.makeFolder(), 'model.tar.gz')
      await writeFile(archive, body)
      expect(await unpack(archive, await runs.makeFolder())).toEqual(treeOfFiles(RUN_FILES, 'outputs/model'))
      const other = await ask(at('artifacts?path=outputs/Übungen'), ui)
      expect(savedAs(other.headers)).toMatch(/\.tar\.gz$/)
    })

    it('deletes a file and a folder', async () => {
      const doomed = newRun()
      await fill(runs.store, doomed, RUN_FILES)
      const of = (resource: string): string => at(resource).replace(run, doomed)
      expect((await ask(of('artifact?path=outputs/results.csv'), ui, 'DELETE')).status).toBe(204)
      expect((await ask(of('artifacts?path=outputs/odd'), ui, 'DELETE')).status).toBe(204)
      const left = [...treeOfFiles(RUN_FILES)].filter(
        ([path]) => !/^outputs\/(results\.csv$|odd\/)/.test(path),
      )
      expect(await storedIn(runs.store, doomed)).toEqual(new Map(left))
    })
  })

  describe('the dashboard of 0.x', () => {
    const at = (resource: string): string => `/api/v1/${RUN}/outputs/${resource}`
    const old = { authorization: 'token secret-of-ann', 'content-type': 'text/plain;charset=UTF-8' }
    /** Links to downloads carry a cookie and no token. */
    const link = { cookie: 'sessionid=abc; token=secret-of-ann; user=ann' }

    it('walks down the tree', async () => {
      const { status, body } = await ask(at('tree?path=outputs'), old)
      expect([status, JSON.parse(body.toString())]).toEqual([
        200,
        {
          files: [
            ['empty.txt', 0],
            ['metrics.json', 28],
            ['results.csv', 24],
            ['x.tar.gz', 1000],
          ],
          dirs: ['model', 'odd', 'raw ü', 'Übungen'],
        },
      ])
      const top = await ask(at('tree'), old)
      expect(JSON.parse(top.body.toString())).toEqual({
        files: [],
        dirs: ['assets', 'code', 'events', 'outputs', 'plxlogs'],
      })
    })

    it.each(NAMES)('previews and downloads %s', async name => {
      for (const headers of [old, link]) {
        const { status, body } = await ask(at(`files?path=outputs/raw ü/${name}`), headers)
        expect([status, body.toString()]).toEqual([200, name])
      }
    })

    it('downloads everything by a link', async () => {
      const { status, body } = await ask(at('download'), link)
      expect(status).toBe(200)
      const archive = join(await runs.makeFolder(), 'all.tar.gz')
      await writeFile(archive, body)
      const tree = await unpack(archive, await runs.makeFolder())
      expect(tree).toEqual(await storedIn(runs.store, RUN))
    })
  })
})

/** The name that the dashboard of 2.x gives to what it saves, in its own words. */
function savedAs(headers: Headers): unknown {
  return JSON.parse(headers.get('content-disposition')!.split('filename=')[1]!)
}

/** An answer on a connection that ends with it. */
function parse(answer: Buffer): RawAnswer {
  const end = answer.indexOf('\r\n\r\n')
  const [first = '', ...lines] = answer.subarray(0, end).toString('latin1').split('\r\n')
  const headers = new Headers(
    lines.map(line => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 1)]),
  )
  const body = answer.subarray(end + 4)
  const chunked = headers.get('transfer-encoding') === 'chunked'
  return { status: Number(first.split(' ')[1]), headers, body: chunked ? joinChunks(body) : body }
}

function joinChunks(body: Buffer): Buffer {
  const chunks: Buffer[] = []
  for (let at = 0; ;) {
    const line = body.indexOf('\r\n', at)
    const size = parseInt(body.subarray(at, line).toString(), 16)
    if (size === 0) return Buffer.concat(chunks)
    if (!(size > 0)) throw new Error('The last chunk is missing')
    chunks.push(body.subarray(line + 2, line + 2 + size))
    at = line + 2 + size + 2
  }
}
