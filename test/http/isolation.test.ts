// What a browser may do with user-made bytes: on every route that reads, whole or in parts, with every flag that has something to say about how it is shown.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { endpointsOf, parseDescription } from '../../src/http/description.ts'
import { ask, type Answer } from '../support/client.ts'
import { description, startService, type Service } from '../support/service.ts'

const UUID = 'a1b2c3d4e5f647089a0b1c2d3e4f5a6b'
const RUN = '/outputs/ann/mnist/experiments/1/'
const STREAMS = `/streams/v1/ns/ann/mnist/runs/${UUID}`
const API = '/api/v1/ann/mnist/experiments/1'
const SCRIPT = '<script>alert(document.domain)</script>'
const FLAGS = ['', 'stream=true', 'force=true', 'stream=true&force=true']

const FILES: Readonly<Record<string, string>> = {
  'page.html': `<!doctype html>${SCRIPT}`,
  'plot.svg': `<svg xmlns="http://www.w3.org/2000/svg">${SCRIPT}</svg>`,
  'page.xhtml': `<html xmlns="http://www.w3.org/1999/xhtml">${SCRIPT}</html>`,
  'sheet.xml': `<?xml version="1.0"?><?xml-stylesheet href="evil.xsl"?><a/>`,
  'worker.js': 'self.onfetch = () => 0',
  'polyglot.png': `\x89PNG${SCRIPT}`,
  'no-extension': SCRIPT,
  'page.html.gz': SCRIPT,
  'book.ipynb': JSON.stringify({
    cells: [{ cell_type: 'markdown', metadata: {}, source: SCRIPT }],
    metadata: {},
    nbformat: 4,
    nbformat_minor: 5,
  }),
}

/** Answers with bytes of a file, with a path for each file. */
const FILE_ROUTES: readonly ((name: string) => string)[] = [
  name => `${RUN}${name}`,
  name => `${RUN}${name}?download`,
  name => `${RUN}${name}?download=false`,
  name => `${RUN}${name}?redirect=false`,
  ...FLAGS.flatMap(flag => [
    (name: string) => `${STREAMS}/artifact?path=${name}&${flag}`,
    (name: string) => `${STREAMS}/embedded_artifact?path=${name}&${flag}`,
    (name: string) => `${STREAMS}/ro_artifact/${name}?${flag}`,
    (name: string) => `${STREAMS}/ro_artifact/_?path=${name}&${flag}`,
    (name: string) => `${STREAMS}/artifacts?path=${name}&check_file=true&${flag}`,
  ]),
  name => `${API}/outputs/files?path=${name}`,
]

/** The other answers in which something is that a run has made, if only a name. */
const OTHERS: readonly string[] = [
  ...['', 'ann/', 'ann/mnist/', 'ann/mnist/experiments/', 'ann/mnist/experiments/1/'].flatMap(level =>
    ['', '?format=html', '?format=json', '?format=ndjson', '?format=text'].map(
      query => `/outputs/${level}${query}`,
    ),
  ),
  `${RUN}?recursive&format=html&sort=size`,
  ...['zip', 'tar', 'tar.gz', 'tar.zst', 'zip&compress'].map(format => `${RUN}?archive=${format}`),
  `${RUN}folder/`,
  ...FLAGS.map(flag => `${STREAMS}/artifact?path=book.ipynb&render=true&${flag}`),
  `${STREAMS}/embedded_artifact?path=book.ipynb&render=true`,
  `${STREAMS}/ro_artifact/book.ipynb?render=true`,
  `${STREAMS}/artifacts/tree`,
  `${STREAMS}/artifacts`,
  `${STREAMS}/logs`,
  `${STREAMS}/logs?force=true`,
  `${STREAMS}/events/metric?names=loss`,
  `${STREAMS}/events/metric?names=loss&pkg_assets=true`,
  `${STREAMS}/resources`,
  `/streams/v1/ns/ann/mnist/runs/multi/events/metric?names=loss&runs=${UUID}`,
  `/streams/v1/ns/orgs/ann/runs/multi/events/metric?names=loss&runs=${UUID}`,
  `/streams/v1/ns/orgs/ann/teams/vision/runs/multi/events/metric?names=loss&runs=${UUID}`,
  `${API}/logs`,
  ...['', '/tree', '/download', '/download/'].map(resource => `${API}/outputs${resource}`),
]

