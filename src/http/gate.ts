// The one gate of all URL surfaces: who asks, and what that caller may do to a run.
import type { IncomingMessage } from 'node:http'
import type { Right } from '../config/grant.ts'
import { AppError } from '../errors.ts'
import type { RunReference } from '../runs/layout.ts'
import { nameCaller } from './caller.ts'
import { peerOf, type Peer } from './peer.ts'

export type Action = Right

/** What somebody wants to do, and to what: a run, or the levels above one as far as the URL names them. */
export interface Access {
  readonly action: Action
  /** As the request names it, or the default one; it need not exist. */
  readonly connection: string
  readonly of: Partial<RunReference>
}

/** `forbidden` is for those who may know of it; to others it is `hidden`, and looks exactly like what is not there. */
export type Verdict = 'allowed' | 'forbidden' | 'hidden'

/** Somebody who was recognised. */
export interface Caller {
  /** For the log and for limits; never a secret. */
  readonly name: string
  /** Whether nothing is hidden from this caller, so that lists need no look at each entry. */
  readonly seesAll: boolean
  /** Whether this caller may read the metrics of the service, which are of no run; not so where nothing is said. */
  readonly seesMetrics?: boolean
  /** The levels above a run are allowed to whoever may know of anything below them. Rejects, as Unavailable, where it cannot be known. */
  judge(access: Access, signal: AbortSignal): Promise<Verdict>
}

/** The name of everybody who says nothing. */
export const ANONYMOUS = 'anonymous'

export interface Authority {
  /** Whether somebody who says nothing of themselves is let in, be it only to read. */
  readonly isOpen?: boolean
  /** Who sends `request`. Rejects with Unauthenticated where that has to be said and is not, or is not true; with Unavailable where it cannot be known. */
  recognise(request: IncomingMessage, signal: AbortSignal): Promise<Caller>
  /** After the last request. */
  close?(): void
}

export interface Gate {
  /** Other sites whose pages may do what their users may. */
  readonly origins: ReadonlySet<string>
  readonly authority: Authority
}

const recognised = new WeakMap<IncomingMessage, Promise<Caller>>()

/** Who sends `request`, asked once for each. Fails as the authority does. */
export function callerOf(
  { authority }: Gate,
  request: IncomingMessage,
  signal: AbortSignal,
): Promise<Caller> {
  const known = recognised.get(request)
  if (known !== undefined) return known
  const caller = authority.recognise(request, signal)
  recognised.set(request, caller)
  caller.then(
    ({ name }) => name !== ANONYMOUS && nameCaller(request, name),
    () => undefined,
  )
  return caller
}

/**
 * Asks for leave, before anything of the run is looked at or said, and before a byte of the body is read. Fails with PermissionDenied for what is forbidden; the caller is to answer
 * for what is `hidden` as for what is not there.
 */
export async function admit(
  gate: Gate,
  request: IncomingMessage,
  access: Access,
  signal: AbortSignal,
): Promise<'allowed' | 'hidden'> {
  const caller = await callerOf(gate, request, signal)
  const verdict = await caller.judge(access, signal)
  if (verdict === 'forbidden')
    throw denied(`These credentials do not give the right to ${access.action} here. Ask for one that does.`)
  return verdict
}

/** Refuses (PermissionDenied) a change, whatever it is about, that a page of somebody else makes a browser send. */
export function checkOrigin(request: IncomingMessage, { origins }: Gate): void {
  if (isForeign(request) && !origins.has(request.headers.origin ?? ''))
    throw denied(
      'A page of another site may not change anything here. Behind a proxy, have it pass on the Host that browsers ask for.',
    )
}

/**
 * Browsers say where a request comes from, and no page can keep them from it or say something else; programs say nothing. A site on another port of the same host is another one.
 */
function isForeign(request: IncomingMessage): boolean {
  const { 'sec-fetch-site': site, origin } = request.headers
  if (site === 'cross-site' || site === 'same-site') return true
  return origin !== undefined && !isOwn(origin, peerOf(request))
}

/** Whether `origin` is the host that was asked, each with the port that its scheme implies, and by that scheme where it is known. `null` is nobody's, and so are files and extensions. */
function isOwn(origin: string, { host, protocol }: Peer): boolean {
  const from = URL.parse(origin)
  if (from === null || host === undefined) return false
  if (from.protocol !== 'http:' && from.protocol !== 'https:') return false
  if (protocol !== undefined && from.protocol !== `${protocol}:`) return false
  return URL.parse(`${from.protocol}//${host}`)?.host === from.host
}

function denied(message: string): AppError {
  return new AppError('PermissionDenied', message, { op: 'admit' })
}
