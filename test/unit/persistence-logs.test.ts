// The store of logs of Polyaxon 0.x in its own configuration: read, checked and reported as one of outputs, and none of them.
import { mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Config } from '../../src/config/config.ts'
import { loadConfig } from '../../src/config/load.ts'

const KEYS = JSON.stringify({
  AWS_ACCESS_KEY_ID: 'AKIAIOSFODNN7EXAMPLE',
  AWS_SECRET_ACCESS_KEY: 'k'.repeat(40),
})

let cwd: string
beforeAll(() => {
  cwd = realpathSync(mkdtempSync(join(tmpdir(), 'persistence-logs-')))
  for (const folder of ['volume', 'secrets/keys']) mkdirSync(join(cwd, folder), { recursive: true })
  writeFileSync(join(cwd, 'secrets/keys/s3-key'), KEYS)
})
afterAll(() => rmSync(cwd, { recursive: true }))

interface Given {
  yaml?: string
  /** POLYAXON_PERSISTENCE_LOGS. */
  logs?: string
  env?: Record<string, string>
}

/** In what is given, VOLUME stands for a folder that exists. */
function load({ yaml, logs, env = {} }: Given) {
  const filled = (text: string) => text.replaceAll('VOLUME', join(cwd, 'volume'))
  const all = { ...env, ...(logs !== undefined && { POLYAXON_PERSISTENCE_LOGS: logs }) }
  const filledEnv = Object.fromEntries(Object.entries(all).map(([name, text]) => [name, filled(text)]))
  if (yaml !== undefined) writeFileSync(join(cwd, 'p.yaml'), filled(yaml))
  return loadConfig({ argv: yaml === undefined ? [] : ['--config', 'p.yaml'], env: filledEnv, cwd })
}

async function configOf(given: Given): Promise<Config> {
  const loaded = await load(given)
  if (loaded.outcome !== 'config') throw new Error(JSON.stringify(loaded))
  return loaded.config
}

async function faultsOf(given: Given): Promise<string[]> {
  const loaded = await load(given)
  return loaded.outcome === 'faults' ? loaded.faults.map(({ where, problem }) => `${where}: ${problem}`) : []
}

async function warningsOf(given: Given): Promise<readonly string[]> {
  const loaded = await load(given)
  return loaded.outcome === 'config' ? loaded.warnings : []
}

const volume = (more = {}) => ({
  kind: 'local',
  name: 'persistence.logs',
  path: join(cwd, 'volume'),
  isDefault: false,
  readOnly: true,
  delivery: 'proxy',
  ...more,
})
const S3 = { kind: 's3', name: 'persistence.logs', bucket: 'b-1', prefix: 'p/', readOnly: true }

describe('the store of logs', () => {
  it.each([
    ['a host path', '{"mountPath": "VOLUME", "hostPath": "/node"}', () => volume()],
    ['a claim', '{"mountPath": "VOLUME", "existingClaim": "logs-pvc"}', () => volume({ isClaim: true })],
    ['S3', '{"store": "s3", "bucket": "s3://b-1/p"}', () => S3],
    ['GCS', '{"store": "gcs", "bucket": "gs://b-1"}', () => ({ kind: 'gcs', readOnly: true })],
    [
      'Azure',
      '{"store": "azure", "bucket": "wasbs://logs@account.blob.core.windows.net/"}',
      () => ({ kind: 'azure', bucket: 'logs', account: 'account', readOnly: true }),
    ],
    ['as in 2.x', '{"kind": "s3", "schema": {"bucket": "s3://b-1/p"}}', () => S3],
    ['that may be changed', '{"mountPath": "VOLUME", "readOnly": false}', () => volume()],
  ])('is %s, of which the service changes nothing', async (_, logs, expected) => {
    expect((await configOf({ logs })).logs).toMatchObject(expected())
  })

  it('comes with what the chart has by itself, over which a bucket wins, and a claim over a host path', async () => {
    const chart = '"existingClaim": null, "mountPath": "VOLUME", "hostPath": "/tmp/logs"'
    const own = { logs: `{${chart}, "store": "s3", "bucket": "s3://b-1/p"}` }
    expect((await configOf(own)).logs).toMatchObject(S3)
    const claim = { logs: `{${chart.replace('null', '"logs-pvc"')}}` }
    expect((await configOf(claim)).logs).toEqual(volume({ isClaim: true }))
  })

  it('has its keys in a secret, or in the variable of the chart', async () => {
    const logs = '{"store": "s3", "bucket": "s3://b-1/p", "secret": "keys", "secretKey": "s3-key"}'
    const places: Record<string, string>[] = [{ SECRETS_PATH: 'secrets' }, { 's3-key': KEYS }]
    for (const env of places)
      expect((await configOf({ logs, env })).logs).toMatchObject({
        ...S3,
        secret: { label: "the secret 'keys'", named: true },
      })
    expect(await faultsOf({ logs })).toEqual([
      expect.stringMatching(/^POLYAXON_PERSISTENCE_LOGS: secretKey: the secret 'keys' is not there: /),
    ])
  })

  it('may be in the file, where its variable replaces it', async () => {
    const yaml = 'persistence:\n  logs: {mountPath: VOLUME, hostPath: /node}\n'
    expect((await configOf({ yaml })).logs).toEqual(volume())
    expect((await configOf({ yaml, logs: '{"store": "s3", "bucket": "s3://b-1/p"}' })).logs).toMatchObject(S3)
  })

  it('is no store of outputs, and no default', async () => {
    const logs = '{"mountPath": "VOLUME"}'
    expect((await configOf({ logs })).connections).toMatchObject([
      { name: 'outputs', path: join(cwd, 'outputs'), isDefault: true },
    ])
    const env = { POLYAXON_AGENT_ARTIFACTS_STORE: '{"name": "a", "kind": "s3", "schema": {"bucket": "b-1"}}' }
    expect((await configOf({ logs, env })).connections).toMatchObject([{ name: 'a' }])
  })

  it.each([
    { logs: '{}' },
    { logs: 'null' },
    { logs: ' ' },
    { yaml: 'persistence:\n  logs:\n  outputs: {a: {mountPath: VOLUME}}' },
  ])('is none in %j', async given => {
    expect(await configOf(given)).not.toHaveProperty('logs')
  })

  it('shares the operations of volumes', async () => {
    const six = JSON.stringify(
      Object.fromEntries(Array.from({ length: 6 }, (_, i) => [`v${i}`, { mountPath: 'VOLUME' }])),
    )
    const env = { POLYAXON_PERSISTENCE_OUTPUTS: six }
    expect((await configOf({ env })).store.maxOperations).toBe(48)
    expect((await configOf({ env, logs: '{"mountPath": "VOLUME"}' })).store.maxOperations).toBe(35)
  })
})

