// URLs by which a client fetches one object itself for a while: V4 signatures of the XML API, https://cloud.google.com/storage/docs/authentication/canonical-requests
import { createHash } from 'node:crypto'
import type { GoogleAuth } from 'google-auth-library'
import type { SignRequest } from './object-client.ts'

export interface SignedObject {
  readonly bucket: string
  readonly key: string
  /** Where clients ask for it. */
  readonly origin: URL
  /** The project that pays. */
  readonly userProject: string | undefined
}

const ALGORITHM = 'GOOG4-RSA-SHA256'
/** https://cloud.google.com/storage/docs/access-control/signed-urls: V4 signatures hold for a week. */
const MAX_SECONDS = 7 * 24 * 3600

/**
 * The SDK signs for the host without its port, but a client sends the port with it (RFC 9110 7.2), so that its signatures hold at default ports only. Rejects with what
 * `auth` rejects with: where no key is at hand, it asks the account's own service to sign.
 */
export async function signedObjectUrl(
  auth: GoogleAuth,
  { bucket, key, origin, userProject }: SignedObject,
  request: SignRequest,
): Promise<string> {
  const { client_email: account } = await auth.getCredentials()
  if (account === undefined) throw new Error('no account to sign as')
  const time = new Date().toISOString().replace(/[-:]|\.\d+/g, '')
  const scope = `${time.slice(0, 8)}/auto/storage/goog4_request`
  const path = `/${[bucket, ...key.split('/')].map(encoded).join('/')}`
  const query = canonicalQuery({
    'X-Goog-Algorithm': ALGORITHM,
    'X-Goog-Credential': `${account}/${scope}`,
    'X-Goog-Date': time,
    'X-Goog-Expires': String(Math.min(request.expiresInSeconds, MAX_SECONDS)),
    'X-Goog-SignedHeaders': 'host',
    'response-content-disposition': request.disposition,
    'response-content-type': request.mediaType,
    userProject,
  })
  const canonical = ['GET', path, query, `host:${origin.host}`, '', 'host', 'UNSIGNED-PAYLOAD'].join('\n')
  const hash = createHash('sha256').update(canonical).digest('hex')
  const signature = Buffer.from(await auth.sign([ALGORITHM, time, scope, hash].join('\n')), 'base64')
  return `${origin.origin}${path}?${query}&X-Goog-Signature=${signature.toString('hex')}`
}

function canonicalQuery(parameters: Readonly<Record<string, string | undefined>>): string {
  return Object.entries(parameters)
    .flatMap(([name, value]) => (value === undefined ? [] : [`${encoded(name)}=${encoded(value)}`]))
    .sort()
    .join('&')
}

/** All but the unreserved characters of RFC 3986 2.3. */
function encoded(text: string): string {
  return encodeURIComponent(text).replace(
    /[!'()*]/g,
    character => `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
  )
}
