// A value as an operator wrote it in YAML or JSON, with its place: what faults are named by.
import {
  isAlias,
  isMap,
  isScalar,
  isSeq,
  LineCounter,
  parseDocument,
  type Document,
  type Node,
  type Pair,
} from 'yaml'
import { aliasMistakes, isMergeKey } from './aliases.ts'
import type { Fault } from './fault.ts'
import { jsonMistake } from './json-mistake.ts'

/** Where a text comes from. */
export interface TextPlace {
  /** Of a value at `path` ('' is the whole text), for `Fault.where`. */
  place(path: string, line: number): string
  /** Of something that cannot be parsed. */
  unparsed(line: number): string
}

/** A file: `persistence.outputs (outputs.yaml line 3)`. */
export function inFile(name: string): TextPlace {
  return {
    place: (path, line) => (path === '' ? name : `${path} (${name} line ${line})`),
    unparsed: line => `${name} line ${line}`,
  }
}

/** An environment variable: `POLYAXON_PERSISTENCE_OUTPUTS: data.bucket`. */
export function inVariable(name: string): TextPlace {
  return {
    place: path => (path === '' ? name : `${name}: ${path}`),
    unparsed: () => name,
  }
}

/**
 * One value of a document and the way to it. Members keep the order of the text, also those that are called like numbers, which the keys of an object would not; that is
 * why JSON is read this way too.
 */
export class Written {
  /** Dotted keys and [indices] from the beginning of the text. */
  readonly path: string
  readonly where: string
  readonly #node: Node | null
  readonly #line: number
  readonly #text: Text

  constructor(node: Node | null, path: string, line: number, text: Text) {
    this.#node = isAlias(node) ? (node.resolve(text.document) ?? null) : node
    this.path = path
    this.where = text.from.place(path, line)
    this.#line = line
    this.#text = text
  }

  /** Nothing is written: no value, or null. */
  get isNothing(): boolean {
    return this.#node === null || (isScalar(this.#node) && this.#node.value === null)
  }

  /** Nothing, or a map or list with nothing in it. */
  get isEmpty(): boolean {
    return this.isNothing || this.members?.length === 0 || this.elements?.length === 0
  }

  get value(): unknown {
    const value: unknown = this.#node?.toJS(this.#text.document, ALIASES_ARE_CHECKED)
    return value ?? null
  }

  /** The same, but for a number the text of it: 012 is no 10 and no 12 where digits are a name. */
  get scalar(): unknown {
    return isScalar(this.#node) && typeof this.#node.value === 'number' ? this.#node.source : this.value
  }

  /** The members of a map in their order, after them those that merge keys (`<<: *anchor`) add; undefined for anything else. */
  get members(): readonly Member[] | undefined {
    if (!isMap(this.#node)) return undefined
    const items = this.#node.items as Pair<Node, Node | null>[]
    const own = items.filter(item => !isMergeKey(item)).map(item => this.#member(item))
    const merged = items.filter(isMergeKey).flatMap(({ key, value }) => this.#mergedBy(key, value))
    const names = new Set(own.map(([name]) => name))
    // The first of several maps wins, and what the map has itself over all of them (https://yaml.org/type/merge.html).
    const added = merged.filter(([name]) => !names.has(name) && names.add(name))
    return [...own, ...added]
  }

  #member({ key, value }: Pair<Node, Node | null>): Member {
    const name = String(isScalar(key) ? (key.source ?? key.value) : key.toJS(this.#text.document))
    return [name, this.#child(value, this.#pathOf(name), key)]
  }

  #mergedBy(key: Node, value: Node | null): Member[] {
    const source = this.#child(value, this.path, key)
    return (source.elements ?? [source]).flatMap(
      // The path is the one of this map, wherever the lines are.
      element => new Written(element.#node, this.path, this.#line, this.#text).members ?? [],
    )
  }

  /** The elements of a list; undefined for anything else. */
  get elements(): readonly Written[] | undefined {
    if (!isSeq(this.#node)) return undefined
    return (this.#node.items as (Node | null)[]).map((item, index) =>
      this.#child(item, `${this.path}[${index}]`, item),
    )
  }

  /** The place of a member that is not written. */
  whereOf(key: string): string {
    return this.#text.from.place(this.#pathOf(key), this.#line)
  }

  #pathOf(key: string): string {
    return this.path === '' ? key : `${this.path}.${key}`
  }

  #child(node: Node | null, path: string, at: Node | null): Written {
    const offset = at?.range?.[0]
    const line = offset === undefined ? this.#line : this.#text.lines.linePos(offset).line
    return new Written(node, path, line, this.#text)
  }
}

type Member = readonly [key: string, value: Written]

interface Text {
  readonly document: Document
  readonly lines: LineCounter
  readonly from: TextPlace
}

/** How often an alias is used is no measure of what they all stand for. */
const ALIASES_ARE_CHECKED = { maxAliasCount: -1 }

/** Two messages of the parser end with what it found, which may be a password that begins with an odd sign. */
function withoutQuote(message: string): string {
  return message.replace(/^(Block scalar header includes extra characters|Not a YAML token): .*$/s, '$1')
}

/** The whole of `text`, or what keeps it from being read. JSON is read as the YAML that it is, once it is known to be JSON. */
export function parseText(text: string, from: TextPlace, language: 'YAML' | 'JSON'): Written | Fault[] {
  const mistake = language === 'JSON' ? jsonMistake(text) : undefined
  if (mistake !== undefined) return [{ where: from.unparsed(1), problem: `is not valid JSON: ${mistake}` }]
  const lines = new LineCounter()
  // Without pretty errors, messages quote nothing of the text.
  const document = parseDocument(text, {
    lineCounter: lines,
    prettyErrors: false,
    merge: language === 'YAML',
  })
  const faultAt = (offset: number, problem: string) => ({
    where: from.unparsed(lines.linePos(offset).line),
    problem,
  })
  if (document.errors.length > 0)
    return document.errors.map(({ pos, message }) =>
      faultAt(pos[0], `is not valid ${language}: ${withoutQuote(message)}`),
    )
  const mistakes = aliasMistakes(document)
  if (mistakes.length > 0) return mistakes.map(({ at, problem }) => faultAt(at, problem))
  return new Written(document.contents, '', 1, { document, lines, from })
}
