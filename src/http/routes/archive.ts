// A folder, or a part of it, as an archive.
import type { ArchiveRequest } from '../../content/archive.ts'
import type { Selection } from '../../content/selection.ts'
import type { Run } from '../../runs/runs.ts'
import type { ArtifactPath } from '../../store/path.ts'
import { contentDisposition } from '../disposition.ts'
import { describe } from '../exchange.ts'
import { omittedField } from '../omitted.ts'
import { selectionOf } from '../query.ts'
import { bodyOf } from '../validate.ts'
import type { Query } from '../validate.ts'
import { answerRepresentation } from './representation.ts'
import type { Asked } from './outputs.ts'

/** Of what the client selects. Fails with NotDirectory for a file, and as `Archives.open` does, before anything is sent. */
export async function answerArchive(
  asked: Asked,
  run: Run,
  folder: ArtifactPath,
  filename: string,
  format: NonNullable<Query['archive']>,
): Promise<void> {
  const selection = await selectionFrom(asked)
  await answerSelection(asked, run, { folder, selection, filename, format })
}

/** Of a selection that the client did not make itself; else as `answerArchive`. */
export async function answerSelection(
  asked: Asked,
  run: Run,
  {
    folder,
    selection,
    filename,
    format,
  }: Pick<ArchiveRequest, 'folder' | 'selection' | 'filename' | 'format'>,
): Promise<void> {
  const { request: message, response, query, signal, dependencies } = asked
  describe(response, { answer: 'archive' })
  dependencies.limits.archives.take(message, response)
  const request = {
    folder,
    format,
    compress: query.compress ?? false,
    selection,
    filename: `${filename}.${format}`,
    connection: asked.connection,
    scopeKey: run.scopeKey,
    signal,
  }
  await answerRepresentation(asked, {
    open: async () => {
      const archive = await dependencies.archives.open(run.store, request)
      describe(response, { entries: archive.entries, contentBytes: archive.contentBytes })
      return archive
    },
    headers: archive => ({
      'Content-Disposition': contentDisposition('attachment', archive.filename),
      ...omittedField(archive.omitted),
    }),
  })
}

/** By the query, or by the body of a POST. */
async function selectionFrom({ request, response, method, query }: Asked): Promise<Selection> {
  if (method !== 'POST')
    return selectionOf({ paths: query.path ?? [], glob: query.glob, exclude: query.exclude })
  const body = await bodyOf(request, response)
  return selectionOf({
    paths: 'paths' in body ? body.paths : body.path,
    glob: body.glob,
    exclude: body.exclude,
  })
}
