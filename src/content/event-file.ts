// Event files (`events/{kind}/{name}.plx`) as JSON, as Polyaxon's own services answer it: a table by columns, or its text. Neither a file nor a column is ever held: the table is read
// once to see what is in it, and then once for each column.
import { AppError } from '../errors.ts'
import { LineRows, MAX_COLUMNS, SeparatedRows, type LineCell, type Rows } from './event-rows.ts'
import type { EventText } from './event-text.ts'
import { FieldColumn, LineColumn, TimeColumn, type Column } from './event-values.ts'

/** Text given at once. */
const CHUNK = 64 * 1024

export interface EventsForm {
  readonly orient: 'dict' | 'csv'
  /** At most so many rows of a table, evenly over all of it. */
  readonly sample: number | undefined
}

/** What to call the events of a file. */
export interface EventsName {
  readonly name: string
  readonly kind: string
}

/**
 * The JSON of one file: `{"name", "kind", "data"}`. Undefined for a file that is no table of events, where a table is asked for.
 *
 * What is damaged is left out: rows with too few fields or too many characters, lines that are not JSON, and a last row that is still being written. Fails as `EventText.pieces` does,
 * and with Changed when the passes do not agree.
 */
export async function eventsJson(
  text: EventText,
  { name, kind }: EventsName,
  { orient, sample }: EventsForm,
  signal?: AbortSignal,
): Promise<AsyncIterable<string> | undefined> {
  const head = `{"name":${JSON.stringify(name)},"kind":${JSON.stringify(kind)},"data":`
  if (orient === 'csv') return inChunks(head, textJson(text.pieces(signal)), '}')
  const table = await surveyed(text, kind, signal)
  return table && inChunks(head, table.json(text, sample, signal), '}')
}

/** Rows of a table, and how to read its columns again. */
interface Table {
  json(text: EventText, sample: number | undefined, signal: AbortSignal | undefined): AsyncIterable<string>
}

async function surveyed(
  text: EventText,
  kind: string,
  signal: AbortSignal | undefined,
): Promise<Table | undefined> {
  return (await isLines(text, signal)) ? surveyLines(text, kind, signal) : surveySeparated(text, kind, signal)
}

/** Whether the file has lines of JSON, which is what newer versions write for some kinds. No header of a table begins with a brace. */
export async function isLines(text: EventText, signal?: AbortSignal): Promise<boolean> {
  return (await text.start(signal)).trimStart().startsWith('{')
}

async function surveySeparated(
  text: EventText,
  kind: string,
  signal: AbortSignal | undefined,
): Promise<Table | undefined> {
  const parser = new SeparatedRows()
  let columns: Column<string>[] | undefined
  const found = (header: readonly string[]): Column<string>[] =>
    header.map(name => (name === 'timestamp' ? new TimeColumn() : new FieldColumn()))
  let rows = 0
  for await (const piece of text.pieces(signal)) {
    for (const row of parser.push(piece)) {
      columns ??= found(parser.header!)
      columns.forEach((column, i) => column.add(row[i]!))
      rows++
    }
    if (parser.header !== undefined && parser.header.length > MAX_COLUMNS) return undefined
  }
  // A header that still lacks its line feed may lack more.
  const header = parser.header ?? ['step', 'timestamp', kind]
  const { isClosed } = parser
  const last = parser.end()
  columns ??= found(header)
  if (last !== undefined && (isClosed || !isTorn(last, columns.at(-1)!))) {
    columns.forEach((column, i) => column.add(last[i]!))
    rows++
  }
  const named = columns.map((column, i) => ({
    name: header[i]!,
    json: (row: readonly string[]) => column.json(row[i]!),
  }))
  return new RowTable(() => new SeparatedRows(), firstOfEach(named), rows)
}

/**
 * Whether a row without a line feed is only the beginning of one. Polyaxon's writers begin lines with the line feed, so that a file at rest has none at its end, and whether a row is
 * whole shows in its value alone: that is not empty, is JSON where it begins like it, and no beginning of a number where all others are numbers.
 */
function isTorn(row: readonly string[], column: Column<string>): boolean {
  const value = row.at(-1)!
  if (value === '') return true
  if (column instanceof FieldColumn && column.isCutOffBy(value)) return true
  return value.startsWith('{') && !isJson(value)
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text)
    return true
  } catch {
    return false
  }
}

