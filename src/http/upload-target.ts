// Where a resumable upload is to end, by its metadata: the same run, path, connection and precondition that a PUT has in its URL and its header.
import type { IncomingHttpHeaders } from 'node:http'
import { AppError } from '../errors.ts'
import type { RunReference } from '../runs/layout.ts'
import { ROOT, type ArtifactPath } from '../store/path.ts'
import { parseTarget } from './target.ts'
import { parseMetadata } from './tus-fields.ts'

export interface UploadTarget {
  readonly reference: RunReference
  readonly path: ArtifactPath
  readonly connection: string | undefined
  /** As a PUT would have them. */
  readonly conditions: IncomingHttpHeaders
}

/**
 * `path` is what follows `/outputs/` in the URL of the file, not percent-encoded; `connection` names a store. `overwrite` as `false` keeps a file that is there, and `ifMatch` replaces only
 * one with this ETag. Other keys are the client's own.
 *
 * InvalidArgument for metadata that name no file; InvalidPath and NotFound as for a URL.
 */
export function uploadTarget(text: string): UploadTarget {
  const metadata = parseMetadata(text)
  const named = metadata.get('path')
  if (named === undefined)
    throw invalid(
      "Upload-Metadata has no 'path': it names the file as a URL below /outputs/ does, as in demo/quick-start/experiments/1/model.pt.",
    )
  const target = parseTarget(`/${named.split('/').map(encodeURIComponent).join('/')}`)
  if (target.type !== 'artifact' || target.slash || target.path === ROOT)
    throw invalid("The 'path' of Upload-Metadata must name a file in a run, as a URL below /outputs/ does.")
  return {
    reference: target.reference,
    path: target.path,
    connection: metadata.get('connection'),
    conditions: conditionsOf(metadata),
  }
}

function conditionsOf(metadata: ReadonlyMap<string, string>): IncomingHttpHeaders {
  const overwrite = metadata.get('overwrite') ?? 'true'
  const ifMatch = metadata.get('ifMatch')
  if (overwrite !== 'true' && overwrite !== 'false')
    throw invalid("'overwrite' of Upload-Metadata is either true or false.")
  if (overwrite === 'false' && ifMatch !== undefined)
    throw invalid("'ifMatch' and 'overwrite' as false in Upload-Metadata contradict each other.")
  return {
    ...(overwrite === 'false' && { 'if-none-match': '*' }),
    ...(ifMatch !== undefined && { 'if-match': ifMatch }),
  }
}

function invalid(message: string): AppError {
  return new AppError('InvalidArgument', message, { op: 'parse' })
}
