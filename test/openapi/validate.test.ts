import express, { type ErrorRequestHandler } from 'express'
import { once } from 'node:events'
import { request, type IncomingHttpHeaders, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { statusOf, toAppError } from '../../src/http/problem.ts'
import { bodyOf, createRequestValidator, queryOf } from '../../src/http/validate.ts'
import { description } from './description.ts'

const FORM = 'application/x-www-form-urlencoded'
const JSON_TYPE = 'application/json'
const RUN = '/base/outputs/alice/mnist/experiments/7/'

interface Answer {
  readonly status: number
  /** What the route saw: its URL, query and, of a POST, the body. */
  readonly url?: string
  readonly query?: unknown
  readonly body?: unknown
  readonly kind?: string
  readonly message?: string
}

const reportError: ErrorRequestHandler = (error: unknown, _req, res, next) => {
  if (res.headersSent) next(error)
  else {
    const known = toAppError(error)
    res.status(statusOf(known)).json({ kind: known.kind, message: known.message })
  }
}

const app = express()
  .enable('case sensitive routing')
  .enable('strict routing')
  .set('query parser', false)
  .use(
    '/base',
    createRequestValidator(description, { maxBodyBytes: 32_768, maxBodyMs: 300 }),
    async (req, res) => {
      const body = req.method === 'POST' ? { body: await bodyOf(req, res) } : {}
      res.json({ url: req.url, query: queryOf(req), ...body })
    },
  )
  .use('/unchecked', (req, res) => {
    res.json({ query: queryOf(req) })
  })
  .use(reportError)
const server = app.listen(0, '127.0.0.1')

beforeAll(
  () => new Promise<void>(resolve => (server.listening ? resolve() : server.once('listening', resolve))),
)
afterAll(() => new Promise<void>(resolve => server.close(() => resolve())))

/** The URL is sent as it stands: fetch would normalise it. */
function ask(method: string, path: string, body = '', headers: IncomingHttpHeaders = {}): Promise<Answer> {
  const { port } = server.address() as AddressInfo
  return new Promise((resolve, reject) => {
    const sent = request({ port, host: '127.0.0.1', method, path, headers }, response => {
      let text = ''
      response.setEncoding('utf8')
      response.on('data', (chunk: string) => (text += chunk))
      response.on('end', () =>
        resolve({ status: response.statusCode!, ...(JSON.parse(text || '{}') as object) }),
      )
      response.on('error', reject)
    })
    sent.on('error', reject)
    sent.end(body)
  })
}

const get = (path: string): Promise<Answer> => ask('GET', path)
const post = (type: string, body: string, query = 'archive=zip'): Promise<Answer> =>
  ask('POST', `${RUN}?${query}`, body, { 'content-type': type })

describe('a query that the operation allows', () => {
  it.each([
    ['limit=1', { limit: 1 }],
    ['limit=10000', { limit: 10000 }],
    ['recursive', { recursive: true }],
    ['recursive=', { recursive: true }],
    ['recursive=1', { recursive: true }],
    ['recursive=true&compress=false&download=0', { recursive: true, compress: false, download: false }],
    ['sort=lastModified&order=desc', { sort: 'lastModified', order: 'desc' }],
    ['glob=**/*.csv', { glob: '**/*.csv' }],
    ['glob=a+b%2Bc%20d', { glob: 'a b+c d' }],
    ['glob=a=b', { glob: 'a=b' }],
    ['archive=tar.zst&path=a%2Fb', { archive: 'tar.zst', path: ['a/b'] }],
    ['path=b&path=a&path=b', { path: ['b', 'a', 'b'] }],
    ['path=%C3%A9%26%25', { path: ['é&%'] }],
    ['%6Cimit=5', { limit: 5 }],
    ['&&limit=5&', { limit: 5 }],
    ['', {}],
  ])('?%s reaches the route as %j', async (query, expected) => {
    expect(await get(`${RUN}?${query}`)).toMatchObject({ status: 200, query: expected })
    expect(await get(`${RUN}plots/?${query}`)).toMatchObject({ status: 200, query: expected })
  })

  it.each(['%2e%2e/%2F', 'z%25.csv', '%23+%C3%A9', 'a%2Fb', '%zz', '%00', ';a=b'])(
    'leaves the path %s as it was sent',
    async path => {
      expect(await get(`${RUN}${path}?download`)).toMatchObject({
        status: 200,
        url: `/outputs/alice/mnist/experiments/7/${path}?download`,
        query: { download: true },
      })
    },
  )

  it('is read for HEAD as for GET', async () => {
    expect((await ask('HEAD', `${RUN}?limit=0`)).status).toBe(400)
    expect((await ask('HEAD', `${RUN}?limit=1`)).status).toBe(200)
  })

  it('may speak of folders where a folder may lack its slash', async () => {
    expect(await get(`${RUN}plots?archive=zip&path=a`)).toMatchObject({
      query: { archive: 'zip', path: ['a'] },
    })
    expect(await get('/base/outputs/alice?sort=size')).toMatchObject({ query: { sort: 'size' } })
  })
})

describe('a query that the operation does not allow', () => {
  it.each([
    ['limit=0', "The query parameter 'limit' is '0'; it must be an integer from 1 to 10000."],
    ['limit=10001', "'limit' is '10001'; it must be an integer from 1 to 10000."],
    ['limit=-1', "'limit' is '-1'"],
    ['limit=1e2', "'limit' is '1e2'"],
    ['limit=%205', "'limit' is ' 5'"],
    ['limit=0x5', "'limit' is '0x5'"],
    ['limit=1.0', "'limit' is '1.0'"],
    ['limit=', "'limit' is ''"],
    ['limit', "'limit' is ''"],
    ['limit=1&limit=2', "The query parameter 'limit' comes more than once; give it once."],
    ['limit=1&limit=1', 'more than once'],
    ['recursive&recursive', "'recursive' comes more than once"],
    ['limit[]=1', "There is no query parameter 'limit[]' here. Known are connection, format,"],
    ['limit%5B0%5D=1', "no query parameter 'limit[0]'"],
    ['archive[kind]=zip', "no query parameter 'archive[kind]'"],
    ['Limit=1', "no query parameter 'Limit'"],
    ['foo=1', "no query parameter 'foo'"],
    ['__proto__=1', "no query parameter '__proto__'"],
    ['toString', "no query parameter 'toString'"],
    ['=1', "no query parameter ''"],
    ['recursive=yes', "The query parameter 'recursive' is 'yes'; it must be true or false."],
    ['archive=rar', "'archive' is 'rar'; it must be one of zip, tar, tar.gz, tar.zst."],
    ['archive', "'archive' is ''; it must be one of"],
    ['glob=', "'glob' is ''; it must be text of 1 to 1024 characters."],
    ['path=a&path=', "'path' is ''"],
    ['glob=%zz', "The query parameter 'glob=%zz' has a percent sign that begins no valid UTF-8 escape"],
    ['glob=%C3', 'no valid UTF-8'],
    ['glob=%ED%A0%80', 'no valid UTF-8'],
    [`foo${'x'.repeat(99)}=1`, `'foo${'x'.repeat(61)}…'`],
  ])('?%s is refused, saying what and why', async (query, message) => {
    const answer = await get(`${RUN}?${query}`)
    expect(answer).toMatchObject({ status: 400, kind: 'InvalidArgument' })
    expect(answer.message).toContain(message)
  })

  it('is any at all where the operation takes none', async () => {
    expect(await get('/base/healthz?verbose')).toMatchObject({
      status: 400,
      message: "There is no query parameter 'verbose' here. It takes none.",
    })
  })

  it('is one of archives above the runs', async () => {
    expect((await get('/base/outputs/alice/mnist/?archive=zip')).message).toContain(
      "no query parameter 'archive'",
    )
  })
})

describe('a body', () => {
  it.each([
    [JSON_TYPE, '{"paths":["a","b/c"],"exclude":"*.tmp"}', { paths: ['a', 'b/c'], exclude: '*.tmp' }],
    ['Application/JSON; charset=utf-8', '{"paths":["é"]}', { paths: ['é'] }],
    [FORM, 'path=a', { path: ['a'] }],
    [FORM, 'path=a&path=b%26c+d&glob=**', { path: ['a', 'b&c d'], glob: '**' }],
    [`${FORM};charset=UTF-8`, 'path=%C3%A9', { path: ['é'] }],
  ])('of %s %s reaches the route', async (type, text, body) => {
    expect(await post(type, text)).toMatchObject({ status: 200, query: { archive: 'zip' }, body })
  })

  it('may hold more fields than Express reads of a form by itself', async () => {
    const paths = Array.from({ length: 1500 }, (_, i) => `p${i}`)
    expect(await post(FORM, paths.map(path => `path=${path}`).join('&'))).toMatchObject({
      body: { path: paths },
    })
  })

  it.each([
    [JSON_TYPE, '{"paths":"a"}', "'paths' of the body must be array."],
    [JSON_TYPE, '{"paths":["a",1]}', "'paths/1' of the body must be string."],
    [JSON_TYPE, '{"paths":[]}', "'paths' of the body must NOT have fewer than 1 items."],
    [JSON_TYPE, '{"paths":["a"],"x":1}', "The body must NOT have additional properties 'x'."],
    [JSON_TYPE, '{}', "The body must have required property 'paths'."],
    [JSON_TYPE, '7', 'The body must be object.'],
    [JSON_TYPE, '{"paths":', 'The body is not valid JSON.'],
    [JSON_TYPE, '', "The body must have required property 'paths'."],
    [FORM, '', "The form field 'path' is missing"],
    [FORM, 'path[]=a', "There is no form field 'path[]' here."],
    [FORM, 'path=a&glob=b&glob=c', "The form field 'glob' comes more than once"],
    ['text/plain', 'a', `The Content-Type of the body is 'text/plain'; it must be ${JSON_TYPE} or ${FORM}.`],
    ['', 'a', "The Content-Type of the body is ''"],
  ])('of %s %s is refused, saying what and why', async (type, text, message) => {
    const answer = await post(type, text)
    expect(answer).toMatchObject({ status: 400, kind: 'InvalidArgument' })
    expect(answer.message).toContain(message)
  })

  it('longer than configured is refused with 413', async () => {
    expect((await post(JSON_TYPE, JSON.stringify({ paths: ['x'.repeat(40_000)] }))).status).toBe(413)
    expect((await post(FORM, `path=${'x'.repeat(40_000)}`)).status).toBe(413)
  })

  it('is not looked at before the query is right', async () => {
    expect((await post(JSON_TYPE, '{', 'archive=rar')).message).toContain(
      "The query parameter 'archive' is 'rar'",
    )
  })

  it('belongs to a folder, whose URL has its slash', async () => {
    const answer = await ask('POST', `${RUN}plots?archive=zip`, 'path=', { 'content-type': FORM })
    expect(answer.message).toContain(
      "no query parameter 'archive' here. Known are connection, copyTo, moveTo.",
    )
  })

  it('that does not come to its end in time is given up', async () => {
    const { port } = server.address() as AddressInfo
    const headers = { 'content-type': FORM, 'content-length': '100' }
    const sent = request({ port, host: '127.0.0.1', method: 'POST', path: `${RUN}?archive=zip`, headers })
    sent.write('path=a')
    const [response] = (await once(sent, 'response')) as [IncomingMessage]
    expect(response.statusCode).toBe(408)
    sent.destroy()
  })
})

describe('outside the description', () => {
  it('URLs and methods pass with an empty query, for the routes to answer', async () => {
    expect(await get('/base/elsewhere?x=1')).toMatchObject({ status: 200, query: {} })
    expect(await ask('PATCH', `${RUN}?x=1`)).toMatchObject({ status: 200, query: {} })
  })

  it('a route that forgot the validator fails instead of reading unchecked parameters', async () => {
    expect(await get('/unchecked')).toMatchObject({ status: 200, query: {} })
    expect(await get('/unchecked?x=1')).toMatchObject({ status: 500, kind: 'Internal' })
  })
})