describe('a mistake in the store of logs', () => {
  it.each([
    ['5', 'POLYAXON_PERSISTENCE_LOGS: expected a map that describes a store, found another value'],
    [
      '[{"mountPath": "VOLUME"}]',
      'POLYAXON_PERSISTENCE_LOGS: expected a map that describes a store, found a list',
    ],
    ['{', 'POLYAXON_PERSISTENCE_LOGS: is not valid JSON: '],
    [
      '{"hostPath": "/logs"}',
      'POLYAXON_PERSISTENCE_LOGS: mountPath: expected an absolute path, found nothing',
    ],
    [
      '{"name": "git", "kind": "git"}',
      "POLYAXON_PERSISTENCE_LOGS: kind: expected one of host_path, volume_claim, s3, gcs, wasb, found 'git'",
    ],
    [
      '{"mountPath": "VOLUME", "regoin": "x"}',
      'POLYAXON_PERSISTENCE_LOGS: regoin: is not a known field of a store; did you mean region?',
    ],
  ])('is a fault with its place: %s', async (logs, fault) => {
    expect(await faultsOf({ logs })).toEqual([expect.stringContaining(fault)])
  })

  it('is named with all others', async () => {
    const yaml = `server: {port: x}
persistence:
  logs: {store: s3, bucket: 'gs://b-1', delivery: mail}
  outputs: {a: {mountPath: relative}}
`
    const faults = await faultsOf({ yaml })
    expect(faults.map(fault => fault.split(' (', 1)[0])).toEqual([
      'server.port',
      'persistence.outputs.a.mountPath',
      'persistence.logs.bucket',
      'persistence.logs.delivery',
    ])
    expect(await faultsOf({ yaml: 'persistence: {logs: {store: x}, outputs: {}}' })).toEqual([
      expect.stringMatching(/^persistence\.logs\.store /),
      expect.stringMatching(/^persistence\.outputs .*defines no outputs store/),
    ])
  })

  it('is an outputs store that is called like it', async () => {
    const yaml =
      'persistence: {logs: {mountPath: VOLUME}, outputs: {persistence.logs: {mountPath: VOLUME}, b: {mountPath: VOLUME}}}'
    expect(await faultsOf({ yaml })).toEqual([
      "persistence.logs (p.yaml line 1): is another store called 'persistence.logs', like persistence.outputs.persistence.logs (p.yaml line 1): expected a name of its own",
    ])
  })

  it('is no folder that is missing: the outputs are served, with a warning', async () => {
    const logs = '{"mountPath": "/not/there"}'
    const missing =
      "POLYAXON_PERSISTENCE_LOGS: mountPath: expected the path of an existing folder, but '/not/there' does not exist; it is never created"
    expect(await warningsOf({ logs })).toEqual([`${missing}; the store is unavailable until it is`])
    const env = { POLYAXON_PERSISTENCE_OUTPUTS: '{"a": {"mountPath": "/gone"}}' }
    expect(await faultsOf({ logs, env })).toEqual([expect.stringContaining("'/gone'"), missing])
  })
})
