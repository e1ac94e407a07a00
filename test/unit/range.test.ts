import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { parseRange, type RangeSelection } from '../../src/http/range.ts'

/** [start, end) pairs, or the word for no ranges. */
type Expected = 'ignored' | 'unsatisfiable' | readonly (readonly [number, number])[]

function pairs(selection: RangeSelection): Expected {
  return typeof selection === 'string' ? selection : selection.map(({ start, end }) => [start, end] as const)
}

const SIZE = 11
const NINES = '9'.repeat(400)

const CASES: [title: string, header: string, expected: Expected, size?: number][] = [
  ['14.1.2 first and last byte position, inclusive', 'bytes=0-4', [[0, 5]]],
  ['14.1.2 the middle', 'bytes=3-7', [[3, 8]]],
  ['14.1.2 one byte', 'bytes=0-0', [[0, 1]]],
  ['14.1.2 open range', 'bytes=2-', [[2, 11]]],
  ['14.1.2 open range from the beginning', 'bytes=0-', [[0, 11]]],
  ['14.1.2 last byte by position', 'bytes=10-', [[10, 11]]],
  ['14.1.2 last byte, end beyond the content', 'bytes=10-11', [[10, 11]]],
  ['14.1.2 end at the last byte', 'bytes=0-10', [[0, 11]]],
  ['14.1.2 end just beyond the content is clamped', 'bytes=0-11', [[0, 11]]],
  ['14.1.2 end far beyond the content is clamped', 'bytes=5-1000', [[5, 11]]],
  ['14.1.2 leading zeros', 'bytes=0000-0004', [[0, 5]]],
  ['14.1.2 suffix', 'bytes=-5', [[6, 11]]],
  ['14.1.2 suffix as long as the content', 'bytes=-11', [[0, 11]]],
  ['14.1.2 suffix longer than the content is all of it', 'bytes=-500', [[0, 11]]],
  ['14.1.2 suffix of more digits than a Number holds', `bytes=-${NINES}`, [[0, 11]]],
  ['14.1.2 end of more digits than a Number holds', `bytes=5-${NINES}`, [[5, 11]]],

  ['14.1.2 suffix of length 0', 'bytes=-0', 'unsatisfiable'],
  ['14.1.2 start at the size', 'bytes=11-', 'unsatisfiable'],
  ['14.1.2 start and end at the size', 'bytes=11-11', 'unsatisfiable'],
  ['14.1.2 start beyond the size', 'bytes=100-1000', 'unsatisfiable'],
  ['14.1.2 start of more digits than a Number holds', `bytes=${NINES}-`, 'unsatisfiable'],
  [
    '14.1.2 start that only rounding puts after the end',
    'bytes=9007199254740993-9007199254740993',
    'unsatisfiable',
  ],
  ['14.1.2 several, none satisfiable', 'bytes=11-12,100-,-0', 'unsatisfiable'],

  ['14.1.1 last before first', 'bytes=5-4', 'ignored'],
  [
    '14.1.1 last before first, beyond the precision of a Number',
    'bytes=9007199254740993-9007199254740992',
    'ignored',
  ],
  ['14.1.1 last before first, of unequal length', 'bytes=10-009', 'ignored'],
  ['14.1.1 one bad range-spec spoils the set', 'bytes=0-4,5-4', 'ignored'],
  ['14.1.1 no range-set', 'bytes=', 'ignored'],
  ['14.1.1 only empty elements', 'bytes=, ,', 'ignored'],
  ['14.1.1 a lone dash', 'bytes=-', 'ignored'],
  ['14.1.1 no dash', 'bytes=5', 'ignored'],
  ['14.1.1 two dashes', 'bytes=1-2-3', 'ignored'],
  ['14.1.1 negative position', 'bytes=--5', 'ignored'],
  ['14.1.1 letters', 'bytes=a-b', 'ignored'],
  ['14.1.1 letters after digits', 'bytes=0-4x', 'ignored'],
  ['14.1.1 hexadecimal', 'bytes=0x1-4', 'ignored'],
  ['14.1.1 exponent', 'bytes=0-1e3', 'ignored'],
  ['14.1.1 fraction', 'bytes=0-1.5', 'ignored'],
  ['14.1.1 digits of another script', 'bytes=٠-٤', 'ignored'],
  ['14.1.1 space within a range-spec', 'bytes=0 -4', 'ignored'],
  ['14.1.1 space before the equals sign', 'bytes =0-4', 'ignored'],
  ['14.1.1 two header lines joined', 'bytes=0-1, bytes=4-5', 'ignored'],
  ['14.1.1 empty value', '', 'ignored'],
  ['14.1 unknown unit', 'lines=0-4', 'ignored'],
  ['14.1 unit that ends in bytes', 'kilobytes=0-4', 'ignored'],
  ['14.1 unit in other letter case', 'BYTES=0-4', [[0, 5]]],
  ['5.6.1.2 empty list elements', 'bytes=,0-1,, 4-5,', [[0, 2], [4, 6]]], // prettier-ignore
  ['5.6.1 white space around list elements', 'bytes=0-1 \t, \t4-5', [[0, 2], [4, 6]]], // prettier-ignore

  ['14.2 first and last bytes', 'bytes=0-0,-2', [[0, 1], [9, 11]]], // prettier-ignore
  ['14.2 two ranges', 'bytes=0-1,5-8', [[0, 2], [5, 9]]], // prettier-ignore
  ['14.2 the unsatisfiable are dropped', 'bytes=20-,0-1,-0,5-', [[0, 2], [5, 11]]], // prettier-ignore
  ['15.3.7.2 client order is kept', 'bytes=8-9,0-1,4-5', [[8, 10], [0, 2], [4, 6]]], // prettier-ignore
  ['15.3.7.2 overlapping become one', 'bytes=0-4,3-7', [[0, 8]]],
  ['15.3.7.2 touching become one', 'bytes=0-1,2-3', [[0, 4]]],
  ['15.3.7.2 one within another', 'bytes=0-9,3-4', [[0, 10]]],
  ['15.3.7.2 merged in the place of the first', 'bytes=8-9,0-1,7-7', [[7, 10], [0, 2]]], // prettier-ignore
  ['15.3.7.2 a late range bridges two', 'bytes=6-7,0-1,2-5', [[0, 8]]],
  ['15.3.7.2 the same range twice', 'bytes=1-3,1-3', [[1, 4]]],

  ['17.15 exactly twice the content is served', 'bytes=0-,0-', [[0, 11]]],
  ['17.15 more than twice the content', 'bytes=0-,0-,0-0', 'ignored'],
  ['17.15 open ranges that repeat each other', 'bytes=0-,1-,2-,3-,4-', 'ignored'],
  ['14.2 any range of nothing is the whole of nothing', 'bytes=0-0', 'ignored', 0],
  ['14.2 a suffix of nothing', 'bytes=-5', 'ignored', 0],
  ['14.1.2 content of one byte', 'bytes=-1', [[0, 1]], 1],
  ['14.1.2 content of 8 TiB', 'bytes=8796093022207-', [[8796093022207, 8796093022208]], 2 ** 43],
]

