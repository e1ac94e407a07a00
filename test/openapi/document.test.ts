import { Ajv2020 } from 'ajv/dist/2020.js'
import ajvFormats from 'ajv-formats'
import { describe, expect, it } from 'vitest'
import { createPathMatcher, endpointsOf, METHODS, resolve } from '../../src/http/description.ts'
import type { Example, Header, MediaType, Response, Schema } from '../../src/http/description.ts'
import { description } from './description.ts'

const endpoints = endpointsOf(description)
const named = endpoints.map(endpoint => [endpoint.operation.operationId, endpoint] as const)

const ajv = new Ajv2020({ strict: true, allowUnionTypes: true })
ajvFormats.default(ajv)
ajv.addVocabulary(['x-flag', 'components'])
ajv.addSchema({
  $id: 'urn:polyaxon-outputs:document',
  components: { schemas: description.components.schemas },
})

function faultsOf(schema: Schema, value: unknown): string {
  const validate = ajv.compile(
    JSON.parse(
      JSON.stringify(schema).replaceAll('"$ref":"#/', '"$ref":"urn:polyaxon-outputs:document#/'),
    ) as object,
  )
  return validate(value) ? '' : ajv.errorsText(validate.errors)
}

/** The media type of failures: a problem, but where clients that were there before read something else. */
function failureOf(path: string): string {
  if (path.startsWith('/streams/')) return 'text/plain'
  return path.startsWith('/api/') ? 'application/json' : 'application/problem+json'
}

describe('the API description', () => {
  it('names every operation once', () => {
    const ids = endpoints.map(({ operation }) => operation.operationId)
    expect(new Set(ids).size).toBe(ids.length)
    expect(ids.length).toBeGreaterThan(20)
  })

  it('answers HEAD wherever it answers GET, with the same parameters and responses', () => {
    for (const get of endpoints.filter(({ method }) => method === 'get')) {
      const head = endpoints.find(({ method, path }) => method === 'head' && path === get.path)
      expect(head?.parameters, get.path).toEqual(get.parameters)
      expect(head?.operation.responses, get.path).toEqual(get.operation.responses)
    }
  })

  it('has only methods that the validator knows, and changes nothing above a run', () => {
    for (const [path, item] of Object.entries(description.paths)) {
      const known = /\{(id|uuid)\}|^\/(?:uploads|links)/.test(path) ? METHODS : ['get', 'head']
      for (const method of Object.keys(item))
        expect([...known, 'parameters'], `${method} ${path}`).toContain(method)
    }
  })

  it('says of every change what happens to what may not be changed, is not whole or has no place', () => {
    for (const { operation } of endpoints.filter(({ method }) => method === 'put'))
      expect(Object.keys(operation.responses), operation.operationId).toEqual(
        expect.arrayContaining(['403', '408', '409', '412', '413', '507']),
      )
  })

  it.each(named)('%s declares the parameters that its path has, and no others', (_, { path, parameters }) => {
    const inPath = parameters.filter(parameter => parameter.in === 'path').map(({ name }) => name)
    expect(inPath).toEqual([...path.matchAll(/\{(\w+)\}/g)].map(match => match[1]))
  })

  it.each(named)('%s has a tag that is explained', (_, { operation }) => {
    expect(operation.tags).toHaveLength(1)
    expect(description.tags.map(({ name }) => name)).toContain(operation.tags[0])
  })

  it.each(named)('%s carries a request id in every response, and a failure in every error', (_, endpoint) => {
    for (const [status, node] of Object.entries(endpoint.operation.responses)) {
      const response = resolve(description, node)
      const id = resolve(description, response.headers!['X-Request-Id']!)
      expect(id.required, status).toBe(true)
      if (Number(status) >= 400 && !(endpoint.path === '/readyz' && status === '503'))
        expect(Object.keys(response.content!), status).toEqual([failureOf(endpoint.path)])
    }
  })

  it.each(named)('%s declares what any request may be answered', (id, { path, operation }) => {
    // Probes are told however much there is to do.
    const busy = path === '/healthz' ? [] : ['503']
    const declared = Object.keys(operation.responses)
    expect(declared, id).toEqual(expect.arrayContaining(['400', '414', '421', '429', '431', '500', ...busy]))
  })

  it('declares a success of every operation but the redirect of the bare address', () => {
    const without = endpoints.filter(
      ({ operation }) => !Object.keys(operation.responses).some(status => status.startsWith('2')),
    )
    expect(without.map(({ path }) => path)).toEqual(['/', '/'])
  })

  it.each(named)('%s has examples that its parameters accept', (_, { parameters }) => {
    for (const { name, schema, example } of parameters) {
      expect(example, name).toBeDefined()
      expect(faultsOf(schema, example), name).toBe('')
    }
  })

  it('has examples of headers that their schemas accept', () => {
    const headers = description.components['headers'] as Record<string, Header>
    for (const [name, header] of Object.entries(headers)) {
      expect(header.example, name).toBeDefined()
      expect(faultsOf(header.schema, header.example), name).toBe('')
    }
  })

  const bodies = [
    ...Object.entries(description.components['responses']!),
    ...Object.entries(description.components['requestBodies']!),
    ...endpoints.flatMap(({ operation }) =>
      Object.entries(operation.responses)
        .filter(([, node]) => !('$ref' in node))
        .map(([status, node]) => [`${operation.operationId} ${status}`, node] as const),
    ),
  ]
  const examples = bodies.flatMap(([name, body]) =>
    Object.entries((body as Response).content ?? {}).flatMap(([type, media]: [string, MediaType]) =>
      Object.entries(media.examples ?? {}).map(
        ([key, node]) =>
          [`${name} ${type} ${key}`, media.schema!, resolve<Example>(description, node).value] as const,
      ),
    ),
  )

  it.each(examples)('%s: the example fits its schema', (_, schema, value) => {
    expect(faultsOf(schema, value)).toBe('')
  })

  it('uses every example that it has', () => {
    const used = new Set(examples.map(([, , value]) => value))
    for (const [name, example] of Object.entries(description.components['examples']!))
      expect(used.has((example as Example).value), name).toBe(true)
  })

  it('says the same status in a problem as the response that shows it', () => {
    for (const [id, { operation }] of named)
      for (const [status, node] of Object.entries(operation.responses))
        for (const example of Object.values(
          resolve(description, node).content?.['application/problem+json']?.examples ?? {},
        ))
          expect(resolve<Example>(description, example).value, `${id} ${status}`).toMatchObject({
            status: Number(status),
          })
  })
})

