// The file of tokens: what it says, and every mistake that can be made in it, each named with its place.
import { createHash } from 'node:crypto'
import { mkdirSync } from 'node:fs'
import { afterAll, describe, expect, it } from 'vitest'
import { loadConfig } from '../../src/config/load.ts'
import { parseTokens } from '../../src/config/tokens-file.ts'
import { configFor } from '../support/service.ts'
import { Tree } from '../support/tree.ts'

const { layouts } = configFor('')
const served = { layouts, connections: ['outputs', 'archive'] }

function hashOf(token: string): string {
  return createHash('sha256').update(token).digest('hex')
}

const A = hashOf('a')
const B = hashOf('b')

function parsed(text: string) {
  return parseTokens(text, 'tokens.yaml', served)
}

function faultsIn(text: string): string[] {
  return parsed(text).faults.map(({ where, problem }) => `${where}: ${problem}`)
}

/** A file with one token, which has the fields of `more` besides. */
function entry(more: string, sha256 = A): string {
  return `tokens:\n  - {name: ann, sha256: ${sha256}, ${more}}\n`
}

describe('a file of tokens', () => {
  it('says who holds them, until when, and what they give the right to', () => {
    const { tokens, faults, warnings } = parsed(`
tokens:
  - name: ann
    sha256: ${A.toUpperCase()}
    scopes:
      - owner: ann
        project: mn**ist
        kind: experiments
        connection: archive
      - { kind: runs, run: 8aac* }
  - name: ci@example.org
    sha256: '${B}'
    expires: 2027-03-31
    rights: [read, write, delete]
    scopes: [{}]
  - { name: prometheus, sha256: ${hashOf('c')}, metrics: true, expires: '2027-03-31T18:00:00+02:00' }
`)
    expect(faults).toEqual([])
    expect(warnings).toEqual([])
    const all = { connection: '*', owner: '*', project: '*', kind: '*', run: '*' }
    expect(tokens).toEqual([
      {
        name: 'ann',
        sha256: A,
        expiresMs: Infinity,
        seesMetrics: false,
        grants: [
          {
            rights: ['read'],
            scopes: [
              { ...all, owner: 'ann', project: 'mn*ist', kind: 'experiments', connection: 'archive' },
              { ...all, kind: 'runs', run: '8aac*' },
            ],
          },
        ],
      },
      {
        name: 'ci@example.org',
        sha256: B,
        expiresMs: Date.UTC(2027, 2, 31),
        seesMetrics: false,
        grants: [{ rights: ['read', 'write', 'delete'], scopes: [all] }],
      },
      {
        name: 'prometheus',
        sha256: hashOf('c'),
        expiresMs: Date.UTC(2027, 2, 31, 16),
        seesMetrics: true,
        grants: [],
      },
    ])
  })

  it('may say that there are none, but only in so many words', () => {
    expect(parsed('tokens: []')).toEqual({ tokens: [], faults: [], warnings: [] })
  })

  it('takes hashes and names that YAML has for numbers', () => {
    const digits = '1'.repeat(62)
    const { tokens, faults } = parsed(`tokens:\n  - {name: 12, sha256: ${digits}e5, scopes: [{run: 012}]}`)
    expect(faults).toEqual([])
    expect(tokens[0]).toMatchObject({ name: '12', sha256: `${digits}e5` })
    expect(tokens[0]!.grants[0]!.scopes[0]!.run).toBe('012')
  })

  it.each<[string, string, ...(string | RegExp)[]]>([
    ['nothing at all', '', /^tokens.yaml: expected a map that describes a file of tokens, found nothing$/],
    ['only comments', '# none yet\n', /found nothing$/],
    ['a list', `- {name: a, sha256: ${A}}`, /^tokens.yaml: expected a map .* found a list$/],
    [
      'no list of tokens',
      'tokens:',
      'tokens (tokens.yaml line 1): expected a list of tokens, which is [] where there are none',
    ],
    [
      'another key',
      'token: []',
      /^token .*is not a known field of a file of tokens; did you mean tokens\?$/,
      /^tokens .*: expected a list/,
    ],
    ['no YAML', 'tokens: [', /^tokens.yaml line \d: is not valid YAML/],
    [
      'a text for a token',
      'tokens: [secret]',
      /^tokens\[0\] .*: expected a map that describes a token, found another value$/,
    ],
    ['an empty token', 'tokens:\n  -', /^tokens\[0\] .* found nothing$/],
    ['no name', `tokens: [{sha256: ${A}, scopes: [{}]}]`, /^tokens\[0\].name .*found nothing$/],
    [
      'a name with a space',
      entry('scopes: [{}]').replace('ann', 'ann b'),
      /^tokens\[0\].name .* found 'ann b'$/,
    ],
    ['no hash', 'tokens: [{name: a, scopes: [{}]}]', /^tokens\[0\].sha256 .* found nothing$/],
    [
      'the token itself for its hash',
      entry('scopes: [{}]', 'my-secret-token'),
      /^tokens\[0\].sha256 .* found another value$/,
    ],
    [
      'the token beside its hash',
      entry('token: my-secret, scopes: [{}]'),
      /^tokens\[0\].token .*: is not a known field of a token$/,
    ],
    [
      'the hash of nothing',
      entry('scopes: [{}]', hashOf('')),
      /^tokens\[0\].sha256 .*: is the hash of an empty text, and of no token$/,
    ],
    ['the hash of an empty line', entry('scopes: [{}]', hashOf('\n')), /hash of an empty text/],
    [
      'a right that there is not',
      entry('rights: [read, admin], scopes: [{}]'),
      /^tokens\[0\].rights .*: expected a list of read, write, delete/,
    ],
    ['no right', entry('rights: [], scopes: [{}]'), /^tokens\[0\].rights/],
    ['a right without a list', entry('rights: read, scopes: [{}]'), /^tokens\[0\].rights/],
    [
      'rights without a value',
      entry('rights: , scopes: [{}]'),
      /^tokens\[0\].rights .*: expected a value, found nothing$/,
    ],
    [
      'no scopes',
      entry('rights: [read]'),
      /^tokens\[0\].scopes .*: expected a list of what the token is for, such as .* or \[\{\}\] for everything$/,
    ],
    ['no scopes in the list', entry('scopes: []'), /^tokens\[0\].scopes/],
    ['rights to metrics, and to no run', entry('metrics: true, rights: [read]'), /^tokens\[0\].scopes/],
    [
      'a scope that is no map',
      entry('scopes: [ann]'),
      /^tokens\[0\].scopes\[0\] .*: expected a map that describes a scope/,
    ],
    ['a scope without anything', entry('scopes: [~]'), /^tokens\[0\].scopes\[0\] .* found nothing$/],
    [
      'a scope whose value was not filled in',
      entry('scopes: [{owner: , kind: jobs}]'),
      /^tokens\[0\].scopes\[0\].owner .*: expected a value, found nothing$/,
    ],
    [
      'a scope with an empty name',
      entry("scopes: [{owner: ''}]"),
      /^tokens\[0\].scopes\[0\].owner .*: expected a name without a slash/,
    ],
    [
      'a scope with a path',
      entry('scopes: [{owner: ann/mnist}]'),
      /owner .*: expected a name without a slash/,
    ],
    ['a scope that climbs', entry('scopes: [{owner: ..}]'), /owner .*: expected a name without a slash/],
    [
      'a kind that there is not',
      entry('scopes: [{kind: experiment}]'),
      /^tokens\[0\].scopes\[0\].kind .*: expected one of experiments, jobs, builds, groups, runs, \*, found 'experiment'$/,
    ],
    [
      'a field that there is not',
      entry('scopes: [{user: ann}]'),
      /^tokens\[0\].scopes\[0\].user .*: is not a known field of a scope/,
    ],
    [
      'a day that there is not',
      entry('expires: 2027-02-31, scopes: [{}]'),
      /^tokens\[0\].expires .*: expected a day such as/,
    ],
    [
      'a time without its zone',
      entry("expires: '2027-02-01T10:00:00', scopes: [{}]"),
      /^tokens\[0\].expires/,
    ],
    ['a number for a day', entry('expires: 1800000000, scopes: [{}]'), /^tokens\[0\].expires/],
    [
      'an end that was not filled in',
      entry('expires: , scopes: [{}]'),
      /^tokens\[0\].expires .*: expected a value/,
    ],
  ])('with %s is at fault', (_name, text, ...expected) => {
    const faults = faultsIn(text)
    expect(faults).toHaveLength(expected.length)
    expected.forEach((one, i) => expect(faults[i]).toMatch(one))
    expect(faults.join()).not.toMatch(/my-secret/)
  })

  it('names all faults at once, duplicates among them', () => {
    expect(
      faultsIn(`
tokens:
  - { name: ann, sha256: ${A}, scopes: [{}] }
  - { name: ann, sha256: ${B}, scopes: [{ owner: '' }] }
  - { name: bob, sha256: ${A.toUpperCase()}, rights: [all], scopes: [{}] }
`).map(fault => fault.replace(/expected.*/, '…')),
    ).toEqual([
      'tokens[1].name (tokens.yaml line 4): is that of tokens[0] too, and each token has its own',
      'tokens[1].scopes[0].owner (tokens.yaml line 4): …',
      'tokens[2].sha256 (tokens.yaml line 5): is that of tokens[0] too, and each token has its own',
      'tokens[2].rights (tokens.yaml line 5): …',
    ])
  })

  it.each([
    [
      '{owner: ann, kind: runs}',
      /^tokens\[0\].scopes\[0\] .*: covers nothing, because layouts.runs does not say whose a run is/,
    ],
    [
      '{connection: archives}',
      /^tokens\[0\].scopes\[0\] .*: covers nothing, because no connection is called 'archives'$/,
    ],
    [
      '{owner: ann}',
      /^tokens.yaml: scopes that name owners or projects cover no run whose folder does not have these names in it, which is so by layouts.runs \(tokens\[0\].scopes\[0\]\)$/,
    ],
  ])('with the scope %s is used, with a warning', (scope, warning) => {
    const { faults, warnings } = parsed(entry(`scopes: [${scope}]`))
    expect(faults).toEqual([])
    expect(warnings).toHaveLength(1)
    expect(warnings[0]).toMatch(warning)
  })

  it('warns once of many scopes, and not of those whose kinds have owners', () => {
    const scopes = [
      ...Array.from({ length: 9 }, () => '{owner: ann}'),
      '{owner: ann, kind: jobs}',
      '{kind: runs}',
    ]
    const { warnings } = parsed(entry(`scopes: [${scopes.join(', ')}]`))
    expect(warnings).toHaveLength(1)
    expect(warnings[0]).toMatch(/scopes\[4\] …\)$/)
  })
})

