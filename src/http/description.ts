// The API description as a value: the parts of OpenAPI 3.1 that this service uses, references followed, operations found by URL.
import { parse } from 'yaml'

export interface Schema {
  readonly $ref?: string
  readonly type?: string | readonly string[]
  readonly description?: string
  readonly enum?: readonly unknown[]
  readonly const?: unknown
  readonly default?: unknown
  readonly format?: string
  readonly pattern?: string
  readonly minimum?: number
  readonly maximum?: number
  readonly minLength?: number
  readonly maxLength?: number
  readonly minItems?: number
  readonly items?: Schema
  readonly required?: readonly string[]
  readonly properties?: Readonly<Record<string, Schema>>
  readonly additionalProperties?: boolean
  readonly oneOf?: readonly Schema[]
  /** A string that stands for a boolean. */
  readonly 'x-flag'?: boolean
}

export interface Reference {
  readonly $ref: string
}

type OrReference<T> = T | Reference

export interface Example {
  readonly summary?: string
  readonly value: unknown
}

export interface Parameter {
  readonly name: string
  readonly in: 'path' | 'query' | 'header'
  readonly required?: boolean
  readonly description?: string
  readonly schema: Schema
  readonly example?: unknown
  /** The value of this path parameter may hold slashes. */
  readonly 'x-multi-segment'?: boolean
}

export interface MediaType {
  readonly schema?: Schema
  readonly example?: unknown
  readonly examples?: Readonly<Record<string, OrReference<Example>>>
  /** The schema is that of one line of the body. */
  readonly 'x-each-line'?: boolean
}

export interface Header {
  readonly description?: string
  readonly required?: boolean
  readonly schema: Schema
  readonly example?: unknown
}

export interface Response {
  readonly description: string
  readonly headers?: Readonly<Record<string, OrReference<Header>>>
  readonly content?: Readonly<Record<string, MediaType>>
}

export interface RequestBody {
  readonly required?: boolean
  readonly description?: string
  readonly content: Readonly<Record<string, MediaType>>
}

export interface Operation {
  readonly operationId: string
  readonly summary: string
  readonly description?: string
  readonly tags: readonly string[]
  readonly parameters?: readonly OrReference<Parameter>[]
  readonly requestBody?: OrReference<RequestBody>
  readonly responses: Readonly<Record<string, OrReference<Response>>>
  /** Commands to show instead of one made from the examples of the path. */
  readonly 'x-codeSamples'?: readonly { readonly lang: string; readonly source: string }[]
}

export const METHODS = ['get', 'head', 'put', 'post', 'patch', 'delete', 'options'] as const
export type Method = (typeof METHODS)[number]

type PathItem = { readonly [method in Method]?: Operation } & {
  readonly parameters?: readonly OrReference<Parameter>[]
}

export interface Description {
  readonly openapi: string
  readonly info: {
    readonly title: string
    readonly version: string
    readonly summary?: string
    readonly description?: string
  }
  readonly tags: readonly { readonly name: string; readonly description: string }[]
  readonly paths: Readonly<Record<string, PathItem>>
  readonly components: Readonly<Record<string, Readonly<Record<string, unknown>>>> & {
    readonly schemas: Readonly<Record<string, Schema>>
  }
}

/** One method of one path, with the parameters of both. */
export interface Endpoint {
  readonly path: string
  readonly method: Method
  readonly operation: Operation
  readonly parameters: readonly Parameter[]
}

const parsed = new Map<string, Description>()

/**
 * Reads `openapi/openapi.yaml`. It is ours, linted and tested, so its form is taken for granted. Reading takes as long as a hundred requests, so that all apps of a process
 * share what was read.
 */
export function parseDescription(yaml: string): Description {
  const known = parsed.get(yaml)
  if (known !== undefined) return known
  const description = parse(yaml) as Description
  parsed.set(yaml, description)
  return description
}

/** `node` itself, or what it refers to inside the document; a reference that leads nowhere is an error. */
export function resolve<T extends object>(description: Description, node: OrReference<T>): T {
  let target: unknown = node
  while (isReference(target)) {
    const { $ref } = target
    target = $ref
      .slice('#/'.length)
      .split('/')
      .reduce<unknown>((parent, key) => (parent as Record<string, unknown> | undefined)?.[key], description)
    if (target === undefined) throw new Error(`The API description has no ${$ref}.`)
  }
  return target as T
}

function isReference(node: unknown): node is Reference {
  return typeof node === 'object' && node !== null && typeof (node as Partial<Reference>).$ref === 'string'
}

/** Every operation, in the order of the document. */
export function endpointsOf(description: Description): Endpoint[] {
  return Object.entries(description.paths).flatMap(([path, item]) =>
    METHODS.flatMap(method => {
      const operation = item[method]
      if (operation === undefined) return []
      const parameters = [...(item.parameters ?? []), ...(operation.parameters ?? [])]
      return [{ path, method, operation, parameters: parameters.map(one => resolve(description, one)) }]
    }),
  )
}

/**
 * Finds the paths of the document that a URL's path, still percent-encoded, may belong to: the one of its own form, and the one of
 * the folder that it names without the final slash.
 *
 * Nothing is decoded, so `%2F` never separates.
 */
export function createPathMatcher(description: Description): (urlPath: string) => string[] {
  const multiSegment = new Set(
    endpointsOf(description).flatMap(({ path, parameters }) =>
      parameters.filter(one => one['x-multi-segment'] === true).map(({ name }) => `${path} {${name}}`),
    ),
  )
  const templates = Object.keys(description.paths).map(path => ({
    path,
    pattern: toPattern(path, placeholder => multiSegment.has(`${path} ${placeholder}`)),
  }))
  const find = (urlPath: string): string[] => {
    const found = templates.find(({ pattern }) => pattern.test(urlPath))
    return found === undefined ? [] : [found.path]
  }
  return urlPath => (urlPath.endsWith('/') ? find(urlPath) : [...find(urlPath), ...find(`${urlPath}/`)])
}

function toPattern(path: string, isMultiSegment: (placeholder: string) => boolean): RegExp {
  const source = path.replaceAll(/\{\w+\}|[.]/g, part => {
    if (part === '.') return '\\.'
    if (!isMultiSegment(part)) return '[^/]*'
    // A URL that ends in a slash is that of a folder, which has a path of its own.
    return path.endsWith('/') ? '.*' : '.*[^/]'
  })
  return new RegExp(`^${source}$`, 's')
}
