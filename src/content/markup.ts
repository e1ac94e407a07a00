// HTML that cannot forget to escape.

/** Text that is HTML already. Everything else that gets into `markup` is escaped. */
export class Markup {
  readonly text: string

  constructor(text: string) {
    this.text = text
  }
}

export type Content = Markup | string | number | undefined | false | readonly Content[]

const ESCAPES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
}

/** A template whose values are escaped for element content and quoted attributes; `undefined` and `false` vanish. */
export function markup(strings: TemplateStringsArray, ...values: readonly Content[]): Markup {
  return new Markup(
    strings.reduce((text, piece, i) => text + piece + (i < values.length ? textOf(values[i]) : ''), ''),
  )
}

function textOf(content: Content): string {
  if (content === undefined || content === false) return ''
  if (content instanceof Markup) return content.text
  if (typeof content === 'object') return content.map(textOf).join('')
  return escaped(String(content))
}

/** Text for element content and quoted attributes. */
export function escaped(text: string): string {
  return text.replaceAll(/[&<>"']/g, character => ESCAPES[character]!)
}
