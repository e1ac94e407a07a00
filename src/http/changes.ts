// What every request that would change something has to pass, before anything else is looked at and before a byte of its body is read.
import type { IncomingHttpHeaders } from 'node:http'
import { AppError } from '../errors.ts'
import type { Query } from './validate.ts'

/** Whether a request changes something. A POST that asks for an archive, and nothing else, reads. */
export function isChange(method: string, query: Query): boolean {
  const reads = query.archive !== undefined && query.delete !== true
  return method === 'PUT' || method === 'DELETE' || (method === 'POST' && !reads)
}

/**
 * Refuses (PermissionDenied) what may not change anything whatever it is about: what a page of somebody else makes a browser send, and, unless they are `open` to all, what comes
 * from nobody knows whom.
 */
export function checkChange(headers: IncomingHttpHeaders, isOpen: boolean): void {
  if (isForeign(headers))
    throw denied(
      'A page of another site may not change anything here. Behind a proxy, have it pass on the Host that browsers ask for.',
    )
  if (!isOpen)
    throw denied(
      'Changes are switched off: whoever can reach this address could make them. An operator can allow that by server.allowUnauthenticatedChanges.',
    )
}

/**
 * Browsers say where a request comes from, and no page can keep them from it or say something else; programs say nothing. A site on another port of the same host is another one.
 */
function isForeign({ 'sec-fetch-site': site, origin, host }: IncomingHttpHeaders): boolean {
  if (site === 'cross-site' || site === 'same-site') return true
  return origin !== undefined && !isOwn(origin, host)
}

/** Whether `origin` is the host that was asked, each with the port that its scheme implies. `null` is nobody's. */
function isOwn(origin: string, host: string | undefined): boolean {
  const from = URL.parse(origin)
  return from !== null && host !== undefined && URL.parse(`${from.protocol}//${host}`)?.host === from.host
}

function denied(message: string): AppError {
  return new AppError('PermissionDenied', message, { op: 'admit' })
}

/**
 * The failure of a change as its client is to see it. A folder that is in the way, or a file where a folder would have to be, is a conflict with what is there, and not a wrong
 * request, as it is where one reads.
 */
export function asConflict(error: unknown): unknown {
  if (!(error instanceof AppError) || (error.kind !== 'IsDirectory' && error.kind !== 'NotDirectory'))
    return error
  const { message, op, path, cause } = error
  return new AppError('AlreadyExists', message, {
    ...(op !== undefined && { op }),
    ...(path !== undefined && { path }),
    cause,
  })
}
