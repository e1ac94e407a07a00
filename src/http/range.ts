// Range (RFC 9110 14.1 and 14.2), bytes only: which slices of a content of known size a client asks for. Whether a Range
// counts at all, by method and If-Range, is decided in plan.ts and conditions.ts.

export interface ByteRange {
  readonly start: number
  /** Exclusive, unlike last-pos in the header. */
  readonly end: number
}

/**
 * What a Range header comes to. `ignored`: answer with the whole content, as if there were none. `unsatisfiable`: 416.
 * Otherwise at least one range, each at least one byte, within the content, no two touching.
 */
export type RangeSelection = 'ignored' | 'unsatisfiable' | readonly ByteRange[]

// RFC 9110 14.2 and 17.15 let a server refuse many or overlapping ranges: each costs a read, and all of them are repeats.
const MAX_RANGES = 16
const MAX_COPIES = 2

const BYTES_UNIT = /^bytes=/i
const EMPTY_ELEMENT = /^[ \t]*$/
const RANGE_SPEC = /^[ \t]*(\d*)-(\d*)[ \t]*$/

/**
 * Reads the value of a Range header against a content of `size` bytes.
 *
 * Ignored are units other than bytes, any fault of syntax (one bad range-spec spoils the set), more than 16 ranges, and sets
 * that ask for more than twice the content. Unsatisfiable ranges beside satisfiable ones are dropped. Ranges that overlap or
 * touch become one, in the place of the first of them; otherwise the client's order is kept (RFC 9110 15.3.7.2).
 */
export function parseRange(header: string, size: number): RangeSelection {
  // No Content-Range can describe a part of nothing, and the whole of it is what any range of it would give.
  if (size === 0 || !BYTES_UNIT.test(header)) return 'ignored'
  const ranges: ByteRange[] = []
  let specs = 0
  let bytes = 0
  for (const element of header.slice('bytes='.length).split(',')) {
    if (EMPTY_ELEMENT.test(element)) continue
    const range = resolveSpec(element, size)
    if (range === 'invalid' || ++specs > MAX_RANGES) return 'ignored'
    if (range === 'unsatisfiable') continue
    ranges.push(range)
    bytes += range.end - range.start
  }
  if (specs === 0 || bytes > MAX_COPIES * size) return 'ignored'
  return ranges.length === 0 ? 'unsatisfiable' : merge(ranges)
}

/** One range-spec of RFC 9110 14.1.2. Positions of any number of digits are right: only their order and size matter. */
function resolveSpec(text: string, size: number): ByteRange | 'unsatisfiable' | 'invalid' {
  const [, first, last] = RANGE_SPEC.exec(text) ?? []
  if (first === undefined || last === undefined || (first === '' && last === '')) return 'invalid'
  if (first === '') {
    const suffix = Number(last)
    // A suffix longer than the content means all of it (RFC 9110 14.1.2), not 416.
    return suffix === 0 ? 'unsatisfiable' : { start: Math.max(0, size - suffix), end: size }
  }
  if (last !== '' && compareDigits(last, first) < 0) return 'invalid'
  const start = Number(first)
  if (start >= size) return 'unsatisfiable'
  return { start, end: last === '' ? size : Math.min(Number(last) + 1, size) }
}

/** Compares decimal numbers beyond 2^53 too, where different digits become the same Number. */
function compareDigits(a: string, b: string): number {
  const [x, y] = [a.replace(/^0+/, ''), b.replace(/^0+/, '')]
  if (x.length !== y.length) return x.length - y.length
  return x < y ? -1 : Number(x > y)
}

function merge(ranges: readonly ByteRange[]): readonly ByteRange[] {
  if (ranges.length === 1) return ranges
  const byStart = ranges.map(({ start, end }, place) => ({ start, end, place }))
  byStart.sort((a, b) => a.start - b.start)
  const merged: typeof byStart = []
  for (const range of byStart) {
    const previous = merged.at(-1)
    if (previous === undefined || range.start > previous.end) {
      merged.push(range)
      continue
    }
    previous.end = Math.max(previous.end, range.end)
    previous.place = Math.min(previous.place, range.place)
  }
  return merged.sort((a, b) => a.place - b.place).map(({ start, end }) => ({ start, end }))
}
