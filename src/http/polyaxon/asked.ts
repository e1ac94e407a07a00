// One request to one of Polyaxon's own URLs, as far as every resource below them needs it.
import type { Request, Response } from 'express'
import { isAppError } from '../../errors.ts'
import type { RunReference } from '../../runs/layout.ts'
import type { Run, Runs } from '../../runs/runs.ts'
import { ROOT } from '../../store/path.ts'
import { admitted } from '../admission.ts'
import { checkOrigin, type Action } from '../gate.ts'
import { describe, transferSignal } from '../exchange.ts'
import { methodRefused } from '../methods.ts'
import { resolveRun, type Asked, type OutputsDependencies } from '../routes/outputs.ts'
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

/** By method; the others read. An upload may replace what is there. */
const ACTIONS: Readonly<Record<string, Action>> = { POST: 'write', DELETE: 'delete' }

/** Lets a request in through the gate of all. Fails with Unsupported for another method, NotFound for a connection that does not exist, and as the gate. */
export async function ask(
  dependencies: OutputsDependencies,
  { request, response, url, reference, methods }: Question,
): Promise<PolyaxonAsked> {
  const { method } = request
  const allowed = methods.flatMap(each => (each === 'GET' ? ['GET', 'HEAD'] : [each]))
  if (!allowed.includes(method)) throw methodRefused(method, response, allowed)
  const action = ACTIONS[method] ?? 'read'
  if (action !== 'read') checkOrigin(request, dependencies.gate)
  const mark = url.indexOf('?')
  const parameters = new Parameters(mark < 0 ? '' : url.slice(mark + 1))
  const named = parameters.text('connection')
  const signal = transferSignal(response)
  // Of several runs each is asked for; until then anything that may be read lets the request in.
  const of = reference.id === '' ? {} : reference
  const wanted = { actions: [action], connection: named || undefined, of }
  const { connection, runs, isHidden } = await admitted(dependencies, request, wanted, signal)
  describe(response, { connection })
  return {
    request,
    response,
    method,
    query: {},
    connection,
    signal,
    dependencies:
      isHidden && dependencies.logs ? { ...dependencies, logs: dependencies.logs.absent } : dependencies,
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
  const { request, response, reference, signal, dependencies } = asked
  if (named === undefined || named === asked.connection) return asked
  const wanted = { actions: ['write'], connection: named, of: reference } as const
  const { connection, runs } = await admitted(dependencies, request, wanted, signal)
  describe(response, { connection })
  return { ...asked, connection, runs }
}

/** One of the several runs that a request is about. Fails as the gate does, before it with InvalidPath for what no run can be called. */
export async function askOfRun(asked: PolyaxonAsked, id: string): Promise<PolyaxonAsked> {
  const { request, connection, signal, dependencies } = asked
  const reference = { ...asked.reference, id: parseName(id) }
  const { runs } = await admitted(
    dependencies,
    request,
    { actions: ['read'], connection, of: reference },
    signal,
  )
  return { ...asked, runs, reference }
}
