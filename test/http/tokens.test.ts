// Tokens, as callers meet them: on every surface, in every form in which they are shown, and while their file changes.
import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { renameSync, symlinkSync } from 'node:fs'
import { promisify } from 'node:util'
import { pino } from 'pino'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { createApp } from '../../src/app.ts'
import { callerOf } from '../../src/http/gate.ts'
import { configuredAuthority } from '../../src/http/auth/configured.ts'
import { ask } from '../support/checked.ts'
import { ask as plainAsk, json, type Answer, type Ask } from '../support/client.ts'
import { FORM_TYPE, filePart, form } from '../support/form.ts'
import { until } from '../support/process.ts'
import { seen } from '../support/seen.ts'
import { configFor, startService, type Overrides, type Service } from '../support/service.ts'
import { Tree } from '../support/tree.ts'

const ANNS = '8aac02e3a62a4f0aaa257c59da5eab80'
const BOBS = 'b0b002e3a62a4f0aaa257c59da5eab80'

/** By the names of their holders, whose tokens are called like them. */
const SCOPES = {
  all: 'rights: [read, write, delete], scopes: [{}]',
  reader: 'scopes: [{}]',
  ann: 'rights: [read, write, delete], scopes: [{owner: ann}]',
  mnist: 'scopes: [{owner: ann, project: mnist}]',
  first: 'scopes: [{owner: ann, project: mnist, kind: experiments, run: 1}]',
  run: `rights: [read, write], scopes: [{kind: runs, run: ${ANNS}}]`,
  dropbox: 'rights: [write], scopes: [{owner: ann}]',
  elsewhere: 'scopes: [{connection: other}]',
  expired: 'expires: 2020-01-01, scopes: [{}]',
  later: 'expires: 2099-01-01, scopes: [{}]',
  prometheus: 'metrics: true',
} as const
type Holder = keyof typeof SCOPES

function tokensText(holders: readonly Holder[] = Object.keys(SCOPES) as Holder[]): string {
  const lines = holders.map(holder => {
    const sha256 = createHash('sha256').update(tokenOf(holder)).digest('hex')
    return `  - {name: ${holder}, sha256: ${sha256}, ${SCOPES[holder]}}\n`
  })
  return `tokens:${lines.length === 0 ? ' []' : ''}\n${lines.join('')}`
}

/** With what a shell, a URL or base64 might change. */
function tokenOf(holder: Holder): string {
  return `t.${holder}:ü+/=~`
}

const tree = new Tree()
const services: Service[] = []
let service: Service

async function serve(overrides: Overrides = {}, file = 'tokens.yaml'): Promise<Service> {
  const started = await startService(tree.at('outputs'), {
    auth: { tokensFile: tree.at(file) },
    ...overrides,
  })
  services.push(started)
  return started
}

beforeAll(async () => {
  for (const run of [
    'ann/mnist/experiments/1',
    'ann/mnist/experiments/2',
    'ann/cifar/jobs/1',
    'bob/mnist/jobs/1',
  ])
    tree.write(`outputs/${run}/a.txt`, `content of ${run}`)
  for (const run of [ANNS, BOBS]) {
    tree.write(`outputs/${run}/a.txt`, `content of ${run}`)
    tree.write(`outputs/${run}/only-there.txt`, '')
    tree.write(`outputs/${run}/events/metric/loss.plx`, 'step|timestamp|metric\n1|t|0.5\n')
  }
  tree.write('tokens.yaml', tokensText())
  service = await serve()
})
afterAll(async () => {
  await Promise.all(services.map(each => each.close()))
  tree.remove()
})

const bearer = (holder: Holder): Record<string, string> => ({
  // As UTF-8, which Node writes as it finds it in a binary string.
  authorization: Buffer.from(`Bearer ${tokenOf(holder)}`).toString('latin1'),
})

function get(url: string, holder: Holder, more: Ask = {}): Promise<Answer> {
  return plainAsk(service.url + url, { ...more, headers: { ...more.headers, ...bearer(holder) } })
}

