// Text and data that a program wrote, made fit to be read: without what drives a terminal, and of bounded length.
import { markup, type Markup } from './markup.ts'

/** Characters of one text that are shown. */
const MAX_SHOWN = 1024 * 1024
const MAX_DEPTH = 32

/** Colours, movements of the cursor, titles of windows. */
const TERMINAL = /\u001b(?:\[[0-?]*[ -/]*[@-~]|\][^\u0007\u001b]*(?:\u0007|\u001b\\)?|[@-Z\\^_])/g
const CONTROL = /[\0-\x08\x0b\x0c\x0e-\x1f\x7f]/g

export function preformatted(text: string, className?: string): Markup {
  const readable = readableText(text)
  return markup`<pre${className !== undefined && markup` class="${className}"`}>${readable.slice(0, MAX_SHOWN)}</pre>${cutNote(readable.length)}`
}

export function cutNote(length: number): Markup | false {
  return (
    length > MAX_SHOWN &&
    markup`<p class="note">The first ${MAX_SHOWN} of ${length} characters. The notebook has all of them.</p>`
  )
}

/** Lines as a terminal leaves them: what a carriage return writes over is gone, as of a progress bar. */
export function readableText(text: string): string {
  const plain = text.replaceAll('\r\n', '\n').replaceAll(TERMINAL, '')
  return (plain.includes('\r') ? plain.split('\n').map(lastWritten).join('\n') : plain)
    .replaceAll(CONTROL, '\u{fffd}')
    .toWellFormed()
}

function lastWritten(line: string): string {
  // Without looking behind, every return would be tried as the first one.
  const written = line.replace(/(?<!\r)\r+$/, '')
  return written.slice(written.lastIndexOf('\r') + 1)
}

/** JSON over several lines. It ends where it is deeper or longer than anybody reads. */
export function prettyJson(value: unknown): string {
  let text = ''
  const write = (each: unknown, depth: number): void => {
    if (text.length > MAX_SHOWN) return
    if (typeof each !== 'object' || each === null) {
      text += JSON.stringify(each)
      return
    }
    const isList = Array.isArray(each)
    const entries = Object.entries(each)
    const [open, close] = isList ? (['[', ']'] as const) : (['{', '}'] as const)
    if (entries.length === 0 || depth === MAX_DEPTH) {
      text += `${open}${entries.length === 0 ? '' : '…'}${close}`
      return
    }
    text += open
    for (const [index, [key, child]] of entries.entries()) {
      if (text.length > MAX_SHOWN) break
      text += `${index > 0 ? ',' : ''}\n${'  '.repeat(depth + 1)}${isList ? '' : `${JSON.stringify(key)}: `}`
      write(child, depth + 1)
    }
    text += `\n${'  '.repeat(depth)}${close}`
  }
  write(value, 0)
  return text
}
