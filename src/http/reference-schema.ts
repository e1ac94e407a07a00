// Schemas for people: what a value may be in a few words, and the properties of objects as tables.
import { markup } from '../content/markup.ts'
import type { Content, Markup } from '../content/markup.ts'
import { inlineMarkdown, markdown } from './reference-markup.ts'
import type { Description, Schema } from './description.ts'

const SCHEMA_PREFIX = '#/components/schemas/'

/** The type of a value in words, with links to named schemas. */
export function schemaText(schema: Schema): Content {
  if (schema.$ref !== undefined) return schemaLink(schema.$ref)
  if (schema.oneOf !== undefined) return joined(schema.oneOf.map(schemaText), ' or ')
  if (schema.enum !== undefined) return enumText(schema.enum)
  if (schema.const !== undefined) return markup`<code>${JSON.stringify(schema.const)}</code>`
  if (schema.items !== undefined) return markup`list of ${schemaText(schema.items)}`
  const types = [schema.type ?? 'any'].flat()
  const kind = types.map(type => (type === 'string' && schema.format ? formatName(schema.format) : type))
  return [kind.join(' or '), boundsText(schema)]
}

/** Values of a parameter: a named enumeration is spelled out, because a link would hide what one needs most. */
export function parameterText(schema: Schema, named: Schema): Content {
  const shown = named.items !== undefined || named.enum !== undefined ? named : schema
  const text = named['x-flag'] === true ? markup`<a href="#schema-Flag">flag</a>` : schemaText(shown)
  return named.default === undefined || named['x-flag'] === true
    ? text
    : markup`${text}<br /><span class="quiet">default</span>
        <code>${typeof named.default === 'string' ? named.default : JSON.stringify(named.default)}</code>`
}

function schemaLink($ref: string): Markup {
  const name = $ref.slice(SCHEMA_PREFIX.length)
  return markup`<a href="#schema-${name}">${name}</a>`
}

function enumText(values: readonly unknown[]): Content {
  return joined(
    values.map(value => markup`<code>${value === '' ? '(empty)' : String(value)}</code>`),
    ', ',
  )
}

function joined(contents: readonly Content[], separator: string): Content {
  return contents.map((content, i) => [i > 0 && separator, content])
}

function formatName(format: string): string {
  if (format === 'date-time') return 'time (RFC 3339)'
  if (format === 'uri-reference') return 'URL, may be relative'
  return format === 'uri' ? 'URI' : `string (${format})`
}

function boundsText({ minimum, maximum, maxLength, minItems }: Schema): string {
  if (minimum !== undefined && maximum !== undefined) return `, ${minimum} to ${maximum}`
  if (minimum !== undefined) return `, at least ${minimum}`
  if (maxLength !== undefined) return `, at most ${maxLength} characters`
  return minItems === undefined ? '' : `, at least ${minItems}`
}

/** Every named schema, each under `schema-NAME`. */
export function schemaSections(description: Description): Markup {
  const schemas = Object.entries(description.components.schemas)
  return markup`${schemas.map(
    ([name, schema]) =>
      markup`<article id="schema-${name}">
        <h3>${name}</h3>
        ${schema.description && markdown(schema.description)} ${schemaBody(name, schema)}
      </article> `,
  )}`
}

function schemaBody(name: string, schema: Schema): Markup {
  if (schema.properties === undefined) return markup`<p>${schemaText(schema)}</p>`
  return markup`<div class="scroll" tabindex="0" role="region" aria-label="Properties of ${name}">
    <table>
      <thead>
        <tr>
          <th scope="col">Property</th>
          <th scope="col" class="values">Value</th>
          <th scope="col">Meaning</th>
        </tr>
      </thead>
      <tbody>
        ${propertyRows(schema, '')}
      </tbody>
    </table>
  </div>`
}

/** Objects without a name of their own are listed in place, as `next.cursor`. */
function propertyRows(schema: Schema, prefix: string): Content {
  return Object.entries(schema.properties ?? {}).map(([name, property]) => {
    const inner = property.items?.properties ? property.items : property
    const path = `${prefix}${name}${inner === property ? '' : '[]'}`
    const optional =
      schema.required?.includes(name) === true ? undefined : markup` <span class="quiet">optional</span>`
    return [
      markup`<tr>
        <th scope="row"><code>${path}</code>${optional}</th>
        <td>
          ${schemaText(inner.properties ? { type: inner === property ? 'object' : 'list of objects' } : property)}
        </td>
        <td>${property.description && inlineMarkdown(property.description)}</td>
      </tr> `,
      inner.properties && propertyRows(inner, `${path}.`),
    ]
  })
}
