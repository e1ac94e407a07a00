// Requests below /outputs: finds out what the URL names and hands over to the route for it.
import type { Request, RequestHandler, Response } from 'express'
import type { Config } from '../../config/config.ts'
import type { Archives } from '../../content/archive.ts'
import type { Digests } from '../../content/digest.ts'
import type { Notebooks } from '../../content/notebook.ts'
import { isAppError } from '../../errors.ts'
import { listLevel } from '../../runs/levels.ts'
import type { RunLogs } from '../../runs/run-logs.ts'
import type { Run, Runs } from '../../runs/runs.ts'
import { renamed } from '../../store/failure.ts'
import { joinPath, nameOf, parsePath, ROOT } from '../../store/path.ts'
import { describe, transferSignal } from '../exchange.ts'
import type { Limits } from '../limits.ts'
import { methodRefused } from '../methods.ts'
import { admitted, type Guarded } from '../admission.ts'
import { actionsOf, isChange } from '../changes.ts'
import { callerOf, checkOrigin } from '../gate.ts'
import { isForm } from '../form-upload.ts'
import { hasSignature } from '../signed-url.ts'
import { visible } from '../visible.ts'
import { parseTarget } from '../target.ts'
import type { Target } from '../target.ts'
import { answerArchive } from './archive.ts'
import { answerChange } from './change.ts'
import { answerFile } from './file.ts'
import { answerListing } from './listing.ts'
import { toAppError } from '../problem.ts'
import type { Problem } from '../problem.ts'
import { queryOf } from '../validate.ts'
import type { Query } from '../validate.ts'

export interface OutputsDependencies extends Guarded {
  /** The logs of runs of 0.x; undefined where no store of them is configured. */
  readonly logs?: RunLogs
  readonly archives: Archives
  readonly digests: Digests
  readonly notebooks: Notebooks
  readonly uploads: Config['uploads']
  readonly limits: Limits
  /** Checks the query against the API description, after which `queryOf` gives it, and `bodyOf` the body. */
  readonly validate: RequestHandler
  /** The problem to show for an error that ends a listing on its way, also logged. */
  readonly problemFor: (error: unknown, response: Response) => Problem
}

/** One request, as far as every route below needs it. */
export interface Asked {
  readonly request: Request
  readonly response: Response
  readonly method: string
  readonly query: Query
  /** The name of the store that it is about. */
  readonly connection: string
  readonly signal: AbortSignal
  readonly dependencies: OutputsDependencies
}

export type ArtifactTarget = Extract<Target, { type: 'artifact' }>

const READING = ['GET', 'HEAD'] as const

const RUN_ROUTE = '/outputs/{owner}/{project}/{kind}/{id}/'
const FILE_ROUTE = `${RUN_ROUTE}{path}`
const FOLDER_ROUTE = `${FILE_ROUTE}/`
/** By the number of names in the URL. */
const LEVEL_ROUTES = [
  '/outputs/',
  '/outputs/{owner}/',
  '/outputs/{owner}/{project}/',
  '/outputs/{owner}/{project}/{kind}/',
] as const

/**
 * Answers a request whose URL, after the mount point, is `url`.
 *
 * Rejects with an AppError, or whatever a store threw, when nothing was sent yet or the connection was destroyed.
 */
export async function answerOutputs(
  dependencies: OutputsDependencies,
  url: string,
  request: Request,
  response: Response,
): Promise<void> {
  const { method } = request
  const mark = url.indexOf('?')
  const signal = transferSignal(response)
  const isLinked = mark >= 0 && hasSignature(url)
  if (isLinked) {
    // A link proves itself, before anything that it may have been changed to means anything.
    await callerOf(dependencies.gate, request, signal)
    response.setHeader('Referrer-Policy', 'no-referrer')
  }
  const target = parseTarget(mark < 0 ? url : url.slice(0, mark))
  describe(response, { route: routeOf(target) })
  checkMethod(request, response, target)
  if (lacksSlash(target)) {
    redirectToFolder(request, response)
    return
  }
  // Most requests are for a file and have nothing to check.
  if (mark >= 0 || method === 'POST') await validated(dependencies.validate, request, response)
  const query = queryOf(request)
  const actions = actionsOf(method, query)
  const changes = isChange(actions)
  if (changes) checkOrigin(request, dependencies.gate)
  const of = target.type === 'level' ? target.level : target.reference
  const wanted = { actions, connection: query.connection, of }
  const { connection, runs } = await admitted(dependencies, request, wanted, signal)
  describe(response, { connection })
  const asked = { request, response, method, query, connection, signal, dependencies }
  if (target.type === 'level') return answerLevel(asked, runs, target)
  try {
    const run = await resolveRun(runs, target, makesRun(asked), signal)
    await (changes ? answerChange(asked, run, target) : answerArtifact(asked, run, target))
    if (changes && target.isRun) runs.forget(target.reference)
  } catch (error) {
    if (isAppError(error, 'NotFound')) runs.forget(target.reference)
    throw error
  }
}