/** The same but for what it said itself. */
function seenOf(answer: Answer, ...names: string[]): unknown {
  const { headers, text, ...others } = seen(answer)
  const { 'content-length': _length, ...fields } = headers
  const written = names.reduce(
    (all, name) => all.replaceAll(new RegExp(`\\b${name}\\b`, 'g'), 'NAME'),
    text.replace(/"status":\d+/, ''),
  )
  return { ...others, headers: fields, text: written }
}

describe('who shows no token, or a wrong one', () => {
  const URLS: readonly (readonly [method: string, url: string])[] = [
    ['GET', '/outputs/'],
    ['GET', '/outputs/ann/mnist/experiments/1/a.txt'],
    ['HEAD', '/outputs/ann/mnist/experiments/1/a.txt'],
    ['GET', '/outputs/none/none/jobs/1/a.txt'],
    ['PUT', '/outputs/ann/mnist/experiments/1/b.txt'],
    ['DELETE', '/outputs/ann/mnist/experiments/1/a.txt'],
    ['POST', '/outputs/ann/mnist/experiments/1/?archive=zip'],
    ['GET', '/api/v1/ann/mnist/experiments/1/outputs/files?path=a.txt'],
    ['GET', '/api/v1/ann/mnist/experiments/1/logs'],
    ['GET', `/streams/v1/ns/ann/mnist/runs/${ANNS}/artifact?path=a.txt`],
    ['DELETE', `/streams/v1/ns/ann/mnist/runs/${ANNS}/artifact?path=a.txt`],
    ['GET', `/streams/v1/ns/orgs/ann/runs/multi/events/metric?names=loss&runs=${ANNS}`],
    ['POST', '/uploads'],
    ['HEAD', `/uploads/00000000-${'0'.repeat(32)}`],
  ]
  const WRONG: readonly Record<string, string>[] = [
    {},
    { authorization: 'Bearer wrong-secret' },
    { authorization: `Bearer ${createHash('sha256').update(tokenOf('all')).digest('hex')}` },
    { authorization: 'Token wrong-secret' },
    { authorization: `EphemeralToken ${tokenOf('later').replace('ü', 'u')}` },
    { authorization: `Basic ${Buffer.from('ann:wrong-secret').toString('base64')}` },
    { authorization: `Basic ${Buffer.from(`${tokenOf('all')}:x`).toString('base64')}` },
    { authorization: 'Basic' },
    { authorization: 'Basic ====' },
    { authorization: 'Bearer' },
    { authorization: '' },
    { authorization: 'Digest username="ann"' },
    { cookie: 'sessionid=wrong-secret' },
    { cookie: 'sessionid=' },
    bearer('expired'),
  ]

  it.each(URLS)('gets 401 for %s %s, with how to do better', async (method, url) => {
    for (const headers of WRONG) {
      const all = { 'tus-resumable': '1.0.0', ...headers }
      const answer = await plainAsk(service.url + url, { method, headers: all })
      expect([headers, answer.status]).toEqual([headers, 401])
      expect(answer.headers['www-authenticate']).toMatch(/^Bearer .*, Basic /)
      expect(answer.headers['cache-control']).toBe('no-store')
      expect(answer.text).not.toMatch(/wrong-secret|ann/)
    }
  })

  it('is told when it has expired, and not what it was', async () => {
    const answer = await get('/outputs/', 'expired')
    expect((json(answer) as { detail: string }).detail).toBe('This token has expired: ask for a new one.')
    expect((await get('/outputs/', 'later')).status).toBe(200)
  })

  it('still gets what is nobody’s', async () => {
    for (const url of ['/healthz', '/readyz', '/openapi.yaml', '/docs', '/'])
      expect((await plainAsk(service.url + url)).status).toBeLessThan(400)
  })
})

