// What is loaded for which store: SDKs cost start-up time and memory, so only those of configured stores are.
import { spawnSync } from 'node:child_process'
import { pathToFileURL } from 'node:url'
import { expect, it } from 'vitest'

const OPEN = pathToFileURL('src/store/open.ts').href

/** The packages that a process has loaded after it opened a store. */
function packagesOf(definition: object): string[] {
  const common = { name: 'x', readOnly: false, delivery: 'proxy' }
  const script = `
    import { registerHooks } from 'node:module'
    const found = new Set()
    registerHooks({
      load(url, context, next) {
        const [, name] = /\\/node_modules\\/((?:@[^/]+\\/)?[^/]+)\\//.exec(url) ?? []
        if (name !== undefined) found.add(name)
        return next(url, context)
      },
    })
    const { openStores } = await import(${JSON.stringify(OPEN)})
    const limits = { maxOperations: 4, deadlineMs: 1000 }
    const stores = await openStores([${JSON.stringify({ ...common, ...definition })}], limits)
    for (const store of stores.values()) await store.close()
    console.log(JSON.stringify([...found]))`
  const { stdout, stderr, status } = spawnSync(process.execPath, ['--input-type=module', '-e', script], {
    encoding: 'utf8',
  })
  expect(status, stderr).toBe(0)
  return JSON.parse(stdout) as string[]
}

const isSdk = (name: string): boolean => /^@(aws-sdk|smithy|google-cloud|azure)\//.test(name)

it('loads no SDK for a local store', () => {
  expect(packagesOf({ kind: 'local', path: process.cwd(), isDefault: false }).filter(isSdk)).toEqual([])
})

it("loads the SDK of S3 for a bucket there, and no other cloud's", () => {
  const bucket = { bucket: 'b', prefix: '', maxConnections: 4, signedUrlSeconds: 60, requesterPays: false }
  const sdks = packagesOf({ kind: 's3', ...bucket }).filter(isSdk)
  expect(sdks).toContain('@aws-sdk/client-s3')
  expect(sdks.filter(name => !/^@(aws-sdk|smithy)\//.test(name))).toEqual([])
})
