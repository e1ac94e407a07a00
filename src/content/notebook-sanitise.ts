// HTML that a program put into a notebook, such as the table of a data frame, reduced to what it says: its tags are written anew, from a closed list, with no attribute but the spans of cells.
import { markup, Markup } from './markup.ts'

const KEPT = new Set([
  ...'table caption colgroup thead tbody tfoot tr th td p div br hr pre code blockquote ul ol li dl dt dd'.split(
    ' ',
  ),
  ...'h1 h2 h3 h4 h5 h6 span b i u s em strong small sub sup mark kbd samp var'.split(' '),
])
const EMPTY = new Set(['br', 'hr'])
/** Their content is no text for people; it ends with the same tag, or not at all. */
const DROPPED = new Set(
  'script style template svg math iframe object embed noscript title textarea select xmp noembed noframes plaintext head'.split(
    ' ',
  ),
)

const TOKEN = /<!--|<(\/?)([a-z][a-z0-9:-]*)/gi
const ENTITY = /&(?:#\d{1,7}|#x[\da-f]{1,6}|[a-z][a-z\d]{1,31});/gi
const MAX_DEPTH = 200

export interface Sanitised {
  readonly html: Markup
  /** Whether there is anything to read in it. */
  readonly isEmpty: boolean
}

/** What comes out is balanced and holds nothing but text and tags of the list, whatever goes in. Takes time in proportion to its length. */
export function sanitise(source: string): Sanitised {
  const writer = new Writer()
  let at = 0
  TOKEN.lastIndex = 0
  for (let token = TOKEN.exec(source); token !== null; token = TOKEN.exec(source)) {
    writer.text(source.slice(at, token.index))
    const [, slash, name = ''] = token
    at = token[2] === undefined ? after(source, '-->', token.index) : tagEnd(source, TOKEN.lastIndex)
    const tag = name.toLowerCase()
    if (slash === '' && DROPPED.has(tag)) at = afterElement(source, tag, at)
    else if (slash === '' && KEPT.has(tag)) writer.open(tag, source.slice(TOKEN.lastIndex, at))
    else if (slash === '/') writer.close(tag)
    TOKEN.lastIndex = at
  }
  writer.text(source.slice(at))
  return writer.end()
}

/** Past the `>` of a tag, which may stand in a quoted value before. */
function tagEnd(source: string, from: number): number {
  let quote = ''
  for (let at = from; at < source.length; at++) {
    const character = source[at]!
    if (quote !== '') quote = character === quote ? '' : quote
    else if (character === '>') return at + 1
    else if ((character === '"' || character === "'") && source[at - 1] === '=') quote = character
  }
  return source.length
}

function after(source: string, end: string, from: number): number {
  const at = source.indexOf(end, from)
  return at < 0 ? source.length : at + end.length
}

function afterElement(source: string, tag: string, from: number): number {
  const end = new RegExp(`</${tag}[\\s/>]`, 'gi')
  end.lastIndex = from
  const found = end.exec(source)
  return found === null ? source.length : tagEnd(source, found.index)
}

class Writer {
  readonly #pieces: string[] = []
  readonly #open: string[] = []
  #isEmpty = true

  text(text: string): void {
    if (text === '') return
    if (text.trim() !== '') this.#isEmpty = false
    let at = 0
    for (const { 0: entity, index } of text.matchAll(ENTITY)) {
      this.#pieces.push(markup`${text.slice(at, index)}`.text, entity)
      at = index + entity.length
    }
    this.#pieces.push(markup`${text.slice(at)}`.text)
  }

  open(tag: string, attributes: string): void {
    if (!EMPTY.has(tag) && this.#open.length >= MAX_DEPTH) return
    this.#pieces.push(`<${tag}${tag === 'td' || tag === 'th' ? spans(attributes) : ''}>`)
    if (!EMPTY.has(tag)) this.#open.push(tag)
  }

  close(tag: string): void {
    const at = this.#open.lastIndexOf(tag)
    if (at < 0) return
    for (const each of this.#open.splice(at).reverse()) this.#pieces.push(`</${each}>`)
  }

  end(): Sanitised {
    for (const tag of this.#open.reverse()) this.#pieces.push(`</${tag}>`)
    return { html: new Markup(this.#pieces.join('')), isEmpty: this.#isEmpty }
  }
}

function spans(attributes: string): string {
  return ['colspan', 'rowspan']
    .map(name => {
      const value = new RegExp(`\\b${name}\\s*=\\s*["']?(\\d{1,3})\\b`, 'i').exec(attributes)?.[1]
      return value === undefined ? '' : ` ${name}="${value}"`
    })
    .join('')
}
