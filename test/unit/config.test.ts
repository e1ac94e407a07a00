// Configuration: precedence, units, and every fault an operator can make, each named with its place.
import { mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { isLoopback } from '../../src/config/address.ts'
import type { Config } from '../../src/config/config.ts'
import { settingsTable } from '../../src/config/help.ts'
import { loadConfig } from '../../src/config/load.ts'
import { SETTING_KEYS, settingOf } from '../../src/config/settings.ts'

let cwd: string
beforeAll(() => {
  cwd = realpathSync(mkdtempSync(join(tmpdir(), 'config-')))
  mkdirSync(join(cwd, 'runs'))
  writeFileSync(join(cwd, 'file'), '')
})
afterAll(() => rmSync(cwd, { recursive: true }))

interface Given {
  argv?: string[]
  env?: Record<string, string>
  yaml?: string
}

function load({ argv = [], env = {}, yaml }: Given) {
  if (yaml === undefined) return loadConfig({ argv, env, cwd })
  writeFileSync(join(cwd, 'outputs.yaml'), yaml)
  return loadConfig({ argv: ['--config', 'outputs.yaml', ...argv], env, cwd })
}

async function configOf(given: Given): Promise<Config> {
  const loaded = await load(given)
  if (loaded.outcome !== 'config') throw new Error(JSON.stringify(loaded))
  return loaded.config
}

async function faultsOf(given: Given): Promise<string[]> {
  const loaded = await load(given)
  return loaded.outcome === 'faults' ? loaded.faults.map(fault => `${fault.where}: ${fault.problem}`) : []
}

describe('the effective configuration', () => {
  it('has the documented defaults when nothing is set', async () => {
    expect(await configOf({})).toEqual({
      server: {
        host: '127.0.0.1',
        port: 8000,
        basePath: '',
        workers: 1,
        allowUnauthenticated: false,
        allowUnauthenticatedChanges: false,
        corsOrigins: [],
        allowedHosts: [],
        trustedProxies: [],
        drainTimeoutMs: 25_000,
      },
      auth: {},
      logLevel: 'info',
      metrics: { port: 0, host: '127.0.0.1' },
      connections: [
        {
          kind: 'local',
          name: 'outputs',
          path: join(cwd, 'outputs'),
          isDefault: true,
          readOnly: false,
          delivery: 'proxy',
        },
      ],
      layouts: {
        experiments: ['{owner}/{project}/experiments/{id}', '{owner}/{project}/groups/*/{id}'],
        jobs: ['{owner}/{project}/jobs/{id}'],
        builds: ['{owner}/{project}/builds/{id}'],
        groups: ['{owner}/{project}/groups/{id}'],
        runs: ['{uuid}'],
      },
      store: { maxOperations: 48, deadlineMs: 30_000 },
      archives: { maxEntries: 1_000_000, maxBytes: 1024 ** 4, maxInProgress: 128 },
      uploads: {
        maxBytes: 5 * 1024 ** 4,
        idleTimeoutMs: 60_000,
        maxUnpackedEntries: 1_000_000,
        maxUnpackedBytes: 1024 ** 4,
        maxRatio: 200,
        expireAfterMs: 86_400_000,
      },
      limits: {
        connections: 8192,
        requests: 4096,
        requestsPerCaller: 1024,
        archivesPerCaller: 64,
        listings: 512,
        listingsPerCaller: 256,
        logs: 128,
        logsPerCaller: 64,
        uploads: 512,
        uploadsPerCaller: 256,
        uploadRatePerCaller: 0,
        idleTimeoutMs: 300_000,
        urlBytes: 56 * 1024,
        headerFields: 200,
      },
      digests: { maxBytes: 64 * 1024 ** 2 },
    })
  })

  it('takes a flag over the environment, that over the file, and that over the default', async () => {
    const yaml = 'server: {port: 1001, basePath: /file, workers: 2}\nlogLevel: warn\n'
    const env = { PORT: '1002', BASE_PATH: '/env' }
    const { server, logLevel } = await configOf({ yaml, env, argv: ['--port=1003'] })
    expect([server.port, server.basePath, server.workers, logLevel, server.host]).toEqual([
      1003,
      '/env',
      2,
      'warn',
      '127.0.0.1',
    ])
  })

  it('reads every setting from a file in which each is written as its default', async () => {
    const yaml = SETTING_KEYS.filter(key => key !== 'outputs.path').map(key => {
      const { type, default: byDefault } = settingOf(key)
      return (
        key
          .split('.')
          .map((part, depth) => `${' '.repeat(depth)}${part}:`)
          .join('\n') + ` ${type.format(byDefault)}\n`
      )
    })
    for (const part of yaml) expect(await configOf({ yaml: part })).toEqual(await configOf({}))
  })

  it('is frozen in all its depth', async () => {
    const config = await configOf({})
    const parts = [config, ...Object.values(config), ...Object.values(config.layouts)]
    expect(parts.every(part => Object.isFrozen(part))).toBe(true)
  })

  it('finds the file named by OUTPUTS_CONFIG, and by --config rather than that', async () => {
    writeFileSync(join(cwd, 'a.yaml'), 'logLevel: warn\n')
    writeFileSync(join(cwd, 'b.yaml'), 'logLevel: error\n')
    const env = { OUTPUTS_CONFIG: 'a.yaml' }
    expect((await configOf({ env })).logLevel).toBe('warn')
    expect((await configOf({ env, argv: ['--config', join(cwd, 'b.yaml')] })).logLevel).toBe('error')
  })

  it('takes paths relative to the working directory, and empty variables as not set', async () => {
    expect((await configOf({ env: { OUTPUTS_PATH: 'runs', PORT: '' } })).connections).toMatchObject([
      { path: join(cwd, 'runs'), isDefault: false },
    ])
  })

  it('takes a file of comments and empty sections as one that sets nothing', async () => {
    expect(await configOf({ yaml: '# nothing\n' })).toEqual(await configOf({}))
    expect(await configOf({ yaml: 'store:\n#  deadline: 1s\n' })).toEqual(await configOf({}))
  })

  it.each([
    ['250ms', 250],
    ['1.5s', 1500],
    ['2 m', 120_000],
    ['1h', 3_600_000],
  ])('reads the duration %s', async (text, ms) => {
    expect((await configOf({ env: { STORE_DEADLINE: text } })).store.deadlineMs).toBe(ms)
  })

  it.each([
    ['4096', 4096],
    ['0', 0],
    ['64KiB', 65_536],
    ['64Ki', 65_536],
    ['10GiB', 10 * 1024 ** 3],
    ['10 GB', 10_000_000_000],
    ['1.5tib', 1.5 * 1024 ** 4],
  ])('reads the size %s', async (text, bytes) => {
    expect((await configOf({ env: { ARCHIVES_MAX_BYTES: text } })).archives.maxBytes).toBe(bytes)
  })

  it.each([
    ['/', ''],
    ['/artifacts/', '/artifacts'],
    ['/a/b-c_d.e~f', '/a/b-c_d.e~f'],
  ])('reads the base path %s', async (text, path) => {
    expect((await configOf({ env: { BASE_PATH: text } })).server.basePath).toBe(path)
  })

  it.each([
    ['CORS_ORIGINS', { env: { CORS_ORIGINS: 'https://a.example, http://[::1]:8080,' } }],
    ['a list', { yaml: "server: {corsOrigins: ['https://a.example', 'http://[::1]:8080']}" }],
    ['text', { yaml: "server: {corsOrigins: 'https://a.example,http://[::1]:8080'}" }],
  ])('reads origins from %s', async (_, given) => {
    expect((await configOf(given)).server.corsOrigins).toEqual(['https://a.example', 'http://[::1]:8080'])
  })

  it('reads names of hosts in lower case, and addresses of proxies', async () => {
    const env = { ALLOWED_HOSTS: 'Outputs.example:8000, *.apps.example,192.0.2.7,[2001:DB8::7]:80' }
    const proxies = "server: {trustedProxies: [loopback, 192.0.2.7, 10.0.0.0/8, '2001:db8::/32']}"
    const { server } = await configOf({ env, yaml: proxies })
    expect(server.allowedHosts).toEqual([
      'outputs.example:8000',
      '*.apps.example',
      '192.0.2.7',
      '[2001:db8::7]:80',
    ])
    expect(server.trustedProxies).toEqual(['loopback', '192.0.2.7', '10.0.0.0/8', '2001:db8::/32'])
  })

  it('accepts one template or several, of names, variables and *', async () => {
    const yaml = "layouts: {runs: 'store/{uuid}', jobs: ['{owner}/*/jobs/{name}', '{project}/{id}']}"
    const { layouts } = await configOf({ yaml })
    expect([layouts.runs, layouts.jobs]).toEqual([
      ['store/{uuid}'],
      ['{owner}/*/jobs/{name}', '{project}/{id}'],
    ])
  })
})

describe('faults', () => {
  const rows: [name: string, given: Given, ...expected: (string | RegExp)[]][] = [
    [
      'a word for a number',
      { env: { PORT: 'abc' } },
      "PORT: expected a whole number from 0 to 65535, found 'abc'",
    ],
    ['a number out of range', { env: { PORT: '65536' } }, /^PORT: expected .* found '65536'$/],
    ['a negative number', { argv: ['--port=-1'] }, /^--port: expected .* found '-1'$/],
    [
      'a fraction for a whole number',
      { yaml: 'server: {port: 80.5}' },
      /^server.port \(outputs.yaml line 1\): .* 80.5$/,
    ],
    [
      'no workers',
      { env: { WORKERS: '0' } },
      /^WORKERS: expected a whole number from 1 to 256, or 'auto', found '0'$/,
    ],
    [
      'yes for true',
      { env: { ALLOW_UNAUTHENTICATED: 'yes' } },
      /^ALLOW_UNAUTHENTICATED: expected true or false/,
    ],
    [
      'an unknown level',
      { env: { LOG_LEVEL: 'loud' } },
      /^LOG_LEVEL: expected one of trace, debug, .* found 'loud'$/,
    ],
    [
      'a duration without its unit',
      { env: { STORE_DEADLINE: '30' } },
      /^STORE_DEADLINE: expected a duration with its unit/,
    ],
    [
      'a duration without its unit in a file',
      { yaml: 'store: {deadline: 30}' },
      /^store.deadline .* found 30$/,
    ],
    [
      'a size in an unknown unit',
      { env: { DIGESTS_MAX_BYTES: '5 apples' } },
      /^DIGESTS_MAX_BYTES: expected a size/,
    ],
    [
      'a size that is no whole number of bytes',
      { env: { DIGESTS_MAX_BYTES: '0.5' } },
      /^DIGESTS_MAX_BYTES: expected a size/,
    ],
    ['a base path without its slash', { env: { BASE_PATH: 'x' } }, /^BASE_PATH: expected a path such as/],
    ['a base path with ..', { env: { BASE_PATH: '/a/../b' } }, /^BASE_PATH: expected/],
    ['a base path with escapes', { env: { BASE_PATH: '/a%20b' } }, /^BASE_PATH: expected/],
    ...['*', 'null', 'https://*.example', 'https://a.example/', 'https://A.example', 'https://a.example:443']
      .concat(['https://u@a.example', 'ftp://a.example', 'a.example', 'https://a.example https://b.example'])
      .map(
        origin =>
          [
            `'${origin}' for an origin`,
            { env: { CORS_ORIGINS: `https://b.example,${origin}` } },
            /^CORS_ORIGINS: expected origins as browsers write them/,
          ] as [string, Given, RegExp],
      ),
    ...['*', '*.', 'a.*.example', 'https://a.example', 'a.example:', 'a.example:0', '2001:db8::7', 'a b'].map(
      name =>
        [`'${name}' for a host`, { env: { ALLOWED_HOSTS: name } }, /^ALLOWED_HOSTS: expected names/] as [
          string,
          Given,
          RegExp,
        ],
    ),
    ...['10.0.0.0/33', '10.0.0.0/', '10.0.0/8', '::/129', 'proxy.example', '*', '10.0.0.1/8/8'].map(
      network =>
        [
          `'${network}' for a proxy`,
          { env: { TRUSTED_PROXIES: network } },
          /^TRUSTED_PROXIES: expected IP addresses/,
        ] as [string, Given, RegExp],
    ),
    ['half an address', { env: { HOST: '127.0.0' } }, /^HOST: expected an IP address/],
    [
      'an address in brackets',
      { env: { HOST: '[::1]' } },
      /^HOST: expected an IP address \(IPv6 without brackets\)/,
    ],
    [
      'a list for a word',
      { yaml: 'logLevel: [info]' },
      'logLevel (outputs.yaml line 1): expected one of trace, debug, info, warn, error, fatal, silent, found ["info"]',
    ],
    [
      'an empty value in a file',
      { yaml: 'server:\n  port:\n' },
      /^server.port \(outputs.yaml line 2\): .* found nothing$/,
    ],
    [
      'a value for a section',
      { yaml: 'server: 8000' },
      'server (outputs.yaml line 1): expected a map of settings, found 8000',
    ],
    ['a list for the file', { yaml: '- a' }, 'outputs.yaml: expected a map of settings, found ["a"]'],
    [
      'a misspelt key',
      { yaml: '# here\nserver: {prot: 1}' },
      'server.prot (outputs.yaml line 2): is not a known setting; did you mean server.port?',
    ],
    [
      'a key of another section',
      { yaml: 'port: 1' },
      /^port \(.*\): is not a known setting; did you mean server.port\?$/,
    ],
    ['a key unlike any', { yaml: 'zebra: 1' }, /^zebra \(.*\): is not a known setting$/],
    [
      'a key given twice',
      { yaml: 'logLevel: info\nlogLevel: warn' },
      /^outputs.yaml line 2: is not valid YAML: .*unique/,
    ],
    ['broken YAML', { yaml: 'server: {port: 1' }, /^outputs.yaml line 1: is not valid YAML/],
    ['a missing file', { argv: ['--config', 'gone.yaml'] }, /^gone.yaml: .* no such file$/],
    ['a folder for the file', { env: { OUTPUTS_CONFIG: 'runs' } }, /^runs: .* is a folder$/],
    [
      'a misspelt flag',
      { argv: ['--prot', '80'] },
      '--prot: is not a known option; did you mean --port?; see --help',
    ],
    ['a flag without its value', { argv: ['--port'] }, '--port: needs a value'],
    ['a flag followed by another', { argv: ['--host', '--port', '1'] }, '--host: needs a value'],
    ['something that is no flag', { argv: ['serve'] }, 'serve: is not an option; see --help'],
    [
      'a missing folder',
      { env: { OUTPUTS_PATH: '/no/such' } },
      "OUTPUTS_PATH: expected the path of an existing folder, but '/no/such' does not exist; it is never created",
    ],
    ['a file for the folder', { argv: ['--outputs', 'file'] }, /^--outputs: expected .* is not a folder$/],
    [
      'a folder below a file',
      { yaml: 'outputs: {path: file/x}' },
      /^outputs.path \(outputs.yaml line 1\): .* not a folder$/,
    ],
    [
      'an address that others reach',
      { env: { HOST: '0.0.0.0' } },
      /^HOST: '0.0.0.0' can be reached from other machines.*server.allowUnauthenticated: true \(ALLOW_UNAUTHENTICATED=true/,
    ],
    [
      'an issuer without an audience',
      { env: { AUTH_JWT_ISSUER: 'https://login.example.com' } },
      /^auth.jwt.audience: expected what .* found nothing$/,
    ],
    [
      'an issuer that is no URL',
      { env: { AUTH_JWT_ISSUER: 'login.example.com', AUTH_JWT_AUDIENCE: 'x', HOST: '0.0.0.0' } },
      /^AUTH_JWT_ISSUER: expected a URL/,
    ],
    [
      'an issuer with a password',
      { env: { AUTH_JWT_ISSUER: 'https://a:secret@login.example.com', AUTH_JWT_AUDIENCE: 'x' } },
      /^AUTH_JWT_ISSUER: expected a URL (?!.*secret)/,
    ],
    [
      'settings of an issuer that is not there',
      { yaml: 'auth: {jwt: {audience: x, claim: roles}}' },
      /^auth.jwt.audience .*: has no effect without auth.jwt.issuer$/,
      /^auth.jwt.claim .*: has no effect/,
    ],
    ...['HS256', 'none', 'RS256,none', 'dir', ''].map((algorithms): [string, Given, RegExp] => [
      `the algorithm '${algorithms}'`,
      { yaml: `auth: {jwt: {algorithms: '${algorithms}'}}` },
      /^auth.jwt.algorithms .*: expected some of RS256/,
    ]),
    [
      'more operations than threads',
      { env: { STORE_MAX_OPERATIONS: '120' } },
      /^STORE_MAX_OPERATIONS: 120 operations on a volume need 136 threads, found 128: set UV_THREADPOOL_SIZE to 136 in the environment$/,
    ],
    [
      'fewer threads than operations',
      { env: { UV_THREADPOOL_SIZE: '4' } },
      /^store.maxOperations: 48 operations on a volume need 64 threads, found 4: set UV_THREADPOOL_SIZE to 64 /,
    ],
    [
      'a template without the run',
      { yaml: "layouts: {jobs: '{owner}/{project}'}" },
      /^layouts.jobs .*: expected a relative template/,
    ],
    ['a template with two runs', { yaml: "layouts: {jobs: '{id}/{name}'}" }, /^layouts.jobs/],
    ['a template that climbs', { yaml: "layouts: {runs: '../{uuid}'}" }, /^layouts.runs/],
    ['an absolute template', { yaml: "layouts: {runs: '/{uuid}'}" }, /^layouts.runs/],
    ['an unknown variable', { yaml: "layouts: {runs: '{user}/{uuid}'}" }, /^layouts.runs/],
    ['a variable within a name', { yaml: "layouts: {runs: 'run-{uuid}'}" }, /^layouts.runs/],
    ['no template at all', { yaml: 'layouts: {runs: []}' }, /^layouts.runs/],
  ]
  it.each(rows)('names %s', async (_name, given, ...expected) => {
    const faults = await faultsOf(given)
    expect(faults).toHaveLength(expected.length)
    expected.forEach((text, index) =>
      typeof text === 'string' ? expect(faults[index]).toBe(text) : expect(faults[index]).toMatch(text),
    )
  })

  it('are none of an issuer, whose address may then be any, with a warning where its keys come by http', async () => {
    const env = { HOST: '0.0.0.0', AUTH_JWT_AUDIENCE: 'outputs', AUTH_JWT_ALGORITHMS: 'RS256, ES256' }
    const loaded = await load({ env: { ...env, AUTH_JWT_ISSUER: 'http://login.example.com/realm' } })
    if (loaded.outcome !== 'config') throw new Error(JSON.stringify(loaded))
    expect(loaded.config.auth.jwt).toEqual({
      issuer: 'http://login.example.com/realm',
      audience: 'outputs',
      claim: 'scope',
      algorithms: ['RS256', 'ES256'],
      clockToleranceMs: 30_000,
    })
    expect(loaded.warnings).toEqual([
      expect.stringMatching(/^AUTH_JWT_ISSUER: keys that come by http can be changed/),
    ])
    for (const url of [
      'https://x.example.com',
      'http://127.0.0.1:1',
      'http://[::1]:1',
      'http://localhost/',
    ]) {
      const local = await load({ env: { ...env, AUTH_JWT_ISSUER: 'http://y', AUTH_JWT_JWKS_URL: url } })
      expect(local).toMatchObject({ outcome: 'config', warnings: [] })
    }
  })

  it('are reported all at once, from every source', async () => {
    const faults = await faultsOf({
      yaml: 'server: {prot: 1}\nstore: {deadline: x}\nlogLevel: loud',
      env: { PORT: 'abc', HOST: '0.0.0.0', OUTPUTS_PATH: '/no/such' },
      argv: ['--workers', 'many', '--nonsense'],
    })
    expect(faults.map(fault => fault.split(':')[0]).sort()).toEqual([
      '--nonsense',
      '--workers',
      'HOST',
      'OUTPUTS_PATH',
      'PORT',
      'logLevel (outputs.yaml line 3)',
      'server.prot (outputs.yaml line 1)',
      'store.deadline (outputs.yaml line 2)',
    ])
  })

  it('do not include an open address once it is wanted', async () => {
    expect(await faultsOf({ env: { HOST: '0.0.0.0', ALLOW_UNAUTHENTICATED: 'true' } })).toEqual([])
    expect(await faultsOf({ argv: ['--host', '::', '--allow-unauthenticated'] })).toEqual([])
  })
})

it.each([
  ['127.0.0.1', true],
  ['127.8.9.10', true],
  ['::1', true],
  ['::ffff:127.0.0.1', true],
  ['localhost', true],
  ['0.0.0.0', false],
  ['::', false],
  ['10.0.0.1', false],
  ['::ffff:10.0.0.1', false],
  ['localhost.example.org', false],
  ['fe80::1%eth0', false],
])('knows whether only this machine reaches %s: %s', (host, loopback) => {
  expect(isLoopback(host)).toBe(loopback)
})

describe('what is generated from the table', () => {
  it('is help that names every setting, whatever else is wrong', async () => {
    const loaded = await load({ argv: ['--help', '--nonsense'], env: { PORT: 'abc' } })
    if (loaded.outcome !== 'help') throw new Error(loaded.outcome)
    for (const key of SETTING_KEYS) {
      const { env, flag } = settingOf(key)
      for (const name of [key, env, flag]) if (name !== undefined) expect(loaded.help).toContain(name)
    }
    expect(loaded.help.split('\n').filter(line => line.length > 100)).toEqual([])
  })

  it('is a Markdown table with a row of five cells for every setting', () => {
    const rows = settingsTable().split('\n')
    expect(rows).toHaveLength(SETTING_KEYS.length + 2)
    for (const row of rows) expect(row.split(/(?<!\\)\|/)).toHaveLength(7)
  })

  it('gives no variable and no flag to two settings', () => {
    const names = SETTING_KEYS.flatMap(key => [settingOf(key).env, settingOf(key).flag]).filter(
      name => name !== undefined,
    )
    expect(new Set(names).size).toBe(names.length)
  })
})
