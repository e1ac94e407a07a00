// Event files as JSON. What is expected was answered by haupt 2.18.0 (traceml, pandas 2.3.3 with pyarrow 22), where nothing else is said.
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { assetPaths } from '../../src/content/event-assets.ts'
import { eventsJson, thinned, type EventsForm } from '../../src/content/event-file.ts'
import { EventText } from '../../src/content/event-text.ts'
import { isAppError } from '../../src/errors.ts'
import type { Entry, OpenArtifact } from '../../src/store/store.ts'

const T = '2018-12-11 10:24:57.123456+00:00'
/** More than is held: such a file is read anew for each pass. */
const LARGE = 64 * 1024 * 1024

/** `content` as a store gives it in chunks of `chunk` bytes, which says that it has `size` of them. */
function textOf(content: string | Uint8Array, chunk = 5, size = LARGE): EventText {
  const bytes = Buffer.from(content as string)
  const artifact: OpenArtifact = {
    entry: { size } as Entry,
    async *read(start, end) {
      for (let at = start; at < Math.min(end, bytes.length); at += chunk)
        yield bytes.subarray(at, Math.min(at + chunk, end))
    },
    close: () => Promise.resolve(),
  }
  return new EventText(artifact)
}

async function jsonOf(
  text: EventText,
  kind: string,
  form: Partial<EventsForm> = {},
): Promise<string | undefined> {
  const json = await eventsJson(text, { name: 'n', kind }, { orient: 'dict', sample: undefined, ...form })
  let all = ''
  for await (const chunk of json ?? []) all += chunk
  return json && all
}

/** The text of `data`. */
async function dataOf(content: string, kind = 'metric', form: Partial<EventsForm> = {}): Promise<string> {
  const json = (await jsonOf(textOf(content), kind, form))!
  const head = `{"name":"n","kind":"${kind}","data":`
  expect(json.slice(0, head.length)).toBe(head)
  return json.slice(head.length, -1)
}

/** The values of the last column, whose fields are `fields`. */
async function valuesOf(fields: readonly string[], kind = 'metric'): Promise<string> {
  const rows = fields.map(field => `1|${T}|${field}\n`).join('')
  const data = await dataOf(`step|timestamp|${kind}\n${rows}`, kind)
  return data.slice(data.indexOf(`"${kind}":`) + kind.length + 3, -1)
}

/** The column of timestamps. */
async function timesOf(fields: readonly string[]): Promise<string> {
  const data = await dataOf(`step|timestamp|metric\n${fields.map(field => `1|${field}|1\n`).join('')}`)
  return data.slice(data.indexOf('"timestamp":') + 12, data.indexOf(',"metric"'))
}

