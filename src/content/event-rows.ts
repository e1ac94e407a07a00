// The rows of event files, from text that comes in pieces: columns between `|`, or one JSON object a line. Nothing depends on where the pieces end.
import { jsonText } from './json-text.ts'

/** Rows with more characters are left out: what is held at once is bounded whatever the file holds. */
export const MAX_ROW = 8 * 1024 * 1024

/** The tables of events have three columns; many more are the sign of some other file. */
export const MAX_COLUMNS = 16

/** Makes rows of the text that it is given. Those that are damaged are left out. */
export interface Rows<Row> {
  /** The rows that end in `piece`. */
  push(piece: string): Row[]
  /** The row that the text ends in without a line feed, when it is one. */
  end(): Row | undefined
}

const SEPARATOR = 0x7c
const LINE_FEED = 0x0a
const QUOTE = 0x22

/** Where in a field the text is; `closing` is behind a quote that ends the quoted part, unless another one follows. */
type Place = 'start' | 'plain' | 'quoted' | 'closing'

/**
 * A table with a header. Fields may be quoted as in CSV, with line feeds in them. Since Polyaxon's own writers quote nothing, what comes behind the last column's separator is that
 * column's with all separators in it. Rows with too few fields are damaged; empty lines are none.
 */
export class SeparatedRows implements Rows<readonly string[]> {
  /** Undefined until the first row has come. */
  header: readonly string[] | undefined
  #fields: string[] = []
  #field = ''
  #place: Place = 'start'
  #quotes = false
  #length = 0

  push(piece: string): (readonly string[])[] {
    const rows: (readonly string[])[] = []
    for (let at = 0; at < piece.length;) {
      const code = piece.charCodeAt(at)
      if (this.#place === 'closing') {
        this.#place = code === QUOTE ? 'quoted' : 'plain'
        if (code === QUOTE) {
          this.#add('"')
          at++
        }
      } else if (this.#place === 'start' && code === QUOTE) {
        this.#place = 'quoted'
        this.#quotes = true
        at++
      } else if (this.#place === 'quoted') {
        const end = indexOr(piece, '"', at)
        this.#add(piece.slice(at, end))
        if (end < piece.length) this.#place = 'closing'
        at = end + 1
      } else {
        const end = this.#plainEnd(piece, at)
        this.#add(piece.slice(at, end))
        this.#place = 'plain'
        at = end + 1
        if (end === piece.length) continue
        this.#endField()
        if (piece.charCodeAt(end) === LINE_FEED) this.#endRow(rows)
      }
    }
    return rows
  }

  /** Whether the text so far ends with the quote that ends a field. */
  get isClosed(): boolean {
    return this.#place === 'closing'
  }

  end(): readonly string[] | undefined {
    if (this.#place === 'quoted') return undefined
    const rows: (readonly string[])[] = []
    this.#endField()
    this.#endRow(rows)
    return rows[0]
  }

  /** Where the field ends that `at` is in, outside of quotes. */
  #plainEnd(piece: string, at: number): number {
    const columns = this.header?.length ?? MAX_COLUMNS + 1
    if (this.#fields.length >= columns - 1) return indexOr(piece, '\n', at)
    for (let i = at; i < piece.length; i++) {
      const code = piece.charCodeAt(i)
      if (code === SEPARATOR || code === LINE_FEED) return i
    }
    return piece.length
  }

  #add(text: string): void {
    this.#length += text.length
    // Of what is too long nothing need be kept; where it ends is still to be found.
    this.#field = this.#length > MAX_ROW ? '' : this.#field + text
  }

  #endField(): void {
    this.#fields.push(this.#field)
    this.#field = ''
    this.#place = 'start'
  }

  #endRow(rows: (readonly string[])[]): void {
    const fields = this.#fields
    const isEmpty = fields.length === 1 && fields[0] === '' && !this.#quotes
    const isWhole = this.#length <= MAX_ROW && !isEmpty
    this.#fields = []
    this.#length = 0
    this.#quotes = false
    if (!isWhole) return
    if (this.header === undefined) this.header = fields
    else if (fields.length === this.header.length) rows.push(fields)
  }
}

function indexOr(text: string, sought: string, at: number): number {
  const index = text.indexOf(sought, at)
  return index < 0 ? text.length : index
}

/** What a JSON line has in one column: objects and arrays as their JSON. */
export type LineCell = string | number | boolean | null | { readonly json: string }

/** Lines of one JSON object each. What is no such line is damaged. */
export class LineRows implements Rows<ReadonlyMap<string, LineCell>> {
  #line = ''
  #length = 0

  push(piece: string): ReadonlyMap<string, LineCell>[] {
    const rows: ReadonlyMap<string, LineCell>[] = []
    for (let at = 0; at < piece.length;) {
      const end = indexOr(piece, '\n', at)
      this.#length += end - at
      this.#line = this.#length > MAX_ROW ? '' : this.#line + piece.slice(at, end)
      at = end + 1
      if (end === piece.length) continue
      const row = this.end()
      if (row !== undefined) rows.push(row)
    }
    return rows
  }

  end(): ReadonlyMap<string, LineCell> | undefined {
    const line = this.#line
    this.#line = ''
    this.#length = 0
    return line === '' ? undefined : lineRow(line)
  }
}

function lineRow(line: string): ReadonlyMap<string, LineCell> | undefined {
  try {
    const parsed: unknown = JSON.parse(line)
    if (typeof parsed !== 'object' || parsed === null || Array.isArray(parsed)) return undefined
    const cells = new Map<string, LineCell>()
    for (const [name, value] of Object.entries(parsed)) {
      const cell = lineCell(value)
      if (cell === undefined) return undefined
      cells.set(name, cell)
    }
    return cells
  } catch {
    return undefined
  }
}

/** Undefined for what is nested too deeply to be written again. */
function lineCell(value: unknown): LineCell | undefined {
  if (typeof value !== 'object' || value === null) return value as string | number | boolean | null
  const json = jsonText(value)
  return json === undefined ? undefined : { json }
}
