// Jupyter notebooks, versions 3 and 4 of their format, as far as a page shows them. What they hold is of any type, whatever the format says.
import { AppError } from '../errors.ts'

export interface Notebook {
  readonly language: string
  readonly cells: readonly Cell[]
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
      readonly outputs: readonly Output[]
    }

export type Output =
  | { readonly kind: 'stream'; readonly isError: boolean; readonly text: string }
  | { readonly kind: 'error'; readonly text: string }
  | { readonly kind: 'data'; readonly bundle: Bundle }

type Fields = Readonly<Record<string, unknown>>

/** Fails with InvalidArgument for what is no notebook; where a part of one makes no sense, that part is left out. */
export function parseNotebook(bytes: Uint8Array): Notebook {
  const notebook = fieldsOf(parseJson(bytes))
  const worksheets = listOf(notebook['worksheets'])
  const cells = notebook['cells'] ?? worksheets.flatMap(sheet => listOf(fieldsOf(sheet)['cells']))
  if (typeof notebook['nbformat'] !== 'number' || !Array.isArray(cells))
    throw notNotebook('it has no cells, or does not say which version of the format it has')
  const metadata = fieldsOf(notebook['metadata'])
  const language = fieldsOf(metadata['language_info'])['name'] ?? fieldsOf(metadata['kernelspec'])['language']
  return {
    language: typeof language === 'string' ? language : '',
    cells: cells.map(cell => cellOf(fieldsOf(cell))),
  }
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
        outputs: listOf(cell['outputs']).map(output => outputOf(fieldsOf(output))),
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
