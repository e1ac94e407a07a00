// Where a text stops being JSON: for every text that JSON.parse refuses, and for no other.
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { jsonMistake } from '../../src/config/json-mistake.ts'

describe('a mistake in JSON', () => {
  it.each([
    ['', 'line 1, column 1: expected a value'],
    ['{', 'line 1, column 2: expected a name in double quotes or a closing brace'],
    ['[', 'line 1, column 2: expected a value or a closing bracket'],
    ['[1,]', 'line 1, column 4: expected a value'],
    ['{"a" 1}', 'line 1, column 6: expected a colon'],
    ['{"a": 1 "b"', 'line 1, column 9: expected a comma or the closing bracket or brace'],
    ['{"a": [1}', 'line 1, column 9: expected a comma or the closing bracket or brace'],
    ['{"a": 1}\n}', 'line 2, column 1: expected the end'],
    ['["a\nb"]', 'line 1, column 4: expected a closing double quote'],
    ['["a\\x"]', 'line 1, column 4: expected a closing double quote'],
    ['[01]', 'line 1, column 3: expected a comma or the closing bracket or brace'],
    ["{'a': 1}", 'line 1, column 2: expected a name in double quotes or a closing brace'],
  ])('is said of %j: %s', (text, mistake) => {
    expect(jsonMistake(text)).toBe(mistake)
  })

  it('is not seen in JSON', () => {
    fc.assert(
      fc.property(fc.json(), text => {
        expect(jsonMistake(text)).toBeUndefined()
      }),
    )
  })

  it('is seen in all JSON that was cut off', () => {
    fc.assert(
      fc.property(fc.json(), fc.nat(), (json, at) => {
        const cut = `[${json}`.slice(0, 1 + (at % (json.length + 1)))
        expect(jsonMistake(cut)).toMatch(/^line 1, column \d+: expected (?!the end)/)
      }),
    )
  })

  it('is found in a thousand thousand brackets', () => {
    expect(jsonMistake('['.repeat(1_000_000))).toBe(
      'line 1, column 1000001: expected a value or a closing bracket',
    )
  })
})
