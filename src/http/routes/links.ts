// POST /links: a caller hands on a right to one file, one archive or one upload.
import type { Request, RequestHandler, Response } from 'express'
import type { Config } from '../../config/config.ts'
import { AppError } from '../../errors.ts'
import { folderAt } from '../../store/folder-at.ts'
import { storeError } from '../../store/failure.ts'
import { ROOT } from '../../store/path.ts'
import { admitted, type Guarded } from '../admission.ts'
import { LINKED, type Links } from '../auth/links.ts'
import { isBelow } from '../below.ts'
import { transferSignal } from '../exchange.ts'
import { callerOf, checkOrigin } from '../gate.ts'
import { methodRefused } from '../methods.ts'
import { hasSignature } from '../signed-url.ts'
import { parseTarget } from '../target.ts'
import { linkRequestOf, type Query, type RequestValidator } from '../validate.ts'
import { resolveRun, validated, type ArtifactTarget } from './outputs.ts'

export interface LinksDependencies extends Guarded {
  readonly links: Links
  readonly validate: RequestValidator
  readonly config: Pick<Config, 'server' | 'limits'>
}

const FOLDER = '/links'
const OUTPUTS = '/outputs'
const DEFAULT_AGE_S = 3600

/** Takes requests to `/links`, and passes on all others. */
export function linksHandler(dependencies: LinksDependencies): RequestHandler {
  return (request, response, next) => {
    if (request.path === FOLDER && isBelow(FOLDER, request.url))
      answerLink(dependencies, request, response).catch(next)
    else next()
  }
}

async function answerLink(
  dependencies: LinksDependencies,
  request: Request,
  response: Response,
): Promise<void> {
  const { gate, links, validate, config } = dependencies
  if (request.method !== 'POST') throw methodRefused(request.method, response, ['POST'])
  await validated(validate, request, response)
  checkOrigin(request, gate)
  const signal = transferSignal(response)
  await callerOf(gate, request, signal)
  const { method, url, expiresIn = defaultAge(links) } = await linkRequestOf(request, response)
  if (expiresIn * 1000 > links.maxAgeMs)
    throw invalid(`A link is good for ${links.maxAgeMs / 1000} seconds at most (setting auth.links.maxAge).`)
  const wanted = linkable(validate, method, url)
  await checkRight(dependencies, request, wanted, signal)
  const expires = Math.floor(Date.now() / 1000) + expiresIn
  const path = OUTPUTS + pathOf(wanted.target)
  const signed =
    config.server.basePath + links.sign({ method, path, query: wanted.query, expires: String(expires) })
  if (signed.length > config.limits.urlBytes)
    throw invalid(`The link would be longer than URLs may be here (setting limits.urlBytes).`)
  sendLink(response, { url: signed, expires: new Date(expires * 1000).toISOString() })
}

/** What is not said to be shorter than an operator allows. */
function defaultAge({ maxAgeMs }: Links): number {
  return Math.min(DEFAULT_AGE_S, Math.floor(maxAgeMs / 1000))
}

function sendLink(response: Response, link: { readonly url: string; readonly expires: string }): void {
  const body = Buffer.from(`${JSON.stringify(link)}\n`)
  response.statusCode = 201
  response.setHeader('Content-Type', 'application/json')
  response.setHeader('Content-Length', body.length)
  response.setHeader('Cache-Control', 'no-store')
  response.setHeader('X-Content-Type-Options', 'nosniff')
  response.end(body)
}

interface Wanted {
  readonly method: string
  readonly target: ArtifactTarget
  readonly values: Query
  /** The same, as it is sent. */
  readonly query: string
}

/** Fails with InvalidArgument for a URL that is none of these: a file, an archive of a folder, an upload. */
function linkable(validate: RequestValidator, method: string, url: string): Wanted {
  if (!isBelow(OUTPUTS, url))
    throw invalid(`The URL must begin with ${OUTPUTS}/, without a host or a base path.`)
  if (hasSignature(url)) throw invalid('The URL is signed already.')
  if (url.includes('#')) throw invalid('The URL has a fragment, which is never sent.')
  const mark = url.indexOf('?')
  const path = mark < 0 ? url : url.slice(0, mark)
  const target = parseTarget(path.slice(OUTPUTS.length))
  const given = mark < 0 ? '' : url.slice(mark + 1)
  const values = validate.queryFor(method, `${path}?${given}`)
  if (target.type === 'level') throw invalid('What lies above a run cannot be linked to.')
  const isFolder = target.slash || target.path === ROOT || values.archive !== undefined
  if (method === 'GET' && isFolder && values.archive === undefined)
    throw invalid(
      'A listing cannot be linked to: name a file, or with archive what the folder is to be packed as.',
    )
  if (method === 'PUT' && isFolder !== (values.unpack !== undefined))
    throw invalid('An upload is linked to by the URL of a file, or with unpack by that of a folder.')
  return { method, target: { ...target, slash: isFolder }, values, query: canonicalQuery(given) }
}

/** Fails as the request that is linked to would, now, for who asks. */
async function checkRight(
  dependencies: LinksDependencies,
  request: Request,
  { method, target, values }: Wanted,
  signal: AbortSignal,
): Promise<void> {
  const { reference, path } = target
  const wanted = { actions: [LINKED[method]!], connection: values.connection, of: reference }
  const { runs } = await admitted(dependencies, request, wanted, signal)
  const run = await resolveRun(runs, target, method === 'PUT', signal)
  if (method === 'PUT') return run.store.checkWritable({ signal })
  if (target.slash) await folderAt(run.store, path, { signal })
  else if ((await run.store.stat(path, { signal })).type !== 'file')
    throw storeError('IsDirectory', 'stat', path)
}

/** In the one spelling that clients leave as it is, whatever they do to URLs (RFC 3986 6.2.2): only unreserved characters stand for themselves. */
function pathOf({ reference: { owner, project, kind, id }, path, slash }: ArtifactTarget): string {
  const names = [owner, project, kind, id, ...(path === ROOT ? [] : path.split('/'))]
  return `/${names.map(escaped).join('/')}${slash ? '/' : ''}`
}

function canonicalQuery(query: string): string {
  const pairs = query.split('&').filter(pair => pair !== '')
  return pairs
    .map(pair => {
      const [name = '', ...value] = pair.split('=')
      return `${respelled(name)}=${respelled(value.join('='))}`
    })
    .join('&')
}

/** The validator has read it, so its escapes are in order. */
function respelled(text: string): string {
  return escaped(decodeURIComponent(text.replaceAll('+', ' ')))
}

function escaped(text: string): string {
  return encodeURIComponent(text).replaceAll(
    /[!'()*]/g,
    sign => `%${sign.charCodeAt(0).toString(16).toUpperCase()}`,
  )
}

function invalid(message: string): AppError {
  return new AppError('InvalidArgument', message, { op: 'parse' })
}