describe('at the start', () => {
  const tree = new Tree()
  afterAll(() => tree.remove())
  mkdirSync(tree.at('outputs'))

  const load = (env: Record<string, string>) => loadConfig({ argv: [], env, cwd: tree.root })

  async function faultsOf(env: Record<string, string>): Promise<string[]> {
    const loaded = await load(env)
    return loaded.outcome === 'faults'
      ? loaded.faults.map(({ where, problem }) => `${where}: ${problem}`)
      : []
  }

  it('a file that cannot be read is at fault', async () => {
    const faults = (file: string) => faultsOf({ AUTH_TOKENS_FILE: file })
    expect(await faults('none.yaml')).toEqual([
      "AUTH_TOKENS_FILE: expected the path of a file of tokens, but 'none.yaml' does not exist",
    ])
    expect((await faults('outputs'))[0]).toMatch(/but 'outputs' is no regular file of at most 1 MiB/)
    tree.write('large.yaml', 'x'.repeat(1024 ** 2 + 1))
    expect((await faults('large.yaml'))[0]).toMatch(/is no regular file of at most 1 MiB/)
  })

  it('all faults in it are named, beside those of other settings', async () => {
    tree.write('tokens.yaml', 'tokens:\n  - {name: a}\n')
    const faults = await faultsOf({ AUTH_TOKENS_FILE: 'tokens.yaml', PORT: 'x', HOST: '0.0.0.0' })
    expect(faults.map(fault => fault.split(':')[0])).toEqual([
      'PORT',
      'tokens[0].sha256 (tokens.yaml line 2)',
      'tokens[0].scopes (tokens.yaml line 2)',
    ])
  })

  it('tokens let any address be served, and its warnings are those of the start', async () => {
    tree.write('tokens.yaml', entry('scopes: [{owner: ann}]'))
    const loaded = await load({ AUTH_TOKENS_FILE: 'tokens.yaml', HOST: '0.0.0.0' })
    if (loaded.outcome !== 'config') throw new Error(JSON.stringify(loaded))
    expect(loaded.config.auth).toEqual({ tokensFile: tree.at('tokens.yaml') })
    expect(loaded.warnings).toHaveLength(1)
  })

  it('changes by everybody where not everybody may read are at fault', async () => {
    tree.write('tokens.yaml', entry('scopes: [{}]'))
    const env = { AUTH_TOKENS_FILE: 'tokens.yaml', ALLOW_UNAUTHENTICATED_CHANGES: 'true' }
    expect((await faultsOf(env))[0]).toMatch(
      /^ALLOW_UNAUTHENTICATED_CHANGES: has no effect without server.allowUnauthenticated/,
    )
    expect(await faultsOf({ ...env, ALLOW_UNAUTHENTICATED: 'true' })).toEqual([])
    expect(await faultsOf({ ALLOW_UNAUTHENTICATED_CHANGES: 'true' })).toEqual([])
  })
})
