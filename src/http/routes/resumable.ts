// Requests below /uploads: tus 1.0 (https://tus.io/protocols/resumable-upload), whose uploads end as files of runs.
import { createHash, randomUUID } from 'node:crypto'
import type { IncomingHttpHeaders } from 'node:http'
import type { Request, Response } from 'express'
import { noSuchUpload, type ResumableUploads, type Upload } from '../../content/resumable-uploads.ts'
import { AppError, isAppError } from '../../errors.ts'
import { renamed } from '../../store/failure.ts'
import { ROOT } from '../../store/path.ts'
import { beginChange, hasBody } from '../body.ts'
import { admit, callerOf, checkOrigin } from '../gate.ts'
import { describe, transferSignal } from '../exchange.ts'
import { methodRefused } from '../methods.ts'
import { checkSize } from '../receive.ts'
import {
  declaredLength,
  TUS_ALGORITHMS,
  TUS_EXTENSIONS,
  TUS_MEDIA_TYPE,
  TUS_VERSION,
  uploadLength,
  uploadOffset,
} from '../tus-fields.ts'
import { uploadTarget } from '../upload-target.ts'
import { validated } from './outputs.ts'
import { admitTo, announced, append, checkTarget, finishWhole } from './resumable-content.ts'
import type { Asked, AskedOfUpload, ResumableDependencies } from './resumable-content.ts'

/** Where the store of an upload is said, and what nobody can guess. */
const ID = /^([0-9a-f]{8})-[0-9a-f]{32}$/

