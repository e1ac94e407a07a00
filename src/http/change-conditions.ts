// The preconditions of a change (RFC 9110 13): decided by what is there now, and handed to the store for the moment in which the change takes effect.
import type { IncomingHttpHeaders } from 'node:http'
import { AppError, isAppError } from '../errors.ts'
import type { ArtifactPath } from '../store/path.ts'
import type { ArtifactStore, Entry, Precondition } from '../store/store.ts'
import { ifMatch, ifNoneMatch, ifUnmodifiedSince, validatorsOf } from './conditions.ts'
import type { Condition } from './conditions.ts'
import { parseEntityTagList } from './entity-tag.ts'

export interface ChangeConditions {
  /** Whether a file is there now. */
  readonly exists: boolean
  /** What the store has to hold the change to; undefined where the client set no condition. */
  readonly precondition: Precondition | undefined
}

/** Whether a request has any condition that matters to a change. */
export function hasConditions(headers: IncomingHttpHeaders): boolean {
  return ['if-match', 'if-none-match', 'if-unmodified-since'].some(name => headers[name] !== undefined)
}

/** Looks what is at `path`, and fails with Changed where the request's conditions do not allow that. */
export async function checkConditions(
  store: ArtifactStore,
  path: ArtifactPath,
  headers: IncomingHttpHeaders,
  signal: AbortSignal,
): Promise<ChangeConditions> {
  const { exists, precondition } = await conditionsAt(store, path, headers, signal)
  if (precondition === 'failed') throw conditionFailed(path)
  return { exists, precondition }
}

/** The same where the caller decides what a failed condition means. */
export async function conditionsAt(
  store: ArtifactStore,
  path: ArtifactPath,
  headers: IncomingHttpHeaders,
  signal: AbortSignal,
): Promise<{ readonly exists: boolean; readonly precondition: Precondition | 'failed' | undefined }> {
  const current = await fileAt(store, path, signal)
  return { exists: current !== undefined, precondition: preconditionOf(headers, current, Date.now()) }
}

/** A folder has no tag and no content of its own, so a condition that asks for one fails. */
export function checkOnFolder(headers: IncomingHttpHeaders, path: ArtifactPath): void {
  if (preconditionOf(headers, undefined, Date.now()) === 'failed') throw conditionFailed(path)
}

export function conditionFailed(path: ArtifactPath): AppError {
  return new AppError('Changed', 'A precondition failed: what is there now is not what the request says.', {
    op: 'stat',
    path,
  })
}

/** Undefined where nothing is, or a folder. */
async function fileAt(
  store: ArtifactStore,
  path: ArtifactPath,
  signal: AbortSignal,
): Promise<Entry | undefined> {
  try {
    const entry = await store.stat(path, { signal })
    return entry.type === 'file' ? entry : undefined
  } catch (error) {
    if (isAppError(error, 'NotFound')) return undefined
    throw error
  }
}

type Current = Pick<Entry, 'etag' | 'lastModifiedMs'>

/**
 * What must still be true when the change takes effect; `failed` where it is not true now. `current` is what is there, if anything.
 *
 * `If-Match` and `If-None-Match: *` say what they ask for at any moment. Anything else is decided now, and holds as long as nothing changes: another change in between is then reported
 * although the condition might still hold, and the client has to look again.
 */
export function preconditionOf(
  headers: IncomingHttpHeaders,
  current: Current | undefined,
  nowMs: number,
): Precondition | 'failed' | undefined {
  const guards = current === undefined ? guardsOfNothing(headers) : guardsOf(headers, current, nowMs)
  if (guards.includes('false')) return 'failed'
  if (!guards.includes('true')) return undefined
  const { 'if-match': match, 'if-none-match': noneMatch } = headers
  if (match === undefined && noneMatch === '*') return { type: 'absent' }
  if (match === '*' && noneMatch === undefined) return { type: 'present' }
  if (match !== undefined && noneMatch === undefined) return { type: 'etag', etags: strongTags(match) }
  return current === undefined ? { type: 'absent' } : { type: 'etag', etags: [current.etag] }
}

function guardsOf(headers: IncomingHttpHeaders, current: Current, nowMs: number): Condition[] {
  const validators = validatorsOf(current, nowMs)
  const match = headers['if-match']
  return [
    match === undefined
      ? ifUnmodifiedSince(headers['if-unmodified-since'], validators, nowMs)
      : ifMatch(match, validators),
    ifNoneMatch(headers['if-none-match'], validators, false),
  ]
}

/** Nothing has no date and matches nothing. A list that cannot be read is no guard to rely on, here neither. */
function guardsOfNothing({
  'if-match': match,
  'if-none-match': noneMatch,
}: IncomingHttpHeaders): Condition[] {
  const isReadable = noneMatch === undefined || parseEntityTagList(noneMatch) !== undefined
  return [
    match === undefined ? 'absent' : 'false',
    noneMatch === undefined ? 'absent' : isReadable ? 'true' : 'false',
  ]
}

/** The tags that can match anything (RFC 9110 13.1.1). */
function strongTags(header: string): string[] {
  const listed = parseEntityTagList(header)
  return listed === undefined || listed === '*'
    ? []
    : listed.filter(({ weak }) => !weak).map(({ opaque }) => opaque)
}
