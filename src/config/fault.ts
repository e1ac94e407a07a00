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
  const text = typeof found === 'string' ? found : JSON.stringify(found)
  const shown = harmless(text)
  if (shown === undefined) return `expected ${expected}, found another value`
  return `expected ${expected}, found ${typeof found === 'string' ? `'${shown}'` : shown}`
}

const MOST_SHOWN = 100

/** `text` for a message, shortened; undefined where it may hold an access key that was put there by mistake. */
export function harmless(text: string): string | undefined {
  if (NAMED_KEY.test(text) || PASSWORD_OF_USER.test(text.replace(SCHEME, '')) || resemblesKey(text))
    return undefined
  return text.length > MOST_SHOWN ? `${text.slice(0, MOST_SHOWN)}…` : text
}

/** The same for a URL, without its user, who may be a key, and its query, which may hold a signature. */
export function harmlessUrl(url: string): string | undefined {
  if (harmless(url) === undefined) return undefined
  const scheme = SCHEME.exec(url)?.[0] ?? ''
  const rest = url.slice(scheme.length)
  return harmless(scheme + rest.replace(/^.*@/s, '…@').replace(/\?.*$/s, '?…'))
}

const SCHEME = /^[a-z][a-z0-9+.-]{0,15}:\/\//i

/** Passwords contain every sign, slashes too, so that no end of the host is looked for. */
const PASSWORD_OF_USER = /:.*@/s

/** Members of connection strings, signed URLs and JSON. */
const NAMED_KEY = /(?:key|sig|signature|password|secret|token|credential)["']?\s*[=:]/i

const ACCESS_KEY_ID = /A[KS]IA[A-Z0-9]{16}/
const ALPHANUMERIC_KEY = /(?=[A-Za-z]*[0-9])(?=[0-9]*[A-Za-z])[A-Za-z0-9]{16,}|[0-9]{24,}/

/**
 * Whether `text` has a long stretch of signs of several classes without order, as keys have. Some names have too: a reason not to show a text, and none to refuse it. Of
 * an absolute path the folders are judged one by one.
 */
function resemblesKey(text: string): boolean {
  const stretches = text.startsWith('/') ? text.split('/') : (text.match(/[A-Za-z0-9+/=_-]{20,}/g) ?? [])
  return stretches.some(
    stretch => ACCESS_KEY_ID.test(stretch) || ALPHANUMERIC_KEY.test(stretch) || isDisordered(stretch),
  )
}

/**
 * Random signs change from small to capital letters with every second sign. So little is asked for here that a long name of many capitalised words is not shown either, and that
 * of a million random texts none is.
 */
function isDisordered(stretch: string): boolean {
  if (stretch.length < 20 || !/[a-z]/.test(stretch) || !/[A-Z]/.test(stretch)) return false
  const changes = stretch.match(/[a-z](?![a-z])|[A-Z](?![A-Z])|[0-9](?![0-9])/g)?.length ?? 0
  return /[0-9]/.test(stretch) || changes >= stretch.length * 0.25
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
