// Which real clients this machine has. A missing one is skipped by name, or fails where REQUIRE_TOOLS=1 (CI) says that all must be there.
import { accessSync, constants } from 'node:fs'
import { delimiter, join } from 'node:path'
import { describe, it } from 'vitest'

/** The path of the first of `names` that is on PATH. */
export function findProgram(...names: string[]): string | undefined {
  const folders = (process.env['PATH'] ?? '').split(delimiter).filter(folder => folder !== '')
  return names.flatMap(name => folders.map(folder => join(folder, name))).find(isExecutable)
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}

/**
 * A describe block about one client: `found` is its path, or what else shows that it is there.
 *
 * Without it one test stands for the block, whose title says what is missing: skipped, or failing with REQUIRE_TOOLS=1.
 */
export function describeClient<T>(client: string, found: T | undefined, body: (client: T) => void): void {
  if (found !== undefined) describe(client, () => body(found))
  else
    it.skipIf(process.env['REQUIRE_TOOLS'] !== '1')(`${client} is not installed`, () => {
      throw new Error(`REQUIRE_TOOLS=1 says that ${client} must be installed.`)
    })
}
