// Text of others in the log, without what opens a door: keys, signatures, tokens and passwords, wherever in it they stand.
import { METHODS, resolve, type Description, type Parameter } from './description.ts'

/** What a parameter that holds a secret is called, alone or as a part of its name. */
const SECRET_NAME = /sig|token|secret|passw|auth|cred|jwt|key|session|code/i

/** What is shown of a resumable upload's id: whoever has all of it can go on with the upload. */
const UPLOAD_ID = /(\/uploads\/[0-9a-f]{8}-[0-9a-f]{8})[0-9a-f]{24}/gi

/** Signed URLs and SAS tokens have their secret in the query, proxies in the user information. */
const URL_QUERY = /(\bhttps?:\/\/[^\s'"?#]*)\?[^\s'"]*/gi
const URL_USER = /(\bhttps?:\/\/)[^\s'"/?#@]*@/gi
/** JSON Web Tokens, wherever they stand: the first part begins with `{"`. */
const WEB_TOKEN = /\beyJ[\w-]{6,}\.[\w-]+(?:\.[\w-]*)*/g
/** Authorization as a header has it. A word without any digit after it is more likely to be a word. */
const CREDENTIALS = /\b(bearer|basic|token)((?:\s|%20|\+)+)(?=[\w.~+/=%-]*\d)[\w.~+/=%-]{6,}/gi
const NAMED =
  /\b([\w-]*(?:signature|sig|token|secret|password|passwd|credential|api[_-]?key)[\w-]*(?:=|%3D))[^\s&;/'"]+/gi
/** Nothing of the kind is in a text without any of these. */
const SUSPICIOUS = /eyJ|https?:|bearer|basic|token|sig|secret|passw|credential|key|\/uploads\//i

export function withoutSecrets(text: string): string {
  if (!SUSPICIOUS.test(text)) return text
  return text
    .replace(URL_QUERY, '$1?***')
    .replace(URL_USER, '$1***@')
    .replace(WEB_TOKEN, '***')
    .replace(CREDENTIALS, '$1$2***')
    .replace(NAMED, '$1***')
    .replace(UPLOAD_ID, '$1***')
}

/** Gives a URL of a request, path and query, as it may be logged: of the query only parameters that the API knows and that hold no secret. */
export type UrlForLog = (url: string) => string

export function urlForLog(description: Description): UrlForLog {
  const shown = shownParameters(description)
  return url => {
    const mark = url.indexOf('?')
    if (mark < 0) return withoutSecrets(url)
    const pairs = url.slice(mark + 1).split('&')
    return `${withoutSecrets(url.slice(0, mark))}?${pairs.map(pair => pairForLog(pair, shown)).join('&')}`
  }
}

function pairForLog(pair: string, shown: ReadonlySet<string>): string {
  const [name = ''] = pair.split('=', 1)
  if (shown.has(name)) return withoutSecrets(pair)
  // Without a value, the name may be what nobody should see.
  return pair === '' ? '' : '***'
}

function shownParameters(description: Description): ReadonlySet<string> {
  const names = new Set<string>()
  for (const path of Object.values(description.paths))
    for (const method of METHODS)
      for (const node of [...(path.parameters ?? []), ...(path[method]?.parameters ?? [])]) {
        const parameter = resolve<Parameter>(description, node)
        if (parameter.in === 'query' && !SECRET_NAME.test(parameter.name)) names.add(parameter.name)
      }
  return names
}
