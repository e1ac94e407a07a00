// The levels above a run: owners, projects, kinds and ids, as far as the layouts' templates tell them.
import { RUN_KINDS } from '../config/config.ts'
import type { RunKind } from '../config/config.ts'
import { AppError, isAppError } from '../errors.ts'
import { isOwnFolder } from '../store/own-folder.ts'
import { compareUtf8, joinPath, nameOf, parsePath, ROOT } from '../store/path.ts'
import type { ArtifactPath } from '../store/path.ts'
import { listKey } from '../store/store.ts'
import type { ArtifactStore, Entry, ListOptions } from '../store/store.ts'
import { accepts, valueOf } from './layout.ts'
import type { RunReference, Template, Variable } from './layout.ts'
import type { Runs } from './runs.ts'

/** A level is named by what is known: {} lists owners, {owner} projects, {owner, project} kinds, and with a kind ids. */
export type Level = Partial<Pick<RunReference, 'owner' | 'project' | 'kind'>>

/** What `name` in the list of `level` names. */
export function childOf(level: Level, name: string): Partial<RunReference> {
  if (level.owner === undefined) return { owner: name }
  if (level.project === undefined) return { ...level, project: name }
  if (level.kind !== undefined) return { ...level, id: name }
  return isRunKind(name) ? { ...level, kind: name } : level
}

/**
 * The folders of a level as the store would list them: each once, in the order of `listKey`, `after` and `signal` honoured.
 *
 * NotFound when the level is named and no template leads to anything in it.
 */
export async function* listLevel(
  runs: Runs,
  level: Level,
  options: ListOptions = {},
): AsyncGenerator<readonly Entry[]> {
  const names =
    level.project !== undefined && level.kind === undefined
      ? kindsOf(runs, level, options)
      : namesOf(runs, level, options)
  let empty = true
  let last = ''
  for await (const entry of names) {
    empty = false
    const key = listKey(ROOT, entry)
    if (key === last) continue
    last = key
    if (options.after === undefined || compareUtf8(key, options.after) > 0) yield [entry]
  }
  if (empty && level.owner !== undefined && !(await levelExists(runs, level, options)))
    throw new AppError('NotFound', `There is nothing at '${Object.values(level).join('/')}/'.`, {
      op: 'list',
    })
}

/** Kinds that have at least one run. */
async function* kindsOf(runs: Runs, level: Level, options: ListOptions): AsyncGenerator<Entry> {
  for (const kind of [...RUN_KINDS].sort(compareUtf8)) {
    for await (const _entry of namesOf(runs, { ...level, kind }, options)) {
      yield folderEntry(parsePath(kind), undefined)
      break
    }
  }
}

/** Names in order, possibly repeated: the sorted lists of all templates, merged. */
async function* namesOf(runs: Runs, level: Level, options: ListOptions): AsyncGenerator<Entry> {
  const wanted: readonly Variable[] =
    level.owner === undefined ? ['owner'] : level.project === undefined ? ['project'] : ['id', 'uuid', 'name']
  const kinds = level.kind === undefined ? RUN_KINDS : [level.kind]
  const folders = new Map<string, { folder: ArtifactPath[]; variable: Variable }>()
  for (const template of kinds.flatMap(kind => runs.templatesOf(kind))) {
    const place = placeOf(template, wanted, level)
    if (place !== undefined) folders.set(`${place.folder.join('/*/')}\0${place.variable}`, place)
  }
  const others = level.owner === undefined ? idPatternsAtRoot(runs) : []
  const lists = [...folders.values()].map(({ folder, variable }) =>
    variableValues(
      runs.store,
      folder,
      name => accepts(variable, name) && !others.some(id => accepts(id, name)),
      options,
    ),
  )
  yield* merge(lists)
}

/** Where the values of one of the wanted variables stand in a template, when everything before them is known. */
function placeOf(
  template: Template,
  wanted: readonly Variable[],
  level: Level,
): { folder: ArtifactPath[]; variable: Variable } | undefined {
  const folder: string[][] = [[]]
  for (const segment of template) {
    if (segment.type === 'any') {
      folder.push([])
      continue
    }
    if (segment.type === 'variable' && wanted.includes(segment.name))
      return { folder: folder.map(piece => parsePath(piece.join('/'))), variable: segment.name }
    const text = segment.type === 'literal' ? segment.text : valueOf(segment.name, level)
    if (text === undefined) return undefined
    folder.at(-1)!.push(text)
  }
  return undefined
}

