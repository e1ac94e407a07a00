// Markdown of a notebook as HTML that loads nothing and runs nothing.
import MarkdownIt, { type Env } from 'markdown-it'
import { imageData } from './notebook-image.ts'
import type { Attachments } from './notebook-model.ts'
import { markup, Markup } from './markup.ts'

/** What the rules know of the text besides its tokens. */
// A type, for only those have the index signature of an Env.
type Context = {
  readonly attachments: Attachments
  /** Links that are open: a link holds none. */
  links: number
  /** Characters of images that the page may still get. */
  imagesLeft: number
}

const contextOf = (env: Env | undefined): Context => env as Context

const LINK = /^(?:https?|mailto):/i
const LINK_OR_IMAGE = /^(?:https?:|mailto:|attachment:)/i
const EMBEDDED = /\bdata:(image\/(?:png|jpeg|gif|webp));base64,([A-Za-z0-9+/=]+)/gi

/** Markdown can be made to be slow to read: more of it in one cell, or in a page, is shown as it is written. */
const MAX_CELL = 32 * 1024
const MAX_PAGE = 512 * 1024
/** As long as notebooks are: each image is shown, but one image not any number of times. */
const MAX_IMAGES = 16 * 1024 * 1024

const renderer = new MarkdownIt({ html: false, linkify: false, typographer: false })
renderer.validateLink = url => LINK_OR_IMAGE.test(url)

const { rules } = renderer.renderer

rules['link_open'] = (tokens, index, _options, env) => {
  contextOf(env).links++
  const href = String(tokens[index]!.attrGet('href') ?? '')
  return LINK.test(href) ? markup`<a href="${href}" rel="noopener noreferrer">`.text : '<a>'
}

rules['link_close'] = (_tokens, _index, _options, env) => {
  contextOf(env).links--
  return '</a>'
}

/** Only what is in the notebook; an image from elsewhere is a link to it. */
rules['image'] = (tokens, index, options, env) => {
  const context = contextOf(env)
  const token = tokens[index]!
  const source = String(token.attrGet('src') ?? '')
  const alt = renderer.renderer.renderInlineAsText(token.children ?? [], options, context)
  const data = attached(source, context)
  if (data !== undefined) return markup`<img src="${data}" alt="${alt}">`.text
  const name = alt === '' ? 'image' : alt
  if (context.links > 0 || !LINK.test(source)) return markup`${name}`.text
  return markup`<a href="${source}" rel="noopener noreferrer">${name}</a>`.text
}

// Columns are aligned by a `style`, which the page's policy does not allow.
for (const rule of ['th_open', 'td_open'])
  rules[rule] = (tokens, index) => {
    const alignment = /right|center/.exec(String(tokens[index]!.attrGet('style') ?? ''))?.[0]
    return `<${tokens[index]!.tag}${alignment === undefined ? '' : ` class="${alignment}"`}>`
  }

/** For the texts of one page. */
export class PageMarkdown {
  #left = MAX_PAGE
  #imagesLeft = MAX_IMAGES

  render(source: string, attachments: Attachments): Markup {
    const images = new Map(attachments)
    const text = source.replaceAll(EMBEDDED, (_all, type: string, base64: string) => {
      const name = `data:${images.size}`
      images.set(name, new Map([[type.toLowerCase(), base64]]))
      return `attachment:${name}`
    })
    this.#left -= text.length
    if (text.length > MAX_CELL || this.#left < 0) return markup`<pre>${text}</pre>`
    const context: Context = { attachments: images, links: 0, imagesLeft: this.#imagesLeft }
    const rendered = new Markup(renderer.render(text, context))
    this.#imagesLeft = context.imagesLeft
    return rendered
  }
}

function attached(source: string, context: Context): string | undefined {
  if (!source.startsWith('attachment:')) return undefined
  const escaped = source.slice('attachment:'.length)
  for (const name of [escaped, decoded(escaped)])
    for (const [type, content] of context.attachments.get(name) ?? []) {
      if (context.imagesLeft < 0) return undefined
      const data = imageData(type, content)
      if (data === undefined) continue
      context.imagesLeft -= data.length
      return data
    }
  return undefined
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}
