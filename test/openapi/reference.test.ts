import { createHash } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { endpointsOf, type Description } from '../../src/http/description.ts'
import { referencePolicy, renderReference } from '../../src/http/reference.ts'
import { description } from './description.ts'

const page = renderReference(description)
const endpoints = endpointsOf(description)
const VOID = new Set(['meta', 'br'])

/** Tags in the order of the page; the style is one text. */
function tagsOf(text: string): { name: string; closing: boolean; attributes: string }[] {
  return [...text.replace(/<style>.*<\/style>/s, '').matchAll(/<(\/?)([a-z][a-z0-9]*)([^<>]*)>/g)].map(
    ([, slash, name, attributes]) => ({ name: name!, closing: slash === '/', attributes: attributes! }),
  )
}

describe('the reference page', () => {
  it.each(endpoints.map(({ operation, path }) => [operation.operationId, path, operation.summary] as const))(
    'has %s',
    (id, path, summary) => {
      expect(page).toContain(` id="${id}"`)
      expect(page).toContain(`<code>${path}</code>`)
      expect(page).toContain(summary.replaceAll("'", '&#39;'))
    },
  )

  it.each(endpoints.map(endpoint => [endpoint.operation.operationId, endpoint] as const))(
    'shows the parameters and statuses of %s',
    (_, { method, path, operation, parameters }) => {
      const get = endpoints.find(one => method === 'head' && one.method === 'get' && one.path === path)
      const shown = get?.operation ?? operation
      const [, rest] = page.split(`<article id="${shown.operationId}"`)
      const article = rest!.split('</article>', 1)[0]!
      for (const { name } of parameters) expect(article).toContain(`<code>${name}</code>`)
      for (const status of Object.keys(operation.responses))
        expect(article).toContain(`<code>${status}</code>`)
      expect(article).toContain('curl ')
    },
  )

  it('is balanced, and nests nothing that HTML would take apart', () => {
    const open: string[] = []
    for (const { name, closing } of tagsOf(page)) {
      if (VOID.has(name)) continue
      if (closing) expect(open.pop()).toBe(name)
      else open.push(name)
      if (open.at(-1) === 'p' || open.at(-1) === 'a') expect(open.slice(0, -1)).not.toContain(open.at(-1))
      if (['table', 'ul', 'pre', 'details', 'p'].includes(name) && !closing)
        expect(open.slice(0, -1)).not.toContain('p')
    }
    expect(open).toEqual([])
  })

  it('has no script, no handler, no inline style and nothing from elsewhere', () => {
    for (const { name, attributes } of tagsOf(page)) {
      expect(['script', 'link', 'iframe', 'img', 'object', 'form', 'base']).not.toContain(name)
      expect(attributes).not.toMatch(/\s(on\w+|style|src)=/)
      if (name === 'a' && attributes !== '') expect(attributes).toMatch(/href="(#|openapi\.yaml")/)
    }
    expect(page.match(/<style>(.*)<\/style>/s)![1]).not.toMatch(/url\(|@import/)
  })

  it('links only to what is there, and names nothing twice', () => {
    const ids = [...page.matchAll(/ id="([^"]*)"/g)].map(match => match[1])
    expect(new Set(ids).size).toBe(ids.length)
    const targets = [...page.matchAll(/href="#([^"]*)"/g)].map(match => match[1])
    for (const target of targets) expect(ids).toContain(target)
    for (const { operation, method } of endpoints)
      if (method !== 'head') expect(targets).toContain(operation.operationId)
  })

  it('has one main, a title, a skip link first, and headings without gaps', () => {
    const names = tagsOf(page).filter(({ closing }) => !closing)
    expect(names.filter(({ name }) => name === 'main')).toHaveLength(1)
    expect(page).toMatch(/<html lang="en">/)
    expect(page).toMatch(/<title>polyaxon-outputs [^<]+<\/title>/)
    expect(names.find(({ name }) => name === 'a')!.attributes).toContain('class="skip"')
    let level = 0
    for (const { name } of names.filter(one => /^h[1-6]$/.test(one.name))) {
      expect(Number(name[1])).toBeLessThanOrEqual(level + 1)
      level = Number(name[1])
    }
    for (const { attributes } of names.filter(({ name }) => name === 'th'))
      expect(attributes).toContain('scope=')
  })

  it('allows its style by the hash of exactly what it holds', () => {
    const style = page.match(/<style>(.*)<\/style>/s)![1]!
    const hash = createHash('sha256').update(style).digest('base64')
    expect(referencePolicy()).toContain(`style-src 'sha256-${hash}'`)
    expect(referencePolicy()).toContain("default-src 'none'")
  })

  it('escapes whatever the document says', () => {
    const hostile = `<script>alert("1")</script>'&`
    const text = JSON.stringify(description, (key, value: unknown) =>
      ['description', 'summary', 'title'].includes(key) && typeof value === 'string' ? hostile : value,
    )
    const rendered = renderReference(JSON.parse(text) as Description)
    expect(rendered).not.toContain('<script')
    expect(rendered).toContain('&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt;&#39;&amp;')
  })
})
