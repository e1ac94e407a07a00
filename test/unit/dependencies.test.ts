// What the lock file promises of the packages that the service runs with.
import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'

const text = readFileSync(new URL('../../package-lock.json', import.meta.url), 'utf8')
const { packages } = JSON.parse(text) as {
  packages: Record<string, { version: string; integrity?: string; dev?: boolean }>
}

/** Below these, URLs or forms of an attacker stop the process or take it minutes (CVE-2024-45296, CVE-2026-4867, CVE-2026-5079, CVE-2024-29041). */
const LEAST: Readonly<Record<string, readonly [number, number]>> = {
  express: [5, 2],
  'path-to-regexp': [8, 4],
  multer: [2, 2],
}

describe('the lock file', () => {
  it.each(Object.entries(LEAST))('has %s in no version below %j', (name, [major, minor]) => {
    const versions = Object.entries(packages)
      .filter(([place, { dev }]) => place.endsWith(`node_modules/${name}`) && dev !== true)
      .map(([, { version }]) => version)
    expect(versions.length).toBeGreaterThan(0)
    for (const version of versions) {
      const [ofMajor = 0, ofMinor = 0] = version.split('.').map(Number)
      expect(ofMajor * 1000 + ofMinor, version).toBeGreaterThanOrEqual(major * 1000 + minor)
    }
  })

  it('knows every package by its hash, and no registry', () => {
    const places = Object.keys(packages).filter(place => place !== '')
    expect(places.filter(place => packages[place]!.integrity === undefined)).toEqual([])
    expect(text).not.toContain('"resolved"')
  })
})