describe('a table of events', () => {
  it('is answered by columns', async () => {
    const written = `step|timestamp|metric\n1|${T}|0.5\n2|${T}|0.25`
    expect(await dataOf(written)).toBe(`{"step":[1,2],"timestamp":["${T}","${T}"],"metric":[0.5,0.25]}`)
    expect(await dataOf(`${written}\n`)).toBe(await dataOf(written))
    expect(await dataOf(written.replaceAll('\n', '\r\n'))).toBe(await dataOf(written))
    expect(await dataOf(`\n${written.replaceAll('\n', '\n\n')}`)).toBe(await dataOf(written))
  })

  it('is empty as long as there is only its header, whole or not (haupt fails where the line feed lacks)', async () => {
    for (const header of ['step|timestamp|metric\n', 'step|timestamp|metric', 'step|ti', '\n'])
      expect(await dataOf(header)).toBe('{"step":[],"timestamp":[],"metric":[]}')
  })

  it('says every column once', async () => {
    expect(await dataOf(`step|timestamp|loss|x|x\n1|${T}|2|a|b\n`)).toBe(
      `{"step":[1],"timestamp":["${T}"],"loss":[2],"x":["a"]}`,
    )
  })

  it('is not made of other files', async () => {
    expect(await jsonOf(textOf(`${'a|'.repeat(20)}\n${'1|'.repeat(20)}\n`), 'metric')).toBeUndefined()
  })

  it.each([
    [['1', '2'], '[1,2]'],
    [['1', '2.5'], '[1.0,2.5]'],
    [['1', 'nan'], '[1.0,null]'],
    [['', ''], '[null,null]'],
    [['inf', '-inf', '0.5'], '[null,null,0.5]'],
    [['NaN', 'Infinity', '-INF'], '[null,null,null]'],
    [['9223372036854775807', '-9223372036854775808'], '[9223372036854775807,-9223372036854775808]'],
    [['9223372036854775808', '2'], '[9.223372036854776e+18,2.0]'],
    [['9223372036854775807', ''], '[9.223372036854776e+18,null]'],
    [['007', '-0', ' 1'], '[7,0,1]'],
    [['+1', '.5', '1.', '1E5', '-0.0'], '[1.0,0.5,1.0,100000.0,-0.0]'],
    [
      ['1e300', '1e16', '1e15', '5e-324', '0.00001', '1.5e-6'],
      '[1e+300,1e+16,1000000000000000.0,5e-324,0.00001,1.5e-6]',
    ],
    [['1e400', '1e-400'], '[null,0.0]'],
    [['true', '0', ''], '[true,false,null]'],
    [['abc', '3', 'None', ''], '["abc","3",null,null]'],
    [['1e', '2'], '["1e","2"]'],
    [['2018-12-11', '2018-12-12'], '["2018-12-11","2018-12-12"]'],
  ])('has the types that pandas finds in a column of %j', async (fields, expected) => {
    expect(await valuesOf(fields)).toBe(expected)
  })

  it.each([
    [['"1|2"', '2'], '["1|2","2"]'],
    [['"a ""q"" \n b"', 'x'], '["a \\"q\\" \\n b","x"]'],
    [['"a"b', 'a""b', '""'], '["ab","a\\"\\"b",null]'],
    [['"1"', '2'], '[1,2]'],
  ])('reads the quotes in %j', async (fields, expected) => {
    expect(await valuesOf(fields)).toBe(expected)
  })

  it('leaves JSON of events as text, also with separators in it (where haupt fails)', async () => {
    const events = ['{"path":"assets/a_1.png","height":1}', '{"annotation":"a|b|\\"c\\""}']
    expect(JSON.parse(await valuesOf(events, 'image'))).toEqual(events)
  })

  it.each([
    [
      [T, '2018-12-11T10:24:57+00:00'],
      [T, '2018-12-11 10:24:57+00:00'],
    ],
    [
      ['2018-12-11T10:24:57Z', ''],
      ['2018-12-11 10:24:57+00:00', 'NaT'],
    ],
    [['2018-12-11 10:24:57.1-02:30'], ['2018-12-11 12:54:57.100000+00:00']],
    [
      ['2018-12-11 10:24:57.000000001+0000', '2018-12-11 10:24+23:59'],
      ['2018-12-11 10:24:57.000000001+00:00', '2018-12-10 10:25:00+00:00'],
    ],
    [
      ['2018-12-11 10:24:57.5', '2018-12-11T10:24:57', ''],
      ['2018-12-11 10:24:57.500', '2018-12-11 10:24:57.000', 'NaT'],
    ],
    [
      ['2018-12-11 00:00:00', '2018-12-12T00:00:00'],
      ['2018-12-11', '2018-12-12'],
    ],
    [
      ['2018-12-11', '2018-12-11 10'],
      ['2018-12-11 00:00:00', '2018-12-11 10:00:00'],
    ],
    [
      ['2018-12-11', ''],
      ['2018-12-11', 'None'],
    ],
    [
      ['2018-12-11 10:24:57Z', '2018-12-11 10:24:57'],
      ['2018-12-11 10:24:57Z', '2018-12-11 10:24:57'],
    ],
    [['2018-02-30 00:00:00Z'], ['2018-02-30 00:00:00Z']],
    [
      ['0004-02-29 00:00:00Z', '2000-02-29 00:00:00Z'],
      ['0004-02-29 00:00:00+00:00', '2000-02-29 00:00:00+00:00'],
    ],
    [['1900-02-29 00:00:00Z'], ['1900-02-29 00:00:00Z']],
    [['2018-12-11 24:00:00Z'], ['2018-12-11 24:00:00Z']],
    [['2018-12-11 10:24:57+24:00'], ['2018-12-11 10:24:57+24:00']],
    [
      ['junk', ''],
      ['junk', 'None'],
    ],
    [
      ['', ''],
      ['nan', 'nan'],
    ],
    [
      ['1544523897', ''],
      ['1544523897.0', 'nan'],
    ],
    [
      ['1544523897', '1'],
      ['1544523897', '1'],
    ],
  ])('has the form of timestamps that pandas gives to %j', async (fields, expected) => {
    expect(JSON.parse(await timesOf(fields))).toEqual(expected)
  })

  it('goes without its damaged rows, where haupt fails', async () => {
    expect(await dataOf(`step|timestamp|metric\n1\n2|${T}\n3|${T}|0.5\ngarbage\n4|${T}|1.5\n`)).toBe(
      `{"step":[3,4],"timestamp":["${T}","${T}"],"metric":[0.5,1.5]}`,
    )
  })

  it.each([
    ['metric', '0.5', ''],
    ['metric', '0.5', '-'],
    ['metric', '0.5', '1e-'],
    ['metric', '3', 'na'],
    ['image', '{"path":"a"}', '{"path":"asse'],
    ['text', 'x', '"a quote'],
  ])('goes without a last row of kind %s that is being written after %j: %j', async (kind, before, torn) => {
    const written = `step|timestamp|${kind}\n1|${T}|${before}\n2|${T}|${torn}`
    expect((JSON.parse(await dataOf(written, kind)) as { step: number[] }).step).toEqual([1])
  })

  it('keeps a last row that ends without a line feed, as all files of the tracking library do', async () => {
    for (const last of ['x', 'True', '""', '"quoted"', '5', '{"a":1}'])
      expect(
        JSON.parse(await dataOf(`step|timestamp|text\n1|${T}|true\n2|${T}|${last}`, 'text')),
      ).toMatchObject({
        step: [1, 2],
      })
  })

  it('goes without a row that is too long to be held, and finds the one after it', async () => {
    const long = 'x'.repeat(9 * 1024 * 1024)
    for (const value of [long, `"${long}\n"`]) {
      const text = textOf(`step|timestamp|text\n1|${T}|a\n2|${T}|${value}\n3|${T}|c\n`, 64 * 1024)
      const { data } = JSON.parse((await jsonOf(text, 'text'))!) as { data: unknown }
      expect(data).toEqual({ step: [1, 3], timestamp: [T, T], text: ['a', 'c'] })
    }
  })
})

