// Entity tags (RFC 9110 8.8.3): their text form, the lists that If-Match and If-None-Match carry, and the two comparisons.

export interface EntityTag {
  readonly weak: boolean
  /** What stands between the quotes, which has no escapes: a backslash or a comma is a character like any other. */
  readonly opaque: string
}

// etagc is any visible character but the quote, and obs-text; Node gives header bytes over 127 as U+0080 to U+00FF.
const ENTITY_TAG = /(W\/)?"([!#-~\x80-\xff]*)"/y

export function formatEntityTag({ weak, opaque }: EntityTag): string {
  return `${weak ? 'W/' : ''}"${opaque}"`
}

/** The value of a field that holds exactly one entity tag; undefined for anything else. */
export function parseEntityTag(text: string): EntityTag | undefined {
  const found = entityTagAt(text, 0)
  return found?.end === text.length ? found.tag : undefined
}

/**
 * The value of If-Match or If-None-Match: `*`, or the tags in their order, where several header lines are already joined
 * by commas. Undefined when any of it is malformed, `*` among tags and tags without quotes included. Empty list elements
 * are skipped (RFC 9110 5.6.1.2).
 */
export function parseEntityTagList(text: string): '*' | readonly EntityTag[] | undefined {
  if (text === '*') return '*'
  const tags: EntityTag[] = []
  let separated = true
  // Character by character: a pattern with optional white space on both sides of an optional tag backtracks in square time.
  for (let at = 0; at < text.length;) {
    const character = text[at]
    if (character === ',' || character === ' ' || character === '\t') {
      separated ||= character === ','
      at++
      continue
    }
    const found = separated ? entityTagAt(text, at) : undefined
    if (found === undefined) return undefined
    tags.push(found.tag)
    at = found.end
    separated = false
  }
  return tags
}

function entityTagAt(text: string, start: number): { tag: EntityTag; end: number } | undefined {
  ENTITY_TAG.lastIndex = start
  const match = ENTITY_TAG.exec(text)
  if (match === null) return undefined
  return { tag: { weak: match[1] !== undefined, opaque: match[2]! }, end: ENTITY_TAG.lastIndex }
}

/** Strong comparison (RFC 9110 8.8.3.2): the same bytes. A weak tag equals nothing, not even itself. */
export function matchesStrongly(a: EntityTag, b: EntityTag): boolean {
  return !a.weak && !b.weak && a.opaque === b.opaque
}

/** Weak comparison (RFC 9110 8.8.3.2): good enough for a cache. */
export function matchesWeakly(a: EntityTag, b: EntityTag): boolean {
  return a.opaque === b.opaque
}
