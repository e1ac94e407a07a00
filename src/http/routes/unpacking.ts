// An archive by PUT on a folder: its members become files there while it comes.
import { unpack } from '../../content/unpack.ts'
import { AppError } from '../../errors.ts'
import type { Run } from '../../runs/runs.ts'
import type { ArtifactPath } from '../../store/path.ts'
import { beginChange, bodyBytes, bodySize } from '../body.ts'
import { checkOnFolder } from '../change-conditions.ts'
import { asConflict } from '../changes.ts'
import { describe } from '../exchange.ts'
import { expectedDigests } from '../expected-digests.ts'
import { checked, checkSize } from '../receive.ts'
import { sendJson } from './operations.ts'
import type { Asked } from './outputs.ts'
import { checkWhole } from './upload.ts'

/** Everything that speaks against it and can be known is asked before the first byte of the archive is. */
export async function answerUnpacking(asked: Asked, run: Run, folder: ArtifactPath): Promise<void> {
  describe(asked.response, { answer: 'unpack' })
  const { request, response, query, signal } = asked
  const { uploads, limits } = asked.dependencies
  const { maxBytes, idleTimeoutMs: idleMs, maxUnpackedEntries, maxUnpackedBytes, maxRatio } = uploads
  const format = query.unpack
  if (format === undefined)
    throw new AppError(
      'InvalidArgument',
      'A folder appears with the first file in it: name that, without a slash at its end. To put the files of an archive into this folder, say which kind it is: ?unpack=tar, tar.gz or zip.',
      { op: 'resolve', path: folder },
    )
  checkWhole(request, response)
  checkOnFolder(request.headers, folder)
  const size = bodySize(request)
  checkSize(size, maxBytes)
  const digests = expectedDigests(request.headers)
  const body = bodyBytes(request, response)
  // What has come of it is kept, or removed, before its end is known.
  beginChange(response)
  const archive = checked(body, {
    size,
    maxBytes,
    digests,
    idleMs,
    pace: limits.uploadPace.of(request),
    signal,
  })
  try {
    const written = await unpack(run.store, folder, format, archive, {
      limits: { maxEntries: maxUnpackedEntries, maxBytes: maxUnpackedBytes, maxRatio },
      signal,
      onFailure: query.onFailure ?? 'keep',
    })
    sendJson(response, 200, written)
  } catch (error) {
    throw asConflict(error)
  }
}
