// Folder listings and the levels above a run, in all four forms, over a real socket.
import { mkdirSync, mkdtempSync, rmSync, utimesSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { ask } from '../support/checked.ts'
import { ask as plainAsk, json } from '../support/client.ts'
import type { Answer } from '../support/client.ts'
import { startService } from '../support/service.ts'
import type { Service } from '../support/service.ts'

const root = mkdtempSync(join(tmpdir(), 'outputs-listing-'))
const UUID = 'a1b2c3d4e5f647089a0b1c2d3e4f5a6b'
const FILES: Record<string, string> = {
  'ann/mnist/experiments/1/metrics.csv': 'step,loss\n1,0.5\n',
  'ann/mnist/experiments/1/plots/loss.png': 'png',
  'ann/mnist/experiments/1/plots/deep/er/x.csv': 'x',
  'ann/mnist/experiments/1/a b & <c> #%+\'"é模.txt': 'odd',
  'ann/mnist/experiments/1/javascript:alert(1).txt': 'colon',
  'ann/mnist/experiments/1/line\nbreak.txt': 'two lines',
  'ann/mnist/experiments/22/log.txt': 'log',
  'ann/mnist/groups/3/7/loss.csv': 'grouped',
  'ann/mnist/groups/3/plots/x.csv': 'not an experiment',
  'ann/mnist/groups/3/21/loss.csv': 'grouped',
  'ann/mnist/jobs/5/out.txt': 'job',
  'bob/cifar/builds/9/image.txt': 'build',
  [`${UUID}/outputs/model.bin`]: 'run',
}
let service: Service

beforeAll(async () => {
  for (const [path, text] of Object.entries(FILES)) {
    mkdirSync(dirname(join(root, path)), { recursive: true })
    writeFileSync(join(root, path), text)
    utimesSync(join(root, path), new Date('2024-05-06T07:08:09.123Z'), new Date('2024-05-06T07:08:09.123Z'))
  }
  mkdirSync(join(root, 'ann/mnist/experiments/1/empty'))
  mkdirSync(join(root, 'ann/mnist/experiments/50'))
  for (let i = 0; i < 1500; i++)
    writeFileSync(join(root, 'ann/mnist/experiments/50', `f${String(i).padStart(4, '0')}`), 'x'.repeat(i % 7))
  service = await startService(root)
})
afterAll(async () => {
  await service.close()
  rmSync(root, { recursive: true })
})

const get = (path: string, accept?: string): Promise<Answer> =>
  ask(`${service.url}${path}`, { headers: accept === undefined ? {} : { accept } })

interface Listing {
  path: string
  entries: {
    name: string
    path: string
    type: string
    size: number | null
    lastModified: string | null
    etag: string | null
    mediaType: string | null
    links: { self: string; archive?: string }
  }[]
  next?: { cursor: string; href: string }
  totals?: { files: number; directories: number; size: number; complete: boolean }
  links: Record<string, unknown>
}

async function list(path: string): Promise<Listing> {
  const answer = await get(path, 'application/json')
  expect(answer.status, answer.text).toBe(200)
  expect(answer.headers['content-type']).toBe('application/json')
  return json(answer) as Listing
}

const names = (listing: Listing): string[] =>
  listing.entries.map(({ path, type }) => (type === 'directory' ? `${path}/` : path))

describe('a folder as JSON', () => {
  it('holds every entry with what a client needs, in byte order', async () => {
    const listing = await list('/outputs/ann/mnist/experiments/1/')
    expect(listing.path).toBe('ann/mnist/experiments/1')
    expect(names(listing)).toEqual([
      'a b & <c> #%+\'"é模.txt',
      'empty/',
      'javascript:alert(1).txt',
      'line\nbreak.txt',
      'metrics.csv',
      'plots/',
    ])
    const metrics = listing.entries.find(entry => entry.name === 'metrics.csv')!
    expect(metrics).toMatchObject({
      type: 'file',
      size: 16,
      lastModified: '2024-05-06T07:08:09.123Z',
      mediaType: 'text/csv; charset=utf-8',
      links: { self: 'metrics.csv' },
    })
    const file = await get('/outputs/ann/mnist/experiments/1/metrics.csv')
    expect(metrics.etag).toBe(file.headers.etag)
    expect(listing.entries.find(entry => entry.name === 'plots')).toMatchObject({
      size: null,
      etag: null,
      mediaType: null,
      links: { self: 'plots/', archive: 'plots/?archive=zip' },
    })
    expect(listing.next).toBeUndefined()
    expect(listing.totals).toBeUndefined()
  })

  it('links to each entry by a relative reference that leads to its bytes', async () => {
    const base = new URL(`${service.url}/outputs/ann/mnist/experiments/1/`)
    for (const entry of (await list(`${base.pathname}?recursive=true`)).entries.filter(
      ({ type }) => type === 'file',
    )) {
      const url = new URL(entry.links.self, base)
      expect(url.origin).toBe(base.origin)
      expect((await ask(url.href)).text).toBe(FILES[`ann/mnist/experiments/1/${entry.path}`])
    }
  })

  it('counts and adds up everything when recursive', async () => {
    const listing = await list('/outputs/ann/mnist/experiments/1/?recursive')
    expect(names(listing)).toContain('plots/deep/er/x.csv')
    expect(names(listing)).toContain('plots/deep/')
    const size = Object.entries(FILES)
      .filter(([path]) => path.startsWith('ann/mnist/experiments/1/'))
      .reduce((sum, [, text]) => sum + Buffer.byteLength(text), 0)
    expect(listing.totals).toEqual({ files: 6, directories: 4, size, complete: true })
  })

  it('pages with a cursor and a Link, each entry once, also while files come and go', async () => {
    const seen: string[] = []
    let path: string | undefined = '/outputs/ann/mnist/experiments/50/?limit=400'
    for (let page = 0; path !== undefined; page++) {
      const answer = await get(path, 'application/json')
      const listing = json(answer) as Listing
      seen.push(...names(listing))
      if (page === 0) {
        rmSync(join(root, 'ann/mnist/experiments/50/f0399'))
        writeFileSync(join(root, 'ann/mnist/experiments/50/e-before'), '')
        writeFileSync(join(root, 'ann/mnist/experiments/50/f0700-new'), '')
      }
      expect(answer.headers.link).toBe(listing.next && `<${listing.next.href}>; rel="next"`)
      path =
        listing.next && new URL(listing.next.href, `${service.url}${path}`).href.slice(service.url.length)
    }
    expect(seen).toHaveLength(1501)
    expect(new Set(seen).size).toBe(1501)
    expect(seen).toContain('f0700-new')
    expect(seen).not.toContain('e-before')
    expect([...seen].sort()).toEqual(seen)
  })

  it('gives 1,000 entries by default and refuses more than 10,000', async () => {
    expect((await list('/outputs/ann/mnist/experiments/50/')).entries).toHaveLength(1000)
    expect((await list('/outputs/ann/mnist/experiments/50/?limit=10000')).entries).toHaveLength(1501)
    expect((await get('/outputs/ann/mnist/experiments/50/?limit=10001')).status).toBe(400)
    expect((await get('/outputs/ann/mnist/experiments/50/?limit=0')).status).toBe(400)
  })

  it.each(['size', 'lastModified', 'name'])('sorts by %s both ways, over pages', async sort => {
    for (const order of ['asc', 'desc']) {
      const all = await list(`/outputs/ann/mnist/experiments/50/?sort=${sort}&order=${order}&limit=10000`)
      const paged: string[] = []
      let query = `?sort=${sort}&order=${order}&limit=333`
      for (;;) {
        const page = await list(`/outputs/ann/mnist/experiments/50/${query}`)
        paged.push(...names(page))
        if (page.next === undefined) break
        query = page.next.href.slice(2)
      }
      expect(paged).toEqual(names(all))
      const values = all.entries.map(entry =>
        sort === 'size' ? entry.size! : sort === 'name' ? entry.name : entry.lastModified!,
      )
      const sorted = [...values].sort((a, b) => (a < b ? -1 : a > b ? 1 : 0))
      expect(values).toEqual(order === 'asc' ? sorted : sorted.reverse())
    }
  })

  it('filters by glob', async () => {
    expect(names(await list('/outputs/ann/mnist/experiments/1/?glob=*.csv'))).toEqual(['metrics.csv'])
    expect(
      names(await list(`/outputs/ann/mnist/experiments/1/?glob=${encodeURIComponent('**/*.csv')}`)),
    ).toEqual(['metrics.csv', 'plots/deep/er/x.csv'])
    expect(names(await list('/outputs/ann/mnist/experiments/1/?glob=nothing'))).toEqual([])
  })

  it('refuses a cursor of another order with a clear problem', async () => {
    const { next } = await list('/outputs/ann/mnist/experiments/50/?limit=2')
    const answer = await get(
      `/outputs/ann/mnist/experiments/50/?sort=size&cursor=${next!.cursor}`,
      'application/json',
    )
    expect(answer.status).toBe(400)
    expect((json(answer) as { detail: string }).detail).toContain('cursor')
    expect((await get('/outputs/ann/mnist/experiments/50/?cursor=%%%', 'application/json')).status).toBe(400)
  })
})

describe('the other forms', () => {
  it.each([
    ['?format=json', undefined, 'application/json'],
    ['', 'application/x-ndjson', 'application/x-ndjson'],
    ['', 'text/plain', 'text/plain; charset=utf-8'],
    ['', 'text/html,application/xhtml+xml', 'text/html; charset=utf-8'],
    ['', '*/*', 'text/html; charset=utf-8'],
    ['', undefined, 'text/html; charset=utf-8'],
    ['', 'application/json;q=0.5, text/plain;q=0.9', 'text/plain; charset=utf-8'],
    ['?format=text', 'application/json', 'text/plain; charset=utf-8'],
    ['', 'image/png', 'text/html; charset=utf-8'],
  ])('%s with Accept %s is %s', async (query, accept, type) => {
    const answer = await get(`/outputs/ann/mnist/experiments/1/${query}`, accept)
    expect([answer.status, answer.headers['content-type'], answer.headers.vary]).toEqual([
      200,
      type,
      'Accept',
    ])
  })

  it('NDJSON gives everything, an entry a line, and ends with a summary', async () => {
    const answer = await get('/outputs/ann/mnist/experiments/50/', 'application/x-ndjson')
    const lines = answer.text
      .trimEnd()
      .split('\n')
      .map(line => JSON.parse(line) as Record<string, unknown>)
    expect(lines).toHaveLength(1502)
    expect(lines.at(-1)).toEqual({
      summary: { files: 1501, directories: 0, size: expect.any(Number) as number, complete: true },
    })
    expect(lines[0]).toMatchObject({ name: 'e-before', type: 'file' })
  })

  it('NDJSON of a page says that it is one, and where the next is', async () => {
    const lastLine = async (
      query: string,
    ): Promise<{ summary: { files: number; complete: boolean }; next?: { href: string } }> => {
      const answer = await get(`/outputs/ann/mnist/experiments/50/${query}`)
      return JSON.parse(answer.text.trimEnd().split('\n').at(-1)!) as Awaited<ReturnType<typeof lastLine>>
    }
    const first = await lastLine('?format=ndjson&limit=1000')
    expect(first.summary).toMatchObject({ files: 1000, complete: false })
    const second = await lastLine(first.next!.href.slice(2))
    expect(second).toEqual({
      summary: { files: 501, directories: 0, size: expect.any(Number) as number, complete: false },
    })
    expect((await lastLine('?format=ndjson&limit=2000')).summary.complete).toBe(true)
  })

  it('text gives one name a line, whole', async () => {
    const answer = await get('/outputs/ann/mnist/experiments/1/?format=text&recursive')
    const lines = answer.text.split('\n')
    expect(lines).toContain('plots/')
    expect(lines).toContain('plots/loss.png')
    expect(lines).toContain(JSON.stringify('line\nbreak.txt'))
    expect((await get('/outputs/ann/mnist/experiments/50/?format=text')).text.split('\n')).toHaveLength(1502)
  })

  it('HTML for programs links to entries only, all of them; for people it has pages and ways on', async () => {
    const links = (answer: Answer): string[] =>
      [...answer.text.matchAll(/href="([^"]*)"/g)].map(match => match[1]!.replaceAll('&amp;', '&'))
    const programs = links(await get('/outputs/ann/mnist/experiments/50/', '*/*'))
    expect(programs).toHaveLength(1501)
    expect(programs.every(href => /^[\w-]+$/.test(href))).toBe(true)
    const people = links(await get('/outputs/ann/mnist/experiments/50/', 'text/html'))
    expect(people.filter(href => /^[ef][\w-]+$/.test(href))).toHaveLength(1000)
    expect(people.some(href => href.includes('cursor='))).toBe(true)
    expect(people).toContain('../')
    expect(people).toContain('./?archive=zip')
  })

  it('HTML escapes names, runs no script and may load nothing', async () => {
    const answer = await get('/outputs/ann/mnist/experiments/1/', 'text/html')
    expect(answer.text).not.toMatch(/<script|<c>|href="javascript:/i)
    expect(answer.text).toContain('&lt;c&gt;')
    expect(answer.headers['content-security-policy']).toContain("default-src 'none'")
    expect(answer.headers['x-content-type-options']).toBe('nosniff')
  })

  it('HEAD has the headers of GET and no body', async () => {
    const head = await ask(`${service.url}/outputs/ann/mnist/experiments/1/`, {
      method: 'HEAD',
      headers: { accept: 'application/json' },
    })
    expect([head.status, head.headers['content-type'], head.body.length]).toEqual([
      200,
      'application/json',
      0,
    ])
    expect(
      (await ask(`${service.url}/outputs/ann/mnist/experiments/1/none/`, { method: 'HEAD' })).status,
    ).toBe(404)
  })
})

describe('the levels above a run', () => {
  it.each([
    ['/outputs/', ['ann/', 'bob/']],
    ['/outputs/ann/', ['mnist/']],
    ['/outputs/ann/mnist/', ['experiments/', 'groups/', 'jobs/', 'runs/']],
    ['/outputs/ann/mnist/experiments/', ['1/', '21/', '22/', '50/', '7/']],
    ['/outputs/ann/mnist/groups/', ['3/']],
    ['/outputs/bob/cifar/builds/', ['9/']],
    ['/outputs/ann/mnist/runs/', [`${UUID}/`]],
  ])('%s lists %j', async (path, expected) => {
    const listing = await list(path)
    expect(names(listing)).toEqual(expected)
    expect(listing.links['archives']).toBeUndefined()
  })

  it('pages like any listing', async () => {
    const first = await list('/outputs/ann/mnist/experiments/?limit=3')
    expect(names(first)).toEqual(['1/', '21/', '22/'])
    expect(names(await list(`/outputs/ann/mnist/experiments/${first.next!.href.slice(2)}`))).toEqual([
      '50/',
      '7/',
    ])
  })

  it.each([
    '/outputs/nobody/',
    '/outputs/ann/nothing/experiments/',
    '/outputs/ann/mnist/models/',
    '/outputs/ann/mnist/builds/',
  ])('%s is 404', async path => {
    expect((await get(path, 'application/json')).status).toBe(404)
  })
})

describe('runs', () => {
  it('finds a grouped experiment under its own URL', async () => {
    expect((await get('/outputs/ann/mnist/experiments/7/loss.csv')).text).toBe('grouped')
    expect((await get('/outputs/ann/mnist/groups/3/7/loss.csv')).text).toBe('grouped')
  })

  it('reads a 2.x run by its uuid', async () => {
    expect((await get(`/outputs/ann/mnist/runs/${UUID}/outputs/model.bin`)).text).toBe('run')
  })

  it.each([
    '/outputs/ann/mnist/experiments/plots/x.csv',
    '/outputs/ann/mnist/experiments/99/x',
    '/outputs/x/y/runs/ann/mnist/experiments/1/metrics.csv',
    '/outputs/ann/mnist/jobs/1/metrics.csv',
  ])('%s is 404: an id is never another folder', async path => {
    expect((await get(path)).status).toBe(404)
  })
})

describe('a folder without its slash', () => {
  it.each([
    ['/outputs', './outputs/'],
    ['/outputs/ann', './ann/'],
    ['/outputs/ann/mnist/experiments/1', './1/'],
    ['/outputs/ann/mnist/experiments/1/plots?recursive=1', './plots/?recursive=1'],
  ])('%s leads to %s', async (path, location) => {
    const answer = await get(path)
    expect([answer.status, answer.headers.location]).toEqual([301, location])
  })

  it('is found where an escaped slash belongs to its path', async () => {
    const url = `${service.url}/outputs/ann/mnist/experiments/1/plots%2Fdeep`
    const { status, headers } = await ask(url)
    expect(status).toBe(301)
    expect((await ask(new URL(headers.location!, url).href)).status).toBe(200)
  })

  it('a file with a slash is 404', async () => {
    expect((await get('/outputs/ann/mnist/experiments/1/metrics.csv/')).status).toBe(404)
  })
})

describe('below a base path', () => {
  it('works the same, with links that stay below it', async () => {
    const below = await startService(root, { server: { basePath: '/poly/axon' } })
    try {
      const answer = await plainAsk(`${below.url}/outputs/ann/mnist/experiments/1/`, {
        headers: { accept: 'application/json' },
      })
      expect(answer.status).toBe(200)
      expect((await plainAsk(`${below.url}/outputs/ann`)).headers.location).toBe('./ann/')
      expect((await plainAsk(`${below.url}/healthz`)).status).toBe(200)
      for (const root of [below.url, `${below.url}/`]) {
        const { headers } = await plainAsk(root)
        expect(new URL(headers.location!, root).href).toBe(`${below.url}/outputs/`)
      }
      expect((await plainAsk(below.url.replace('/poly/axon', '/outputs/'))).status).toBe(404)
    } finally {
      await below.close()
    }
  })
})