/** Made by nobody else than the service. */
const OWN = ['/', '/healthz', '/readyz', '/openapi.yaml', '/docs', '/metrics', '/uploads', `/uploads/${UUID}`]

const FAILURES: readonly (readonly [url: string, status: number])[] = [
  [`${RUN}${encodeURIComponent(SCRIPT)}`, 404],
  [`${RUN}?sort=${encodeURIComponent(SCRIPT)}`, 400],
  [`${STREAMS}/artifact?path=${encodeURIComponent(SCRIPT)}`, 404],
  [`${STREAMS}/embedded_artifact?path=${encodeURIComponent(SCRIPT)}`, 404],
  [`${STREAMS}/events/${encodeURIComponent(SCRIPT)}?names=a`, 400],
  [`${STREAMS}/artifact?path=page.html&render=true`, 400],
  [`${API}/outputs/files?path=${encodeURIComponent(SCRIPT)}`, 404],
  [`${API}/outputs/tree?path=${encodeURIComponent(SCRIPT)}`, 400],
  [`/${encodeURIComponent(SCRIPT)}`, 404],
]

const root = mkdtempSync(join(tmpdir(), 'outputs-isolation-'))
let service: Service
beforeAll(async () => {
  for (const run of ['ann/mnist/experiments/1', UUID])
    for (const [name, content] of Object.entries(FILES)) write(`${run}/${name}`, content)
  write('ann/mnist/experiments/1/folder/a', '')
  write(`${UUID}/events/metric/loss.plx`, 'step|timestamp|metric\n1|2026-01-01T00:00:00|0.5\n')
  write(`${UUID}/plxlogs/main.plx`, `2026-01-01 00:00:00.000000 | ${SCRIPT}\n`)
  write('logs/ann/mnist/experiments/1', SCRIPT)
  const store = { kind: 'local', isDefault: false, readOnly: false, delivery: 'proxy' } as const
  service = await startService(root, {
    connections: [{ ...store, name: 'outputs', path: root }],
    logs: { ...store, name: 'logs', path: join(root, 'logs') },
  })
})
afterAll(async () => {
  await service.close()
  rmSync(root, { recursive: true })
})

function write(path: string, content: string): void {
  mkdirSync(dirname(join(root, path)), { recursive: true })
  writeFileSync(join(root, path), content)
}

const RANGES: readonly Readonly<Record<string, string>>[] = [
  {},
  { range: 'bytes=0-3' },
  { range: 'bytes=0-1,4-5' },
  { range: 'bytes=-2' },
]

/** In which nothing of a page can run, and which no other site can take in. */
function expectInert({ headers }: Answer, policy: RegExp): void {
  expect(headers['x-content-type-options']).toBe('nosniff')
  expect(headers['content-security-policy']).toMatch(policy)
  expect(headers['cross-origin-resource-policy']).toBe('same-origin')
}

