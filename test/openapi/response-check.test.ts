import { describe, expect, it } from 'vitest'
import { resolve, type Example } from '../../src/http/description.ts'
import { createResponseCheck, type ObservedResponse } from './response-check.ts'
import { description } from './description.ts'

const check = createResponseCheck(description)
const RUN = '/outputs/alice/mnist/experiments/7/'
const ALWAYS = { 'x-request-id': '01K4T0V3Q8', 'x-content-type-options': 'nosniff' }

const example = (name: string): unknown =>
  resolve<Example>(description, { $ref: `#/components/examples/${name}` }).value

function observed(
  status: number,
  type: string,
  body: string,
  more: Partial<Omit<ObservedResponse, 'headers'>> & { headers?: Record<string, string> } = {},
): ObservedResponse {
  const headers = new Headers({ ...ALWAYS, ...(type !== '' && { 'content-type': type }), ...more.headers })
  return { method: 'GET', url: RUN, status, body, ...more, headers }
}

const listing = JSON.stringify(example('Listing'))
const missing = JSON.stringify(example('NotFound'))
const lines = ['EntryLine', 'SummaryLine'].map(name => `${JSON.stringify(example(name))}\n`).join('')
const file = {
  url: `${RUN}metrics.json`,
  headers: { etag: '"a"', 'accept-ranges': 'bytes', 'content-disposition': 'inline' },
}

describe('the check of responses lets pass', () => {
  it.each([
    ['a listing', observed(200, 'application/json', listing)],
    ['a listing as NDJSON', observed(200, 'application/x-ndjson', lines)],
    ['a page', observed(200, 'text/html; charset=utf-8', '<!doctype html>')],
    ['a problem', observed(404, 'application/problem+json', missing)],
    ['a file that is JSON itself', observed(200, 'application/json', '[1]', file)],
    ['the head of a file', observed(200, 'text/csv', '', { ...file, method: 'HEAD' })],
    ['a redirect', observed(301, '', '', { url: `${RUN}plots`, headers: { location: './plots/' } })],
    [
      'another method, refused',
      observed(405, 'application/problem+json', JSON.stringify(example('MethodNotAllowed')), {
        method: 'DELETE',
        headers: { allow: 'GET, HEAD' },
      }),
    ],
    ['another URL, not found', observed(404, 'application/problem+json', missing, { url: '/elsewhere' })],
  ])('%s', (_, response) => {
    expect(() => check(response)).not.toThrow()
  })
})

describe('the check of responses refuses', () => {
  const changed = (change: object): string => JSON.stringify({ ...(example('Listing') as object), ...change })

  it.each([
    ['a status that is not declared', observed(418, 'text/plain', ''), 'the status is not declared'],
    ['a media type that is not declared', observed(200, 'image/png', ''), "the media type 'image/png'"],
    [
      'a missing header',
      observed(200, 'text/csv', '', { url: file.url, headers: {} }),
      'the header ETag is missing',
    ],
    [
      'a weak tag',
      observed(200, 'text/csv', '', { ...file, headers: { ...file.headers, etag: 'W/"a"' } }),
      'ETag is',
    ],
    ['no JSON', observed(200, 'application/json', '{'), 'the body is not JSON'],
    ['a missing property', observed(200, 'application/json', changed({ links: undefined })), "'links'"],
    ['an undocumented property', observed(200, 'application/json', changed({ total: 1 })), '"total"'],
    [
      'a wrong entry',
      observed(200, 'application/json', changed({ entries: [{ name: 'a' }] })),
      "/entries/0 must have required property 'size'",
    ],
    ['a body of HEAD', observed(200, 'application/json', listing, { method: 'HEAD' }), 'it has a body'],
    [
      'a problem of another status',
      observed(404, 'application/problem+json', JSON.stringify(example('Internal'))),
      'the problem says status 500',
    ],
    [
      'a problem of another request',
      observed(404, 'application/problem+json', missing, { headers: { 'x-request-id': 'other' } }),
      'the problem is of another request',
    ],
    [
      'NDJSON without an end',
      observed(200, 'application/x-ndjson', lines.split('\n')[0]! + '\n'),
      'not the last line',
    ],
    ['NDJSON that goes on', observed(200, 'application/x-ndjson', lines + lines), 'not the last line'],
    [
      'an answer to another method',
      observed(200, 'text/html', '', { method: 'DELETE' }),
      'the status is not declared',
    ],
    [
      'an answer at another URL',
      observed(200, 'text/html', '', { url: '/elsewhere' }),
      'the status is not declared',
    ],
  ])('%s', (_, response, fault) => {
    expect(() => check(response)).toThrow(fault)
  })
})
