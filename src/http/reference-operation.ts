// One operation of the reference page: route, examples to paste, parameters, body and responses.
import { STATUS_CODES } from 'node:http'
import { resolve } from './description.ts'
import type { Description, Endpoint, Example, MediaType, Parameter, Response } from './description.ts'
import { markup } from '../content/markup.ts'
import type { Content, Markup } from '../content/markup.ts'
import { inlineMarkdown, markdown } from './reference-markup.ts'
import { parameterText, schemaText } from './reference-schema.ts'

/** Where `npm start` listens. */
const ADDRESS = 'http://127.0.0.1:8000'

/** An operation, and the HEAD that is answered alike. */
export interface OperationGroup {
  readonly main: Endpoint
  readonly head?: Endpoint
}

export function operationSection(description: Description, { main, head }: OperationGroup): Markup {
  const { operation, path } = main
  return markup`<article id="${operation.operationId}">
    <h3>${operation.summary}</h3>
    <p class="route">${methodBadge(main)} ${head && methodBadge(head)} <code>${path}</code></p>
    ${operation.description && markdown(operation.description)} ${head && headNote(head)}
    <h4>Try it</h4>
    ${preformatted(curlLines(main, head).join('\n'))} ${parametersSection(description, main)}
    ${bodySection(description, main)} ${responsesSection(description, main)}
  </article> `
}

export function methodBadge({ method }: Endpoint): Markup {
  return markup`<span class="method ${method}">${method.toUpperCase()}</span>`
}

function headNote({ operation }: Endpoint): Markup {
  const note = operation.description ?? 'The same headers without the body.'
  return markup`<p id="${operation.operationId}">
    <strong>HEAD</strong> ${operation.summary}. ${inlineMarkdown(note)}
  </p>`
}

function curlLines(main: Endpoint, head: Endpoint | undefined): string[] {
  const samples = main.operation['x-codeSamples']?.map(({ source }) => source.trim())
  const url = `'${ADDRESS}${exampleUrl(main)}'`
  return [...(samples ?? [`curl ${url}`]), ...(head === undefined ? [] : [`curl --head ${url}`])]
}

/** The path with the examples of its parameters, which the document keeps free of what a shell or a URL would need escaped. */
function exampleUrl({ path, parameters }: Endpoint): string {
  return path.replaceAll(/\{(\w+)\}/g, (_, name: string) => {
    const parameter = parameters.find(candidate => candidate.in === 'path' && candidate.name === name)
    return parameter?.example === undefined ? name : exampleValue(parameter.example)
  })
}

function parametersSection(
  description: Description,
  { operation, parameters }: Endpoint,
): Markup | undefined {
  if (parameters.length === 0) return undefined
  return table(
    `Parameters of ${operation.operationId}`,
    'Parameters',
    ['Name', 'In', 'Value', 'Meaning'],
    parameters.map(parameter => parameterRow(description, parameter)),
  )
}

function parameterRow(description: Description, parameter: Parameter): Markup {
  const named = resolve(description, parameter.schema)
  const { example } = parameter
  return markup`<tr>
    <th scope="row">
      <code>${parameter.name}</code>${parameter.required === true && markup` <span class="quiet">required</span>`}
    </th>
    <td>${parameter.in}</td>
    <td class="values">${parameterText(parameter.schema, named)}</td>
    <td>
      ${parameter.description && inlineMarkdown(parameter.description)}
      ${example !== undefined && markup`<span class="quiet">Example:</span> <code>${exampleValue(example)}</code>`}
    </td>
  </tr> `
}

function exampleValue(example: unknown): string {
  return typeof example === 'string' ? example : JSON.stringify(example)
}

function bodySection(description: Description, { operation }: Endpoint): Markup | undefined {
  if (operation.requestBody === undefined) return undefined
  const body = resolve(description, operation.requestBody)
  return markup`<h4>Request body</h4>
    ${body.description && markdown(body.description)}
    ${Object.entries(body.content).map(([type, media]) => mediaTypeBlock(description, type, media))}`
}

function responsesSection(description: Description, { operation }: Endpoint): Markup {
  const responses = Object.entries(operation.responses).map(
    ([status, node]) => [status, resolve(description, node)] as const,
  )
  const rows = responses.map(
    ([status, { description: meaning, content = {} }]) => markup`<tr>
      <th scope="row"><code>${status}</code> <span class="quiet">${STATUS_CODES[status]}</span></th>
      <td>${inlineMarkdown(meaning)}</td>
      <td class="values">${Object.keys(content).map(type => markup`<code>${type}</code> `)}</td>
    </tr> `,
  )
  return markup`${table(`Responses of ${operation.operationId}`, 'Responses', ['Status', 'Meaning', 'Body'], rows)}
    ${responses.map(([status, response]) => responseDetails(description, status, response))}`
}

/** Headers, schema and examples of one status, folded away: most readers want the list of statuses first. */
function responseDetails(description: Description, status: string, response: Response): Markup {
  const headers = Object.entries(response.headers ?? {}).map(([name, node]) => {
    const header = resolve(description, node)
    return markup`<li><code>${name}</code> – ${header.description && inlineMarkdown(header.description)}</li> `
  })
  const media = Object.entries(response.content ?? {})
  return markup`<details>
    <summary>Headers and examples of ${status}</summary>
    ${headers.length > 0 && markup`<ul>${headers}</ul>`}
    ${media.map(([type, one]) => mediaTypeBlock(description, type, one))}
  </details> `
}

function mediaTypeBlock(description: Description, type: string, media: MediaType): Content {
  const { schema } = media
  const shape =
    schema &&
    Object.keys(schema).length > 0 &&
    markup`: ${media['x-each-line'] === true && 'on each line '}${schemaText(schema)}`
  return markup`<p><code>${type}</code>${shape}</p>
    ${examplesOf(description, media).map(
      ({ summary, value }) =>
        markup`${summary && markup`<p class="quiet">${summary}</p>`} ${preformatted(exampleText(type, value))}`,
    )}`
}

function examplesOf(description: Description, media: MediaType): Example[] {
  const named = Object.values(media.examples ?? {}).map(node => resolve<Example>(description, node))
  return media.example === undefined ? named : [{ value: media.example }, ...named]
}

function exampleText(type: string, value: unknown): string {
  if (typeof value === 'string') return value.trimEnd()
  if (type === 'application/x-www-form-urlencoded') {
    const fields = Object.entries(value as Record<string, string | string[]>)
    return new URLSearchParams(
      fields.flatMap(([name, one]) => [one].flat().map((each): [string, string] => [name, each])),
    ).toString()
  }
  return JSON.stringify(value, null, type === 'application/x-ndjson' ? undefined : 2)
}

/** Scrolls when it is too wide, so it takes the focus (WCAG 2.2, 2.1.1). */
function preformatted(text: string): Markup {
  return markup`<pre tabindex="0"><code>${text}</code></pre>`
}

function table(label: string, title: string, columns: readonly string[], rows: readonly Markup[]): Markup {
  return markup`<h4>${title}</h4>
    <div class="scroll" tabindex="0" role="region" aria-label="${label}">
      <table>
        <thead>
          <tr>
            ${columns.map(column => markup`<th scope="col">${column}</th>`)}
          </tr>
        </thead>
        <tbody>
          ${rows}
        </tbody>
      </table>
    </div>`
}
