// A file: its bytes, whole or in ranges.
import { openFile } from '../../content/file.ts'
import type { FileRepresentation } from '../../content/file.ts'
import { isInlineSafe } from '../../content/media-type.ts'
import type { Run } from '../../runs/runs.ts'
import type { ArtifactPath } from '../../store/path.ts'
import type { DirectDelivery } from '../../store/store.ts'
import { formatReprDigest, wantsSha256 } from '../digest-fields.ts'
import { contentDisposition } from '../disposition.ts'
import { describe } from '../exchange.ts'
import { answerRepresentation } from './representation.ts'
import type { Asked } from './outputs.ts'

/** Whether a browser saves a file or shows it in place: `safe` shows only what can do nothing there, `inline` leaves that to the isolation that every artifact has. */
export type Showing = 'attachment' | 'safe' | 'inline'

/** Its media type is that of its name unless one is given. Fails as opening the file does (IsDirectory for a folder) before anything is sent. */
export async function answerFile(
  asked: Asked,
  run: Run,
  path: ArtifactPath,
  showing: Showing,
  mediaType?: string,
): Promise<void> {
  describe(asked.response, { answer: 'file' })
  await answerRepresentation(asked, {
    open: () => openFile(run.store, path, { signal: asked.signal }, mediaType),
    elsewhere: file => addressOf(asked, run, file, showing),
    headers: async (file, sentBy) => ({
      'Content-Disposition': dispositionOf(file, showing),
      ...(await digestHeader(asked, run, file, sentBy)),
    }),
  })
}

function dispositionOf({ mediaType, filename }: FileRepresentation, showing: Showing): string {
  const inPlace = showing === 'inline' || (showing === 'safe' && isInlineSafe(mediaType))
  return contentDisposition(inPlace ? 'inline' : 'attachment', filename)
}

/** Where the store lets the client have the file, if it is asked for that or configured so. */
async function addressOf(
  { query, signal }: Asked,
  { store }: Run,
  file: FileRepresentation,
  showing: Showing,
): Promise<DirectDelivery | undefined> {
  if (query.redirect === false || store.direct === undefined) return undefined
  return store.direct(file.path, query.redirect ?? false, {
    disposition: dispositionOf(file, showing),
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
