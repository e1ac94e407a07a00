// The outputs of runs by the URLs of Polyaxon 0.x, held to what its API answered and to what that should have answered.
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { AppError } from '../../src/errors.ts'
import { MemoryStore } from '../../src/store/memory.ts'
import { parsePath } from '../../src/store/path.ts'
import { ask } from '../support/checked.ts'
import { json, type Answer } from '../support/client.ts'
import { startService, type Service } from '../support/service.ts'
import { scriptedStore } from './scripted-store.ts'

const JOB = '/api/v1/ann/mnist/jobs/1'
const UUID = 'a1b2c3d4e5f647089a0b1c2d3e4f5a6b'
/** By the place where 0.x keeps the run. */
const RUNS = [
  ['ann/mnist/jobs/1', '/api/v1/ann/mnist/jobs/1'],
  ['ann/mnist/experiments/2', '/api/v1/ann/mnist/experiments/2'],
  ['ann/mnist/groups/5/7', '/api/v1/ann/mnist/experiments/7'],
  ['ann/mnist/builds/3', '/api/v1/ann/mnist/builds/3'],
  ['ann/mnist/groups/5', '/api/v1/ann/mnist/groups/5'],
  [UUID, `/api/v1/ann/mnist/runs/${UUID}`],
] as const
const BAD_PATH = '["Experiment outputs path does not exists or bad configuration."]'

let service: Service
let scratch: string

beforeAll(async () => {
  scratch = mkdtempSync(join(tmpdir(), 'outputs-api-'))
  const store = new MemoryStore()
  for (const [folder] of RUNS)
    for (const [path, content] of [
      ['b.txt', folder],
      ['a b+c.csv', 'x,y\n'],
      ['sub/deep/é.bin', 'deep'],
      ['sub-1/x', ''],
    ])
      store.write(parsePath(`${folder}/${path}`), Buffer.from(content!))
  service = await startService('', {}, store)
})
afterAll(async () => {
  await service.close()
  rmSync(scratch, { recursive: true })
})

const get = (url: string, headers: Record<string, string> = {}): Promise<Answer> =>
  ask(service.url + url, { headers })

function membersOf({ body }: Answer): string[] {
  const file = join(scratch, 'archive.tar.gz')
  writeFileSync(file, body)
  return execFileSync('tar', ['-tzf', file, '--quoting-style=literal']).toString().trim().split('\n').sort()
}

describe.each(RUNS)('%s', (folder, url) => {
  it.each(['', '/'])('is listed by one level, the files as pairs: outputs/tree%s', async slash => {
    const answer = await get(`${url}/outputs/tree${slash}`)
    expect([answer.status, answer.headers['content-type']]).toEqual([200, 'application/json'])
    const { files, dirs } = json(answer) as { files: unknown; dirs: string[] }
    expect(files).toEqual([
      ['a b+c.csv', 4],
      ['b.txt', folder.length],
    ])
    expect(dirs.filter(name => name.startsWith('sub'))).toEqual(['sub', 'sub-1'])
  })

  it.each(['', '/'])('gives its files: outputs/files%s', async slash => {
    const answer = await get(`${url}/outputs/files${slash}?path=b.txt`)
    expect(answer.text).toBe(folder)
    expect(answer.headers['content-length']).toBe(String(folder.length))
    expect(answer.headers['content-disposition']).toBe('attachment; filename="b.txt"')
    expect(answer.headers['content-type']).toMatch(/^text\/plain/)
  })

  it.each(['outputs/download', 'outputs/download/', 'outputs', 'outputs/'])(
    'comes as an archive with names relative to the run: %s',
    async resource => {
      const answer = await get(`${url}/${resource}`)
      expect(answer.headers['content-type']).toBe('application/gzip')
      expect(answer.headers['content-encoding']).toBeUndefined()
      const [owner, project, kind, id] = url.split('/').slice(3)
      expect(answer.headers['content-disposition']).toBe(
        `attachment; filename="${owner}_${project}_${kind}_${id}.tar.gz"`,
      )
      const members = membersOf(answer)
      for (const name of ['a b+c.csv', 'b.txt', 'sub/deep/é.bin', 'sub-1/x']) expect(members).toContain(name)
      expect(members.filter(name => name.startsWith('/') || name.startsWith('ann'))).toEqual([])
    },
  )
})

