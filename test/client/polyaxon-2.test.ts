// The Python client and the command line of Polyaxon 2.x, over each kind of store.
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { bytes, pattern } from '../contract/harness.ts'
import { describeEach } from '../support/stores.ts'
import { Polyaxon2 } from './polyaxon-2-client.ts'
import { NAMESPACE, OWNER, PROJECT, type KnownRun } from './polyaxon-api.ts'
import { LINEAGES, RUN_FILES } from './polyaxon-files.ts'
import type { Files } from './polyaxon-files.ts'
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
import { filesOf, treeOf, type Tree } from './trees.ts'

const PACKAGES = { name: 'polyaxon-2', packages: ['polyaxon==2.18.0'], imports: 'polyaxon.client' }

describeClient('polyaxon 2', await findPythonWith(PACKAGES), python => {
  describeEach(POLYAXON_STORES, kind => {
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

    it('sends what the service is made for', async () => {
      const run = await makeRun(RUN_FILES)
      runs.api.add(run, { artifactsStore: OTHER })
      const seen = async (
        method: string,
        arguments_: Readonly<Record<string, unknown>>,
      ): Promise<string[]> => {
        runs.api.take()
        await client.outcomes([{ run, method, arguments: arguments_ }])
        const [known, ...asked] = runs.api.take()
        expect(known!.target).toBe(`/api/v1/${OWNER}/${PROJECT}/runs/${run}`)
        for (const { headers } of asked) expect(headers.authorization).toBe('Token secret-of-ann')
        const prefix = `/streams/v1/${NAMESPACE}/${OWNER}/${PROJECT}/runs/`
        return asked.map(
          ({ method: verb, target }) => `${verb} ${target.replace(prefix, '').replaceAll(run, 'RUN')}`,
        )
      }
      const path = 'a b/ü&c'
      const quoted = 'a+b%2F%C3%BC%26c'
      expect(await seen('download_artifact', { path, force: true })).toEqual([
        `GET RUN/artifact?connection=${OTHER}&force=True&path=${quoted}`,
      ])
      expect(await seen('download_artifacts', { path, check_path: true })).toEqual([
        `GET RUN/artifacts?connection=${OTHER}&check_path=True&path=${quoted}`,
      ])
      const [tree] = await seen('get_artifacts_tree', { path })
      expect(new Set(tree!.split(/[?&]/))).toEqual(
        new Set(['GET RUN/artifacts/tree', 'path=a%20b/%C3%BC%26c', `connection=${OTHER}`]),
      )
    })

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
    })
  })
})

/** A tree whose folders stand in one order. */
function sorted(tree: unknown): unknown {
  const { files, dirs } = tree as { files: unknown; dirs: readonly string[] }
  return { files, dirs: [...dirs].sort() }
}
