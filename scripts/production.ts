// The packages that the service runs with, from the lock file.
import { readFileSync } from 'node:fs'

export interface Licensed {
  readonly name: string
  readonly version: string
  /** SPDX, or 'unknown'. */
  readonly licence: string
}

interface Locked {
  readonly version: string
  readonly license?: string
  readonly dev?: boolean
  readonly devOptional?: boolean
}

/** Packages whose manifest says it in a form of old (`licenses`), which the lock file does not have. */
const READ: Readonly<Record<string, string>> = { busboy: 'MIT', streamsearch: 'MIT' }

/** Every package that is installed without the development dependencies, on whichever platform, each version once, in order. */
export function inProduction(): Licensed[] {
  const lock = JSON.parse(readFileSync(new URL('../package-lock.json', import.meta.url), 'utf8')) as {
    readonly packages: Readonly<Record<string, Locked>>
  }
  const found = new Map<string, Licensed>()
  for (const [place, { version, license, dev, devOptional }] of Object.entries(lock.packages)) {
    if (place === '' || dev === true || devOptional === true) continue
    const name = place.slice(place.lastIndexOf('node_modules/') + 'node_modules/'.length)
    found.set(`${name}@${version}`, { name, version, licence: license ?? READ[name] ?? 'unknown' })
  }
  return [...found.values()].sort((a, b) => compare(a.name, b.name) || compare(a.version, b.version))
}

function compare(a: string, b: string): number {
  return a < b ? -1 : Number(a > b)
}
