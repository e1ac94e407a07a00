// The streams service of Polyaxon 1.x and 2.x: /streams/v1. What its URLs and parameters say is said again in the words of the routes below /outputs, which do the work.
import type { Request, Response } from 'express'
import { AppError } from '../../errors.ts'
import type { RunReference } from '../../runs/layout.ts'
import { describe } from '../exchange.ts'
import type { OutputsDependencies } from '../routes/outputs.ts'
import { decodeName } from '../target.ts'
import { ask, type PolyaxonAsked } from './asked.ts'
import { sendFailureText } from './answers.ts'
import {
  answerArtifact,
  answerArtifactInPlace,
  answerArtifactRemoval,
  answerArtifacts,
  answerArtifactsRemoval,
  answerArtifactsTree,
} from './streams-artifacts.ts'
import { answerEvents, answerMultiRunEvents, answerResources } from './streams-events.ts'
import { answerLogs } from './streams-logs.ts'
import { answerStreamsUpload } from './streams-uploads.ts'

/** `tail` is what follows the resource's name in the URL. */
type Answer = (asked: PolyaxonAsked, tail: string) => Promise<void>

/** What is done with a resource of a run, by method; HEAD is GET without its body. */
type Resource = Readonly<Partial<Record<'GET' | 'POST' | 'DELETE', Answer>>>

const RESOURCES: Readonly<Record<string, Resource>> = {
  'artifacts/tree': { GET: answerArtifactsTree },
  artifact: {
    GET: answerArtifact,
    POST: asked => answerStreamsUpload(asked, 'artifact'),
    DELETE: answerArtifactRemoval,
  },
  artifacts: {
    GET: answerArtifacts,
    POST: asked => answerStreamsUpload(asked, 'artifacts'),
    DELETE: answerArtifactsRemoval,
  },
  embedded_artifact: { GET: asked => answerArtifactInPlace(asked) },
  logs: { GET: answerLogs },
  resources: { GET: answerResources },
}

/** Resources whose name is followed by something. */
const RESOURCES_WITH_TAIL: Readonly<Record<string, Resource>> = {
  ro_artifact: { GET: answerArtifactInPlace },
  events: { GET: answerEvents },
}

const MULTI_RUN_EVENTS: Resource = { GET: answerMultiRunEvents }

/** Answers a request whose URL, after `/streams/v1`, is `url`; rejects, as `answerOutputs` does, only when the connection is to be broken. */
export async function answerStreams(
  dependencies: OutputsDependencies,
  url: string,
  request: Request,
  response: Response,
): Promise<void> {
  try {
    const { route, resource, reference, tail } = routeOf(url.split('?', 1)[0]!)
    describe(response, { route: `/streams/v1${route}` })
    const methods = Object.keys(resource)
    const asked = await ask(dependencies, { request, response, url, reference, methods })
    const method = asked.method === 'HEAD' ? 'GET' : asked.method
    await resource[method as keyof Resource]!(asked, tail)
  } catch (error) {
    if (response.headersSent || response.destroyed) throw error
    sendFailureText(request, response, dependencies.problemFor(error, response))
  }
}

interface Route {
  /** In the API description, after `/streams/v1`. */
  readonly route: string
  readonly resource: Resource
  readonly reference: RunReference
  readonly tail: string
}

/** Of what the URL says, only the run chooses what is served, as far as the layout says no more. A namespace is looked at by nobody. */
function routeOf(path: string): Route {
  const [namespace, owner, project, runs, id, ...rest] = path.replace(/^\//, '').split('/')
  const multi = MULTI_RUN_PATHS.map(([route, pattern]) => ({ route, groups: pattern.exec(path)?.groups }))
  const found = multi.find(({ groups }) => groups !== undefined)
  if (found?.groups !== undefined) {
    const { owner: ofAll = '', project: ofProject = '', kind = '' } = found.groups
    return {
      route: found.route,
      resource: MULTI_RUN_EVENTS,
      reference: referenceTo(ofAll, ofProject, ''),
      tail: decodeName(kind),
    }
  }
  // Only what is about several runs may be about all projects.
  if (!namespace || !owner || !project || runs !== 'runs' || !id || rest.length === 0) throw nothingHere()
  const reference = referenceTo(owner, project, decodeName(id))
  const whole = rest.join('/')
  const alone = Object.hasOwn(RESOURCES, whole) ? RESOURCES[whole] : undefined
  if (alone !== undefined) return { route: `${RUN_ROUTE}${whole}`, resource: alone, reference, tail: '' }
  const [name = '', ...tail] = rest
  const withTail = Object.hasOwn(RESOURCES_WITH_TAIL, name) ? RESOURCES_WITH_TAIL[name] : undefined
  if (withTail === undefined || tail.join('') === '') throw nothingHere()
  const tailName = name === 'events' ? 'kind' : 'path'
  return {
    route: `${RUN_ROUTE}${name}/{${tailName}}`,
    resource: withTail,
    reference,
    tail: decodeURIComponent(tail.join('/')),
  }
}

const RUN_ROUTE = '/{namespace}/{owner}/{project}/runs/{uuid}/'

const MULTI_RUN_PATHS: readonly (readonly [route: string, pattern: RegExp])[] = [
  [
    '/{namespace}/orgs/{owner}/runs/multi/events/{kind}',
    /^\/[^/]+\/orgs\/(?<owner>[^/]+)\/runs\/multi\/events\/(?<kind>[^/]+)$/,
  ],
  [
    '/{namespace}/orgs/{owner}/teams/{team}/runs/multi/events/{kind}',
    /^\/[^/]+\/orgs\/(?<owner>[^/]+)\/teams\/[^/]+\/runs\/multi\/events\/(?<kind>[^/]+)$/,
  ],
  [
    '/{namespace}/{owner}/{project}/runs/multi/events/{kind}',
    /^\/[^/]+\/(?<owner>[^/]+)\/(?<project>[^/]+)\/runs\/multi\/events\/(?<kind>[^/]+)$/,
  ],
]

function referenceTo(owner: string, project: string, id: string): RunReference {
  return { owner: decodeName(owner), project: project === '' ? '' : decodeName(project), kind: 'runs', id }
}

function nothingHere(): AppError {
  return new AppError(
    'NotFound',
    'There is nothing at this URL. Artifacts, logs and events of runs are served here; the rest is for Polyaxon itself.',
    { op: 'resolve' },
  )
}
