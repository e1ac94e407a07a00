// The API of Polyaxon 0.x for what runs leave: /api/v1/{user}/{project}/{kind}/{id}/outputs and …/logs. What its URLs say is said again in the words of the routes below /outputs, which do the work.
import type { Request, Response } from 'express'
import { AppError, isAppError } from '../../errors.ts'
import type { RunReference } from '../../runs/layout.ts'
import { isRunKind } from '../../runs/levels.ts'
import { ROOT } from '../../store/path.ts'
import { describe } from '../exchange.ts'
import { failureJson, sendFailure } from '../problem.ts'
import { answerArchive } from '../routes/archive.ts'
import { answerFile } from '../routes/file.ts'
import type { OutputsDependencies } from '../routes/outputs.ts'
import { decodeName } from '../target.ts'
import { sendFailureDetail } from './answers.ts'
import { ask, atRun, type PolyaxonAsked } from './asked.ts'
import { cleanPath } from './clean-path.ts'
import { answerRunLog } from './outputs-logs.ts'
import { Refusal } from './refusal.ts'
import { answerTree, PAIRS } from './tree.ts'

/** By what follows the run. The last slash says nothing; the bare `outputs` is the download of 0.2. */
const RESOURCES: Readonly<Record<string, (asked: PolyaxonAsked) => Promise<void>>> = {
  outputs: answerDownload,
  'outputs/download': answerDownload,
  'outputs/tree': answerOutputsTree,
  'outputs/files': answerOutputsFile,
  logs: answerRunLog,
}

/** Answers a request whose URL, after `/api/v1`, is `url`; rejects, as `answerOutputs` does, only when the connection is to be broken. */
export async function answerOutputsApi(
  dependencies: OutputsDependencies,
  url: string,
  request: Request,
  response: Response,
): Promise<void> {
  try {
    const { reference, resource } = routeOf(url.split('?', 1)[0]!)
    const answer = Object.hasOwn(RESOURCES, resource) ? RESOURCES[resource] : undefined
    if (answer === undefined) throw nothingHere()
    describe(response, { route: `/api/v1/{owner}/{project}/{kind}/{id}/${resource}` })
    await answer(await ask(dependencies, { request, response, url, reference, methods: ['GET'] }))
  } catch (error) {
    if (response.headersSent || response.destroyed) throw error
    const body = error instanceof Refusal ? error.body : undefined
    const problem = dependencies.problemFor(error, response)
    if (body === undefined) sendFailureDetail(request, response, problem)
    else sendFailure(request, response, problem, 'application/json', failureJson(body))
  }
}

function routeOf(path: string): { readonly reference: RunReference; readonly resource: string } {
  const [owner, project, kind, id, ...rest] = path.replace(/^\//, '').replace(/\/$/, '').split('/')
  if (id === undefined || !isRunKind(kind ?? '')) throw nothingHere()
  const reference = {
    owner: decodeName(owner!),
    project: decodeName(project!),
    kind: kind as RunReference['kind'],
    id: decodeName(id),
  }
  return { reference, resource: rest.join('/') }
}

function nothingHere(): AppError {
  return new AppError('NotFound', 'There is nothing at this URL.', { op: 'resolve' })
}

/** The files as pairs, as the dashboard reads them. */
async function answerOutputsTree(asked: PolyaxonAsked): Promise<void> {
  try {
    const path = cleanPath(asked.parameters.text('path') ?? '')
    await atRun(asked, run => answerTree(asked, run, path, { form: PAIRS, listsFile: false }))
  } catch (error) {
    if (!isAppError(error, 'NotFound', 'NotDirectory') || asked.response.headersSent) throw error
    // The same words for every kind.
    throw new Refusal(error, 'InvalidArgument', [
      'Experiment outputs path does not exists or bad configuration.',
    ])
  }
}

async function answerOutputsFile(asked: PolyaxonAsked): Promise<void> {
  const given = asked.parameters.text('path')
  if (given === undefined || given === '') {
    const message = 'Files view expect a path to the file.'
    throw new Refusal(new AppError('InvalidArgument', message), 'InvalidArgument', [message])
  }
  const path = cleanPath(given)
  try {
    await atRun(asked, run => answerFile(asked, run, path, 'attachment'))
  } catch (error) {
    if (!isAppError(error, 'NotFound') || asked.response.headersSent) throw error
    throw new Refusal(error, 'NotFound', error.message)
  }
}

/** Everything as a .tar.gz, whose members are named relative to the run. */
async function answerDownload(asked: PolyaxonAsked): Promise<void> {
  const { owner, project, kind, id } = asked.reference
  const name = [owner, project, kind, id].join('_')
  await atRun(asked, run => answerArchive(asked, run, ROOT, name, 'tar.gz'))
}
