// How Polyaxon lays out runs on a store: templates such as `{owner}/{project}/groups/*/{id}`, parsed once and filled per request.
import type { RunKind } from '../config/config.ts'
import { AppError } from '../errors.ts'
import { parsePath } from '../store/path.ts'
import type { ArtifactPath } from '../store/path.ts'

/** What a URL says about a run. Every field is one path segment. */
export interface RunReference {
  readonly owner: string
  readonly project: string
  readonly kind: RunKind
  readonly id: string
}

export type Variable = 'owner' | 'project' | 'id' | 'uuid' | 'name'

export type TemplateSegment =
  | { readonly type: 'literal'; readonly text: string }
  | { readonly type: 'variable'; readonly name: Variable }
  | { readonly type: 'any' }

export type Template = readonly TemplateSegment[]

/**
 * What each variable accepts. Narrow ids keep a run from being another folder's name: without them `runs/{owner}` would open all of an
 * owner's outputs as one run, and `experiments/plots` a folder inside a group.
 */
const ACCEPTS: Readonly<Record<Variable, RegExp>> = {
  owner: /^[^/]+$/,
  project: /^[^/]+$/,
  id: /^[0-9]{1,20}$/,
  uuid: /^(?:[0-9a-f]{32}|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})$/i,
  name: /^[^/]+$/,
}

const VARIABLES = Object.keys(ACCEPTS)

export function accepts(variable: Variable, value: string): boolean {
  return ACCEPTS[variable].test(value)
}

/** Parses a template that `config/` has validated; fails with InvalidArgument otherwise. */
export function parseTemplate(text: string): Template {
  return text.split('/').map(segment => {
    if (segment === '*') return { type: 'any' }
    const variable = /^\{(\w+)\}$/.exec(segment)?.[1]
    if (variable === undefined) return { type: 'literal', text: parsePath(segment) }
    if (!VARIABLES.includes(variable))
      throw new AppError('InvalidArgument', `The layout '${text}' has an unknown variable {${variable}}.`)
    return { type: 'variable', name: variable as Variable }
  })
}

/** Which field of a reference fills a variable. */
export function valueOf(variable: Variable, reference: Partial<RunReference>): string | undefined {
  return variable === 'owner' || variable === 'project' ? reference[variable] : reference.id
}

/**
 * The path that a template gives for a run, cut at its wildcards: `['ann/mnist/groups', '7']` for an experiment 7 in some group.
 *
 * Undefined when the reference does not fit the template.
 */
export function fill(template: Template, reference: RunReference): readonly ArtifactPath[] | undefined {
  const pieces: string[][] = [[]]
  for (const segment of template) {
    if (segment.type === 'any') {
      pieces.push([])
      continue
    }
    const text = segment.type === 'literal' ? segment.text : valueOf(segment.name, reference)
    if (text === undefined || (segment.type === 'variable' && !accepts(segment.name, text))) return undefined
    pieces.at(-1)!.push(text)
  }
  return pieces.map(piece => parsePath(piece.join('/')))
}
