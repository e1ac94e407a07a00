// What the lock file promises of the packages that the service runs with.
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { inProduction } from '../../scripts/production.ts'

const text = readFileSync(new URL('../../package-lock.json', import.meta.url), 'utf8')
const { packages } = JSON.parse(text) as {
  packages: Record<string, { version: string; integrity?: string; dev?: boolean }>
}
const { dependencies } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
  dependencies: Record<string, string>
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

describe('the bill of materials', () => {
  const script = fileURLToPath(new URL('../../scripts/sbom.ts', import.meta.url))
  const printed = execFileSync(process.execPath, [script], { encoding: 'utf8' })
  const bill = JSON.parse(printed) as {
    bomFormat: string
    metadata: { component: { 'bom-ref': string; name: string } }
    components: { name: string; version: string; hashes: object[]; externalReferences: { type: string }[] }[]
    dependencies: { ref: string; dependsOn: string[] }[]
  }
  const refs = inProduction().map(({ name, version }) => `${name}@${version}`)

  it('is of the service, and has all that it runs with, by hash, and nothing else', () => {
    expect([bill.bomFormat, bill.metadata.component.name]).toEqual(['CycloneDX', 'polyaxon-outputs'])
    const listed = bill.components.map(({ name, version }) => `${name}@${version}`)
    expect(listed.sort()).toEqual([...refs].sort())
    expect(bill.components.filter(({ hashes }) => hashes.length === 0)).toEqual([])
  })

  it('says what needs what', () => {
    const own = bill.metadata.component['bom-ref']
    const needed = new Map(bill.dependencies.map(({ ref, dependsOn }) => [ref, dependsOn]))
    expect([...needed.keys()].sort()).toEqual([own, ...refs].sort())
    expect([...needed.values()].flat().filter(ref => !refs.includes(ref))).toEqual([])
    const pinned = Object.entries(dependencies).map(([name, version]) => `${name}@${version}`)
    expect(needed.get(own)).toEqual(expect.arrayContaining(pinned))
  })

  it('knows nothing of the machine on which it was made', () => {
    expect(printed).not.toContain(fileURLToPath(new URL('../..', import.meta.url)))
    const types = bill.components.flatMap(one => one.externalReferences.map(({ type }) => type))
    expect(types).not.toContain('distribution')
  })
})
