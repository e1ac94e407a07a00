// The configurations that the documents show: every one is loaded as it stands, in a place where its folders and secrets exist.
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { generateKeyPairSync } from 'node:crypto'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import { allStores } from '../../src/config/config.ts'
import { loadConfig } from '../../src/config/load.ts'

const docs = new URL('../../docs/', import.meta.url)

let root: string
beforeAll(() => {
  root = realpathSync(mkdtempSync(join(tmpdir(), 'documents-')))
})
afterAll(() => rmSync(root, { recursive: true }))

interface Example {
  readonly title: string
  readonly yaml: string
}

/** The YAML blocks of a document that configure stores. */
function examplesIn(file: string): Example[] {
  const lines = readFileSync(new URL(file, docs), 'utf8').split('\n')
  const starts = lines.flatMap((line, index) => (line === '```yaml' ? [index + 1] : []))
  return starts
    .map(start => ({
      title: `${file} line ${start + 1}`,
      yaml: lines.slice(start, lines.indexOf('```', start)).join('\n'),
    }))
    .filter(({ yaml }) => /^(persistence|artifactsStore|connections):/m.test(yaml))
}

/** Of every kind of store. */
const KEYS = {
  ...{ AWS_ACCESS_KEY_ID: 'a', AWS_SECRET_ACCESS_KEY: 'b' },
  ...{
    client_email: 'a@b',
    private_key: generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' }),
  },
  ...{ AZURE_ACCOUNT_NAME: 'companyaccount', AZURE_ACCOUNT_KEY: 'a2V5' },
}

/** The JSON that a document puts into a secret, by `cat > FILE <<'JSON'`. */
function secretsIn(file: string): string[] {
  const text = readFileSync(new URL(file, docs), 'utf8')
  return [...text.matchAll(/<<'JSON'\n(.*?)\nJSON\n/gs)].map(([, json]) => json!.replaceAll('…', 'a2V5'))
}

/** Loads `yaml` with its absolute paths moved below a temporary folder, in which they exist, and its secrets too. */
async function loadExample(yaml: string, keys = JSON.stringify(KEYS)) {
  const cwd = mkdtempSync(join(root, 'example-'))
  const moved = yaml.replaceAll(/(mountPath|caFile): '?(\/[^'\s]*)'?/g, (_, field: string, path: string) => {
    const there = join(cwd, path)
    mkdirSync(field === 'caFile' ? dirname(there) : there, { recursive: true })
    if (field === 'caFile') writeFileSync(there, '-----BEGIN CERTIFICATE-----\n')
    else writeFileSync(join(there, 'all.json'), JSON.stringify(KEYS))
    return `${field}: ${there}`
  })
  const secrets = [...yaml.matchAll(/secret: ([\w.-]+)\n\s+secretKey: ([\w.-]+)/g)]
  for (const [, secret, key] of secrets) {
    mkdirSync(join(cwd, 'secrets', secret!), { recursive: true })
    writeFileSync(join(cwd, 'secrets', secret!, key!), keys)
  }
  writeFileSync(join(cwd, 'example.yaml'), moved)
  return loadConfig({ argv: ['--config', 'example.yaml'], env: { SECRETS_PATH: 'secrets' }, cwd })
}

async function storesOf(yaml: string): Promise<string[]> {
  const loaded = await loadExample(yaml)
  if (loaded.outcome !== 'config') throw new Error(JSON.stringify(loaded))
  expect(loaded.warnings).toEqual([])
  return allStores(loaded.config).map(store =>
    store.kind === 'local'
      ? `${store.name}: a folder${store.readOnly ? ', read-only' : ''}`
      : `${store.name}: ${store.kind} ${store.bucket}/${store.prefix}${store.secret === undefined ? '' : ` by ${store.secret.label}`}`,
  )
}

