import { createHash } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { formatReprDigest, parseWantReprDigest, wantsSha256 } from '../../src/http/digest-fields.ts'

describe('Want-Repr-Digest (RFC 9530 4)', () => {
  test.each<[string, string, Record<string, number>]>([
    ['one algorithm', 'sha-256=1', { 'sha-256': 1 }],
    [
      'several, as in the RFC',
      'sha-512=3, sha-256=10, unixsum=0',
      { 'sha-512': 3, 'sha-256': 10, unixsum: 0 },
    ],
    ['RFC 9651 3.2 white space around members', ' sha-256=1 \t,\tsha-512=2 ', { 'sha-256': 1, 'sha-512': 2 }],
    ['RFC 9651 3.2 the last of two', 'sha-256=1,sha-256=0', { 'sha-256': 0 }],
    ['RFC 9651 3.1.2 parameters', 'sha-256=5;q=1; x', { 'sha-256': 5 }],
    ['RFC 9651 3.3.1 leading zeros', 'sha-256=007', { 'sha-256': 7 }],
    ['a negative zero', 'sha-256=-0', { 'sha-256': -0 }],
  ])('reads %s: %s', (_title, header, expected) => {
    expect(Object.fromEntries(parseWantReprDigest(header))).toEqual(expected)
  })

  test.each([
    ['nothing', ''],
    ['a key alone, which is a Boolean', 'sha-256'],
    ['a Decimal', 'sha-256=1.0'],
    ['a String', 'sha-256="1"'],
    ['a preference over 10', 'sha-256=11'],
    ['a negative preference', 'sha-256=-1'],
    ['an Integer of 16 digits', 'sha-256=0000000000000001'],
    ['a key in upper case', 'SHA-256=1'],
    ['a space before the value', 'sha-256= 1'],
    ['a comma at the end', 'sha-256=1,'],
    ['no comma', 'sha-256=1 sha-512=1'],
    ['one bad member', 'sha-256=1, sha-512=?'],
    ['a quality value', 'sha-256;q=1'],
  ])('ignores all of a field with %s: %s', (_title, header) => {
    expect(parseWantReprDigest(header).size).toBe(0)
  })

  test.each([
    ['sha-256=1', true],
    ['sha-512=10, sha-256=1', true],
    ['sha-256=0', false],
    ['sha-512=10', false],
    ['sha-256', false],
    [undefined, false],
  ])('%s asks for sha-256: %s', (header, expected) => {
    expect(wantsSha256(header)).toBe(expected)
  })
})

describe('Repr-Digest (RFC 9530 3)', () => {
  test('is a dictionary member with a byte sequence, as in RFC 9530 appendix B.1', () => {
    const digest = createHash('sha256').update('{"hello": "world"}\n').digest()
    expect(formatReprDigest(digest)).toBe('sha-256=:RK/0qy18MlBSVnWgjwz6lZEWjP/lF5HF9bvEF8FabDg=:')
  })

  test('takes a view of a larger buffer for the view only', () => {
    const bytes = new Uint8Array(34).fill(255)
    expect(formatReprDigest(bytes.subarray(1, 33))).toBe(`sha-256=:${'/'.repeat(42)}8=:`)
  })
})
