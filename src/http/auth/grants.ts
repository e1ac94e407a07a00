// What a caller may do who was granted rights to runs: the one place where that is decided.
import type { Config, RunKind } from '../../config/config.ts'
import {
  EVERYTHING,
  hasVariable,
  kindsCovered,
  SCOPE_FIELDS,
  type Grant,
  type Scope,
} from '../../config/grant.ts'
import { compileGlob } from '../../content/glob.ts'
import type { Access, Action, Caller, Verdict } from '../gate.ts'

type Matches = (name: string) => boolean

interface CompiledScope {
  readonly connection: Matches
  readonly owner: Matches
  readonly project: Matches
  readonly run: Matches
  readonly kinds: readonly RunKind[]
}

/** What `grants` give to whoever has them. Names are compared as the path type compares them, by their characters: no other spelling is the same. */
export function rightsOf(
  grants: readonly Grant[],
  layouts: Config['layouts'],
): Pick<Caller, 'seesAll' | 'judge'> {
  const compiled = grants.map(({ rights, scopes }) => ({
    rights: new Set<Action>(rights),
    scopes: scopes.map(scope => compile(scope, layouts)),
  }))
  const verdict = (access: Access): Verdict => {
    const covering = compiled.filter(({ scopes }) => scopes.some(scope => covers(scope, access, layouts)))
    if (covering.some(({ rights }) => rights.has(access.action))) return 'allowed'
    return covering.some(({ rights }) => rights.has('read')) ? 'forbidden' : 'hidden'
  }
  return {
    seesAll: grants.some(({ rights, scopes }) => rights.includes('read') && scopes.some(isEverything)),
    judge: access => Promise.resolve(verdict(access)),
  }
}

function isEverything(scope: Scope): boolean {
  return SCOPE_FIELDS.every(field => scope[field] === EVERYTHING[field])
}

function compile(scope: Scope, layouts: Config['layouts']): CompiledScope {
  const { connection, owner, project, run } = scope
  return {
    connection: matcher(connection),
    owner: matcher(owner),
    project: matcher(project),
    run: matcher(run),
    kinds: kindsCovered(scope, layouts),
  }
}

/** All but the asterisks loses what it means in a glob. */
function matcher(pattern: string): Matches {
  return pattern === '*' ? () => true : compileGlob(pattern.replace(/[\\?[\]{}!,]/g, '\\$&'))
}

/** A level is covered where anything below it may be. */
function covers(scope: CompiledScope, { connection, of }: Access, layouts: Config['layouts']): boolean {
  const { owner, project, kind, id } = of
  if (!scope.connection(connection)) return false
  if (owner !== undefined && !scope.owner(owner)) return false
  if (project !== undefined && !scope.project(project)) return false
  if (id !== undefined && !scope.run(id)) return false
  if (kind !== undefined) return scope.kinds.includes(kind)
  return scope.kinds.some(each => isBelow(each, of, layouts))
}

/**
 * Whether runs of a kind are found below a level that does not name it. Whose folders do not have the owner's name in them are below every owner, of which those who see no others
 * must not learn that there is one.
 */
function isBelow(kind: RunKind, { owner, project }: Access['of'], layouts: Config['layouts']): boolean {
  if (owner === undefined) return true
  const has = (variable: 'owner' | 'project') =>
    layouts[kind].some(template => hasVariable(template, variable))
  return project === undefined ? has('owner') : has('project') || !has('owner')
}
