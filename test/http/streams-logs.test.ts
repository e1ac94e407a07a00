// Logs at the URL of Polyaxon's streams service: the answers that its version 2.18.0 gave for the same files, and what its client needs while a run goes on.
import { afterAll, beforeAll, expect, it } from 'vitest'
import { storeError } from '../../src/store/failure.ts'
import { MemoryStore } from '../../src/store/memory.ts'
import { at } from '../contract/harness.ts'
import { ask } from '../support/checked.ts'
import { json, type Answer } from '../support/client.ts'
import { startService, type Service } from '../support/service.ts'
import { scriptedStore } from './scripted-store.ts'

const RUN = 'a1b2c3d4e5f647089a0b1c2d3e4f5a6b'
const ONE = '{"timestamp":"2018-12-11T10:24:57+00:00","value":"line one"}'
const TWO = '{"timestamp":"2018-12-11T10:25:57+00:00","value":"line two"}'
const RECORDED = `{"last_time":null,"last_file":null,"logs":[${ONE},${TWO}],"files":[]}`
const NOTHING = '{"last_time":null,"last_file":null,"logs":[],"files":[]}'

const store = new MemoryStore()
let service: Service

const write = (path: string, text: string): void => store.write(at(path), Buffer.from(text))

/** Runs are told apart by UUIDs. */
const uuidOf = (name: string): string => (name === RUN ? RUN : Buffer.from(name.padEnd(16)).toString('hex'))

function logs(run: string, query = '', method = 'GET'): Promise<Answer> {
  return ask(`${service.url}/streams/v1/default/owner/proj/runs/${uuidOf(run)}/logs${query}`, { method })
}

beforeAll(async () => {
  write(`${RUN}/plxlogs/pod-1.jsonl`, `\n${ONE}\n${TWO}`)
  write(`${uuidOf('empty')}/plxlogs/a.jsonl`, '\n')
  write(`${uuidOf('empty')}/plxlogs/b.jsonl`, '')
  write(`${uuidOf('chunks')}/plxlogs/1544523897.0`, `{"logs":[${TWO}]}`)
  write(`${uuidOf('chunks')}/plxlogs/1544523898.0`, `{"logs":[${ONE}]}`)
  write(`${uuidOf('live')}/.tmpplxlogs/pod-1.jsonl`, `\n${ONE}\n${TWO}\n{"timest`)
  write(`${uuidOf('quiet')}/outputs/model`, 'x')
  service = await startService('/unused', {}, store)
})

afterAll(() => service.close())

// Each as recorded; where nothing was asked of Kubernetes, which the recording service had not.
it.each([
  [RUN, '', RECORDED],
  [RUN, '?last_file=x', RECORDED],
  [RUN, '?kind=job&force=true&connection=outputs&last_time=', RECORDED],
  ['chunks', '', RECORDED],
  ['chunks', '?last_file=1544523897.0', RECORDED],
  ['empty', '', '{"last_time":null,"last_file":"a.jsonl","logs":[],"files":["a.jsonl","b.jsonl"]}'],
  [
    'empty',
    '?last_file=a.jsonl',
    '{"last_time":null,"last_file":"b.jsonl","logs":[],"files":["a.jsonl","b.jsonl"]}',
  ],
  [
    'empty',
    '?last_file=b.jsonl',
    '{"last_time":null,"last_file":null,"logs":[],"files":["a.jsonl","b.jsonl"]}',
  ],
  ['quiet', '', NOTHING],
  ['missing', '', NOTHING],
])('%s%s', async (run, query, recorded) => {
  const answer = await logs(run, query)
  expect(answer.status).toBe(200)
  expect(answer.headers['content-type']).toBe('application/json')
  expect(json(answer)).toEqual(JSON.parse(recorded))
  // Line by line to the byte, and with the same fields, though in another order.
  expect(answer.text).toContain(/"logs":\[.*\]/.exec(recorded)![0].replace(/,"files".*/, ''))
})

it('goes on from the last time, as the client writes it, and gives a time to go on from', async () => {
  const first = json(await logs('live', '?last_time=2018-12-11T10%3A24%3A00.000000%2B0000'))
  expect(first).toEqual({
    last_time: '2018-12-11T10:25:57+00:00',
    last_file: null,
    logs: [JSON.parse(ONE), JSON.parse(TWO)],
    files: [],
  })
  // The plus sign unescaped, as in a URL put together by hand.
  const second = json(await logs('live', '?last_time=2018-12-11T10:24:57+00:00'))
  expect(second).toMatchObject({ logs: [JSON.parse(TWO)] })
  const idle = json(await logs('live', '?last_time=2018-12-11T10:25:57Z'))
  expect(idle).toMatchObject({ logs: [], last_time: '2018-12-11T10:25:57+00:00' })
  expect(json(await logs('missing', '?last_time=2018-12-11T10:25:57Z'))).toMatchObject({
    logs: [],
    last_time: '2018-12-11T10:25:57+00:00',
  })
})

it('answers HEAD without a body', async () => {
  const answer = await logs(RUN, '', 'HEAD')
  expect([answer.status, answer.text]).toEqual([200, ''])
  expect(answer.headers['content-type']).toBe('application/json')
})

it('refuses a time that is none, and a connection that does not exist', async () => {
  const refused = await logs(RUN, '?last_time=yesterday')
  expect(refused.status).toBe(400)
  expect(refused.text).toContain("'last_time'")
  expect((await logs(RUN, '?connection=nowhere')).status).toBe(404)
})

it('breaks the connection when a log fails on the way, and closes what it had open', async () => {
  const broken = scriptedStore({
    artifact: artifact => ({
      // The first pass goes through, the blocks that are far from the beginning do not.
      read: (start, end, options) =>
        start > 6_000_000
          ? (async function* () {
              throw storeError('Unavailable', 'read', artifact.entry.path)
            })()
          : artifact.read(start, end, options),
    }),
  })
  const line = `\n{"value":"${'x'.repeat(60_000)}"}`
  broken.write(`${uuidOf('long')}/plxlogs/a.jsonl`, line.repeat(200))
  broken.write(`${uuidOf('short')}/plxlogs/a.jsonl`, line)
  const other = await startService('/unused', {}, broken)
  try {
    const whole = await ask(`${other.url}/streams/v1/default/o/p/runs/${uuidOf('short')}/logs`)
    expect([whole.status, whole.complete]).toEqual([200, true])
    // The reset may reach the client before the head does.
    const broke = await ask(`${other.url}/streams/v1/default/o/p/runs/${uuidOf('long')}/logs`).then(
      ({ status, complete }) => status === 200 && !complete,
      (error: unknown) => (error as NodeJS.ErrnoException).code === 'ECONNRESET',
    )
    expect(broke).toBe(true)
    await expect.poll(() => broken.opened).toBe(0)
  } finally {
    await other.close()
  }
})
