// The one gate of all URL surfaces: who may change anything at all, and who may do what to a run.
import type { IncomingHttpHeaders } from 'node:http'
import { AppError } from '../errors.ts'
import type { RunReference } from '../runs/layout.ts'
import { identityOf, type Identity } from './identity.ts'

/** What somebody wants to do, and to what: a run, or the levels above one as far as the URL names them. */
export interface Access {
  readonly action: 'read' | 'change'
  readonly connection: string
  readonly of: Partial<RunReference>
}

/**
 * Resolves where `identity` may have `access`. Unauthenticated where it would have to say who it is, PermissionDenied where it may not; NotFound, as for a run that is not there, where it may not even
 * know.
 */
export type Authorize = (identity: Identity, access: Access, signal: AbortSignal) => Promise<void>

export interface Gate {
  /** Whether changes may come from anybody who can reach the service. */
  readonly isOpenToChanges: boolean
  /** Other sites whose pages may do what their users may. */
  readonly origins: ReadonlySet<string>
  /** Undefined where everybody may read everything. */
  readonly authorize: Authorize | undefined
}

/** Asks for leave, before anything of the run is looked at or said, and before a byte of the body is read. */
export async function admit(
  { authorize }: Gate,
  headers: IncomingHttpHeaders,
  access: Access,
  signal: AbortSignal,
): Promise<void> {
  if (authorize !== undefined) await authorize(identityOf(headers), access, signal)
}

/**
 * Refuses (PermissionDenied) what may not change anything whatever it is about: what a page of somebody else makes a browser send, and, unless the gate is open to all, what comes
 * from nobody knows whom.
 */
export function checkChange(headers: IncomingHttpHeaders, { isOpenToChanges, origins }: Gate): void {
  if (isForeign(headers) && !origins.has(headers.origin ?? ''))
    throw denied(
      'A page of another site may not change anything here. Behind a proxy, have it pass on the Host that browsers ask for.',
    )
  if (!isOpenToChanges)
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
