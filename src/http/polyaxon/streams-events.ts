// What a run has recorded of itself: its events, and its use of resources.
import { assetPaths } from '../../content/event-assets.ts'
import { eventsJson, type EventsForm } from '../../content/event-file.ts'
import { openEventText } from '../../content/event-text.ts'
import { AppError, isAppError } from '../../errors.ts'
import { nameOf, parsePath, ROOT, type ArtifactPath } from '../../store/path.ts'
import type { ReadableStore } from '../../store/store.ts'
import { describe } from '../exchange.ts'
import { answerSelection } from '../routes/archive.ts'
import { untilUnchanged } from '../routes/representation.ts'
import { sendJsonText } from './answers.ts'
import { askOfRun, runOf, type PolyaxonAsked } from './asked.ts'

/** The kinds of artifacts that Polyaxon knows, all of which may have events. */
const KINDS = new Set(
  (
    'model audio video histogram image tensor dataframe chart csv tsv psv ssv metric env html text file dir dockerfile docker_image data coderef table tensorboard curve ' +
    'confusion analysis iteration markdown system artifact span'
  ).split(' '),
)

const RESOURCES = parsePath('resources/metric')

/** Longer names of archives say less than the run and the kind. */
const MAX_FILENAME = 200

/** An event file of a run, which may not be there. */
interface EventFile {
  readonly name: string
  readonly kind: string
  readonly path: ArtifactPath
}

/** GET events/{kind}: the files that `names` names, or with `pkg_assets` an archive of them and of the files that they speak of. What is not there is left out. */
export async function answerEvents(asked: PolyaxonAsked, kind: string): Promise<void> {
  checkKind(kind)
  const files = eventFiles(kind, listed(asked, 'names'))
  if (asked.parameters.flag('pkg_assets')) return answerPackage(asked, kind, files)
  const form = formOf(asked)
  await answerJson(asked, async function* () {
    const run = await ifAny(runOf(asked))
    yield* wrapped('{"data":[', run && filesJson(run.store, files, form, asked.signal), ']}')
  })
}

/** GET runs/multi/events/{kind}: of several runs, which the parameter `runs` names; the reference has none. A run that is not there has no events. */
export async function answerMultiRunEvents(asked: PolyaxonAsked, kind: string): Promise<void> {
  checkKind(kind)
  const ids = listed(asked, 'runs')
  const files = eventFiles(kind, listed(asked, 'names'))
  const form = formOf(asked)
  // Of all of them before anything is sent.
  const runs: (readonly [id: string, asked: PolyaxonAsked | undefined])[] = []
  for (const id of ids) runs.push([id, await ifAny(askOfRun(asked, id))])
  await answerJson(asked, () => wrapped('{"data":{', runsJson(runs, files, form), '}}'))
}

async function* runsJson(
  runs: readonly (readonly [id: string, asked: PolyaxonAsked | undefined])[],
  files: readonly EventFile[],
  form: EventsForm,
): AsyncGenerator<string, void> {
  let before = ''
  for (const [id, asked] of runs) {
    const run = asked && (await ifAny(runOf(asked)))
    const events = asked && run && filesJson(run.store, files, form, asked.signal)
    yield* wrapped(`${before}${JSON.stringify(id)}:[`, events, ']')
    before = ','
  }
}

/** GET resources: as events, of the machine that the run is on. All of them where no names are given. */
export async function answerResources(asked: PolyaxonAsked): Promise<void> {
  const names = asked.parameters.list('names') ?? []
  const form = formOf(asked)
  await answerJson(asked, async function* () {
    const run = await ifAny(runOf(asked))
    const files = run && (names.length > 0 ? resourceFiles(names) : allResourceFiles(run.store, asked.signal))
    yield* wrapped('{"data":[', run && files && filesJson(run.store, files, form, asked.signal), ']}')
  })
}

async function answerJson(asked: PolyaxonAsked, json: () => AsyncGenerator<string>): Promise<void> {
  describe(asked.response, { answer: 'events' })
  asked.dependencies.limits.logs.take(asked.request, asked.response)
  await untilUnchanged(asked, () => sendJsonText(asked, json()))
}

function checkKind(kind: string): void {
  if (!KINDS.has(kind)) throw invalid(`received an unrecognisable event ${kind}.`)
}

function listed({ parameters }: PolyaxonAsked, name: 'names' | 'runs'): readonly string[] {
  const items = parameters.list(name)
  if (items !== undefined) return items
  const what = name === 'names' ? 'the names of events' : 'the uuids of runs'
  throw invalid(`The query parameter '${name}' is missing: give ${what}, separated by commas.`)
}