describe('a token is taken', () => {
  const FORMS: readonly (readonly [title: string, headers: (token: string) => Record<string, string>])[] = [
    ['as Bearer', token => ({ authorization: `Bearer ${token}` })],
    ['as bearer', token => ({ authorization: `bearer  ${token}` })],
    ['as Token', token => ({ authorization: `Token ${token}` })],
    ['as token', token => ({ authorization: `token ${token}` })],
    ['as the cookie of the dashboard', token => ({ cookie: `a=b; sessionid=${token}; c=d` })],
  ]
  const BASIC: readonly (readonly [title: string, text: (token: string) => string])[] = [
    ['as a password', token => `ann:${token}`],
    ['as a password alone', token => `:${token}`],
  ]

  it.each(FORMS)('%s', async (_title, headers) => {
    const answer = await ask(`${service.url}/outputs/ann/mnist/experiments/1/a.txt`, {
      headers: headers(Buffer.from(tokenOf('all')).toString('latin1')),
    })
    expect([answer.status, answer.text]).toEqual([200, 'content of ann/mnist/experiments/1'])
  })

  it.each(BASIC)('%s', async (_title, text) => {
    const authorization = `Basic ${Buffer.from(text(tokenOf('all'))).toString('base64')}`
    expect((await ask(`${service.url}/outputs/`, { headers: { authorization } })).status).toBe(200)
  })

  it('as the name of a user without a password, where it has no colon', async () => {
    tree.write(
      'plain.yaml',
      tokensText([]).replace(
        ' []',
        `\n  - {name: a, sha256: ${createHash('sha256').update('plain').digest('hex')}, scopes: [{}]}`,
      ),
    )
    const plain = await serve({}, 'plain.yaml')
    const basic = (text: string) => ({ authorization: `Basic ${Buffer.from(text).toString('base64')}` })
    for (const text of ['plain:', 'plain', ':plain'])
      expect((await ask(`${plain.url}/outputs/`, { headers: basic(text) })).status).toBe(200)
    for (const text of ['plain:x', 'x:', ':', '', 'a:b:plain'])
      expect((await ask(`${plain.url}/outputs/`, { headers: basic(text) })).status).toBe(401)
  })

  it('by curl -u', async () => {
    const run = promisify(execFile)
    const { stdout } = await run('curl', [
      ...['-sS', '-f', '-u', `:${tokenOf('all')}`],
      `${service.url}/outputs/ann/mnist/experiments/1/a.txt`,
    ])
    expect(stdout).toBe('content of ann/mnist/experiments/1')
    await expect(run('curl', ['-sS', '-f', '-u', ':wrong', `${service.url}/outputs/`])).rejects.toThrow(/401/)
  })
})

