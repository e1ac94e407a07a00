// Logs of runs against a sort of all their lines, and against what Polyaxon's own service made of the same files.
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { formatMicros, parseLogTime } from '../../src/content/log-time.ts'
import { runLogs } from '../../src/content/run-logs.ts'
import { isAppError } from '../../src/errors.ts'
import { MemoryStore } from '../../src/store/memory.ts'
import type { ArtifactPath } from '../../src/store/path.ts'
import type { OpenArtifact, OpenOptions, ReadableStore } from '../../src/store/store.ts'
import { openObjectStore } from '../../src/store/object-store.ts'
import { at } from '../contract/harness.ts'
import { bucketDefinition, MemoryBucket } from '../support/object-memory.ts'

const NEVER = new AbortController().signal

interface Answer {
  readonly last_time: string | null
  readonly last_file: string | null
  readonly logs: Record<string, unknown>[]
  readonly files: string[]
}

function storeOf(files: Record<string, string | Buffer>): MemoryStore {
  const store = new MemoryStore()
  for (const [path, text] of Object.entries(files)) store.write(at(path), Buffer.from(text))
  return store
}

async function logsOf(
  store: ReadableStore,
  { lastTime, lastFile }: { lastTime?: string; lastFile?: string } = {},
): Promise<Answer> {
  let text = ''
  const query = { lastTime: lastTime === undefined ? undefined : parseLogTime(lastTime)!, lastFile }
  for await (const piece of runLogs(store, query, NEVER)) text += piece
  return JSON.parse(text) as Answer
}

const line = (time: string, value: string, more: object = {}): string =>
  JSON.stringify({ timestamp: time, ...more, value })

const jsonl = (...lines: string[]): string => lines.map(each => `\n${each}`).join('')

const values = ({ logs }: Answer): unknown[] => logs.map(({ value }) => value)

const isoOf = (second: number): string => new Date(second * 1000).toISOString().replace('.000Z', '+00:00')

