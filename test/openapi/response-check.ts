// Responses against the API description: declared at all, and of the declared form, with nothing undocumented in them.
import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js'
import ajvFormats from 'ajv-formats'
import { createPathMatcher, METHODS, resolve } from '../../src/http/description.ts'
import type { Description, Method, Response, Schema } from '../../src/http/description.ts'

export interface ObservedResponse {
  readonly method: string
  /** Path and query as sent, percent-encoded, below the base path. */
  readonly url: string
  readonly status: number
  readonly headers: Headers
  readonly body: string
}

/**
 * Makes a check that throws, with everything that deviates, for a response that the description does not declare.
 *
 * A URL outside the description may only be answered 404; a method outside it like any other with the path's 405.
 */
export function createResponseCheck(description: Description): (observed: ObservedResponse) => void {
  const findPaths = createPathMatcher(description)
  const compile = createStrictCompiler(description)

  return observed => {
    const faults: string[] = []
    const response = declaredResponse(description, findPaths, observed)
    if (response === undefined) faults.push('the status is not declared')
    else
      faults.push(
        ...headerFaults(description, compile, response, observed),
        ...bodyFaults(compile, response, observed),
      )
    if (faults.length > 0)
      throw new Error(`${observed.method} ${observed.url} answered ${observed.status}: ${faults.join('; ')}`)
  }
}

function declaredResponse(
  description: Description,
  findPaths: (urlPath: string) => string[],
  { method, url, status }: ObservedResponse,
): Response | undefined {
  const [urlPath = ''] = url.split('?', 1)
  // There a slash at the end says nothing.
  const sought = urlPath.startsWith('/api/v1') ? urlPath.replace(/\/$/, '') : urlPath
  const paths = findPaths(sought).map(path => description.paths[path]!)
  const declared = METHODS.find(one => one === (method.toLowerCase() as Method))
  const path = paths.find(one => declared !== undefined && one[declared] !== undefined)
  if (path !== undefined && declared !== undefined) {
    const response = path[declared]!.responses[status]
    return response && resolve(description, response)
  }
  const fallback = fallbackOf(url, paths.length > 0)
  if (status !== (paths.length > 0 ? 405 : 404)) return undefined
  return resolve<Response>(description, { $ref: `#/components/responses/${fallback}` })
}

/** How a URL or a method outside the description is refused: in the words of the tree that it is in. */
function fallbackOf(url: string, isKnownUrl: boolean): string {
  if (url.startsWith('/streams/v1')) return 'TextFailure'
  if (url.startsWith('/api/v1')) return 'DetailFailure'
  return isKnownUrl ? 'MethodNotAllowed' : 'NotFound'
}

type Compile = (schema: Schema) => ValidateFunction

/** Objects that do not say otherwise are closed: what is sent has to be documented, even though clients must bear more. */
function createStrictCompiler(description: Description): Compile {
  const ajv = new Ajv2020({ strict: false, allErrors: true })
  ajvFormats.default(ajv)
  const closed = (_: string, node: unknown): unknown =>
    typeof node === 'object' && node !== null && 'properties' in node && !('additionalProperties' in node)
      ? { ...node, additionalProperties: false }
      : node
  const strict = JSON.parse(JSON.stringify(description.components.schemas, closed)) as object
  ajv.addSchema({ $id: 'urn:polyaxon-outputs:strict', components: { schemas: strict } })
  const compiled = new Map<Schema, ValidateFunction>()
  return schema => {
    let validate = compiled.get(schema)
    if (validate === undefined) {
      const text = JSON.stringify(schema, closed).replaceAll(
        '"$ref":"#/',
        '"$ref":"urn:polyaxon-outputs:strict#/',
      )
      validate = ajv.compile(JSON.parse(text) as object)
      compiled.set(schema, validate)
    }
    return validate
  }
}

function headerFaults(
  description: Description,
  compile: Compile,
  response: Response,
  { headers }: ObservedResponse,
): string[] {
  return Object.entries(response.headers ?? {}).flatMap(([name, node]) => {
    const header = resolve(description, node)
    const value = headers.get(name)
    if (value === null) return header.required === true ? [`the header ${name} is missing`] : []
    const schema = resolve(description, header.schema)
    const validate = compile(header.schema)
    return validate(schema.type === 'integer' ? Number(value) : value) ? [] : [`${name} is '${value}'`]
  })
}

function bodyFaults(compile: Compile, response: Response, observed: ObservedResponse): string[] {
  const { method, headers, body } = observed
  if (method === 'HEAD' || response.content === undefined) return body === '' ? [] : ['it has a body']
  const type = (headers.get('content-type') ?? '').split(';', 1)[0]!.toLowerCase()
  const media = response.content[type] ?? response.content['*/*']
  if (media === undefined) return [`the media type '${type}' is not declared`]
  if (media.schema === undefined || !/[/+](x-nd)?json$/.test(type) || response.content[type] === undefined)
    return []
  const validate = compile(media.schema)
  if (media['x-each-line'] === true) return lineFaults(validate, body)
  return [
    ...jsonFaults(validate, body, 'the body'),
    ...(type === 'application/problem+json' ? problemFaults(observed) : []),
  ]
}

function jsonFaults(validate: ValidateFunction, text: string, what: string): string[] {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    return [`${what} is not JSON`]
  }
  if (validate(value)) return []
  return (validate.errors ?? []).map(
    ({ instancePath, message, params }) => `${what} ${instancePath} ${message} ${JSON.stringify(params)}`,
  )
}

function lineFaults(validate: ValidateFunction, body: string): string[] {
  if (!body.endsWith('\n')) return ['the last line is not ended']
  const lines = body.slice(0, -1).split('\n')
  const faults = lines.flatMap((line, i) => jsonFaults(validate, line, `line ${i + 1}`))
  if (faults.length > 0) return faults
  const ends = lines
    .map(line => Object.keys(JSON.parse(line) as object))
    .map(keys => keys.some(key => key === 'summary' || key === 'error'))
  return ends.indexOf(true) === lines.length - 1 ? [] : ['the summary or error is not the last line']
}

function problemFaults({ status, headers, body }: ObservedResponse): string[] {
  const problem = JSON.parse(body) as { readonly status?: unknown; readonly requestId?: unknown }
  const faults: string[] = []
  if (problem.status !== status) faults.push(`the problem says status ${String(problem.status)}`)
  if (problem.requestId !== headers.get('x-request-id')) faults.push('the problem is of another request')
  return faults
}
