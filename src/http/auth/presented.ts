// The secret that a request shows, in whichever of the usual ways.
import type { Identity } from '../identity.ts'

/**
 * Its bytes, a character each, as Node reads header fields. What follows Bearer or Token; of Basic (RFC 7617) the password, or the user's name where there is none, as programs have it that know nothing else; the dashboards' cookie. Undefined
 * for what only Polyaxon's own services can know, and for none.
 */
export function presentedToken({ scheme, credentials }: Identity): string | undefined {
  switch (scheme) {
    case 'bearer':
    case 'token':
    case 'session':
      return credentials
    case 'basic': {
      const [user = '', ...password] = Buffer.from(credentials, 'base64').toString('latin1').split(':')
      return password.join(':') || user || undefined
    }
    default:
      return undefined
  }
}