async function surveyLines(
  text: EventText,
  kind: string,
  signal: AbortSignal | undefined,
): Promise<Table | undefined> {
  const parser = new LineRows()
  const columns = new Map<string, LineColumn>()
  let rows = 0
  const add = (row: ReadonlyMap<string, LineCell>): void => {
    for (const name of row.keys())
      if (!columns.has(name) && columns.size < MAX_COLUMNS) columns.set(name, new LineColumn(name, rows))
    for (const [name, column] of columns) column.add(row.get(name))
    rows++
  }
  for await (const piece of text.pieces(signal)) parser.push(piece).forEach(add)
  const last = parser.end()
  if (last !== undefined) add(last)
  for (const name of rows === 0 ? ['timestamp', 'step', kind] : ['step'])
    if (!columns.has(name)) columns.set(name, new LineColumn(name, rows))
  const named = [...columns].map(([name, column]) => ({
    name,
    json: (row: ReadonlyMap<string, LineCell>) => column.json(row.get(name)),
  }))
  return new RowTable(() => new LineRows(), named, rows)
}

interface NamedColumn<Row> {
  readonly name: string
  json(row: Row): string
}

function firstOfEach<Row>(columns: readonly NamedColumn<Row>[]): NamedColumn<Row>[] {
  return columns.filter(({ name }, i) => columns.findIndex(other => other.name === name) === i)
}

class RowTable<Row> implements Table {
  readonly #parser: () => Rows<Row>
  readonly #columns: readonly NamedColumn<Row>[]
  readonly #rows: number

  constructor(parser: () => Rows<Row>, columns: readonly NamedColumn<Row>[], rows: number) {
    this.#parser = parser
    this.#columns = columns
    this.#rows = rows
  }

  async *json(
    text: EventText,
    sample: number | undefined,
    signal: AbortSignal | undefined,
  ): AsyncGenerator<string, void> {
    let before = '{'
    for (const column of this.#columns) {
      yield `${before}${JSON.stringify(column.name)}:[`
      if (this.#rows > 0) yield* this.#values(text, column, thinned(this.#rows, sample), signal)
      before = '],'
    }
    yield ']}'
  }

  async *#values(
    text: EventText,
    column: NamedColumn<Row>,
    takes: (index: number) => boolean,
    signal: AbortSignal | undefined,
  ): AsyncGenerator<string, void> {
    const parser = this.#parser()
    let index = 0
    let separator = ''
    let chunk = ''
    const add = (row: Row): void => {
      // What the survey has left out comes last.
      if (index < this.#rows && takes(index)) {
        chunk += separator + column.json(row)
        separator = ','
      }
      index++
    }
    for await (const piece of text.pieces(signal)) {
      parser.push(piece).forEach(add)
      yield chunk
      chunk = ''
    }
    const last = parser.end()
    if (last !== undefined) add(last)
    if (index < this.#rows)
      throw new AppError('Changed', 'The events were written anew while they were read.', { op: 'read' })
    yield chunk
  }
}

/** Whether a row goes into the sample; asked for each row in turn. The first and the last one do, and those between lie evenly. */
export function thinned(rows: number, sample: number | undefined): (index: number) => boolean {
  if (sample === undefined || rows <= sample) return () => true
  let taken = 0
  return index => {
    const next = sample === 1 ? 0 : Math.round((taken * (rows - 1)) / (sample - 1))
    if (taken >= sample || index !== next) return false
    taken++
    return true
  }
}

/** A JSON string of the pieces together. */
async function* textJson(pieces: AsyncIterable<string>): AsyncGenerator<string, void> {
  yield '"'
  for await (const piece of pieces) yield JSON.stringify(piece).slice(1, -1)
  yield '"'
}

/** Pieces of text as chunks that are worth sending. */
async function* inChunks(
  head: string,
  pieces: AsyncIterable<string>,
  tail: string,
): AsyncGenerator<string, void> {
  let chunk = head
  for await (const piece of pieces) {
    chunk += piece
    if (chunk.length < CHUNK) continue
    yield chunk
    chunk = ''
  }
  yield chunk + tail
}