/** The first upload makes the run. */
function makesRun({ request, method }: Asked): boolean {
  return method === 'PUT' || (method === 'POST' && isForm(request.headers))
}

/** Looking for a run can fail anywhere in the store. Where that was is said in paths of the layout, of which clients know nothing: they asked for an artifact. */
export async function resolveRun(
  runs: Runs,
  { reference, path }: Pick<ArtifactTarget, 'reference' | 'path'>,
  makes: boolean,
  signal: AbortSignal,
): Promise<Run> {
  try {
    return await (makes ? runs.resolveOrPlace(reference, signal) : runs.resolve(reference, signal))
  } catch (error) {
    throw isAppError(error) && error.kind !== 'NotFound' ? renamed(error, path) : error
  }
}

/** The same for a level, which has no artifact. */
async function* withoutLayout<T>(steps: AsyncIterable<T>): AsyncGenerator<T> {
  try {
    yield* steps
  } catch (error) {
    throw isAppError(error) ? renamed(error, ROOT) : error
  }
}

export function validated(validate: RequestHandler, request: Request, response: Response): Promise<void> {
  return new Promise((resolve, reject) => {
    void validate(request, response, (error?: unknown) => {
      if (error === undefined) resolve()
      else reject(toAppError(error))
    })
  })
}

async function answerArtifact(asked: Asked, run: Run, target: ArtifactTarget): Promise<void> {
  const { query } = asked
  if (query.archive !== undefined)
    return answerArchive(asked, run, target.path, archiveName(target), query.archive)
  if (target.slash) {
    const { owner, project, kind, id } = target.reference
    const listed = joinPath(parsePath(`${owner}/${project}/${kind}/${id}`), target.path)
    return answerListing(
      asked,
      { path: target.path, title: listed, inRun: true, connection: query.connection },
      { folder: target.path, list: options => run.store.list(target.path, options) },
    )
  }
  try {
    await answerFile(asked, run, target.path, query.download === true ? 'attachment' : 'safe')
  } catch (error) {
    // A link is to a file: what would follow the redirect was not signed.
    if (!isAppError(error, 'IsDirectory') || query.signature !== undefined) throw error
    redirectToFolder(asked.request, asked.response)
  }
}

async function answerLevel(
  asked: Asked,
  runs: Runs,
  target: Extract<Target, { type: 'level' }>,
): Promise<void> {
  const names = Object.values(target.level)
  const { request, connection, signal, dependencies } = asked
  const caller = await callerOf(dependencies.gate, request, signal)
  await answerListing(
    asked,
    {
      path: ROOT,
      title: names.join('/'),
      inRun: false,
      connection: asked.query.connection,
    },
    {
      folder: ROOT,
      list: options =>
        withoutLayout(
          visible(listLevel(runs, target.level, options), caller, connection, target.level, signal),
        ),
    },
  )
}

/** The path of the API description that a URL belongs to. */
function routeOf(target: Target): string {
  if (target.type === 'artifact')
    return target.path === ROOT ? RUN_ROUTE : target.slash ? FOLDER_ROUTE : FILE_ROUTE
  return LEVEL_ROUTES[Object.keys(target.level).length]!
}

/** Whether a URL that can only name a folder lacks its slash. */
function lacksSlash(target: Target): boolean {
  return !target.slash && (target.type === 'level' || target.path === ROOT)
}

/**
 * Relative to the URL as it was sent, so that neither the host nor a proxy's prefix nor an escaped slash matters.
 *
 * The status is what clients follow best; it is not to be kept, for a file may take the name later.
 */
function redirectToFolder({ originalUrl }: Request, response: Response): void {
  describe(response, { answer: 'redirect' })
  const mark = originalUrl.indexOf('?')
  const path = mark < 0 ? originalUrl : originalUrl.slice(0, mark)
  response.statusCode = 301
  response.setHeader(
    'Location',
    `./${path.slice(path.lastIndexOf('/') + 1)}/${originalUrl.slice(path.length)}`,
  )
  response.setHeader('Cache-Control', 'private, no-cache')
  response.setHeader('Content-Length', 0)
  response.end()
}

/** What an archive is called without its ending: the folder's name, or for a whole run what tells runs apart. */
function archiveName({ reference, path }: ArtifactTarget): string {
  if (path !== ROOT) return nameOf(path)
  const { project, kind, id } = reference
  return kind === 'runs' ? id : `${project}-${kind.slice(0, -1)}-${id}`
}

function checkMethod({ method }: Request, response: Response, target: Target): void {
  const [allowed, reason] = methodsOf(target)
  if (!allowed.includes(method)) throw methodRefused(method, response, allowed, reason)
}

function methodsOf(target: Target): [allowed: readonly string[], reason: string] {
  if (lacksSlash(target) || target.type === 'level')
    return [READING, '. What lies above a run does not change; a run is named with a slash at its end.']
  return [[...READING, 'PUT', 'POST', 'DELETE'], '. The Allow header says what is.']
}