describe('what a token is not for', () => {
  /** The run that may be read, and below it another that may not, and one that is not there: in every URL the names alone differ. */
  const READS: readonly (readonly [holder: Holder, mine: string, others: string, absent: string])[] = [
    [
      'ann',
      '/outputs/ann/mnist/experiments/1/a.txt',
      '/outputs/bob/mnist/jobs/1/a.txt',
      '/outputs/eve/mnist/jobs/1/a.txt',
    ],
    ['ann', '/outputs/ann/mnist/experiments/1/', '/outputs/bob/mnist/jobs/1/', '/outputs/eve/mnist/jobs/1/'],
    [
      'ann',
      '/outputs/ann/mnist/experiments/1/?archive=zip',
      '/outputs/bob/mnist/jobs/1/?archive=zip',
      '/outputs/eve/mnist/jobs/1/?archive=zip',
    ],
    ['ann', '/outputs/ann/', '/outputs/bob/', '/outputs/eve/'],
    ['ann', '/outputs/ann/mnist/', '/outputs/bob/mnist/', '/outputs/eve/mnist/'],
    ['ann', '/outputs/ann/mnist/experiments/', '/outputs/bob/mnist/jobs/', '/outputs/eve/mnist/jobs/'],
    ['mnist', '/outputs/ann/mnist/', '/outputs/ann/cifar/', '/outputs/ann/eve/'],
    [
      'first',
      '/outputs/ann/mnist/experiments/1/a.txt',
      '/outputs/ann/mnist/experiments/2/a.txt',
      '/outputs/ann/mnist/experiments/9/a.txt',
    ],
    [
      'ann',
      '/api/v1/ann/mnist/experiments/1/outputs/files?path=a.txt',
      '/api/v1/bob/mnist/jobs/1/outputs/files?path=a.txt',
      '/api/v1/eve/mnist/jobs/1/outputs/files?path=a.txt',
    ],
    [
      'ann',
      '/api/v1/ann/mnist/experiments/1/outputs/tree',
      '/api/v1/bob/mnist/jobs/1/outputs/tree',
      '/api/v1/eve/mnist/jobs/1/outputs/tree',
    ],
    [
      'ann',
      '/api/v1/ann/mnist/experiments/1/outputs/download',
      '/api/v1/bob/mnist/jobs/1/outputs/download',
      '/api/v1/eve/mnist/jobs/1/outputs/download',
    ],
    [
      'run',
      `/streams/v1/ns/x/y/runs/${ANNS}/artifact?path=a.txt`,
      `/streams/v1/ns/x/y/runs/${BOBS}/artifact?path=a.txt`,
      `/streams/v1/ns/x/y/runs/${'e'.repeat(32)}/artifact?path=a.txt`,
    ],
    [
      'run',
      `/streams/v1/ns/x/y/runs/${ANNS}/artifacts/tree`,
      `/streams/v1/ns/x/y/runs/${BOBS}/artifacts/tree`,
      `/streams/v1/ns/x/y/runs/${'e'.repeat(32)}/artifacts/tree`,
    ],
    [
      'run',
      `/outputs/x/y/runs/${ANNS}/a.txt`,
      `/outputs/x/y/runs/${BOBS}/a.txt`,
      `/outputs/x/y/runs/${'e'.repeat(32)}/a.txt`,
    ],
  ]

  it.each(READS)('%s reads %s, and %s is to it like %s', async (holder, mine, others, absent) => {
    expect((await get(mine, holder)).status).toBe(200)
    const [hidden, missing] = [await get(others, holder), await get(absent, holder)]
    const names = (url: string) => url.match(/eve|bob|cifar|[be0-9a-f]{32}|(?<=experiments\/)\d/g) ?? []
    expect(seenOf(hidden, ...names(others))).toEqual(seenOf(missing, ...names(absent)))
    // To those who may know of everything, it is there.
    expect((await get(others, 'reader')).status).toBe(200)
    expect(hidden.text).not.toBe((await get(others, 'reader')).text)
  })

  it('is not shown in lists', async () => {
    const listed = async (url: string, holder: Holder): Promise<string[]> => {
      const answer = await get(`${url}?format=json`, holder)
      return (json(answer) as { entries: { name: string }[] }).entries.map(({ name }) => name)
    }
    expect(await listed('/outputs/', 'reader')).toEqual(['ann', 'bob'])
    expect(await listed('/outputs/', 'ann')).toEqual(['ann'])
    expect(await listed('/outputs/ann/', 'ann')).toEqual(['cifar', 'mnist'])
    expect(await listed('/outputs/ann/', 'mnist')).toEqual(['mnist'])
    expect(await listed('/outputs/ann/mnist/', 'ann')).toEqual(['experiments'])
    expect(await listed('/outputs/ann/mnist/', 'reader')).toEqual(['experiments', 'runs'])
    expect(await listed('/outputs/ann/mnist/experiments/', 'first')).toEqual(['1'])
    expect(await listed('/outputs/x/y/runs/', 'run')).toEqual([ANNS])
    expect(await listed('/outputs/', 'run')).toEqual([])
    for (const format of ['ndjson', 'html', 'text'])
      expect((await get(`/outputs/?format=${format}`, 'ann')).text).not.toContain('bob')
  })

  it('is not what its file is about where it has no run in its scopes', async () => {
    for (const holder of ['prometheus', 'elsewhere', 'dropbox'] as const)
      for (const url of ['/outputs/', '/outputs/ann/', '/outputs/ann/mnist/experiments/1/a.txt'])
        expect([holder, url, (await get(url, holder)).text]).toEqual([
          holder,
          url,
          expect.not.stringContaining('a.txt"'),
        ])
  })

  it.each<[Holder, string, string, number]>([
    ['ann', 'PUT', '/outputs/ann/mnist/experiments/1/new.txt', 201],
    ['ann', 'DELETE', '/outputs/ann/mnist/experiments/1/new.txt', 204],
    ['dropbox', 'PUT', '/outputs/ann/mnist/experiments/1/dropped.txt', 201],
    ['dropbox', 'DELETE', '/outputs/ann/mnist/experiments/1/dropped.txt', 404],
    ['dropbox', 'GET', '/outputs/ann/mnist/experiments/1/dropped.txt', 404],
    ['reader', 'PUT', '/outputs/ann/mnist/experiments/1/new.txt', 403],
    ['reader', 'DELETE', '/outputs/ann/mnist/experiments/1/a.txt', 403],
    ['reader', 'POST', '/outputs/ann/mnist/experiments/1/?delete', 403],
    ['reader', 'POST', '/outputs/ann/mnist/experiments/1/a.txt?copyTo=b.txt', 403],
    ['run', 'DELETE', `/streams/v1/ns/x/y/runs/${ANNS}/artifact?path=a.txt`, 403],
    ['run', 'DELETE', `/streams/v1/ns/x/y/runs/${BOBS}/artifact?path=a.txt`, 404],
    ['run', 'POST', `/streams/v1/ns/x/y/runs/${BOBS}/artifact`, 404],
    ['first', 'PUT', '/outputs/ann/mnist/experiments/1/new.txt', 403],
    ['first', 'PUT', '/outputs/ann/mnist/experiments/2/new.txt', 404],
    ['mnist', 'PUT', '/outputs/bob/mnist/jobs/1/new.txt', 404],
    ['ann', 'PUT', '/outputs/bob/mnist/jobs/1/new.txt', 404],
    ['ann', 'DELETE', '/outputs/bob/mnist/jobs/1/', 404],
    ['ann', 'PUT', `/outputs/ann/mnist/runs/${BOBS}/new.txt`, 404],
    ['ann', 'PUT', '/outputs/ann/mnist/experiments/1/new.txt?connection=other', 404],
  ])('%s: %s %s is answered %i', async (holder, method, url, status) => {
    const isForm = method === 'POST'
    const type = url.includes('?delete') ? 'application/json' : FORM_TYPE
    const body = url.includes('?delete')
      ? Buffer.from('{"paths":["a.txt"]}')
      : form(filePart('x.txt', 'new', 'upload_file'))
    const query = method === 'DELETE' && url.endsWith('/') ? '?recursive=true' : ''
    const answer = await get(url + query, holder, {
      method,
      ...(isForm && { headers: { 'content-type': type }, body }),
      ...(method === 'PUT' && { body: Buffer.from('new') }),
    })
    expect(answer.status).toBe(status)
    for (const run of ['ann/mnist/experiments/1', 'bob/mnist/jobs/1', ANNS, BOBS])
      expect(
        (await get(run.includes('/') ? `/outputs/${run}/a.txt` : `/outputs/x/y/runs/${run}/a.txt`, 'reader'))
          .text,
      ).toBe(`content of ${run}`)
  })
})

