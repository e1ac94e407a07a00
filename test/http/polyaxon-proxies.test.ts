// The proxies of docs/polyaxon.md, by a real nginx: this service gets what it serves, Polyaxon gets the rest and decides who may see what.
import { request, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from 'node:http'
import { once } from 'node:events'
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import type { Duplex } from 'node:stream'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { loadConfig } from '../../src/config/load.ts'
import { SAMPLE_RUN } from '../../src/sample/contents.ts'
import { makeSample } from '../../src/sample/make.ts'
import { describeClient, findProgram } from '../client/programs.ts'
import { run } from '../client/run.ts'
import { ask, type Answer, type Ask } from '../support/client.ts'
import { Listening } from '../support/listening.ts'
import { startNginx, type Nginx } from '../support/nginx.ts'
import { startService, type Service } from '../support/service.ts'
import {
  checksOf,
  controllerOf,
  ingressOf,
  logsEnding,
  nginxOf,
  viewerConfiguration,
  type Generation,
} from './polyaxon-page.ts'

const RUN2 = `/streams/v1/ns/acme/mnist/runs/${SAMPLE_RUN}`
const RUN0 = '/api/v1/demo/quick-start/experiments/1'
/** On another host. */
const DASHBOARD = 'https://dashboard.example'
const GOOD = { authorization: 'Token good' }

const SERVED: Readonly<Record<Generation, readonly string[]>> = {
  '2.x': [
    ...['artifacts/tree', 'artifact', 'artifacts', 'embedded_artifact', 'logs', 'resources'].map(
      resource => `${RUN2}/${resource}`,
    ),
    `${RUN2}/artifacts/tree?path=a/b&connection=x`,
    `${RUN2}/ro_artifact/_?path=outputs/report.html`,
    `${RUN2}/ro_artifact/outputs/a%20b.html`,
    `${RUN2}/events/metric?names=loss`,
    '/streams/v1/ns/acme/mnist/runs/multi/events/metric?runs=a,b&names=loss',
    '/streams/v1/ns/orgs/acme/runs/multi/events/metric',
    '/streams/v1/ns/orgs/acme/teams/vision/runs/multi/events/metric',
  ],
  '0.x': ['experiments', 'jobs', 'builds', 'groups'].flatMap(kind =>
    ['', '/', '/tree', '/tree/', '/files?path=a', '/download', '/download/'].map(
      resource => `/api/v1/ann/my-project_1/${kind}/12/outputs${resource}`,
    ),
  ),
}

const OTHERS: Readonly<Record<Generation, readonly string[]>> = {
  '2.x': [
    ...[
      '',
      '/',
      '/k8s_inspect',
      '/notify',
      '/artifacts/',
      '/artifacts/other',
      '/ro_artifact/',
      '/events/',
      '/logsx',
    ].map(rest => `${RUN2}${rest}`),
    '/streams/v1/ns/acme/mnist/runs/multi/importance',
    '/streams/v1/ns/acme/agents/8aac02e3a62a4f0aaa257c59da5eab80/logs',
    `/api/v1/acme/mnist/runs/${SAMPLE_RUN}`,
    `/internal/v1/ns/acme/mnist/runs/${SAMPLE_RUN}/job/logs`,
    '/healthz/',
    '/ui/',
    '/',
  ],
  '0.x': [
    ...['', '/', '/outputsx', '/outputs/other', '/outputs/tree/x', '/statuses', '/metrics'].map(
      rest => `${RUN0}${rest}`,
    ),
    '/api/v1/demo/quick-start/notebooks/1/outputs',
    '/api/v1/demo/quick-start/experiments/one/outputs',
    '/api/v1/users/token',
    '/app/',
    '/',
  ],
}

const missingCurl = process.env['REQUIRE_TOOLS'] !== '1' && findProgram('curl') === undefined
const GENERATIONS = Object.keys(SERVED) as Generation[]

interface Seen {
  readonly method: string
  readonly url: string
  readonly headers: IncomingHttpHeaders
}

/** Paths of runs of 0.x as the API knows them. */
const A_RUN = /^\/api\/v1\/([\w-]+)\/([\w-]+)\/(experiments|jobs|builds|groups)\/(\d+)$/
const seenByOutputs: Seen[] = []
const seenByPolyaxon: Seen[] = []
/** What the API was asked about. */
const asked: Seen[] = []

const note = ({ method = '', url = '', headers }: IncomingMessage): Seen => ({ method, url, headers })

/** Lets in the token `good` and the session `good`, but to nothing whose URL has the word `secret`. */
function decide({ url, headers }: Seen): 200 | 401 | 403 | 404 {
  if (headers.authorization !== 'Token good' && headers.cookie !== 'sessionid=good') return 401
  if (A_RUN.test(url)) return url.includes('secret') ? 404 : 200
  return String(headers['x-origin-uri']).includes('secret') ? 403 : 200
}

function answerAsPolyaxon(request: IncomingMessage, response: ServerResponse): void {
  const what = note(request)
  if (what.url === '/auth/v1/' || (A_RUN.test(what.url) && what.headers['x-for'] === undefined)) {
    asked.push(what)
    response.writeHead(decide(what)).end('{}')
    return
  }
  seenByPolyaxon.push(what)
  response.end('polyaxon')
}

/** Those that a test of the way to the service answers itself. */
const answers = new Map<string, (request: IncomingMessage, response: ServerResponse) => void>()

describe.each(GENERATIONS)('the expression of the Ingress for %s', generation => {
  const { path, annotations } = ingressOf(generation)
  const matches = (url: string): boolean => new RegExp(`^${path}`, 'i').test(decodeURI(url.split('?')[0]!))

  it('is that of nginx', () => {
    const inNginx = /location ~ \^(.*) \{/.exec(nginxOf(generation, '', { polyaxon: '', outputs: '' }))![1]!
    expect(path.replace('/api/v1/(?<plxrun>', '(?<plxrun>/api/v1/')).toBe(inNginx)
  })
  it.each(SERVED[generation])('takes %s', url => expect(matches(url)).toBe(true))
  it.each(OTHERS[generation])('leaves %s to Polyaxon', url => expect(matches(url)).toBe(false))
  it('has values that are texts, as annotations must', () => {
    for (const value of Object.values(annotations)) expect(value).toBeTypeOf('string')
  })
})

it('the expression for 0.x takes logs as well with the end that the page has for that', () => {
  const { path } = ingressOf('0.x')
  const end = logsEnding()
  const withLogs = new RegExp(`^${path.slice(0, path.indexOf('/outputs('))}${end}`)
  for (const url of [`${RUN0}/logs`, `${RUN0}/logs/`, `${RUN0}/outputs`, `${RUN0}/outputs/files`])
    expect(withLogs.test(url), url).toBe(true)
  for (const url of [RUN0, `${RUN0}/logsx`, `${RUN0}/logs/tree`]) expect(withLogs.test(url), url).toBe(false)
})

it('the configuration in place of haupt viewer finds runs where haupt viewer keeps them', async () => {
  const cwd = await mkdtemp(join(tmpdir(), 'viewer-'))
  await mkdir(join(cwd, 'polyaxon'))
  await writeFile(join(cwd, 'viewer.yaml'), viewerConfiguration().replace('/data/', `${cwd}/`))
  const loaded = await loadConfig({ argv: ['--config', 'viewer.yaml'], env: {}, cwd })
  await rm(cwd, { recursive: true })
  expect(loaded).toMatchObject({
    outcome: 'config',
    warnings: [],
    config: { layouts: { runs: ['runs/{uuid}'] }, server: { host: '127.0.0.1', port: 8000 } },
  })
})

describeClient('nginx', findProgram('nginx'), () => {
  let root: string
  let service: Service
  let polyaxon: Listening
  let outputs: Listening
  const started = new Map<string, Nginx>()

  beforeAll(async () => {
    root = join(await mkdtemp(join(tmpdir(), 'polyaxon-page-')), 'store')
    await makeSample(root)
    for (const kind of ['experiments/1', 'experiments/2', 'jobs/1', 'experiments/11']) {
      const file = join(root, 'ann/mnist', kind, 'who')
      await mkdir(dirname(file), { recursive: true })
      await writeFile(file, `/api/v1/ann/mnist/${kind}`)
    }
    for (const name of NAMES) await writeFile(join(root, SAMPLE_RUN, 'outputs', name), name)
    service = await startService(root, { server: { corsOrigins: [DASHBOARD] } })
    polyaxon = await Listening.start(answerAsPolyaxon)
    polyaxon.server.on('upgrade', (request: IncomingMessage, socket: Duplex) => {
      seenByPolyaxon.push(note(request))
      socket.end('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n')
    })
    outputs = await Listening.start((request, response) => {
      seenByOutputs.push(note(request))
      const own = answers.get(request.url!)
      if (own !== undefined) own(request, response)
      else service.app.handler(request, response)
    })
    const behind = { polyaxon: `127.0.0.1:${polyaxon.port}`, outputs: `127.0.0.1:${outputs.port}` }
    for (const generation of GENERATIONS) {
      started.set(`nginx ${generation}`, await startNginx(address => nginxOf(generation, address, behind)))
      started.set(
        `ingress ${generation}`,
        await startNginx(address => controllerOf(generation, address, behind)),
      )
    }
  })
  afterAll(async () => {
    for (const nginx of started.values()) await nginx.stop()
    await polyaxon.close()
    await outputs.close()
    await service.close()
    await rm(dirname(root), { recursive: true })
  })
  beforeEach(() => {
    for (const seen of [seenByOutputs, seenByPolyaxon, asked]) seen.length = 0
    answers.clear()
  })

  const originOf = (name: string): string => started.get(name)!.origin
  const send = (name: string, url: string, { headers, ...rest }: Ask = {}): Promise<Answer> =>
    ask(originOf(name) + url, { headers: { ...GOOD, ...headers }, ...rest })

  describe.each(GENERATIONS.flatMap(generation => [`nginx ${generation}`, `ingress ${generation}`]))(
    'the %s of the page',
    name => {
      const generation = name.split(' ')[1] as Generation
      const methods = generation === '2.x' ? ['GET', 'HEAD', 'POST', 'DELETE'] : ['GET', 'HEAD']

      it.each(SERVED[generation])('sends %s to the service, after asking Polyaxon', async url => {
        for (const method of methods) {
          await send(name, url, { method })
          expect(seenByOutputs.at(-1)).toMatchObject({ method, url })
          expect(asked.at(-1)).toMatchObject({ method: 'GET', headers: GOOD })
          if (generation === '2.x')
            expect(asked.at(-1)!.headers).toMatchObject({ 'x-origin-uri': url, 'x-origin-method': method })
          else expect(url.startsWith(`${asked.at(-1)!.url}/outputs`)).toBe(true)
        }
        expect([seenByOutputs.length, asked.length, seenByPolyaxon]).toEqual([
          methods.length,
          methods.length,
          [],
        ])
      })

      it.each(OTHERS[generation])('sends %s to Polyaxon, as it is', async url => {
        const answer = await send(name, url, { method: 'POST', headers: { 'x-for': 'Polyaxon' } })
        expect([answer.text, seenByOutputs, asked]).toEqual(['polyaxon', [], []])
        expect(seenByPolyaxon).toMatchObject([
          { method: 'POST', url, headers: { ...GOOD, host: originOf(name).slice(7) } },
        ])
      })

      it('lets in nobody whom Polyaxon does not', async () => {
        const url = SERVED[generation][0]!
        const nobody = await send(name, url, { headers: { authorization: 'Token bad' } })
        expect(nobody.status).toBe(name === 'nginx 2.x' ? 403 : 401)
        const secret = url.replace(/acme|ann/, 'secret')
        expect((await send(name, secret)).status).toBe(name === 'ingress 0.x' ? 500 : 403)
        expect(asked).toHaveLength(2)
        expect(seenByOutputs).toEqual([])
        const session = { authorization: '', cookie: 'sessionid=good' }
        await send(name, url, { headers: session })
        expect(seenByOutputs).toHaveLength(1)
      })

      it('lets in nobody while Polyaxon is away', async () => {
        const away = await startNginx(address =>
          (name.startsWith('nginx') ? nginxOf : controllerOf)(generation, address, {
            polyaxon: '127.0.0.1:1',
            outputs: `127.0.0.1:${outputs.port}`,
          }),
        )
        const answer = await ask(away.origin + SERVED[generation][0]!, { headers: GOOD })
        await away.stop()
        expect([answer.status, seenByOutputs]).toEqual([500, []])
      })

      it('breaks a download that the service breaks', async () => {
        const url = SERVED[generation][0]!
        answers.set(url, (_request, response) => {
          response.write('half')
          setTimeout(() => response.destroy(), 50)
        })
        expect(await send(name, url)).toMatchObject({ status: 200, text: 'half', complete: false })
      })
    },
  )

  describe.each(['nginx 2.x', 'ingress 2.x'])('the %s of the page', name => {
    it.each(NAMES)('finds a file called %j, its URL unchanged', async file => {
      const encoded = encodeURIComponent(file)
      for (const url of [
        `${RUN2}/artifact?path=outputs/${encoded}`,
        `${RUN2}/ro_artifact/outputs/${encoded}`,
        `${RUN2}/ro_artifact/outputs%2F${encoded}`,
      ]) {
        const answer = await send(name, url)
        expect([answer.status, answer.text]).toEqual([200, file])
        expect(seenByOutputs.at(-1)!.url).toBe(url)
      }
    })

    it('answers ranges and conditions', async () => {
      const url = `${RUN2}/artifact?path=outputs/metrics.jsonl`
      const whole = await send(name, url)
      const part = await send(name, url, { headers: { range: 'bytes=10-19' } })
      expect([part.status, part.body.equals(whole.body.subarray(10, 20))]).toEqual([206, true])
      const { etag } = whole.headers
      expect((await send(name, url, { headers: { 'if-none-match': etag! } })).status).toBe(304)
      expect((await send(name, url, { headers: { 'if-match': '"other"' } })).status).toBe(412)
      const head = await send(name, url, { method: 'HEAD' })
      expect(head.headers['content-length']).toBe(String(whole.body.length))
    })

    it('hands an upload on while it comes, however it is sent', async () => {
      const url = `${RUN2}/artifact`
      for (const length of [undefined, 2_000_000]) {
        const first = Promise.withResolvers<undefined>()
        const received = Promise.withResolvers<number>()
        answers.set(url, (incoming, response) => {
          let bytes = 0
          incoming.on('data', (chunk: Buffer) => {
            bytes += chunk.length
            first.resolve(undefined)
          })
          incoming.on('end', () => {
            response.end()
            received.resolve(bytes)
          })
        })
        const sending = request(originOf(name) + url, {
          method: 'POST',
          headers: { ...GOOD, ...(length !== undefined && { 'content-length': length }) },
          agent: false,
        })
        sending.on('response', response => response.resume())
        sending.write(Buffer.alloc(1_900_000))
        await first.promise
        sending.end(Buffer.alloc(100_000))
        expect(await received.promise).toBe(2_000_000)
        // Who asks for leave sends no body, so it may promise none.
        expect(asked.at(-1)!.headers).not.toHaveProperty('content-length')
      }
    })

    it('lets changes come from pages of its own host, and from no others', async () => {
      await writeFile(join(root, SAMPLE_RUN, 'outputs', 'old'), '')
      const remove = (origin: string): Promise<Answer> =>
        send(name, `${RUN2}/artifact?path=outputs/old`, { method: 'DELETE', headers: { origin } })
      expect((await remove('https://elsewhere.example')).status).toBe(403)
      expect((await remove(originOf(name))).status).toBe(204)
      expect(await readdir(join(root, SAMPLE_RUN, 'outputs'))).not.toContain('old')
    })
  })

  describe.each(['nginx 0.x', 'ingress 0.x'])('the %s of the page', name => {
    // nginx decides by the path that is decoded and has neither `..` nor `//`, the service by the path as it was sent.
    it.each([
      '/api/v1/ann/mnist/experiments/1/outputs/files?path=who',
      '/api/v1/ann/mnist/experiments/%31/outputs/files?path=who',
      '/api/v1/ann/mnist/experiments/1%31/outputs/files?path=who',
      '/api/v1/ann/mnist/experiments/1/../2/outputs/files?path=who',
      '/api/v1/ann/mnist/experiments/1/outputs/../../2/outputs/files?path=who',
      '/api/v1/ann/mnist/experiments/1%2F..%2F2/outputs/files?path=who',
      '/api/v1/ann/mnist/experiments/1/outputs/files/%2e%2e/%2e%2e/%2e%2e/2/outputs/files?path=who',
      '/api/v1/ann/mnist/experiments/1/..%2f..%2fjobs/1/outputs/files?path=who',
      '/api/v1//ann/mnist/experiments/1/outputs/files?path=who',
      '/api/v1/ann//mnist/./experiments/1/outputs/files?path=who',
      '/api/v1/ann/mnist/experiments/1/outputs/files?path=../../2/who',
      '/api/v1/ann/mnist/experiments/1/outputs/files?path=..%2F..%2F2%2Fwho',
      '/api/v1/ann/mnist/%65xperiments/1/outputs/files?path=who',
      '/API/V1/ann/mnist/experiments/1/outputs/files?path=who',
    ])('serves by %s no run but the one that Polyaxon was asked about', async url => {
      const answer = await send(name, url)
      if (answer.status === 200 && answer.text !== 'polyaxon') expect(answer.text).toBe(asked.at(-1)!.url)
      else if (answer.text !== 'polyaxon') expect(answer.status).toBeGreaterThanOrEqual(400)
    })

    it('answers ranges and HEAD', async () => {
      const url = `${RUN0}/outputs/files?path=metrics.csv`
      const whole = await send(name, url)
      const part = await send(name, url, { headers: { range: 'bytes=-20' } })
      expect([part.status, part.body.equals(whole.body.subarray(-20))]).toEqual([206, true])
      expect((await send(name, url, { method: 'HEAD' })).headers['content-length']).toBe(
        String(whole.body.length),
      )
    })
  })

  describe.each(GENERATIONS)('the nginx of the page for %s', generation => {
    const name = `nginx ${generation}`

    it('leaves preflights, which say nothing of who asks, to the service', async () => {
      const url = originOf(name) + SERVED[generation][0]!
      const headers = { origin: DASHBOARD, 'access-control-request-method': 'GET' }
      const { status, headers: allowed } = await ask(url, { method: 'OPTIONS', headers })
      expect([status, allowed['access-control-allow-origin']]).toEqual([204, DASHBOARD])
      expect([seenByOutputs.length, asked]).toEqual([1, []])
      const other = { ...headers, origin: 'https://elsewhere.example' }
      const refused = await ask(url, { method: 'OPTIONS', headers: other })
      expect(refused.headers['access-control-allow-origin']).toBeUndefined()
    })

    it('does not ask Polyaxon on conditions that are about a file', async () => {
      await send(name, SERVED[generation][0]!, { headers: { 'if-match': '"x"', range: 'bytes=0-1' } })
      expect(Object.keys(asked[0]!.headers).filter(field => /^(if-|range)/.test(field))).toEqual([])
    })

    it('keeps its own locations to itself', async () => {
      const inner = generation === '2.x' ? '/auth-request/v1/' : '/polyaxon-run'
      expect((await send(name, inner)).status).toBe(403)
    })

    it('hands on what upgrades to a web socket', async () => {
      const headers = { connection: 'Upgrade', upgrade: 'websocket' }
      const sent = request(`${originOf(name)}/ws/v1/logs`, { headers, agent: false }).end()
      const [, socket] = (await once(sent, 'upgrade')) as [IncomingMessage, Duplex]
      socket.destroy()
      expect(seenByPolyaxon).toMatchObject([{ url: '/ws/v1/logs' }])
    })

    it.skipIf(missingCurl)('passes the checks of the page (needs curl)', async () => {
      const polyaxon = originOf(name)
      const values = {
        polyaxon,
        auth: 'Authorization: Token good',
        run: polyaxon + (generation === '2.x' ? RUN2 : RUN0),
      }
      for (const { command, printed } of checksOf(generation, values)) {
        const { stdout, stderr } = await run('sh', ['-c', command], { cwd: dirname(root) })
        expect(`${stdout.toString().trim()} by ${command}${stderr}`).toBe(`${printed} by ${command}`)
      }
    })
  })
})

const NAMES = ['a b.txt', 'a+b.txt', '100%.txt', 'a%2Fb.txt', 'größe 😀.csv', 'a&b=c#d?.txt', `quote'".txt`]
