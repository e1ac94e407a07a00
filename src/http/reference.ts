// The API reference: one page without scripts, made from the API description at start, that needs nothing from elsewhere.
import { createHash } from 'node:crypto'
import { endpointsOf, type Description, type Endpoint } from './description.ts'
import { markup, Markup } from '../content/markup.ts'
import { markdown } from './reference-markup.ts'
import { methodBadge, operationSection, type OperationGroup } from './reference-operation.ts'
import { schemaSections } from './reference-schema.ts'
import { STYLE } from './reference-style.ts'

// One piece, so that formatting this file cannot change what is hashed.
const STYLE_ELEMENT = new Markup(`<style>${STYLE}</style>`)

/** The Content-Security-Policy to send with the page: its own style by hash, and nothing else. */
export function referencePolicy(): string {
  const hash = createHash('sha256').update(STYLE).digest('base64')
  return `default-src 'none'; style-src 'sha256-${hash}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'`
}

const rendered = new WeakMap<Description, string>()

/** The whole page as a string of HTML, made once. Every text of the document is escaped. */
export function renderReference(description: Description): string {
  const known = rendered.get(description)
  if (known !== undefined) return known
  const page = render(description)
  rendered.set(description, page)
  return page
}

function render(description: Description): string {
  const { info, tags } = description
  const groups = groupOperations(description)
  const page = markup`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <title>${info.title} ${info.version}: API reference</title>
        ${STYLE_ELEMENT}
      </head>
      <body>
        <a class="skip" href="#operations">Skip to the operations</a>
        <div class="page">
          <header>
            <h1>${info.title}</h1>
            <p class="quiet">
              API reference, version ${info.version}. The same as an
              <a href="openapi.yaml">OpenAPI ${description.openapi} document</a>.
            </p>
            ${info.summary && markup`<p><strong>${info.summary}</strong></p>`}
            ${info.description && markdown(info.description)}
          </header>
          <div class="columns">
            ${navigation(description, groups)}
            <main id="operations">
              ${tags.map(
                tag =>
                  markup`<section aria-labelledby="tag-${tag.name}">
                    <h2 id="tag-${tag.name}">${tag.name}</h2>
                    <p>${tag.description}</p>
                    ${ofTag(groups, tag.name).map(group => operationSection(description, group))}
                  </section> `,
              )}
              <section aria-labelledby="schemas">
                <h2 id="schemas">Schemas</h2>
                <p>The values that parameters, bodies and answers are made of.</p>
                ${schemaSections(description)}
              </section>
            </main>
          </div>
        </div>
      </body>
    </html> `
  return page.text
}

/** Each operation, HEAD beside the GET of its path where it has one. */
function groupOperations(description: Description): OperationGroup[] {
  const endpoints = endpointsOf(description)
  const beside = (method: 'get' | 'head', { path }: Endpoint) =>
    endpoints.find(one => one.method === method && one.path === path)
  return endpoints
    .filter(endpoint => endpoint.method !== 'head' || beside('get', endpoint) === undefined)
    .map(main => {
      const head = main.method === 'get' ? beside('head', main) : undefined
      return head === undefined ? { main } : { main, head }
    })
}

function ofTag(groups: readonly OperationGroup[], tag: string): OperationGroup[] {
  return groups.filter(({ main }) => main.operation.tags.includes(tag))
}

function navigation({ tags, components }: Description, groups: readonly OperationGroup[]): Markup {
  const operations = tags.map(
    tag =>
      markup`<h2>${tag.name}</h2>
        <ul>
          ${ofTag(groups, tag.name).map(
            ({ main }) =>
              markup`<li>
                ${methodBadge(main)} <a href="#${main.operation.operationId}">${main.operation.summary}</a>
              </li> `,
          )}
        </ul> `,
  )
  return markup`<nav aria-label="Contents">
    ${operations}
    <h2><a href="#schemas">Schemas</a></h2>
    <ul>
      ${Object.keys(components.schemas).map(name => markup`<li><a href="#schema-${name}">${name}</a></li> `)}
    </ul>
  </nav>`
}
