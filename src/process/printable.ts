// Text of others in lines of ours, for terminals and for whoever reads the lines one by one.

/** What drives a terminal, ends a line, or shows text in another order or not at all: controls, formats, and the separators of lines and paragraphs. */
const UNPRINTABLE = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu

const BEYOND_ASCII = /[^\n\x20-\x7e]/

/** `text`, a part of a line, with everything that could make it more than that as `\u{1b}`. */
export function printable(text: string): string {
  return text.replace(UNPRINTABLE, character => `\\u{${character.codePointAt(0)!.toString(16)}}`)
}

/** `line`, JSON with the newline that ends it, with the same characters in its strings escaped: JSON leaves most of them as they are. */
export function printableJson(line: string): string {
  // Most lines are plain ASCII, which needs no look at each character's properties.
  if (!BEYOND_ASCII.test(line)) return line
  return line.trimEnd().replace(UNPRINTABLE, character => character.replace(/./gs, escapedUnit)) + '\n'
}

function escapedUnit(unit: string): string {
  return `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`
}