describe('whose a run is that has no owner in its folder', () => {
  /** Every way to name Bob's run as if it were Ann's. */
  const WAYS = [
    `/outputs/ann/mnist/runs/${BOBS}/a.txt`,
    `/outputs/ann/mnist/runs/${BOBS}/`,
    `/outputs/ann/mnist/runs/${BOBS}/?archive=tar`,
    '/outputs/ann/mnist/runs/',
    `/outputs/%61nn/mnist/runs/%62${BOBS.slice(1)}/a.txt`,
    `/outputs/./ann/mnist/runs/${BOBS}/a.txt`,
    `/api/v1/ann/mnist/runs/${BOBS}/outputs/files?path=a.txt`,
    `/api/v1/ann/mnist/runs/${BOBS}/outputs/tree`,
    `/api/v1/ann/mnist/runs/${BOBS}/outputs`,
    `/streams/v1/ns/ann/mnist/runs/${BOBS}/artifact?path=a.txt`,
    `/streams/v1/ns/ann/mnist/runs/${BOBS}/ro_artifact/a.txt`,
    `/streams/v1/ns/ann/mnist/runs/${BOBS}/embedded_artifact?path=a.txt`,
    `/streams/v1/ns/ann/mnist/runs/${BOBS}/artifacts`,
    `/streams/v1/ns/ann/mnist/runs/${BOBS}/artifacts/tree`,
    `/streams/v1/ns/ann/mnist/runs/${BOBS}/events/metric?names=loss`,
    `/streams/v1/ns/ann/mnist/runs/multi/events/metric?names=loss&runs=${BOBS}`,
    `/streams/v1/ns/orgs/ann/runs/multi/events/metric?names=loss&runs=${ANNS},${BOBS}`,
    `/streams/v1/ns/orgs/ann/teams/t/runs/multi/events/metric?names=loss&runs=${BOBS}`,
  ]
  it.each(WAYS)('%s says it, and is not believed', async url => {
    for (const holder of ['ann', 'mnist', 'first'] as const) {
      const answer = await get(url, holder)
      expect(answer.text).not.toMatch(/0\.5|content of|only-there/)
      const everything = await get(url, 'reader')
      expect(everything.status).toBe(200)
      expect(answer.text).not.toBe(everything.text)
    }
  })

  it('nor by an upload', async () => {
    const metadata = Buffer.from(`ann/mnist/runs/${BOBS}/new.txt`).toString('base64')
    const answer = await get('/uploads', 'ann', {
      method: 'POST',
      headers: { 'tus-resumable': '1.0.0', 'upload-length': '3', 'upload-metadata': `path ${metadata}` },
    })
    expect(answer.status).toBe(404)
    const form_ = {
      method: 'POST',
      headers: { 'content-type': FORM_TYPE },
      body: form(filePart('x.txt', 'new', 'upload_file')),
    }
    expect((await get(`/streams/v1/ns/ann/mnist/runs/${BOBS}/artifact`, 'ann', form_)).status).toBe(404)
  })

  it('is said by a layout with owners, and then believed', async () => {
    tree.write(`outputs/bob/mnist/runs/${BOBS}/a.txt`, 'of bob')
    tree.write(`outputs/ann/mnist/runs/${ANNS}/a.txt`, 'of ann')
    const { url } = await serve({ layouts: { runs: ['{owner}/{project}/runs/{uuid}'] } })
    const asAnn = (path: string) => plainAsk(url + path, { headers: bearer('ann') })
    expect((await asAnn(`/outputs/ann/mnist/runs/${ANNS}/a.txt`)).text).toBe('of ann')
    expect((await asAnn(`/streams/v1/ns/ann/mnist/runs/${ANNS}/artifact?path=a.txt`)).text).toBe('of ann')
    for (const path of [`/outputs/bob/mnist/runs/${BOBS}/a.txt`, `/outputs/ann/mnist/runs/${BOBS}/a.txt`])
      expect((await asAnn(path)).status).toBe(404)
  })
})

