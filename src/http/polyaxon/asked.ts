// One request to one of Polyaxon's own URLs, as far as every resource below them needs it.
import type { Request, Response } from 'express'
import { isAppError } from '../../errors.ts'
import type { RunReference } from '../../runs/layout.ts'
import type { Run, Runs } from '../../runs/runs.ts'
import { ROOT } from '../../store/path.ts'
import { admit, checkChange } from '../gate.ts'
import { transferSignal } from '../exchange.ts'
import { methodRefused } from '../methods.ts'
import { connectionOf, resolveRun, type Asked, type OutputsDependencies } from '../routes/outputs.ts'
import { parseName } from '../target.ts'
import { Parameters } from './parameters.ts'

/** What the routes of `/outputs` take, in whose words the request is then said: its `query` is theirs, not the client's. */
export interface PolyaxonAsked extends Asked {
  readonly parameters: Parameters
  readonly runs: Runs
  readonly reference: RunReference
}

/** The run that the URL names. With `makes`, one that is not there yet is where its first artifact will be. */
export function runOf(asked: PolyaxonAsked, makes = false): Promise<Run> {
  const { runs, reference, signal } = asked
  return resolveRun(runs, { reference, path: ROOT }, makes, signal)
}

/** What `answer` makes of the run that the URL names. One that turns out not to be where it was is looked for again by the next request. */
export async function atRun(asked: PolyaxonAsked, answer: (run: Run) => Promise<void>): Promise<void> {
  try {
    await answer(await runOf(asked))
  } catch (error) {
    if (isAppError(error, 'NotFound')) asked.runs.forget(asked.reference)
    throw error
  }
}

/** What a URL of Polyaxon's is about, before anything is looked at. */
export interface Question {
  readonly request: Request
  readonly response: Response
  /** With its query. */
  readonly url: string
  /** The id is '' where the URL is about several runs, for each of which `askOfRun` is to be called. */
  readonly reference: RunReference
  /** Those of the resource; HEAD goes with GET. */
  readonly methods: readonly string[]
}

/** Lets a request in through the gate of all. Fails with Unsupported for another method, NotFound for a connection that does not exist, and as the gate. */
export async function ask(
  dependencies: OutputsDependencies,
  { request, response, url, reference, methods }: Question,
): Promise<PolyaxonAsked> {
  const { method, headers } = request
  const allowed = methods.flatMap(each => (each === 'GET' ? ['GET', 'HEAD'] : [each]))
  if (!allowed.includes(method)) throw methodRefused(method, response, allowed)
  const { gate } = dependencies
  const action = method === 'GET' || method === 'HEAD' ? 'read' : 'change'
  if (action === 'change') checkChange(headers, gate)
  const mark = url.indexOf('?')
  const parameters = new Parameters(mark < 0 ? '' : url.slice(mark + 1))
  const named = parameters.text('connection')
  const [connection, runs] = connectionOf(dependencies, named ? { connection: named } : {})
  const signal = transferSignal(response)
  if (reference.id !== '') await admit(gate, headers, { action, connection, of: reference }, signal)
  return {
    request,
    response,
    method,
    query: {},
    connection,
    signal,
    dependencies,
    parameters,
    runs,
    reference,
  }
}

/** The same of the run in the connection `named`, which only the body of the request names. Fails with NotFound where it does not exist, and as the gate does. */
export async function askOfConnection(
  asked: PolyaxonAsked,
  named: string | undefined,
): Promise<PolyaxonAsked> {
  const { request, reference, signal, dependencies } = asked
  if (named === undefined || named === asked.connection) return asked
  const [connection, runs] = connectionOf(dependencies, { connection: named })
  const access = { action: 'change', connection, of: reference } as const
  await admit(dependencies.gate, request.headers, access, signal)
  return { ...asked, connection, runs }
}

/** One of the several runs that a request is about. Fails as the gate does, before it with InvalidPath for what no run can be called. */
export async function askOfRun(asked: PolyaxonAsked, id: string): Promise<PolyaxonAsked> {
  const { request, connection, signal, dependencies } = asked
  const reference = { ...asked.reference, id: parseName(id) }
  await admit(dependencies.gate, request.headers, { action: 'read', connection, of: reference }, signal)
  return { ...asked, reference }
}
