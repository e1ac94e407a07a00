// Requests against the API description: what reaches a route has only the parameters and the body that its operation allows.
import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js'
import express, { type Request, type RequestHandler } from 'express'
import type { IncomingMessage } from 'node:http'
import { AppError } from '../errors.ts'
import type { components, operations } from '../generated/api.d.ts'
import { createPathMatcher, endpointsOf, resolve } from './description.ts'
import type { Description, Endpoint, RequestBody, Schema } from './description.ts'
import { compileField, invalid, quote, readFields } from './validate-fields.ts'

const FORM = 'application/x-www-form-urlencoded'
const JSON_TYPE = 'application/json'

export interface ValidatorOptions {
  /** Bytes of a body, also after decompression. */
  readonly maxBodyBytes: number
}

type Schemas = components['schemas']
type AllParameters = NonNullable<operations['readFile']['parameters']['query']>

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

interface Intake {
  readonly query: Query
  readonly body?: Body
}

const NOTHING: Intake = Object.freeze({ query: Object.freeze({}) })

const intakes = new WeakMap<IncomingMessage, Intake>()

/** The query of a request that passed the validator; one without a query string need not have passed it. */
export function queryOf(request: IncomingMessage): Query {
  const intake = intakes.get(request) ?? (request.url?.includes('?') ? undefined : NOTHING)
  if (intake === undefined) throw unchecked()
  return intake.query
}

/** The body of a request that passed the validator and whose operation has one. */
export function bodyOf(request: IncomingMessage): Body {
  const body = intakes.get(request)?.body
  if (body === undefined) throw unchecked()
  return body
}

function unchecked(): AppError {
  return new AppError('Internal', 'The request was not checked against the API description.', {
    op: 'validate',
  })
}

/**
 * Middleware that checks the query and the body of a request. Everything is compiled when this returns, so a fault of the description fails the start.
 *
 * Mount it inside the base path, for all requests that have a query string or are neither GET nor HEAD. A parameter that the operation does not name, a
 * repeated one that is no list, and a value or body of another form fail with InvalidArgument; a body that is too long fails with the status 413 of its
 * parser. A body is read only where the operation has one. URLs and methods outside the description pass with an empty query, because the
 * routes answer them with 404 and 405.
 */
export function createRequestValidator(
  description: Description,
  { maxBodyBytes }: ValidatorOptions,
): RequestHandler {
  const findPaths = createPathMatcher(description)
  const checks = compileDescription(description)
  const readBody = createBodyReader(maxBodyBytes)

  return (req, res, next) => {
    const check = findPaths(req.path)
      .map(path => checks.get(`${req.method} ${path}`))
      .find(found => found !== undefined)
    if (check === undefined) {
      intakes.set(req, NOTHING)
      next()
      return
    }
    const mark = req.url.indexOf('?')
    const query = check.query(mark < 0 ? '' : req.url.slice(mark + 1))
    intakes.set(req, { query })
    const { body } = check
    if (body === undefined) {
      next()
      return
    }
    readBody(req, res, (error?: unknown) => {
      if (error !== undefined) {
        next(error)
        return
      }
      try {
        intakes.set(req, { query, body: body(mediaTypeOf(req), req.body) })
      } catch (failure) {
        next(failure)
        return
      }
      next()
    })
  }
}

interface EndpointCheck {
  /** Fails for a query that the operation does not allow. */
  readonly query: (text: string) => Query
  /** `raw` is the text of a form, the value of JSON. Fails for a body that the operation does not allow. */
  readonly body: ((mediaType: string, raw: unknown) => Body) | undefined
}

type Compile = (schema: Schema) => ValidateFunction

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
): NonNullable<EndpointCheck['body']> {
  const json = compile(content[JSON_TYPE]?.schema ?? {})
  const { properties = {}, required = [] } = resolve(description, content[FORM]?.schema ?? {})
  const fields = Object.entries(properties).map(([name, schema]) =>
    compileField(name, schema, required.includes(name), description, compile),
  )
  return (mediaType, raw) => {
    if (mediaType === FORM)
      return readFields('form field', fields, typeof raw === 'string' ? raw : '') as Schemas['SelectionForm']
    if (mediaType !== JSON_TYPE)
      throw invalid(
        `The Content-Type of the body is ${quote(mediaType)}; it must be ${JSON_TYPE} or ${FORM}.`,
      )
    if (json(raw)) return raw as Schemas['Selection']
    const [fault] = json.errors ?? []
    const extra =
      fault?.keyword === 'additionalProperties' ? ` '${String(fault.params['additionalProperty'])}'` : ''
    const where = fault?.instancePath ? `'${fault.instancePath.slice(1)}' of the body` : 'The body'
    throw invalid(`${where} ${fault?.message ?? 'has another form'}${extra}.`)
  }
}

/** Reads a body of a declared media type into `req.body`; one of another type is left unread. */
function createBodyReader(maxBodyBytes: number): RequestHandler {
  // Anything that JSON can say gets to the schema, which says better than the parser what is wrong with it.
  const json: RequestHandler = express.json({ limit: maxBodyBytes, type: JSON_TYPE, strict: false })
  const form: RequestHandler = express.text({ limit: maxBodyBytes, type: FORM })
  return (req, res, next) => {
    // The parsers would read a body that is too long to its end before they refuse it.
    if (Number(req.headers['content-length'] ?? 0) > maxBodyBytes) {
      next(new AppError('TooLarge', `The body of the request is longer than ${maxBodyBytes} bytes.`))
      return
    }
    json(req, res, (error?: unknown) => {
      if (isParseFailure(error)) next(invalid('The body is not valid JSON.', error))
      else if (error !== undefined) next(error)
      else form(req, res, next)
    })
  }
}

function isParseFailure(error: unknown): boolean {
  return (error as { readonly type?: unknown } | undefined)?.type === 'entity.parse.failed'
}

function mediaTypeOf(req: Request): string {
  return (req.headers['content-type'] ?? '').split(';', 1)[0]!.trim().toLowerCase()
}
