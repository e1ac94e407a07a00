// Glob patterns for lists and archives. Patterns come from clients, so they are never turned into regular expressions: `*a*a*a*a*b` makes
// those of picomatch, and of Node's own path.matchesGlob, backtrack until the event loop stands still for everybody (docs/decisions/0007).
import { AppError } from '../errors.ts'

/** Most UTF-16 units of a pattern, before braces are expanded. */
export const MAX_PATTERN_LENGTH = 1024
/** Most patterns that the braces of one may stand for. */
const MAX_ALTERNATIVES = 64
/** Most UTF-16 units of all alternatives together: it bounds the work for one path. */
const MAX_EXPANDED_LENGTH = 4096

/** Whether a path, relative to the folder that the pattern applies to and without a slash at either end, matches. */
export interface Glob {
  (relativePath: string): boolean
  /** The folder that holds every possible match, or is one: a walk may begin there. '' when that can be anywhere. */
  readonly base: string
}

/** One segment of a pattern; '**' stands for any number of segments, none included. */
type Segment = readonly Token[] | '**'
type Token = { readonly literal: string } | { readonly ranges: Ranges; readonly negated: boolean } | '?' | '*'
type Ranges = readonly (readonly [low: number, high: number])[]

/**
 * Compiles a pattern.
 *
 * `*` and `?` match within a segment, `[a-z]` and `[!a-z]` one character (a code point) of it, `**` as a whole segment any number of segments
 * and elsewhere what `*` does, `{a,b}` either, and a backslash takes away the meaning of the character after it. Names that begin with a dot are
 * ordinary. Matching takes at most time in proportion to the length of the path times the length of the expanded pattern.
 *
 * Fails with InvalidArgument for a pattern that is malformed, too long, or stands for too many alternatives.
 */
export function compileGlob(pattern: string): Glob {
  if (pattern === '') throw invalid('it is empty')
  if (pattern.includes('\0')) throw invalid('it holds a NUL character')
  if (pattern.length > MAX_PATTERN_LENGTH) throw invalid(`it is longer than ${MAX_PATTERN_LENGTH} characters`)
  const alternatives = [...new Set(expandBraces(pattern))].map(parseAlternative)
  return Object.assign(
    (relativePath: string): boolean => {
      const names = relativePath.split('/')
      return alternatives.some(segments => matchPath(segments, names))
    },
    { base: commonBase(alternatives) },
  )
}

function invalid(why: string): AppError {
  return new AppError('InvalidArgument', `The glob pattern is not valid: ${why}.`, { op: 'parse' })
}

/** All patterns without braces that `pattern` stands for. Each round replaces the first group of every pattern, outermost first. */
function expandBraces(pattern: string): string[] {
  const done: string[] = []
  const open = [pattern]
  let expandedLength = 0
  for (let text = open.pop(); text !== undefined; text = open.pop()) {
    const group = firstGroup(text)
    if (group === undefined) {
      expandedLength += text.length
      done.push(text)
    } else {
      for (const choice of group.choices) open.push(group.before + choice + group.after)
    }
    if (done.length + open.length > MAX_ALTERNATIVES)
      throw invalid(`its braces stand for more than ${MAX_ALTERNATIVES} alternatives`)
    if (expandedLength > MAX_EXPANDED_LENGTH)
      throw invalid(`its alternatives are longer than ${MAX_EXPANDED_LENGTH} characters together`)
  }
  return done
}

interface Group {
  readonly before: string
  readonly choices: readonly string[]
  readonly after: string
}

function firstGroup(text: string): Group | undefined {
  const start = indexOfBrace(text)
  if (start < 0) return undefined
  const choices: string[] = []
  let depth = 0
  let choiceStart = start + 1
  for (let i = start; i < text.length; i++) {
    const char = text[i]
    if (char === '\\') i++
    else if (char === '[') i = endOfClass(text, i)
    else if (char === '{') depth++
    else if (char === ',' && depth === 1) {
      choices.push(text.slice(choiceStart, i))
      choiceStart = i + 1
    } else if (char === '}' && --depth === 0) {
      if (choices.length === 0)
        throw invalid('a brace group needs a comma (write \\{ for the character itself)')
      choices.push(text.slice(choiceStart, i))
      return { before: text.slice(0, start), choices, after: text.slice(i + 1) }
    }
  }
  throw invalid('a { is not closed')
}

function indexOfBrace(text: string): number {
  for (let i = 0; i < text.length; i++) {
    if (text[i] === '\\') i++
    else if (text[i] === '[') i = endOfClass(text, i)
    else if (text[i] === '{') return i
    else if (text[i] === '}') throw invalid('a } has no { before it')
  }
  return -1
}

/** Where the `]` of the class is that begins at `start`. A `]` right after the `[`, or after its `!`, is a member of the class. */
function endOfClass(text: string, start: number): number {
  let first = start + 1
  if (text[first] === '!' || text[first] === '^') first++
  for (let i = first; i < text.length && text[i] !== '/'; i++) {
    if (text[i] === '\\') i++
    else if (text[i] === '[' && text[i + 1] === ':')
      throw invalid('named classes such as [:alpha:] are not supported')
    else if (text[i] === ']' && i > first) return i
  }
  throw invalid('a [ is not closed within its segment (write \\[ for the character itself)')
}

