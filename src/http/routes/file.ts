// A file: its bytes, whole or in ranges.
import { openFile } from '../../content/file.ts'
import type { FileRepresentation } from '../../content/file.ts'
import { isInlineSafe } from '../../content/media-type.ts'
import type { Run } from '../../runs/runs.ts'
import type { ArtifactPath } from '../../store/path.ts'
import { formatReprDigest, wantsSha256 } from '../digest-fields.ts'
import { contentDisposition } from '../disposition.ts'
import { answerRepresentation } from './representation.ts'
import type { Asked } from './outputs.ts'

/** Fails as opening the file does (IsDirectory for a folder) before anything is sent. */
export async function answerFile(
  asked: Asked,
  run: Run,
  path: ArtifactPath,
  download: boolean,
): Promise<void> {
  await answerRepresentation(asked, {
    open: () => openFile(run.store, path, { signal: asked.signal }),
    headers: async file => ({
      'Content-Disposition': dispositionOf(file, download),
      ...(await digestHeader(asked, run, file)),
    }),
  })
}

function dispositionOf(file: FileRepresentation, download: boolean): string {
  return contentDisposition(
    !download && isInlineSafe(file.mediaType) ? 'inline' : 'attachment',
    file.filename,
  )
}

/** RFC 9530: only when the client wants it, for it costs a pass over the file the first time. */
async function digestHeader(
  asked: Asked,
  run: Run,
  file: FileRepresentation,
): Promise<Record<string, string>> {
  const wanted = asked.request.headers['want-repr-digest']
  if (wanted === undefined || !wantsSha256(String(wanted))) return {}
  const digest = await asked.dependencies.digests.sha256(run.scopeKey, file.path, file, asked.signal)
  return digest === undefined ? {} : { 'Repr-Digest': formatReprDigest(digest) }
}
