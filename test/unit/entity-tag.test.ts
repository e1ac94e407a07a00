import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  formatEntityTag,
  matchesStrongly,
  matchesWeakly,
  parseEntityTag,
  parseEntityTagList,
} from '../../src/http/entity-tag.ts'

const strong = (opaque: string) => ({ weak: false, opaque })
const weak = (opaque: string) => ({ weak: true, opaque })

describe('entity tag lists (RFC 9110 8.8.3, 13.1.1, 13.1.2)', () => {
  test.each([
    ['one', '"a"', [strong('a')]],
    ['several', '"a", W/"b","c"', [strong('a'), weak('b'), strong('c')]],
    ['the empty tag', '""', [strong('')]],
    ['commas and spaces around, not in, tags', ' ,"a",\t,"b" ,', [strong('a'), strong('b')]],
    ['a comma within quotes', '"a,b", "c"', [strong('a,b'), strong('c')]],
    ['a backslash, which escapes nothing', String.raw`"a\", "b"`, [strong('a\\'), strong('b')]],
    ['W/ within quotes', '"W/a"', [strong('W/a')]],
    ['a star within quotes', '"*"', [strong('*')]],
    ['bytes over 127', '"\xe9\xff"', [strong('\xe9\xff')]],
    ['nothing', '', []],
  ])('reads %s: %s', (_title, text, tags) => {
    expect(parseEntityTagList(text)).toEqual(tags)
  })

  test('reads a star alone as any tag', () => {
    expect(parseEntityTagList('*')).toBe('*')
  })

  test.each([
    ['no quotes', 'abc'],
    ['one quote', '"abc'],
    ['a tag without quotes after a good one', '"a", b'],
    ['no comma between tags', '"a" "b"'],
    ['tags that touch', '"a""b"'],
    ['a lower-case w', 'w/"a"'],
    ['a space after W/', 'W/ "a"'],
    ['a space within a tag', '"a b"'],
    ['a control character', '"a\x7f"'],
    ['a star in a list', '"a", *'],
    ['two stars', '*, *'],
    ['single quotes', "'a'"],
  ])('refuses %s: %s', (_title, text) => {
    expect(parseEntityTagList(text)).toBeUndefined()
  })

  test('takes linear time for 64 KiB of white space', () => {
    const started = performance.now()
    parseEntityTagList(`"a"${' '.repeat(65536)}x`)
    expect(performance.now() - started).toBeLessThan(1000)
  })
})

describe('a single entity tag (RFC 9110 13.1.5)', () => {
  test.each([
    ['"a"', strong('a')],
    ['W/"a"', weak('a')],
    ['"a", "b"', undefined],
    ['"a" ', undefined],
    ['x"a"', undefined],
    ['*', undefined],
    ['', undefined],
  ])('reads %s', (text, tag) => {
    expect(parseEntityTag(text)).toEqual(tag)
  })
})

describe('comparison (RFC 9110 8.8.3.2, the table there)', () => {
  test.each([
    ['W/"1"', 'W/"1"', false, true],
    ['W/"1"', 'W/"2"', false, false],
    ['W/"1"', '"1"', false, true],
    ['"1"', 'W/"1"', false, true],
    ['"1"', '"1"', true, true],
    ['"1"', '"2"', false, false],
    ['"a"', '"A"', false, false],
  ])('%s and %s: strongly %s, weakly %s', (a, b, strongly, weakly) => {
    const [x, y] = [parseEntityTag(a)!, parseEntityTag(b)!]
    expect([matchesStrongly(x, y), matchesWeakly(x, y)]).toEqual([strongly, weakly])
  })
})

describe('any entity tag', () => {
  const etagc = fc.integer({ min: 0x21, max: 0xff }).filter(code => code !== 0x22 && code !== 0x7f)
  const opaque = fc.array(etagc).map(codes => String.fromCharCode(...codes))
  const tags = fc.record({ weak: fc.boolean(), opaque })

  test('is read back as it was formatted, alone and in a list', () => {
    fc.assert(
      fc.property(
        fc.array(tags, { minLength: 1 }),
        fc.constantFrom(',', ', ', ' ,\t,'),
        (list, separator) => {
          expect(parseEntityTag(formatEntityTag(list[0]!))).toEqual(list[0])
          expect(parseEntityTagList(list.map(formatEntityTag).join(separator))).toEqual(list)
        },
      ),
    )
  })
})
