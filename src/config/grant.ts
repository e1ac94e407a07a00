// Who may do what, in the words in which it is written down: rights, and the runs that they are for.
import { RUN_KINDS, type Config, type RunKind } from './config.ts'
import { oneOf, type ValueType } from './value.ts'

/** To write is to add files and to replace what is there; to delete is to take files away. */
export const RIGHTS = ['read', 'write', 'delete'] as const
export type Right = (typeof RIGHTS)[number]

/** Runs by their names. Every field is a pattern in which `*` stands for any characters and all else for itself; a lone `*` restricts nothing. */
export interface Scope {
  readonly connection: string
  readonly owner: string
  readonly project: string
  readonly kind: RunKind | '*'
  readonly run: string
}

export const SCOPE_FIELDS = [
  'connection',
  'owner',
  'project',
  'kind',
  'run',
] as const satisfies (keyof Scope)[]

export const EVERYTHING: Scope = { connection: '*', owner: '*', project: '*', kind: '*', run: '*' }

/** Every one of `rights` for every run that any of `scopes` covers. */
export interface Grant {
  readonly rights: readonly Right[]
  readonly scopes: readonly Scope[]
}

const MAX_PATTERN_BYTES = 255

/** A pattern for one name; without any two `*` in a row. */
export const namePattern: ValueType<string> = {
  name: 'pattern',
  expected: "a name without a slash, in which '*' stands for any characters",
  parse: found => {
    if (typeof found !== 'string' || found === '' || Buffer.byteLength(found) > MAX_PATTERN_BYTES)
      return undefined
    // No name is of this form, so nobody can have meant one.
    if (/[/\0]/.test(found) || /^\.{1,2}$/.test(found) || !found.isWellFormed()) return undefined
    return found.replace(/\*+/g, '*')
  },
  format: String,
}

export const kindPattern: ValueType<RunKind | '*'> = oneOf([...RUN_KINDS, '*'])

/** The kinds that `scope` names. */
function kindsNamed({ kind }: Scope): readonly RunKind[] {
  return kind === '*' ? RUN_KINDS : [kind]
}

/**
 * The kinds of which `scope` covers any runs.
 *
 * Where the layout of a kind does without the owner, nothing on the store tells whose a run is: the owner in the URL is then whatever the client likes to write there. A scope that names
 * owners must not take that for true, so it covers no runs of such a kind; with projects it is the same. All templates of the kind count, for each of them may lead to a run.
 */
export function kindsCovered(scope: Scope, layouts: Config['layouts']): readonly RunKind[] {
  return kindsNamed(scope).filter(kind =>
    (['owner', 'project'] as const).every(
      field => scope[field] === '*' || layouts[kind].every(template => hasVariable(template, field)),
    ),
  )
}

/** The kinds that `scope` names and yet covers no runs of. */
export function kindsMissed(scope: Scope, layouts: Config['layouts']): readonly RunKind[] {
  const covered = kindsCovered(scope, layouts)
  return kindsNamed(scope).filter(kind => !covered.includes(kind))
}

/** Whether a layout's template has the owner's or the project's name in it. */
export function hasVariable(template: string, variable: 'owner' | 'project'): boolean {
  return template.split('/').includes(`{${variable}}`)
}
