// The Python client and the command line of Polyaxon 2.x, over each kind of store.
import { mkdir, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { bytes, pattern } from '../contract/harness.ts'
import { redirectingMinio } from '../support/store-s3.ts'
import { describeEach } from '../support/stores.ts'
import { Polyaxon2 } from './polyaxon-2-client.ts'
import { NAMESPACE, OWNER, PROJECT, type KnownRun } from './polyaxon-api.ts'
import { ACCURACY, LINEAGES, logLines, LOSS, PREVIEW, RUN_FILES } from './polyaxon-files.ts'
import type { Events, Files } from './polyaxon-files.ts'
import {
  fill,
  newRun,
  OTHER,
  POLYAXON_STORES,
  serveRuns,
  storedIn,
  treeOfFiles,
  unpack,
} from './polyaxon-runs.ts'
import type { ServedRuns } from './polyaxon-runs.ts'
import { describeClient } from './programs.ts'
import { findPythonWith } from './python-environment.ts'
import { run as runProgram } from './run.ts'
import { filesOf, treeOf, type Tree } from './trees.ts'

const PACKAGES = { name: 'polyaxon-2', packages: ['polyaxon==2.18.0'], imports: 'polyaxon.client' }

describeClient('polyaxon 2', await findPythonWith(PACKAGES), python => {
  // The client follows redirects to a bucket without telling it who it is.
  describeEach([...POLYAXON_STORES, redirectingMinio], kind => {
    let runs: ServedRuns
    let client: Polyaxon2
    /** Where the client works and downloads to: new for each test. */
    let folder: string
    /** A finished run, which no test changes. */
    let finished: string

    beforeAll(async () => {
      runs = await serveRuns(kind)
      client = await Polyaxon2.start(python, runs)
      finished = await makeRun(RUN_FILES)
    })
    afterAll(async () => {
      await client.close()
      await runs.close()
    })
    beforeEach(async () => {
      folder = await client.moveToNewFolder()
      runs.api.take()
    })

    async function makeRun(files: Files, known: KnownRun = {}): Promise<string> {
      const run = newRun()
      runs.api.add(run, known)
      await fill(runs.store, run, files)
      return run
    }

    /** What is in `folder` after the calls. */
    async function downloaded(): Promise<Tree> {
      return filesOf(await treeOf(folder))
    }

    describe.each([
      { client: 'RunClient', awaited: false },
      { client: 'AsyncRunClient', awaited: true },
    ])('$client', ({ awaited }) => {
      it('lists a folder, with slashes or without', async () => {
        const outputs = {
          files: { 'results.csv': 24, 'metrics.json': 28, 'empty.txt': 0, 'x.tar.gz': 1000 },
          dirs: ['model', 'odd', 'Übungen'],
        }
        for (const path of ['outputs', 'outputs/', '/outputs'])
          expect(sorted(await client.call(finished, 'get_artifacts_tree', { path }, awaited))).toEqual(
            sorted(outputs),
          )
        expect(sorted(await client.call(finished, 'get_artifacts_tree', {}, awaited))).toEqual({
          files: {},
          dirs: ['assets', 'code', 'events', 'outputs', 'plxlogs'],
        })
      })

      it('lists nothing of what is not there', async () => {
        expect(await client.call(finished, 'get_artifacts_tree', { path: 'nothing' }, awaited)).toMatchObject(
          {
            files: {},
            dirs: [],
          },
        )
        const unknown = newRun()
        runs.api.add(unknown)
        expect(await client.call(unknown, 'get_artifacts_tree', {}, awaited)).toMatchObject({
          files: {},
          dirs: [],
        })
      })

      it('downloads every file by its path', async () => {
        const paths = [...RUN_FILES.keys()].filter(path => path !== 'outputs/x.tar.gz')
        const calls = paths.map(path => ({
          run: finished,
          method: 'download_artifact',
          // The asynchronous client cannot send a flag.
          arguments: { path, path_to: 'here', force: !awaited && path.length % 2 === 0 },
        }))
        expect((await client.outcomes(calls, awaited)).filter(outcome => 'raised' in outcome)).toEqual([])
        const stored = [...treeOfFiles(RUN_FILES)].filter(([path]) => path !== 'outputs/x.tar.gz')
        expect(filesOf(await treeOf(join(folder, 'here')))).toEqual(new Map(stored))
      })

      it('downloads a file that is an archive as it is', async () => {
        await client.call(finished, 'download_artifact', { path: 'outputs/x.tar.gz', path_to: '.' }, awaited)
        const [content, ...others] = (await downloaded()).values()
        expect([content, others]).toEqual([treeOfFiles(RUN_FILES).get('outputs/x.tar.gz'), []])
      })

      it('reads a text', async () => {
        expect(await client.call(finished, 'get_artifact', { path: 'code/train.py' }, awaited)).toBe(
          'print("training")\n',
        )
        expect(await client.call(finished, 'get_artifact', { path: 'outputs/metrics.json' }, awaited)).toBe(
          "{'loss': 0.25, 'done': True}",
        )
      })

      it.each(['outputs/model', 'outputs/odd', 'outputs/Übungen', 'outputs/Übungen/モデル', 'outputs'])(
        'downloads and unpacks the folder %s',
        async path => {
          const returned = await client.call(
            finished,
            'download_artifacts',
            { path, path_to: 'here' },
            awaited,
          )
          expect(returned).toBe(`here/${path}`)
          expect(filesOf(await treeOf(join(folder, 'here', path)))).toEqual(treeOfFiles(RUN_FILES, path))
          expect((await downloaded()).size).toBe(treeOfFiles(RUN_FILES, path).size)
        },
      )

      it('downloads the whole run', async () => {
        await client.call(finished, 'download_artifacts', { path_to: join(folder, 'all') }, awaited)
        expect(filesOf(await treeOf(join(folder, 'all')))).toEqual(treeOfFiles(RUN_FILES))
      })

      it('leaves an archive packed where it shall', async () => {
        const packed = { path: 'outputs/model', path_to: '.', untar: false }
        await client.call(finished, 'download_artifacts', packed, awaited)
        expect([...(await downloaded()).keys()]).toEqual(['outputs/model.tar.gz'])
        expect(await unpack(join(folder, 'outputs/model.tar.gz'), await runs.makeFolder())).toEqual(
          treeOfFiles(RUN_FILES, 'outputs/model'),
        )
      })

      it('fails on what is not there', async () => {
        const missing = ['download_artifact', 'download_artifacts', 'get_artifact', 'delete_artifact']
        const calls = [...missing, 'delete_artifacts'].map(method => ({
          ...{ run: finished, method },
          arguments: { path: 'outputs/missing' },
        }))
        const raised = (await client.outcomes(calls, awaited)).map(
          outcome => 'raised' in outcome && outcome.raised,
        )
        const api = expect.stringMatching(/ApiException|NotFoundException/)
        expect(raised).toEqual(['PolyaxonClientException', 'PolyaxonClientException', api, api, api])
        expect(await downloaded()).toEqual(new Map())
      })

      it('deletes a file and a folder', async () => {
        const run = await makeRun(RUN_FILES)
        await client.call(run, 'delete_artifact', { path: 'outputs/odd/a&b=c' }, awaited)
        await client.call(run, 'delete_artifacts', { path: 'outputs/model' }, awaited)
        const left = [...treeOfFiles(RUN_FILES)].filter(
          ([path]) => path !== 'outputs/odd/a&b=c' && !path.startsWith('outputs/model/'),
        )
        expect(await storedIn(runs.store, run)).toEqual(new Map(left))
      })

      it('does not bring back what has been deleted since the last archive', async () => {
        const run = await makeRun(RUN_FILES)
        await client.call(run, 'download_artifacts', { path: 'outputs/model', path_to: 'before' }, awaited)
        await runs.store.remove(`${run}/outputs/model/checkpoints/1.bin`)
        await client.call(run, 'download_artifacts', { path: 'outputs/model', path_to: 'after' }, awaited)
        expect([...filesOf(await treeOf(join(folder, 'after'))).keys()]).toEqual([
          'outputs/model/weights.bin',
        ])
      })

      it('downloads the folders of one name of six runs at once', async () => {
        const contents = Array.from(
          { length: 6 },
          (_, i) => new Map([['outputs/model/w', pattern(400_000, i)]]),
        )
        const six = await Promise.all(contents.map(files => makeRun(files)))
        const all = six.map(run => ({
          ...{ run, method: 'download_artifacts' },
          arguments: { path: 'outputs/model', path_to: join(folder, run) },
        }))
        expect((await client.outcomes(all, awaited)).filter(outcome => 'raised' in outcome)).toEqual([])
        for (const [i, run] of six.entries())
          expect(await treeOf(join(folder, run, 'outputs/model'))).toEqual(
            treeOfFiles(contents[i]!, 'outputs/model'),
          )
      })

      it('reads the logs', async () => {
        const logs = await client.call(finished, 'get_logs', {}, awaited)
        expect(logs).toMatchObject({
          logs: [
            { value: 'loading', node: 'node-1', pod: 'pod-a', container: 'polyaxon-main' },
            { value: 'größer', pod: 'pod-b' },
            { value: 'training', pod: 'pod-a' },
          ],
        })
        expect(logs).not.toHaveProperty('last_file')
      })

      it('reads what a run says while it goes on', async () => {
        const said = logLines('pod-a', ['first', 'second', 'third'], 10)
        const live = new Map([['.tmpplxlogs/pod-a.jsonl', bytes(said)]])
        const run = await makeRun(live, { status: 'running' })
        const last_time = '2024-05-01T10:00:10+00:00'
        expect(await client.call(run, 'get_logs', { last_time }, awaited)).toMatchObject({
          logs: [{ value: 'second' }, { value: 'third' }],
        })
      })

      it('reads logs of earlier releases', async () => {
        const run = await makeRun(OLD_LOGS)
        expect(await client.call(run, 'get_logs', {}, awaited)).toMatchObject({
          logs: [{ value: 'one' }, { value: 'two' }],
        })
      })

      it('reads events', async () => {
        const names = ['loss', 'missing', 'accuracy']
        const { data } = (await client.call(
          finished,
          'get_events',
          { kind: 'metric', names },
          awaited,
        )) as Events
        expect(byName(data)).toEqual([ACCURACY, LOSS])
        const csv = { kind: 'metric', names: ['loss'], orient: 'csv', force: true }
        expect(await client.call(finished, 'get_events', csv, awaited)).toEqual({
          data: [{ name: 'loss', kind: 'metric', data: text('events/metric/loss.plx') }],
        })
      })

      it('reads events of several runs', async () => {
        const other = await makeRun(
          new Map([['events/metric/loss.plx', RUN_FILES.get('events/metric/loss.plx')!]]),
        )
        const wanted = { kind: 'metric', names: ['loss', 'accuracy'], runs: [finished, other] }
        const { data } = (await client.call(finished, 'get_multi_run_events', wanted, awaited)) as {
          data: Record<string, Events['data']>
        }
        expect(byName(data[finished]!)).toEqual([ACCURACY, LOSS])
        expect(data[other]).toEqual([LOSS])
      })

      it.each(LINEAGES.filter(({ flagless }) => flagless || !awaited))(
        'downloads $what by its lineage',
        async ({ lineage, holds }) => {
          await client.call(finished, 'download_artifact_for_lineage', { lineage, path_to: folder }, awaited)
          const stored = treeOfFiles(RUN_FILES)
          expect(await downloaded()).toEqual(new Map(holds.map(path => [path, stored.get(path)])))
        },
      )

      it('reads and deletes on the connection that the run names', async () => {
        const run = newRun()
        runs.api.add(run, { artifactsStore: OTHER })
        const elsewhere = new Map([...RUN_FILES].map(([path, content]) => [path, content] as const))
        await fill(runs.other, run, elsewhere)
        await fill(runs.store, run, new Map([['outputs/model/decoy', bytes('decoy')]]))
        expect(
          await client.call(run, 'get_artifacts_tree', { path: 'outputs/model' }, awaited),
        ).toMatchObject({
          files: { 'weights.bin': 3_000_001 },
          dirs: ['checkpoints'],
        })
        await client.call(run, 'download_artifacts', { path: 'outputs/model', path_to: '.' }, awaited)
        await client.call(run, 'download_artifact', { path: 'code/train.py', path_to: '.' }, awaited)
        const wanted = [...treeOfFiles(RUN_FILES)].filter(([path]) => /^(outputs\/model|code)\//.test(path))
        expect(await downloaded()).toEqual(new Map(wanted))
        expect(await client.call(run, 'get_events', { kind: 'metric', names: ['loss'] }, awaited)).toEqual({
          data: [LOSS],
        })
        expect(await client.call(run, 'get_logs', {}, awaited)).toMatchObject({
          logs: [{ value: 'loading' }, {}, {}],
        })
        await client.call(run, 'delete_artifact', { path: 'code/train.py' }, awaited)
        await client.call(run, 'delete_artifacts', { path: 'outputs' }, awaited)
        const left = [...treeOfFiles(RUN_FILES)].filter(([path]) => !/^(outputs|code)\//.test(path))
        expect(await storedIn(runs.other, run)).toEqual(new Map(left))
        expect([...(await storedIn(runs.store, run)).keys()]).toEqual(['outputs/model/decoy'])
      })
    })

    it('finds out whether a path is a file or a folder', async () => {
      for (const path of ['outputs/model', 'outputs/results.csv', 'outputs/odd/größe'])
        await client.call(finished, 'download_artifacts', { path, path_to: '.', check_path: true })
      const wanted = /^outputs\/(model\/|results\.csv$|odd\/größe$)/
      const stored = [...treeOfFiles(RUN_FILES)].filter(([path]) => wanted.test(path))
      expect(await downloaded()).toEqual(new Map(stored))
    })

    describe('uploads', () => {
      const content = pattern(2_500_000, 7)
      const local: Files = new Map([
        ['a.bin', content],
        ['empty', bytes('')],
        ['größe & mehr/b.txt', bytes('b')],
        ['deep/er/c.txt', bytes('c')],
      ])
      let run: string

      beforeEach(async () => {
        run = await makeRun(new Map([['outputs/kept.txt', bytes('kept')]]))
        for (const [path, each] of local) {
          await mkdir(dirname(join(folder, 'local', path)), { recursive: true })
          await writeFile(join(folder, 'local', path), each)
        }
      })

      async function expectStored(files: Files): Promise<void> {
        const all = new Map([['outputs/kept.txt', bytes('kept')], ...files])
        expect(await storedIn(runs.store, run)).toEqual(treeOfFiles(all))
      }

      it('a file to a folder, and to the top', async () => {
        const up = { filepath: 'local/a.bin', show_progress: false }
        expect(await client.call(run, 'upload_artifact', { ...up, path: 'uploads/here' })).toEqual(UPLOADED)
        expect(
          await client.call(run, 'upload_artifact', { ...up, filepath: 'local/größe & mehr/b.txt' }),
        ).toEqual(UPLOADED)
        await expectStored(
          new Map([
            ['uploads/here/a.bin', content],
            ['b.txt', bytes('b')],
          ]),
        )
      })

      it('files by names that a header has to carry', async () => {
        const names = ['größe.bin', '日本語', "it's", 'a "b" c', 'a;b=c', '100%']
        for (const name of names) {
          await writeFile(join(folder, name), name)
          const up = { filepath: name, path: 'ü/a&b', show_progress: false }
          expect(await client.call(run, 'upload_artifact', up), name).toEqual(UPLOADED)
        }
        await expectStored(new Map(names.map(name => [`ü/a&b/${name}`, bytes(name)] as const)))
      })

      it('a file over another, or not', async () => {
        const up = { filepath: join(folder, 'local/deep/er/c.txt'), path: 'uploads' }
        await fill(runs.store, run, new Map([['uploads/c.txt', bytes('before')]]))
        expect(await client.call(run, 'upload_artifact', { ...up, overwrite: false })).toEqual(UPLOADED)
        await expectStored(new Map([['uploads/c.txt', bytes('before')]]))
        expect(await client.call(run, 'upload_artifact', { ...up, overwrite: true })).toEqual(UPLOADED)
        await expectStored(new Map([['uploads/c.txt', bytes('c')]]))
      })

      it('an archive that is unpacked into a folder of its name', async () => {
        await runProgram('tar', ['-czf', join(folder, 'x.tar.gz'), '-C', join(folder, 'local'), '.'])
        const up = { filepath: 'x.tar.gz', path: 'uploads', untar: true }
        expect(await client.call(run, 'upload_artifact', up)).toEqual(UPLOADED)
        await expectStored(below('uploads/x.tar.gz', local))
      })

      it('files that it packs', async () => {
        const up = { files: ['local/a.bin', 'local/deep'], path: 'uploads/some', relative_to: 'local' }
        expect(await client.call(run, 'upload_artifacts', up)).toEqual(UPLOADED)
        await expectStored(
          new Map([
            ['uploads/some/a.bin', content],
            ['uploads/some/deep/er/c.txt', bytes('c')],
          ]),
        )
      })

      it('a folder in place of what was in it', async () => {
        const up = { dirpath: 'local', path: 'uploads/dir', relative_to: 'local' }
        const before = ['uploads/dir/a.bin', 'uploads/dir/stale', 'uploads/dir/deep/stale']
        await fill(runs.store, run, new Map(before.map(path => [path, bytes('before')] as const)))
        expect(await client.call(run, 'upload_artifacts_dir', up)).toEqual(UPLOADED)
        await expectStored(below('uploads/dir', local))
      })

      it('a folder to the top of the run, which loses nothing', async () => {
        const up = { dirpath: 'local', path: '', relative_to: 'local' }
        expect(await client.call(run, 'upload_artifacts_dir', up)).toEqual(UPLOADED)
        await expectStored(local)
      })

      it('to the connection that the run names', async () => {
        runs.api.add(run, { artifactsStore: OTHER })
        await client.call(run, 'upload_artifact', { filepath: 'local/a.bin', path: 'uploads' })
        await client.call(run, 'upload_artifacts_dir', { dirpath: 'local', path: 'up', relative_to: 'local' })
        expect(await storedIn(runs.other, run)).toEqual(
          treeOfFiles(new Map([['uploads/a.bin', content], ...below('up', local)])),
        )
        await expectStored(new Map())
      })
    })

    it.each(SENT)(
      'sends $method as the service is made for it',
      async ({ method, given, resource, query, by }) => {
        const run = await makeRun(new Map(), { artifactsStore: OTHER })
        await writeFile(join(folder, 'file'), 'content')
        runs.api.take()
        await client.outcomes([{ run, method, arguments: given }])
        const [known, asked] = runs.api.take()
        expect(known!.target).toBe(`/api/v1/${OWNER}/${PROJECT}/runs/${run}`)
        const { pathname, searchParams } = new URL(asked!.target, runs.api.url)
        const owner = `/streams/v1/${NAMESPACE}/${OWNER}/${PROJECT}/runs`
        expect(`${asked!.method} ${pathname}`).toBe(resource.replace(' ', ` ${owner}/`).replace('RUN', run))
        expect(Object.fromEntries(searchParams)).toEqual(query)
        expect(asked!.headers).toMatchObject({ ...by, authorization: 'Token secret-of-ann' })
      },
    )

    describe('the command line', () => {
      it('downloads everything, and files and folders by name', async () => {
        const [all, some, packed] = await Promise.all([
          client.ops('artifacts', '-uid', finished),
          client.ops(
            ...[
              'artifacts',
              '-uid',
              finished,
              '--path',
              'some',
              '-f',
              'outputs/odd/größe',
              '-f',
              'code/train.py',
            ],
            ...['-d', 'outputs/Übungen', '-d', 'outputs/model'],
          ),
          client.ops('artifacts', '-uid', finished, '-d', 'outputs/model', '--no-untar', '--path', 'packed'),
        ])
        expect([all.code, some.code, packed.code]).toEqual([0, 0, 0])
        expect(filesOf(await treeOf(join(folder, 'archives', finished)))).toEqual(treeOfFiles(RUN_FILES))
        const wanted = /^(outputs\/odd\/größe$|code\/train\.py$|outputs\/(Übungen|model)\/)/
        const stored = [...treeOfFiles(RUN_FILES)].filter(([path]) => wanted.test(path))
        expect(filesOf(await treeOf(join(folder, 'some')))).toEqual(new Map(stored))
        expect(await unpack(join(folder, 'packed/outputs/model.tar.gz'), await runs.makeFolder())).toEqual(
          treeOfFiles(RUN_FILES, 'outputs/model'),
        )
      })

      it('downloads what lineage names, uploads and shows logs', async () => {
        const run = await makeRun(RUN_FILES, { lineage: [PREVIEW] })
        await mkdir(join(folder, 'local/sub'), { recursive: true })
        await writeFile(join(folder, 'local/a.txt'), 'a')
        await writeFile(join(folder, 'local/sub/b.txt'), 'b')
        const old = await makeRun(OLD_LOGS)
        const [lineage, logs, oldLogs] = await Promise.all([
          client.ops('artifacts', '-uid', run, '-l-name', 'preview', '--path', join(folder, 'lineage')),
          client.ops('logs', '-uid', run, '--no-follow', '--all-info'),
          client.ops('logs', '-uid', old, '--hide-time'),
        ])
        expect([lineage.code, logs.code, oldLogs.code]).toEqual([0, 0, 0])
        expect(oldLogs.stdout.toString()).toMatch(/^one\ntwo\n/)
        expect(filesOf(await treeOf(join(folder, 'lineage')))).toEqual(
          new Map([...treeOfFiles(RUN_FILES)].filter(([path]) => path.includes('image/preview'))),
        )
        const lines = logs.stdout.toString().trim().split('\n')
        expect(lines.map(line => line.split(' | ').slice(1))).toEqual([
          ['node-1', 'pod-a', 'polyaxon-main', 'loading'],
          ['node-1', 'pod-b', 'polyaxon-main', 'größer'],
          ['node-1', 'pod-a', 'polyaxon-main', 'training'],
        ])
        const [file, dir] = await Promise.all([
          client.ops('upload', '-uid', run, '--path-from', 'local/a.txt', '--path-to', 'uploads'),
          client.ops('upload', '-uid', run, '--path-from', 'local', '--path-to', 'uploads/dir'),
        ])
        expect([file.stdout.toString(), dir.stdout.toString()]).toEqual([
          expect.stringContaining('Artifacts uploaded'),
          expect.stringContaining('Artifacts uploaded'),
        ])
        expect(await storedIn(runs.store, `${run}/uploads`)).toEqual(
          treeOfFiles(
            new Map(
              [
                ['a.txt', 'a'],
                ['dir/a.txt', 'a'],
                ['dir/sub/b.txt', 'b'],
              ].map(([path, each]) => [path!, bytes(each!)]),
            ),
          ),
        )
      })
    })
  })
})

/** In pieces, named by their time. */
const OLD_LOGS: Files = new Map(
  ['one', 'two'].map((value, i) => {
    const log = { timestamp: `2023-05-01T10:00:0${i}+00:00`, value, container: 'polyaxon-main' }
    return [`plxlogs/168293520${i}`, bytes(JSON.stringify({ logs: [log] }))] as const
  }),
)

/** Headers of the two ways in which the client asks: its generated API, and its store of artifacts. */
const API = { accept: 'application/json', 'accept-encoding': 'identity' }
const STORE = { accept: '*/*', 'accept-encoding': 'gzip, deflate' }

const AT = { connection: OTHER, path: 'a b/ü&c+d' }
const { path: PATH } = AT
const NAMES = { kind: 'metric', names: ['a', 'b'] }
const OF_NAMES = { connection: OTHER, names: 'a,b', force: 'false' }

const SENT: readonly {
  readonly method: string
  readonly given: Readonly<Record<string, unknown>>
  /** Below the runs of the project. */
  readonly resource: string
  readonly query: Readonly<Record<string, string>>
  readonly by: Readonly<Record<string, string>>
}[] = [
  {
    method: 'get_artifacts_tree',
    given: { path: PATH },
    resource: 'GET RUN/artifacts/tree',
    query: AT,
    by: API,
  },
  {
    ...{ method: 'get_artifact', given: { path: PATH }, resource: 'GET RUN/artifact', by: API },
    query: { ...AT, stream: 'true', force: 'false' },
  },
  {
    ...{
      method: 'download_artifact',
      given: { path: PATH, force: true },
      resource: 'GET RUN/artifact',
      by: STORE,
    },
    query: { ...AT, force: 'True' },
  },
  {
    ...{ method: 'download_artifacts', given: { path: PATH, check_path: true }, by: STORE },
    ...{ resource: 'GET RUN/artifacts', query: { ...AT, check_path: 'True' } },
  },
  { method: 'delete_artifact', given: { path: PATH }, resource: 'DELETE RUN/artifact', query: AT, by: API },
  { method: 'delete_artifacts', given: { path: PATH }, resource: 'DELETE RUN/artifacts', query: AT, by: API },
  {
    ...{ method: 'upload_artifact', given: { filepath: 'file', path: PATH }, by: STORE },
    ...{ resource: 'POST RUN/artifact', query: {} },
  },
  {
    ...{ method: 'upload_artifacts', given: { files: ['file'], path: PATH }, by: STORE },
    ...{ resource: 'POST RUN/artifacts', query: {} },
  },
  {
    ...{ method: 'get_logs', given: { last_file: 'f', last_time: '2024-05-01T10:00:00+00:00' }, by: API },
    resource: 'GET RUN/logs',
    query: { connection: OTHER, kind: 'job', last_file: 'f', last_time: '2024-05-01T10:00:00.000000+0000' },
  },
  { method: 'get_events', given: NAMES, resource: 'GET RUN/events/metric', query: OF_NAMES, by: API },
  {
    ...{ method: 'get_multi_run_events', given: { ...NAMES, runs: ['u', 'v'], orient: 'csv' }, by: API },
    resource: 'GET multi/events/metric',
    query: { ...OF_NAMES, runs: 'u,v', orient: 'csv' },
  },
]

const UPLOADED = { status: 200, text: '' }

function byName(events: Events['data']): Events['data'] {
  return [...events].sort((a, b) => (a.name < b.name ? -1 : 1))
}

function text(path: string): string {
  return Buffer.from(RUN_FILES.get(path)!).toString()
}

/** A tree whose folders stand in one order. */
function sorted(tree: unknown): unknown {
  const { files, dirs } = tree as { files: unknown; dirs: readonly string[] }
  return { files, dirs: [...dirs].sort() }
}

function below(folder: string, files: Files): Files {
  return new Map([...files].map(([path, content]) => [`${folder}/${path}`, content] as const))
}