describe('resumable uploads', () => {
  const tus = { 'tus-resumable': '1.0.0' }
  const create = (holder: Holder, path: string): Promise<Answer> =>
    get('/uploads', holder, {
      method: 'POST',
      headers: {
        ...tus,
        'upload-length': '3',
        'upload-metadata': `path ${Buffer.from(path).toString('base64')}`,
      },
    })

  it('are of those who may write to where they end', async () => {
    const path = 'ann/mnist/experiments/1/resumed.txt'
    expect((await create('reader', path)).status).toBe(403)
    expect((await create('run', path)).status).toBe(404)
    const created = await create('ann', path)
    expect(created.status).toBe(201)
    const url = new URL(created.headers.location!, `${service.url}/uploads`).pathname
    const patch = {
      method: 'PATCH',
      headers: { ...tus, 'upload-offset': '0', 'content-type': 'application/offset+octet-stream' },
      body: Buffer.from('new'),
    }
    for (const [holder, status] of [
      ['reader', 403],
      ['run', 404],
      ['prometheus', 404],
    ] as const) {
      expect([holder, (await get(url, holder, patch)).status]).toEqual([holder, status])
      expect((await get(url, holder, { method: 'DELETE', headers: tus })).status).toBe(status)
    }
    expect((await get(url, 'ann', patch)).status).toBe(204)
    expect((await get(`/outputs/${path}`, 'mnist')).text).toBe('new')
  })
})

