// The artifacts of runs by the URLs of Polyaxon 1.x and 2.x, held to what its streams service answers and to what that should have answered.
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { AppError } from '../../src/errors.ts'
import { MemoryStore } from '../../src/store/memory.ts'
import { parsePath } from '../../src/store/path.ts'
import { ask } from '../support/checked.ts'
import { json, type Answer } from '../support/client.ts'
import { startService, type Service } from '../support/service.ts'
import { Tree } from '../support/tree.ts'
import { scriptedStore } from './scripted-store.ts'

const UUID = 'a1b2c3d4e5f647089a0b1c2d3e4f5a6b'
const RUN = `/streams/v1/default/owner/proj/runs/${UUID}`
const FILES: Readonly<Record<string, string>> = {
  'outputs/results.csv': 'step,loss\n1,0.5\n2,0.25\n',
  'outputs/metrics.json': '{"loss": 0.25}',
  'outputs/empty.txt': '',
  'outputs/broken.ipynb': 'no notebook',
  'outputs/notebook.ipynb': JSON.stringify({
    nbformat: 4,
    nbformat_minor: 5,
    metadata: {},
    cells: [{ cell_type: 'markdown', metadata: {}, source: ['# Training\n', '<script>alert(1)</script>'] }],
  }),
  'outputs/report.html': '<script>alert(1)</script>',
  'outputs/uni cøde é.txt': 'hello ünicode\n',
  'outputs/bundle.tar.gz': 'not really',
  'outputs/model/weights.bin': 'weights',
  'outputs/model/ckpt/step-1.pt': 'step 1',
  'outputs/a-b/x.txt': 'x',
  'outputs/a/x.txt': 'x',
  'outputs/modèle/w.bin': 'w',
  'code/run.py': 'print()',
}

let service: Service
let store: MemoryStore
let scratch: string

beforeAll(async () => {
  scratch = mkdtempSync(join(tmpdir(), 'streams-'))
  store = new MemoryStore()
  for (const [path, content] of Object.entries(FILES))
    store.write(parsePath(`${UUID}/${path}`), Buffer.from(content))
  service = await startService('', {}, store)
})
afterAll(async () => {
  await service.close()
  rmSync(scratch, { recursive: true })
})

const get = (resource: string, headers: Record<string, string> = {}): Promise<Answer> =>
  ask(`${service.url}${RUN}/${resource}`, { headers })
const named = (answer: Answer): unknown =>
  // As the dashboard reads it.
  JSON.parse(answer.headers['content-disposition']!.split('filename=')[1]!)

/** Members by name, unpacked by a real tar. */
function membersOf({ body }: Answer): string[] {
  const file = join(scratch, 'archive.tar.gz')
  writeFileSync(file, body)
  return execFileSync('tar', ['-tzf', file, '--quoting-style=literal']).toString().trim().split('\n').sort()
}

describe('artifacts/tree', () => {
  it('lists one level, files and folders by name', async () => {
    const answer = await get('artifacts/tree?path=outputs')
    expect(answer.headers['content-type']).toBe('application/json')
    expect(answer.text).toBe(
      '{"files":{"broken.ipynb":11,"bundle.tar.gz":10,"empty.txt":0,"metrics.json":14,"notebook.ipynb":150,"report.html":25,"results.csv":23,"uni cøde é.txt":15},' +
        '"dirs":["a","a-b","model","modèle"]}',
    )
  })

  it.each(['', '?path=', '?path=/', '?path=.', '?path=./', '?connection=', '?unknown=1&path='])(
    'lists the run: %s',
    async query => {
      expect((await get(`artifacts/tree${query}`)).text).toBe('{"files":{},"dirs":["code","outputs"]}')
    },
  )

  it.each(['outputs/model/', '/outputs/model', 'outputs//model', './outputs/./model/'])(
    'takes a path as clients write it: %s',
    async path => {
      expect((await get(`artifacts/tree?path=${path}`)).text).toBe(
        '{"files":{"weights.bin":7},"dirs":["ckpt"]}',
      )
    },
  )

  it('lists a file alone', async () => {
    expect((await get('artifacts/tree?path=outputs/results.csv')).text).toBe(
      '{"files":{"results.csv":23},"dirs":[]}',
    )
  })

  it.each([
    [`${RUN}/artifacts/tree?path=nope`, /^Could not list path a1b2c3d4e5f647089a0b1c2d3e4f5a6b\/nope\. /],
    [`${RUN}/artifacts/tree?path=outputs/results.csv/x`, /^Could not list path /],
    ['/streams/v1/default/owner/proj/runs/deadbeef/artifacts/tree', /^Could not list path deadbeef\. /],
    [`/streams/v1/d/o/p/runs/${'0'.repeat(32)}/artifacts/tree`, /^Could not list path 0{32}\. /],
    [`${RUN}/artifacts/tree?path=../`, /^Invalid path: traversal detected$/],
    [`${RUN}/artifacts/tree?path=outputs/../../x`, /^Invalid path: traversal detected$/],
    [`${RUN}/artifacts/tree?path=%00`, /NUL/],
  ])('says of what is not there why it lists nothing: %s', async (url, error) => {
    const answer = await ask(service.url + url)
    expect(answer.status).toBe(200)
    expect(json(answer)).toEqual({ files: {}, dirs: [], error: expect.stringMatching(error) as string })
  })

  it('tells all of very many folders, the first ones sorted', async () => {
    const many = new MemoryStore()
    const names = Array.from({ length: 10_400 }, (_, i) => `d${i}`)
    for (const name of names) many.write(parsePath(`${UUID}/${name}/x`), Buffer.alloc(0))
    many.write(parsePath(`${UUID}/zzz`), Buffer.alloc(1))
    const other = await startService('', {}, many)
    try {
      const { files, dirs } = json(await ask(`${other.url}${RUN}/artifacts/tree`)) as {
        files: Record<string, number>
        dirs: string[]
      }
      expect(files).toEqual({ zzz: 1 })
      expect([...dirs].sort()).toEqual([...names].sort())
      expect(dirs.slice(0, 10_000)).toEqual(dirs.slice(0, 10_000).sort())
    } finally {
      await other.close()
    }
  })
})

