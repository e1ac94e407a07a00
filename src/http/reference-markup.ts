// The little Markdown that descriptions use.
import { markup, type Markup } from '../content/markup.ts'

/** Paragraphs, `code` and **strong**: what the API description uses of CommonMark. */
export function markdown(text: string): Markup {
  const paragraphs = text.trim().split(/\n{2,}/)
  return markup`${paragraphs.map(paragraph => markup`<p>${inlineMarkdown(paragraph)}</p> `)}`
}

/** The same without paragraphs, for cells of tables. */
export function inlineMarkdown(text: string): Markup {
  const pieces = text.trim().split(/(`[^`]+`|\*\*[^*]+\*\*)/)
  return markup`${pieces.map(piece => {
    if (piece.length > 2 && piece.startsWith('`')) return markup`<code>${piece.slice(1, -1)}</code>`
    if (piece.length > 4 && piece.startsWith('**')) return markup`<strong>${piece.slice(2, -2)}</strong>`
    return piece
  })}`
}
