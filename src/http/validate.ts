// Requests against the API description: what reaches a route has only the parameters and the body that its operation allows.
import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js'
import express, { type Request, type RequestHandler, type Response } from 'express'
import type { IncomingMessage } from 'node:http'
import { AppError } from '../errors.ts'
import type { components, operations } from '../generated/api.d.ts'
import { invite } from './body.ts'
import { createPathMatcher, endpointsOf, resolve } from './description.ts'
import type { Description, Endpoint, RequestBody, Schema } from './description.ts'
import { toAppError } from './problem.ts'
import { compileField, invalid, quote, readFields } from './validate-fields.ts'

const FORM = 'application/x-www-form-urlencoded'
const JSON_TYPE = 'application/json'

export interface ValidatorOptions {
  /** Bytes of a body, also after decompression. */
  readonly maxBodyBytes: number
  /** From asking for a body to its end. */
  readonly maxBodyMs: number
}

type Schemas = components['schemas']
type QueryOf<Operation extends keyof operations> = NonNullable<operations[Operation]['parameters']['query']>
/** Together, these have all that there are. */
type AllParameters = QueryOf<'readFile'> &
  QueryOf<'postFolder'> &
  QueryOf<'transferFile'> &
  QueryOf<'unpackFolder'>

/**
 * The query parameters of all operations, as values: flags are booleans, `limit` is a number, `path` a list. What was not sent is
 * absent; defaults are not filled in.
 */
export type Query = {
  readonly [name in keyof AllParameters]: AllParameters[name] extends Schemas['Flag'] | undefined
    ? boolean
    : AllParameters[name]
}

/** What a POST selects, in the form in which it was sent. */
export type Body = Schemas['Selection'] | Schemas['SelectionForm']

/** What a link is to be for. */
export type LinkRequest = Schemas['LinkRequest']

/** Middleware, and the check of a URL that nobody has sent yet. */
export interface RequestValidator extends RequestHandler {
  /** The query of `url` by the operation of `method` there. Fails with InvalidArgument for a URL that has none, and as the middleware does. */
  queryFor(method: string, url: string): Query
}

interface Intake {
  readonly query: Query
  readonly readBody?: (response: Response) => Promise<unknown>
}

const NOTHING: Intake = Object.freeze({ query: Object.freeze({}) })

const intakes = new WeakMap<IncomingMessage, Intake>()

/** The query of a request that passed the validator; one without a query string need not have passed it. */
export function queryOf(request: IncomingMessage): Query {
  const intake = intakes.get(request) ?? (request.url?.includes('?') ? undefined : NOTHING)
  if (intake === undefined) throw unchecked()
  return intake.query
}

/**
 * The body of a request that passed the validator and whose operation has a form or JSON for one. It is read now, once, so everything that speaks against the request should have
 * been asked before.
 *
 * InvalidArgument for a body of another form or type, TooLarge for one that is too long, TimedOut for one that takes too long.
 */
export async function bodyOf(request: IncomingMessage, response: Response): Promise<Body> {
  return (await readBodyOf(request, response)) as Body
}

/** The same where the operation makes a link. */
export async function linkRequestOf(request: IncomingMessage, response: Response): Promise<LinkRequest> {
  return (await readBodyOf(request, response)) as LinkRequest
}

async function readBodyOf(request: IncomingMessage, response: Response): Promise<unknown> {
  const readBody = intakes.get(request)?.readBody
  if (readBody === undefined) throw unchecked()
  return readBody(response)
}

function unchecked(): AppError {
  return new AppError('Internal', 'The request was not checked against the API description.', {
    op: 'validate',
  })
}

/**
 * Middleware that checks the query of a request, and makes the check of its body. Everything is compiled when this returns, so a fault of the description fails the start.
 *
 * Mount it inside the base path, for all requests that have a query string or a body to be read by `bodyOf`. A parameter that the operation does not name, a repeated one that is
 * no list, and a value of another form fail with InvalidArgument. URLs and methods outside the description pass with an empty query, because the routes answer them with 404 and
 * 405.
 */
export function createRequestValidator(
  description: Description,
  options: ValidatorOptions,
): RequestValidator {
  const findPaths = createPathMatcher(description)
  const checks = checksOf(description)
  const readBody = createBodyReader(options)
  const checkOf = (method: string, urlPath: string): EndpointCheck | undefined =>
    findPaths(urlPath)
      .map(path => checks.get(`${method} ${path}`))
      .find(found => found !== undefined)
  const queryFor = (method: string, url: string): Query => {
    const [path = '', ...query] = url.split('?')
    const check = checkOf(method, path)
    if (check === undefined) throw invalid(`There is no ${method} of this URL.`)
    return check.query(query.join('?'))
  }
  const middleware: RequestHandler = (req, _res, next) => {
    const check = checkOf(req.method, req.path)
    if (check === undefined) {
      intakes.set(req, NOTHING)
      next()
      return
    }
    const mark = req.url.indexOf('?')
    const query = check.query(mark < 0 ? '' : req.url.slice(mark + 1))
    const { body } = check
    intakes.set(req, body === undefined ? { query } : { query, readBody: res => readBody(req, res, body) })
    next()
  }
  return Object.assign(middleware, { queryFor })
}

interface EndpointCheck {
  /** Fails for a query that the operation does not allow. */
  readonly query: (text: string) => Query
  /** Undefined where the operation takes neither JSON nor a form. */
  readonly body: BodyCheck | undefined
}

