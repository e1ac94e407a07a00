// A Python that can import fsspec's HTTP file system: the machine's own, or a virtual environment that later runs find again.
import { createHash } from 'node:crypto'
import { fileURLToPath } from 'node:url'
import { join } from 'node:path'
import { findProgram } from './programs.ts'
import { run } from './run.ts'

const PACKAGES = ['fsspec==2026.9.0', 'aiohttp==3.14.5']

/** Beside the packages that npm installs, where nobody else can put theirs and nothing is committed. */
const CACHE = fileURLToPath(new URL('../../node_modules/.cache/polyaxon-outputs', import.meta.url))

/** The interpreter's path; undefined where there is no Python, or no pip or network to install fsspec with. */
export async function findPythonWithFsspec(): Promise<string | undefined> {
  const python = findProgram('python3')
  if (python === undefined) return undefined
  if (await importsFsspec(python)) return python
  const version = createHash('sha256').update(PACKAGES.join()).digest('hex').slice(0, 12)
  const environment = join(CACHE, `fsspec-${version}`)
  const installed = join(environment, 'bin', 'python')
  if (await importsFsspec(installed)) return installed
  const made = await run(python, ['-m', 'venv', '--clear', environment])
  if (made.code !== 0) return undefined
  await run(installed, ['-m', 'pip', 'install', '--quiet', '--retries=0', '--timeout=10', ...PACKAGES])
  return (await importsFsspec(installed)) ? installed : undefined
}

async function importsFsspec(python: string): Promise<boolean> {
  try {
    const { code } = await run(python, ['-c', 'import fsspec.implementations.http'])
    return code === 0
  } catch {
    // Not there to be started.
    return false
  }
}
