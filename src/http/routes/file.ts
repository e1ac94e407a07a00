// A file: its bytes, whole or in ranges.
import { openFile } from '../../content/file.ts'
import type { FileRepresentation } from '../../content/file.ts'
import { isInlineSafe } from '../../content/media-type.ts'
import type { Run } from '../../runs/runs.ts'
import type { ArtifactPath } from '../../store/path.ts'
import type { DirectDelivery } from '../../store/store.ts'
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
    elsewhere: file => addressOf(asked, run, file, download),
    headers: async (file, sentBy) => ({
      'Content-Disposition': dispositionOf(file, download),
      ...(await digestHeader(asked, run, file, sentBy)),
    }),
  })
}

function dispositionOf(file: FileRepresentation, download: boolean): string {
  return contentDisposition(
    !download && isInlineSafe(file.mediaType) ? 'inline' : 'attachment',
    file.filename,
  )
}

/** Where the store lets the client have the file, if it is asked for that or configured so. */
async function addressOf(
  { query, signal }: Asked,
  { store }: Run,
  file: FileRepresentation,
  download: boolean,
): Promise<DirectDelivery | undefined> {
  if (query.redirect === false || store.direct === undefined) return undefined
  return store.direct(file.path, query.redirect ?? false, {
    disposition: dispositionOf(file, download),
    mediaType: file.mediaType,
    signal,
  })
}

/**
 * RFC 9530: only when the client wants it, for it costs a pass over the file the first time. That pass is not made for a content that others send, nor for HEAD, which is
 * to be cheap, over a network.
 */
async function digestHeader(
  { request, method, signal, dependencies: { digests } }: Asked,
  { store, scopeKey }: Run,
  file: FileRepresentation,
  sentBy: 'us' | 'others',
): Promise<Record<string, string>> {
  const wanted = request.headers['want-repr-digest']
  if (wanted === undefined || !wantsSha256(String(wanted))) return {}
  const digest =
    sentBy === 'others' || (method === 'HEAD' && store.capabilities.latency === 'network')
      ? digests.known(scopeKey, file.path, file)
      : await digests.sha256(scopeKey, file.path, file, signal)
  return digest === undefined ? {} : { 'Repr-Digest': formatReprDigest(digest) }
}
