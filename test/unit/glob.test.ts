import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { compileGlob, MAX_PATTERN_LENGTH } from '../../src/content/glob.ts'
import { isAppError } from '../../src/errors.ts'

/** Pattern, what matches, what does not. */
const CASES: readonly (readonly [string, readonly string[], readonly string[]])[] = [
  ['a.txt', ['a.txt'], ['A.txt', 'a_txt', 'b/a.txt', 'a.txt/b', '']],
  ['*.txt', ['a.txt', '.txt', 'a.b.txt', '.hidden.txt'], ['a/b.txt', 'a.txt.gz']],
  ['**/*.txt', ['a.txt', 'x/a.txt', 'x/y/a.txt'], ['a.csv', 'x/a.txt/y']],
  ['logs/**', ['logs', 'logs/a', 'logs/a/b'], ['logs2', 'x/logs']],
  ['**', ['a', 'a/b/c', '.x'], []],
  ['**/a/**/b', ['a/b', 'x/a/y/z/b', 'a/a/b/b'], ['a', 'b', 'x/b/a']],
  ['a/**/**/b', ['a/b', 'a/x/b', 'a/x/y/b'], ['a/x']],
  ['a**b', ['ab', 'axxb'], ['a/b']],
  ['?.bin', ['a.bin', '😀.bin', 'ü.bin'], ['.bin', 'ab.bin']],
  ['*?', ['😀', 'a', 'ab'], ['']],
  ['*??', ['ab', '😀😀'], ['😀', 'a']],
  ['[a-c]1', ['a1', 'c1'], ['d1', '-1']],
  ['[!a-c]1', ['d1', '😀1'], ['a1', '1']],
  ['[^a]', ['b'], ['a']],
  ['[]a]', [']', 'a'], ['[']],
  ['[a-]', ['a', '-'], ['b']],
  ['[a\\-c]', ['a', '-', 'c'], ['b']],
  ['[α-ω]x', ['βx'], ['bx']],
  ['\\*', ['*'], ['a']],
  ['\\{a,b\\}', ['{a,b}'], ['a']],
  ['a\\\\b', ['a\\b'], ['ab']],
  ['{a,b}.txt', ['a.txt', 'b.txt'], ['c.txt', '{a,b}.txt']],
  ['{a,b/{c,d*}}/x', ['a/x', 'b/c/x', 'b/dd/x'], ['b/x']],
  ['x{,.gz}', ['x', 'x.gz'], ['x.']],
  ['{[,],a}', [',', 'a'], ['[']],
  ['epoch-*-step-*.pt', ['epoch-1-step-2.pt'], ['epoch-1.pt']],
]

describe('compileGlob', () => {
  it.each(CASES)('gives %s its usual meaning', (pattern, matching, others) => {
    const matches = compileGlob(pattern)
    for (const path of matching) expect(matches(path), path).toBe(true)
    for (const path of others) expect(matches(path), path).toBe(false)
  })

  it.each([
    ['', 'is empty'],
    ['a'.repeat(MAX_PATTERN_LENGTH + 1), 'longer than'],
    ['/a', 'empty segment'],
    ['a//b', 'empty segment'],
    ['a/', 'empty segment'],
    ['../a', "'..' segment"],
    ['\\.\\./a/*', "'..' segment"],
    ['a/\\../*', "'..' segment"],
    ['\\./a', "'.' segment"],
    ['a\0b/*', 'NUL'],
    ['[a', 'not closed'],
    ['[a/b]', 'not closed'],
    ['[z-a]', 'backwards'],
    ['[[:alpha:]]', 'named classes'],
    ['{a,b', 'not closed'],
    ['a}', 'no { before it'],
    ['{a}', 'needs a comma'],
    ['{1..3}', 'needs a comma'],
    ['a\\', 'backslash'],
    ['{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}', 'more than 64 alternatives'],
    ['{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}' + 'x'.repeat(500), 'longer than'],
  ])('refuses %.60s and says why', (pattern, why) => {
    let failure: unknown
    try {
      compileGlob(pattern)
    } catch (error) {
      failure = error
    }
    expect(isAppError(failure, 'InvalidArgument')).toBe(true)
    expect((failure as Error).message).toContain(why)
  })

  it('agrees with a plain definition of * and ? on random names', () => {
    const text = fc.string({ unit: fc.constantFrom('a', 'b', '*', '?'), minLength: 1, maxLength: 8 })
    const name = fc.string({ unit: fc.constantFrom('a', 'b', '😀'), minLength: 1, maxLength: 8 })
    fc.assert(
      fc.property(text, name, (pattern, path) => {
        const reference = new RegExp(`^${pattern.replaceAll('*', '.*').replaceAll('?', '.')}$`, 'su')
        expect(compileGlob(pattern)(path)).toBe(reference.test(path))
      }),
      { numRuns: 2000 },
    )
  })

  it('agrees with a plain definition of ** on random paths', () => {
    const segments = (alphabet: string[]): fc.Arbitrary<string> =>
      fc.array(fc.constantFrom(...alphabet), { minLength: 1, maxLength: 7 }).map(parts => parts.join('/'))
    const reference = (pattern: string[], path: string[]): boolean => {
      const [head, ...rest] = pattern
      if (head === undefined) return path.length === 0
      if (head === '**') return path.concat('').some((_, i) => reference(rest, path.slice(i)))
      return path.length > 0 && (head === '*' || head === path[0]) && reference(rest, path.slice(1))
    }
    fc.assert(
      fc.property(segments(['a', 'b', '*', '**']), segments(['a', 'b']), (pattern, path) => {
        expect(compileGlob(pattern)(path)).toBe(reference(pattern.split('/'), path.split('/')))
      }),
      { numRuns: 2000 },
    )
  })

  it('is not slowed down by patterns made to backtrack', () => {
    const hostile = [
      '*a'.repeat(500) + 'b',
      '**/a/'.repeat(180) + 'b',
      '[a-b]*'.repeat(160) + 'c',
      '?*'.repeat(500) + 'b',
    ]
    const paths = ['a'.repeat(255), 'a/'.repeat(2000) + 'a', Array(16).fill('a'.repeat(255)).join('/')]
    const start = performance.now()
    for (const pattern of hostile) for (const path of paths) expect(compileGlob(pattern)(path)).toBe(false)
    // A backtracking matcher would need longer than the universe has; this takes some milliseconds.
    expect(performance.now() - start).toBeLessThan(1000)
  })

  it('knows the folder that every match lies in', () => {
    expect(compileGlob('**/*.txt').base).toBe('')
    expect(compileGlob('a.txt').base).toBe('')
    expect(compileGlob('a/b/*.txt').base).toBe('a/b')
    expect(compileGlob('a/b/c.txt').base).toBe('a/b')
    expect(compileGlob('logs/**').base).toBe('logs')
    expect(compileGlob('a/{b,c}/*').base).toBe('a')
    expect(compileGlob('a/b/{x,y}').base).toBe('a/b')
    expect(compileGlob('{a/b/c/*,a/b/*}').base).toBe('a/b')
    expect(compileGlob('a/\\*/x').base).toBe('a/*')
  })
})
