// The outputs stores of Polyaxon's own configuration: every spelling, and every mistake with its place.
import { mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { loadConfig } from '../../src/config/load.ts'
import type { StoreDefinition } from '../../src/store/definition.ts'

let cwd: string
beforeAll(() => {
  cwd = realpathSync(mkdtempSync(join(tmpdir(), 'persistence-')))
  for (const folder of ['volume', 'runs', 'secrets/keys', 'on-host'])
    mkdirSync(join(cwd, folder), { recursive: true })
  writeFileSync(join(cwd, 'file'), '')
  writeFileSync(join(cwd, 'ca.pem'), '-----BEGIN CERTIFICATE-----\n')
  writeFileSync(join(cwd, 'large.pem'), '-----BEGIN CERTIFICATE-----\n'.repeat(40_000))
  writeFileSync(join(cwd, 'secrets/keys/s3-key'), '{}')
})
afterAll(() => rmSync(cwd, { recursive: true }))

interface Given {
  yaml?: string
  env?: Record<string, string>
  argv?: string[]
}

/** In what is given, VOLUME stands for a folder that exists, and CWD for the one that it is in. */
function load({ yaml, env = {}, argv = [] }: Given) {
  const filled = (text: string) => text.replaceAll('VOLUME', join(cwd, 'volume')).replaceAll('CWD', cwd)
  const filledEnv = Object.fromEntries(Object.entries(env).map(([name, text]) => [name, filled(text)]))
  if (yaml === undefined) return loadConfig({ argv, env: filledEnv, cwd })
  writeFileSync(join(cwd, 'p.yaml'), filled(yaml))
  return loadConfig({ argv: ['--config', 'p.yaml', ...argv], env: filledEnv, cwd })
}

async function connectionsOf(given: Given): Promise<readonly StoreDefinition[]> {
  const loaded = await load(given)
  if (loaded.outcome !== 'config') throw new Error(JSON.stringify(loaded))
  return loaded.config.connections
}

async function faultsOf(given: Given): Promise<string[]> {
  const loaded = await load(given)
  return loaded.outcome === 'faults' ? loaded.faults.map(({ where, problem }) => `${where}: ${problem}`) : []
}

async function warningsOf(given: Given): Promise<readonly string[]> {
  const loaded = await load(given)
  if (loaded.outcome !== 'config') throw new Error(JSON.stringify(loaded))
  return loaded.warnings
}

/** A store of 0.x called `data`, of the JSON `definition`. */
const outputs = (definition: string) => ({ env: { POLYAXON_PERSISTENCE_OUTPUTS: `{"data": ${definition}}` } })
const artifactsStore = (definition: string) => ({ env: { POLYAXON_AGENT_ARTIFACTS_STORE: definition } })

const OBJECT_DEFAULTS = { readOnly: false, delivery: 'proxy', maxConnections: 64, signedUrlSeconds: 900 }
const bucket = (kind: string, name: string, prefix: string, more: object = {}) => ({
  kind,
  name: 'data',
  bucket: name,
  prefix,
  ...OBJECT_DEFAULTS,
  ...(kind === 's3' && { requesterPays: false }),
  ...more,
})
const claim = (more: object = {}) => volume({ isClaim: true, ...more })
const volume = (more: object = {}) => ({
  kind: 'local',
  name: 'data',
  path: join(cwd, 'volume'),
  isDefault: false,
  readOnly: false,
  delivery: 'proxy',
  ...more,
})

describe('a store of Polyaxon 0.x', () => {
  it.each([
    ['a host path', '{"mountPath": "VOLUME", "hostPath": "/node"}', () => volume()],
    ['a claim', '{"mountPath": "VOLUME", "existingClaim": "outputs-pvc"}', () => claim()],
    ['a claim as 2.x calls it', '{"mountPath": "VOLUME", "volumeClaim": "outputs-pvc"}', () => claim()],
    ['a mount path alone', '{"mountPath": "VOLUME"}', () => volume()],
    ['a mount path with slashes', '{"mountPath": "VOLUME//"}', () => volume()],
    [
      'read-only',
      '{"mountPath": "VOLUME", "existingClaim": "c", "readOnly": true}',
      () => claim({ readOnly: true }),
    ],
    ['read-only as text', '{"mountPath": "VOLUME", "readOnly": "true"}', () => volume({ readOnly: true })],
    [
      'a sub-path, which the mount applies',
      '{"mountPath": "VOLUME", "existingClaim": "c", "subPath": "a/b"}',
      () => claim(),
    ],
    [
      'snake_case',
      '{"mount_path": "VOLUME", "existing_claim": "c", "read_only": true}',
      () => claim({ readOnly: true }),
    ],
    [
      'fields without a value',
      '{"mountPath": "VOLUME", "hostPath": null, "existingClaim": "c", "readOnly": null}',
      () => claim(),
    ],
    [
      'nginx in front',
      '{"mountPath": "VOLUME", "delivery": "x-accel", "accelLocation": "/internal/files"}',
      () => volume({ delivery: 'x-accel', accelLocation: '/internal/files/' }),
    ],
    ['S3', '{"store": "s3", "bucket": "s3://company-outputs"}', () => bucket('s3', 'company-outputs', '')],
    ['GCS', '{"store": "gcs", "bucket": "gs://company_outputs"}', () => bucket('gcs', 'company_outputs', '')],
    [
      'Azure',
      '{"store": "azure", "bucket": "wasbs://outputs@account.blob.core.windows.net/"}',
      () => bucket('azure', 'outputs', '', { account: 'account' }),
    ],
    [
      'S3 with every option',
      `{"store": "s3", "bucket": "s3://b-1", "endpoint": "https://minio.example:9000/", "publicEndpoint": "http://files.example",
        "region": "eu-west-1", "pathStyle": false, "caFile": "ca.pem", "verify": true, "kmsKeyId": "alias/outputs", "expectedBucketOwner": "012345678901",
        "requesterPays": true, "delivery": "redirect", "signedUrlLifetime": "1h", "maxConnections": 10, "readOnly": true}`,
      () =>
        bucket('s3', 'b-1', '', {
          endpoint: 'https://minio.example:9000',
          publicEndpoint: 'http://files.example',
          region: 'eu-west-1',
          pathStyle: false,
          caFile: join(cwd, 'ca.pem'),
          verifyTls: true,
          kmsKeyId: 'alias/outputs',
          expectedBucketOwner: '012345678901',
          requesterPays: true,
          delivery: 'redirect',
          signedUrlSeconds: 3600,
          maxConnections: 10,
          readOnly: true,
        }),
    ],
    [
      'GCS with a project that pays',
      '{"store": "gcs", "bucket": "gs://b-1", "userProject": "company-billing"}',
      () => bucket('gcs', 'b-1', '', { userProject: 'company-billing' }),
    ],
  ])('is read: %s', async (_, definition, expected) => {
    expect(await connectionsOf(outputs(definition))).toEqual([expected()])
  })

  it('may be written as a connection of 2.x, whose name is its key', async () => {
    const definition = '{"kind": "s3", "schema": {"bucket": "s3://b-1/p"}}'
    expect(await connectionsOf(outputs(definition))).toEqual([bucket('s3', 'b-1', 'p/')])
  })

  it('keeps the digits of an account id that YAML takes for a number', async () => {
    const yaml =
      'persistence: {outputs: {data: {store: s3, bucket: s3://b-1, expectedBucketOwner: 012345678901}}}'
    expect(await connectionsOf({ yaml })).toMatchObject([{ expectedBucketOwner: '012345678901' }])
  })
})

describe('a bucket', () => {
  it.each([
    ['s3', 's3://b-1/', 'b-1', '', {}],
    ['s3', 's3://b-1/p', 'b-1', 'p/', {}],
    ['s3', 's3://b-1/p/q/', 'b-1', 'p/q/', {}],
    ['s3', 'S3://b-1/%41 ?x#y', 'b-1', '%41 ?x#y/', {}],
    ['s3', 'b-1', 'b-1', '', {}],
    ['s3', 'b.1/p', 'b.1', 'p/', {}],
    ['s3', 's3://123/...', '123', '.../', {}],
    ['gcs', 'gs://b_1/p', 'b_1', 'p/', {}],
    ['gcs', 'b-1', 'b-1', '', {}],
    ['gcs', 'gs://files.example.org', 'files.example.org', '', {}],
    ['azure', 'wasbs://outputs@account1.blob.core.windows.net', 'outputs', '', { account: 'account1' }],
    [
      'azure',
      'wasbs://outputs@account1.blob.core.windows.net/p/q',
      'outputs',
      'p/q/',
      { account: 'account1' },
    ],
    ['azure', 'wasb://outputs@account1.blob.core.windows.net/', 'outputs', '', { account: 'account1' }],
    ['azure', 'abfs://outputs@account1.dfs.core.windows.net/p', 'outputs', 'p/', { account: 'account1' }],
    ['azure', 'abfss://outputs@Account1.dfs.core.windows.net/', 'outputs', '', { account: 'account1' }],
    ['azure', 'https://account1.blob.core.windows.net/outputs/p', 'outputs', 'p/', { account: 'account1' }],
    ['azure', 'https://account1.blob.core.windows.net/outputs', 'outputs', '', { account: 'account1' }],
    ['azure', 'wasbs://$root@account1.blob.core.windows.net/', '$root', '', { account: 'account1' }],
    [
      'azure',
      'wasbs://outputs@account1.blob.core.chinacloudapi.cn/',
      'outputs',
      '',
      { account: 'account1', endpoint: 'https://account1.blob.core.chinacloudapi.cn' },
    ],
    [
      'azure',
      'wasbs://outputs@account1.z22.blob.storage.azure.net/',
      'outputs',
      '',
      { account: 'account1', endpoint: 'https://account1.z22.blob.storage.azure.net' },
    ],
  ])('of %s is read from %s', async (store, url, name, prefix, more) => {
    const definition = JSON.stringify({ store, bucket: url })
    expect(await connectionsOf(outputs(definition))).toEqual([bucket(store, name, prefix, more)])
  })

  it.each([
    ['outputs', ''],
    ['outputs/p', 'p/'],
  ])('of azure is read from %s, where something else names the account', async (url, prefix) => {
    const { env } = outputs(JSON.stringify({ store: 'azure', bucket: url }))
    const [connection] = await connectionsOf({ env: { ...env, AZURE_ACCOUNT_NAME: 'account1' } })
    expect(connection).toMatchObject(bucket('azure', 'outputs', prefix))
  })

  it.each(['{"endpoint": "http://ceph.example"', '{"pathStyle": true', '{"pathStyle": "true"'])(
    'of S3 may have a name by the rules of other servers with %s}',
    async option => {
      const definition = `${option}, "store": "s3", "bucket": "s3://Old_Bucket"}`
      expect(await connectionsOf(outputs(definition))).toMatchObject([{ bucket: 'Old_Bucket' }])
    },
  )

  const S3 = 'expected s3://bucket or s3://bucket/prefix'
  const AZURE = 'expected wasbs://container@account.blob.core.windows.net/ or the same with a prefix'
  it.each([
    ['s3', 'gs://b-1', `is a bucket of gcs, but the store is of s3: ${S3}`],
    [
      'gcs',
      'wasbs://c@account.blob.core.windows.net',
      'is a bucket of azure, but the store is of gcs: expected gs://bucket or gs://bucket/prefix',
    ],
    ['s3', 'http://b-1', `begins with http://: ${S3}`],
    ['s3', 's3://', `names no bucket: ${S3}`],
    ['s3', 's3:///p', `names no bucket: ${S3}`],
    ['s3', 's3://ab', /^has a name that no bucket of s3 can have: expected 3 to 63/],
    ['s3', `s3://${'a'.repeat(64)}`, /^has a name/],
    ['s3', 's3://models--use1-az4--x-s3/p', /^is a directory bucket .*expected a general purpose bucket/],
    ['s3', 's3://Upper', /^has a name.*pathStyle/],
    ['s3', 's3://under_score', /^has a name/],
    ['s3', 's3://dot..dot', /^has a name/],
    ['s3', 's3://-dash', /^has a name/],
    ['s3', 's3://192.168.1.1', /^has a name/],
    ['s3', 's3:/b-1', /^has a name/],
    ['gcs', 'gs://Upper', /^has a name that no bucket of gcs can have/],
    ['gcs', `gs://${'a'.repeat(64)}`, /^has a name/],
    [
      'azure',
      'wasbs://two--dashes@account1.blob.core.windows.net/',
      /^has a name that no container of azure can have/,
    ],
    ['azure', 'under_score', /^has a name/],
    ['azure', 'wasbs://outputs/p', `names no account of Azure: ${AZURE}`],
    ['azure', 'wasbs://outputs@account1.example.org/', `names no account of Azure: ${AZURE}`],
    ['azure', 'https://example.org/outputs', `names no account of Azure: ${AZURE}`],
    ['azure', 'https://account1.blob.core.windows.net/', `names no bucket: ${AZURE}`],
    ['s3', 's3://b-1//', 'has an empty folder name in its prefix: expected single slashes'],
    ['s3', 's3://b-1//p', 'has an empty folder name in its prefix: expected single slashes'],
    ['s3', 's3://b-1/p//q', 'has an empty folder name in its prefix: expected single slashes'],
    ['s3', 's3://b-1/p/..', "has '..' in its prefix: expected the names of folders"],
    ['s3', 's3://b-1/./p', "has '.' in its prefix: expected the names of folders"],
  ])('of %s is refused: %s', async (store, url, problem) => {
    const [fault, ...others] = await faultsOf(outputs(JSON.stringify({ store, bucket: url })))
    expect(others).toEqual([])
    // Who stands before an @ may be a key.
    const shown = url.replace(/(?<=:\/\/).*@/, '…@')
    const [before, after] = [`POLYAXON_PERSISTENCE_OUTPUTS: data.bucket: '${shown}' `, fault ?? '']
    expect(after.startsWith(before)).toBe(true)
    if (typeof problem === 'string') expect(after.slice(before.length)).toBe(problem)
    else expect(after.slice(before.length)).toMatch(problem)
  })
})

describe('the connections of Polyaxon 1.x and 2.x', () => {
  it.each([
    [
      '{"name": "data", "kind": "host_path", "schema": {"hostPath": "/node", "mountPath": "VOLUME"}}',
      () => volume(),
    ],
    [
      '{"name": "data", "kind": "host_path", "schema": {"host_path": "/node", "mount_path": "VOLUME", "read_only": true}}',
      () => volume({ readOnly: true }),
    ],
    [
      '{"name": "data", "kind": "volume_claim", "schema": {"kind": "volume_claim", "volumeClaim": "c", "mountPath": "VOLUME", "subPath": "p"}}',
      () => claim(),
    ],
    ['{"name": "data", "kind": "s3", "schema": {"bucket": "s3://b-1/p"}}', () => bucket('s3', 'b-1', 'p/')],
    [
      '{"name": "data", "kind": "gcs", "schema": {"bucket": "gs://b-1"}, "secret": null, "env": null, "tags": ["a"], "description": "d", "isAlias": false, "annotations": {}}',
      () => bucket('gcs', 'b-1', ''),
    ],
    [
      '{"name": "data", "kind": "wasb", "schema": {"bucket": "wasbs://c-1@account.blob.core.windows.net/"}}',
      () => bucket('azure', 'c-1', '', { account: 'account' }),
    ],
    [
      '{"name": "data", "kind": "s3", "schema": {"bucket": "s3://b-1", "region": "eu-west-1", "maxConnections": 5}}',
      () => bucket('s3', 'b-1', '', { region: 'eu-west-1', maxConnections: 5 }),
    ],
    [
      '{"name": "data", "kind": "volume_claim", "schema": {"volumeClaim": "c", "mountPath": "VOLUME"}, "secret": {"name": "for-jobs"}}',
      () => claim(),
    ],
  ])('are read: %s', async (definition, expected) => {
    expect(await connectionsOf(artifactsStore(definition))).toEqual([expected()])
    expect(await connectionsOf({ env: { POLYAXON_AGENT_CONNECTIONS: `[${definition}]` } })).toEqual([
      expected(),
    ])
    expect(await connectionsOf({ yaml: `artifactsStore: ${definition}` })).toEqual([expected()])
    expect(await connectionsOf({ yaml: `artifacts_store: ${definition}` })).toEqual([expected()])
    expect(await connectionsOf({ yaml: `connections: [${definition}]` })).toEqual([expected()])
  })

  it('begin with the artifacts store, which may be among them once more', async () => {
    const [a, b] = ['a', 'b'].map(name => `{name: ${name}, kind: s3, schema: {bucket: s3://b-1/${name}}}`)
    const yaml = `connections: [${b!}, {name: g, kind: git, schema: {url: u}}, ${a!}]\nartifactsStore: ${a!}\n`
    expect((await connectionsOf({ yaml })).map(({ name }) => name)).toEqual(['a', 'b'])
  })

  it('leave out those that are no stores, and warn of a kind that nobody knows', async () => {
    const yaml = `connections:
  - {name: repo, kind: git, schema: {url: 'https://git.example'}, secret: {name: s, whatever: 1}}
  - {name: registry, kind: registry, schema: {url: r}}
  - {name: chat, kind: slack}
  - {name: cloud, kind: gcp}
  - {name: new, kind: quantum-tape}
  - {name: data, kind: gcs, schema: {bucket: gs://b-1}}
`
    expect(await connectionsOf({ yaml })).toMatchObject([{ name: 'data' }])
    expect(await warningsOf({ yaml })).toEqual([
      "connections[4].kind (p.yaml line 6): 'quantum-tape' is no kind of connection that this version knows: it is left out",
    ])
  })
})

describe('where stores are configured', () => {
  const file = 'persistence: {outputs: {in-file: {store: s3, bucket: b-1}}}'
  const LOCAL = [{ kind: 'local', name: 'outputs' }]

  it('the order of the map is kept, also of names that are numbers, and the first is the default', async () => {
    const env = {
      POLYAXON_PERSISTENCE_OUTPUTS:
        '{"z": {"mountPath": "VOLUME"}, "2": {"mountPath": "VOLUME"}, "1": {"mountPath": "VOLUME"}}',
    }
    expect((await connectionsOf({ env })).map(({ name }) => name)).toEqual(['z', '2', '1'])
  })

  it('a variable wins over its section in the file', async () => {
    expect(await connectionsOf({ yaml: file, ...outputs('{"store": "s3", "bucket": "b-1"}') })).toMatchObject(
      [{ name: 'data' }],
    )
  })

  it('a whole persistence section of Helm values is taken, and what is not about outputs left alone', async () => {
    const yaml =
      'persistence:\n  logs: {mountPath: /logs}\n  repos: {x: 1}\n  upload: {}\n  data: {d: {bucket: 1}}\n  outputs: {data: {store: s3, bucket: b-1}}\n'
    expect(await connectionsOf({ yaml })).toMatchObject([{ name: 'data' }])
  })

  it('anchors and aliases are followed', async () => {
    const yaml = 'persistence:\n  logs: &keys {store: s3, bucket: b-1}\n  outputs: {a: *keys, b: *keys}\n'
    expect((await connectionsOf({ yaml })).map(({ name }) => name)).toEqual(['a', 'b'])
  })

  const NONE = 'defines no outputs store: expected one, or no such section to serve the folder outputs.path'

  it.each([
    ['persistence:', 'persistence'],
    ['persistence: {}', 'persistence'],
    ['persistence:\n  outputs:\n#    data:', 'persistence.outputs', 2],
    ['persistence: {outputs: {}}', 'persistence.outputs'],
    ['artifactsStore:', 'artifactsStore'],
    ['connections: []', 'connections'],
    ['connections: [{name: g, kind: git}]', 'connections'],
  ])('nothing in %j is a fault rather than the sample', async (yaml, where, line = 1) => {
    expect(await faultsOf({ yaml })).toEqual([`${where} (p.yaml line ${line}): ${NONE}`])
  })

  it('nothing in a variable is a fault too, but an empty variable is none', async () => {
    const env = { POLYAXON_PERSISTENCE_OUTPUTS: '{}' }
    expect(await faultsOf({ env })).toEqual([`POLYAXON_PERSISTENCE_OUTPUTS: ${NONE}`])
    expect(await connectionsOf({ env: { POLYAXON_PERSISTENCE_OUTPUTS: ' ' } })).toMatchObject(LOCAL)
    expect(await connectionsOf({ yaml: 'persistence: {logs: {mountPath: /logs}}' })).toMatchObject(LOCAL)
  })

  it('an agent with other connections than stores serves a folder that is given, with a warning', async () => {
    const given = { yaml: 'connections: [{name: g, kind: git}]', env: { OUTPUTS_PATH: 'runs' } }
    expect(await connectionsOf(given)).toMatchObject([{ path: join(cwd, 'runs') }])
    expect(await warningsOf(given)).toEqual([
      'connections (p.yaml line 1): defines no outputs store, so outputs.path is served',
    ])
  })

  it('merge keys of YAML are followed, under what the map has itself', async () => {
    const yaml = `persistence:
  logs: &common {store: s3, bucket: b-1, readOnly: true}
  upload: &region {region: eu-west-1, readOnly: false}
  outputs:
    a: {<<: *common, bucket: b-2}
    b:
      <<: [*common, *region]
`
    expect(await connectionsOf({ yaml })).toMatchObject([
      { name: 'a', bucket: 'b-2', readOnly: true },
      { name: 'b', bucket: 'b-1', readOnly: true, region: 'eu-west-1' },
    ])
    const faulty = yaml.replace('region: eu-west-1', 'regoin: x')
    expect(await faultsOf({ yaml: faulty })).toEqual([
      'persistence.outputs.b.regoin (p.yaml line 3): is not a known field of a store; did you mean region?',
    ])
    const json = '{"data": {"<<": {"store": "s3"}, "store": "s3", "bucket": "b-1"}}'
    expect(await faultsOf({ env: { POLYAXON_PERSISTENCE_OUTPUTS: json } })).toEqual([
      'POLYAXON_PERSISTENCE_OUTPUTS: data.<<: is not a known field of a store',
    ])
  })

  it('one anchor may be used by more stores than anybody counts', async () => {
    const stores = Array.from({ length: 150 }, (_, index) => `    s${index}: {<<: *common}\n`).join('')
    const yaml = `persistence:\n  logs: &common {store: s3, bucket: &b b-1}\n  outputs:\n${stores}`
    expect(await connectionsOf({ yaml })).toHaveLength(150)
  })

  it('one volume of several that is not there is a warning, and faults name it again', async () => {
    const both = '{"here": {"mountPath": "VOLUME"}, "away": {"mountPath": "/not/there"}}'
    const env = { POLYAXON_PERSISTENCE_OUTPUTS: both }
    expect((await connectionsOf({ env })).map(({ name }) => name)).toEqual(['here', 'away'])
    expect(await warningsOf({ env })).toEqual([
      "POLYAXON_PERSISTENCE_OUTPUTS: away.mountPath: expected the path of an existing folder, but '/not/there' does not exist; it is never created; the store is unavailable until it is",
    ])
    expect(await faultsOf({ env: { ...env, PORT: 'x' } })).toHaveLength(2)
    expect(
      await faultsOf({ env: { POLYAXON_PERSISTENCE_OUTPUTS: both.replace('VOLUME', '/gone') } }),
    ).toHaveLength(2)
  })

  it('many volumes share the threads that there are, unless an operator asks for more', async () => {
    const volumes = (count: number) =>
      JSON.stringify(
        Object.fromEntries(Array.from({ length: count }, (_, i) => [`v${i}`, { mountPath: 'VOLUME' }])),
      )
    const most = async (count: number, env = {}) => {
      const loaded = await load({ env: { ...env, POLYAXON_PERSISTENCE_OUTPUTS: volumes(count) } })
      return loaded.outcome === 'config' ? loaded.config.store.maxOperations : loaded
    }
    expect(await most(6)).toBe(48)
    expect(await most(7)).toBe(35)
    expect(await most(7, { UV_THREADPOOL_SIZE: '136' })).toBe(48)
    const needs = (threads: number, count: number) =>
      `48 operations on ${count} volumes need ${threads} threads, found 128: set UV_THREADPOOL_SIZE to ${threads} in the environment`
    expect(await most(7, { STORE_MAX_OPERATIONS: '48' })).toMatchObject({
      faults: [{ where: 'STORE_MAX_OPERATIONS', problem: needs(136, 7) }],
    })
    expect(await most(10)).toMatchObject({
      faults: [{ where: 'store.maxOperations', problem: needs(172, 10) }],
    })
  })

  it('OUTPUTS_PATH has no say, because images set it', async () => {
    const env = { OUTPUTS_PATH: '/not/there' }
    expect(await connectionsOf({ yaml: file, env })).toMatchObject([{ name: 'in-file' }])
  })

  it('a path in the file or on the command line is a fault beside them', async () => {
    const problem =
      'has no effect, because persistence.outputs (p.yaml line 1) configures the outputs stores: remove one of them'
    expect(
      await faultsOf({
        yaml: `${file}\noutputs: {path: runs}`,
        argv: ['--outputs', 'runs'],
        env: { OUTPUTS_PATH: 'runs' },
      }),
    ).toEqual([`outputs.path (p.yaml line 2): ${problem}`, `--outputs: ${problem}`])
  })

  it('those of 0.x and of an agent at once are a fault', async () => {
    const env = { POLYAXON_AGENT_CONNECTIONS: '[{"name": "a", "kind": "s3", "schema": {"bucket": "b-1"}}]' }
    expect(await faultsOf({ yaml: file, env })).toEqual([
      'persistence.outputs (p.yaml line 1): defines stores, and so does POLYAXON_AGENT_CONNECTIONS: keep the one of the Polyaxon that you run, and remove the other',
    ])
  })
})

describe('a mistake names its place, what was found and what is expected', () => {
  const rows: [name: string, given: Given, ...expected: (string | RegExp)[]][] = [
    [
      'an unknown field, with the nearest known one',
      { yaml: 'persistence:\n  outputs:\n    data:\n      store: s3\n      bukcet: s3://b-1\n' },
      'persistence.outputs.data.bukcet (p.yaml line 5): is not a known field of a store; did you mean bucket?',
      'persistence.outputs.data.bucket (p.yaml line 3): expected the URL of a bucket, found nothing',
    ],
    [
      'an unknown section',
      { yaml: 'persistence: {output: {}}' },
      /^persistence.output \(p.yaml line 1\): is not a known setting; did you mean .*outputs/,
    ],
    [
      'a misspelt group',
      { yaml: 'persistance: {outputs: {data: {mountPath: VOLUME}}}' },
      'persistance (p.yaml line 1): is not a known setting; did you mean persistence?',
    ],
    [
      'a store without its name',
      {
        yaml: 'persistence:\n  outputs:\n    mount_path: VOLUME\n    hostPath: /node\n    other: {mountPath: x}\n',
      },
      'persistence.outputs (p.yaml line 2): expected a map of stores by their names, found the fields of a store: put them under a name such as outputs',
      /^persistence.outputs.other.mountPath \(p.yaml line 5\): expected an absolute path/,
    ],
    [
      'a store without its name in a variable',
      { env: { POLYAXON_PERSISTENCE_OUTPUTS: '{"store": "s3", "bucket": "b-1"}' } },
      'POLYAXON_PERSISTENCE_OUTPUTS: expected a map of stores by their names, found the fields of a store: put them under a name such as outputs',
    ],
    [
      'an empty definition',
      outputs('null'),
      'POLYAXON_PERSISTENCE_OUTPUTS: data: expected a map that describes a store, found nothing',
    ],
    [
      'a definition without fields',
      outputs('{}'),
      /^POLYAXON_PERSISTENCE_OUTPUTS: data: expected mountPath .* or store and bucket for a bucket$/,
    ],
    [
      'a list for the map of stores',
      { env: { POLYAXON_PERSISTENCE_OUTPUTS: '[1]' } },
      'POLYAXON_PERSISTENCE_OUTPUTS: expected a map of stores by their names, found a list',
    ],
    [
      'a text for the map of stores',
      { env: { POLYAXON_PERSISTENCE_OUTPUTS: 'AKIAKEY' } },
      'POLYAXON_PERSISTENCE_OUTPUTS: is not valid JSON: line 1, column 1: expected a value',
    ],
    [
      'an alias without its anchor',
      { yaml: 'persistence:\n  outputs:\n    data: {store: s3, bucket: b-1, secret: *PASSWORD}\n' },
      'p.yaml line 3: has an alias without an anchor of its name before it: quote a text that begins with an asterisk',
    ],
    [
      'a merge key without its anchor',
      { yaml: 'persistence:\n  outputs:\n    data: {<<: *comon, mountPath: VOLUME}\n' },
      /^p.yaml line 3: has an alias without an anchor/,
    ],
    [
      'an alias of itself',
      { yaml: 'persistence:\n  outputs:\n    data: &data\n      <<: *data\n      mountPath: VOLUME\n' },
      'p.yaml line 4: has an alias inside of what it stands for',
    ],
    [
      'an alias of itself among the settings',
      { yaml: 'layouts:\n  jobs: &jobs [*jobs]\n' },
      'p.yaml line 2: has an alias inside of what it stands for',
    ],
    [
      'a merge key with a text',
      { yaml: 'connections:\n- {kind: git}\n- {<<: [a], kind: git}\n' },
      'p.yaml line 3: has a merge key (<<) with something else than a map, or a list of maps',
    ],
    [
      'aliases that stand for more and more',
      {
        yaml: `server:\n  port: &a0 [x]\n${Array.from({ length: 20 }, (_, index) => `  a${index}: &a${index + 1} [*a${index}, *a${index}]\n`).join('')}`,
      },
      'p.yaml line 1: has aliases that stand for more than 100000 values together',
    ],
    [
      'a block of text that begins on its line',
      { yaml: 'connections:\n- {kind: git}\n- env:\n    SECRET: |PASSWORD\n' },
      'p.yaml line 4: is not valid YAML: Block scalar header includes extra characters',
    ],
    [
      'a list for a store',
      outputs('[]'),
      'POLYAXON_PERSISTENCE_OUTPUTS: data: expected a map that describes a store, found a list',
    ],
    [
      'a map for the list of connections',
      { yaml: 'connections: {a: 1}' },
      'connections (p.yaml line 1): expected a list of connections, found a map',
    ],
    [
      'broken JSON',
      { env: { POLYAXON_AGENT_CONNECTIONS: '[{"name": "a"' } },
      /^POLYAXON_AGENT_CONNECTIONS: is not valid JSON: /,
    ],
    [
      'a store twice',
      { env: { POLYAXON_PERSISTENCE_OUTPUTS: '{"a": {}, "a": {}}' } },
      /^POLYAXON_PERSISTENCE_OUTPUTS: is not valid JSON: .*unique/,
    ],
    [
      'two connections of one name',
      {
        yaml: 'connections:\n- {name: a, kind: s3, schema: {bucket: b-1}}\n- {name: a, kind: s3, schema: {bucket: b-2}}',
      },
      "connections[1] (p.yaml line 3): is another store called 'a', like connections[0] (p.yaml line 2): expected a name of its own",
    ],
    [
      'a name that no URL should hold',
      { env: { POLYAXON_PERSISTENCE_OUTPUTS: '{"a/b": {}}' } },
      /^POLYAXON_PERSISTENCE_OUTPUTS: a\/b: is no name of a store: expected a name of letters/,
    ],
    [
      'an unknown store',
      outputs('{"store": "s4", "bucket": "b-1"}'),
      "POLYAXON_PERSISTENCE_OUTPUTS: data.store: expected one of s3, gcs, azure, found 's4'",
    ],
    [
      'an unknown store, and what is wrong with its fields by the bucket',
      outputs('{"store": "s4", "bucket": "gs://B", "region": "eu", "maxConnections": 0}'),
      /data.store: .* found 's4'$/,
      /data.region: is a field of a store of s3, and this is a store of gcs$/,
      /data.bucket: 'gs:\/\/B' has a name that no bucket of gcs can have/,
      /data.maxConnections: expected a whole number/,
    ],
    [
      'an unknown store, and what is wrong with its fields in any store',
      outputs('{"store": "s4", "bucket": "b", "verify": "no", "endpoint": "a b", "readOnly": 3}'),
      /data.store: /,
      /data.readOnly: expected true or false, found '3'$/,
      /data.endpoint: expected the origin/,
      /data.verify: expected true or false/,
    ],
    [
      'a kind of access in the place of a kind of store',
      {
        yaml: 'connections: [{name: a, kind: azure, schema: {bucket: wasbs://c-1@account1.blob.core.windows.net, verify: no}}]',
      },
      "connections[0].kind (p.yaml line 1): expected one of host_path, volume_claim, s3, gcs, wasb, found 'azure'; its bucket is of kind wasb",
      /schema.verify/,
    ],
    [
      'a comma too many in JSON',
      outputs('{"store": "s3",\n "bucket": "b-1",}'),
      /^POLYAXON_PERSISTENCE_OUTPUTS: is not valid JSON: line 2, column 18: expected a name in double quotes$/,
    ],
    [
      'YAML for JSON',
      outputs('{store: s3}'),
      /is not valid JSON: line 1, column 11: expected a name in double quotes or a closing brace$/,
    ],
    [
      'JSON in quotes',
      { env: { POLYAXON_AGENT_CONNECTIONS: '"[{\\"name\\": \\"a\\"}]"' } },
      'POLYAXON_AGENT_CONNECTIONS: holds a text that is JSON again: is it quoted twice?',
    ],
    [
      'a bucket without its store',
      outputs('{"bucket": "gs://b-1"}'),
      'POLYAXON_PERSISTENCE_OUTPUTS: data.store: expected one of s3, gcs, azure, found nothing; by its bucket it is gcs',
    ],
    [
      'a bucket that is a list',
      outputs('{"store": "s3", "bucket": ["b-1"]}'),
      'POLYAXON_PERSISTENCE_OUTPUTS: data.bucket: expected the URL of a bucket, found a list',
    ],
    [
      'a volume and a bucket in one',
      outputs('{"store": "s3", "bucket": "b-1", "mountPath": "VOLUME"}'),
      'POLYAXON_PERSISTENCE_OUTPUTS: data.mountPath: is a field of a volume, and this is a store of s3',
    ],
    [
      'an option of another kind',
      outputs('{"store": "gcs", "bucket": "b-1", "region": "eu", "userProject": "company"}'),
      'POLYAXON_PERSISTENCE_OUTPUTS: data.region: is a field of a store of s3, and this is a store of gcs',
    ],
    [
      'an option of buckets at a volume',
      outputs('{"mountPath": "VOLUME", "endpoint": "http://a"}'),
      'POLYAXON_PERSISTENCE_OUTPUTS: data.endpoint: is a field of stores of s3, gcs, azure, and this is a volume',
    ],
    [
      'a host path without its mount',
      outputs('{"hostPath": "/node"}'),
      'POLYAXON_PERSISTENCE_OUTPUTS: data.mountPath: expected an absolute path, found nothing',
    ],
    [
      'a relative mount path',
      outputs('{"mountPath": "volume"}'),
      "POLYAXON_PERSISTENCE_OUTPUTS: data.mountPath: expected an absolute path, found 'volume'",
    ],
    [
      'a sub-path that leads out',
      outputs('{"mountPath": "VOLUME", "subPath": "../x"}'),
      /^POLYAXON_PERSISTENCE_OUTPUTS: data.subPath: expected a relative path without '..', found '..\/x'$/,
    ],
    [
      'a host path beside a claim',
      outputs('{"mountPath": "VOLUME", "hostPath": "/a", "existingClaim": "c"}'),
      /data.hostPath: is given beside a claim/,
    ],
    [
      'a mount path that is no folder',
      outputs('{"mountPath": "CWD/file"}'),
      /^POLYAXON_PERSISTENCE_OUTPUTS: data.mountPath: expected the path of an existing folder, but '.*file' is not a folder$/,
    ],
    [
      'a mount path outside of a cluster',
      outputs('{"mountPath": "CWD/gone", "hostPath": "CWD/on-host"}'),
      /data.mountPath: .* does not exist; it is never created; hostPath '.*on-host' does: outside of a cluster, set mountPath to it$/,
    ],
    [
      'redirects from a volume',
      outputs('{"mountPath": "VOLUME", "delivery": "redirect"}'),
      /data.delivery: expected proxy or x-accel, found 'redirect'/,
    ],
    [
      'nginx for a bucket',
      outputs('{"store": "s3", "bucket": "b-1", "delivery": "x-accel"}'),
      /data.delivery: expected proxy or redirect, found 'x-accel'/,
    ],
    [
      'nginx without its location',
      outputs('{"mountPath": "VOLUME", "delivery": "x-accel"}'),
      /data.accelLocation: expected a location .* found nothing$/,
    ],
    [
      'a location without nginx',
      outputs('{"mountPath": "VOLUME", "accelLocation": "/a/"}'),
      /data.accelLocation: has no effect without delivery: x-accel$/,
    ],
    [
      'a location with ..',
      outputs('{"mountPath": "VOLUME", "delivery": "x-accel", "accelLocation": "/a/../b/"}'),
      /data.accelLocation: expected a location/,
    ],
    [
      'an endpoint with a path',
      outputs('{"store": "s3", "bucket": "b-1", "endpoint": "http://a/b"}'),
      /data.endpoint: expected the origin of a server .* found 'http:\/\/a\/b'$/,
    ],
    [
      'an endpoint that is none',
      outputs('{"store": "s3", "bucket": "b-1", "endpoint": "minio:9000"}'),
      /data.endpoint: expected the origin/,
    ],
    [
      'verify as a word',
      outputs('{"store": "s3", "bucket": "b-1", "verify": "no"}'),
      "POLYAXON_PERSISTENCE_OUTPUTS: data.verify: expected true or false, found 'no'",
    ],
    [
      'a missing CA file',
      outputs('{"store": "s3", "bucket": "b-1", "caFile": "gone.pem"}'),
      /data.caFile: expected the path of a PEM file with certificates, but '.*gone.pem' does not exist$/,
    ],
    [
      'a CA file without certificates',
      outputs('{"store": "s3", "bucket": "b-1", "caFile": "file"}'),
      /data.caFile: .* has none$/,
    ],
    [
      'a CA file that no driver would read',
      outputs('{"store": "s3", "bucket": "b-1", "caFile": "large.pem"}'),
      /data.caFile: .* is larger than 1 MiB$/,
    ],
    [
      'a CA file that is a folder',
      outputs('{"store": "s3", "bucket": "b-1", "caFile": "volume"}'),
      /data.caFile: .* cannot be read \(EISDIR\)$/,
    ],
    [
      'an account id of too few digits',
      outputs('{"store": "s3", "bucket": "b-1", "expectedBucketOwner": 12}'),
      /data.expectedBucketOwner: expected an AWS account id of 12 digits, found '12'$/,
    ],
    [
      'a lifetime beyond what can be signed',
      outputs('{"store": "s3", "bucket": "b-1", "signedUrlLifetime": "169h"}'),
      /data.signedUrlLifetime: expected a duration .* to 168h/,
    ],
    [
      'no connections at all',
      outputs('{"store": "s3", "bucket": "b-1", "maxConnections": 0}'),
      /data.maxConnections: expected a whole number from 1 to 1000, found '0'$/,
    ],
    [
      'both spellings of a field',
      outputs('{"mountPath": "VOLUME", "mount_path": "VOLUME"}'),
      'POLYAXON_PERSISTENCE_OUTPUTS: data.mount_path: is given twice, in both spellings of mountPath',
    ],
    [
      'a secret without its key',
      outputs('{"store": "s3", "bucket": "b-1", "secret": "keys"}'),
      "POLYAXON_PERSISTENCE_OUTPUTS: data.secretKey: expected the name of a key in the secret 'keys', found nothing",
    ],
    [
      'a key without its secret',
      outputs('{"store": "s3", "bucket": "b-1", "secretKey": "s3-key"}'),
      'POLYAXON_PERSISTENCE_OUTPUTS: data.secret: expected the name of the secret that has the key, found nothing',
    ],
    [
      'a secret that is a path',
      outputs('{"store": "s3", "bucket": "b-1", "secret": "../keys", "secretKey": "k"}'),
      /data.secret: expected the name of a Kubernetes object: .* found another value$/,
    ],
    [
      'a secret at a volume',
      outputs('{"mountPath": "VOLUME", "secret": "keys"}'),
      /data.secret: is a field of stores of s3, gcs, azure, and this is a volume$/,
    ],
    [
      'a connection without a kind',
      artifactsStore('{"name": "a", "schema": {}}'),
      'POLYAXON_AGENT_ARTIFACTS_STORE: kind: expected one of host_path, volume_claim, s3, gcs, wasb, found nothing',
    ],
    [
      'an artifacts store that is none',
      artifactsStore('{"name": "a", "kind": "git"}'),
      "POLYAXON_AGENT_ARTIFACTS_STORE: kind: expected one of host_path, volume_claim, s3, gcs, wasb, found 'git'",
    ],
    [
      'a misspelt kind',
      { yaml: 'connections: [{name: a, kind: hostpath}]' },
      "connections[0].kind (p.yaml line 1): expected one of host_path, volume_claim, s3, gcs, wasb, found 'hostpath'; did you mean host_path?",
    ],
    [
      'a connection without a name',
      artifactsStore('{"kind": "s3", "schema": {"bucket": "b-1"}}'),
      /^POLYAXON_AGENT_ARTIFACTS_STORE: name: expected a name of letters.*found nothing$/,
    ],
    [
      'a connection without a schema',
      artifactsStore('{"name": "a", "kind": "s3"}'),
      'POLYAXON_AGENT_ARTIFACTS_STORE: schema: expected a map that describes a store, found nothing',
    ],
    [
      'a field of the schema beside it',
      artifactsStore('{"name": "a", "kind": "s3", "bucket": "b-1", "schema": {"bucket": "b-1"}}'),
      'POLYAXON_AGENT_ARTIFACTS_STORE: bucket: is not a known field of a connection',
    ],
    [
      'a field of the connection in its schema',
      artifactsStore('{"name": "a", "kind": "s3", "schema": {"bucket": "b-1", "secret": "s"}}'),
      'POLYAXON_AGENT_ARTIFACTS_STORE: schema.secret: is not a known field of a store',
    ],
    [
      'a secret that is a name',
      artifactsStore('{"name": "a", "kind": "s3", "schema": {"bucket": "b-1"}, "secret": "keys"}'),
      'POLYAXON_AGENT_ARTIFACTS_STORE: secret: expected a map that describes a secret, found another value',
    ],
    [
      'a secret without a name',
      artifactsStore(
        '{"name": "a", "kind": "s3", "schema": {"bucket": "b-1"}, "secret": {"mountPath": "/s"}}',
      ),
      /^POLYAXON_AGENT_ARTIFACTS_STORE: secret.name: expected the name of a Kubernetes object/,
    ],
    [
      'items that are none',
      artifactsStore(
        '{"name": "a", "kind": "s3", "schema": {"bucket": "b-1"}, "secret": {"name": "keys", "items": "k"}}',
      ),
      'POLYAXON_AGENT_ARTIFACTS_STORE: secret.items: expected a list of names of keys, found another value',
    ],
    [
      'variables that are none',
      artifactsStore('{"name": "a", "kind": "s3", "schema": {"bucket": "b-1"}, "env": 5}'),
      'POLYAXON_AGENT_ARTIFACTS_STORE: env: expected a list of variables, each with name and value, found another value',
    ],
    [
      'a variable without a name',
      artifactsStore('{"name": "a", "kind": "s3", "schema": {"bucket": "b-1"}, "env": [{"value": "v"}]}'),
      'POLYAXON_AGENT_ARTIFACTS_STORE: env[0].name: expected the name of a variable, found nothing',
    ],
    [
      'a variable that holds a list',
      artifactsStore(
        '{"name": "a", "kind": "s3", "schema": {"bucket": "b-1"}, "env": [{"name": "A", "value": ["s"]}]}',
      ),
      'POLYAXON_AGENT_ARTIFACTS_STORE: env[0].value: expected a text, found a list',
    ],
  ]
  it.each(rows)('%s', async (_, given, ...expected) => {
    const faults = await faultsOf(given)
    expect(faults).toHaveLength(expected.length)
    for (const [index, text] of expected.entries())
      if (typeof text === 'string') expect(faults[index]).toBe(text)
      else expect(faults[index]).toMatch(text)
  })

  it('together with all the others', async () => {
    const yaml = `server: {port: x}
persistence:
  outputs:
    one: {mountPath: /not/there, readOnly: maybe}
    two: {store: s3, bucket: Bad, region: 'e u', secret: gone, secretKey: k}
    three: {store: azure, bucket: c-1, secret: gone, secretKey: k}
`
    expect((await faultsOf({ yaml })).map(fault => fault.slice(0, fault.indexOf(': ')))).toEqual([
      'server.port (p.yaml line 1)',
      'persistence.outputs.one.readOnly (p.yaml line 4)',
      'persistence.outputs.two.bucket (p.yaml line 5)',
      'persistence.outputs.two.region (p.yaml line 5)',
      'persistence.outputs.one.mountPath (p.yaml line 4)',
      'persistence.outputs.two.secretKey (p.yaml line 5)',
      'persistence.outputs.three.secretKey (p.yaml line 6)',
    ])
  })

  it.each([
    [
      'for the name of a key',
      outputs(
        '{"store": "s3", "bucket": "b-1", "secret": "keys", "secretKey": "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"}',
      ),
    ],
    [
      'for the name of a key, without any odd sign',
      outputs(
        '{"store": "s3", "bucket": "b-1", "secret": "keys", "secretKey": "wJalrXUtnFEMI0K7MDENG0bPxRfiCYEXAMPLEKEY"}',
      ),
    ],
    ['in a field of its own', outputs('{"store": "s3", "bucket": "b-1", "accessKey": "wJalrXUtnFEMI"}')],
    [
      'in the URL of a server',
      outputs('{"store": "s3", "bucket": "b-1", "endpoint": "https://me:wJalrXUtnFEMI@minio.example"}'),
    ],
    [
      'in the address of a container',
      outputs(
        '{"store": "azure", "bucket": "https://account1.blob.core.windows.net/c-1?sv=1&sig=wJalrXUtnFEMI"}',
      ),
    ],
    [
      'among items',
      artifactsStore(
        '{"name": "a", "kind": "s3", "schema": {"bucket": "b-1"}, "secret": {"name": "k", "items": ["wJalrXUtnFEMI/"]}}',
      ),
    ],
    [
      'as a variable',
      artifactsStore(
        '{"name": "a", "kind": "s3", "schema": {"bucket": "b-1"}, "env": [{"name": "wJalrXUtnFEMI=", "value": {"k": "wJalrXUtnFEMI"}}]}',
      ),
    ],
    ['instead of JSON', { env: { POLYAXON_AGENT_ARTIFACTS_STORE: 'wJalrXUtnFEMI' } }],
    [
      'in broken JSON',
      { env: { POLYAXON_AGENT_ARTIFACTS_STORE: '{"secret": "wJalrXUtnFEMI" "wJalrXUtnFEMI"' } },
    ],
  ])('without repeating a key that was put %s', async (_, given) => {
    const faults = await faultsOf({ ...given, env: { ...given.env, SECRETS_PATH: 'secrets' } })
    expect(faults.length).toBeGreaterThan(0)
    expect(faults.join('\n')).not.toContain('wJalrXUtnFEMI')
  })
})

describe('warnings', () => {
  it('are given for certificates that are not verified', async () => {
    expect(await warningsOf(outputs('{"store": "s3", "bucket": "b-1", "verify": false}'))).toEqual([
      "POLYAXON_PERSISTENCE_OUTPUTS: data.verify: certificates of the store 'data' are not verified, so anybody on the way can read and change what is transferred: use caFile instead",
    ])
  })

  it('are not given without a reason', async () => {
    expect(await warningsOf(outputs('{"store": "s3", "bucket": "b-1", "verify": true}'))).toEqual([])
    expect(await warningsOf({})).toEqual([])
  })
})

describe('the check command', () => {
  it.each([[['check']], [['--check']], [['check', '--config', 'p.yaml']]])(
    'is asked for by %j',
    async argv => {
      writeFileSync(join(cwd, 'p.yaml'), '')
      expect(await load({ argv })).toMatchObject({ outcome: 'config', check: true })
    },
  )

  it('is not asked for by anything else', async () => {
    expect(await load({})).toMatchObject({ outcome: 'config', check: false })
    expect(await faultsOf({ argv: ['chekc'] })).toEqual(['chekc: is not an option; see --help'])
  })
})
