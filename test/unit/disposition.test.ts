import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { contentDisposition } from '../../src/http/disposition.ts'

/** As the Polyaxon dashboards read it. */
function dashboardName(header: string): unknown {
  return JSON.parse(header.split('filename=')[1]!)
}

/** As a client of RFC 6266 reads it: `filename*` first, wherever it stands. */
function clientName(header: string): string | undefined {
  const extended = /; filename\*=UTF-8''((?:[\w!#$&+.^`|~-]|%[\dA-F]{2})*);/.exec(header)?.[1]
  return extended === undefined ? /; filename="([^"\\]*)"$/.exec(header)?.[1] : decodeURIComponent(extended)
}

describe('Content-Disposition', () => {
  test.each([
    ['a plain name', 'model.pt', 'attachment; filename="model.pt"'],
    [
      'spaces and signs',
      'run 1 (best) + #2 & 100%.csv',
      'attachment; filename="run 1 (best) + #2 & 100%.csv"',
    ],
    ['single quotes and semicolons', "it's; x=1.txt", `attachment; filename="it's; x=1.txt"`],
    ['an archive', 'outputs.tar.gz', 'attachment; filename="outputs.tar.gz"'],
  ])('RFC 6266 4.3 gives %s as filename alone', (_title, name, header) => {
    expect(contentDisposition('attachment', name)).toBe(header)
  })

  test.each([
    ['accents', 'Änderung é.csv', "filename*=UTF-8''%C3%84nderung%20%C3%A9.csv", 'Anderung e.csv'],
    ['combining accents', 'e\u0301.csv', "filename*=UTF-8''e%CC%81.csv", 'e.csv'],
    ['other scripts', '训练.csv', "filename*=UTF-8''%E8%AE%AD%E7%BB%83.csv", '__.csv'],
    ['syllables of one code point', '한.csv', "filename*=UTF-8''%ED%95%9C.csv", '_.csv'],
    ['an emoji', '🚀.log', "filename*=UTF-8''%F0%9F%9A%80.log", '_.log'],
    ['characters that are no attr-char', "é'(*).txt", "filename*=UTF-8''%C3%A9%27%28%2A%29.txt", "e'(*).txt"],
    ['a quote, which curl does not take, even escaped', 'a"b.csv', "filename*=UTF-8''a%22b.csv", 'a_b.csv'],
    [
      'a wide quote, which decomposes into a quote',
      'a\uff02b.csv',
      "filename*=UTF-8''a%EF%BC%82b.csv",
      'a_b.csv',
    ],
    ['a wide slash', '..\uff0fb', "filename*=UTF-8''..%EF%BC%8Fb", '.._b'],
    ['a percent sequence, which wget decodes', 'a%41.csv', "filename*=UTF-8''a%2541.csv", 'a_41.csv'],
    ['a wide percent sign', 'a\uff0541', "filename*=UTF-8''a%EF%BC%8541", 'a_41'],
    ['a line break', 'a\r\nSet-Cookie: x', "filename*=UTF-8''a%0D%0ASet-Cookie%3A%20x", 'a__Set-Cookie: x'],
    ['a delete character', 'a\x7f', "filename*=UTF-8''a%7F", 'a_'],
    ['a lone surrogate', 'a\ud800b', "filename*=UTF-8''a%EF%BF%BDb", 'a_b'],
    ['what dashboards split at', 'filename=x.txt', "filename*=UTF-8''filename%3Dx.txt", 'filename_x.txt'],
    ['two dots in one character', '\u2025', "filename*=UTF-8''%E2%80%A5", 'download'],
    ['nothing', '', "filename*=UTF-8''", 'download'],
  ])('RFC 6266 appendix D puts filename last with %s', (_title, name, extended, fallback) => {
    expect(contentDisposition('inline', name)).toBe(`inline; ${extended}; filename="${fallback}"`)
  })

  test('RFC 6266 4.3 gives no path separators away, in neither parameter', () => {
    expect(contentDisposition('attachment', '../é\\x')).toBe(
      `attachment; filename*=UTF-8''.._%C3%A9_x; filename=".._e_x"`,
    )
  })

  test('ends in .tar.gz" for a folder of any name, by which Polyaxon clients know an archive', () => {
    expect(contentDisposition('attachment', '训"练.tar.gz')).toMatch(/\.tar\.gz"$/)
  })

  test('gives a name of 255 emoji in full', () => {
    const name = '🚀'.repeat(255)
    expect(clientName(contentDisposition('attachment', name))).toBe(name)
  })
})

describe('Content-Disposition, for any name', () => {
  const tricky = fc.constantFrom(
    '"',
    '\\',
    '/',
    '%',
    '%4',
    '1',
    'filename=',
    ';',
    '\n',
    '\ud800',
    '\udc00',
    'é',
    '＂',
    '％',
    '🚀',
    '.',
  )
  const names = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.array(fc.oneof(tricky, fc.string({ unit: 'grapheme' }))).map(pieces => pieces.join('')),
  )

  test('is visible ASCII and spaces only', () => {
    fc.assert(
      fc.property(names, name => {
        expect(contentDisposition('attachment', name)).toMatch(/^[\x20-\x7e]*$/)
      }),
    )
  })

  test('tells clients the name itself, but for separators and lone surrogates', () => {
    fc.assert(
      fc.property(names, name => {
        expect(clientName(contentDisposition('attachment', name))).toBe(
          name.toWellFormed().replaceAll(/[/\\]/g, '_'),
        )
      }),
    )
  })

  test('tells the dashboards a name that is safe to save', () => {
    fc.assert(
      fc.property(names, name => {
        expect(dashboardName(contentDisposition('inline', name))).toMatch(
          /^(?!\.{1,2}$)(?:(?!%[\da-f]{2})[^"\\/])+$/i,
        )
      }),
    )
  })
})
