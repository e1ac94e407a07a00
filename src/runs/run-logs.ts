// Where Polyaxon 0.x puts the log of a run: one file for each, in a store of its own.
import type { Config, RunKind } from '../config/config.ts'
import { AppError, isAppError } from '../errors.ts'
import { nameOf, parentOf, type ArtifactPath } from '../store/path.ts'
import { MemoryStore } from '../store/memory.ts'
import type { ArtifactStore } from '../store/store.ts'
import type { RunReference } from './layout.ts'
import { Runs, type Run } from './runs.ts'

/**
 * polyaxon/polyaxon 0.6.1, `get_experiment_logs_path` and `get_job_logs_path` of polyaxon/stores/service.py, by the unique names of polyaxon/db/models/unique_names.py. The
 * other kinds have no logs there. What is an outputs folder in the layouts of outputs is the file itself here, so these are not for operators to change.
 */
const LAYOUTS: Config['layouts'] = {
  experiments: ['{owner}/{project}/experiments/{id}', '{owner}/{project}/groups/*/{id}'],
  jobs: ['{owner}/{project}/jobs/{id}'],
  builds: ['{owner}/{project}/builds/{id}'],
  groups: [],
  runs: [],
}

const KINDS_WITH_LOGS: readonly RunKind[] = ['experiments', 'jobs', 'builds']

/** Part of the keys of caches; no connection can be called so. */
const SCOPE = '\0logs'

/** `{id}.{role}`: the log of one job of a distributed experiment. */
const LOG_OF_JOB = /^(?<id>[0-9]{1,20})\.[^.]+$/

export class RunLogs {
  readonly #runs: Runs
  #absent: RunLogs | undefined

  constructor(store: ArtifactStore) {
    this.#runs = new Runs(store, LAYOUTS, SCOPE, isAnything)
  }

  /** As `Runs.absent`. */
  get absent(): RunLogs {
    return (this.#absent ??= new RunLogs(new MemoryStore()))
  }

  /**
   * The log of a run: its path, and the folder that it is in for the run's store. A distributed experiment has one log for each of its jobs, in a folder in place of the file
   * (`get_experiment_job_logs_path`); its log is that of the job that was made first (polyaxon/api/experiments/views.py, `ExperimentLogsView`).
   *
   * NotFound where there is none, or when the kind has none.
   */
  async find(
    reference: RunReference,
    signal?: AbortSignal,
  ): Promise<{ readonly run: Run; readonly path: ArtifactPath }> {
    if (!KINDS_WITH_LOGS.includes(reference.kind)) throw noLog(reference)
    try {
      const place = await this.#runs.locate(reference, signal)
      const { type } = await this.#runs.store.stat(place, signal ? { signal } : {})
      const path = type === 'file' ? place : await this.#firstJob(place, reference, signal)
      const folder = parentOf(path)
      const store = this.#runs.store.scoped(folder)
      const run = { reference, folder, store, scopeKey: `${SCOPE}\0${folder}` }
      return { run, path: nameOf(path) as ArtifactPath }
    } catch (error) {
      if (!isAppError(error, 'NotFound', 'NotDirectory')) throw error
      this.#runs.forget(reference)
      throw noLog(reference, error)
    }
  }

  async #firstJob(
    folder: ArtifactPath,
    reference: RunReference,
    signal?: AbortSignal,
  ): Promise<ArtifactPath> {
    if (reference.kind !== 'experiments') throw noLog(reference)
    let first: { readonly order: bigint; readonly path: ArtifactPath } | undefined
    for await (const batch of this.#runs.store.list(folder, signal ? { signal } : {}))
      for (const { path, type } of batch) {
        const id = LOG_OF_JOB.exec(nameOf(path))?.groups?.['id']
        if (type !== 'file' || id === undefined) continue
        const order = BigInt(id)
        if (first === undefined || order < first.order) first = { order, path }
      }
    if (first === undefined) throw noLog(reference)
    return first.path
  }
}

/** A log is a file, or a folder where an experiment is distributed. */
async function isAnything(store: ArtifactStore, path: ArtifactPath, signal?: AbortSignal): Promise<boolean> {
  try {
    await store.stat(path, signal ? { signal } : {})
    return true
  } catch (error) {
    if (isAppError(error, 'NotFound', 'NotDirectory')) return false
    throw error
  }
}

function noLog({ owner, project, kind, id }: RunReference, cause?: AppError): AppError {
  return new AppError('NotFound', `There is no log of ${kind.slice(0, -1)} '${id}' of ${owner}/${project}.`, {
    op: 'resolve',
    path: `${owner}/${project}/${kind}/${id}`,
    ...(cause && { cause }),
  })
}