describe('artifact', () => {
  it('is to be saved, or with stream shown where that is safe', async () => {
    for (const [query, disposition] of [
      ['', 'attachment; filename="results.csv"'],
      ['&stream=false', 'attachment; filename="results.csv"'],
      ['&stream=true&force=True', 'inline; filename="results.csv"'],
      ['&stream=1&render=', 'inline; filename="results.csv"'],
    ]) {
      const answer = await get(`artifact?path=outputs/results.csv${query}`)
      expect(answer.text).toBe(FILES['outputs/results.csv'])
      expect(answer.headers['content-disposition']).toBe(disposition)
      expect(answer.headers['content-length']).toBe('23')
      expect(answer.headers['content-type']).toMatch(/^text\/csv/)
    }
  })

  it('takes ranges and conditions, and HEAD', async () => {
    const url = 'artifact?path=outputs/results.csv&stream=true'
    const part = await get(url, { range: 'bytes=0-3' })
    expect([part.status, part.text, part.headers['content-range']]).toEqual([206, 'step', 'bytes 0-3/23'])
    const { etag } = part.headers
    expect((await get(url, { 'if-none-match': etag! })).status).toBe(304)
    expect((await get(url, { 'if-match': '"other"' })).status).toBe(412)
    expect((await get(url, { range: 'bytes=99-' })).status).toBe(416)
    const head = await ask(`${service.url}${RUN}/${url}`, { method: 'HEAD' })
    expect([head.status, head.headers['content-length'], head.body.length]).toEqual([200, '23', 0])
  })

  it('has a name that is quoted and last, whatever it is', async () => {
    const answer = await get(`artifact?path=${encodeURIComponent('outputs/uni cøde é.txt')}&stream=true`)
    expect(answer.text).toBe('hello ünicode\n')
    expect(answer.headers['content-disposition']).toBe(
      `inline; filename*=UTF-8''uni%20c%C3%B8de%20%C3%A9.txt; filename="uni c_de e.txt"`,
    )
    expect(named(answer)).toBe('uni c_de e.txt')
  })

  it.each([
    'embedded_artifact?stream=false&path=outputs/report.html',
    'ro_artifact/outputs/report.html',
    'ro_artifact/_?path=outputs/report.html',
  ])('is shown in a sandbox: %s', async resource => {
    const answer = await get(resource)
    expect(answer.text).toBe(FILES['outputs/report.html'])
    expect(answer.headers['content-disposition']).toBe('inline; filename="report.html"')
    expect(answer.headers['content-type']).toBe('text/html; charset=utf-8')
    expect(answer.headers['content-security-policy']).toBe('sandbox')
  })

  it('is a page no preview runs', async () => {
    const answer = await get('artifact?path=outputs/report.html&stream=true')
    expect(answer.headers['content-disposition']).toMatch(/^attachment;/)
  })

  it('of a notebook is a page without scripts with render', async () => {
    for (const resource of ['artifact', 'embedded_artifact', 'ro_artifact/_']) {
      const page = await get(`${resource}?path=outputs/notebook.ipynb&stream=true&render=True`)
      expect([page.status, page.headers['content-type']]).toEqual([200, 'text/html; charset=utf-8'])
      expect(page.headers['content-disposition']).toBe('inline; filename="notebook.ipynb.html"')
      expect(page.headers['content-security-policy']).toBe('sandbox')
      expect(page.text).toMatch(/^<!doctype html>/i)
      expect(page.text).toContain('Training')
      expect(page.text).not.toContain('<script')
    }
    const part = await get('artifact?path=outputs/notebook.ipynb&render=true', { range: 'bytes=0-14' })
    expect([part.status, part.text.toLowerCase()]).toEqual([206, '<!doctype html>'])
    const raw = await get('artifact?path=outputs/notebook.ipynb&stream=true&render=false')
    expect(raw.text).toBe(FILES['outputs/notebook.ipynb'])
    expect((await get('artifact?path=outputs/broken.ipynb&render=true')).status).toBe(400)
    expect((await get('artifact?path=outputs/absent.ipynb&render=true')).status).toBe(404)
  })

  it.each<[string, number, string | RegExp]>([
    ['artifact', 400, 'A `path` query param is required to stream a file content'],
    ['artifact?path=', 400, 'A `path` query param is required to stream a file content'],
    ['artifact?path=outputs/nope.txt', 404, `Artifact not found: filepath=${UUID}/outputs/nope.txt`],
    [
      'artifact?path=outputs/results.csv/x',
      404,
      `Artifact not found: filepath=${UUID}/outputs/results.csv/x`,
    ],
    ['ro_artifact/outputs/nope.txt', 404, `Artifact not found: filepath=${UUID}/outputs/nope.txt`],
    ['artifact?path=/outputs//./nope.txt/', 404, `Artifact not found: filepath=${UUID}/outputs/nope.txt`],
    ['artifact?path=../other/x', 400, 'Invalid path: traversal detected'],
    ['artifact?path=..%2Fother%2Fx', 400, 'Invalid path: traversal detected'],
    ['ro_artifact/..%2f..%2fx', 400, 'Invalid path: traversal detected'],
    ['artifact?path=a%5C..%5Cb', 400, /backslashes/],
    ['artifact?path=outputs/model', 400, /folder/],
    ['artifact?path=/', 400, /folder/],
    [
      'artifact?path=outputs/results.csv&render=true',
      400,
      "Artifact with 'filepath=outputs/results.csv' does not have a valid extension.",
    ],
    ['artifact?path=outputs/results.csv&stream=maybe', 400, /'stream' is either true or false/],
    ['artifact?path=outputs/results.csv&connection=other', 404, /connection 'other'/],
  ])('%s is %i', async (resource, status, text) => {
    const answer = await get(resource)
    expect([answer.status, answer.headers['content-type']]).toEqual([status, 'text/plain; charset=utf-8'])
    if (typeof text === 'string') expect(answer.text).toBe(text)
    else expect(answer.text).toMatch(text)
  })
})

