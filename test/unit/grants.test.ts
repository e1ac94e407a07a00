// What rights and scopes give, against the same said by regular expressions and in one sentence.
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { RUN_KINDS, type Config, type RunKind } from '../../src/config/config.ts'
import { EVERYTHING, RIGHTS, type Grant, type Scope } from '../../src/config/grant.ts'
import { rightsOf } from '../../src/http/auth/grants.ts'
import type { Access, Action, Verdict } from '../../src/http/gate.ts'
import { configFor } from '../support/service.ts'

const { layouts } = configFor('')

function verdict(grants: readonly Grant[], access: Access, layout = layouts): Promise<Verdict> {
  return rightsOf(grants, layout).judge(access, new AbortController().signal)
}

function grant(scope: Partial<Scope>, ...rights: Action[]): Grant {
  return { rights: rights.length === 0 ? ['read'] : rights, scopes: [{ ...EVERYTHING, ...scope }] }
}

function access(of: Access['of'], action: Action = 'read', connection = 'outputs'): Access {
  return { action, connection, of }
}

function run(owner: string, project: string, kind: RunKind, id: string): Access['of'] {
  return { owner, project, kind, id }
}

const NAMES = [
  'a',
  'b',
  'ab',
  'aab',
  'a.b',
  'a+b',
  '[a]',
  'é',
  'A',
  '{a,b}',
  '?',
  '!a',
  'a\\b',
  '-',
  '12',
  '',
]
const PATTERNS = [
  '*',
  'a*',
  '*b',
  'a*b',
  '*a*b*',
  'a.b',
  '[a]',
  '{a,b}',
  '?',
  '!a',
  'a\\b',
  'a',
  'é',
  '12',
  '1*',
]
const LAYOUTS: readonly Config['layouts'][] = [
  layouts,
  { ...layouts, runs: ['{owner}/{project}/{uuid}'] },
  { ...layouts, runs: ['{owner}/{uuid}'], jobs: ['{project}/jobs/{id}'] },
  { ...layouts, experiments: ['{owner}/{project}/experiments/{id}', 'experiments/{id}'] },
]

/** Whether a run is covered, in the words of the documentation. */
function oracle(scope: Scope, { connection, of }: Access, layout: Config['layouts']): boolean {
  const matches = (pattern: string, name: string): boolean =>
    new RegExp(
      `^${pattern
        .split('*')
        .map(text => text.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&'))
        .join('.*')}$`,
      'su',
    ).test(name)
  const { owner, project, kind, id } = of as Required<Access['of']>
  const names: Required<Scope> = { connection, owner, project, kind, run: id }
  const isInEveryFolder = (field: 'owner' | 'project') =>
    layout[kind].every(each => each.includes(`{${field}}`))
  return Object.entries(scope).every(
    ([field, pattern]) =>
      pattern === '*' ||
      (matches(pattern, names[field as keyof Scope]) &&
        (field === 'owner' || field === 'project' ? isInEveryFolder(field) : true)),
  )
}

const name = fc.constantFrom(...NAMES)
const pattern = fc.constantFrom('*', '*', ...PATTERNS)
const scope = fc.record({
  connection: pattern,
  owner: pattern,
  project: pattern,
  kind: fc.constantFrom('*' as const, ...RUN_KINDS),
  run: pattern,
})
const grants = fc.array(
  fc.record({
    rights: fc.subarray([...RIGHTS], { minLength: 1 }),
    scopes: fc.array(scope, { minLength: 1, maxLength: 3 }),
  }),
  { maxLength: 3 },
)
const anyRun = fc.record({ owner: name, project: name, kind: fc.constantFrom(...RUN_KINDS), id: name })
const anyAccess = fc.record({ action: fc.constantFrom(...RIGHTS), connection: name, of: anyRun })
const layout = fc.constantFrom(...LAYOUTS)

describe('what is granted', () => {
  it('is what the scopes say of every run', async () => {
    await fc.assert(
      fc.asyncProperty(grants, anyAccess, layout, async (given, asked, layout) => {
        const covering = given.filter(({ scopes }) => scopes.some(each => oracle(each, asked, layout)))
        const has = (right: Action): boolean => covering.some(({ rights }) => rights.includes(right))
        const expected = has(asked.action) ? 'allowed' : has('read') ? 'forbidden' : 'hidden'
        expect(await verdict(given, asked, layout)).toBe(expected)
      }),
      { numRuns: 3000 },
    )
  })

  it('is every level above a run that may be read, as far as its names are of the layout', async () => {
    await fc.assert(
      fc.asyncProperty(grants, anyAccess, layout, async (given, { connection, of }, layout) => {
        if ((await verdict(given, access(of, 'read', connection), layout)) !== 'allowed') return
        const { owner, project, kind } = of
        const hasOwner = layout[kind].some(template => template.includes('{owner}'))
        const hasProject = layout[kind].some(template => template.includes('{project}'))
        const above = [
          {},
          ...(hasOwner ? [{ owner }] : []),
          ...(hasProject || !hasOwner ? [{ owner, project }] : []),
          { owner, project, kind },
        ]
        for (const level of above)
          expect(await verdict(given, access(level, 'read', connection), layout)).toBe('allowed')
      }),
      { numRuns: 1000 },
    )
  })

  it('is nothing where nothing is granted', async () => {
    for (const of of [{}, { owner: 'ann' }, run('ann', 'mnist', 'experiments', '1')])
      for (const action of RIGHTS) expect(await verdict([], access(of, action))).toBe('hidden')
    expect(rightsOf([], layouts).seesAll).toBe(false)
  })
})

