// Virtual environments with packages of the tests' choice, which later runs find again.
import { createHash } from 'node:crypto'
import { fileURLToPath } from 'node:url'
import { join } from 'node:path'
import { findProgram } from './programs.ts'
import { run } from './run.ts'

/** Beside the packages that npm installs, where nobody else can put theirs and nothing is committed. */
const CACHE = fileURLToPath(new URL('../../node_modules/.cache/polyaxon-outputs', import.meta.url))

/** On a slow network, and where some of the packages have to be built. */
const INSTALL_MS = 600_000

export interface PythonPackages {
  /** The environment's. One test file only may ask for it: files run side by side, and two would install it at once. */
  readonly name: string
  /** With their versions, as pip takes them. */
  readonly packages: readonly string[]
  /** Modules that show that all is there. */
  readonly imports: string
}

/** The interpreter's path; undefined where there is no Python, or no pip or network to install the packages with. */
export async function findPythonWith(wanted: PythonPackages): Promise<string | undefined> {
  const python = findProgram('python3')
  if (python === undefined) return undefined
  const version = createHash('sha256').update(wanted.packages.join()).digest('hex').slice(0, 12)
  const environment = join(CACHE, `${wanted.name}-${version}`)
  const installed = join(environment, 'bin', 'python')
  if (await imports(installed, wanted.imports)) return installed
  const made = await run(python, ['-m', 'venv', '--clear', environment])
  if (made.code !== 0) return undefined
  const install = ['-m', 'pip', 'install', '--quiet', '--retries=0', '--timeout=10', ...wanted.packages]
  await run(installed, install, { timeoutMs: INSTALL_MS })
  return (await imports(installed, wanted.imports)) ? installed : undefined
}

export async function imports(python: string, modules: string): Promise<boolean> {
  try {
    const { code } = await run(python, ['-c', `import ${modules}`])
    return code === 0
  } catch {
    // Not there to be started.
    return false
  }
}