function formOf({ parameters }: PolyaxonAsked): EventsForm {
  const orient = parameters.text('orient') || 'dict'
  if (orient !== 'dict' && orient !== 'csv')
    throw invalid("The query parameter 'orient' is either dict or csv.")
  const sample = parameters.text('sample') || undefined
  if (sample !== undefined && !/^\d{1,15}$/.test(sample))
    throw invalid("The query parameter 'sample' is the number of rows to have at most.")
  return { orient, sample: sample === undefined ? undefined : Number(sample) }
}

function invalid(message: string): AppError {
  return new AppError('InvalidArgument', message, { op: 'parse' })
}

function eventFiles(kind: string, names: readonly string[]): EventFile[] {
  return names.flatMap(name => fileIn(`events/${kind}`, name, kind))
}

function resourceFiles(names: readonly string[]): EventFile[] {
  return names.flatMap(name => fileIn(RESOURCES, name, 'metric'))
}

/** None for a name that no file can have: the writers of events put no slashes into names. */
function fileIn(folder: string, name: string, kind: string): EventFile[] {
  if (name.includes('/')) return []
  try {
    return [{ name, kind, path: parsePath(`${folder}/${name}.plx`) }]
  } catch (error) {
    if (isAppError(error, 'InvalidPath')) return []
    throw error
  }
}

async function* allResourceFiles(store: ReadableStore, signal: AbortSignal): AsyncGenerator<EventFile, void> {
  try {
    for await (const entries of store.list(RESOURCES, { signal }))
      for (const { path, type } of entries)
        if (type === 'file' && path.endsWith('.plx'))
          yield { name: nameOf(path).slice(0, -'.plx'.length), kind: 'metric', path }
  } catch (error) {
    if (!isAppError(error, 'NotFound', 'NotDirectory')) throw error
  }
}

/** Undefined for a run that is not there, and for what no run can be called. */
async function ifAny<T>(run: Promise<T>): Promise<T | undefined> {
  try {
    return await run
  } catch (error) {
    if (isAppError(error, 'NotFound', 'InvalidPath')) return undefined
    throw error
  }
}

/** The events of each file that is there, with commas between. One file is open at a time. */
async function* filesJson(
  store: ReadableStore,
  files: AsyncIterable<EventFile> | readonly EventFile[],
  form: EventsForm,
  signal: AbortSignal,
): AsyncGenerator<string, void> {
  let before = ''
  for await (const file of files) {
    const text = await openEventText(store, file.path, signal)
    if (text === undefined) continue
    try {
      const json = await eventsJson(text, file, form, signal)
      if (json === undefined) continue
      yield* wrapped(before, json, '')
      before = ','
    } finally {
      await text.close()
    }
  }
}

/** Nothing is given before there is something of `pieces`, so that a failure at the beginning can still be answered as one. */
async function* wrapped(
  head: string,
  pieces: AsyncIterable<string> | undefined,
  tail: string,
): AsyncGenerator<string, void> {
  let before = head
  for await (const piece of pieces ?? []) {
    yield before + piece
    before = ''
  }
  yield before + tail
}

/** The client unpacks what is called .tar.gz into the run's folder. */
async function answerPackage(asked: PolyaxonAsked, kind: string, files: readonly EventFile[]): Promise<void> {
  const run = await ifAny(runOf(asked))
  const paths = run && (await untilUnchanged(asked, () => packagePaths(asked, run.store, files)))
  if (run === undefined || paths === undefined || paths.length === 0)
    throw new AppError('NotFound', `Artifact not found: the run has none of these events of kind ${kind}.`, {
      op: 'archive',
    })
  const { id } = asked.reference
  const filename = `${id}.${kind}.${files.map(({ name }) => name).join('-and-')}`
  await answerSelection(asked, run, {
    folder: ROOT,
    selection: { paths, skipsMissing: true },
    filename: filename.length > MAX_FILENAME ? `${id}.${kind}` : filename,
    format: 'tar.gz',
  })
}

async function packagePaths(
  { signal, dependencies }: PolyaxonAsked,
  store: ReadableStore,
  files: readonly EventFile[],
): Promise<ArtifactPath[]> {
  const { maxEntries } = dependencies.archives
  const paths = new Set<ArtifactPath>()
  for (const { path, kind } of files) {
    const text = await openEventText(store, path, signal)
    if (text === undefined) continue
    try {
      paths.add(path)
      for (const asset of await assetPaths(text, kind, maxEntries - paths.size, signal)) paths.add(asset)
    } finally {
      await text.close()
    }
  }
  return [...paths]
}