/** Answers a request whose URL, after the mount point, is `url`; rejects as `answerOutputs` does. */
export async function answerResumable(
  dependencies: ResumableDependencies,
  url: string,
  request: Request,
  response: Response,
): Promise<void> {
  const [path = ''] = url.split('?', 1)
  const id = path.replace(/^\//, '')
  describe(response, { route: id === '' ? '/uploads' : '/uploads/{upload}', answer: 'resumable' })
  if (id.includes('/')) throw noSuchUpload()
  response.setHeader('Tus-Resumable', TUS_VERSION)
  response.setHeader('Cache-Control', 'no-store')
  checkMethod(request, response, id === '' ? ['OPTIONS', 'POST'] : ['OPTIONS', 'HEAD', 'PATCH', 'DELETE'])
  if (url.includes('?')) await validated(dependencies.validate, request, response)
  if (request.method === 'OPTIONS') {
    answerOptions(response, dependencies.uploads.maxBytes)
    return
  }
  checkOrigin(request, dependencies.gate)
  checkVersion(request.headers, response)
  const asked = { request, response, dependencies, signal: transferSignal(response) }
  await callerOf(dependencies.gate, request, asked.signal)
  await (id === '' ? answerCreation(asked) : answerUpload(asked, id))
}

function checkMethod({ method }: Request, response: Response, allowed: readonly string[]): void {
  if (allowed.includes(method)) {
    if (method === 'OPTIONS') response.setHeader('Allow', allowed.join(', '))
    return
  }
  throw methodRefused(method, response, allowed)
}

function checkVersion({ 'tus-resumable': version }: IncomingHttpHeaders, response: Response): void {
  if (version === TUS_VERSION) return
  response.setHeader('Tus-Version', TUS_VERSION)
  throw new AppError(
    'Changed',
    `This speaks version ${TUS_VERSION} of tus, and a request has to say so in Tus-Resumable.`,
    { op: 'resolve' },
  )
}

function answerOptions(response: Response, maxBytes: number): void {
  response.statusCode = 204
  response.setHeader('Tus-Version', TUS_VERSION)
  response.setHeader('Tus-Extension', TUS_EXTENSIONS)
  response.setHeader('Tus-Max-Size', maxBytes)
  response.setHeader('Tus-Checksum-Algorithm', TUS_ALGORITHMS)
  response.end()
}

/** Everything that speaks against the file is asked before the upload exists, and before a byte of it is. */
async function answerCreation(asked: Asked): Promise<void> {
  const { request, response, signal, dependencies } = asked
  const { headers } = request
  if (headers['upload-concat'] !== undefined)
    throw invalid('Uploads in parallel parts are not offered: send the file as one upload.')
  const size = uploadLength(headers)
  checkSize(size, dependencies.uploads.maxBytes)
  if (hasBody(request)) checkMediaType(request)
  const metadata = headers['upload-metadata'] ?? ''
  const target = uploadTarget(String(metadata))
  const connection = await admitTo(asked, target)
  describe(response, { connection })
  await checkTarget(dependencies, target, size, signal)
  const id = newId(connection)
  const turn = await dependencies.turns.take(id, true, signal)
  const uploads = dependencies.resumable.get(connection)!
  try {
    const upload = await begin(
      { ...asked, uploads, id, turn },
      { size, metadata: String(metadata) },
      hasBody(request),
    )
    response.statusCode = 201
    response.setHeader('Location', locationOf(request, id))
    if (hasBody(request)) response.setHeader('Upload-Offset', upload.offset)
    sayExpiry(response, upload)
    response.setHeader('Content-Length', 0)
    response.end()
  } catch (error) {
    throw withoutOwnPaths(error, id)
  } finally {
    turn.end()
  }
}

/** When it fails nothing is left: the client does not know the URL, so nobody could go on. */
async function begin(
  asked: AskedOfUpload,
  record: Pick<Upload, 'size' | 'metadata'>,
  hasContent: boolean,
): Promise<Upload> {
  const { uploads, id } = asked
  const created = await uploads.create(id, record)
  try {
    return await finishWhole(asked, hasContent ? await append(asked, created) : created)
  } catch (error) {
    await uploads.remove(id).catch(() => undefined)
    throw error
  }
}

async function answerUpload(asked: Asked, id: string): Promise<void> {
  const { request, dependencies, signal } = asked
  const found = uploadsOf(dependencies, id)
  // Who may write nothing there needs no upload to be looked for.
  const connection = found?.[0] ?? dependencies.connections.keys().next().value!
  await admit(dependencies.gate, request, { action: 'write', connection, of: {} }, signal)
  if (found === undefined) throw noSuchUpload()
  const [, uploads] = found
  const { method } = request
  const turn = await dependencies.turns.take(id, method === 'PATCH', signal)
  try {
    const inTurn = { ...asked, uploads, id, turn }
    if (method === 'HEAD') await answerHead(inTurn)
    else if (method === 'PATCH') await answerPatch(inTurn)
    else await answerDelete(inTurn)
  } catch (error) {
    const known = withoutOwnPaths(error, id)
    throw method === 'HEAD' ? asLocked(known) : known
  } finally {
    turn.end()
  }
}

/** A client that finds all bytes there takes the file for finished, so it is before the answer. */
async function answerHead(asked: AskedOfUpload): Promise<void> {
  const { response, uploads, id, turn } = asked
  const found = await uploads.find(id)
  await admitTo(asked, uploadTarget(found.metadata))
  const upload = await turn.patiently(finishWhole(asked, found))
  response.setHeader('Upload-Offset', upload.offset)
  if (upload.size === undefined) response.setHeader('Upload-Defer-Length', '1')
  else response.setHeader('Upload-Length', upload.size)
  if (upload.metadata !== '') response.setHeader('Upload-Metadata', upload.metadata)
  sayExpiry(response, upload)
  response.end()
}

async function answerPatch(asked: AskedOfUpload): Promise<void> {
  const { request, response, uploads, id, signal } = asked
  checkMediaType(request)
  const offset = uploadOffset(request.headers)
  const found = await uploads.find(id, offset)
  await admitTo(asked, uploadTarget(found.metadata))
  if (found.offset !== offset)
    throw new AppError(
      'OffsetMismatch',
      `The upload has ${found.offset} bytes, not the ${offset} that the request goes on from.`,
      { op: 'receive' },
    )
  await uploads.checkWritable(signal)
  const upload = await finishWhole(asked, await append(asked, await withDeclaredSize(asked, found)))
  response.statusCode = 204
  response.setHeader('Upload-Offset', upload.offset)
  sayExpiry(response, upload)
  response.end()
}

async function answerDelete(asked: AskedOfUpload): Promise<void> {
  const { response, uploads, id } = asked
  await admitTo(asked, uploadTarget((await uploads.find(id)).metadata))
  beginChange(response)
  await uploads.remove(id)
  response.statusCode = 204
  response.end()
}

/** A length is said once, so nothing may be left that speaks against the request that says it. */
async function withDeclaredSize(asked: AskedOfUpload, upload: Upload): Promise<Upload> {
  const { request, uploads, dependencies } = asked
  const size = declaredLength(request.headers)
  if (size === undefined || size === upload.size) return upload
  if (upload.size !== undefined)
    throw invalid(`The length of the upload is ${upload.size} bytes, as was said before.`)
  if (size < upload.offset) throw invalid(`The upload has ${upload.offset} bytes already.`)
  checkSize(size, dependencies.uploads.maxBytes)
  announced(asked, { ...upload, size })
  return uploads.declareSize(upload, size)
}

function checkMediaType({ headers }: Request): void {
  if (headers['content-type'] !== TUS_MEDIA_TYPE)
    throw new AppError(
      'UnsupportedMediaType',
      `The Content-Type of the bytes of an upload is ${TUS_MEDIA_TYPE}.`,
      { op: 'receive' },
    )
}

function sayExpiry(response: Response, { expiresMs, isFinished }: Upload): void {
  if (!isFinished) response.setHeader('Upload-Expires', new Date(expiresMs).toUTCString())
}

/** Relative to the URL as it was sent, as for a folder's redirect. */
function locationOf({ originalUrl }: Request, id: string): string {
  const [path = ''] = originalUrl.split('?', 1)
  const last = path.slice(path.lastIndexOf('/') + 1)
  return last === '' ? `./${id}` : `./${last}/${id}`
}

function newId(connection: string): string {
  return `${storeTag(connection)}-${randomUUID().replaceAll('-', '')}`
}

/** Names a connection in the ids of its uploads, the same at every replica, whatever the order in their configurations. */
function storeTag(connection: string): string {
  return createHash('sha256').update(connection).digest('hex').slice(0, 8)
}

function uploadsOf(
  { resumable }: ResumableDependencies,
  id: string,
): readonly [connection: string, uploads: ResumableUploads] | undefined {
  const tag = ID.exec(id)?.[1]
  return [...resumable].find(([connection]) => storeTag(connection) === tag)
}

/** The places of the pieces are nothing that a client knows. */
function withoutOwnPaths(error: unknown, id: string): unknown {
  return isAppError(error) && error.path?.startsWith(id) === true ? renamed(error, ROOT) : error
}

/** Clients that ask how far an upload has come begin it anew after every answer but this one, also where the store is only away for a moment or full. */
function asLocked(error: unknown): unknown {
  if (!isAppError(error) || !(error.temporary || isAppError(error, 'NoSpace', 'Aborted'))) return error
  const { message, op, cause } = error
  return new AppError('Locked', message, { ...(op !== undefined && { op }), temporary: true, cause })
}

function invalid(message: string): AppError {
  return new AppError('InvalidArgument', message, { op: 'receive' })
}