describe('Range (RFC 9110)', () => {
  test.each(CASES)('%s: %s', (_title, header, expected, size = SIZE) => {
    expect(pairs(parseRange(header, size))).toEqual(expected)
  })

  test('17.15 serves 16 ranges and ignores 17', () => {
    const ranges = (count: number) => Array.from({ length: count }, (_, i) => `${i * 10}-${i * 10}`).join(',')
    expect(parseRange(`bytes=${ranges(16)}`, 1000)).toHaveLength(16)
    expect(parseRange(`bytes=${ranges(17)}`, 1000)).toBe('ignored')
  })

  test('17.15 counts unsatisfiable ranges as ranges', () => {
    expect(parseRange(`bytes=0-0${',99-'.repeat(16)}`, SIZE)).toBe('ignored')
  })

  test('reads a header of 64 KiB of white space or digits in linear time', () => {
    const started = performance.now()
    parseRange(`bytes=${' '.repeat(65536)}x`, SIZE)
    parseRange(`bytes=0-${' '.repeat(65536)}x`, SIZE)
    parseRange(`bytes=${'0'.repeat(65536)}-${'0'.repeat(65535)}1`, SIZE)
    parseRange(`bytes=${','.repeat(65536)}`, SIZE)
    expect(performance.now() - started).toBeLessThan(1000)
  })
})