function parseAlternative(text: string): Segment[] {
  const segments: Segment[] = []
  for (const part of text.split('/')) {
    if (part === '')
      throw invalid('it has an empty segment: paths are relative, without a slash at either end')
    if (part === '.' || part === '..') throw invalid(`it has a '${part}' segment`)
    const segment = part === '**' ? part : parseSegment(part)
    // Two in a row mean the same as one.
    if (segment !== '**' || segments.at(-1) !== '**') segments.push(segment)
  }
  return segments
}

function parseSegment(text: string): Token[] {
  const tokens: Token[] = []
  let literal = ''
  const push = (token: Token): void => {
    if (literal !== '') tokens.push({ literal })
    literal = ''
    if (token !== '*' || tokens.at(-1) !== '*') tokens.push(token)
  }
  for (let i = 0; i < text.length; i++) {
    const char = text[i]!
    if (char === '*' || char === '?') push(char)
    else if (char === '[') {
      const end = endOfClass(text, i)
      push(parseClass(text.slice(i + 1, end)))
      i = end
    } else if (char === '\\') {
      if (++i === text.length) throw invalid('it ends a segment with a backslash')
      literal += text.charAt(i)
    } else literal += char
  }
  if (literal !== '') tokens.push({ literal })
  // Escaped, `\.\.` means the same.
  if (tokens.length === 1 && (literal === '.' || literal === '..'))
    throw invalid(`it has a '${literal}' segment`)
  return tokens
}

function parseClass(text: string): Token {
  const negated = text.startsWith('!') || text.startsWith('^')
  const points: { readonly code: number; readonly escaped: boolean }[] = []
  const chars = Array.from(negated ? text.slice(1) : text)
  for (let i = 0; i < chars.length; i++) {
    const escaped = chars[i] === '\\'
    if (escaped) i++
    points.push({ code: chars[i]!.codePointAt(0)!, escaped })
  }
  const ranges: [number, number][] = []
  for (let i = 0; i < points.length; i++) {
    const low = points[i]!.code
    const dash = points[i + 1]
    const high = points[i + 2]
    if (dash?.code === 0x2d && !dash.escaped && high !== undefined) {
      if (high.code < low) throw invalid('a range in brackets runs backwards')
      ranges.push([low, high.code])
      i += 2
    } else ranges.push([low, low])
  }
  return { ranges, negated }
}

/** Both matchers go back only to their last star: what an earlier one took can stay as short as it was, so no input makes them exponential. */
function matchPath(segments: readonly Segment[], names: readonly string[]): boolean {
  let s = 0
  let n = 0
  let star = -1
  let starName = 0
  while (n < names.length) {
    const segment = segments[s]
    if (segment === '**') {
      star = s++
      starName = n
    } else if (segment !== undefined && matchName(segment, names[n]!)) {
      s++
      n++
    } else if (star >= 0) {
      s = star + 1
      n = ++starName
    } else return false
  }
  return s === segments.length || (s === segments.length - 1 && segments[s] === '**')
}

function matchName(tokens: readonly Token[], name: string): boolean {
  let t = 0
  let i = 0
  let star = -1
  let starAt = 0
  while (i < name.length || t < tokens.length) {
    const token = tokens[t]
    if (token === '*') {
      if (t === tokens.length - 1) return true
      star = t++
      starAt = i
      continue
    }
    const next = token === undefined ? -1 : matchToken(token, name, i)
    if (next >= 0) {
      i = next
      t++
    } else if (star >= 0 && starAt < name.length) {
      starAt += name.codePointAt(starAt)! > 0xffff ? 2 : 1
      i = starAt
      t = star + 1
    } else return false
  }
  return true
}

/** Where matching goes on after `token` matched at `at`; -1 when it did not. */
function matchToken(token: Exclude<Token, '*'>, name: string, at: number): number {
  if (token !== '?' && 'literal' in token)
    return name.startsWith(token.literal, at) ? at + token.literal.length : -1
  const code = name.codePointAt(at)
  if (code === undefined) return -1
  const matches =
    token === '?' || token.ranges.some(([low, high]) => code >= low && code <= high) !== token.negated
  if (!matches) return -1
  return at + (code > 0xffff ? 2 : 1)
}

/** The literal segments that all alternatives begin with; the last segment of an alternative only when `**` follows, which may match nothing. */
function commonBase(alternatives: readonly (readonly Segment[])[]): string {
  const bases = alternatives.map(segments => {
    const names = segments.map(literalName)
    const end = names.indexOf(undefined)
    return names.slice(0, end < 0 ? -1 : end) as string[]
  })
  const common = bases.reduce((a, b) => a.slice(0, firstDifference(a, b)))
  return common.join('/')
}

function literalName(segment: Segment): string | undefined {
  const [token, ...more] = segment === '**' ? [] : segment
  return more.length === 0 && typeof token === 'object' && 'literal' in token ? token.literal : undefined
}

function firstDifference(a: readonly string[], b: readonly string[]): number {
  let i = 0
  while (i < a.length && a[i] === b[i]) i++
  return i
}