/** `raw` is the text of a form, the value of JSON. Fails for a body that the operation does not allow. */
type BodyCheck = (mediaType: string, raw: unknown) => unknown

type Compile = (schema: Schema) => ValidateFunction

const compiled = new WeakMap<Description, ReadonlyMap<string, EndpointCheck>>()

/** By method and path; compiled once, whichever app they are for. */
function checksOf(description: Description): ReadonlyMap<string, EndpointCheck> {
  const known = compiled.get(description)
  if (known !== undefined) return known
  const checks = compileDescription(description)
  compiled.set(description, checks)
  return checks
}

function compileDescription(description: Description): ReadonlyMap<string, EndpointCheck> {
  const ajv = new Ajv2020({ strict: false, validateFormats: false })
  ajv.addSchema({ $id: 'urn:polyaxon-outputs:description', components: description.components })
  const compiled = new Map<Schema, ValidateFunction>()
  const compile: Compile = schema => {
    const known = compiled.get(schema)
    if (known !== undefined) return known
    // `#/components/…` means the document, of which the schema is cut out here.
    const text = JSON.stringify(schema).replaceAll('"$ref":"#/', '"$ref":"urn:polyaxon-outputs:description#/')
    const validate = ajv.compile(JSON.parse(text) as object)
    compiled.set(schema, validate)
    return validate
  }
  return new Map(
    endpointsOf(description).map(endpoint => [
      `${endpoint.method.toUpperCase()} ${endpoint.path}`,
      compileEndpoint(description, endpoint, compile),
    ]),
  )
}

function compileEndpoint(description: Description, endpoint: Endpoint, compile: Compile): EndpointCheck {
  const parameters = endpoint.parameters.filter(parameter => parameter.in === 'query')
  const fields = parameters.map(({ name, schema, required }) =>
    compileField(name, schema, required ?? false, description, compile),
  )
  const { requestBody } = endpoint.operation
  return {
    query: text => readFields('query parameter', fields, text),
    body: requestBody && compileBody(resolve(description, requestBody), description, compile),
  }
}

function compileBody(
  { content }: RequestBody,
  description: Description,
  compile: Compile,
): BodyCheck | undefined {
  // Any other body is a stream of bytes, and whoever takes it looks at it.
  if (content[JSON_TYPE] === undefined && content[FORM] === undefined) return undefined
  const json = compile(content[JSON_TYPE]?.schema ?? {})
  const { properties = {}, required = [] } = resolve(description, content[FORM]?.schema ?? {})
  const fields = Object.entries(properties).map(([name, schema]) =>
    compileField(name, schema, required.includes(name), description, compile),
  )
  return (mediaType, raw) => {
    const types = [JSON_TYPE, FORM].filter(type => content[type] !== undefined)
    if (!types.includes(mediaType))
      throw invalid(`The Content-Type of the body is ${quote(mediaType)}; it must be ${types.join(' or ')}.`)
    if (mediaType === FORM) return readFields('form field', fields, typeof raw === 'string' ? raw : '')
    if (json(raw)) return raw
    const [fault] = json.errors ?? []
    const extra =
      fault?.keyword === 'additionalProperties' ? ` '${String(fault.params['additionalProperty'])}'` : ''
    const where = fault?.instancePath ? `'${fault.instancePath.slice(1)}' of the body` : 'The body'
    throw invalid(`${where} ${fault?.message ?? 'has another form'}${extra}.`)
  }
}

type BodyReader = (req: Request, res: Response, check: BodyCheck) => Promise<unknown>

/** Reads a body of a media type that is declared. */
function createBodyReader({ maxBodyBytes, maxBodyMs }: ValidatorOptions): BodyReader {
  const parsers = new Map<string, RequestHandler>([
    // Anything that JSON can say gets to the schema, which says better than the parser what is wrong with it.
    [JSON_TYPE, express.json({ limit: maxBodyBytes, type: JSON_TYPE, strict: false })],
    [FORM, express.text({ limit: maxBodyBytes, type: FORM })],
  ])
  return async (req, res, check) => {
    const type = mediaTypeOf(req)
    const parser = parsers.get(type)
    // Checked as nothing, it is refused for its type.
    if (parser === undefined) return check(type, undefined)
    // The parsers would read a body that is too long to its end before they refuse it.
    if (Number(req.headers['content-length'] ?? 0) > maxBodyBytes)
      throw new AppError('TooLarge', `The body of the request is longer than ${maxBodyBytes} bytes.`)
    invite(req, res)
    await parsed(parser, req, res, maxBodyMs)
    return check(type, req.body)
  }
}

function parsed(parser: RequestHandler, req: Request, res: Response, maxBodyMs: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(
      () => reject(new AppError('TimedOut', 'The body of the request did not come to its end in time.')),
      maxBodyMs,
    )
    void parser(req, res, (error?: unknown) => {
      clearTimeout(timer)
      if (error === undefined) resolve()
      else if (isParseFailure(error)) reject(invalid('The body is not valid JSON.', error))
      else reject(toAppError(error))
    })
  })
}

function isParseFailure(error: unknown): boolean {
  return (error as { readonly type?: unknown } | undefined)?.type === 'entity.parse.failed'
}

function mediaTypeOf(req: Request): string {
  return (req.headers['content-type'] ?? '').split(';', 1)[0]!.trim().toLowerCase()
}