describe('a scope with an owner', () => {
  const ann = [grant({ owner: 'ann' }, 'read', 'write', 'delete')]

  it('covers no run whose folder does not say whose it is, under whatever name it is asked for', async () => {
    const uuid = '8aac02e3a62a4f0aaa257c59da5eab80'
    expect(await verdict(ann, access(run('ann', 'mnist', 'experiments', '1')))).toBe('allowed')
    for (const owner of ['ann', 'bob', 'polyaxon'])
      for (const project of ['mnist', ''])
        for (const action of RIGHTS)
          expect(await verdict(ann, access(run(owner, project, 'runs', uuid), action))).toBe('hidden')
    expect(await verdict(ann, access({ owner: 'ann', project: 'mnist', kind: 'runs' }))).toBe('hidden')
  })

  it('covers it where its folder does', async () => {
    const layout = { ...layouts, runs: ['{owner}/{project}/{uuid}'] }
    expect(await verdict(ann, access(run('ann', 'mnist', 'runs', 'x')), layout)).toBe('allowed')
    expect(await verdict(ann, access(run('bob', 'mnist', 'runs', 'x')), layout)).toBe('hidden')
  })

  it('covers it only where all places of the kind do', async () => {
    const layout = { ...layouts, jobs: ['{owner}/{project}/jobs/{id}', 'old/{id}'] }
    expect(await verdict(ann, access(run('ann', 'mnist', 'jobs', '1')), layout)).toBe('hidden')
  })

  it('shows no other owner, project or connection', async () => {
    const one = [grant({ owner: 'ann', project: 'mnist', connection: 'outputs' })]
    expect(await verdict(one, access({}))).toBe('allowed')
    expect(await verdict(one, access({}, 'read', 'archive'))).toBe('hidden')
    expect(await verdict(one, access({ owner: 'ann' }))).toBe('allowed')
    expect(await verdict(one, access({ owner: 'bob' }))).toBe('hidden')
    expect(await verdict(one, access({ owner: 'ann', project: 'other' }))).toBe('hidden')
    expect(await verdict(one, access({}, 'write'))).toBe('forbidden')
  })

  it.each(['Ann', 'ANN', 'ann ', ' ann', 'ann.', 'a\u006En\u0301', 'ann\u200b', '%61nn'])(
    'is not one for %j',
    async other => {
      expect(await verdict(ann, access(run(other, 'mnist', 'experiments', '1')))).toBe('hidden')
    },
  )
})

describe('a scope with runs of 2.x', () => {
  const uuid = 'a1b2c3d4e5f647089a0b1c2d3e4f5a6b'
  const one = [grant({ kind: 'runs', run: uuid })]

  it('covers that one only, whatever owner and project are said', async () => {
    expect(await verdict(one, access(run('ann', 'mnist', 'runs', uuid)))).toBe('allowed')
    expect(await verdict(one, access(run('x', '', 'runs', uuid)))).toBe('allowed')
    for (const other of [
      uuid.toUpperCase(),
      'a1b2c3d4-e5f6-4708-9a0b-1c2d3e4f5a6b',
      uuid.replace('a', 'b'),
      `${uuid}0`,
    ])
      expect(await verdict(one, access(run('ann', 'mnist', 'runs', other)))).toBe('hidden')
    expect(await verdict(one, access(run('ann', 'mnist', 'experiments', uuid)))).toBe('hidden')
  })

  it('leads there without telling which owners and projects there are', async () => {
    expect(await verdict(one, access({}))).toBe('allowed')
    expect(await verdict(one, access({ owner: 'ann' }))).toBe('hidden')
    expect(await verdict(one, access({ owner: 'ann', project: 'mnist' }))).toBe('allowed')
    expect(await verdict(one, access({ owner: 'ann', project: 'mnist', kind: 'runs' }))).toBe('allowed')
    expect(await verdict(one, access({ owner: 'ann', project: 'mnist', kind: 'jobs' }))).toBe('hidden')
  })
})

it('rights are of the scopes that they are granted with', async () => {
  const given = [grant({}), grant({ owner: 'ann' }, 'write'), grant({ owner: 'bob' }, 'read', 'delete')]
  const of = (owner: string) => run(owner, 'p', 'jobs', '1')
  expect(await verdict(given, access(of('ann'), 'write'))).toBe('allowed')
  expect(await verdict(given, access(of('ann'), 'delete'))).toBe('forbidden')
  expect(await verdict(given, access(of('bob'), 'write'))).toBe('forbidden')
  expect(await verdict(given, access(of('bob'), 'delete'))).toBe('allowed')
  expect(await verdict([grant({}, 'write')], access(of('ann')))).toBe('hidden')
})

it('only who may read everything sees all', () => {
  const sees = (...given: Grant[]) => rightsOf(given, layouts).seesAll
  expect(sees(grant({}))).toBe(true)
  expect(sees(grant({}, 'write'))).toBe(false)
  for (const field of ['connection', 'owner', 'project', 'run'] as const)
    expect(sees(grant({ [field]: 'a*' }))).toBe(false)
  expect(sees(grant({ kind: 'runs' }), grant({ owner: 'a' }))).toBe(false)
})
