// ArtifactPath: what is one, and the order of paths.
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  ROOT,
  compareUtf8,
  covers,
  joinPath,
  nameOf,
  parentOf,
  parsePath,
  relativeTo,
} from '../../src/store/path.ts'
import { INVALID_PATHS, WEIRD_NAMES } from '../contract/weird-names.ts'

const segment = fc
  .string({ unit: 'grapheme', minLength: 1, maxLength: 12 })
  .filter(text => !/[/\\\0]/.test(text) && text !== '.' && text !== '..')
const segments = fc.array(segment, { maxLength: 6 })

describe('parsePath', () => {
  it.each(WEIRD_NAMES)('takes %j, alone and between others', name => {
    for (const text of [name, `a/${name}`, `${name}/b`, `a/${name}/b`]) expect(parsePath(text)).toBe(text)
  })

  it.each(INVALID_PATHS.map(text => [text.slice(0, 40), text]))('refuses %j as InvalidPath', (_, text) => {
    expect(() => parsePath(text)).toThrow(expect.objectContaining({ kind: 'InvalidPath' }) as Error)
  })

  it('takes the root, and any join of valid segments', () => {
    expect(parsePath('')).toBe(ROOT)
    fc.assert(fc.property(segments, parts => parsePath(parts.join('/')) === parts.join('/')))
  })

  it('never takes a text in which a segment climbs, however it is separated', () => {
    const part = fc.constantFrom('..', '.', '', 'a', '..x', '/', '\\', '//')
    fc.assert(
      fc.property(fc.array(part, { maxLength: 8 }), parts => {
        const text = parts.join('')
        const climbs =
          text !== '' && text.split('/').some(each => each === '' || each.split('\\').some(isDots))
        let taken = true
        try {
          parsePath(text)
        } catch {
          taken = false
        }
        return taken === !climbs
      }),
    )
  })
})

function isDots(part: string): boolean {
  return part === '.' || part === '..'
}

describe('paths', () => {
  it('are joined and taken apart again', () => {
    fc.assert(
      fc.property(segments, segments, (base, rest) => {
        const folder = parsePath(base.join('/'))
        const inner = parsePath(rest.join('/'))
        const joined = joinPath(folder, inner)
        expect(joined).toBe([...base, ...rest].join('/'))
        expect(covers(folder, joined)).toBe(true)
        expect(relativeTo(folder, joined)).toBe(rest.length === 0 && base.length > 0 ? '' : inner)
      }),
    )
  })

  it('have a name and a parent', () => {
    expect([nameOf(parsePath('a/b/c')), parentOf(parsePath('a/b/c'))]).toEqual(['c', 'a/b'])
    expect([nameOf(parsePath('a')), parentOf(parsePath('a'))]).toEqual(['a', ''])
    expect([nameOf(ROOT), parentOf(ROOT)]).toEqual(['', ''])
  })

  it('cover each other by segment: run1 does not cover run10', () => {
    const [run, other] = [parsePath('p/run1'), parsePath('p/run10')]
    expect(covers(run, other)).toBe(false)
    expect(covers(run, run)).toBe(true)
    expect(covers(run, joinPath(run, parsePath('a')))).toBe(true)
    expect(covers(ROOT, other)).toBe(true)
    expect(covers(run, parsePath('p'))).toBe(false)
  })
})

describe('compareUtf8', () => {
  it('orders as the bytes of UTF-8 do', () => {
    const text = fc.string({
      unit: fc.oneof(
        fc.constantFrom('a', '/', '-', '\uD7FF', '\uE000', '\uFFFF', '🙂', '𐀀'),
        fc.string({ unit: 'binary', minLength: 1, maxLength: 1 }),
      ),
    })
    fc.assert(
      fc.property(text, text, (a, b) => {
        expect(Math.sign(compareUtf8(a, b))).toBe(Buffer.compare(Buffer.from(a), Buffer.from(b)))
      }),
      { numRuns: 2000 },
    )
  })
})
