// What happens to the bytes of a resumable upload, and to the file that they become.
import type { Request, RequestHandler, Response } from 'express'
import type { Config } from '../../config/config.ts'
import type { ResumableUploads, Upload } from '../../content/resumable-uploads.ts'
import { AppError, isAppError } from '../../errors.ts'
import type { Run } from '../../runs/runs.ts'
import { bodyBytes, bodySize } from '../body.ts'
import { checkConditions } from '../change-conditions.ts'
import { asConflict } from '../changes.ts'
import { admitted, noSuchConnection, type Guarded } from '../admission.ts'
import type { ExpectedDigest } from '../expected-digests.ts'
import type { Limits } from '../limits.ts'
import { pour } from '../receive.ts'
import { uploadChecksum } from '../tus-fields.ts'
import type { Turn, Turns } from '../turns.ts'
import type { UploadTarget } from '../upload-target.ts'
import { uploadTarget } from '../upload-target.ts'
import { resolveRun } from './outputs.ts'

export interface ResumableDependencies extends Guarded {
  /** By connection. */
  readonly resumable: ReadonlyMap<string, ResumableUploads>
  readonly turns: Turns
  readonly uploads: Config['uploads']
  readonly limits: Limits
  readonly validate: RequestHandler
  /** Ends what goes on although its client may be gone. */
  readonly closing: AbortSignal
}

export interface Asked {
  readonly request: Request
  readonly response: Response
  /** Of the connection with the client. */
  readonly signal: AbortSignal
  readonly dependencies: ResumableDependencies
}

/** A request about an upload that exists, in its turn. */
export interface AskedOfUpload extends Asked {
  readonly uploads: ResumableUploads
  readonly id: string
  readonly turn: Turn
}

interface Announced {
  /** Bytes of the body; undefined where only its end will tell. */
  readonly size: number | undefined
  /** Bytes that may come. */
  readonly limit: number
  readonly digests: readonly ExpectedDigest[]
}

/** What the request says of its body. Fails where that speaks against adding it to `upload`. */
export function announced({ request, dependencies }: Asked, upload: Upload): Announced {
  const digests = uploadChecksum(request.headers)
  const size = bodySize(request)
  const limit = (upload.size ?? dependencies.uploads.maxBytes) - upload.offset
  if (size !== undefined && size > limit)
    throw new AppError('TooLarge', `The upload can take ${limit} more bytes, and the request has ${size}.`, {
      op: 'receive',
    })
  return { size, limit, digests }
}

/**
 * Adds the body of the request. What came before it broke off is kept, unless it was to be checked as a whole.
 *
 * No step of the store ends with the client's connection: the end of that is where keeping begins.
 */
export async function append(asked: AskedOfUpload, upload: Upload): Promise<Upload> {
  const { request, response, uploads, dependencies, signal, turn } = asked
  const { size, limit, digests } = announced(asked, upload)
  dependencies.limits.uploads.take(request, response)
  const writer = uploads.append(upload, limit, digests.length > 0)
  try {
    await pour(bodyBytes(request, response), writer, {
      size,
      maxBytes: Infinity,
      digests,
      idleMs: dependencies.uploads.idleTimeoutMs,
      pace: dependencies.limits.uploadPace.of(request),
      signal: AbortSignal.any([signal, turn.signal]),
    })
    await writer.keep()
  } catch (error) {
    if (digests.length > 0) await writer.drop()
    else await writer.keep().catch(() => undefined)
    // Clients take a 408 for the end of it, and a broken connection for what it is.
    if (isAppError(error, 'TimedOut')) response.destroy()
    throw error
  }
  return writer.offset === upload.offset ? upload : uploads.progressed(upload, writer.offset)
}

/** An upload that has all its bytes becomes the file, whether or not its client is still there to hear of it. */
export async function finishWhole({ uploads, dependencies }: AskedOfUpload, upload: Upload): Promise<Upload> {
  if (upload.isFinished || upload.offset !== upload.size) return upload
  const { closing } = dependencies
  const target = uploadTarget(upload.metadata)
  try {
    const { store } = await runOf(dependencies, target, closing)
    const precondition = async () =>
      (await checkConditions(store, target.path, target.conditions, closing)).precondition
    return await uploads.finish(upload, { store, path: target.path, precondition }, closing)
  } catch (error) {
    throw asConflict(error)
  }
}

/** Asks for leave to put a file there: with every request, for what was allowed when the upload began may not be any more, and its URL proves nothing. Resolves to the connection. */
export async function admitTo(
  { request, dependencies, signal }: Asked,
  { reference, connection: named }: UploadTarget,
): Promise<string> {
  const wanted = { actions: ['write'], connection: named, of: reference } as const
  return (await admitted(dependencies, request, wanted, signal)).connection
}

/** Fails as putting a file there would. */
export async function checkTarget(
  dependencies: ResumableDependencies,
  target: UploadTarget,
  size: number | undefined,
  signal: AbortSignal,
): Promise<void> {
  const { store } = await runOf(dependencies, target, signal)
  await store.checkWritable({ signal })
  const { precondition } = await checkConditions(store, target.path, target.conditions, signal)
  try {
    const pending = await store.create(target.path, {
      signal,
      ...(size !== undefined && { size }),
      ...(precondition && { precondition }),
    })
    await pending.abort()
  } catch (error) {
    throw asConflict(error)
  }
}

function runOf(dependencies: ResumableDependencies, target: UploadTarget, signal: AbortSignal): Promise<Run> {
  const { connections } = dependencies
  const name = target.connection ?? connections.keys().next().value!
  const runs = connections.get(name)
  if (runs === undefined) throw noSuchConnection(name)
  return resolveRun(runs, target, true, signal)
}
