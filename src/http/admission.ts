// Where a request that may come in finds the runs that it is about.
import type { IncomingMessage } from 'node:http'
import { AppError } from '../errors.ts'
import type { RunReference } from '../runs/layout.ts'
import { isRunReference, noSuchRun, type Runs } from '../runs/runs.ts'
import { admit, callerOf, type Access, type Action, type Gate } from './gate.ts'

export interface Guarded {
  /** The runs of each connection by name; the first one is the default. */
  readonly connections: ReadonlyMap<string, Runs>
  readonly gate: Gate
}

export interface Wanted {
  /** All of them at once. */
  readonly actions: readonly Action[]
  /** As the request says it. */
  readonly connection: string | undefined
  readonly of: Partial<RunReference>
}

export interface Admitted {
  readonly connection: string
  /** To a caller who may not know of what was asked for, runs of which there are none. */
  readonly runs: Runs
  readonly isHidden: boolean
}

/**
 * Lets a request in, or not: fails as the gate does, and with NotFound for a connection that does not exist, or of which the caller may not know. A change of what is hidden fails as if
 * it were not there; reads find nothing, by the same way on which they would find nothing of a run that is not there.
 */
export async function admitted(
  guarded: Guarded,
  request: IncomingMessage,
  { actions, connection: named, of }: Wanted,
  signal: AbortSignal,
): Promise<Admitted> {
  const { connections, gate } = guarded
  const connection = named ?? connections.keys().next().value!
  let isHidden = false
  for (const action of actions)
    isHidden = (await admit(gate, request, { action, connection, of }, signal)) === 'hidden' || isHidden
  const runs = connections.get(connection)
  if (
    runs === undefined ||
    (isHidden && named !== undefined && !(await mayKnowOf(guarded, request, named, signal)))
  )
    throw noSuchConnection(connection)
  if (!isHidden) return { connection, runs, isHidden }
  if (isRunReference(of) && actions.some(action => action !== 'read')) throw noSuchRun(of)
  return { connection, runs: runs.absent, isHidden }
}

/** Whether the caller may read anything at all in `connection`. */
async function mayKnowOf(
  { gate }: Guarded,
  request: IncomingMessage,
  connection: string,
  signal: AbortSignal,
): Promise<boolean> {
  const caller = await callerOf(gate, request, signal)
  const access: Access = { action: 'read', connection, of: {} }
  return (await caller.judge(access, signal)) !== 'hidden'
}

export function noSuchConnection(name: string): AppError {
  return new AppError('NotFound', `There is no connection '${name}'; leave it out for the default one.`, {
    op: 'resolve',
  })
}
