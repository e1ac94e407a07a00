// Images within a notebook as `data:` URLs.
import { textOf } from './notebook-model.ts'

const RASTER = new Set(['image/png', 'image/jpeg', 'image/gif', 'image/webp'])
const SVG = 'image/svg+xml'

/** In the order of preference. */
export const IMAGE_TYPES = [...RASTER, SVG]

/**
 * For the `src` of an image; undefined for what is none. An SVG, which may hold scripts and load things, is harmless only there: it must never become part of the page or
 * a link.
 */
export function imageData(type: string, content: unknown): string | undefined {
  const text = textOf(content)
  if (text === '') return undefined
  if (type === SVG) return `data:${SVG};base64,${Buffer.from(text).toString('base64')}`
  if (!RASTER.has(type)) return undefined
  const base64 = text.replaceAll(/\s/g, '')
  return isBase64(base64) ? `data:${type};base64,${base64}` : undefined
}

function isBase64(text: string): boolean {
  const padding = text.endsWith('==') ? 2 : text.endsWith('=') ? 1 : 0
  return (
    text.length > 0 && text.length % 4 === 0 && !/[^A-Za-z0-9+/]/.test(text.slice(0, text.length - padding))
  )
}
