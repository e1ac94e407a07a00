// Layout templates: the text in the configuration that says where a run lives under the store's root.
import type { RunKind } from './config.ts'
import type { ValueType } from './value.ts'

/** The segments that tell a run from its siblings; every template has exactly one of them. */
const IDENTITIES: readonly string[] = ['{id}', '{uuid}', '{name}']
const VARIABLES: readonly string[] = ['{owner}', '{project}', ...IDENTITIES]

/**
 * One template or a list of them, tried in order. A template is relative segments joined by `/`; a segment is a variable ({id} takes digits,
 * {uuid} a UUID with or without dashes, the others any name), `*` for any one folder, or the plain name of a folder.
 */
export function layoutTemplates(kind: RunKind): ValueType<readonly string[]> {
  const example = kind === 'runs' ? '{uuid}' : `{owner}/{project}/${kind}/{id}`
  return {
    name: 'templates',
    expected: `a relative template such as ${example}, or a list of them, of {owner}, {project}, '*', plain names and one of ${IDENTITIES.join(', ')}`,
    parse: found => {
      const templates: unknown = typeof found === 'string' ? [found] : found
      return isList(templates) && templates.length > 0 && templates.every(isTemplate) ? templates : undefined
    },
    format: templates => `[${templates.map(template => `'${template}'`).join(', ')}]`,
  }
}

function isList(found: unknown): found is string[] {
  return Array.isArray(found) && found.every(element => typeof element === 'string')
}

function isTemplate(template: string): boolean {
  const segments = template.split('/')
  const variables = segments.filter(segment => VARIABLES.includes(segment))
  return (
    new Set(variables).size === variables.length &&
    variables.filter(variable => IDENTITIES.includes(variable)).length === 1 &&
    segments.every(segment => segment === '*' || VARIABLES.includes(segment) || isFolderName(segment))
  )
}

function isFolderName(segment: string): boolean {
  return (
    segment !== '' &&
    segment !== '.' &&
    segment !== '..' &&
    !/[{}*\\\0]/.test(segment) &&
    segment.length <= 255
  )
}