/** Variables that stand first in a template: names that fit them are runs, not owners (`{uuid}` beside `{owner}`). */
function idPatternsAtRoot(runs: Runs): readonly Variable[] {
  return RUN_KINDS.flatMap(kind => runs.templatesOf(kind)).flatMap(([first]) =>
    first?.type === 'variable' && (first.name === 'uuid' || first.name === 'id') ? [first.name] : [],
  )
}

/** Folders below `folder` (wildcards between its pieces) whose name is accepted, in order. Hidden names are nobody's. */
async function* variableValues(
  store: ArtifactStore,
  [first, ...rest]: readonly ArtifactPath[],
  accept: (name: string) => boolean,
  options: ListOptions,
): AsyncGenerator<Entry> {
  const asked = options.signal ? { signal: options.signal } : {}
  if (rest.length === 0) {
    for await (const entry of folders(store, first!, asked)) {
      const name = nameOf(entry.path)
      if (!name.startsWith('.') && accept(name)) yield folderEntry(parsePath(name), entry.lastModifiedMs)
    }
    return
  }
  // Below a wildcard the order of the ids is not the order of the folders, so they are collected: names only.
  const found = new Map<string, Entry>()
  for await (const entry of folders(store, first!, asked)) {
    const [next, ...others] = rest
    for await (const value of variableValues(
      store,
      [joinPath(entry.path, next!), ...others],
      accept,
      options,
    ))
      found.set(value.path, value)
  }
  yield* [...found.values()].sort(byKey)
}

/** The folders in a folder; nothing when it does not exist. */
async function* folders(
  store: ArtifactStore,
  folder: ArtifactPath,
  options: ListOptions,
): AsyncGenerator<Entry> {
  if (isOwnFolder(folder)) return
  try {
    for await (const batch of store.list(folder, options))
      for (const entry of batch) if (entry.type === 'directory') yield entry
  } catch (error) {
    if (!isAppError(error, 'NotFound', 'NotDirectory')) throw error
  }
}

/** Merges lists that are in order each. */
async function* merge(lists: readonly AsyncGenerator<Entry>[]): AsyncGenerator<Entry> {
  try {
    const heads = await Promise.all(lists.map(async list => ({ list, next: await list.next() })))
    for (;;) {
      let first: (typeof heads)[number] | undefined
      for (const head of heads) {
        if (head.next.done) continue
        if (first === undefined || byKey(head.next.value, first.next.value as Entry) < 0) first = head
      }
      if (first === undefined) return
      yield first.next.value as Entry
      first.next = await first.list.next()
    }
  } finally {
    await Promise.all(lists.map(list => list.return(undefined)))
  }
}

async function levelExists(runs: Runs, level: Level, options: ListOptions): Promise<boolean> {
  const kinds = level.kind === undefined ? RUN_KINDS : [level.kind]
  for (const template of kinds.flatMap(kind => runs.templatesOf(kind))) {
    const known = knownBeginning(template, level)
    if (known === ROOT || isOwnFolder(known)) continue
    try {
      await runs.store.stat(known, options.signal ? { signal: options.signal } : {})
      return true
    } catch (error) {
      if (!isAppError(error, 'NotFound', 'NotDirectory')) throw error
    }
  }
  return false
}

/** What a template says before its first wildcard or unknown variable. */
function knownBeginning(template: Template, level: Level): ArtifactPath {
  const known: string[] = []
  for (const segment of template) {
    const text =
      segment.type === 'literal'
        ? segment.text
        : segment.type === 'variable'
          ? valueOf(segment.name, level)
          : undefined
    if (text === undefined) break
    known.push(text)
  }
  return parsePath(known.join('/'))
}

const byKey = (a: Entry, b: Entry): number => compareUtf8(listKey(ROOT, a), listKey(ROOT, b))

function folderEntry(path: ArtifactPath, lastModifiedMs: number | undefined): Entry {
  return { path, type: 'directory', size: 0, lastModifiedMs, etag: '', mode: undefined }
}

/** Whether a kind is one that has runs at all. */
export function isRunKind(text: string): text is RunKind {
  return (RUN_KINDS as readonly string[]).includes(text)
}
