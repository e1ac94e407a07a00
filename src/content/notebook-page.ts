// A notebook as one page without scripts that loads nothing: safe to open, whoever wrote the notebook.
import { createHash } from 'node:crypto'
import { markup, Markup } from './markup.ts'
import { PageMarkdown } from './notebook-markdown.ts'
import type { Cell, Notebook } from './notebook-model.ts'
import { renderOutput } from './notebook-output.ts'
import { preformatted, readableText } from './notebook-text.ts'
import { Slices } from './slices.ts'

/** Characters of a page, which is in memory as a whole; what comes after it is left out. */
const MAX_PAGE = 48 * 1024 * 1024

const STYLE = `:root{color-scheme:light dark;--line:light-dark(#d8dee4,#3d444d);--code:light-dark(#f6f8fa,#161b22);--dim:light-dark(#59636e,#9198a1)}
body{font:16px/1.55 system-ui,sans-serif;margin:2rem auto;max-width:64rem;padding:0 1rem;background:light-dark(#fff,#0d1117);color:light-dark(#1f2328,#e6edf3)}
header{border-bottom:1px solid var(--line);margin-bottom:1.5rem;padding-bottom:.5rem}
header h1{font-size:1.1rem;margin:0;overflow-wrap:anywhere}header p,.note,.prompt{color:var(--dim);font-size:.85rem;margin:0}
.cell{display:grid;grid-template-columns:4rem minmax(0,1fr);gap:0 .75rem;margin:0 0 1rem}
.prompt{font-family:ui-monospace,monospace;text-align:right;padding-top:.65rem;white-space:nowrap}
.body{grid-column:2;min-width:0}
pre{font:.85rem/1.5 ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;margin:0;padding:.6rem .8rem;white-space:pre-wrap;overflow-wrap:anywhere;tab-size:4}
pre.source{background:var(--code);border:1px solid var(--line);border-radius:6px}
pre.stderr{background:light-dark(#fff5e6,#2a2015);border-radius:6px}
pre.error{background:light-dark(#ffebe9,#2d1315);border-left:3px solid light-dark(#cf222e,#f85149)}
.output{margin-top:.5rem}.output>.note,.output>p{padding:0 .8rem}
img{max-width:100%;height:auto}.output>img{background:#fff;border-radius:4px}
.text{overflow-wrap:anywhere}.text>:first-child{margin-top:0}.text>:last-child{margin-bottom:0}
.text pre{background:var(--code);border-radius:6px}.text :not(pre)>code{background:var(--code);padding:.1em .3em;border-radius:4px}
code{font-family:ui-monospace,monospace;font-size:.9em}pre code{font-size:inherit}
h1,h2,h3,h4{line-height:1.25;margin:1.5rem 0 .75rem}
a{color:light-dark(#0969da,#58a6ff)}
blockquote{border-left:3px solid var(--line);color:var(--dim);margin:0;padding:0 1rem}
.html{overflow-x:auto;padding:.3rem .8rem}
table{border-collapse:collapse;font-size:.875rem;font-variant-numeric:tabular-nums}
th,td{border-bottom:1px solid var(--line);padding:.3rem .7rem;vertical-align:top}th{font-weight:600;text-align:left}
.html th,.html td,.right{text-align:right}.center{text-align:center}.html table tr>:first-child{text-align:left}
:focus-visible{outline:3px solid light-dark(#0969da,#58a6ff);outline-offset:2px}
@media(max-width:40rem){.cell{grid-template-columns:minmax(0,1fr)}.prompt{text-align:left;padding:0 0 .2rem}.body{grid-column:1}}
@media print{body{max-width:none}}`

/** The page carries it, so that it holds wherever the page gets to. The header that comes with it forbids more. */
const POLICY = `default-src 'none'; img-src data:; style-src 'sha256-${createHash('sha256').update(STYLE).digest('base64')}'; base-uri 'none'; form-action 'none'`

/** `name` is what the notebook is called. Fails with Aborted. */
export async function renderNotebookPage(
  { cells, count, language }: Notebook,
  name: string,
  signal?: AbortSignal,
): Promise<string> {
  const slices = new Slices()
  const markdown = new PageMarkdown()
  const title = readableText(name)
  const kind =
    language === '' ? 'Jupyter notebook' : `Jupyter notebook, ${readableText(language.slice(0, 40))}`
  let page = markup`<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><meta http-equiv="Content-Security-Policy" content="${POLICY}">
<meta name="viewport" content="width=device-width"><meta name="referrer" content="no-referrer">
<title>${title}</title><style>${new Markup(STYLE)}</style></head>
<body><header><h1>${title}</h1><p>${kind}, ${count} ${count === 1 ? 'cell' : 'cells'}</p></header>
<main>
`.text
  const isFull = (): boolean => page.length > MAX_PAGE
  let shown = 0
  for (const cell of cells) {
    if (isFull()) {
      page += leftOut(`The other ${count - shown} cells`).text
      break
    }
    for (const piece of piecesOf(cell, markdown, isFull)) {
      page += piece.text
      if (!slices.due) continue
      await slices.rest()
      signal?.throwIfAborted()
    }
    shown++
  }
  return `${page}</main></body></html>\n`
}

function leftOut(what: string): Markup {
  return markup`<p class="note">${what} are left out: the notebook is too long for a page.</p>`
}

/** A cell in pieces, of which it may have very many. */
function* piecesOf(cell: Cell, markdown: PageMarkdown, isFull: () => boolean): Generator<Markup, void> {
  if (cell.kind === 'markdown') {
    const text = markdown.render(readableText(cell.source), cell.attachments)
    yield markup`<div class="cell"><div class="body text">${text}</div></div>\n`
    return
  }
  if (cell.kind === 'raw') {
    yield markup`<div class="cell"><div class="body">${preformatted(cell.source)}</div></div>\n`
    return
  }
  yield markup`<div class="cell"><div class="prompt">[${cell.count ?? ' '}]</div><div class="body">${preformatted(cell.source, 'source')}\n`
  for (const output of cell.outputs) {
    if (isFull()) {
      yield leftOut('The other outputs of this cell')
      break
    }
    yield markup`<div class="output">${renderOutput(output, markdown)}</div>\n`
  }
  yield markup`</div></div>\n`
}
