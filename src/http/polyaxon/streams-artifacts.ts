// The artifacts of a run, as the streams service of Polyaxon 1.x and 2.x serves them: its tree, its files, its folders as archives.
import { AppError, isAppError } from '../../errors.ts'
import type { Run } from '../../runs/runs.ts'
import { nameOf, parentOf, ROOT, type ArtifactPath } from '../../store/path.ts'
import { answerArchive } from '../routes/archive.ts'
import { answerChange } from '../routes/change.ts'
import { contentDisposition } from '../disposition.ts'
import { describe } from '../exchange.ts'
import { answerRepresentation } from '../routes/representation.ts'
import { answerFile } from '../routes/file.ts'
import { sendJsonText } from './answers.ts'
import { atRun, type PolyaxonAsked } from './asked.ts'
import { cleanPath } from './clean-path.ts'
import { answerTree, MAP } from './tree.ts'

/** GET artifacts/tree. What is not there is listed as nothing, with the reason: clients look at runs that have no artifacts yet. */
export async function answerArtifactsTree(asked: PolyaxonAsked): Promise<void> {
  let path = ROOT
  try {
    path = cleanPath(asked.parameters.text('path') ?? '')
    await atRun(asked, run => answerTree(asked, run, path, { form: MAP, listsFile: true }))
  } catch (error) {
    if (!isAppError(error, 'NotFound', 'InvalidPath') || asked.response.headersSent) throw error
    const reason =
      error.kind === 'NotFound'
        ? `Could not list path ${filepathOf(asked, path)}. ${error.message}`
        : error.message
    await sendJsonText(asked, JSON.stringify({ files: {}, dirs: [], error: reason }))
  }
}

/** GET artifact: a preview with `stream`, else a download. */
export function answerArtifact(asked: PolyaxonAsked): Promise<void> {
  return answerFileAt(
    asked,
    asked.parameters.text('path'),
    asked.parameters.flag('stream') ? 'safe' : 'attachment',
  )
}

/**
 * GET embedded_artifact and ro_artifact, which a frame or a tab shows, whatever it is: a report is an HTML page. The browser keeps it in a sandbox of its own, without scripts, and that is
 * ours to say, so these bytes come from here. A parameter comes before the path in the URL.
 */
export function answerArtifactInPlace(asked: PolyaxonAsked, inUrl?: string): Promise<void> {
  const fromHere = { ...asked, query: { redirect: false } }
  return answerFileAt(fromHere, asked.parameters.text('path') ?? inUrl, 'inline')
}

async function answerFileAt(
  asked: PolyaxonAsked,
  given: string | undefined,
  showing: 'attachment' | 'safe' | 'inline',
): Promise<void> {
  if (given === undefined || given === '')
    throw invalid('A `path` query param is required to stream a file content')
  const path = cleanPath(given)
  if (asked.parameters.flag('render')) return answerRendered(asked, path)
  await found(asked, path, run => answerFile(asked, run, path, showing))
}

/** A notebook as a page, which has no scripts and loads nothing. */
async function answerRendered(asked: PolyaxonAsked, path: ArtifactPath): Promise<void> {
  if (!path.endsWith('.ipynb'))
    throw invalid(`Artifact with 'filepath=${path}' does not have a valid extension.`)
  describe(asked.response, { answer: 'file' })
  await found(asked, path, ({ store }) =>
    answerRepresentation(asked, {
      open: () => asked.dependencies.notebooks.open(store, path, { signal: asked.signal }),
      headers: ({ filename }) => ({ 'Content-Disposition': contentDisposition('inline', filename) }),
    }),
  )
}

/**
 * GET artifacts: a folder as a .tar.gz, by which name the client knows that it has to unpack it. A file is one too, with that file in it, or with `check_path` comes as it is.
 */
export async function answerArtifacts(asked: PolyaxonAsked): Promise<void> {
  const { parameters } = asked
  const path = cleanPath(parameters.text('path') ?? '')
  const asItIs = parameters.flag('check_path') || parameters.flag('check_file')
  await found(asked, path, async run => {
    const name = nameOf(path) || asked.reference.id
    try {
      await answerArchive(asked, run, path, name, 'tar.gz')
    } catch (error) {
      if (!isAppError(error, 'NotDirectory') || asked.response.headersSent) throw error
      if (asItIs) return answerFile(asked, run, path, 'attachment')
      const alone = { ...asked, query: { path: [name] } }
      await answerArchive(alone, run, parentOf(path), name, 'tar.gz')
    }
  })
}

/** DELETE artifact: a file, never a folder. */
export function answerArtifactRemoval(asked: PolyaxonAsked): Promise<void> {
  return remove(asked, 'A `path` query param is required to delete a file', false)
}

/** DELETE artifacts: a folder with everything in it, or a file. The run as a whole goes only where the path says so, as `/` or `.`. */
export function answerArtifactsRemoval(asked: PolyaxonAsked): Promise<void> {
  return remove(
    asked,
    'A `path` query param is required to delete artifacts. To delete all artifacts of the run, say path=/',
    true,
  )
}

async function remove(asked: PolyaxonAsked, required: string, recursive: boolean): Promise<void> {
  const given = asked.parameters.text('path')
  if (given === undefined || given === '') throw invalid(required)
  const path = cleanPath(given)
  const { reference, runs } = asked
  const isRun = path === ROOT
  const target = { type: 'artifact', reference, path, slash: false, isRun, depth: 0 } as const
  try {
    await atRun(asked, run => answerChange({ ...asked, query: { recursive } }, run, target))
  } catch (error) {
    // For the services a folder, and what is not there, are wrong requests.
    const why = isAppError(error, 'NotFound')
      ? error.message
      : isAppError(error, 'IsDirectory')
        ? 'It is a folder, which DELETE of artifacts removes.'
        : undefined
    if (why === undefined) throw error
    const what = recursive ? 'Artifacts' : 'Artifact'
    throw invalid(`${what} could not be deleted: filepath=${filepathOf(asked, path)}. ${why}`)
  }
  if (isRun) runs.forget(reference)
}

/** Tells what is not there in the words of the services. */
async function found(
  asked: PolyaxonAsked,
  path: ArtifactPath,
  answer: (run: Run) => Promise<void>,
): Promise<void> {
  try {
    await atRun(asked, answer)
  } catch (error) {
    if (!isAppError(error, 'NotFound') || asked.response.headersSent) throw error
    throw new AppError('NotFound', `Artifact not found: filepath=${filepathOf(asked, path)}`, {
      op: error.op ?? 'open',
      path,
      cause: error,
    })
  }
}

/** As the services name it: the run, and the path in it. */
function filepathOf({ reference: { id } }: PolyaxonAsked, path: ArtifactPath): string {
  return path === ROOT ? id : `${id}/${path}`
}

function invalid(message: string): AppError {
  return new AppError('InvalidArgument', message, { op: 'resolve' })
}