describe('artifacts', () => {
  it.each([
    ['artifacts?path=outputs/model', 'model.tar.gz', ['ckpt/step-1.pt', 'weights.bin']],
    ['artifacts?check_path=True&path=outputs%2Fmodel%2F', 'model.tar.gz', ['ckpt/step-1.pt', 'weights.bin']],
    [`artifacts?path=outputs/mod%C3%A8le`, 'modele.tar.gz', ['w.bin']],
    ['artifacts?path=outputs/results.csv', 'results.csv.tar.gz', ['results.csv']],
    ['artifacts', `${UUID}.tar.gz`, Object.keys(FILES).sort()],
    ['artifacts?path=/&force=true', `${UUID}.tar.gz`, Object.keys(FILES).sort()],
  ])('%s is an archive that the client unpacks', async (resource, name, members) => {
    const answer = await get(resource)
    expect(answer.headers['content-type']).toBe('application/gzip')
    expect(answer.headers['content-encoding']).toBeUndefined()
    expect(answer.headers['content-disposition']).toMatch(/\.tar\.gz"$/)
    expect(named(answer)).toBe(name)
    expect(membersOf(answer).filter(member => !member.endsWith('/'))).toEqual(members)
    expect(gunzipSync(answer.body).length % 512).toBe(0)
  })

  it.each(['check_path', 'check_file'])('gives a file as it is with %s', async flag => {
    const answer = await get(`artifacts?path=outputs/results.csv&${flag}=true`)
    expect(answer.text).toBe(FILES['outputs/results.csv'])
    expect(named(answer)).toBe('results.csv')
  })

  it.each<[string, number, string]>([
    ['artifacts?path=nope', 404, `Artifact not found: filepath=${UUID}/nope`],
    ['artifacts?path=../x', 400, 'Invalid path: traversal detected'],
  ])('%s is %i', async (resource, status, text) => {
    const answer = await get(resource)
    expect([answer.status, answer.text]).toEqual([status, text])
  })

  it('of six runs with a folder of one name each holds its own', async () => {
    const runs = Array.from({ length: 6 }, (_, i) => String(i).repeat(32))
    for (const run of runs)
      store.write(parsePath(`${run}/outputs/model/weights.bin`), Buffer.from(`weights of ${run}`))
    const answers = await Promise.all(
      runs.map(run => ask(`${service.url}/streams/v1/d/o/p/runs/${run}/artifacts?path=outputs/model`)),
    )
    answers.forEach((answer, i) => {
      expect(named(answer)).toBe('model.tar.gz')
      expect(gunzipSync(answer.body).toString('latin1')).toContain(`weights of ${runs[i]}`)
    })
  })

  it('hold no file that is gone', async () => {
    const run = 'f'.repeat(32)
    const url = `${service.url}/streams/v1/d/o/p/runs/${run}`
    for (const name of ['stays', 'goes']) store.write(parsePath(`${run}/m/${name}`), Buffer.from(name))
    expect(membersOf(await ask(`${url}/artifacts?path=m`))).toEqual(['goes', 'stays'])
    expect((await ask(`${url}/artifact?path=m/goes`, { method: 'DELETE' })).status).toBe(204)
    expect(membersOf(await ask(`${url}/artifacts?path=m`))).toEqual(['stays'])
  })
})

describe('removing', () => {
  const run = 'e'.repeat(32)
  const remove = (resource: string): Promise<Answer> =>
    ask(`${service.url}/streams/v1/d/o/p/runs/${run}/${resource}`, { method: 'DELETE' })
  const left = async (): Promise<string[]> => {
    const tree = await ask(`${service.url}/outputs/o/p/runs/${run}/?format=text&recursive`)
    return tree.status === 404 ? [] : tree.text.trim().split('\n')
  }
  const fill = (): void => {
    for (const path of ['a.txt', 'm/b.txt', 'm/c.txt'])
      store.write(parsePath(`${run}/${path}`), Buffer.from('x'))
  }

  it.each<[string, string[]]>([
    ['artifact?path=a.txt', ['m/', 'm/b.txt', 'm/c.txt']],
    ['artifact?path=m/b.txt&connection=outputs', ['a.txt', 'm/', 'm/c.txt']],
    ['artifacts?path=m', ['a.txt']],
    ['artifacts?path=m/', ['a.txt']],
    ['artifacts?path=a.txt', ['m/', 'm/b.txt', 'm/c.txt']],
    ['artifacts?path=/', []],
    ['artifacts?path=.', []],
  ])('%s is 204 and leaves the rest', async (resource, rest) => {
    fill()
    const answer = await remove(resource)
    expect([answer.status, answer.text]).toEqual([204, ''])
    expect(await left()).toEqual(rest)
  })

  it.each<[string, RegExp]>([
    ['artifacts', /path=\//],
    ['artifacts?path=', /path=\//],
    ['artifacts?path=nope', /^Artifacts could not be deleted: filepath=e{32}\/nope\. /],
    ['artifacts?path=m/..', /^Invalid path: traversal detected$/],
    ['artifacts?path=../', /^Invalid path: traversal detected$/],
    ['artifact', /^A `path` query param is required to delete a file$/],
    ['artifact?path=', /^A `path` query param is required to delete a file$/],
    ['artifact?path=nope', /^Artifact could not be deleted: filepath=e{32}\/nope\. /],
    ['artifact?path=m', /^Artifact could not be deleted: .* folder/],
    ['artifact?path=/', /^Artifact could not be deleted: .* folder/],
    ['artifact?path=.', /^Artifact could not be deleted: .* folder/],
  ])('%s is 400 and removes nothing', async (resource, text) => {
    fill()
    const answer = await remove(resource)
    expect(answer.status).toBe(400)
    expect(answer.text).toMatch(text)
    expect(await left()).toEqual(['a.txt', 'm/', 'm/b.txt', 'm/c.txt'])
  })
})

describe('everything else', () => {
  it.each([
    RUN,
    `${RUN}/`,
    `${RUN}/nothing`,
    `${RUN}/artifacts/`,
    `${RUN}/artifacts/tree/`,
    `${RUN}/artifact/x`,
    `${RUN}/__proto__`,
    `${RUN}/constructor/x`,
    `${RUN}/events`,
    `${RUN}/ro_artifact/`,
    `${RUN}/k8s_inspect`,
    `/streams/v1//owner/proj/runs/${UUID}/artifacts/tree`,
    `/streams/v1/default//proj/runs/${UUID}/artifacts/tree`,
    `/streams/v1/default/owner//runs/${UUID}/artifacts/tree`,
    `/streams/v1/default/owner//runs/${UUID}/artifact?path=outputs/results.csv`,
    '/streams/v1/default/owner//runs/multi/events/metric?names=x&runs=',
    '/streams/v1',
    '/streams/v1/',
    '/streams/v1/default/owner/proj/jobs/1/artifact?path=x',
    '/streams/v2/default/owner/proj/runs/1/artifact',
  ])('%s is 404', async url => {
    const answer = await ask(service.url + url)
    expect(answer.status).toBe(404)
  })

  it.each([
    '..',
    '.',
    '%2e%2e',
    '..%2f..',
    '%00',
    '',
    'outputs',
    '*',
    `${UUID}%2foutputs`,
    `${UUID}%20`,
    'a'.repeat(300),
  ])('a run called %s is not there, on any route', async id => {
    for (const resource of [
      'artifacts',
      'artifact?path=results.csv',
      'artifact?path=outputs/results.csv',
      'artifacts/tree',
      'logs',
      'events/metric?names=x',
    ]) {
      const answer = await ask(`${service.url}/streams/v1/default/owner/proj/runs/${id}/${resource}`)
      expect([resource, [200, 400, 404].includes(answer.status)]).toEqual([resource, true])
      expect(answer.text).not.toContain('step,loss')
      expect(answer.text).not.toContain('results.csv":')
    }
  })

  it.each([
    ['PUT', 'artifact?path=x', 'GET, HEAD, POST, DELETE'],
    ['POST', 'artifacts/tree', 'GET, HEAD'],
    ['OPTIONS', 'artifacts/tree', 'GET, HEAD'],
    ['DELETE', 'ro_artifact/x', 'GET, HEAD'],
    ['PATCH', 'artifacts', 'GET, HEAD, POST, DELETE'],
  ])('%s %s is 405', async (method, resource, allow) => {
    const answer = await ask(`${service.url}${RUN}/${resource}`, { method })
    expect([answer.status, answer.headers.allow]).toEqual([405, allow])
  })

  it.each([
    'artifacts/tree',
    'artifact?path=x',
    'artifact?path=x.ipynb&render=true',
    'ro_artifact/x',
    'artifacts?path=x',
    'artifacts',
    'logs',
    'events/metric?names=x',
    'events/metric?names=x&pkg_assets=true',
    'resources',
    `../multi/events/metric?names=x&runs=${UUID}`,
  ])('an outage of the store is no missing artifact: %s', async resource => {
    const gone = (): never => {
      throw new AppError('Unavailable', 'The outputs store cannot be reached.')
    }
    const other = await startService('', {}, scriptedStore({ stat: gone, list: gone, open: gone }))
    try {
      const { pathname, search } = new URL(`${other.url}${RUN}/${resource}`)
      for (const method of ['GET', 'HEAD']) {
        const answer = await ask(other.url + pathname + search, { method })
        expect([method, answer.status]).toEqual([method, 503])
        expect(answer.headers['content-type']).toBe('text/plain; charset=utf-8')
        expect(answer.headers['retry-after']).toBeDefined()
      }
    } finally {
      await other.close()
    }
  })

  it('says nothing of where a store is on the disk', async () => {
    const tree = new Tree()
    tree.write(`${UUID}/a.txt`, 'a')
    tree.write(`${UUID}/closed/b.txt`, 'b', { mode: 0 })
    tree.link(`${UUID}/out`, '/etc')
    tree.link(`${UUID}/loop`, 'loop')
    const other = await startService(tree.root)
    try {
      for (const path of [
        'nope',
        'a.txt/x',
        'out',
        'out/passwd',
        'loop',
        'closed/b.txt',
        '../x',
        '%00',
        'out%2F',
      ])
        for (const resource of ['artifacts/tree', 'artifact', 'artifacts', 'ro_artifact/_'])
          for (const method of ['GET', 'DELETE']) {
            const { text, headers } = await ask(`${other.url}${RUN}/${resource}?path=${path}`, { method })
            const said = text + JSON.stringify(headers)
            for (const place of [tree.root, '/etc', 'ENO', 'ELOOP', 'errno'])
              expect(said, `${method} ${resource} ${path}`).not.toContain(place)
          }
    } finally {
      await other.close()
      tree.remove()
    }
  })
})