describe('lines of JSON', () => {
  const line = (step: number | null, text: unknown): string => JSON.stringify({ timestamp: T, step, text })

  it('are answered by columns, in the order in which they come up', async () => {
    expect(await dataOf(`\n${line(1, 'a\n"b"')}\n${line(2, 'c')}`, 'text')).toBe(
      `{"timestamp":["${T}","${T}"],"step":[1,2],"text":["a\\n\\"b\\"","c"]}`,
    )
    expect(await dataOf(`\n${line(null, 'a')}\n${line(2, 'c')}`, 'text')).toBe(
      `{"timestamp":["${T}","${T}"],"step":[null,2.0],"text":["a","c"]}`,
    )
    expect(await dataOf('{"text":"a"}\n{"text":"b","other":{"x":[1]}}', 'text')).toBe(
      '{"text":["a","b"],"other":[null,{"x":[1]}],"step":[null,null]}',
    )
  })

  it('keep text that looks like a number, or like nothing (haupt makes it a number, and null)', async () => {
    expect(await dataOf(`${line(1, '007')}\n${line(2, 'nan')}\n`, 'text')).toContain('"text":["007","nan"]')
  })

  it('go without those that are damaged, where haupt takes the file for a table', async () => {
    const deep = '['.repeat(100_000) + ']'.repeat(100_000)
    const written = `${line(1, 'a')}\n{"timest\n[1]\n5\n{"text":${deep}}\n${line(2, 'b')}\n${line(3, 'c').slice(0, -4)}`
    expect(await dataOf(written, 'text')).toBe(`{"timestamp":["${T}","${T}"],"step":[1,2],"text":["a","b"]}`)
  })
})

describe('the text of a file', () => {
  it('is one JSON string', async () => {
    const written = 'step|timestamp|text\r\n1||é 🙂 "q" \\ \u0001\r2||torn'
    const expected = JSON.stringify(written.replaceAll(/\r\n?/g, '\n'))
    for (let chunk = 1; chunk < 12; chunk++)
      expect(await jsonOf(textOf(written, chunk), 'text', { orient: 'csv' })).toBe(
        `{"name":"n","kind":"text","data":${expected}}`,
      )
  })

  it('goes without a character that the end cuts off', async () => {
    const cut = textOf(Buffer.from('a🙂').subarray(0, 3))
    expect(await jsonOf(cut, 'text', { orient: 'csv' })).toBe('{"name":"n","kind":"text","data":"a"}')
  })
})

describe('a sample', () => {
  it('lies evenly, with the first and the last row', async () => {
    const rows = Array.from({ length: 11 }, (_, i) => `\n${i}|${T}|${i}`).join('')
    const data = await dataOf(`step|timestamp|metric${rows}`, 'metric', { sample: 3 })
    expect(data).toBe(`{"step":[0,5,10],"timestamp":["${T}","${T}","${T}"],"metric":[0,5,10]}`)
  })

  it('has as many rows as were asked for, or all', () =>
    fc.assert(
      fc.property(fc.nat(500), fc.nat(60), (rows, sample) => {
        const takes = thinned(rows, sample)
        const taken = Array.from({ length: rows }, (_, i) => i).filter(takes)
        expect(taken.length).toBe(Math.min(rows, sample))
        if (sample > 0 && rows > 0) expect(taken[0]).toBe(0)
        if (sample > 1 && rows > 0) expect(taken.at(-1)).toBe(rows - 1)
        const gaps = taken.slice(1).map((row, i) => row - taken[i]!)
        expect(Math.max(0, ...gaps) - Math.min(Infinity, ...gaps)).toBeLessThanOrEqual(1)
      }),
    ))
})

