// Who sends a request, as far as it says so. Nothing is believed here: that is for whoever authorises.
import type { IncomingHttpHeaders } from 'node:http'

export interface Identity {
  /**
   * How it is said: `token` and `ephemeral` (a user's, and a run's own), `internal` (one of Polyaxon's services), `bearer` and `basic`, `session` (the cookie of the 0.x dashboard, whose
   * download links carry nothing else), or not at all.
   */
  readonly scheme: 'token' | 'ephemeral' | 'internal' | 'bearer' | 'basic' | 'session' | 'none'
  /** What proves it, as it was sent. */
  readonly credentials: string
  /** What kind of client it calls itself: the dashboard (`ui`), a version of the CLI, or the name of an internal service. */
  readonly service: string | undefined
}

/** The words of all generations, in lower case: clients write `Token`, dashboards `token`. */
const SCHEMES: ReadonlyMap<string, Identity['scheme']> = new Map([
  ['token', 'token'],
  ['ephemeraltoken', 'ephemeral'],
  ['internaltoken', 'internal'],
  ['bearer', 'bearer'],
  ['basic', 'basic'],
])

/** Fields that name the kind of client. */
const SERVICE_FIELDS = ['x-polyaxon-service', 'x-polyaxon-internal'] as const

export function identityOf(headers: IncomingHttpHeaders): Identity {
  const service = SERVICE_FIELDS.map(name => headers[name]).find(value => typeof value === 'string')
  const said = { service: typeof service === 'string' ? service : undefined }
  const [, word = '', credentials = ''] = /^(\S+)[ \t]+(\S.*)$/.exec(headers.authorization ?? '') ?? []
  const scheme = SCHEMES.get(word.toLowerCase())
  if (scheme !== undefined) return { scheme, credentials, ...said }
  // A header that is there and means nothing must not fall back to a cookie that the browser adds by itself.
  const session = headers.authorization === undefined ? cookie(headers.cookie, 'sessionid') : undefined
  return session === undefined
    ? { scheme: 'none', credentials: '', ...said }
    : { scheme: 'session', credentials: session, ...said }
}

/** RFC 6265 4.2.1: pairs between semicolons. */
function cookie(header: string | undefined, name: string): string | undefined {
  const pair = header?.split(';').find(each => each.trimStart().startsWith(`${name}=`))
  return pair?.slice(pair.indexOf('=') + 1).trim()
}
