// What a claim of a web token gives the right to: words such as `outputs:read:ann/mnist`, for texts are what every issuer can put into a token.
import {
  EVERYTHING,
  kindPattern,
  namePattern,
  RIGHTS,
  type Grant,
  type Right,
  type Scope,
} from '../../config/grant.ts'

export interface Granted {
  readonly grants: readonly Grant[]
  readonly seesMetrics: boolean
  /** Words that are for this service and say nothing that it understands. */
  readonly unread: readonly string[]
}

/** Tells the words for this service from those for others. */
const PREFIX = 'outputs:'
const METRICS = 'outputs:metrics'

/** `claim` is a list of words, or a text with spaces between them (RFC 6749 3.3); anything else gives nothing. Words for other services are left alone. */
export function grantedBy(claim: unknown): Granted {
  const listed: readonly unknown[] =
    typeof claim === 'string' ? claim.split(' ') : Array.isArray(claim) ? claim : []
  const words = listed.filter(word => typeof word === 'string').filter(word => word.startsWith(PREFIX))
  const grants: Grant[] = []
  const unread: string[] = []
  for (const word of words) {
    const grant = grantOf(word)
    if (grant !== undefined) grants.push(grant)
    else if (word !== METRICS) unread.push(word)
  }
  return { grants, seesMetrics: words.includes(METRICS), unread }
}

/** `outputs:RIGHT:OWNER[/PROJECT[/KIND[/RUN]]][?connection=NAME]`, names encoded as in a URL. A part that is not understood must not widen the rest, so the word is then none. */
function grantOf(word: string): Grant | undefined {
  const [, right, path, , connection = '*'] =
    /^outputs:([a-z]+):([^?]+)(\?connection=([^&?]+))?$/.exec(word) ?? []
  const names = path?.split('/').map(decoded) ?? []
  const [owner, project = '*', kind = '*', run = '*', ...others] = names
  if (!isRight(right) || owner === undefined || others.length > 0) return undefined
  const scope = {
    connection: namePattern.parse(decoded(connection)),
    owner: namePattern.parse(owner),
    project: namePattern.parse(project),
    kind: kindPattern.parse(kind),
    run: namePattern.parse(run),
  }
  return isWhole(scope) ? { rights: [right], scopes: [scope] } : undefined
}

function isRight(text: string | undefined): text is Right {
  return (RIGHTS as readonly (string | undefined)[]).includes(text)
}

function isWhole(scope: { [Field in keyof Scope]: Scope[Field] | undefined }): scope is Scope {
  return Object.keys(EVERYTHING).every(field => scope[field as keyof Scope] !== undefined)
}

/** '' for what is not encoded as in a URL: no name. */
function decoded(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return ''
  }
}
