// URLs that are good without credentials: what of one is signed, and where the signature stands in it.
import { createHmac, timingSafeEqual } from 'node:crypto'

export interface SigningKey {
  readonly id: string
  readonly secret: Buffer
}

/** All that a signature is about: nothing of it can be another one. */
export interface Signed {
  /** That of the request; HEAD counts as GET. */
  readonly method: string
  /** Below the base path, as it is sent. */
  readonly path: string
  /** As it is sent, without the signature. */
  readonly query: string
  /** Seconds since 1970, as digits. */
  readonly expires: string
}

/** What a URL has that a key of this id has signed, or is said to have. */
export interface SignedUrl extends Signed {
  readonly keyId: string
  readonly mac: string
}

export const SIGNATURE = 'signature'

/** The last parameter, once, in this spelling alone; each of its parts has one form only. */
const AT_THE_END = /^(?:(.+)&)?signature=v1\.([A-Za-z0-9_-]{1,32})\.([1-9]\d{0,11})\.([A-Za-z0-9_-]{43})$/s

/** Whether `url` has a parameter that is called so, in whatever spelling: then it is by that, or not at all. */
export function hasSignature(url: string): boolean {
  const mark = url.indexOf('?')
  return (
    mark >= 0 &&
    url
      .slice(mark + 1)
      .split('&')
      .some(isSignature)
  )
}

function isSignature(pair: string): boolean {
  const [name = ''] = pair.split('=', 1)
  try {
    return name === SIGNATURE || (name.includes('%') && decodeURIComponent(name) === SIGNATURE)
  } catch {
    return false
  }
}

/** `url` is below the base path. Undefined for what nobody has signed. */
export function signedUrlOf(method: string, url: string): SignedUrl | undefined {
  const mark = url.indexOf('?')
  const [, query = '', keyId, expires, mac] = AT_THE_END.exec(url.slice(mark + 1)) ?? []
  if (mark < 0 || keyId === undefined || expires === undefined || mac === undefined) return undefined
  if (hasSignature(`?${query}`)) return undefined
  return { method: method === 'HEAD' ? 'GET' : method, path: url.slice(0, mark), query, expires, keyId, mac }
}

/** Whether anybody would have signed it: a file, or a folder as an archive, in the one form that they have. */
export function isLinkable({ path, query }: Signed): boolean {
  return path.startsWith('/outputs/') && path.endsWith('/') === /(?:^|&)(?:archive|unpack)=/.test(query)
}

/** Whether `key`, which must be the one that is named, has signed it. */
export function isSignedBy(key: SigningKey, url: SignedUrl): boolean {
  return timingSafeEqual(Buffer.from(macOf(key, url)), Buffer.from(url.mac))
}

/** The URL, with its signature. */
export function signUrl(key: SigningKey, signed: Signed): string {
  const { path, query, expires } = signed
  return `${path}?${query === '' ? '' : `${query}&`}${SIGNATURE}=v1.${key.id}.${expires}.${macOf(key, signed)}`
}

/** JSON says where each part begins and ends, so no two have the same text; and nothing else that is signed with a key here is a list that begins so. */
function macOf({ id, secret }: SigningKey, { method, path, query, expires }: Signed): string {
  const text = JSON.stringify(['polyaxon-outputs link v1', id, expires, method, path, query])
  return createHmac('sha256', secret).update(text).digest('base64url')
}
