// The real client of Polyaxon 2.x: its Python library, which one process keeps loaded, and its command line.
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { OWNER, PROJECT } from './polyaxon-api.ts'
import type { ServedRuns } from './polyaxon-runs.ts'
import { PythonSession } from './python-session.ts'
import { run as runProgram, type Finished } from './run.ts'

const SCRIPT = fileURLToPath(new URL('python/polyaxon_2.py', import.meta.url))

/** One call of a method of RunClient. */
export interface Call {
  readonly run: string
  readonly method: string
  readonly arguments: Arguments
}

type Arguments = Readonly<Record<string, unknown>>

export type Outcome = { readonly returned: unknown } | { readonly raised: string; readonly said: string }

export class Polyaxon2 {
  readonly #python: string
  readonly #runs: ServedRuns
  readonly #session: PythonSession
  #folder = ''

  private constructor(python: string, runs: ServedRuns, session: PythonSession) {
    this.#python = python
    this.#runs = runs
    this.#session = session
  }

  static async start(python: string, runs: ServedRuns): Promise<Polyaxon2> {
    const cwd = await runs.makeFolder()
    const session = await PythonSession.start(python, SCRIPT, { cwd, env: surroundings(runs, cwd) })
    return new Polyaxon2(python, runs, session)
  }

  /** Makes the client work in a new, empty folder, to which relative paths belong. */
  async moveToNewFolder(): Promise<string> {
    this.#folder = await this.#runs.makeFolder()
    return this.#folder
  }

  /** Makes all calls at once; `awaited` by AsyncRunClient. */
  async outcomes(calls: readonly Call[], awaited = false): Promise<Outcome[]> {
    return (await this.#session.ask({ calls, awaited, folder: this.#folder })) as Outcome[]
  }

  /** What the call returns; fails with what it raises. */
  async call(run: string, method: string, given: Arguments, awaited = false): Promise<unknown> {
    const [outcome] = await this.outcomes([{ run, method, arguments: given }], awaited)
    if (!('returned' in outcome!)) throw new Error(`${method}: ${outcome!.raised}: ${outcome!.said}`)
    return outcome.returned
  }

  /** `polyaxon ops`, which without a path downloads to the folder `archives`. */
  ops(...args: readonly string[]): Promise<Finished> {
    const polyaxon = join(dirname(this.#python), 'polyaxon')
    const env = surroundings(this.#runs, this.#folder)
    return runProgram(polyaxon, ['ops', ...args, '-p', `${OWNER}/${PROJECT}`], { cwd: this.#folder, env })
  }

  close(): Promise<void> {
    return this.#session.close()
  }
}

/** What the client is told, with a home of its own below `folder`. */
function surroundings({ api }: ServedRuns, folder: string): Record<string, string> {
  return {
    HOME: join(folder, 'home'),
    POLYAXON_HOST: api.url,
    POLYAXON_AUTH_TOKEN: 'secret-of-ann',
    POLYAXON_ARCHIVES_ROOT: join(folder, 'archives'),
    COLUMNS: '200',
  }
}
