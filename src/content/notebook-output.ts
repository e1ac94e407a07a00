// Outputs of a notebook's cells.
import { markup, type Markup } from './markup.ts'
import { IMAGE_TYPES, imageData } from './notebook-image.ts'
import type { PageMarkdown } from './notebook-markdown.ts'
import { textOf, type Bundle, type Output } from './notebook-model.ts'
import { sanitise } from './notebook-sanitise.ts'
import { preformatted, prettyJson, readableText } from './notebook-text.ts'

/** More HTML than this is not a table that anybody reads. */
const MAX_HTML = 1024 * 1024
const MAX_NAME = 100

export function renderOutput(output: Output, markdown: PageMarkdown): Markup {
  switch (output.kind) {
    case 'stream':
      return preformatted(output.text, output.isError ? 'stderr' : undefined)
    case 'error':
      return preformatted(output.text, 'error')
    case 'data':
      return renderBundle(output.bundle, markdown)
  }
}

/** The richest form that a page can show without running or loading anything. */
function renderBundle(bundle: Bundle, markdown: PageMarkdown): Markup {
  const plain = textOf(bundle.get('text/plain'))
  for (const type of IMAGE_TYPES) {
    const data = imageData(type, bundle.get(type))
    if (data !== undefined) return markup`<img src="${data}" alt="${altOf(plain)}">`
  }
  const html = textOf(bundle.get('text/html'))
  if (html !== '' && html.length <= MAX_HTML) {
    const { html: safe, isEmpty } = sanitise(readableText(html))
    if (!isEmpty) return markup`<div class="html" tabindex="0">${safe}</div>`
  }
  const text = textOf(bundle.get('text/markdown'))
  if (text !== '') return markdown.render(readableText(text), new Map())
  if (bundle.has('application/json')) return preformatted(prettyJson(bundle.get('application/json')))
  const readable = plain || textOf(bundle.get('text/latex'))
  const hidden = [...bundle.keys()].filter(type => type !== 'text/plain' && type !== 'text/latex')
  return markup`${readable !== '' && preformatted(readable)}${hidden.length > 0 && hiddenNote(hidden)}`
}

/** What Jupyter would have run. */
function hiddenNote(types: readonly string[]): Markup {
  const names = types.slice(0, 5).map(type => readableText(type.slice(0, MAX_NAME)))
  return markup`<p class="note">Not shown here: ${names.join(', ')}. Open the notebook in Jupyter to see it.</p>`
}

function altOf(plain: string): string {
  const line = readableText(plain.slice(0, MAX_NAME)).split('\n', 1)[0]!
  return line === '' ? 'Output of the cell' : line
}
