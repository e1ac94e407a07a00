// Prints a bill of materials (CycloneDX) of what the service runs with: `npm run sbom`.
import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { inProduction } from './production.ts'

interface Component {
  readonly 'bom-ref': string
  readonly name: string
  readonly externalReferences?: readonly { readonly type: string }[]
}

interface Bill {
  readonly metadata: { readonly component: Component }
  readonly components: readonly Component[]
  readonly dependencies: readonly { readonly ref: string; readonly dependsOn: readonly string[] }[]
}

const root = fileURLToPath(new URL('..', import.meta.url))
const { name } = JSON.parse(readFileSync(`${root}/package.json`, 'utf8')) as { name: string }

// From the lock file, so that it does not matter what is installed here. With `--omit dev` npm leaves out what development dependencies need too, such as ajv and yaml.
const options = ['--package-lock-only', '--sbom-format=cyclonedx', '--sbom-type=application']
const { stdout, stderr, status } = spawnSync('npm', ['sbom', ...options], {
  cwd: root,
  encoding: 'utf8',
  maxBuffer: 2 ** 26,
})
if (status === 0)
  process.stdout.write(`${JSON.stringify(inProductionOnly(JSON.parse(stdout) as Bill), null, 2)}\n`)
else {
  process.stderr.write(`npm made no bill of materials. ${stderr}`)
  process.exitCode = 1
}

function inProductionOnly(bill: Bill): Bill {
  const licences = new Map(inProduction().map(one => [`${one.name}@${one.version}`, one.licence]))
  const { component } = bill.metadata
  const isListed = (ref: string): boolean => licences.has(ref) || ref === component['bom-ref']
  return {
    ...bill,
    // npm calls it after the folder in which it lies.
    metadata: { ...bill.metadata, component: { ...component, name } },
    components: bill.components
      .filter(one => licences.has(one['bom-ref']))
      .map(one => ({
        ...one,
        // Where a package was fetched from is another place for everybody.
        externalReferences: one.externalReferences?.filter(({ type }) => type !== 'distribution') ?? [],
        licenses: [{ license: { id: licences.get(one['bom-ref'])! } }],
      })),
    dependencies: bill.dependencies
      .filter(({ ref }) => isListed(ref))
      .map(({ ref, dependsOn }) => ({ ref, dependsOn: dependsOn.filter(isListed) })),
  }
}
