// The settings of signed links.
import { resolve } from 'node:path'
import type { LinksDefinition } from './config.ts'
import type { Fault } from './fault.ts'
import { parseLinkKeys } from './link-keys.ts'
import type { Values } from './settings.ts'
import { readTextFile, unreadable } from './text-file.ts'

/** Undefined where nothing is signed. */
export function linksOf(values: Values, cwd: string): LinksDefinition | undefined {
  const file = values['auth.links.keysFile']
  return file === '' ? undefined : { keysFile: resolve(cwd, file), maxAgeMs: values['auth.links.maxAge'] }
}

/** `where` is the place of the setting. Never rejects for what an operator wrote. */
export async function linksFaults(
  values: Values,
  links: LinksDefinition | undefined,
  where: string,
): Promise<readonly Fault[]> {
  if (links === undefined) return []
  try {
    return parseLinkKeys(await readTextFile(links.keysFile), values['auth.links.keysFile']).faults
  } catch (error) {
    return [{ where, problem: unreadable(error, 'a file of keys') }]
  }
}
