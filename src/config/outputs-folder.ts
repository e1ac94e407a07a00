// Whether the outputs path can be served, as far as a start must know.
import { stat } from 'node:fs/promises'
import type { LocalDefinition } from '../store/definition.ts'

type Folder = Pick<LocalDefinition, 'path' | 'isDefault'>

/** A hung network mount must not hang the start: readiness reports it, and the service recovers with it. */
const PATIENCE_MS = 2000

/**
 * What is wrong with the outputs path, if it is the operator's fault: missing, no folder, or not to be entered. A missing default path is none, because it is
 * created. Neither is a store that fails in other ways or does not answer: that is readiness, not configuration.
 */
export async function outputsFolderFault(outputs: Folder): Promise<string | undefined> {
  const { promise: outOfPatience, resolve } = Promise.withResolvers<undefined>()
  const timer = setTimeout(() => resolve(undefined), PATIENCE_MS)
  try {
    return await Promise.race([faultOf(outputs), outOfPatience])
  } finally {
    clearTimeout(timer)
  }
}

async function faultOf({ path, isDefault }: Folder): Promise<string | undefined> {
  const expected = 'expected the path of an existing folder'
  try {
    return (await stat(path)).isDirectory() ? undefined : `${expected}, but '${path}' is not a folder`
  } catch (error) {
    switch ((error as NodeJS.ErrnoException).code) {
      case 'ENOENT':
        return isDefault ? undefined : `${expected}, but '${path}' does not exist; it is never created`
      case 'ENOTDIR':
        return `${expected}, but something before the end of '${path}' is not a folder`
      case 'EACCES':
        return `${expected}, but '${path}' may not be entered by this user`
      default:
        return undefined
    }
  }
}
