// Where a text stops being JSON, and what would belong there: without a word of the text, which may hold keys.

/** "line 3, column 1: expected a value", or undefined where `text` is JSON (RFC 8259). Columns count UTF-16 units. */
export function jsonMistake(text: string): string | undefined {
  try {
    JSON.parse(text)
    return undefined
  } catch {
    // V8 says where in some of its messages only, and quotes the text in the others.
    const { at, expected } = findMistake(text)
    const before = text.slice(0, at).split('\n')
    return `line ${before.length}, column ${before.at(-1)!.length + 1}: expected ${expected}`
  }
}

interface Mistake {
  readonly at: number
  readonly expected: string
}

const SPACE = /[ \t\r\n]*/y
const NUMBER = /-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?|true|false|null/y
/** A string up to its closing quote, or to what may not be in it. */
const STRING = /"(?:[^"\\\u0000-\u001f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*/y

type Wanted = 'value' | 'value or ]' | 'name' | 'name or }' | 'colon' | 'rest'

const EXPECTED: Readonly<Record<Wanted, string>> = {
  value: 'a value',
  'value or ]': 'a value or a closing bracket',
  name: 'a name in double quotes',
  'name or }': 'a name in double quotes or a closing brace',
  colon: 'a colon',
  rest: 'a comma or the closing bracket or brace',
}

function findMistake(text: string): Mistake {
  const open: string[] = []
  let wanted: Wanted = 'value'
  let at = 0
  const skip = (pattern: RegExp): boolean => {
    pattern.lastIndex = at
    const length = pattern.exec(text)?.[0].length ?? 0
    at += length
    return length > 0
  }
  for (;;) {
    skip(SPACE)
    const sign = text[at]
    const isEnded = wanted === 'rest' && open.length === 0
    if (sign === undefined || isEnded) return { at, expected: isEnded ? 'the end' : EXPECTED[wanted] }
    if (sign === open.at(-1) && (wanted === 'rest' || wanted.includes(sign))) {
      at++
      open.pop()
      wanted = 'rest'
    } else if (wanted === 'rest' && sign === ',') {
      at++
      wanted = open.at(-1) === '}' ? 'name' : 'value'
    } else if (wanted === 'colon' && sign === ':') {
      at++
      wanted = 'value'
    } else if (sign === '"' && wanted !== 'rest' && wanted !== 'colon') {
      skip(STRING)
      if (text[at] !== '"') return { at, expected: 'a closing double quote' }
      at++
      wanted = wanted.startsWith('name') ? 'colon' : 'rest'
    } else if (wanted.startsWith('value') && (sign === '{' || sign === '[')) {
      at++
      open.push(sign === '{' ? '}' : ']')
      wanted = sign === '{' ? 'name or }' : 'value or ]'
    } else if (wanted.startsWith('value') && skip(NUMBER)) wanted = 'rest'
    else return { at, expected: EXPECTED[wanted] }
  }
}