describe('callers without a token', () => {
  it('may read where that is allowed, and are asked who they are for more', async () => {
    const { url } = await serve({ server: { allowUnauthenticated: true } })
    expect((await ask(`${url}/outputs/ann/mnist/experiments/1/a.txt`)).status).toBe(200)
    expect(
      (
        await plainAsk(`${url}/outputs/ann/mnist/experiments/1/b.txt`, {
          method: 'PUT',
          body: Buffer.from('x'),
        })
      ).status,
    ).toBe(401)
    for (const authorization of ['Bearer wrong', 'Basic OndYbmc=', 'Unknown x', ''])
      expect((await plainAsk(`${url}/outputs/`, { headers: { authorization } })).status).toBe(401)
    const put = { method: 'PUT', body: Buffer.from('x'), headers: bearer('ann') }
    expect((await plainAsk(`${url}/outputs/ann/mnist/experiments/1/b.txt`, put)).status).toBe(201)
  })

  it('may change something where that is allowed too', async () => {
    const { url } = await serve({ server: { allowUnauthenticated: true, allowUnauthenticatedChanges: true } })
    const b = `${url}/outputs/ann/mnist/experiments/1/c.txt`
    expect((await plainAsk(b, { method: 'PUT', body: Buffer.from('x') })).status).toBe(201)
    expect((await plainAsk(b, { method: 'DELETE', headers: bearer('reader') })).status).toBe(403)
  })

  it('are nobody on loopback as anywhere else', async () => {
    const { url } = await serve({ server: { allowUnauthenticatedChanges: true } })
    expect((await ask(`${url}/outputs/`)).status).toBe(401)
  })
})

