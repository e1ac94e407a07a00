// A file by PUT: the body of the request becomes the artifact at its URL.
import type { IncomingMessage, ServerResponse } from 'node:http'
import { AppError } from '../../errors.ts'
import type { Run } from '../../runs/runs.ts'
import type { ArtifactPath } from '../../store/path.ts'
import type { Entry } from '../../store/store.ts'
import { bodyBytes, bodySize } from '../body.ts'
import { checkConditions } from '../change-conditions.ts'
import { asConflict } from '../changes.ts'
import { formatEntityTag } from '../entity-tag.ts'
import { describe } from '../exchange.ts'
import { expectedDigests } from '../expected-digests.ts'
import { checkSize, receive } from '../receive.ts'
import type { Asked } from './outputs.ts'

/** Everything that speaks against the upload is asked before its first byte is. */
export async function answerUpload(asked: Asked, run: Run, path: ArtifactPath): Promise<void> {
  describe(asked.response, { answer: 'upload' })
  const { request, response, signal } = asked
  const { uploads, limits } = asked.dependencies
  const { maxBytes, idleTimeoutMs: idleMs } = uploads
  checkWhole(request, response)
  const size = bodySize(request)
  checkSize(size, maxBytes)
  const digests = expectedDigests(request.headers)
  const { exists, precondition } = await checkConditions(run.store, path, request.headers, signal)
  try {
    const pending = await run.store.create(path, {
      signal,
      ...(size !== undefined && { size }),
      ...(precondition && { precondition }),
    })
    const body = bodyBytes(request, response)
    const pace = limits.uploadPace.of(request)
    const entry = await receive(body, pending, { size, maxBytes, digests, idleMs, pace, signal })
    answerWritten(response, entry, exists)
  } catch (error) {
    throw asConflict(error)
  }
}

/** 201 for a new file, 204 for a replaced one, with its tag: the bytes are kept as they came (RFC 9110 9.3.4). */
export function answerWritten(response: ServerResponse, { etag }: Entry, existed: boolean): void {
  response.statusCode = existed ? 204 : 201
  response.setHeader('ETag', formatEntityTag({ weak: false, opaque: etag }))
  response.setHeader('Cache-Control', 'no-store')
  if (!existed) response.setHeader('Content-Length', 0)
  response.end()
}

/** Fails for a body that would be stored as something that it is not. */
export function checkWhole(request: IncomingMessage, response: ServerResponse): void {
  const { headers, httpVersionMinor } = request
  // RFC 9110 14.5: a part would be taken for the whole.
  if (headers['content-range'] !== undefined)
    throw refused('A part of a file cannot be put: send all of it, without Content-Range.')
  if (httpVersionMinor === 0 && headers['content-length'] === undefined)
    throw refused('The length of the body is not known: send Content-Length.')
  const coding = headers['content-encoding'] ?? ''
  if (!/^[ \t]*(?:identity)?[ \t]*$/i.test(coding)) {
    response.setHeader('Accept-Encoding', 'identity')
    throw new AppError(
      'UnsupportedMediaType',
      'The body has a Content-Encoding, under which the file would not be what its name says. Send it without; to keep it compressed, say so in the name, as in log.txt.gz.',
      { op: 'receive' },
    )
  }
}

function refused(message: string): AppError {
  return new AppError('InvalidArgument', message, { op: 'receive' })
}