describe('a path', () => {
  it.each([
    ['sub', { files: [], dirs: ['deep'] }],
    ['sub/', { files: [], dirs: ['deep'] }],
    ['sub/deep', { files: [['é.bin', 4]], dirs: [] }],
    [
      '',
      {
        files: [
          ['a b+c.csv', 4],
          ['b.txt', 16],
        ],
        dirs: ['sub', 'sub-1'],
      },
    ],
  ])('of a folder is listed: %s', async (path, tree) => {
    expect(json(await get(`${JOB}/outputs/tree?path=${path}`))).toEqual(tree)
  })

  it.each(['nope', 'b.txt', 'b.txt/x', 'sub/nope'])('of no folder is refused as ever: %s', async path => {
    const answer = await get(`${JOB}/outputs/tree?path=${path}`)
    expect([answer.status, answer.text]).toEqual([400, BAD_PATH])
  })

  it('of a run that is not there is refused as ever', async () => {
    const answer = await get('/api/v1/ann/mnist/jobs/9/outputs/tree')
    expect([answer.status, answer.text]).toEqual([400, BAD_PATH])
  })

  it.each<[string, number, unknown]>([
    ['', 400, ['Files view expect a path to the file.']],
    ['?path=', 400, ['Files view expect a path to the file.']],
    ['?path=nope', 404, expect.any(String)],
    ['?path=b.txt/x', 404, expect.any(String)],
    ['?path=sub', 400, { detail: expect.stringContaining('folder') as string }],
    ['?path=../2/b.txt', 400, { detail: 'Invalid path: traversal detected' }],
    ['?path=/etc/passwd', 404, expect.any(String)],
    ['?path=%00', 400, { detail: expect.any(String) as string }],
  ])('of a file: outputs/files%s is %i', async (query, status, body) => {
    const answer = await get(`${JOB}/outputs/files${query}`)
    expect([answer.status, answer.headers['content-type']]).toEqual([status, 'application/json'])
    expect(json(answer)).toEqual(body)
  })

  it('comes as the dashboards write it, without escapes', async () => {
    // What they leave alone a browser escapes; of the rest only a plus sign is lost, to every server.
    expect((await get(`${JOB}/outputs/files?path=sub/deep/%C3%A9.bin`)).text).toBe('deep')
    expect((await get(`${JOB}/outputs/files?path=a%20b%2Bc.csv`)).text).toBe('x,y\n')
  })

  it('takes ranges and conditions, and HEAD', async () => {
    const url = `${JOB}/outputs/files?path=b.txt`
    const part = await get(url, { range: 'bytes=4-8' })
    expect([part.status, part.text]).toEqual([206, 'mnist'])
    expect((await get(url, { 'if-none-match': part.headers.etag! })).status).toBe(304)
    const head = await ask(service.url + url, { method: 'HEAD' })
    expect([head.status, head.headers['content-length']]).toEqual([200, '16'])
  })
})

it('that has moved to a group is found again', async () => {
  const store = new MemoryStore()
  store.write(parsePath('ann/mnist/experiments/4/a.txt'), Buffer.from('content'))
  const moving = await startService('', {}, store)
  try {
    for (const [resource, missing] of [
      ['outputs/files?path=a.txt', 404],
      ['outputs/tree', 400],
      ['outputs/download', 404],
    ] as const) {
      const url = `${moving.url}/api/v1/ann/mnist/experiments/4/${resource}`
      for (const [from, to] of [
        ['experiments/4', 'groups/9/4'],
        ['groups/9/4', 'experiments/4'],
      ]) {
        expect((await ask(url)).status).toBe(200)
        store.forget(parsePath(`ann/mnist/${from}`))
        store.write(parsePath(`ann/mnist/${to}/a.txt`), Buffer.from('content'))
        expect((await ask(url)).status).toBe(missing)
        expect((await ask(url)).status).toBe(200)
      }
    }
  } finally {
    await moving.close()
  }
})

describe('everything else', () => {
  it.each([
    '/api/v1/ann/mnist/jobs/9/outputs/download',
    '/api/v1/ann/mnist/jobs/x/outputs/download',
    '/api/v1/ann/mnist/jobs/1x/outputs/tree/',
    '/api/v1/ann/mnist/notebooks/1/outputs',
    '/api/v1/ann/mnist/jobs/1',
    '/api/v1/ann/mnist/jobs/1/',
    '/api/v1/ann/mnist/jobs/1/statuses',
    '/api/v1/ann/mnist/jobs/1/outputs/tree/more',
    '/api/v1/ann/mnist/jobs/1/__proto__',
    '/api/v1/versions/cli/',
    '/api/v1',
  ])('%s is not here', async url => {
    const answer = await get(url)
    const status = url.endsWith('tree/') ? 400 : 404
    expect([url, answer.status]).toEqual([url, status])
    if (status === 404) expect(answer.text).toBe('{"detail":"Not found."}')
  })

  it.each(['..', '%2e%2e', '..%2f2', '%00', '1%2f..%2f2', '-1', '%D9%A1', '1e0', '1'.repeat(21)])(
    'a run called %s is not there, on any route',
    async id => {
      for (const resource of ['tree', 'files?path=b.txt', 'download/', ''])
        for (const kind of ['jobs', 'experiments']) {
          const answer = await get(`/api/v1/ann/mnist/${kind}/${id}/outputs/${resource}`)
          expect([400, 404]).toContain(answer.status)
          expect(answer.text).not.toContain('ann/mnist/')
        }
    },
  )

  it.each(['POST', 'PUT', 'DELETE', 'OPTIONS'])('%s changes nothing', async method => {
    const answer = await ask(`${service.url}${JOB}/outputs/files?path=b.txt`, { method })
    expect([answer.status, answer.headers.allow]).toEqual([405, 'GET, HEAD'])
    expect((await get(`${JOB}/outputs/files?path=b.txt`)).text).toBe('ann/mnist/jobs/1')
  })

  it.each(['tree', 'files?path=b.txt', 'download'])('an outage of the store is said: %s', async resource => {
    const gone = (): never => {
      throw new AppError('Unavailable', 'The outputs store cannot be reached.')
    }
    const other = await startService('', {}, scriptedStore({ stat: gone, list: gone, open: gone }))
    try {
      const answer = await ask(`${other.url}${JOB}/outputs/${resource}`)
      expect([answer.status, answer.text]).toEqual([503, '{"detail":"The outputs store cannot be reached."}'])
    } finally {
      await other.close()
    }
  })
})