describe('the file of tokens', () => {
  const lines: { level: number; msg: string; faults?: string[] }[] = []
  const logger = pino(
    { level: 'info' },
    { write: (line: string) => void lines.push(JSON.parse(line) as never) },
  )
  const closed: (() => void)[] = []
  afterEach(() => {
    lines.length = 0
    closed.splice(0).forEach(close => close())
  })

  async function statusOf(
    authority: Awaited<ReturnType<typeof configuredAuthority>>,
    holder: Holder,
  ): Promise<string> {
    try {
      const request = { headers: bearer(holder) } as never
      return (await callerOf({ authority, origins: new Set() }, request, new AbortController().signal)).name
    } catch (error) {
      return (error as { kind: string }).kind
    }
  }

  async function recognising(file: string) {
    const config = configFor('', { auth: { tokensFile: tree.at(file) } })
    const authority = await configuredAuthority(config, logger)
    closed.push(() => authority.close?.())
    return authority
  }

  it('is read again when a mounted secret is swapped, as Kubernetes does it', async () => {
    tree.write('secret/..v1/tokens.yaml', tokensText(['all', 'reader']))
    tree.write('secret/..v2/tokens.yaml', tokensText(['reader', 'ann']))
    tree.link('secret/..data', '..v1')
    tree.link('secret/tokens.yaml', '..data/tokens.yaml')
    const watched = await serve({}, 'secret/tokens.yaml')
    const status = async (holder: Holder) =>
      (await plainAsk(`${watched.url}/outputs/`, { headers: bearer(holder) })).status
    expect([await status('all'), await status('ann')]).toEqual([200, 401])
    symlinkSync('..v2', tree.at('secret/..new'))
    renameSync(tree.at('secret/..new'), tree.at('secret/..data'))
    await until(async () => (await status('all')) === 401, { withinMs: 3000 })
    expect([await status('ann'), await status('reader')]).toEqual([200, 200])
  })

  it('changes nothing while it cannot be used, which is said once', async () => {
    tree.write('changing.yaml', tokensText(['all']))
    const authority = await recognising('changing.yaml')
    expect(await statusOf(authority, 'all')).toBe('token:all')
    for (const broken of ['tokens:\n  - {name: all}\n', 'tokens: [', '', 'x'.repeat(2 * 1024 ** 2)]) {
      lines.length = 0
      tree.write('changing.yaml', broken)
      await until(() => lines.length > 0, { withinMs: 3000 })
      expect(await statusOf(authority, 'all')).toBe('token:all')
      expect(lines).toMatchObject([{ level: 50, msg: /cannot be used/.exec(lines[0]!.msg)?.input }])
    }
    lines.length = 0
    tree.removePath('changing.yaml')
    await until(() => lines.length > 0, { withinMs: 3000 })
    expect(lines[0]!.faults).toEqual([expect.stringContaining('does not exist')])
    await new Promise(resolve => setTimeout(resolve, 1200))
    expect(lines).toHaveLength(1)
    expect(await statusOf(authority, 'all')).toBe('token:all')
    tree.write('changing.yaml', tokensText(['reader']))
    await until(async () => (await statusOf(authority, 'all')) === 'Unauthenticated', { withinMs: 3000 })
    expect(await statusOf(authority, 'reader')).toBe('token:reader')
    expect(JSON.stringify(lines)).not.toContain(createHash('sha256').update(tokenOf('all')).digest('hex'))
  })

  it('is not taken while it is being written', async () => {
    tree.write('written.yaml', tokensText(['all', 'reader']))
    const authority = await recognising('written.yaml')
    const text = tokensText(['mnist', 'reader'])
    // What is there of it until the end would be a token for all of Ann's.
    const cut = text.indexOf(', project')
    for (let i = 0; i < 12; i++) {
      tree.write('written.yaml', `${text.slice(0, cut)}}]}\n${'#'.repeat(i)}`)
      await new Promise(resolve => setTimeout(resolve, 100))
      expect(await statusOf(authority, 'mnist')).toBe('Unauthenticated')
    }
    tree.write('written.yaml', text)
    await until(async () => (await statusOf(authority, 'mnist')) === 'token:mnist', { withinMs: 3000 })
  })

  it('that was never usable lets nobody in, and says so as an outage', async () => {
    const authority = await recognising('none.yaml')
    expect(await statusOf(authority, 'all')).toBe('Unavailable')
    tree.write('none.yaml', tokensText(['all']))
    await until(async () => (await statusOf(authority, 'all')) === 'token:all', { withinMs: 3000 })
  })

  it('says who may read the metrics', async () => {
    const authority = await recognising('tokens.yaml')
    const sees = async (holder: Holder) => {
      const request = { headers: bearer(holder) } as never
      return (await authority.recognise(request, new AbortController().signal)).seesMetrics
    }
    expect([await sees('prometheus'), await sees('all')]).toEqual([true, false])
  })

  it('is left alone when the service has ended', async () => {
    tree.write('ended.yaml', tokensText(['all']))
    const config = configFor(tree.at('outputs'), { auth: { tokensFile: tree.at('ended.yaml') } })
    const app = await createApp({
      config,
      logger,
      description: (await plainAsk(`${service.url}/openapi.yaml`)).text,
    })
    await app.close()
    tree.write('ended.yaml', 'broken')
    await new Promise(resolve => setTimeout(resolve, 1200))
    expect(lines.filter(({ level }) => level >= 50)).toEqual([])
  })
})