interface Asked {
  readonly text: string
  readonly covers: (offset: number, size: number) => boolean
}

const position = fc.nat({ max: 60 })
const spec: fc.Arbitrary<Asked> = fc.oneof(
  fc.tuple(position, position).map(([a, b]) => {
    const [first, last] = [Math.min(a, b), Math.max(a, b)]
    return { text: `${first}-${last}`, covers: (offset: number) => first <= offset && offset <= last }
  }),
  position.map(first => ({ text: `${first}-`, covers: (offset: number) => first <= offset })),
  position.map(length => ({
    text: `-${length}`,
    covers: (offset: number, size: number) => offset >= size - length,
  })),
)

describe('Range, for any set of ranges', () => {
  const sets = fc.array(spec, { minLength: 1, maxLength: 16 })
  const header = (set: readonly Asked[]) => `bytes=${set.map(({ text }) => text).join(',')}`

  test('gives exactly the bytes asked for, each once', () => {
    fc.assert(
      fc.property(sets, fc.integer({ min: 1, max: 50 }), (set, size) => {
        const selection = parseRange(header(set), size)
        if (selection === 'ignored') return
        const ranges = selection === 'unsatisfiable' ? [] : selection
        const given = ranges.flatMap(({ start, end }) =>
          Array.from({ length: end - start }, (_, i) => start + i),
        )
        const asked = Array.from({ length: size }, (_, offset) => offset).filter(offset =>
          set.some(({ covers }) => covers(offset, size)),
        )
        expect(given.toSorted((a, b) => a - b)).toEqual(asked)
      }),
    )
  })

  test('ignores a set exactly when it asks for more than twice the content', () => {
    fc.assert(
      fc.property(sets, fc.integer({ min: 1, max: 50 }), (set, size) => {
        let bytes = 0
        for (const { covers } of set) for (let i = 0; i < size; i++) bytes += Number(covers(i, size))
        expect(parseRange(header(set), size) === 'ignored').toBe(bytes > 2 * size)
      }),
    )
  })

  test('gives ranges that do not touch, each beginning where the first range in it was asked for', () => {
    fc.assert(
      fc.property(sets, fc.integer({ min: 1, max: 50 }), (set, size) => {
        const selection = parseRange(header(set), size)
        if (typeof selection === 'string') return
        const sorted = selection.toSorted((a, b) => a.start - b.start)
        for (const [i, range] of sorted.entries()) {
          expect(range.end).toBeGreaterThan(range.start)
          if (i > 0) expect(range.start).toBeGreaterThan(sorted[i - 1]!.end)
        }
        const firstAsked = selection.map(({ start, end }) =>
          set.findIndex(({ covers }) =>
            Array.from({ length: end - start }, (_, i) => start + i).some(i => covers(i, size)),
          ),
        )
        expect(firstAsked).toEqual(firstAsked.toSorted((a, b) => a - b))
      }),
    )
  })

  test('never fails, whatever the header says', () => {
    fc.assert(
      fc.property(fc.string(), fc.nat(), (text, size) => {
        parseRange(text, size)
        parseRange(`bytes=${text}`, size)
      }),
    )
  })
})