it('the examples of the configuration page are the stores that it says they are', async () => {
  const stores = []
  for (const { yaml } of examplesIn('configuration.md')) stores.push(await storesOf(yaml))
  expect(stores).toEqual([
    ['outputs: a folder'],
    ['outputs: a folder, read-only'],
    ["outputs: s3 company-outputs/polyaxon/ by the secret 'polyaxon-keys'"],
    ["outputs: gcs company-outputs/ by the secret 'polyaxon-keys'"],
    ['outputs: azure outputs/polyaxon/'],
    ['recent: a folder', "archive: s3 company-archive/ by the secret 'polyaxon-keys'"],
    ["outputs: s3 outputs/ by the secret 'polyaxon-keys'"],
    ["artifacts: s3 company-artifacts/ by the secret 'polyaxon-keys'", 'datasets: a folder, read-only'],
    ['outputs: a folder', "persistence.logs: s3 company-logs/ by the secret 'polyaxon-keys'"],
  ])
})

describe('the pages on kinds of stores and on Polyaxon', () => {
  const pages = readdirSync(new URL('stores/', docs)).filter(file => file.endsWith('.md'))
  it.each([...pages.map(page => `stores/${page}`), 'polyaxon.md'].flatMap(examplesIn))(
    'have an example that works: $title',
    async ({ yaml }) => {
      expect((await storesOf(yaml)).length).toBeGreaterThan(0)
    },
  )
})

describe('the secrets that a page shows', () => {
  it.each([
    ['stores/s3.md', 1],
    ['stores/azure.md', 1],
  ])('hold what the store of %s can use', async (page, count) => {
    const secrets = secretsIn(page)
    expect(secrets).toHaveLength(count)
    const [example] = examplesIn(page)
    for (const json of secrets)
      expect(await loadExample(example!.yaml, json)).toMatchObject({ outcome: 'config', warnings: [] })
  })

  it('in its other JSON are JSON too', () => {
    for (const page of readdirSync(new URL('stores/', docs))) {
      const text = readFileSync(new URL(`stores/${page}`, docs), 'utf8')
      for (const [, json] of text.matchAll(/```json\n(.*?)```/gs)) JSON.parse(json!)
    }
  })

  it('would be faults without one of their names', async () => {
    const [json] = secretsIn('stores/s3.md')
    const [example] = examplesIn('stores/s3.md')
    const faulty = await loadExample(example!.yaml, json!.replace('AWS_SECRET_ACCESS_KEY', 'SECRET'))
    expect(faulty).toMatchObject({ outcome: 'faults' })
  })
})

interface Compose {
  readonly services: Readonly<
    Record<
      string,
      { read_only?: boolean; configs?: unknown; secrets?: unknown; environment?: Record<string, string> }
    >
  >
}

describe('docker-compose.yml', () => {
  const compose = parse(readFileSync(new URL('../docker-compose.yml', docs), 'utf8'), {
    merge: true,
  }) as Compose

  it('shows a store of every kind', async () => {
    const folder = join(root, 'sample')
    mkdirSync(folder)
    const text = JSON.stringify(compose.services['stores']!.environment ?? {})
    const env = JSON.parse(text.replaceAll('/outputs/sample', folder)) as Record<string, string>
    const loaded = await loadConfig({ argv: [], env, cwd: root })
    if (loaded.outcome !== 'config') throw new Error(JSON.stringify(loaded))
    expect(loaded.warnings).toEqual([])
    expect(loaded.config.connections.map(({ name, kind }) => `${name}: ${kind}`)).toEqual([
      'volume: local',
      's3: s3',
      'gcs: gcs',
      'azure: azure',
    ])
  })

  it('gives no files to a container that is read-only, which Compose refuses to start', () => {
    const refused = Object.entries(compose.services).filter(
      ([, { read_only, configs, secrets }]) => read_only === true && (configs ?? secrets) !== undefined,
    )
    expect(refused.map(([name]) => name)).toEqual([])
  })
})

it('a misspelt field in an example is found', async () => {
  const [example] = examplesIn('configuration.md')
  expect(await loadExample(example!.yaml.replace('hostPath', 'hostpath'))).toMatchObject({
    outcome: 'faults',
  })
})
