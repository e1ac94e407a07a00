// Jupyter notebooks, versions 3 and 4 of their format, as far as a page shows them. What they hold is of any type, whatever the format says.
import { AppError } from '../errors.ts'

export interface Notebook {
  readonly language: string
  /** Of `cells`. */
  readonly count: number
  /** Made one by one, for in memory a cell is many times as large as in the file. */
  readonly cells: Iterable<Cell>
}

/** What a cell's Markdown may show: images by name, each by media type. */
export type Attachments = ReadonlyMap<string, Bundle>

/** One thing in several forms, by media type. */
export type Bundle = ReadonlyMap<string, unknown>

export type Cell =
  | { readonly kind: 'markdown'; readonly source: string; readonly attachments: Attachments }
  | { readonly kind: 'raw'; readonly source: string }
  | {
      readonly kind: 'code'
      readonly source: string
      /** Undefined for a cell that did not run. */
      readonly count: number | undefined
      readonly outputs: Iterable<Output>
    }

export type Output =
  | { readonly kind: 'stream'; readonly isError: boolean; readonly text: string }
  | { readonly kind: 'error'; readonly text: string }
  | { readonly kind: 'data'; readonly bundle: Bundle }

type Fields = Readonly<Record<string, unknown>>

/** Lists and objects. Each takes some memory, however little is in it. */
const MAX_PARTS = 1_000_000

/** Fails with InvalidArgument for what is no notebook, and with TooLarge for one with very many parts; where a part of one makes no sense, that part is left out. */
export function parseNotebook(bytes: Uint8Array): Notebook {
  checkParts(bytes)
  const notebook = fieldsOf(parseJson(bytes))
  const worksheets = listOf(notebook['worksheets'])
  const cells = notebook['cells'] ?? worksheets.flatMap(sheet => listOf(fieldsOf(sheet)['cells']))
  if (typeof notebook['nbformat'] !== 'number' || !Array.isArray(cells))
    throw notNotebook('it has no cells, or does not say which version of the format it has')
  const metadata = fieldsOf(notebook['metadata'])
  const language = fieldsOf(metadata['language_info'])['name'] ?? fieldsOf(metadata['kernelspec'])['language']
  return {
    language: typeof language === 'string' ? language : '',
    count: cells.length,
    cells: eachOf(cells, cellOf),
  }
}

function checkParts(bytes: Uint8Array): void {
  let parts = 0
  let isInString = false
  for (let at = 0; at < bytes.length; at++) {
    const byte = bytes[at]
    if (byte === QUOTE) isInString = !isInString
    else if (isInString && byte === BACKSLASH) at++
    else if (!isInString && (byte === OPEN_BRACE || byte === OPEN_BRACKET)) parts++
  }
  if (parts > MAX_PARTS)
    throw new AppError(
      'TooLarge',
      `The notebook has more than ${MAX_PARTS} lists and objects, and is not shown as a page. Ask for the file as it is.`,
      { op: 'read' },
    )
}

const QUOTE = 0x22
const BACKSLASH = 0x5c
const OPEN_BRACKET = 0x5b
const OPEN_BRACE = 0x7b

function* eachOf<T>(list: readonly unknown[], make: (fields: Fields) => T): Generator<T, void> {
  for (const item of list) yield make(fieldsOf(item))
}

function parseJson(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder().decode(bytes))
  } catch (error) {
    throw notNotebook('it is not JSON', error)
  }
}

function notNotebook(why: string, cause?: unknown): AppError {
  return new AppError('InvalidArgument', `The file is not a Jupyter notebook: ${why}. Ask for it as it is.`, {
    op: 'read',
    cause,
  })
}

function cellOf(cell: Fields): Cell {
  // `input` and `prompt_number` are of version 3.
  const source = textOf(cell['source'] ?? cell['input'])
  switch (cell['cell_type']) {
    case 'code': {
      const count = cell['execution_count'] ?? cell['prompt_number']
      return {
        kind: 'code',
        source,
        count: typeof count === 'number' ? count : undefined,
        outputs: eachOf(listOf(cell['outputs']), outputOf),
      }
    }
    case 'markdown':
      return { kind: 'markdown', source, attachments: attachmentsOf(cell['attachments']) }
    case 'heading': {
      const level = Math.min(Math.max(Math.trunc(Number(cell['level'])) || 1, 1), 6)
      return { kind: 'markdown', source: `${'#'.repeat(level)} ${source}`, attachments: new Map() }
    }
    default:
      return { kind: 'raw', source }
  }
}

function outputOf(output: Fields): Output {
  switch (output['output_type']) {
    case 'stream':
      return {
        kind: 'stream',
        isError: (output['name'] ?? output['stream']) === 'stderr',
        text: textOf(output['text']),
      }
    case 'error':
    case 'pyerr': {
      const trace = listOf(output['traceback']).map(textOf).join('\n')
      return { kind: 'error', text: trace || `${textOf(output['ename'])}: ${textOf(output['evalue'])}` }
    }
    default:
      return { kind: 'data', bundle: bundleOf(output) }
  }
}

/** Version 3 has the forms beside the other fields, under names of its own. */
const OLD_NAMES = new Map([
  ['text', 'text/plain'],
  ['html', 'text/html'],
  ['latex', 'text/latex'],
  ['json', 'application/json'],
  ['javascript', 'application/javascript'],
  ['png', 'image/png'],
  ['jpeg', 'image/jpeg'],
  ['svg', 'image/svg+xml'],
])

function bundleOf(output: Fields): Bundle {
  const { data } = output
  if (typeof data === 'object' && data !== null) return new Map(Object.entries(data))
  return new Map(
    [...OLD_NAMES].filter(([old]) => output[old] !== undefined).map(([old, type]) => [type, output[old]]),
  )
}

function attachmentsOf(value: unknown): Attachments {
  return new Map(
    Object.entries(fieldsOf(value)).map(([name, bundle]) => [
      name,
      new Map(Object.entries(fieldsOf(bundle))),
    ]),
  )
}

/** Text is one string, or a list of its lines. */
export function textOf(value: unknown): string {
  if (typeof value === 'string') return value
  return listOf(value)
    .filter(line => typeof line === 'string')
    .join('')
}

function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : []
}

function fieldsOf(value: unknown): Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Fields) : {}
}
