// A Python that can import fsspec's HTTP file system: the machine's own, or a virtual environment that later runs find again.
import { findProgram } from './programs.ts'
import { findPythonWith, imports } from './python-environment.ts'

const MODULE = 'fsspec.implementations.http'

/** The interpreter's path; undefined where there is no Python, or no pip or network to install fsspec with. */
export async function findPythonWithFsspec(): Promise<string | undefined> {
  const python = findProgram('python3')
  if (python !== undefined && (await imports(python, MODULE))) return python
  return findPythonWith({
    name: 'fsspec',
    packages: ['fsspec==2026.9.0', 'aiohttp==3.14.5'],
    imports: MODULE,
  })
}