describe('logs of a run', () => {
  it('gives the lines of a pod as Polyaxon does', async () => {
    const content = jsonl(
      line('2018-12-11T10:24:57.123456789Z', 'a "q" é', { node: 'n', pod: 'p', container: 'c' }),
      line('2018-12-11T10:24:58Z', 'b', { node: null, other: 1 }),
    )
    expect(await logsOf(storeOf({ 'plxlogs/p.jsonl': content }))).toEqual({
      last_time: null,
      last_file: null,
      logs: [
        {
          timestamp: '2018-12-11T10:24:57.123456+00:00',
          node: 'n',
          pod: 'p',
          container: 'c',
          value: 'a "q" é',
        },
        { timestamp: '2018-12-11T10:24:58+00:00', value: 'b' },
      ],
      files: [],
    })
  })

  it('merges containers, pods and all formats that were ever written, in order of time', async () => {
    const store = storeOf({
      'plxlogs/a.jsonl': jsonl(line(isoOf(5), 'a5'), line(isoOf(9), 'a9'), line(isoOf(1), 'a1')),
      'plxlogs/1544523897.5': `{ "logs":[${line(isoOf(2), 'c2 {"]')},${line(isoOf(9), 'c9')}],"files":["x"]}`,
      'plxlogs/old.plx': `timestamp|node|pod|container|value\n1970-01-01 00:00:03+00:00|n|||{"_":"p|3"}`,
      'plxlogs/sub/ignored.jsonl': jsonl(line(isoOf(1), 'no')),
    })
    const answer = await logsOf(store)
    expect(values(answer)).toEqual(['a1', 'c2 {"]', 'p|3', 'a5', 'c9', 'a9'])
    expect(answer.logs[2]).toEqual({ timestamp: '1970-01-01T00:00:03+00:00', node: 'n', value: 'p|3' })
  })

  it('gives every line of large files in the order that a sort of all lines has', async () => {
    const spec = fc.array(
      fc.array(
        fc.record({ step: fc.integer({ min: -4, max: 9 }), size: fc.integer({ min: 0, max: 60_000 }) }),
        {
          maxLength: 40,
        },
      ),
      { maxLength: 5 },
    )
    await fc.assert(
      fc.asyncProperty(spec, fc.option(fc.integer({ min: 0, max: 120 })), async (pods, after) => {
        const store = new MemoryStore()
        const all: { second: number; value: string }[] = []
        for (const [pod, steps] of pods.entries()) {
          let second = 50
          const lines = steps.map(({ step, size }, index) => {
            second += step
            const value = `${pod}/${index} ${'x'.repeat(size)}`
            all.push({ second, value })
            return line(isoOf(second), value)
          })
          store.write(at(`plxlogs/pod${pod}.jsonl`), Buffer.from(jsonl(...lines)))
        }
        const expected = all
          .filter(({ second }) => after === null || second > after)
          .sort((a, b) => a.second - b.second)
        const answer = await logsOf(store, after === null ? {} : { lastTime: isoOf(after) })
        expect(values(answer)).toEqual(expected.map(({ value }) => value))
        const latest = expected.at(-1)?.second ?? after
        expect(answer.last_time).toBe(after === null ? null : isoOf(latest!))
      }),
      { numRuns: 40 },
    )
  })

  it('merges more pods than files may be open at once', async () => {
    let open = 0
    let most = 0
    class CountingStore extends MemoryStore {
      override async open(path: ArtifactPath, options?: OpenOptions): Promise<OpenArtifact> {
        const artifact = await super.open(path, options)
        most = Math.max(most, ++open)
        const close = artifact.close.bind(artifact)
        artifact.close = () => (open--, close())
        return artifact
      }
    }
    const store = new CountingStore()
    const pods = 150
    for (let pod = 0; pod < pods; pod++)
      store.write(at(`plxlogs/p${pod}.jsonl`), Buffer.from(jsonl(line(isoOf(pods - pod), `${pod}`))))
    expect(values(await logsOf(store))).toEqual(Array.from({ length: pods }, (_, i) => `${pods - 1 - i}`))
    expect(open).toBe(0)
    expect(most).toBeLessThan(50)
  })

  it('merges them over an object store, also where a file was closed in between', async () => {
    const bucket = new MemoryBucket()
    const pods = 70
    for (let pod = 0; pod < pods; pod++)
      bucket.store(`plxlogs/p${pod}.jsonl`, jsonl(line(isoOf(pods - pod), `${pod}`)))
    const store = openObjectStore(bucketDefinition({}), bucket.connect)
    const pieces = Array.from({ length: pods }, (_, i) => `${pods - 1 - i}`)
    expect(values(await logsOf(store))).toEqual(pieces)
    await store.close()
  })

  it('keeps lines without a time behind the line before them', async () => {
    const store = storeOf({
      'plxlogs/a.jsonl': `${jsonl('{"value":"first"}', line(isoOf(2), 'a2'), 'Traceback', '  "at x"', '[1]', line(isoOf(6), 'a6'))}\ntorn {"times`,
      'plxlogs/b.jsonl': jsonl(line(isoOf(4), 'b4')),
    })
    const answer = await logsOf(store)
    expect(values(answer)).toEqual([
      'first',
      'a2',
      'Traceback',
      '  "at x"',
      '[1]',
      'b4',
      'a6',
      'torn {"times',
    ])
    expect(answer.logs[2]).toEqual({ value: 'Traceback' })
    expect(values(await logsOf(store, { lastTime: isoOf(4) }))).toEqual(['a6', 'torn {"times'])
  })

  it('gives text of every kind, for clients print it', async () => {
    const deep = `{"value":${'['.repeat(200_000)}${']'.repeat(200_000)}}`
    const content = jsonl(
      '{"value":12}',
      '{"value":null}',
      '{}',
      '{"value":{"a":[1]}}',
      '{"value":"\\ud800"}',
      deep,
    )
    expect(values(await logsOf(storeOf({ 'plxlogs/a.jsonl': content })))).toEqual([
      '12',
      '',
      '',
      '{"a":[1]}',
      '\ufffd',
      // As it stands, for so deep a value is not written again.
      deep,
    ])
  })

  it('shows the beginning of a line that is too long to hold', async () => {
    const store = storeOf({
      'plxlogs/a.jsonl': jsonl(
        line(isoOf(1), 'before'),
        line(isoOf(2), 'y'.repeat(3 * 1024 * 1024)),
        line(isoOf(3), 'after'),
      ),
    })
    const [before, long, after] = values(await logsOf(store)) as string[]
    expect([before, after]).toEqual(['before', 'after'])
    expect(long!.length).toBeLessThan(70_000)
    expect(long).toMatch(/^\{"timestamp":"1970-01-01T00:00:02\+00:00","value":"yyy.*\(a line of 314\d+ bytes/)
  })
})

describe('live logs', () => {
  it('are given while there are no others, so that a client which watches asks again', async () => {
    const store = storeOf({
      '.tmpplxlogs/a.jsonl': jsonl(line(isoOf(1), 'one'), line(isoOf(2.5), 'two'), '{"timesta'),
    })
    const first = await logsOf(store)
    expect(values(first)).toEqual(['one', 'two'])
    expect(first.last_time).toBe('1970-01-01T00:00:02.500000+00:00')
    const idle = await logsOf(store, { lastTime: first.last_time! })
    expect(idle).toEqual({ last_time: first.last_time, last_file: null, logs: [], files: [] })
    store.append(at('.tmpplxlogs/a.jsonl'), Buffer.from('mp":"1970-01-01T00:00:03Z","value":"three"}'))
    const second = await logsOf(store, { lastTime: first.last_time! })
    expect(values(second)).toEqual(['three'])
    expect(second.last_time).toBe('1970-01-01T00:00:03+00:00')
  })

  it('give way to the ones that were kept, as soon as those have newer lines', async () => {
    const store = storeOf({
      'plxlogs/a.jsonl': jsonl(line(isoOf(1), 'kept 1'), line(isoOf(3), 'kept 3')),
      '.tmpplxlogs/a.jsonl': jsonl(line(isoOf(1), 'live 1'), line(isoOf(4), 'live 4')),
    })
    expect(values(await logsOf(store))).toEqual(['kept 1', 'kept 3'])
    expect(values(await logsOf(store, { lastTime: isoOf(2) }))).toEqual(['kept 3'])
    expect(values(await logsOf(store, { lastTime: isoOf(3) }))).toEqual(['live 4'])
  })
})

describe('no logs', () => {
  const nothing = { last_time: null, last_file: null, logs: [], files: [] }

  it.each([
    ['a run without logs', { 'outputs/a': 'x' }, {}, nothing],
    [
      'an empty file',
      { 'plxlogs/a.jsonl': '\n' },
      {},
      { ...nothing, last_file: 'a.jsonl', files: ['a.jsonl'] },
    ],
    [
      'the page after one of empty files',
      { 'plxlogs/a.jsonl': '', 'plxlogs/b': '{"logs":[]}' },
      { lastFile: 'a.jsonl' },
      { ...nothing, last_file: 'b', files: ['a.jsonl', 'b'] },
    ],
    [
      'the page after the last',
      { 'plxlogs/a': '{"logs":[]}' },
      { lastFile: 'a' },
      { ...nothing, files: ['a'] },
    ],
    ['the page after none', { 'plxlogs/a': '{}' }, { lastFile: 'zz' }, { ...nothing, files: ['a'] }],
  ])('%s', async (_name, files, query, expected) => {
    expect(await logsOf(storeOf(files as Record<string, string>), query)).toEqual(expected)
  })
})

describe('times of lines', () => {
  // As they came out of Polyaxon's own service.
  it.each([
    ['2018-12-11T10:24:57.123456Z', '2018-12-11T10:24:57.123456+00:00'],
    ['2018-12-11T10:24:57.123456+02:00', '2018-12-11T10:24:57.123456+02:00'],
    ['2018-12-11T10:24:57.5', '2018-12-11T10:24:57.500000+00:00'],
    ['2018-12-11 10:24:57+00:00', '2018-12-11T10:24:57+00:00'],
    [1544523897, '2018-12-11T10:24:57+00:00'],
    [1544523897.25, '2018-12-11T10:24:57.250000+00:00'],
    ['2018-12-11', '2018-12-11T00:00:00+00:00'],
  ])('%s', (given, text) => expect(parseLogTime(given)!.text).toBe(text))

  it('are read alike in the usual way of writing and in any other', () => {
    const moment = fc.date({ min: new Date(-9e12), max: new Date(9e12), noInvalidDate: true })
    fc.assert(
      fc.property(moment, fc.nat(999), fc.integer({ min: -1439, max: 1439 }), (date, micros, offset) => {
        const wall = new Date(date.getTime() + offset * 60_000).toISOString()
        const zone = new Date(Math.abs(offset) * 60_000).toISOString().slice(11, 16)
        const text = `${wall.slice(0, 23)}${String(micros).padStart(3, '0')}${offset < 0 ? '-' : '+'}${zone}`
        const time = parseLogTime(text)!
        expect(time.micros).toBe(date.getTime() * 1000 + micros)
        expect(parseLogTime(text.replace('T', ' '))).toEqual(time)
        expect(parseLogTime(formatMicros(time.micros))!.micros).toBe(time.micros)
      }),
    )
  })

  it('is the same moment in every way of writing it', () => {
    const ways = [
      '12:24:57.5+02:00',
      '12:24:57.5+0200',
      '12:24:57.5 0200',
      '10:24:57.500000Z',
      '05:24:57,5-05:00',
    ]
    expect(new Set(ways.map(way => parseLogTime(`2018-12-11T${way}`)!.micros))).toEqual(
      new Set([1544523897500000]),
    )
  })

  it.each([
    '',
    'x',
    '2018',
    '2018-13-01',
    '2018-02-30',
    '2018-12-11T24:00:00Z',
    '2018-02-30T00:00:00+00:00',
    '2018-02-30T00:00:00+00:00',
    '1544523897',
    // Python, in which clients read them, has no such times, and refuses the whole answer.
    '2018-12-11T10:24:60Z',
    '2018-12-11T10:24:57+99:00',
    '2018-12-11T10:24:57+01:60',
    '2018-12-11 10:24:57+2400',
    '0000-12-31T23:00:00-05:00',
    '9999-12-31T23:00:00-05:00',
    1e15,
    -1e14,
    NaN,
    1e300,
    null,
    {},
  ])('none in %s', given => expect(parseLogTime(given)).toBeUndefined())
})

it('damaged and hostile files never fail', async () => {
  const piece = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.json(),
    fc.constantFrom(
      '{"logs":[',
      ']}',
      '{',
      '}',
      '[',
      ']',
      '"',
      '\\',
      '\n',
      '|',
      '{"timestamp":"2018-12-11T10:24:57Z"',
      ',',
    ),
  )
  const name = fc.constantFrom(
    'plxlogs/a.jsonl',
    'plxlogs/b.plx',
    'plxlogs/c',
    '.tmpplxlogs/a.jsonl',
    '.tmpplxlogs/d',
  )
  await fc.assert(
    fc.asyncProperty(
      fc.dictionary(
        name,
        fc.array(piece).map(pieces => pieces.join('')),
      ),
      async files => {
        const { logs } = await logsOf(storeOf(files))
        for (const { value } of logs) expect(typeof value).toBe('string')
      },
    ),
    { numRuns: 500 },
  )
})

it('lines that cannot be read leave time for others', async () => {
  const lines = Buffer.from('{x\n'.repeat(100_000))
  const inOneChunk = new (class extends MemoryStore {
    override async open(path: ArtifactPath, options?: OpenOptions): Promise<OpenArtifact> {
      const artifact = await super.open(path, options)
      return {
        entry: artifact.entry,
        async *read(start, end) {
          await Promise.resolve()
          yield lines.subarray(start, end)
        },
        close: () => artifact.close(),
      }
    }
  })()
  inOneChunk.write(at('plxlogs/a.jsonl'), lines)
  let turns = 0
  let isDone = false
  const count = (): void => {
    turns += 1
    if (!isDone) setImmediate(count)
  }
  setImmediate(count)
  expect((await logsOf(inOneChunk)).logs).toHaveLength(100_000)
  isDone = true
  // Others had their turns between the lines of the one chunk.
  expect(turns).toBeGreaterThan(5)
}, 60_000)

it('a file that shrinks while it is read fails the answer', async () => {
  const store = storeOf({
    'plxlogs/a.jsonl': jsonl(...Array.from({ length: 30 }, (_, i) => line(isoOf(i), 'x'.repeat(60_000)))),
  })
  const pieces = runLogs(store, { lastTime: undefined, lastFile: undefined }, NEVER)
  await pieces.next()
  store.write(at('plxlogs/a.jsonl'), Buffer.from('cut'))
  await expect(
    (async () => {
      for await (const _ of pieces);
    })(),
  ).rejects.toSatisfy(error => isAppError(error, 'Changed'))
})