describe('finding the path of a URL', () => {
  const find = createPathMatcher(description)
  const run = '/outputs/{owner}/{project}/{kind}/{id}/'

  it.each([
    ['/healthz', ['/healthz']],
    ['/openapi.yaml', ['/openapi.yaml']],
    ['/openapiXyaml', []],
    ['/outputs/', ['/outputs/']],
    ['/outputs', ['/outputs/']],
    ['/outputs/alice', ['/outputs/{owner}/']],
    ['/outputs/a/b/jobs/', ['/outputs/{owner}/{project}/{kind}/']],
    ['/outputs/a/b/jobs/7', [run]],
    ['/outputs/a/b/jobs/7/', [run]],
    ['/outputs/a/b/jobs/7/x', [`${run}{path}`, `${run}{path}/`]],
    ['/outputs/a/b/jobs/7/x/', [`${run}{path}/`]],
    ['/outputs/a/b/jobs/7/x/y%2Fz', [`${run}{path}`, `${run}{path}/`]],
    ['/outputs/a%2Fb/c/', ['/outputs/{owner}/{project}/']],
    ['/outputs/a/b/jobs/7/%zz%00+', [`${run}{path}`, `${run}{path}/`]],
    ['/outputs/a/b/jobs/7/x//', [`${run}{path}/`]],
    ['/outputs/a/b/jobs/7//', [`${run}{path}/`]],
    ['/elsewhere', []],
  ])('%s belongs to %j', (url, paths) => {
    expect([...new Set(find(url))].sort()).toEqual([...paths].sort())
  })
})
