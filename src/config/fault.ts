// A fault of the configuration, and the nearest known name for one that is not known.

export interface Fault {
  /** The setting as the operator wrote it: a variable, a flag, or a key path with its file and line. */
  readonly where: string
  /** What is wrong with it and what is expected, without a full stop. */
  readonly problem: string
}

/** "expected X, found Y", or that nothing was found. */
export function expectedFound(expected: string, found: unknown): string {
  if (found === undefined || found === null) return `expected ${expected}, found nothing`
  const text = typeof found === 'string' ? `'${found}'` : JSON.stringify(found)
  return `expected ${expected}, found ${text.length > 100 ? `${text.slice(0, 100)}…` : text}`
}

/** "; did you mean X?", or nothing when no known name is near. */
export function didYouMean(written: string, known: readonly string[]): string {
  const ranked = known
    .map(name => ({
      name,
      distance: Math.min(distance(written, name), distance(written, lastPart(name)) + 0.5),
    }))
    .sort((a, b) => a.distance - b.distance)
  const best = ranked[0]
  return best !== undefined && best.distance <= Math.max(1, written.length / 3)
    ? `; did you mean ${best.name}?`
    : ''
}

function lastPart(name: string): string {
  return name.slice(name.lastIndexOf('.') + 1)
}

/** Levenshtein distance, ignoring case. */
function distance(left: string, right: string): number {
  const a = left.toLowerCase()
  const b = right.toLowerCase()
  let row = Array.from({ length: b.length + 1 }, (_, column) => column)
  for (let i = 1; i <= a.length; i++) {
    const next = [i]
    for (let j = 1; j <= b.length; j++)
      next.push(Math.min(row[j]! + 1, next[j - 1]! + 1, row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1)))
    row = next
  }
  return row[b.length]!
}
