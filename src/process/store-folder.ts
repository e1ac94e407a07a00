// The default outputs folder at a first start.
import { stat } from 'node:fs/promises'
import type { StoreDefinition } from '../store/definition.ts'
import { makeSample } from '../sample/make.ts'
import { StartFailure } from './start-failure.ts'

/** Makes the default outputs folder with the sample in it where it is missing, and tells whether it did. A configured path is never touched. */
export async function makeMissingSample(definitions: readonly StoreDefinition[]): Promise<boolean> {
  const folder = definitions.find(definition => definition.kind === 'local' && definition.isDefault)
  if (folder?.kind !== 'local') return false
  const { path } = folder
  try {
    if (await exists(path)) return false
    return await makeSample(path)
  } catch (error) {
    const reason = (error as NodeJS.ErrnoException).code ?? String(error)
    throw new StartFailure(
      `the default outputs folder ${path} cannot be made (${reason}): set OUTPUTS_PATH to the folder that holds your runs.`,
      { cause: error },
    )
  }
}

async function exists(path: string): Promise<boolean> {
  try {
    await stat(path)
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false
    throw error
  }
}