describe('the bytes of a file', () => {
  it.each(FILE_ROUTES.map(route => [route('NAME'), route] as const))(
    '%s: sandboxed, whole and in parts, and of a type that no client chooses',
    async (_, route) => {
      for (const name of Object.keys(FILES)) {
        const url = service.url + route(name)
        const plain = await ask(url)
        expect(plain.status, url).toBe(200)
        for (const method of ['GET', 'HEAD'])
          for (const range of RANGES) {
            const headers = { ...range, accept: 'text/html', 'content-type': 'text/html' }
            const answer = await ask(url, { method, headers })
            const expected = method === 'GET' && range['range'] ? 206 : 200
            expect(answer.status, `${url} ${range['range']}`).toBe(expected)
            expectInert(answer, /^sandbox$/)
            const type = answer.headers['content-type']!
            const several = expected === 206 && range['range']!.includes(',')
            if (several) {
              expect(type).toMatch(/^multipart\/byteranges; boundary=/)
              expect(answer.text).toContain(`\r\nContent-Type: ${plain.headers['content-type']}\r\n`)
            } else {
              expect(type).toBe(plain.headers['content-type'])
            }
            expect(answer.headers['content-disposition']).toBe(plain.headers['content-disposition'])
          }
        const etag = plain.headers['etag']!
        expect((await ask(url, { headers: { 'if-none-match': etag } })).status).toBe(304)
        const beyond = await ask(url, { headers: { range: 'bytes=99999-' } })
        expect(beyond.status).toBe(416)
        expect(beyond.headers['x-content-type-options']).toBe('nosniff')
      }
    },
  )

  it.each(['type', 'mime', 'content-type', 'contentType', 'response-content-type'])(
    'has the type of its name, whatever a parameter %s says',
    async name => {
      for (const [url, status] of [
        [`${RUN}no-extension?${name}=text/html`, 400],
        [`${STREAMS}/embedded_artifact?path=no-extension&${name}=text/html`, 200],
        [`${API}/outputs/files?path=no-extension&${name}=text/html`, 200],
      ] as const) {
        const answer = await ask(service.url + url)
        expect(answer.status).toBe(status)
        expect(answer.headers['content-type']).not.toContain('html')
      }
    },
  )

  it('is for saving wherever it could do something, unless a frame for it was asked for', async () => {
    for (const name of ['page.html', 'plot.svg', 'page.xhtml', 'sheet.xml', 'worker.js', 'no-extension'])
      for (const url of [
        `${RUN}${name}`,
        `${STREAMS}/artifact?path=${name}`,
        `${STREAMS}/artifact?path=${name}&stream=true`,
        `${API}/outputs/files?path=${name}`,
      ])
        expect((await ask(service.url + url)).headers['content-disposition'], url).toMatch(/^attachment/)
  })
})

describe('the answer to', () => {
  it.each(OTHERS)('%s: nothing in it can run', async url => {
    for (const method of ['GET', 'HEAD'])
      for (const headers of RANGES) {
        const answer = await ask(service.url + url, { method, headers })
        expect([200, 206]).toContain(answer.status)
        expectInert(answer, /^sandbox$|^default-src 'none'; style-src 'unsafe-inline'; base-uri 'none';/)
        const type = answer.headers['content-type']!
        if (type.startsWith('text/html')) expect(answer.text).not.toContain('<script')
      }
  })

  it.each(OWN)('%s: no other site can take it in', async url => {
    const answer = await ask(service.url + url)
    expect(answer.headers['cross-origin-resource-policy']).toBe('same-origin')
    if (answer.status !== 302) expect(answer.headers['x-content-type-options']).toBe('nosniff')
  })

  it.each(FAILURES)('%s: a refusal that is no page', async (url, status) => {
    const answer = await ask(service.url + url, { headers: { accept: 'text/html' } })
    expect(answer.status).toBe(status)
    expect(answer.headers['content-type']).not.toContain('html')
    expect(answer.headers['x-content-type-options']).toBe('nosniff')
    expect(answer.headers['cross-origin-resource-policy']).toBe('same-origin')
  })
})

it('was asked for everything that the description says can be read', () => {
  const urls = [...FILE_ROUTES.map(route => route('a')), ...OTHERS, ...OWN].map(url => url.split('?')[0]!)
  for (const { path, method } of endpointsOf(parseDescription(description))) {
    const pattern = new RegExp(`^${path.replaceAll(/\{\w+\}/g, '[^/]+')}$`)
    if (method === 'get') expect(urls.filter(url => pattern.test(url)).length, path).toBeGreaterThan(0)
  }
})

it('says the same of a file that the web server in front sends', async () => {
  const behind = await startService(root, {
    connections: [
      {
        kind: 'local',
        name: 'outputs',
        path: root,
        isDefault: false,
        readOnly: false,
        delivery: 'x-accel',
        accelLocation: '/files/',
      },
    ],
  })
  for (const url of [`${RUN}page.html`, `${STREAMS}/artifact?path=page.html&stream=true`]) {
    const answer = await ask(behind.url + url)
    expect(answer.headers['x-accel-redirect']).toMatch(/page\.html$/)
    expectInert(answer, /^sandbox$/)
  }
  await behind.close()
})

it('lets other hosts of its own site take it in where pages of others may use it', async () => {
  const shared = await startService(root, { server: { corsOrigins: ['https://dashboard.example'] } })
  for (const url of [`${RUN}page.html`, RUN, `${RUN}absent`, `${STREAMS}/artifact?path=absent`, '/healthz'])
    expect((await ask(shared.url + url)).headers['cross-origin-resource-policy']).toBe('same-site')
  await shared.close()
})