describe('whatever a file holds', () => {
  const field = fc.string({ unit: fc.constantFrom('a', '|', '"', '\n', 'é', '🙂', ' ', '\\') })
  const table = fc.array(fc.tuple(field, field, field), { maxLength: 12 })
  const quoted = (text: string): string => `"x${text.replaceAll('"', '""')}"`
  const plain = (text: string): boolean => !/[|"\n]/.test(text)

  it('columns are those of the table that was written, wherever chunks end', () =>
    fc.assert(
      fc.asyncProperty(table, fc.integer({ min: 1, max: 40 }), fc.boolean(), async (rows, chunk, quotes) => {
        const written = (text: string): string => (quotes || !plain(text) ? quoted(text) : `x${text}`)
        const content = `a|b|c\n${rows.map(row => `${row.map(written).join('|')}\n`).join('')}`
        const { data } = JSON.parse((await jsonOf(textOf(content, chunk), 'text'))!) as { data: unknown }
        const column = (i: number): string[] => rows.map(row => `x${row[i]!}`)
        expect(data).toEqual({ a: column(0), b: column(1), c: column(2) })
      }),
    ))

  it('no chunk border changes what is answered, and it is JSON', () => {
    const piece = fc.constantFrom(
      '|',
      '"',
      '\n',
      '\r',
      '1',
      T,
      'nan',
      '{"a":',
      '{}',
      '\ufeff',
      'é',
      'step|timestamp|metric\n',
    )
    const bytes = fc.oneof(
      fc.array(piece, { maxLength: 30 }).map(pieces => Buffer.from(pieces.join(''))),
      fc.uint8Array({ maxLength: 60 }),
    )
    return fc.assert(
      fc.asyncProperty(bytes, fc.integer({ min: 1, max: 20 }), async (content, chunk) => {
        for (const form of [{}, { orient: 'csv' }, { sample: 2 }] as const) {
          const whole = await jsonOf(textOf(content, 1000, content.length), 'metric', form)
          expect(await jsonOf(textOf(content, chunk), 'metric', form)).toBe(whole)
          if (whole !== undefined) JSON.parse(whole)
        }
      }),
      { numRuns: 300 },
    )
  })
})

it('a long field takes no time out of proportion to its length', async () => {
  // In proportion to its square it would take minutes.
  for (const field of ['1', '1.', ' ', '1e', '.', '-'].map(each => each.repeat(200_000)))
    expect(await valuesOf([`${field}x`])).toBe(`["${field}x"]`)
}, 60_000)

describe('the files that events speak of', () => {
  const paths = async (content: string, kind: string, limit = 100): Promise<string[]> => [
    ...(await assetPaths(textOf(content), kind, limit)),
  ]

  it('are each named once, where they are in the run', async () => {
    const events = [
      '{"path":"assets/image/a.png"}',
      '{"height":1}',
      '{"path":"../other/secret"}',
      '{"path":"/etc/passwd"}',
      '{"path":"a/../../b"}',
      '{"path":"..\\\\..\\\\b"}',
      '{"path":""}',
      '{"path":7}',
      '{"path":"a|b.png"}',
      '{"path":"assets/image/a.png"}',
      'nonsense',
      '{"path":"outputs/model"}',
    ]
    const rows = events.map(event => `\n1|${T}|${event}`).join('')
    expect(await paths(`step|timestamp|image${rows}`, 'image')).toEqual([
      'assets/image/a.png',
      'a|b.png',
      'outputs/model',
    ])
    const lines = events.map(event => `\n${JSON.stringify({ timestamp: T, chart: event })}`).join('')
    expect(await paths(lines, 'chart')).toEqual(['assets/image/a.png', 'a|b.png', 'outputs/model'])
    expect(await paths(`step|timestamp|other${rows}`, 'image')).toEqual([])
  })

  it('are not more than an archive may hold', async () => {
    const rows = Array.from({ length: 5 }, (_, i) => `\n1|${T}|{"path":"${i}"}`).join('')
    expect(await paths(`step|timestamp|image${rows}`, 'image', 5)).toHaveLength(5)
    await expect(paths(`step|timestamp|image${rows}`, 'image', 4)).rejects.toSatisfy(error =>
      isAppError(error, 'TooLarge'),
    )
  })
})
