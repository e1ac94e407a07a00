// From a request's identity to the store and folder of its run. Nothing here knows HTTP.
import { LRUCache } from 'lru-cache'
import type { RunKind } from '../config/config.ts'
import { AppError, isAppError } from '../errors.ts'
import { folderAt } from '../store/folder-at.ts'
import { MemoryStore } from '../store/memory.ts'
import { isOwnFolder } from '../store/own-folder.ts'
import { joinPath } from '../store/path.ts'
import type { ArtifactPath } from '../store/path.ts'
import type { ArtifactStore } from '../store/store.ts'
import { fill, parseTemplate } from './layout.ts'
import type { RunReference, Template } from './layout.ts'

export interface Run {
  readonly reference: RunReference
  /** Of the outputs, as the whole store calls it. */
  readonly folder: ArtifactPath
  /** The store confined to the run's outputs. */
  readonly store: ArtifactStore
  /** Names the run's folder among all stores: part of the keys of caches. */
  readonly scopeKey: string
}

const KNOWN_RUNS = 10_000
const KNOWN_FOR_MS = 30_000
/** Candidate folders asked for at once while looking for a grouped experiment. */
const LOOKS_AT_ONCE = 16

export class Runs {
  readonly #store: ArtifactStore
  readonly #layouts: Readonly<Record<RunKind, readonly string[]>>
  readonly #connection: string
  readonly #templates: ReadonlyMap<RunKind, readonly Template[]>
  readonly #isThere: Looks
  /** Where runs were found whose kind has several possible places. */
  readonly #found = new LRUCache<string, ArtifactPath>({ max: KNOWN_RUNS, ttl: KNOWN_FOR_MS })
  #absent: Runs | undefined

  /** `connection` names the store among all that are configured; `isThere` says whether a place that a template gives has the run. */
  constructor(
    store: ArtifactStore,
    layouts: Readonly<Record<RunKind, readonly string[]>>,
    connection: string,
    isThere: Looks = isFolder,
  ) {
    this.#store = store
    this.#layouts = layouts
    this.#connection = connection
    this.#isThere = isThere
    this.#templates = new Map(
      Object.entries(layouts).map(([kind, templates]) => [kind as RunKind, templates.map(parseTemplate)]),
    )
  }

  get store(): ArtifactStore {
    return this.#store
  }

  /** The same runs, of which there are none: for who may not know of any, and to whom nothing must look different from that. Not to be written to. */
  get absent(): Runs {
    return (this.#absent ??= new Runs(
      new MemoryStore(),
      this.#layouts,
      `${this.#connection}\0absent`,
      this.#isThere,
    ))
  }

  templatesOf(kind: RunKind): readonly Template[] {
    return this.#templates.get(kind) ?? []
  }

  /**
   * The run, whose folder need not exist when its kind has a single place: the store then answers NotFound by itself.
   *
   * NotFound when the id does not fit the kind or no place has it.
   */
  async resolve(reference: RunReference, signal?: AbortSignal): Promise<Run> {
    return this.#runAt(await this.locate(reference, signal), reference)
  }

  /** Where `resolve` finds the run; fails as it does. */
  async locate(reference: RunReference, signal?: AbortSignal): Promise<ArtifactPath> {
    const places = this.templatesOf(reference.kind)
      .map(template => fill(template, reference))
      .filter(place => place !== undefined)
    const only = places.length === 1 ? places[0] : undefined
    if (only?.length === 1) return outsideOwn(only[0]!, reference)

    const key = referenceKey(reference)
    const folder = this.#found.get(key) ?? (await this.#find(places, signal))
    if (folder === undefined) throw noSuchRun(reference)
    this.#found.set(key, folder, { noUpdateTTL: true })
    return folder
  }

  /**
   * The run as `resolve` gives it, or where its first artifact is to be put: in the first place of its kind that has no wildcard. NotFound when the id does not fit the kind, or no
   * place is known before the run exists.
   */
  async resolveOrPlace(reference: RunReference, signal?: AbortSignal): Promise<Run> {
    try {
      return await this.resolve(reference, signal)
    } catch (error) {
      const place = this.templatesOf(reference.kind)
        .map(template => fill(template, reference))
        .find(pieces => pieces?.length === 1)
      if (!isAppError(error, 'NotFound') || place === undefined) throw error
      return this.#runAt(place[0]!, reference)
    }
  }

  /** Makes the next `resolve` look again: called when a run turned out not to be where it was. */
  forget(reference: RunReference): void {
    this.#found.delete(referenceKey(reference))
  }

  #runAt(folder: ArtifactPath, reference: RunReference): Run {
    const store = this.#store.scoped(outsideOwn(folder, reference))
    return { reference, folder, store, scopeKey: `${this.#connection}\0${folder}` }
  }

  async #find(
    places: readonly (readonly ArtifactPath[])[],
    signal?: AbortSignal,
  ): Promise<ArtifactPath | undefined> {
    for (const [first, ...rest] of places) {
      const folder = await this.#findBelow(first!, rest, signal)
      if (folder !== undefined) return folder
    }
    return undefined
  }

  /** `rest` has one path for each wildcard: what comes after it. */
  async #findBelow(
    folder: ArtifactPath,
    rest: readonly ArtifactPath[],
    signal?: AbortSignal,
  ): Promise<ArtifactPath | undefined> {
    const [next, ...others] = rest
    if (isOwnFolder(folder)) return undefined
    if (next === undefined) return (await this.#isThere(this.#store, folder, signal)) ? folder : undefined
    try {
      for await (const batch of this.#store.list(folder, signal ? { signal } : {})) {
        const children = batch
          .filter(entry => entry.type === 'directory')
          .map(entry => joinPath(entry.path, next))
        for (let i = 0; i < children.length; i += LOOKS_AT_ONCE) {
          const looks = children
            .slice(i, i + LOOKS_AT_ONCE)
            .map(child => this.#findBelow(child, others, signal))
          const found = (await Promise.all(looks)).find(path => path !== undefined)
          if (found !== undefined) return found
        }
      }
    } catch (error) {
      if (!isAppError(error, 'NotFound', 'NotDirectory')) throw error
    }
    return undefined
  }
}

type Looks = (store: ArtifactStore, path: ArtifactPath, signal?: AbortSignal) => Promise<boolean>

/** What the service keeps for itself is no run. */
function outsideOwn(folder: ArtifactPath, reference: RunReference): ArtifactPath {
  if (isOwnFolder(folder)) throw noSuchRun(reference)
  return folder
}

async function isFolder(store: ArtifactStore, path: ArtifactPath, signal?: AbortSignal): Promise<boolean> {
  try {
    await folderAt(store, path, signal ? { signal } : {})
    return true
  } catch (error) {
    if (isAppError(error, 'NotFound', 'NotDirectory')) return false
    throw error
  }
}

function referenceKey({ owner, project, kind, id }: RunReference): string {
  return `${owner}/${project}/${kind}/${id}`
}

/** Whether a URL has named everything that a run is named by. */
export function isRunReference(of: Partial<RunReference>): of is RunReference {
  return of.owner !== undefined && of.project !== undefined && of.kind !== undefined && of.id !== undefined
}

export function noSuchRun({ owner, project, kind, id }: RunReference): AppError {
  return new AppError('NotFound', `There is no ${kind.slice(0, -1)} '${id}' in ${owner}/${project}.`, {
    op: 'resolve',
    path: `${owner}/${project}/${kind}/${id}`,
  })
}
