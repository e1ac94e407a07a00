// Polyaxon's own streams service beside ours, over the same run and at the same URLs.
import { dirname, join } from 'node:path'
import { findPythonWith } from '../../test/client/python-environment.ts'
import { POLYAXON_RUN, POLYAXON_RUNS } from '../data.ts'
import { serviceOnFolder } from '../variants.ts'
import type { Variant } from '../variants.ts'

const PACKAGES = {
  name: 'haupt',
  packages: ['haupt[streams,sandbox]==2.18.0', 'polyaxon==2.18.0'],
  imports: 'haupt, uvicorn',
}

export const HAUPT = 'haupt viewer 2.18.0'

/** URL path of a resource of the run. */
export function streamsPath(resource: string): string {
  return `/streams/v1/default/bench/data/runs/${POLYAXON_RUN}/${resource}`
}

/** In the order of the tables; without what haupt needs, why it is not there. */
export async function streamsVariants(): Promise<{ variants: Variant[]; missing: string[] }> {
  const python = await findPythonWith(PACKAGES)
  if (python !== undefined) return { variants: [service, haupt(join(dirname(python), 'haupt'))], missing: [] }
  return { variants: [service], missing: ['haupt is not installed: that takes Python and PyPI'] }
}

const service: Variant = {
  ...serviceOnFolder,
  readyPath: streamsPath('artifacts/tree'),
  command: options => serviceOnFolder.command({ ...options, root: join(options.root, POLYAXON_RUNS) }),
}

function haupt(program: string): Variant {
  return {
    name: HAUPT,
    archives: true,
    onlyManyConnections: false,
    readyPath: streamsPath('artifacts/tree'),
    command: ({ root, port, scratch }) => ({
      program,
      args: [
        ...['viewer', '--path', dirname(join(root, POLYAXON_RUNS))],
        ...['--host', '127.0.0.1', '--port', String(port), '--workers', '1'],
      ],
      env: { HOME: scratch, POLYAXON_ARCHIVES_ROOT: join(scratch, 'archives'), PYTHONWARNINGS: 'ignore' },
    }),
  }
}
