// Several connections behind one service: each request is about one of them, and one that fails is its own trouble only.
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { STORE_TROUBLES } from '../../src/errors.ts'
import type { StoreTrouble } from '../../src/errors.ts'
import { troubleError } from '../../src/store/failure.ts'
import { ROOT } from '../../src/store/path.ts'
import type { components } from '../../src/generated/api.d.ts'
import { ask } from '../support/checked.ts'
import { json } from '../support/client.ts'
import { startService } from '../support/service.ts'
import type { Service } from '../support/service.ts'
import { scriptedStore } from './scripted-store.ts'

type Listing = components['schemas']['Listing']

const RUN = '/outputs/ann/mnist/experiments/1/'

describe('two stores', () => {
  let service: Service

  beforeEach(async () => {
    const [first, second] = [scriptedStore(), scriptedStore()]
    first.write('ann/mnist/experiments/1/a.txt', 'first')
    for (const name of ['a.txt', 'b.txt', 'c.txt', 'sub/d.txt'])
      second.write(`ann/mnist/experiments/1/${name}`, 'second')
    second.write('zoe/lake/jobs/5/x.txt', 'only here')
    service = await startService(
      '',
      {},
      new Map([
        ['first', first],
        ['second & more', second],
      ]),
    )
  })
  afterEach(() => service.close())

  const CONNECTION = 'connection=second+%26+more'
  const get = (target: string) => ask(service.url + target)

  it('are picked by name, and the first one without a name', async () => {
    expect((await get(`${RUN}a.txt`)).text).toBe('first')
    expect((await get(`${RUN}a.txt?connection=first`)).text).toBe('first')
    expect((await get(`${RUN}a.txt?${CONNECTION}`)).text).toBe('second')
    expect((await get(`${RUN}b.txt`)).status).toBe(404)
    expect((await get('/outputs/?format=text')).text).toBe('ann/\n')
    expect((await get(`/outputs/?format=text&${CONNECTION}`)).text).toBe('ann/\nzoe/\n')
  })

  it.each([
    `${RUN}a.txt?connection=third`,
    `${RUN}?connection=third`,
    `${RUN}?archive=zip&connection=third`,
    '/outputs/?connection=FIRST',
    '/outputs/?connection=__proto__',
  ])('are not found by another name, and none is given away: %s', async target => {
    const answer = await get(target)
    expect(answer.status).toBe(404)
    expect(json(answer)).toMatchObject({ detail: expect.stringContaining('leave it out') as string })
    expect(answer.text).not.toContain('second')
  })

  it('keep their name in every link of a listing, in redirects and through all pages', async () => {
    const page = json(await get(`${RUN}?format=json&limit=2&${CONNECTION}`)) as Listing
    const links = [
      page.links.self,
      page.links.parent!,
      page.next!.href,
      ...Object.values(page.links.archives!),
      ...page.entries.map(({ links: { self } }) => self),
    ]
    for (const link of links)
      expect(new URL(link, service.url + RUN).searchParams.get('connection'), link).toBe('second & more')
    const names: string[] = []
    for (let href: string | undefined = `?format=json&limit=1&${CONNECTION}`; href !== undefined;) {
      const answer: Listing = json(await ask(new URL(href, service.url + RUN).href)) as Listing
      names.push(...answer.entries.map(({ name }) => name))
      href = answer.next?.href
    }
    expect(names).toEqual(['a.txt', 'b.txt', 'c.txt', 'sub'])
    const redirect = await get(`${RUN}sub?${CONNECTION}`)
    expect([redirect.status, redirect.headers.location]).toEqual([301, `./sub/?${CONNECTION}`])
    const start = await get(`/?${CONNECTION}`)
    expect([start.status, start.headers.location]).toEqual([302, `./outputs/?${CONNECTION}`])
  })

  it('keep their name in the links of pages for people and for programs', async () => {
    for (const headers of [{ accept: 'text/html' }, { accept: '*/*' }]) {
      const page = await ask(`${service.url}${RUN}?${CONNECTION}`, { headers })
      const hrefs = [...page.text.matchAll(/href="([^"#]+)"/g)].map(match =>
        match[1]!.replaceAll('&amp;', '&'),
      )
      expect(hrefs.length).toBeGreaterThanOrEqual(4)
      for (const href of hrefs)
        expect(new URL(href, service.url + RUN).searchParams.get('connection'), href).toBe('second & more')
    }
  })

  it('have archives of their own, with tags of their own', async () => {
    const [first, second] = [await get(`${RUN}?archive=tar`), await get(`${RUN}?archive=tar&${CONNECTION}`)]
    expect(first.text).toContain('first')
    expect(second.text).not.toContain('first')
    expect(first.headers.etag).not.toBe(second.headers.etag)
  })
})

describe('a store in trouble', () => {
  let trouble: StoreTrouble
  let service: Service

  beforeEach(async () => {
    const fail = (): never => {
      throw troubleError('lake', trouble, 'open', ROOT, { cause: new Error('https://internal/?key=OURS') })
    }
    const lake = scriptedStore({
      stat: async () => fail(),
      open: async () => fail(),
      list: async function* () {
        yield await Promise.resolve(fail())
      },
    })
    const outputs = scriptedStore()
    outputs.write('ann/mnist/experiments/1/a.txt', 'content')
    service = await startService(
      '',
      {},
      new Map([
        ['outputs', outputs],
        ['lake', lake],
      ]),
    )
  })
  afterEach(() => service.close())

  const EXPECTED: Readonly<Record<StoreTrouble, readonly [status: number, passes: boolean]>> = {
    unreachable: [503, true],
    throttled: [503, true],
    timeout: [504, true],
    interrupted: [502, true],
    credentials: [502, false],
    denied: [502, false],
    missing: [502, false],
    region: [502, false],
    clock: [502, false],
    misconfigured: [502, false],
  }

  it.each(STORE_TROUBLES)('is reported with its name and the class of its cause: %s', async each => {
    trouble = each
    const [status, passes] = EXPECTED[each]
    for (const view of ['a.txt?', '?format=json&', '?format=ndjson&', '?archive=zip&', '?archive=tar.gz&'])
      for (const method of ['GET', 'HEAD']) {
        const answer = await ask(`${service.url}${RUN}${view}connection=lake`, { method })
        expect(answer.status, view).toBe(status)
        expect(answer.headers['retry-after'] !== undefined).toBe(passes)
        if (method === 'HEAD') continue
        expect(json(answer)).toMatchObject({
          type: 'urn:polyaxon-outputs:problem:unavailable',
          status,
          trouble: each,
          detail: expect.stringContaining("The outputs store 'lake'") as string,
        })
        expect('temporary' in (json(answer) as object)).toBe(passes)
        expect(answer.text).not.toMatch(/internal|OURS/)
      }
  })

  it('leaves requests to others alone, and is seen in the readiness', async () => {
    trouble = 'credentials'
    expect((await ask(`${service.url}${RUN}a.txt`)).text).toBe('content')
    const ready = await ask(`${service.url}/readyz`)
    expect(ready.status).toBe(200)
    expect(json(ready)).toEqual({
      status: 'ready',
      stores: [
        { name: 'outputs', status: 'ok' },
        {
          name: 'lake',
          status: 'unavailable',
          trouble: 'credentials',
          detail: expect.stringContaining("'lake'") as string,
        },
      ],
    })
  })
})
